//! Carries out a plan for the machine, step by step, and tells of it. What each step does is in `steps/`.

use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use crate::clock::Clock;
use crate::cloud::{Cloud, CloudError, Instance, InstanceState};
use crate::instance::InstanceName;
use crate::interrupt::Interrupt;
use crate::machine::plan::{Plan, Step};
use crate::machine::steps::{self, Failure, Group};
use crate::machine::{HostKeyPins, Machine};
use crate::report::{self, Report};

/// What the steps work with.
#[derive(Clone, Copy)]
pub struct Engine<'a> {
    /// The account and region.
    pub cloud: &'a dyn Cloud,
    /// Whose machine.
    pub instance: &'a InstanceName,
    /// The host keys pinned on this machine.
    pub host_keys: &'a dyn HostKeyPins,
    /// Time.
    pub clock: &'a (dyn Clock + Sync),
    /// Whether to stop.
    pub interrupt: &'a Interrupt,
    /// Who is told.
    pub report: &'a dyn Report,
    /// How long a machine may take until it runs, is stopped, or is gone.
    pub state_timeout: Duration,
    /// How long what was just made may stay invisible.
    pub visible_timeout: Duration,
}

/// Why a plan was not carried out to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// A call failed in a step.
    #[error("{step}: {what} failed")]
    Cloud {
        /// The step.
        step: &'static str,
        /// What it was about.
        what: String,
        /// How.
        source: CloudError,
    },
    /// A machine did not get into the state it should.
    #[error("{machine} was not {wanted} within {} s; it was {last} last", within.as_secs())]
    Late {
        /// Which.
        machine: String,
        /// What it should have been: `running`.
        wanted: &'static str,
        /// How long it had.
        within: Duration,
        /// How it was seen last: `pending`, `not visible yet`, `running without a public address`.
        last: String,
    },
    /// What a call needs was made, and did not show.
    #[error("what was just made was not visible within {} s", within.as_secs())]
    Invisible {
        /// How long it had.
        within: Duration,
        /// What EC2 said last.
        source: CloudError,
    },
    /// A machine went where it should not.
    #[error("{machine} went to {state} instead{}", reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default())]
    Astray {
        /// Which.
        machine: String,
        /// What it is now.
        state: InstanceState,
        /// Why, in EC2's words.
        reason: Option<String>,
    },
    /// Nothing that would do is to be had.
    #[error("no machine is to be had: {tried}")]
    NoneLeft {
        /// What was tried, and what EC2 said to each.
        tried: String,
        /// What it said last.
        source: CloudError,
    },
    /// It is not ours to delete; somebody changed its tags since the plan was shown.
    #[error("{resource} is not tagged as ours any more, so it is not deleted")]
    NotOurs {
        /// What.
        resource: String,
    },
    /// Somebody else's has the name that ours needs.
    #[error("there is a {resource} already, and it is not this instance's")]
    Taken {
        /// What.
        resource: String,
    },
    /// What the plan is about is not there any more.
    #[error("{resource} is not there any more")]
    Gone {
        /// What.
        resource: String,
    },
    /// The plan does not say all that is needed.
    #[error("the plan names no {lacks} for the machine")]
    Incomplete {
        /// What it lacks.
        lacks: &'static str,
    },
    /// The host key could not be made or pinned.
    #[error("no host key could be made for the new machine")]
    HostKey(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Somebody asked us to stop.
    #[error("interrupted before the step {before}")]
    Interrupted {
        /// The first step that was not taken.
        before: &'static str,
    },
    /// Somebody asked us to stop while a step waited, so that some of it is done.
    #[error("the step {step} was interrupted")]
    CutOff {
        /// The step.
        step: &'static str,
    },
}

/// Carries out a plan. Returns the machine as the last step that dealt with one left it; `None` if none did, or it is gone.
///
/// # Errors
///
/// [`ApplyError`] of the step that failed; those after it are not taken. The same command run again goes on from there.
pub fn apply(engine: &Engine<'_>, plan: &Plan) -> Result<Option<Machine>, ApplyError> {
    let mut run = Run { engine, group: None, machine: None };
    let mut steps = plan.steps.iter();
    while let Some(step) = steps.next() {
        match steps.as_slice().first() {
            Some(next) if is_of_key(step) && !needs_key(next) => {
                steps.next();
                run.take_both(next, step)?;
            }
            Some(next) if is_of_key(next) => {
                steps.next();
                run.take_both(step, next)?;
            }
            _ => run.take(step)?,
        }
    }
    Ok(run.machine)
}

const NO_GROUP: ApplyError = ApplyError::Incomplete { lacks: "security group" };

