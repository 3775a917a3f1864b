//! `down` on EC2: what the server has is saved while its machine is still there, then the machine goes, and its group and
//! key after it. An adopted machine stays, without what we put there.

use std::net::Ipv4Addr;

use super::QUESTION;
use crate::apply::ApplyError;
use crate::cli;
use crate::cloud::InstanceState;
use crate::commands::Context;
use crate::commands::machine::{MachinePlace, is_ours};
use crate::commands::remote::Expect;
use crate::commands::session::{Session, confirm};
use crate::diff::diff_to_nothing;
use crate::error::Error;
use crate::machine::Machine;
use crate::machine::diff as machine_diff;
use crate::machine::observe::Observed;
use crate::plan::{Plan, Step};
use crate::report::{Event, Report as _};

pub(super) fn down(context: &Context<'_>, args: &cli::Down, place: &MachinePlace<'_>) -> Result<(), Error> {
    let _run = place.lock()?;
    let observed = place.observe()?;
    let machine = observed.machine.as_ref().and_then(|(_, instance)| Machine::of(instance));
    let machine_plan = machine_diff::diff_to_nothing(&observed);
    let session = match &machine {
        Some(machine) => connect(context, place, &observed, machine, args.no_backup)?,
        None => None,
    };
    let Some(session) = session else {
        // An adopted machine is here because it could not be reached.
        let reached = if is_ours(&observed) { place.connect_if_possible(&observed)? } else { None };
        let lock = reached.as_ref().map(Session::lock).transpose()?;
        confirm(context, &place.heading(machine.as_ref()), &machine_plan.outline(), QUESTION, args.yes)?;
        if let Some(lock) = &lock {
            lock.keep()?;
        }
        place.apply(&machine_plan)?;
        forget_address(machine.and_then(|machine| machine.address))?;
        return check_nothing_left(place);
    };
    let lock = session.lock()?;
    let plan = host_plan(&session, &observed, !args.no_backup)?;
    let outline = plan.outline().and(machine_plan.outline());
    confirm(context, &place.heading(machine.as_ref()), &outline, QUESTION, args.yes)?;
    session.apply(&*lock, &plan)?;
    place.apply(&machine_plan)?;
    check_nothing_left(place)
}

/// What an interrupted `up` has just made may not have been visible when we looked. Nobody said yes to its removal, nor was
/// anything on it saved, so it is only told of.
fn check_nothing_left(place: &MachinePlace<'_>) -> Result<(), Error> {
    match place.observe() {
        Err(Error::UnknownInstance { .. }) => Ok(()),
        Err(error) => Err(error),
        Ok(observed) if machine_diff::diff_to_nothing(&observed).is_empty() => Ok(()),
        Ok(_) => Err(Error::MoreLeft { instance: place.instance.clone() }),
    }
}

/// Connects to the host, if there is anything to do there. One that cannot be reached is left as it is, where that was asked
/// for: an adopted machine could not be given back otherwise.
fn connect<'a>(
    context: &Context<'_>,
    place: &MachinePlace<'a>,
    observed: &Observed,
    machine: &Machine,
    no_backup: bool,
) -> Result<Option<Session<'a>>, Error> {
    if no_backup && is_ours(observed) {
        // All of it goes with the machine.
        return Ok(None);
    }
    if machine.is_untouched() {
        let text = format!("nothing was deployed to {} yet, so there is nothing to save", machine.id);
        context.ui.event(&Event::Note(&text));
        return Ok(None);
    }
    let (why, source) = if machine.state != InstanceState::Running || machine.address.is_none() {
        (format!("{} is {}", machine.id, machine.state), None)
    } else {
        match place.connect_to(machine, Expect::Running) {
            Ok(session) => return Ok(Some(session)),
            Err(error) if context.interrupt.is_set() => return Err(error),
            Err(error) => (format!("the host on {} cannot be reached", machine.id), Some(Box::new(error))),
        }
    };
    if no_backup {
        context.ui.event(&Event::Note(&format!("{why}: the server and its files stay on it")));
        return Ok(None);
    }
    Err(Error::NoBackup { instance: place.instance.clone(), why, source })
}

/// Plans what to do on the host before its machine goes, or to leave it.
fn host_plan(session: &Session<'_>, observed: &Observed, backup: bool) -> Result<Plan, Error> {
    let state = session.host.state()?;
    let mut plan = diff_to_nothing(&session.observe(state)?, backup);
    if is_ours(observed) {
        // The files go with the machine.
        plan.steps.retain(|step| !matches!(step, Step::RemoveInstance { .. }));
    }
    Ok(plan)
}

/// Forgets what was pinned for an address that somebody else may have tomorrow.
fn forget_address(address: Option<Ipv4Addr>) -> Result<(), Error> {
    let Some(address) = address.map(|address| address.to_string()) else {
        return Ok(());
    };
    let pins = chat_client::pins::Pins::of_user()?;
    let known = pins.read()?;
    let stale: Vec<_> =
        known.pins().map(|(pinned, _)| pinned).filter(|pinned| pinned.host() == address).cloned().collect();
    for pinned in stale {
        pins.forget(&pinned).map_err(|source| ApplyError::Pins {
            step: "unpin",
            what: pinned.to_string(),
            source,
        })?;
    }
    Ok(())
}
