//! `down`: nothing left of ours, but for a backup.

use super::place::{self, Place};
use super::session::{Session, confirm};
use super::{Context, Outcome};
use crate::cli;
use crate::diff::diff_to_nothing;
use crate::error::Error;

#[cfg(feature = "ec2")]
mod machine;

const QUESTION: &str = "Remove all this?";

pub(super) fn run(context: &Context<'_>, args: &cli::Down) -> Result<Outcome, Error> {
    match place::existing(context)? {
        Place::Reachable(session) => from_host(context, args, &session)?,
        #[cfg(feature = "ec2")]
        Place::Machine(place) => machine::down(context, args, &place)?,
    }
    Ok(Outcome::Done)
}

fn from_host(context: &Context<'_>, args: &cli::Down, session: &Session<'_>) -> Result<(), Error> {
    let lock = session.lock()?;
    let plan = diff_to_nothing(&session.observe_existing()?, !args.no_backup);
    confirm(context, &session.heading(), &plan.outline(), QUESTION, args.yes)?;
    session.apply(&*lock, &plan)
}
