//! What the cloud answers in place of what was asked. EC2's errors are not modelled in the SDK, so codes are matched.

use std::error::Error;
use std::fmt;
use std::ops::Deref;

/// A call that failed. What is known of it is boxed, so that errors stay small on the way of what does not fail.
#[derive(Debug)]
pub struct CloudError(Box<FailedCall>);

/// What is known of a call that failed.
#[derive(Debug)]
pub struct FailedCall {
    /// The call: `RunInstances`.
    pub operation: &'static str,
    /// What it was about, where that is known: an id or a name.
    pub resource: Option<String>,
    /// What it comes down to.
    pub kind: CloudErrorKind,
    /// EC2's code: `InvalidGroup.Duplicate`. None if no answer came.
    pub code: Option<String>,
    /// EC2's words.
    pub message: Option<String>,
    /// EC2's name of the request, which AWS support asks for.
    pub request_id: Option<String>,
    /// Why no answer came.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl CloudError {
    /// Takes what EC2 answered to a call about something.
    #[must_use]
    pub fn answered(operation: &'static str, resource: Option<&str>, code: &str, message: &str) -> Self {
        Self::from(FailedCall {
            operation,
            resource: resource.map(str::to_owned),
            kind: CloudErrorKind::of(code, message),
            code: Some(code.to_owned()),
            message: Some(message.to_owned()),
            request_id: None,
            source: None,
        })
    }
}

impl From<FailedCall> for CloudError {
    fn from(call: FailedCall) -> Self {
        Self(Box::new(call))
    }
}

impl Deref for CloudError {
    type Target = FailedCall;

    fn deref(&self) -> &FailedCall {
        &self.0
    }
}

/// What an error comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloudErrorKind {
    /// There is no such thing, or it is not visible yet.
    NotFound,
    /// It is there already.
    Duplicate,
    /// The client token was used for another request.
    ParameterMismatch,
    /// The machine made with this client token is terminated.
    TokenSpent,
    /// The zone has no machine of this type left.
    Capacity,
    /// The account or the zone does not get this type at all.
    TypeRefused,
    /// Something else uses it still.
    InUse,
    /// It is in a state in which this cannot be done.
    WrongState,
    /// The account has reached a limit.
    Limit,
    /// The credentials do not allow it.
    Unauthorized,
    /// The credentials are no good: wrong, expired, or none.
    Credentials,
    /// Too many calls, even after the SDK's own retries.
    Throttled,
    /// It would have been done, had it not been a dry run.
    DryRun,
    /// No answer came: the network, or a time limit.
    Unreachable,
    /// EC2 is in trouble itself.
    Unavailable,
    /// Anything else.
    Other,
}

impl CloudErrorKind {
    /// Sorts an EC2 error by its code, and by its words where one code means too many things.
    ///
    /// # Source
    ///
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>
    #[must_use]
    pub fn of(code: &str, message: &str) -> Self {
        match code {
            // What accounts on the free plan get for a type outside of it.
            "InvalidParameterCombination" if message.contains("not eligible for Free Tier") => {
                Self::TypeRefused
            }
            // Some zones lack some types for good; others have them.
            "Unsupported" if message.contains("Availability Zone") => Self::Capacity,
            "IdempotentParameterMismatch" => Self::ParameterMismatch,
            "IdempotentInstanceTerminated" => Self::TokenSpent,
            "DependencyViolation" | "InvalidGroup.InUse" | "ResourceInUse" => Self::InUse,
            "DryRunOperation" => Self::DryRun,
            "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" => Self::Unauthorized,
            "AuthFailure"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidClientTokenId"
            | "RequestExpired"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClientException"
            | "OptInRequired"
            | "Blocked"
            | "MissingAuthenticationToken" => Self::Credentials,
            "RequestLimitExceeded" | "EC2ThrottledException" | "Throttling" | "ThrottlingException" => {
                Self::Throttled
            }
            "InsufficientInstanceCapacity"
            | "InsufficientHostCapacity"
            | "InsufficientCapacity"
            | "Server.InsufficientInstanceCapacity" => Self::Capacity,
            "Unsupported" | "UnsupportedOperation" | "InvalidInstanceType" => Self::TypeRefused,
            "IncorrectInstanceState" | "IncorrectState" | "InvalidState" => Self::WrongState,
            "InternalError"
            | "InternalFailure"
            | "ServiceUnavailable"
            | "Unavailable"
            | "Server.InternalError" => Self::Unavailable,
            code if code.ends_with(".NotFound") || code.ends_with(".Unknown") => Self::NotFound,
            code if code.ends_with(".Duplicate") => Self::Duplicate,
            code if code.ends_with("LimitExceeded") => Self::Limit,
            _ => Self::Other,
        }
    }

    /// Tells whether trying again later may help, with nothing changed.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Throttled | Self::Unreachable | Self::Unavailable)
    }
}

impl fmt::Display for CloudError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EC2 {}", self.operation)?;
        if let Some(resource) = &self.resource {
            write!(f, " of {resource}")?;
        }
        match (&self.code, &self.message) {
            (Some(code), Some(message)) => write!(f, ": {code}: {message}")?,
            (Some(code), None) => write!(f, ": {code}")?,
            (None, Some(message)) => write!(f, ": {message}")?,
            (None, None) => f.write_str(": no answer")?,
        }
        if let Some(id) = &self.request_id {
            write!(f, " (request {id})")?;
        }
        Ok(())
    }
}

impl Error for CloudError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as _)
    }
}
