//! The steps of a machine's plan, one file each. Every step may be taken again: what is done already is success, and what
//! was made a moment ago and does not show yet is waited for.
//!
//! What they share is here and in `wait.rs`: calls are made again while that may help, and every wait has its end.

pub mod adopt;
pub mod await_gone;
pub mod await_running;
pub mod close_ports;
pub mod create_group;
pub mod delete_group;
pub mod delete_key;
pub mod disown;
pub mod import_key;
pub mod launch;
pub mod open_ports;
pub mod start;
pub mod stop;
pub mod terminate;
mod wait;

use crate::cloud::{CloudError, GroupId, SecurityGroup};
use crate::machine::apply::{ApplyError, Engine};
use crate::machine::plan::Step;
use crate::machine::tags::GENERATION;

pub use wait::Calls;

/// Why a step failed, before it is known which step it was.
#[derive(Debug)]
pub enum Failure {
    /// A call.
    Cloud(CloudError),
    /// Somebody asked us to stop waiting.
    Interrupted,
    /// Something the step itself has said all about.
    Other(Box<ApplyError>),
}

impl Failure {
    /// Says where it failed.
    #[must_use]
    pub fn at(self, step: &'static str, what: String) -> ApplyError {
        match self {
            Self::Cloud(source) => ApplyError::Cloud { step, what, source },
            Self::Interrupted => ApplyError::CutOff { step },
            Self::Other(error) => *error,
        }
    }
}

impl From<CloudError> for Failure {
    fn from(error: CloudError) -> Self {
        Self::Cloud(error)
    }
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        Self::Other(Box::new(error))
    }
}

/// The security group that rules and a new machine go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Which.
    pub id: GroupId,
    /// How many client tokens were used up with it.
    pub generation: u64,
}

impl Group {
    /// Reads a group; of the number on its tag, anything but a number means that nobody has counted yet.
    fn of(group: &SecurityGroup) -> Self {
        let generation = group.tags.get(GENERATION).and_then(|value| value.parse().ok()).unwrap_or(0);
        Self { id: group.id.clone(), generation }
    }

    /// Looks a group up.
    ///
    /// # Errors
    ///
    /// A call's.
    pub fn find(engine: &Engine<'_>, id: &GroupId) -> Result<Self, Failure> {
        let found = engine.call_when_visible(|| engine.cloud.groups(std::slice::from_ref(id)))?;
        match found.first() {
            Some(group) => Ok(Self::of(group)),
            None => Err(ApplyError::Gone { resource: id.to_string() }.into()),
        }
    }
}

/// Takes a step that is about the key pair, and about nothing else.
///
/// # Errors
///
/// The step's.
pub fn take_key_step(calls: &Calls<'_>, step: &Step) -> Result<Option<String>, Failure> {
    match step {
        Step::ImportKey { name, public_key } => import_key::run(calls, name, public_key)?,
        Step::DeleteKey { key, .. } => delete_key::run(calls, key)?,
        _ => {}
    }
    Ok(None)
}
