//! What is to be opened and closed. Whole rules are compared: protocol, ports and source. Only what carries our tags is ever
//! closed; what somebody else opened is told of and stays.

use crate::cloud::{GroupRule, Instance, Rule, SecurityGroup};
use crate::instance::InstanceName;
use crate::machine::observe::Observed;
use crate::machine::plan::{Plan, Step};
use crate::machine::spec::{SSH_PORT, Spec};
use crate::machine::tags;

/// Adds what the rules of the group there is come to.
pub(super) fn plan(spec: &Spec, observed: &Observed, plan: &mut Plan) {
    let Some(group) = &observed.group else { return };
    let wanted = spec.rules();
    let missing: Vec<Rule> = wanted
        .iter()
        .filter(|rule| observed.rules.iter().all(|there| there.rule != **rule))
        .cloned()
        .collect();
    let keeps_ssh = spec.ssh_from.is_empty();
    let keeps_others = spec.chat_port.is_none();
    let stays = |rule: &Rule| wanted.contains(rule) || if is_ssh(rule) { keeps_ssh } else { keeps_others };
    let mut surplus: Vec<_> = observed.rules.iter().filter(|there| !stays(&there.rule)).collect();
    surplus.sort_by(|a, b| (&a.rule, &a.id).cmp(&(&b.rule, &b.id)));
    let (ours, others): (Vec<_>, Vec<_>) =
        surplus.into_iter().partition(|there| tags::is_ours(&there.tags, &spec.instance));

    let group_id = group.id.clone();
    let changes = !missing.is_empty() || !ours.is_empty();
    if changes && !observed.owns_group && !observed.sharers.is_empty() {
        plan.warnings.push(shared(group, &observed.sharers));
    }
    if !missing.is_empty() {
        plan.steps.push(Step::OpenPorts { group: Some(group_id.clone()), rules: missing });
    }
    if !ours.is_empty() {
        plan.steps.push(Step::ClosePorts { group: group_id, rules: ours.into_iter().cloned().collect() });
    }
    plan.drift.extend(others.into_iter().map(|there| {
        format!("{} in {} ({}) was not opened by chat-deploy", there.rule, group.name, group.id)
    }));
}

/// Returns the group's rules that are ours, in an order of their own.
pub(super) fn ours(observed: &Observed, instance: &InstanceName) -> Vec<GroupRule> {
    let is_ours = |there: &&GroupRule| tags::is_ours(&there.tags, instance);
    let mut ours: Vec<_> = observed.rules.iter().filter(is_ours).cloned().collect();
    ours.sort_by(|a, b| (&a.rule, &a.id).cmp(&(&b.rule, &b.id)));
    ours
}

fn is_ssh(rule: &Rule) -> bool {
    rule.protocol == "tcp" && rule.from_port == Some(SSH_PORT) && rule.to_port == Some(SSH_PORT)
}

fn shared(group: &SecurityGroup, sharers: &[Instance]) -> String {
    let names: Vec<_> = sharers.iter().map(title).collect();
    let SecurityGroup { id, name, .. } = group;
    format!("{name} ({id}) is also the group of {}: what is opened is opened there too", names.join(", "))
}

/// Names a machine for a person: `i-1 (web)`.
pub(super) fn title(machine: &Instance) -> String {
    match machine.tags.get(tags::NAME).filter(|name| !name.is_empty()) {
        Some(name) => format!("{} ({name})", machine.id),
        None => machine.id.to_string(),
    }
}
