//! `plan`: what `up` would do, without doing it.

use super::place::{self, Place};
use super::session::Session;
use super::{Context, Outcome, server};
use crate::cli;
use crate::error::Error;
use crate::host::HostState;
#[cfg(feature = "ec2")]
use crate::machine::plan::Step;
use crate::outline::Outline;
use crate::report::{Event, Report as _};

pub(super) fn run(context: &Context<'_>, args: &cli::Plan) -> Result<Outcome, Error> {
    let (heading, outline) = match place::deployment(context)? {
        Place::Reachable(session) => {
            let state = session.host.state()?;
            (session.heading(), of_server(context, &session, state)?)
        }
        #[cfg(feature = "ec2")]
        Place::Machine(place) => of_machine(context, &place)?,
    };
    if outline.is_empty() {
        for note in &outline.notes {
            context.ui.event(&Event::Note(note));
        }
        let instance = context.settings.instance.as_ref().map(ToString::to_string).unwrap_or_default();
        context.ui.no_changes(&format!("{instance} is as it should be: nothing to do"))?;
        return Ok(Outcome::Done);
    }
    context.ui.print_plan(&heading, &outline)?;
    Ok(if args.detailed_exitcode { Outcome::ChangesPending } else { Outcome::Done })
}

fn of_server(context: &Context<'_>, session: &Session<'_>, state: HostState) -> Result<Outline, Error> {
    let release = server::release_for(context, session, &state)?;
    Ok(server::plan(context, session, state, release, None)?.1.outline())
}

#[cfg(feature = "ec2")]
fn of_machine(
    context: &Context<'_>,
    place: &super::machine::MachinePlace<'_>,
) -> Result<(String, Outline), Error> {
    let (look, plan) = place.plan_to_show()?;
    let Some(machine) = super::up::reachable(&look, &plan) else {
        if !plan.steps.iter().any(|step| matches!(step, Step::Launch(_))) {
            return Ok((place.heading(None), plan.outline().and(super::up::unseen(&look))));
        }
        let source = server::Source::find(context)?;
        let expected = server::preview(&source, server::new_port(context), None);
        return Ok((place.heading(None), plan.outline().and(expected)));
    };
    let session = place.look_into(&machine)?;
    let state = session.host.state()?;
    let corrected = super::up::rules_for(&look, &plan, server::port(context, &state))?;
    let plan = corrected.as_ref().unwrap_or(&plan);
    let outline = plan.outline().and(of_server(context, &session, state)?);
    Ok((place.heading(Some(&machine)), outline))
}
