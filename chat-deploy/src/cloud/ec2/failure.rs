//! What the SDK reports, as a [`CloudError`]. EC2 has some hundred codes and the SDK models none of them.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{BoxError, ConnectorError, ProvideErrorMetadata, SdkError};
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
        if let Some(code) = error.code().map(str::to_owned) {
            let message = error.message().map(str::to_owned);
            let kind = CloudErrorKind::of(&code, message.as_deref().unwrap_or_default());
            return FailedCall { code: Some(code), message, request_id, ..self.failed_as(kind) }.into();
        }
        if let Some(response) = error.raw_response() {
            let status = response.status();
            let is_trouble = status.is_server_error();
            let kind = if is_trouble { CloudErrorKind::Unavailable } else { CloudErrorKind::Other };
            let message = Some(format!("an answer that is not EC2's (HTTP {})", status.as_u16()));
            return FailedCall { message, request_id, ..self.failed_as(kind) }.into();
        }
        self.unanswered(error).into()
    }

    /// What is known when there is no answer at all.
    fn unanswered<E>(self, error: SdkError<E, HttpResponse>) -> FailedCall
    where
        E: Error + Send + Sync + 'static,
    {
        let is_silence = match &error {
            SdkError::TimeoutError(_) => true,
            SdkError::DispatchFailure(failure) => {
                failure.is_timeout() || failure.is_io() || failure.as_other().is_some()
            }
            _ => false,
        };
        if is_silence {
            return FailedCall {
                source: error.into_source().ok(),
                ..self.failed_as(CloudErrorKind::Unreachable)
            };
        }
        if is_about_credentials(&error) {
            let message = Some("the AWS credentials cannot be had".to_owned());
            return FailedCall {
                message,
                source: cause(error),
                ..self.failed_as(CloudErrorKind::Credentials)
            };
        }
        // Without the cause: the SDK puts the whole request into it, and that has the user data with a key in it.
        let message = "the request could not be put together; is AWS_ENDPOINT_URL a URL?".to_owned();
        FailedCall { message: Some(message), ..self.failed_as(CloudErrorKind::Other) }
    }

    /// The error for an answer that lacks what EC2 always sends.
    pub(super) fn malformed(self, malformed: Malformed) -> CloudError {
        self.with_message(CloudErrorKind::Other, malformed.to_string())
    }

    /// The error for a question that must not be asked.
    pub(super) fn refused(self, why: &str) -> CloudError {
        self.with_message(CloudErrorKind::Other, why.to_owned())
    }

    /// The error for a call that the person no longer waited for.
    pub(super) fn abandoned(self) -> CloudError {
        self.with_message(
            CloudErrorKind::Unreachable,
            "no answer had come when the run was asked to stop".to_owned(),
        )
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

/// Takes out why there is no answer, without the SDK's own word for it (`io error`, `other`).
fn cause<E: Error + Send + Sync + 'static>(error: SdkError<E, HttpResponse>) -> Option<BoxError> {
    match error.into_source().ok()?.downcast::<ConnectorError>() {
        Ok(connector) => Some(connector.into_source()),
        Err(other) => Some(other),
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
