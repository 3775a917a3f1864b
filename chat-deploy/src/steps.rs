//! The steps of a plan, one file each. Every step may be taken again: what is done already costs nothing.

pub mod activate;
pub mod backup;
pub mod check;
pub mod install;
pub mod pin;
pub mod prepare;
pub mod prune;
pub mod remove;
pub mod restore;
pub mod stop;

use chat_client::pins::PinsError;

use crate::apply::ApplyError;
use crate::host::HostError;

/// Why a step failed, before it is known which step it was.
#[derive(Debug)]
pub enum Failure {
    /// The host.
    Host(HostError),
    /// The pins.
    Pins(PinsError),
    /// Something the step itself has said all about.
    Other(Box<ApplyError>),
}

impl Failure {
    /// Says where it failed.
    #[must_use]
    pub fn at(self, step: &'static str, what: String) -> ApplyError {
        match self {
            Self::Host(source) => ApplyError::Host { step, what, source },
            Self::Pins(source) => ApplyError::Pins { step, what, source },
            Self::Other(error) => *error,
        }
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

impl From<PinsError> for Failure {
    fn from(error: PinsError) -> Self {
        Self::Pins(error)
    }
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        Self::Other(Box::new(error))
    }
}

/// What came of a step, where that says more than what it was about.
pub type Outcome = Result<Option<String>, Failure>;
