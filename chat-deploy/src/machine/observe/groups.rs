//! Which security group the rules go to, and what is in it.

use std::thread;

use super::join;
use crate::cloud::{Cloud, CloudError, GroupRule, Instance, InstanceQuery, SecurityGroup, VpcId};
use crate::instance::InstanceName;
use crate::machine::tags;

/// A group that rules may go to.
pub(super) struct Group {
    pub(super) group: SecurityGroup,
    /// Whether it is tagged as ours.
    pub(super) is_ours: bool,
    pub(super) rules: Vec<GroupRule>,
    /// The machines in it, if they were asked for.
    pub(super) users: Vec<Instance>,
}

/// Looks at our groups and, if the machine is in none of them, at its own. Who else is in a group is asked if it is not
/// ours, or if nothing is to be made: before it is deleted.
pub(super) fn look(
    cloud: &dyn Cloud,
    ours: Vec<SecurityGroup>,
    machine: Option<&Instance>,
    is_up: bool,
) -> Result<Vec<Group>, CloudError> {
    let in_ours = machine.is_none_or(|machine| ours.iter().any(|group| machine.groups.contains(&group.id)));
    let own = machine.filter(|machine| !in_ours && !machine.groups.is_empty());
    thread::scope(|scope| {
        let own =
            own.map(|machine| scope.spawn(|| look_into(cloud, cloud.groups(&machine.groups)?, false, true)));
        let ours = look_into(cloud, ours, true, !is_up);
        let mut groups = own.map(join).transpose()?.unwrap_or_default();
        groups.extend(ours?);
        Ok(groups)
    })
}

fn look_into(
    cloud: &dyn Cloud,
    groups: Vec<SecurityGroup>,
    is_ours: bool,
    with_users: bool,
) -> Result<Vec<Group>, CloudError> {
    thread::scope(|scope| {
        let looks: Vec<_> = groups
            .into_iter()
            .map(|group| {
                let rules = scope.spawn({
                    let id = group.id.clone();
                    move || cloud.rules(&id)
                });
                let query = InstanceQuery::InGroup(group.id.clone());
                let users = with_users.then(|| scope.spawn(move || cloud.instances(&query)));
                (group, rules, users)
            })
            .collect();
        let look = |(group, rules, users): (_, _, Option<_>)| {
            let users = users.map(join).transpose()?.unwrap_or_default();
            Ok(Group { group, is_ours, rules: join(rules)?, users })
        };
        looks.into_iter().map(look).collect()
    })
}

/// Chooses the group to work with and returns it with the others that are ours. With a machine it is one that the machine
/// is in, and there rather the one that has rules of ours already; without, one in the network of a machine to be made.
pub(super) fn choose(
    groups: Vec<Group>,
    instance: &InstanceName,
    machine: Option<&Instance>,
    vpc: Option<Option<&VpcId>>,
) -> (Option<Group>, Vec<SecurityGroup>) {
    let rank = |found: &Group| {
        let fits = match (machine, vpc) {
            (Some(machine), _) => machine.groups.contains(&found.group.id),
            (None, Some(vpc)) => vpc.is_some() && found.group.vpc.as_ref() == vpc,
            (None, None) => true,
        };
        let has_rules = found.rules.iter().any(|rule| tags::is_ours(&rule.tags, instance));
        let position = machine.and_then(|machine| machine.groups.iter().position(|id| *id == found.group.id));
        fits.then(|| (!found.is_ours, !has_rules, position, found.group.id.clone()))
    };
    let best = groups.iter().filter_map(rank).min();
    let (chosen, others): (Vec<_>, Vec<_>) =
        groups.into_iter().partition(|found| best.as_ref().is_some_and(|best| best.3 == found.group.id));
    let mut others: Vec<_> =
        others.into_iter().filter(|found| found.is_ours).map(|found| found.group).collect();
    others.sort_by(|a, b| a.id.cmp(&b.id));
    (chosen.into_iter().next(), others)
}
