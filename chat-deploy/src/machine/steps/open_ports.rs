//! Opens ports in a security group.

use super::Failure;
use crate::cloud::{CloudErrorKind, GroupId, Rule};
use crate::machine::apply::Engine;
use crate::machine::tags;

/// Takes the step: one call for each rule, since one that is there already makes EC2 refuse a whole call, and one after
/// the other, since of all calls EC2 puts up with the fewest of these.
///
/// # Errors
///
/// [`ApplyError::Invisible`](crate::machine::apply::ApplyError::Invisible), or a call's.
pub fn run(engine: &Engine<'_>, group: &GroupId, rules: &[Rule]) -> Result<(), Failure> {
    let ours = tags::ours(engine.instance);
    rules.iter().try_for_each(|rule| {
        match engine.call_when_visible(|| engine.cloud.authorize(group, rule, &ours)) {
            Err(Failure::Cloud(error)) if error.kind == CloudErrorKind::Duplicate => Ok(()),
            answer => answer,
        }
    })
}
