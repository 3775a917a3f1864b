//! `rollback`: an earlier release, put to work again.

use super::session::confirm;
use super::{Context, Outcome, connect, place};
use crate::cli;
use crate::desired::Desired;
use crate::error::Error;
use crate::host::HostState;
use crate::release::Release;

pub(super) fn run(context: &Context<'_>, args: &cli::Rollback) -> Result<Outcome, Error> {
    let session = place::open_existing(context)?;
    let lock = session.lock()?;
    let observed = session.observe_existing()?;
    let release = match &args.release {
        Some(wanted) => named(&observed.host, wanted).map_err(|found| Error::ReleaseNotClear {
            wanted: wanted.clone(),
            instance: session.instance().clone(),
            found,
        })?,
        None => {
            former(&observed.host).ok_or_else(|| Error::NothingToRollBackTo(session.instance().clone()))?
        }
    };
    let config =
        observed.host.config.clone().ok_or_else(|| Error::NothingDeployed(session.instance().clone()))?;
    let desired =
        Desired { release: release.clone(), config, keep_releases: None, deploys: false, restore: None };
    let plan = session.plan(&desired, &observed)?;
    if plan.is_empty() {
        session.note(&format!("{} runs {} already; nothing to do", session.instance(), desired.release.id));
    } else {
        confirm(context, &session.heading(), &plan.outline(), "Go back?", args.yes)?;
        session.apply(&*lock, &plan)?;
    }
    connect::print(context, &session, &desired.config, session.host.identity()?)?;
    Ok(Outcome::Done)
}

/// Finds the release that was deployed before the current one; never one that was not healthy.
fn former(host: &HostState) -> Option<&Release> {
    if let Some(unconfirmed) = &host.unconfirmed {
        return host.release(unconfirmed.former.as_ref()?);
    }
    let current = host.release(host.current.as_ref()?)?;
    let deployed = |release: &&Release| release.deployed_at > 0 && release.deployed_at < current.deployed_at;
    host.releases.iter().find(deployed)
}

/// Finds the one release whose name contains `wanted`; else says how many there are.
fn named<'a>(host: &'a HostState, wanted: &str) -> Result<&'a Release, usize> {
    let exact = host.releases.iter().find(|release| release.id.as_str() == wanted);
    let mut matching = host.releases.iter().filter(|release| release.id.as_str().contains(wanted));
    match (exact, matching.next(), matching.count()) {
        (Some(release), ..) | (None, Some(release), 0) => Ok(release),
        (None, first, more) => Err(usize::from(first.is_some()) + more),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Unconfirmed;
    use crate::release::{ReleaseId, digest};

    fn host(deployed: &[(&str, u64)], current: &str) -> HostState {
        let release = |(version, deployed_at): &(&str, u64)| {
            let digest = digest::of_bytes(version.as_bytes());
            let id = ReleaseId::new(version, &digest);
            Release { id, digest, size_bytes: 1, deployed_at: *deployed_at, origin: "/x".into() }
        };
        let mut releases: Vec<Release> = deployed.iter().map(release).collect();
        releases.sort_by_key(|release| std::cmp::Reverse(release.deployed_at));
        let current = releases.iter().find(|r| r.id.as_str().starts_with(current)).map(|r| r.id.clone());
        HostState { releases, current, ..HostState::default() }
    }

    fn version(release: Option<&Release>) -> Option<&str> {
        release.and_then(|release| release.id.as_str().split('-').next())
    }

    #[test]
    fn the_one_deployed_before_is_next() {
        let releases = [("1", 10), ("2", 20), ("3", 30), ("4", 0)];
        assert_eq!(version(former(&host(&releases, "3"))), Some("2"));
        assert_eq!(version(former(&host(&releases, "2"))), Some("1"));
        assert_eq!(version(former(&host(&releases, "1"))), None);
        // Deployed again, it is the youngest.
        assert_eq!(version(former(&host(&[("1", 40), ("2", 20)], "1"))), Some("2"));
        assert_eq!(version(former(&HostState::default())), None);
        // The current one was never seen healthy, so the one before it is meant, whatever their ages.
        let mut interrupted = host(&[("1", 10), ("2", 20), ("3", 0)], "3");
        interrupted.unconfirmed = Some(Unconfirmed { former: Some(interrupted.releases[1].id.clone()) });
        assert_eq!(version(former(&interrupted)), Some("1"));
    }

    #[test]
    fn a_part_of_a_name_is_enough_if_only_one_has_it() {
        let host = host(&[("0.1.0", 10), ("0.1.1", 20)], "0.1.1");
        assert_eq!(version(named(&host, "0.1.1").ok()), Some("0.1.1"));
        assert_eq!(named(&host, "0.1."), Err(2));
        assert_eq!(named(&host, "0.2"), Err(0));
        assert_eq!(named(&host, ""), Err(2));
    }
}
