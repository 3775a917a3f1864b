//! Compares the machine that should be with what the cloud has, and plans what lies between. Pure: the same question, the
//! same plan.
//!
//! A machine that exists is kept as it is: no other type, image, disk, place or key replaces it, since what is on it would
//! go with it. Only its rules follow the settings. How a new one is chosen is in `diff/launch.rs`, what the rules come to
//! in `diff/rules.rs`, and how all of it goes away in `diff/removal.rs`.

mod launch;
mod removal;
mod rules;

use crate::cloud::{Instance, InstanceState};
use crate::machine::MachineError;
use crate::machine::observe::Observed;
use crate::machine::plan::{Plan, Step};
use crate::machine::spec::Spec;
use crate::machine::tags::Ownership;

pub use launch::consider;
pub use removal::diff_to_nothing;

/// Plans how to get the machine, from what was observed with the same `spec`.
///
/// A machine made by hand is used only if `spec.adopt` says so. Who gets [`MachineError::NotAdopted`] and wants to ask a
/// person shows the plan for the same spec with `adopt` set, and carries out that one.
///
/// # Errors
///
/// [`MachineError`] if nothing that would do is to be had, or a machine made by hand would have to be adopted.
pub fn diff(spec: &Spec, observed: &Observed) -> Result<Plan, MachineError> {
    if let Some(machine) = observed.made_by_hand().filter(|machine| is_out_of_reach(machine)) {
        return Err(MachineError::NoAddress { id: machine.id.clone() });
    }
    if let Some((ownership, machine)) = &observed.machine {
        let mut plan = keep(spec, observed, machine);
        if *ownership == Ownership::Ours {
            plan.drift.extend(drift(spec, observed, machine));
        }
        return Ok(plan);
    }
    match &observed.namesake {
        None => launch::plan(spec, observed),
        Some(machine) if spec.adopt => Ok(adopt(spec, observed, machine)),
        Some(machine) => {
            Err(MachineError::NotAdopted { instance: spec.instance.clone(), id: machine.id.clone() })
        }
    }
}

/// Tells whether a machine can never be reached: one that we make gets its address, others may have been made without.
fn is_out_of_reach(machine: &Instance) -> bool {
    machine.state == InstanceState::Running && machine.address.is_none()
}

fn adopt(spec: &Spec, observed: &Observed, machine: &Instance) -> Plan {
    let mut plan = keep(spec, observed, machine);
    let id = &machine.id;
    plan.steps.insert(0, Step::Adopt { machine: id.clone() });
    plan.warnings.insert(
        0,
        format!("{id} was not made by chat-deploy, which will use it from now on, and never terminate it"),
    );
    plan
}

/// Plans what a machine that is there needs: its rules, and that it runs.
fn keep(spec: &Spec, observed: &Observed, machine: &Instance) -> Plan {
    let mut plan = Plan::default();
    rules::plan(spec, observed, &mut plan);
    plan.steps.extend(power(machine));
    plan
}

fn power(machine: &Instance) -> Option<Step> {
    let id = machine.id.clone();
    match machine.state {
        InstanceState::Running if machine.address.is_some() => None,
        InstanceState::Stopping | InstanceState::Stopped => Some(Step::Start { machine: id }),
        _ => Some(Step::AwaitRunning { machine: id }),
    }
}

/// Says where a machine that we made is not what a new one would be.
fn drift(spec: &Spec, observed: &Observed, machine: &Instance) -> Vec<String> {
    let Instance { id, kind, image, subnet, .. } = machine;
    let kept = "chat-deploy never replaces a machine";
    // No types: none in particular.
    let types: Vec<_> = spec.types.iter().map(|kind| kind.as_str()).collect();
    let other_type = (!types.is_empty() && !types.contains(&kind.as_str()))
        .then(|| format!("{id} is a {kind}, not {}; {kept}", types.join(" or ")));
    let other_image = spec
        .image
        .as_ref()
        .filter(|wanted| *wanted != image)
        .map(|wanted| format!("{id} was started from {image}, not {wanted}; {kept}"));
    let other_subnet = spec.subnet.as_ref().zip(subnet.as_ref()).filter(|(wanted, there)| wanted != there);
    let other_subnet =
        other_subnet.map(|(wanted, there)| format!("{id} is in {there}, not {wanted}; {kept}"));
    let other_group = observed
        .group
        .as_ref()
        .filter(|_| !observed.owns_group)
        .map(|group| format!("{id} is in {} ({}), which chat-deploy did not make", group.name, group.id));
    [other_type, other_image, other_subnet, other_group].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
