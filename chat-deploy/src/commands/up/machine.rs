//! `up` on EC2: the machine first, then the server on it.
//!
//! Where a machine runs already, both are looked at, shown and done as one. A new machine's server is shown as what it
//! will be, and is built while the machine boots.

use crate::cli;
use crate::clock::Clock as _;
use crate::cloud::{InstanceState, Rule};
use crate::commands::machine::{Look, MachinePlace};
use crate::commands::remote::Expect;
use crate::commands::server::{self, Source};
use crate::commands::session::{Session, agree, confirm};
use crate::commands::{Context, connect};
use crate::error::Error;
use crate::machine::Machine;
use crate::machine::diff::diff;
use crate::machine::plan::{LaunchPlan, Plan, Step};
use crate::machine::spec::{SSH_PORT, Spec};
use crate::outline::Outline;
use crate::release::Target;

/// What Amazon Linux 2023 has.
const AMAZON_LINUX_LIBC: &str = "glibc 2.34";

pub(super) fn up(context: &Context<'_>, args: &cli::Up, place: &MachinePlace<'_>) -> Result<(), Error> {
    let _run = place.lock()?;
    let (look, plan) = place.plan(args.yes)?;
    match reachable(&look, &plan) {
        Some(machine) => together(context, args, place, &Running { look: &look, plan: &plan, machine }, None),
        None => in_stages(context, args, place, &plan, &look),
    }
}

/// Returns the machine, if it can be looked into before the plan is carried out.
pub(in crate::commands) fn reachable(look: &Look, plan: &Plan) -> Option<Machine> {
    let (_, instance) = look.observed.machine.as_ref()?;
    let runs = instance.state == InstanceState::Running && instance.address.is_some();
    if runs && !plan.steps.iter().any(|step| step.opens(SSH_PORT)) { Machine::of(instance) } else { None }
}

/// A machine that can be looked into, what there is around it, and what it takes to have that as it should be.
struct Running<'a> {
    look: &'a Look,
    plan: &'a Plan,
    machine: Machine,
}

/// Deploys to a machine that can be looked into; `agreed` is what a person has said yes to already.
fn together(
    context: &Context<'_>,
    args: &cli::Up,
    place: &MachinePlace<'_>,
    there: &Running<'_>,
    agreed: Option<&Outline>,
) -> Result<(), Error> {
    let Running { look, plan: machine_plan, machine } = there;
    let expect = Expect::of(machine, context.clock.unix_seconds());
    // The host key that came with the user-data is exchanged once somebody has said yes to something.
    let only_looks = machine.bootstrap_key.is_some() && !args.yes && agreed.is_none();
    let session = if only_looks {
        place.look_into_when(machine, expect)?
    } else {
        place.connect_to(machine, expect)?
    };
    let lock = session.lock()?;
    let state = session.host.state()?;
    let port = server::port(context, &state);
    session.check_obstacles(port, &state)?;
    session.check_restore(args.restore.as_deref(), &state)?;
    if state.process.is_none() && !args.yes && !context.ui.can_ask() {
        // Something will have to be done, and a build takes minutes.
        return Err(Error::NobodyToAsk);
    }
    let corrected = rules_for(look, machine_plan, port)?;
    let machine_plan = corrected.as_ref().unwrap_or(machine_plan);
    let release = server::release_for(context, &session, &state)?;
    let (config, plan) = server::plan(context, &session, state, release, args.restore.as_deref())?;
    let outline = machine_plan.outline().and(plan.outline());
    let heading = place.heading(Some(machine));
    if agreed == Some(&outline) || agree(context, &place.instance, &heading, &outline, args.yes)? {
        if only_looks {
            // The lock goes with the session, and somebody else may come in between. What they leave to do is asked for anew.
            drop(lock);
            drop(session);
            return together(context, args, place, there, Some(&outline));
        }
        lock.keep()?;
        let (first, last) = closing_last(machine_plan);
        place.apply(&first)?;
        session.apply(&*lock, &plan)?;
        place.apply(&last)?;
    }
    connect::print(context, &session, &config, session.host.identity()?)
}

