//! What a plan does to an account, as values: the steps without the cloud, the waiting and the mishaps.

use crate::cloud::{GroupId, GroupRule, InstanceState, RuleId};
use crate::machine::fixtures::{adopted, group, key_pair, machine, ours};
use crate::machine::observe::Observed;
use crate::machine::plan::{Plan, Step};
use crate::machine::tags::{self, Ownership};

/// Carries out a plan.
pub(super) fn simulate(mut observed: Observed, plan: &Plan) -> Observed {
    for step in &plan.steps {
        take(&mut observed, step);
    }
    observed
}

fn take(observed: &mut Observed, step: &Step) {
    match step {
        Step::Adopt { machine } => {
            let mut namesake = observed.namesake.take().unwrap();
            assert_eq!(namesake.id, *machine);
            namesake.tags.extend(adopted());
            observed.machine = Some((Ownership::Adopted, namesake));
        }
        Step::ImportKey { name, .. } => observed.key_pairs.push(key_pair(name)),
        Step::CreateGroup { name, .. } => {
            assert_eq!(observed.group, None);
            observed.group = Some(group("sg-new", name, ours()));
            observed.owns_group = true;
            observed.rules.clear();
        }
        Step::OpenPorts { rules, .. } => observed.rules.extend(rules.iter().map(|rule| GroupRule {
            id: RuleId::new(format!("sgr-new-{rule}")),
            rule: rule.clone(),
            tags: ours(),
        })),
        Step::ClosePorts { rules, .. } => observed.rules.retain(|rule| !rules.contains(rule)),
        Step::Launch(launch) => {
            assert_eq!(observed.machine, None);
            let choice = launch.first().unwrap();
            let group = observed.group.clone().unwrap();
            let mut made = machine("i-new", group.id.as_str(), ours());
            made.kind = choice.kind.clone();
            made.image = launch.image.id.clone();
            made.subnet = Some(choice.subnet.clone());
            observed.machine = Some((Ownership::Ours, made));
            observed.catalog = None;
        }
        Step::Start { .. } | Step::AwaitRunning { .. } => {
            let (_, machine) = observed.machine.as_mut().unwrap();
            machine.state = InstanceState::Running;
            machine.address = Some([203, 0, 113, 6].into());
        }
        Step::Stop { .. } => observed.machine.as_mut().unwrap().1.state = InstanceState::Stopped,
        Step::Terminate { .. } => {
            let (_, mut machine) = observed.machine.take().unwrap();
            machine.state = InstanceState::Terminated;
            observed.ending.push(machine);
        }
        Step::AwaitGone { machines } => {
            let waited = observed.ending.iter_mut().filter(|machine| machines.contains(&machine.id));
            waited.for_each(|machine| machine.state = InstanceState::Terminated);
        }
        Step::Disown { .. } => {
            let (_, mut machine) = observed.machine.take().unwrap();
            machine.tags.retain(|key, _| ![tags::MANAGED, tags::INSTANCE].contains(&key.as_str()));
            // It is one of the others in its group from now on.
            if observed.owns_group {
                observed.sharers.push(machine.clone());
            }
            observed.namesake = Some(machine);
        }
        Step::DeleteGroup { group, .. } => delete_group(observed, group),
        Step::DeleteKey { key, .. } => observed.key_pairs.retain(|there| there.id != *key),
    }
}

/// EC2 refuses to delete a group that something is in.
fn delete_group(observed: &mut Observed, id: &GroupId) {
    let machines = observed.machine.iter().map(|(_, machine)| machine);
    let there = machines.chain(&observed.namesake).chain(&observed.ending).chain(&observed.sharers);
    let mut users = there.filter(|machine| machine.state != InstanceState::Terminated);
    assert!(users.all(|machine| !machine.groups.contains(id)), "{id} is in use");
    if observed.group.as_ref().is_some_and(|group| group.id == *id) {
        observed.group = None;
        observed.owns_group = false;
        observed.rules.clear();
    }
    observed.other_groups.retain(|group| group.id != *id);
}
