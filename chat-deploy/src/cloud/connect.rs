//! How the cloud is reached: which account and region are meant, and what can be wrong with that. A build without the
//! feature `ec2` has all of this too, and says that it lacks the rest.

use std::error::Error;
use std::io;
use std::net::Ipv4Addr;

use super::Cloud;
use crate::interrupt::Interrupt;

/// Which account and region, where that is not left to AWS's own variables and files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ec2Settings {
    /// The region; else `AWS_REGION`, or the profile's.
    pub region: Option<String>,
    /// The profile in `~/.aws`, before any credentials in the environment; else `AWS_PROFILE`, or `default`.
    pub profile: Option<String>,
}

/// Why EC2 cannot be asked anything.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Built without the feature `ec2`.
    #[error("this build cannot reach EC2")]
    NotBuilt,
    /// A variable of AWS's has a value that does not make sense.
    #[error("{name} is '{value}', which is not {wanted}")]
    Variable {
        /// Which.
        name: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        wanted: &'static str,
    },
    /// Nothing says which region.
    #[error("no AWS region is set: looked at {looked_at}")]
    NoRegion {
        /// Where a region was looked for.
        looked_at: String,
    },
    /// There are no credentials.
    #[error("no AWS credentials were found: looked at {looked_at}")]
    NoCredentials {
        /// Where credentials were looked for.
        looked_at: String,
    },
    /// There should be credentials, but they cannot be had: an expired login, a profile that is not there.
    #[error("the AWS credentials of {whose} cannot be had")]
    BadCredentials {
        /// The profile, or the environment.
        whose: String,
        /// Why not.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Ctrl-C, while credentials were fetched.
    #[error("interrupted while looking for AWS credentials")]
    Interrupted,
    /// The system does not let us have a thread.
    #[error("the AWS client could not be set up")]
    Setup(#[source] io::Error),
}

impl ConnectError {
    /// Returns what the person can do.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotBuilt => Some("build it with --features ec2"),
            Self::Variable { .. } => Some("correct it, or unset it"),
            Self::NoRegion { .. } => {
                Some("name one with --region, or set AWS_REGION; `aws configure` keeps one in ~/.aws/config")
            }
            Self::NoCredentials { .. } => {
                Some("`aws login` or `aws configure` sets them up; AWS_PROFILE or --profile names others")
            }
            Self::BadCredentials { .. } => Some(
                "`aws login` (or `aws sso login`) renews them; --profile names others; `aws sts get-caller-identity` shows whether they work",
            ),
            Self::Interrupted | Self::Setup(_) => None,
        }
    }
}

/// Why our own public address is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Built without the feature `ec2`.
    #[error("this build cannot ask for our public address")]
    NotBuilt,
    /// No answer came.
    #[error("{url} did not tell our public address")]
    Unreachable {
        /// Who was asked.
        url: String,
        /// Why not.
        source: Box<dyn Error + Send + Sync>,
    },
    /// An answer came, and it is no address.
    #[error("{url} answered '{answer}' (HTTP {status}) when asked for our public IPv4 address")]
    NoAddress {
        /// Who was asked.
        url: String,
        /// The status of the answer.
        status: u16,
        /// The start of the answer, without control characters.
        answer: String,
    },
}

/// Reaches EC2, having looked for region and credentials; no call is made yet. None will outlast an interrupt by more than
/// a moment.
///
/// # Errors
///
/// [`ConnectError`], within a few seconds also where there is nothing to be found.
pub fn connect(settings: &Ec2Settings, interrupt: &Interrupt) -> Result<Box<dyn Cloud + Send>, ConnectError> {
    #[cfg(feature = "ec2")]
    return super::ec2::Ec2::connect(settings, interrupt).map(|ec2| Box::new(ec2) as _);
    #[cfg(not(feature = "ec2"))]
    {
        let _ = (settings, interrupt);
        Err(ConnectError::NotBuilt)
    }
}

/// Asks AWS which IPv4 address we are seen at from outside. Takes 5 s at most.
///
/// # Errors
///
/// [`AddressError`].
pub fn public_address() -> Result<Ipv4Addr, AddressError> {
    #[cfg(feature = "ec2")]
    return super::ec2::public_address();
    #[cfg(not(feature = "ec2"))]
    Err(AddressError::NotBuilt)
}
