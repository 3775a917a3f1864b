//! Makes the machine: exactly one, whatever happens to the call, and waits until it runs and can be reached.
//!
//! The client token sees to that: EC2 makes one machine for each. It is computed from what every run knows, so that a run
//! after a lost answer, or beside this one, asks for the same machine. A token is used up when its machine has ended or EC2
//! has refused to make it; only then does the next take its place, by a number on the group's tag that all runs read.

use std::collections::VecDeque;

use super::wait::{Aim, Look};
use super::{Failure, Group, await_running, start};
use crate::cloud::{
    CloudError, CloudErrorKind, GroupId, Instance, InstanceQuery, InstanceState, Launch, Tags, UserData,
};
use crate::instance::InstanceName;
use crate::machine::apply::{ApplyError, Engine};
use crate::machine::plan::{Choice, LaunchPlan};
use crate::machine::tags;
use crate::machine::user_data::{self, BootstrapKey};
use crate::release::digest;

/// How many tokens may turn out to be used up, apart from those whose machine was refused in this run. One is usual after a
/// machine was deleted by hand.
const MAX_SPENT: usize = 8;
/// The root device of Amazon Linux, should the image not say.
const ROOT_DEVICE: &str = "/dev/xvda";

/// Why there is no machine of a client token, and there will be none.
enum Unmade {
    /// EC2 refused to make it.
    Refused(CloudError),
    /// It was made and has ended, as this says.
    Ended(Failure),
}

/// Takes the step; returns the machine as it is then.
///
/// # Errors
///
/// [`ApplyError::NoneLeft`] if none of the choices is to be had, [`ApplyError::Late`], [`ApplyError::Invisible`],
/// [`ApplyError::Astray`], [`ApplyError::HostKey`], or a call's.
pub fn run(engine: &Engine<'_>, plan: &LaunchPlan, group: Group) -> Result<Instance, Failure> {
    let Group { id, mut generation } = group;
    let mut choices: VecDeque<&Choice> = plan.choices.iter().collect();
    let mut choice = choices.pop_front().ok_or(ApplyError::Incomplete { lacks: "type" })?;
    let mut tried = Vec::new();
    let mut spent = 0;
    loop {
        let token = client_token(engine.instance, &id, generation);
        let unmade = match attempt(engine, &request(engine, plan, choice, &id, token))? {
            Ok(machine) => return Ok(machine),
            Err(unmade) => unmade,
        };
        generation = advance(engine, &id, generation)?;
        match unmade {
            Unmade::Refused(source) => {
                tried.push(refusal(choice, &source));
                if source.kind == CloudErrorKind::TypeRefused {
                    // What the account does not get in one zone it gets in none.
                    choices.retain(|other| other.kind != choice.kind);
                }
                let Some(next) = choices.pop_front() else {
                    return Err(ApplyError::NoneLeft { tried: tried.join("; "), source }.into());
                };
                choice = next;
            }
            Unmade::Ended(why) if spent == MAX_SPENT => return Err(why),
            Unmade::Ended(_) => spent += 1,
        }
        // Another run may have had better luck with the token that is given up here.
        if let Some(machine) = made_beside(engine)? {
            return bring_up(engine, machine);
        }
    }
}

/// The token by which EC2 knows a request again: 64 characters, which is as many as it takes.
fn client_token(instance: &InstanceName, group: &GroupId, generation: u64) -> String {
    digest::of_bytes(format!("{instance} {group} {generation}").as_bytes()).to_string()
}

/// The request, complete but for what is different each time it is made: the host key.
fn request(
    engine: &Engine<'_>,
    plan: &LaunchPlan,
    choice: &Choice,
    group: &GroupId,
    client_token: String,
) -> Launch {
    Launch {
        client_token,
        image: plan.image.id.clone(),
        kind: choice.kind.clone(),
        standard_credits: choice.standard_credits,
        key_name: plan.key_name.clone(),
        group: group.clone(),
        subnet: choice.subnet.clone(),
        root_device: plan.image.root_device.clone().unwrap_or_else(|| ROOT_DEVICE.to_owned()),
        root_gib: plan.disk_gib,
        user_data: UserData::default(),
        tags: tags::ours(engine.instance),
    }
}

