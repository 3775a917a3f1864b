//! Compares what should be with what there is, and plans what lies between. Pure: the same question, the same plan.

use chat_core::known_servers::ServerAddress;

use crate::desired::Desired;
use crate::host::{Foundation, HostState};
use crate::observe::Observed;
use crate::plan::{Activation, ConfigChange, Plan, ServerChange, Step};
use crate::release::ReleaseId;

/// The fewest releases that can be kept: the new one, the current one, and one to return to if an interrupted run left
/// the current one unconfirmed.
pub const MIN_KEPT_RELEASES: usize = 3;

/// Plans how to reach `desired`, with the server reached at `address` then.
#[must_use]
pub fn diff(desired: &Desired, address: &ServerAddress, observed: &Observed) -> Plan {
    let mut steps = Vec::new();
    let host = &observed.host;
    if host.foundation != Foundation::Ready {
        steps.push(Step::Prepare(host.foundation));
    }
    steps.extend(desired.restore.clone().map(Step::Restore));
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

fn config_change(desired: &Desired, host: &HostState) -> Option<ConfigChange> {
    match &host.config {
        None => Some(ConfigChange::Written),
        Some(config) if config.listen != desired.config.listen => {
            Some(ConfigChange::Moved { from: config.listen })
        }
        Some(config) => (*config != desired.config).then_some(ConfigChange::Other),
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use chat_core::known_servers::KnownServers;
    use chat_core::noise::Fingerprint;

    use super::*;
    use crate::config::ServerConfig;
    use crate::host::{Process, Unconfirmed};
    use crate::release::{Release, digest};

    fn release(version: &str, deployed_at: u64) -> Release {
        let digest = digest::of_bytes(version.as_bytes());
        let id = ReleaseId::new(version, &digest);
        Release { id, digest, size_bytes: 3_456_789, deployed_at, origin: "/build/chat-server".into() }
    }

    fn address(port: u16) -> ServerAddress {
        ServerAddress::new("127.0.0.1", port)
    }

    fn config(port: u16) -> ServerConfig {
        ServerConfig::render(([127, 0, 0, 1], port).into(), Path::new("/data"), &toml::Table::new())
    }

    fn desired(version: &str, port: u16) -> Desired {
        Desired {
            release: release(version, 0),
            config: config(port),
            keep_releases: Some(3),
            deploys: true,
            restore: None,
        }
    }

    /// A healthy server of version 2 on port 12345, deployed after version 1, its identity pinned.
    fn running() -> Observed {
        let identity = Fingerprint::of(&[1; 32]);
        let mut pins = KnownServers::default();
        pins.pin(address(12345), identity);
        let releases = vec![release("2", 20), release("1", 10)];
        let current = Some(releases[0].id.clone());
        let host = HostState {
            process: Some(Process { pid: 4242, release: current.clone(), started_at: 20 }),
            releases,
            current,
            config: Some(config(12345)),
            unconfirmed: None,
            identity: Some(identity),
            identity_problem: None,
            has_data: true,
            has_files: true,
            ..HostState::default()
        };
        Observed { host, health: None, address: Some(address(12345)), pins }
    }

    fn changed(change: impl FnOnce(&mut Observed)) -> Observed {
        let mut observed = running();
        change(&mut observed);
        observed
    }

    #[test]
    fn plans_as_a_person_reads_them() {
        let stranger = Fingerprint::of(&[2; 32]);
        let cases = [
            ("nothing there", desired("2", 12345), Observed::default()),
            (
                "a new machine, and a backup",
                Desired { restore: Some("/backups/myserver.tar".into()), ..desired("2", 12345) },
                Observed { host: HostState::of_new_machine(), ..Observed::default() },
            ),
            (
                "an older foundation",
                desired("2", 12345),
                changed(|o| o.host.foundation = Foundation::Outdated),
            ),
            ("all as it should be", desired("2", 12345), running()),
            ("a new release", desired("3", 12345), running()),
            ("another port", desired("2", 23456), running()),
            (
                "other settings",
                Desired {
                    config: ServerConfig { text: "x".to_owned(), ..config(12345) },
                    ..desired("2", 12345)
                },
                running(),
            ),
            ("the server stopped", desired("2", 12345), changed(|o| o.host.process = None)),
            ("no answer", desired("2", 12345), changed(|o| o.health = Some(Err("timed out".to_owned())))),
            (
                "another release runs",
                desired("2", 12345),
                changed(|o| o.host.process = Some(Process { pid: 7, release: None, started_at: 0 })),
            ),
            (
                "an interrupted run",
                desired("2", 12345),
                changed(|o| o.host.unconfirmed = Some(Unconfirmed { former: None })),
            ),
            (
                "another identity is pinned",
                desired("2", 12345),
                changed(|o| o.pins.pin(address(12345), stranger)),
            ),
            (
                "old releases",
                desired("9", 12345),
                changed(|o| o.host.releases.extend(["0.1", "0.2"].map(|version| release(version, 1)))),
            ),
        ];
        let plans = cases.map(|(name, desired, observed)| {
            let address = address(desired.config.listen.port());
            format!("# {name}\n{}\n", diff(&desired, &address, &observed).outline())
        });
        insta::assert_snapshot!(plans.join("\n"));
    }

    #[test]
    fn plans_to_leave_nothing() {
        let cases = [
            ("a running server", running(), true),
            ("no backup wanted", running(), false),
            (
                "the remains of a removal",
                Observed {
                    host: HostState { has_files: true, ..HostState::default() },
                    ..Observed::default()
                },
                true,
            ),
            ("nothing there", Observed::default(), true),
        ];
        let plans = cases.map(|(name, observed, backup)| {
            format!("# {name}\n{}\n", diff_to_nothing(&observed, backup).outline())
        });
        insta::assert_snapshot!(plans.join("\n"));
    }

    #[test]
    fn what_a_roll_back_needs_is_never_pruned() {
        let mut observed = running();
        let former = release("0.1", 1);
        observed.host.releases.extend([release("0.3", 3), release("0.2", 2), former.clone()]);
        observed.host.unconfirmed = Some(Unconfirmed { former: Some(former.id) });
        let plan = diff(&desired("3", 12345), &address(12345), &observed);
        let pruned: Vec<String> = plan
            .steps
            .iter()
            .filter_map(|step| if let Step::RemoveRelease(id) = step { Some(id.to_string()) } else { None })
            .collect();
        // Kept are the new one, the current one, and the former; the others go although they are younger.
        assert_eq!(pruned, ["1", "0.3", "0.2"].map(|version| release(version, 0).id.to_string()));
    }
}
