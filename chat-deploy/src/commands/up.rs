//! `up`: what should be, made so.

#[cfg(feature = "ec2")]
mod machine;

use super::place::{self, Place};
use super::session::{Session, agree};
use super::{Context, Outcome, connect, server};
use crate::cli;
use crate::error::Error;
use crate::host::backup;

#[cfg(feature = "ec2")]
pub(super) use machine::{reachable, rules_for, unseen};

pub(super) fn run(context: &Context<'_>, args: &cli::Up) -> Result<Outcome, Error> {
    if let Some(backup) = &args.restore {
        // One that is missing or damaged comes to light before a machine is made for it.
        backup::read(backup, |_| Ok(()))?;
    }
    if context.settings.binary.is_some() {
        // So does a program that was named and is not there, before anybody is asked for anything.
        server::Source::find(context)?;
    }
    match place::deployment(context)? {
        Place::Reachable(session) => on_host(context, args, &session)?,
        #[cfg(feature = "ec2")]
        Place::Machine(place) => machine::up(context, args, &place)?,
    }
    Ok(Outcome::Done)
}

/// Deploys to a host that can be reached.
fn on_host(context: &Context<'_>, args: &cli::Up, session: &Session<'_>) -> Result<(), Error> {
    let lock = session.lock()?;
    // What would come in the way comes to light before the minutes that a build takes.
    let state = session.host.state()?;
    session.check_obstacles(server::port(context, &state), &state)?;
    session.check_restore(args.restore.as_deref(), &state)?;
    if state.process.is_none() && !args.yes && !context.ui.can_ask() {
        return Err(Error::NobodyToAsk);
    }
    let release = server::release_for(context, session, &state)?;
    let (config, plan) = server::plan(context, session, state, release, args.restore.as_deref())?;
    if agree(context, session.instance(), &session.heading(), &plan.outline(), args.yes)? {
        session.apply(&*lock, &plan)?;
    }
    connect::print(context, session, &config, session.host.identity()?)
}
