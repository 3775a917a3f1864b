//! `ssh`: a shell on the machine, or one command there.

use super::{Context, Outcome};
use crate::cli::{self, Provider};
use crate::error::Error;

pub(super) fn run(context: &Context<'_>, _args: &cli::Ssh) -> Result<Outcome, Error> {
    let provider = context.settings.provider.unwrap_or(Provider::Ec2);
    Err(Error::NoProvider { provider, aws_credentials: context.environment.aws_credentials.clone() })
}
