//! Makes the security group. It comes first: it is what later runs recognise an unfinished one by, and the client token of
//! the machine is made from its id.

use super::wait::{Aim, Look};
use super::{Failure, Group};
use crate::cloud::{CloudErrorKind, NewGroup, VpcId};
use crate::machine::apply::{ApplyError, Engine};
use crate::machine::tags;

/// Takes the step; returns the group.
///
/// # Errors
///
/// [`ApplyError::Taken`] if somebody else has a group of that name, [`ApplyError::Late`], or a call's.
pub fn run(engine: &Engine<'_>, name: &str, vpc: &VpcId) -> Result<Group, Failure> {
    let calls = engine.calls();
    let group = NewGroup {
        name: name.to_owned(),
        description: format!("The chat server {}, made by chat-deploy", calls.instance),
        vpc: vpc.clone(),
        tags: tags::ours(calls.instance),
    };
    match calls.call(|| calls.cloud.create_group(&group)) {
        Ok(id) => Ok(Group { id, generation: 0 }),
        Err(error) if error.kind == CloudErrorKind::Duplicate => find(engine, name, vpc),
        Err(error) => Err(error.into()),
    }
}

/// Finds the group that an earlier run made, or this one with a call whose answer was lost.
fn find(engine: &Engine<'_>, name: &str, vpc: &VpcId) -> Result<Group, Failure> {
    let calls = engine.calls();
    let aim = Aim { of: &name, wanted: "visible", within: calls.visible_timeout };
    let look = || {
        let groups = calls.call(|| calls.cloud.groups_named(name, vpc))?;
        match groups.into_iter().next() {
            Some(group) if tags::is_ours(&group.tags, calls.instance) => Ok(Look::There(Group::of(&group))),
            Some(group) => {
                let resource = format!("security group {name} ({})", group.id);
                Err(ApplyError::Taken { resource }.into())
            }
            None => Ok(Look::NotVisible),
        }
    };
    engine.look_until(&aim, look)
}
