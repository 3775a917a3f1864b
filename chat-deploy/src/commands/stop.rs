//! `stop`: the server ended, everything else kept.

use super::session::Session;
use super::{Context, Outcome};
use crate::error::Error;
use crate::host::{Host as _, Server};
use crate::plan::{Plan, Step};

pub(super) fn run(context: &Context<'_>) -> Result<Outcome, Error> {
    let session = Session::of_existing(context)?;
    let _lock = session.lock_existing()?;
    match session.host.server()? {
        Server::Running(process) => session.apply(&Plan { steps: vec![Step::Stop { pid: process.pid }] })?,
        Server::Stopped { .. } => {
            session.note(&format!("{} does not run; nothing to do", session.instance()))
        }
    }
    Ok(Outcome::Done)
}
