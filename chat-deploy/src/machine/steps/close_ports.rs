//! Closes ports that we opened.

use super::Failure;
use super::wait::Calls;
use crate::cloud::{CloudErrorKind, GroupId, GroupRule};
use crate::machine::tags;

/// Takes the step. The tags are read once more: a rule that is not ours any more, or is gone, is left alone.
///
/// # Errors
///
/// A call's.
pub fn run(calls: &Calls<'_>, group: &GroupId, rules: &[GroupRule]) -> Result<(), Failure> {
    let now = match calls.call(|| calls.cloud.rules(group)) {
        // The group is gone, and its rules with it.
        Err(error) if error.kind == CloudErrorKind::NotFound => return Ok(()),
        answer => answer?,
    };
    let is_wanted = |rule: &&GroupRule| rules.iter().any(|planned| planned.id == rule.id);
    let is_ours = |rule: &&GroupRule| tags::is_ours(&rule.tags, calls.instance);
    now.iter().filter(is_wanted).filter(is_ours).try_for_each(|rule| {
        match calls.call(|| calls.cloud.revoke(group, &rule.id)) {
            Err(error) if error.kind != CloudErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    })
}
