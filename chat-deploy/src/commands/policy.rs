//! `policy`: the permissions that are needed on AWS.

use super::Outcome;
use crate::cli::Provider;
use crate::error::Error;
use crate::ui::Ui;

pub(super) fn run(_ui: &Ui) -> Result<Outcome, Error> {
    Err(Error::NoProvider { provider: Provider::Ec2, aws_credentials: None })
}
