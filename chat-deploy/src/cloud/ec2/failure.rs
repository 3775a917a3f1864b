//! What the SDK reports, as a [`CloudError`]. EC2 has some hundred codes and the SDK models none of them.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::RequestId;

use super::read::Malformed;
use crate::cloud::{Action, CloudError, CloudErrorKind, FailedCall};

/// A call, as it is named when it fails.
#[derive(Clone, Debug)]
pub(super) struct Call {
    action: Action,
    resource: Option<String>,
}

impl Call {
    pub(super) fn new(action: Action) -> Self {
        Self { action, resource: None }
    }

    pub(super) fn about(action: Action, resource: &str) -> Self {
        Self { action, resource: Some(resource.to_owned()) }
    }

    /// The error for what EC2 or the way to it answered.
    pub(super) fn failed<E>(self, error: SdkError<E, HttpResponse>) -> CloudError
    where
        E: ProvideErrorMetadata + RequestId + Error + Send + Sync + 'static,
    {
        let own_id = error.as_service_error().and_then(RequestId::request_id);
        let request_id = own_id.or_else(|| error.request_id()).map(str::to_owned);
        let status = error.raw_response().map(|response| response.status().as_u16());
        let code = error.code().map(str::to_owned);
        let message = error.message().map(str::to_owned);
        let kind = match (&code, &error) {
            (Some(code), _) => CloudErrorKind::of(code, message.as_deref().unwrap_or_default()),
            (None, SdkError::TimeoutError(_)) => CloudErrorKind::Unreachable,
            (None, _) if is_about_credentials(&error) => CloudErrorKind::Credentials,
            (None, SdkError::DispatchFailure(_)) => CloudErrorKind::Unreachable,
            (None, _) if status.is_some_and(|status| status >= 500) => CloudErrorKind::Unavailable,
            (None, _) => CloudErrorKind::Other,
        };
        let said = match kind {
            _ if code.is_some() => message,
            CloudErrorKind::Credentials => Some("the AWS credentials cannot be had".to_owned()),
            _ => status.map(|status| format!("an answer that is not EC2's (HTTP {status})")),
        };
        // With a code, the source says what code and message say already.
        let source = if code.is_some() { None } else { error.into_source().ok() };
        FailedCall { request_id, code, message: said, source, ..self.failed_as(kind) }.into()
    }

    /// The error for an answer that lacks what EC2 always sends.
    pub(super) fn malformed(self, malformed: Malformed) -> CloudError {
        self.with_message(CloudErrorKind::Other, malformed.to_string())
    }

    /// The error for a question that must not be asked.
    pub(super) fn refused(self, why: &str) -> CloudError {
        self.with_message(CloudErrorKind::Other, why.to_owned())
    }

    /// The error for a thing that EC2 says was not there, though not as an error.
    pub(super) fn not_found(self) -> CloudError {
        self.with_message(CloudErrorKind::NotFound, "there was none".to_owned())
    }

    fn with_message(self, kind: CloudErrorKind, message: String) -> CloudError {
        FailedCall { message: Some(message), ..self.failed_as(kind) }.into()
    }

    fn failed_as(self, kind: CloudErrorKind) -> FailedCall {
        FailedCall {
            operation: self.action.name(),
            resource: self.resource,
            kind,
            code: None,
            message: None,
            request_id: None,
            source: None,
        }
    }
}

/// Tells whether the call was never sent for want of something to sign it with.
fn is_about_credentials(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<CredentialsError>() {
            return true;
        }
        cause = error.source();
    }
    false
}