/// Plans the rules anew, if the chat has another port than was `planned` for by the rules that were there.
pub(in crate::commands) fn rules_for(look: &Look, planned: &Plan, port: u16) -> Result<Option<Plan>, Error> {
    if Some(port) == look.spec.chat_port {
        return Ok(None);
    }
    let mut plan = diff(&Spec { chat_port: Some(port), ..look.spec.clone() }, &look.observed)?;
    plan.steps.retain(|step| matches!(step, Step::OpenPorts { .. } | Step::ClosePorts { .. }));
    // Whom SSH is opened for is the same, and so is what there is to know of that.
    let warnings = planned.warnings.iter().filter(|warning| !plan.warnings.contains(warning));
    let warnings: Vec<_> = warnings.cloned().collect();
    plan.warnings.extend(warnings);
    Ok(Some(plan))
}

/// Keeps what closes ports for the end: we, or another run that has the host's lock, may have come in by one of them.
fn closing_last(plan: &Plan) -> (Plan, Plan) {
    let closes = |step: &Step| matches!(step, Step::ClosePorts { .. });
    let (last, first) = plan.steps.iter().cloned().partition(closes);
    (Plan { steps: first, ..Plan::default() }, Plan { steps: last, ..Plan::default() })
}

fn in_stages(
    context: &Context<'_>,
    args: &cli::Up,
    place: &MachinePlace<'_>,
    plan: &Plan,
    look: &Look,
) -> Result<(), Error> {
    // A checkout or binary that is not there has to come to light before a machine is made for it.
    let source = Source::find(context)?;
    let launch = plan.steps.iter().find_map(|step| match step {
        Step::Launch(launch) => Some(launch.as_ref()),
        _ => None,
    });
    let expected = match launch {
        Some(_) => server::preview(&source, server::new_port(context), args.restore.as_deref()),
        None => unseen(look),
    };
    confirm(context, &place.heading(None), &plan.outline().and(expected), "Do this?", args.yes)?;
    // Its image is Amazon Linux, or what somebody named in its place; the host itself is asked before anything is started.
    let target = |launch: &LaunchPlan| Target::linux(&launch.image.architecture, Some(AMAZON_LINUX_LIBC));
    let pending = match launch {
        Some(launch) => Some(source.start(context, target(launch)?)?),
        None => None,
    };
    // Which port an older server has is known to its host alone.
    let (first, rules) = if launch.is_some() { closing_last(plan) } else { rules_last(plan) };
    let session = arrive(place, look, &first)?;
    let lock = session.lock()?;
    let state = session.host.state()?;
    session.check_restore(args.restore.as_deref(), &state)?;
    let corrected = rules_for(look, plan, server::port(context, &state))?.map(|plan| rules_last(&plan).1);
    let release = match pending {
        Some(pending) => pending.finish(context)?,
        None => server::release_for(context, &session, &state)?,
    };
    let (config, plan) = server::plan(context, &session, state, release, args.restore.as_deref())?;
    // What will be on a new machine was agreed to; what an older one needs is seen only now.
    let outline = corrected.as_ref().map(Plan::outline).unwrap_or_default().and(plan.outline());
    if launch.is_none() && !outline.is_empty() {
        let heading = session.heading();
        confirm(context, &heading, &outline, "Do this?", args.yes)
            .map_err(|error| later(place, &first, error))?;
        lock.keep()?;
    }
    let (opening, closing) = closing_last(corrected.as_ref().unwrap_or(&rules));
    place.apply(&opening)?;
    session.apply(&*lock, &plan)?;
    place.apply(&closing)?;
    session.forget_former_addresses(&config)?;
    connect::print(context, &session, &config, session.host.identity()?)
}

/// Says of a no that something was `done` before it.
fn later(place: &MachinePlace<'_>, done: &Plan, error: Error) -> Error {
    let has = |is_it: fn(&Step) -> bool| done.steps.iter().any(is_it);
    match error {
        Error::Cancelled => Error::CancelledLater {
            instance: place.instance.clone(),
            is_adopted: has(|step| matches!(step, Step::Adopt { .. })),
            is_started: has(|step| matches!(step, Step::Start { .. })),
        },
        other => other,
    }
}

/// Says what cannot be said yet of a machine that is there and cannot be looked into.
pub(in crate::commands) fn unseen(look: &Look) -> Outline {
    let what = match look.spec.chat_port {
        Some(_) => "what the server needs is seen once its machine can be reached",
        None => {
            "what the server needs, and which of the open ports is its own, is seen once its machine can be reached"
        }
    };
    Outline { rows: Vec::new(), notes: vec![what.to_owned()] }
}

