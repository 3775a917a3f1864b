//! What is tried again, how often, and after how long.

use std::time::Duration;

use aws_config::retry::{RetryConfig, RetryMode};
use aws_sdk_ec2::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_ec2::error::ProvideErrorMetadata as _;
use aws_sdk_ec2::operation::run_instances::RunInstancesError;
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::orchestrator::OrchestratorError;

use crate::cloud::{CloudErrorKind, ConnectError};

/// How often a call is made at most, unless `AWS_MAX_ATTEMPTS` says otherwise. More than the SDK's three: a lost answer, a
/// 503 and a throttled call in a row are not yet a reason to leave a deployment half done.
const MAX_ATTEMPTS: u32 = 6;
/// How long it waits before the second attempt, at most; twice as long before each one after it.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Reads the variables about retries ourselves: the SDK panics at a value it does not like.
pub(super) fn settings(variable: impl Fn(&str) -> Option<String>) -> Result<RetryConfig, ConnectError> {
    let mut retries = RetryConfig::standard()
        .with_max_attempts(MAX_ATTEMPTS)
        .with_initial_backoff(FIRST_PAUSE)
        .with_max_backoff(LONGEST_PAUSE);
    if let Some(value) = variable("AWS_MAX_ATTEMPTS") {
        let attempts = value.parse().ok().filter(|attempts| *attempts > 0).ok_or({
            ConnectError::Variable { name: "AWS_MAX_ATTEMPTS", value, wanted: "a number above 0" }
        })?;
        retries = retries.with_max_attempts(attempts);
    }
    if let Some(value) = variable("AWS_RETRY_MODE") {
        let mode = value.parse::<RetryMode>().map_err(|_| ConnectError::Variable {
            name: "AWS_RETRY_MODE",
            value,
            wanted: "'standard' or 'adaptive'",
        })?;
        retries = retries.with_retry_mode(mode);
    }
    Ok(retries)
}

/// Keeps the SDK from trying again what will not change: EC2 says that a zone is full by a 500, as if it were in trouble
/// itself, and the next zone is the answer to that.
#[derive(Clone, Copy, Debug)]
pub(super) struct FullZonesAreFinal;

impl ClassifyRetry for FullZonesAreFinal {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let answer = context.output_or_error().and_then(Result::err);
        let error = answer.and_then(OrchestratorError::as_operation_error);
        let code = error.and_then(|error| error.downcast_ref::<RunInstancesError>()?.code());
        match code.map(|code| CloudErrorKind::of(code, "")) {
            Some(CloudErrorKind::Capacity) => RetryAction::RetryForbidden,
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "full zones are final"
    }
}
