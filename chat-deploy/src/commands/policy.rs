//! `policy`: the permissions that are needed on AWS.

use serde_json::Value;

use super::Outcome;
use crate::cloud::policy;
use crate::error::Error;
use crate::ui::Ui;

pub(super) fn run(ui: &Ui) -> Result<Outcome, Error> {
    // It is JSON anyway; a program gets it on one line, as everything else.
    let value: Value = serde_json::from_str(policy()).unwrap_or_default();
    ui.print(policy(), &value)?;
    Ok(Outcome::Done)
}
