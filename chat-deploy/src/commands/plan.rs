//! `plan`: what `up` would do, without doing it.

use super::session::Session;
use super::{Context, Outcome, up};
use crate::cli;
use crate::error::Error;

pub(super) fn run(context: &Context<'_>, args: &cli::Plan) -> Result<Outcome, Error> {
    let session = Session::of_deployment(context)?;
    let release = up::find_release(context)?;
    let observed = session.observe()?;
    let desired = up::desire(context, &session, &observed.host, release);
    let plan = session.plan(&desired, &observed)?;
    if plan.is_empty() {
        context.ui.no_changes(&format!("{} is as it should be: nothing to do", session.instance()))?;
        return Ok(Outcome::Done);
    }
    context.ui.print_plan(&session.heading(), &plan.outline())?;
    Ok(if args.detailed_exitcode { Outcome::ChangesPending } else { Outcome::Done })
}