/// Asks for the machine of one token, and waits for it.
fn attempt(engine: &Engine<'_>, request: &Launch) -> Result<Result<Instance, Unmade>, Failure> {
    let token = &request.client_token;
    let key = BootstrapKey::generate().map_err(ApplyError::HostKey)?;
    // Before the machine can exist: whenever this run ends, its key is known, here and by the tag.
    engine.host_keys.pin(token, key.public()).map_err(ApplyError::HostKey)?;
    let mut launch = Launch { user_data: user_data::render(&key), ..request.clone() };
    launch.tags.insert(tags::BOOTSTRAP_KEY.to_owned(), key.fingerprint().to_owned());

    let made = match engine.call_when_visible(|| engine.cloud.run_instance(&launch)) {
        Ok(made) => made,
        Err(Failure::Cloud(error)) => {
            if error.code.is_some() && !error.kind.is_transient() {
                // EC2 has said no, so no machine has this key. If it is in trouble, or has not answered, there may be one.
                let _ = engine.host_keys.unpin(token, key.public());
            }
            match error.kind {
                CloudErrorKind::ParameterMismatch => made_before(engine, token)?,
                CloudErrorKind::TokenSpent => return Ok(Err(Unmade::Ended(error.into()))),
                CloudErrorKind::Capacity | CloudErrorKind::TypeRefused => {
                    return Ok(Err(Unmade::Refused(error)));
                }
                _ => return Err(error.into()),
            }
        }
        Err(failure) => {
            if matches!(failure, Failure::Other(_)) {
                // What the machine needs never showed, so there is none.
                let _ = engine.host_keys.unpin(token, key.public());
            }
            return Err(failure);
        }
    };
    if made.state.is_ending() {
        return Ok(Err(Unmade::Ended(await_running::astray(made).into())));
    }
    match bring_up(engine, made) {
        Ok(machine) => Ok(Ok(machine)),
        Err(Failure::Other(error)) => match late_refusal(&error) {
            Some(refusal) => Ok(Err(Unmade::Refused(refusal))),
            None => Err(Failure::Other(error)),
        },
        Err(failure) => Err(failure),
    }
}

/// Finds the machine that an earlier run made with this token. That run had another host key, which is the machine's; its
/// fingerprint is on the machine's tag. It may take a moment to show, and a second one is never made in its place.
fn made_before(engine: &Engine<'_>, token: &str) -> Result<Instance, Failure> {
    let calls = engine.calls();
    let query = InstanceQuery::ClientToken(token.to_owned());
    let aim = Aim {
        of: &"the machine that an earlier run made",
        wanted: "visible",
        within: engine.visible_timeout,
    };
    let look = || match calls.call(|| calls.cloud.instances(&query)) {
        Ok(machines) => Ok(machines.into_iter().next().map_or(Look::NotVisible, Look::There)),
        Err(error) if error.kind == CloudErrorKind::NotFound => Ok(Look::NotVisible),
        Err(error) => Err(error.into()),
    };
    engine.look_until(&aim, look)
}

/// Finds a machine that another run made by now.
fn made_beside(engine: &Engine<'_>) -> Result<Option<Instance>, Failure> {
    let query = InstanceQuery::Tagged(tags::mark(engine.instance));
    let machines = engine.calls().call(|| engine.cloud.instances(&query))?;
    Ok(machines.into_iter().find(|machine| !machine.state.is_ending()))
}

fn bring_up(engine: &Engine<'_>, machine: Instance) -> Result<Instance, Failure> {
    match machine.state {
        InstanceState::Stopping | InstanceState::Stopped => start::run(engine, &machine.id),
        _ => await_running::run(engine, &machine.id),
    }
}

/// Notes for all runs to come that the next token is in use, before it is; returns its number. Another run may have come
/// further by now, so the number is looked at again first; EC2 cannot compare and set it in one call.
fn advance(engine: &Engine<'_>, group: &GroupId, spent: u64) -> Result<u64, Failure> {
    let noted = Group::find(engine, group)?.generation;
    if noted > spent {
        return Ok(noted);
    }
    let next = spent + 1;
    let tags = Tags::from([(tags::GENERATION.to_owned(), next.to_string())]);
    engine.call_when_visible(|| engine.cloud.tag(group.as_str(), &tags))?;
    Ok(next)
}

/// EC2 may say only after it began that it has no machine of this type left.
fn late_refusal(error: &ApplyError) -> Option<CloudError> {
    let ApplyError::Astray { machine, reason: Some(reason), .. } = error else {
        return None;
    };
    let (code, message) = reason.split_once(':').unwrap_or((reason, ""));
    let refusal = CloudError::answered("RunInstances", Some(machine), code.trim(), message.trim());
    (refusal.kind == CloudErrorKind::Capacity).then_some(refusal)
}

fn refusal(choice: &Choice, error: &CloudError) -> String {
    format!("{choice}: {}", error.code.as_deref().unwrap_or("refused"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_what_ec2_takes_and_another_for_every_machine() {
        let token = |instance: &str, group: &str, generation| {
            client_token(&instance.parse().unwrap(), &GroupId::new(group), generation)
        };
        let first = token("myserver", "sg-1", 0);
        assert_eq!(first.len(), 64);
        assert_eq!(first, token("myserver", "sg-1", 0));
        for other in [token("myserver", "sg-1", 1), token("myserver", "sg-2", 0), token("other", "sg-1", 0)] {
            assert_ne!(first, other);
        }
    }
}
