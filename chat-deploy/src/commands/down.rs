//! `down`: nothing left, but for a backup.

use super::session::Session;
use super::{Context, Outcome};
use crate::cli;
use crate::diff::diff_to_nothing;
use crate::error::Error;

pub(super) fn run(context: &Context<'_>, args: &cli::Down) -> Result<Outcome, Error> {
    let session = Session::of_existing(context)?;
    let _lock = session.lock_existing()?;
    let plan = diff_to_nothing(&session.observe()?, !args.no_backup);
    session.confirm(&plan, "Remove all this?", args.yes)?;
    session.apply(&plan)?;
    Ok(Outcome::Done)
}
