//! `up` on EC2: the machine first, then the server on it.
//!
//! Where a machine runs already, both are looked at, shown and done as one. A new machine's server is shown as what it
//! will be, and is built while the machine boots.

use std::path::Path;

use crate::cli;
use crate::cloud::InstanceState;
use crate::commands::machine::{Look, MachinePlace};
use crate::commands::remote::Expect;
use crate::commands::server::{self, Source};
use crate::commands::session::{Session, confirm};
use crate::commands::{Context, connect};
use crate::error::Error;
use crate::machine::Machine;
use crate::machine::plan::{LaunchPlan, Plan, Step};
use crate::machine::spec::SSH_PORT;
use crate::outline::Outline;
use crate::release::{Release, Target};

/// What Amazon Linux 2023 has.
const AMAZON_LINUX_LIBC: &str = "glibc 2.34";

pub(super) fn up(context: &Context<'_>, args: &cli::Up, place: &MachinePlace<'_>) -> Result<(), Error> {
    let _run = place.lock()?;
    let (look, plan) = place.plan(args.yes)?;
    match reachable(&look, &plan) {
        Some(machine) => together(context, args, place, &plan, &machine),
        None => in_stages(context, args, place, &plan, &look),
    }
}

/// Returns the machine, if it can be looked into before the plan is carried out.
pub(in crate::commands) fn reachable(look: &Look, plan: &Plan) -> Option<Machine> {
    let (_, instance) = look.observed.machine.as_ref()?;
    let opens_ssh = |step: &Step| match step {
        Step::OpenPorts { rules, .. } => rules.iter().any(|rule| rule.from_port == Some(SSH_PORT)),
        _ => false,
    };
    let runs = instance.state == InstanceState::Running && instance.address.is_some();
    if runs && !plan.steps.iter().any(opens_ssh) { Machine::of(instance) } else { None }
}

fn together(
    context: &Context<'_>,
    args: &cli::Up,
    place: &MachinePlace<'_>,
    machine_plan: &Plan,
    machine: &Machine,
) -> Result<(), Error> {
    let session = place.connect_to(machine, Expect::Running)?;
    let _lock = session.lock()?;
    let state = session.host.state()?;
    session.check_obstacles(server::port(context, &state), &state)?;
    let release = server::release_for(context, &session, &state)?;
    let desired = server::desire(context, &session, &state, release, args.restore.as_deref());
    let observed = session.observe(state)?;
    let plan = session.plan(&desired, &observed)?;
    let outline = machine_plan.outline().and(plan.outline());
    if outline.is_empty() {
        for note in outline.notes {
            session.note(&note);
        }
        // The line to type next is worth more than this.
        let _ = context.ui.no_changes(&format!("{} is as it should be: nothing to do", place.instance));
    } else {
        confirm(context, &place.heading(Some(machine)), &outline, "Do this?", args.yes)?;
        place.apply(machine_plan)?;
        session.apply(&plan)?;
    }
    connect::print(context, &session, &desired.config, session.host.identity()?)
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
        Some(_) => server::preview(&source, look.spec.chat_port, args.restore.as_deref()),
        None => Outline::default(),
    };
    confirm(context, &place.heading(None), &plan.outline().and(expected), "Do this?", args.yes)?;
    // Its image is Amazon Linux, or what somebody named in its place; the host itself is asked before anything is started.
    let target = |launch: &LaunchPlan| Target::linux(&launch.image.architecture, Some(AMAZON_LINUX_LIBC));
    let pending = match launch {
        Some(launch) => Some(source.start(context, target(launch)?)?),
        None => None,
    };
    let machine = place.apply(plan)?.ok_or_else(|| place.unknown())?;
    let session = place.connect_to(&machine, Expect::Booting)?;
    let _lock = session.lock()?;
    let release = match pending {
        Some(pending) => pending.finish(context)?,
        None => server::release_for(context, &session, &session.host.state()?)?,
    };
    // What will be on a new machine was agreed to; what an older one needs is seen only now.
    let agreed = args.yes || launch.is_some();
    deploy(context, &session, release, args.restore.as_deref(), agreed)
}

/// Deploys to the machine that is there now.
fn deploy(
    context: &Context<'_>,
    session: &Session<'_>,
    release: Release,
    restore: Option<&Path>,
    agreed: bool,
) -> Result<(), Error> {
    let state = session.host.state()?;
    let desired = server::desire(context, session, &state, release, restore);
    let observed = session.observe(state)?;
    let plan = session.plan(&desired, &observed)?;
    if !agreed && !plan.is_empty() {
        confirm(context, &session.heading(), &plan.outline(), "Do this?", false)?;
    }
    session.apply(&plan)?;
    connect::print(context, session, &desired.config, session.host.identity()?)
}
