//! `start`: the current release, started again; on EC2 with the machine it runs on.

use super::place::{self, Place};
use super::session::Session;
use super::{Context, Outcome, connect};
use crate::config::ServerConfig;
use crate::desired::Desired;
use crate::error::Error;

pub(super) fn run(context: &Context<'_>) -> Result<Outcome, Error> {
    match place::existing(context)? {
        Place::Reachable(session) => {
            start_server(context, &session)?;
        }
        #[cfg(feature = "ec2")]
        Place::Machine(machine) => {
            let session = machine.started()?;
            let config = start_server(context, &session)?;
            session.forget_former_addresses(&config)?;
        }
    }
    Ok(Outcome::Done)
}

/// Starts the server; returns the configuration it has.
fn start_server(context: &Context<'_>, session: &Session<'_>) -> Result<ServerConfig, Error> {
    let lock = session.lock()?;
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
        session.apply(&*lock, &plan)?;
    }
    connect::print(context, session, config, session.host.identity()?)?;
    Ok(config.clone())
}