/// Carries out what it takes to have the machine, and connects to it.
fn arrive<'a>(place: &MachinePlace<'a>, look: &Look, plan: &Plan) -> Result<Session<'a>, Error> {
    let Some(machine) = to_adopt(look, plan) else {
        // A machine that runs, and only has to let us in, is the one that was seen.
        let seen = || look.observed.machine.as_ref().and_then(|(_, instance)| Machine::of(instance));
        let machine = place.apply(plan)?.or_else(seen).ok_or_else(|| place.unknown())?;
        return place.connect_to(&machine, Expect::Booting);
    };
    // Nothing of what somebody else made is marked or opened to others before its host key was found right.
    let (door, rest) = if is_open(look) { (Plan::default(), plan.clone()) } else { door_first(plan) };
    place.apply(&door)?;
    let session = place.connect_to(&machine, Expect::Running)?;
    place.apply(&rest)?;
    Ok(session)
}

/// Returns the machine that is to be adopted, if it runs.
fn to_adopt(look: &Look, plan: &Plan) -> Option<Machine> {
    let adopts = plan.steps.iter().any(|step| matches!(step, Step::Adopt { .. }));
    let machine = look.observed.namesake.as_ref().filter(|_| adopts).map(Machine::to_adopt)?;
    (machine.state == InstanceState::Running && machine.address.is_some()).then_some(machine)
}

/// Tells whether rules that are there already let in by SSH whoever shall be.
fn is_open(look: &Look) -> bool {
    look.spec.ssh_from.iter().all(|range| look.observed.lets_in(SSH_PORT, range))
}

/// Takes out what lets us in by SSH.
fn door_first(plan: &Plan) -> (Plan, Plan) {
    let (mut door, mut rest) = (Plan::default(), Plan::default());
    for step in &plan.steps {
        match ssh_apart(step) {
            Some((ssh, others)) => {
                door.steps.extend(ssh);
                rest.steps.extend(others);
            }
            None => rest.steps.push(step.clone()),
        }
    }
    (door, rest)
}

/// Keeps for the end what opens and closes ports, but for what lets us in by SSH.
fn rules_last(plan: &Plan) -> (Plan, Plan) {
    let (mut first, mut rules) = (Plan::default(), Plan::default());
    for step in &plan.steps {
        match (ssh_apart(step), step) {
            (Some((ssh, others)), _) => {
                first.steps.extend(ssh);
                rules.steps.extend(others);
            }
            (None, Step::ClosePorts { .. }) => rules.steps.push(step.clone()),
            (None, _) => first.steps.push(step.clone()),
        }
    }
    (first, rules)
}

/// Splits a step that opens ports into what opens SSH, and what opens others.
fn ssh_apart(step: &Step) -> Option<(Option<Step>, Option<Step>)> {
    let Step::OpenPorts { group, rules } = step else { return None };
    let (ssh, others): (Vec<_>, Vec<_>) =
        rules.iter().cloned().partition(|rule| rule.from_port == Some(SSH_PORT));
    let opens =
        |rules: Vec<Rule>| (!rules.is_empty()).then(|| Step::OpenPorts { group: group.clone(), rules });
    Some((opens(ssh), opens(others)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Instance;
    use crate::machine::fixtures::{changed, ours, own_machine, rule, running, spec};

    #[test]
    fn of_a_machine_that_is_stopped_nothing_but_ssh_is_opened_before_its_host_was_seen() {
        let stopped = changed(running(), |observed| {
            let there = own_machine(observed);
            *there = Instance { state: InstanceState::Stopped, address: None, ..there.clone() };
            observed.rules = [80, 4000].map(|port| rule(port, "0.0.0.0/0", ours())).to_vec();
        });
        let look = Look { spec: changed(spec(), |spec| spec.chat_port = None), observed: stopped };
        let shown = |plan: &Plan| plan.outline().to_string();
        let mut planned = diff(&look.spec, &look.observed).unwrap();
        planned.warnings.push("SSH is opened for few".to_owned());
        let (first, rules) = rules_last(&planned);
        let corrected = rules_for(&look, &planned, 4000).unwrap().unwrap();
        assert_eq!(corrected.warnings, planned.warnings);
        assert_eq!(rules_for(&look, &planned, 4000).unwrap().map(|plan| plan.steps.len()), Some(2));
        let seen = rules_last(&corrected).1;
        let guessed = diff(&spec(), &look.observed).unwrap();
        insta::assert_snapshot!(format!(
            "# first\n{}\n# then\n{}\n# when 4000 was seen\n{}\n# what would be first with a guess\n{}",
            shown(&first),
            shown(&rules),
            shown(&seen),
            shown(&rules_last(&guessed).0),
        ));
    }
}
