//! `up`: what should be, made so.

#[cfg(feature = "ec2")]
mod machine;

use super::place::{self, Place};
use super::session::{Session, confirm};
use super::{Context, Outcome, connect, server};
use crate::cli;
use crate::error::Error;

#[cfg(feature = "ec2")]
pub(super) use machine::reachable;

pub(super) fn run(context: &Context<'_>, args: &cli::Up) -> Result<Outcome, Error> {
    match place::deployment(context)? {
        Place::Reachable(session) => on_host(context, args, &session)?,
        #[cfg(feature = "ec2")]
        Place::Machine(place) => machine::up(context, args, &place)?,
    }
    Ok(Outcome::Done)
}

/// Deploys to a host that can be reached.
fn on_host(context: &Context<'_>, args: &cli::Up, session: &Session<'_>) -> Result<(), Error> {
    let _lock = session.lock()?;
    // What would come in the way comes to light before the minutes that a build takes.
    let state = session.host.state()?;
    session.check_obstacles(server::port(context, &state), &state)?;
    if state.process.is_none() && !args.yes && !context.ui.can_ask() {
        return Err(Error::NobodyToAsk);
    }
    let release = server::release_for(context, session, &state)?;
    let desired = server::desire(context, session, &state, release, args.restore.as_deref());
    let observed = session.observe(state)?;
    let plan = session.plan(&desired, &observed)?;
    if plan.is_empty() {
        // The line to type next is worth more than this.
        let _ = context.ui.no_changes(&format!("{} is as it should be: nothing to do", session.instance()));
    } else {
        confirm(context, &session.heading(), &plan.outline(), "Do this?", args.yes)?;
        session.apply(&plan)?;
    }
    connect::print(context, session, &desired.config, session.host.identity()?)
}
