//! `start`: the current release, started again; on EC2 with the machine it runs on.

#[cfg(feature = "ec2")]
use chat_core::known_servers::ServerAddress;

use super::place::{self, Place};
use super::session::Session;
use super::{Context, Outcome, connect};
use crate::desired::Desired;
use crate::error::Error;

pub(super) fn run(context: &Context<'_>) -> Result<Outcome, Error> {
    match place::existing(context)? {
        Place::Reachable(session) => start_server(context, &session),
        #[cfg(feature = "ec2")]
        Place::Machine(machine) => {
            let session = machine.started()?;
            let outcome = start_server(context, &session)?;
            forget_former_addresses(&session)?;
            Ok(outcome)
        }
    }
}

fn start_server(context: &Context<'_>, session: &Session<'_>) -> Result<Outcome, Error> {
    let _lock = session.lock()?;
    let observed = session.observe_existing()?;
    let host = &observed.host;
    let release = host.current.as_ref().and_then(|current| host.release(current));
    let Some((release, config)) = release.zip(host.config.as_ref()) else {
        return Err(Error::NothingDeployed(session.instance().clone()));
    };
    let desired = Desired {
        release: release.clone(),
        config: config.clone(),
        keep_releases: None,
        deploys: false,
        restore: None,
    };
    let plan = session.plan(&desired, &observed)?;
    if plan.is_empty() {
        session.note(&format!("{} runs already; nothing to do", session.instance()));
    } else {
        session.apply(&plan)?;
    }
    connect::print(context, session, config, session.host.identity()?)?;
    Ok(Outcome::Done)
}

/// Forgets what is pinned for addresses that the machine had before it was stopped: by now they may be somebody else's.
#[cfg(feature = "ec2")]
fn forget_former_addresses(session: &Session<'_>) -> Result<(), Error> {
    let observed = session.observe_existing()?;
    let Some((identity, address)) = observed.host.identity.zip(observed.address) else {
        return Ok(());
    };
    let is_former = |pinned: &ServerAddress| {
        pinned.host() != address.host() && pinned.host().parse::<std::net::Ipv4Addr>().is_ok()
    };
    for (pinned, _) in observed.pins.pins().filter(|pin| pin.1 == identity && is_former(pin.0)) {
        session.pins.forget(pinned)?;
        session.note(&format!("{pinned} is not its address any more, and is not pinned any more"));
    }
    Ok(())
}
