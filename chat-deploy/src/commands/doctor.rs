//! `doctor`: what could keep a deployment from working.

use super::{Context, Outcome};
use crate::cli::Provider;
use crate::error::Error;

pub(super) fn run(context: &Context<'_>) -> Result<Outcome, Error> {
    let provider = context.settings.provider.unwrap_or(Provider::Ec2);
    Err(Error::NoProvider { provider, aws_credentials: context.environment.aws_credentials.clone() })
}
