//! Compares what should be with what there is, and plans what lies between. Pure: the same question, the same plan.

use chat_core::known_servers::ServerAddress;

use crate::desired::Desired;
use crate::host::HostState;
use crate::observe::Observed;
use crate::plan::{Action, Activation, Plan, ServerChange, Step};
use crate::release::ReleaseId;

/// The fewest releases that can be kept: the new one, the current one, and one to return to if an interrupted run left
/// the current one unconfirmed.
pub const MIN_KEPT_RELEASES: usize = 3;

/// Plans how to reach `desired`, with the server reached at `address` then.
#[must_use]
pub fn diff(desired: &Desired, address: &ServerAddress, observed: &Observed) -> Plan {
    let mut steps = Vec::new();
    let host = &observed.host;
    steps.extend(surplus_releases(desired, host).map(Step::RemoveRelease));
    let installed =
        host.release(&desired.release.id).is_some_and(|there| there.digest == desired.release.digest);
    if !installed {
        steps.push(Step::Install(desired.release.clone()));
    }
    if let Some(server) = server_change(desired, observed) {
        steps.push(Step::Activate(Activation {
            release: desired.release.clone(),
            replaces: host.current.clone().filter(|current| *current != desired.release.id),
            config: desired.config.clone(),
            config_change: config_change(desired, host),
            server,
            // A mere restart does not make a release younger.
            deploys: desired.deploys
                && (host.current.as_ref() != Some(&desired.release.id) || host.unconfirmed.is_some()),
        }));
    }
    steps.extend(pin_steps(address, observed));
    Plan { steps }
}

/// Plans how to leave nothing: the difference from what there is to an empty place.
#[must_use]
pub fn diff_to_nothing(observed: &Observed, backup: bool) -> Plan {
    let host = &observed.host;
    let mut steps = Vec::new();
    if host.is_empty() {
        return Plan { steps };
    }
    steps.extend(host.process.as_ref().map(|process| Step::Stop { pid: process.pid }));
    if backup && host.has_data {
        steps.push(Step::Backup);
    }
    // The identity goes, so nobody should go on to expect it, under whatever name of this machine it was pinned.
    let ours = observed.pins.pins().filter(|pin| Some(pin.1) == host.identity);
    steps.extend(ours.map(|(address, _)| Step::Unpin(address.clone())));
    steps.push(Step::RemoveInstance { releases: host.releases.len(), has_data: host.has_data });
    Plan { steps }
}

/// Chooses the releases that go. Those a roll back may need stay, whatever their age.
fn surplus_releases<'a>(desired: &'a Desired, host: &'a HostState) -> impl Iterator<Item = ReleaseId> + 'a {
    let former = host.unconfirmed.as_ref().and_then(|unconfirmed| unconfirmed.former.as_ref());
    let needed = [Some(&desired.release.id), host.current.as_ref(), former];
    let is_needed = move |id: &ReleaseId| needed.contains(&Some(id));
    let mut needed_count = 1;
    needed_count += host.releases.iter().filter(|r| is_needed(&r.id) && r.id != desired.release.id).count();
    let kept = desired.keep_releases.unwrap_or(usize::MAX).max(MIN_KEPT_RELEASES);
    let others = host.releases.iter().map(|release| &release.id).filter(move |id| !is_needed(id));
    others.skip(kept.saturating_sub(needed_count)).cloned()
}

fn config_change(desired: &Desired, host: &HostState) -> Option<Action> {
    match &host.config {
        None => Some(Action::Add),
        Some(config) => (*config != desired.config).then_some(Action::Change),
    }
}

fn server_change(desired: &Desired, observed: &Observed) -> Option<ServerChange> {
    let host = &observed.host;
    let Some(process) = &host.process else {
        return Some(ServerChange::Start);
    };
    let pid = process.pid;
    let wanted = Some(&desired.release.id);
    if host.current.as_ref() != wanted || config_change(desired, host).is_some() {
        return Some(ServerChange::Restart { pid, why: None });
    }
    if process.release.as_ref() != wanted {
        return Some(ServerChange::Restart { pid, why: Some("it runs another release".to_owned()) });
    }
    match &observed.health {
        Some(Err(why)) => {
            Some(ServerChange::Restart { pid, why: Some(format!("it does not answer ({why})")) })
        }
        _ => host.unconfirmed.as_ref().map(|_| ServerChange::Confirm { pid }),
    }
}

fn pin_steps(address: &ServerAddress, observed: &Observed) -> Vec<Step> {
    let identity = observed.host.identity;
    let pinned = observed.pins.lookup(address);
    // The address the server leaves; a pin there of another identity was not for this server.
    let left = observed.address.iter().filter(|left| *left != address);
    let left = left.filter(|left| identity.is_some() && observed.pins.lookup(left) == identity);
    let mut steps: Vec<Step> = left.cloned().map(Step::Unpin).collect();
    if identity.is_none() || pinned != identity {
        steps.push(Step::Pin { address: address.clone(), replaces: pinned });
    }
    steps
}
