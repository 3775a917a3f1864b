//! `stop`: the server ended, everything else kept. A machine of its own on EC2 is stopped with it, since it costs while it
//! runs.

#[cfg(feature = "ec2")]
use super::machine::{MachinePlace, is_ours};
use super::place::{self, Place};
use super::session::Session;
use super::{Context, Outcome};
use crate::error::Error;
use crate::host::Server;
#[cfg(feature = "ec2")]
use crate::machine::observe::Observed;
use crate::plan::{Plan, Step};

pub(super) fn run(context: &Context<'_>) -> Result<Outcome, Error> {
    match place::existing(context)? {
        Place::Reachable(session) => stop_server(&session)?,
        #[cfg(feature = "ec2")]
        Place::Machine(machine) => {
            let _run = machine.lock()?;
            let observed = machine.observe()?;
            if is_ours(&observed) {
                stop_machine(&machine, &observed)?;
            } else {
                // It was there before us, and may do more than ours.
                stop_server(&machine.connect()?)?;
            }
        }
    }
    Ok(Outcome::Done)
}

/// Stops a machine of its own, unless somebody else is at work on it.
#[cfg(feature = "ec2")]
fn stop_machine(place: &MachinePlace<'_>, observed: &Observed) -> Result<(), Error> {
    let session = place.connect_if_possible(observed)?;
    let _lock = session.as_ref().map(Session::lock).transpose()?;
    place.stop(observed)
}

fn stop_server(session: &Session<'_>) -> Result<(), Error> {
    let lock = session.lock()?;
    match session.host.server()? {
        Server::Running(process) => {
            session.apply(&*lock, &Plan { steps: vec![Step::Stop { pid: process.pid }] })?
        }
        Server::Stopped { .. } => {
            session.note(&format!("{} does not run; nothing to do", session.instance()));
        }
    }
    Ok(())
}
