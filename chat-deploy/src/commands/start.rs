//! `start`: the current release, started again.

use super::session::Session;
use super::{Context, Outcome, connect};
use crate::desired::Desired;
use crate::error::Error;

pub(super) fn run(context: &Context<'_>) -> Result<Outcome, Error> {
    let session = Session::of_existing(context)?;
    let _lock = session.lock_existing()?;
    let observed = session.observe()?;
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
    connect::print(context, &session)?;
    Ok(Outcome::Done)
}