/// Tells whether a step is about the key pair, which has to do with no other step but the launch.
fn is_of_key(step: &Step) -> bool {
    matches!(step, Step::ImportKey { .. } | Step::DeleteKey { .. })
}

fn needs_key(step: &Step) -> bool {
    is_of_key(step) || matches!(step, Step::Launch(_))
}

/// A plan on its way.
struct Run<'a> {
    engine: &'a Engine<'a>,
    /// The group that this run made.
    group: Option<Group>,
    /// The machine as it was seen last.
    machine: Option<Machine>,
}

impl Run<'_> {
    /// Takes a step, and one about the key pair beside it, which is told of afterwards: it took no time of its own.
    fn take_both(&mut self, step: &Step, key_step: &Step) -> Result<(), ApplyError> {
        self.heed_interrupt(step)?;
        let calls = self.engine.calls();
        thread::scope(|scope| {
            let beside = scope.spawn(move || steps::take_key_step(&calls, key_step));
            let result = self.tell(step, |run| run.carry_out(step));
            let key_result = beside.join().unwrap_or_else(|cause| resume_unwind(cause));
            result?;
            self.tell(key_step, |_| key_result)
        })
    }

    fn take(&mut self, step: &Step) -> Result<(), ApplyError> {
        self.heed_interrupt(step)?;
        self.tell(step, |run| run.carry_out(step))
    }

    fn heed_interrupt(&self, step: &Step) -> Result<(), ApplyError> {
        if self.engine.interrupt.is_set() {
            return Err(ApplyError::Interrupted { before: step.name() });
        }
        Ok(())
    }

    /// Tells of a step while it is taken.
    fn tell(
        &mut self,
        step: &Step,
        take: impl FnOnce(&mut Self) -> Result<Option<String>, Failure>,
    ) -> Result<(), ApplyError> {
        let Engine { report, clock, .. } = *self.engine;
        report::tell(report, clock, step.name(), step.what(), || take(self))
            .map_err(|(failure, what)| failure.at(step.name(), what))
    }

    /// Takes one step; returns what came of it, if that says more than what it was about.
    fn carry_out(&mut self, step: &Step) -> Result<Option<String>, Failure> {
        let engine = self.engine;
        let calls = engine.calls();
        match step {
            Step::ImportKey { .. } | Step::DeleteKey { .. } => steps::take_key_step(&calls, step),
            Step::CreateGroup { name, vpc } => {
                let group = self.group.insert(steps::create_group::run(engine, name, vpc)?);
                Ok(Some(format!("{name} ({})", group.id)))
            }
            Step::OpenPorts { group, rules } => {
                let made = self.group.as_ref().map(|group| &group.id);
                let group = group.as_ref().or(made).ok_or(NO_GROUP)?;
                nothing_more(steps::open_ports::run(engine, group, rules))
            }
            Step::ClosePorts { group, rules } => nothing_more(steps::close_ports::run(&calls, group, rules)),
            Step::Launch(launch) => {
                let group = match &launch.group {
                    Some(id) => Group::find(engine, id)?,
                    None => self.group.clone().ok_or(NO_GROUP)?,
                };
                self.leaves(steps::launch::run(engine, launch, group)?)
            }
            Step::Start { machine } => self.leaves(steps::start::run(engine, machine)?),
            Step::AwaitRunning { machine } => self.leaves(steps::await_running::run(engine, machine)?),
            Step::Stop { machine } => self.leaves(steps::stop::run(engine, machine)?),
            Step::Adopt { machine } => self.leaves(steps::adopt::run(engine, machine)?),
            Step::Terminate { machine } => self.leaves_none(steps::terminate::run(engine, machine)),
            Step::Disown { machine } => self.leaves_none(steps::disown::run(engine, machine)),
            Step::AwaitGone { machines } => nothing_more(steps::await_gone::run(engine, machines)),
            Step::DeleteGroup { group, .. } => nothing_more(steps::delete_group::run(engine, group)),
        }
    }

    /// Notes the machine that a step leaves, and says how it is.
    fn leaves(&mut self, machine: Instance) -> Result<Option<String>, Failure> {
        self.machine = Machine::of(&machine);
        let Instance { id, state, address, .. } = machine;
        Ok(Some(match address {
            Some(address) => format!("{id} is {state} at {address}"),
            None => format!("{id} is {state}"),
        }))
    }

    fn leaves_none(&mut self, result: Result<(), Failure>) -> Result<Option<String>, Failure> {
        self.machine = None;
        nothing_more(result)
    }
}

fn nothing_more(result: Result<(), Failure>) -> Result<Option<String>, Failure> {
    result.map(|()| None)
}
