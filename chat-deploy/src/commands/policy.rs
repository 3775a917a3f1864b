//! `policy`: the permissions that are needed on AWS.

use super::Outcome;
use crate::cloud::policy;
use crate::error::Error;
use crate::ui::Ui;

pub(super) fn run(ui: &Ui) -> Result<Outcome, Error> {
    // It is JSON already, whoever reads it.
    ui.print_text(policy())?;
    Ok(Outcome::Done)
}
