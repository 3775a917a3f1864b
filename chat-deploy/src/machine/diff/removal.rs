//! Leaves nothing of ours, and everything that is not ours: the difference from what there is to nothing.

use super::rules;
use crate::cloud::{Instance, InstanceState, SecurityGroup};
use crate::machine::observe::Observed;
use crate::machine::plan::{Plan, Step};
use crate::machine::tags::{self, Ownership};

/// Plans how to leave nothing of ours, and everything that is not ours. What remains of a run that was cut off, a group
/// without a machine or a key pair alone, goes too.
#[must_use]
pub fn diff_to_nothing(observed: &Observed) -> Plan {
    let mut plan = Plan::default();
    if let Some((ownership, machine)) = &observed.machine {
        // While the machine is still known as ours: it is what leads to a group that is not.
        plan.steps.extend(close_ports(observed, machine));
        leave_machine(*ownership, machine, &mut plan);
    }
    let strange = observed.group.iter().filter(|_| observed.machine.is_some() && !observed.owns_group);
    plan.leaves.extend(strange.map(|group| format!("{}, which chat-deploy did not make", titled(group))));
    delete_groups(observed, &mut plan);
    plan.steps.extend(
        observed.key_pairs.iter().map(|key| Step::DeleteKey { key: key.id.clone(), name: key.name.clone() }),
    );
    plan
}

/// Closes what we opened in a group that stays.
fn close_ports(observed: &Observed, machine: &Instance) -> Option<Step> {
    let group = observed.group.as_ref().filter(|_| !observed.owns_group)?;
    let (_, instance) = tags::ownership(machine)?;
    let rules = rules::ours(observed, &instance);
    (!rules.is_empty()).then(|| Step::ClosePorts { group: group.id.clone(), rules })
}

fn leave_machine(ownership: Ownership, machine: &Instance, plan: &mut Plan) {
    let id = machine.id.clone();
    match ownership {
        Ownership::Ours => plan.steps.push(Step::Terminate { machine: id }),
        Ownership::Adopted => {
            plan.leaves.push(format!("{id}, which chat-deploy did not make"));
            plan.steps.push(Step::Disown { machine: id });
        }
    }
}

/// Deletes what groups are ours, once the machines in them are gone.
fn delete_groups(observed: &Observed, plan: &mut Plan) {
    let (used, free): (Vec<_>, Vec<_>) = observed
        .group
        .iter()
        .filter(|_| observed.owns_group)
        .chain(&observed.other_groups)
        .partition(|group| !users(observed, group).is_empty());
    plan.leaves.extend(used.into_iter().map(|group| {
        let users: Vec<_> = users(observed, group).into_iter().map(rules::title).collect();
        format!("{}, which {} is in", titled(group), users.join(", "))
    }));
    let is_going = |machine: &&Instance| {
        machine.state == InstanceState::ShuttingDown
            && free.iter().any(|group| machine.groups.contains(&group.id))
    };
    let going: Vec<_> = observed.ending.iter().filter(is_going).map(|machine| machine.id.clone()).collect();
    if !going.is_empty() {
        plan.steps.push(Step::AwaitGone { machines: going });
    }
    plan.steps.extend(
        free.into_iter().map(|group| Step::DeleteGroup { group: group.id.clone(), name: group.name.clone() }),
    );
}

/// Returns the machines in a group that stay: strangers, and the adopted one.
fn users<'a>(observed: &'a Observed, group: &SecurityGroup) -> Vec<&'a Instance> {
    let adopted = observed.machine.iter().filter(|(ownership, _)| *ownership == Ownership::Adopted);
    let machines = adopted.map(|(_, machine)| machine).chain(&observed.sharers);
    machines.filter(|machine| machine.groups.contains(&group.id)).collect()
}

fn titled(group: &SecurityGroup) -> String {
    format!("{} ({})", group.name, group.id)
}
