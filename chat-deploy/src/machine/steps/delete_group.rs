//! Deletes our security group.

use super::Failure;
use super::wait::Look;
use crate::cloud::{CloudErrorKind, GroupId};
use crate::machine::apply::{ApplyError, Engine};
use crate::machine::tags;

/// Takes the step. The tags are read once more before; a machine that still uses the group is waited for.
///
/// # Errors
///
/// [`ApplyError::NotOurs`], [`ApplyError::Late`], or a call's.
pub fn run(engine: &Engine<'_>, group: &GroupId) -> Result<(), Failure> {
    let calls = engine.calls();
    let found = match calls.call(|| calls.cloud.groups(std::slice::from_ref(group))) {
        Err(error) if error.kind == CloudErrorKind::NotFound => return Ok(()),
        answer => answer?,
    };
    if !found.iter().all(|group| tags::is_ours(&group.tags, engine.instance)) {
        return Err(ApplyError::NotOurs { resource: group.to_string() }.into());
    }
    engine.wait(group, "deleted", || match calls.call(|| calls.cloud.delete_group(group)) {
        Ok(()) => Ok(Look::There(())),
        Err(error) => match error.kind {
            CloudErrorKind::NotFound => Ok(Look::There(())),
            CloudErrorKind::InUse => Ok(Look::NotYet("in use".to_owned())),
            _ => Err(error.into()),
        },
    })
}
