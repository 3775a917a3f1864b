//! Looks at what the cloud has of an instance, and at what it has to offer for a new machine. Changes nothing.
//!
//! Calls that do not need one another run side by side, so that looking takes two round trips: one to find what is tagged,
//! one for the rules of the group. Only a machine that is to be made takes more, for what there is to choose from
//! (`observe/region.rs`). What is found is judged in code, not by the query, so that one query finds what is ours, what
//! was adopted and what is on its way out.

mod groups;
mod region;

use std::panic;
use std::thread::{self, ScopedJoinHandle};

use ipnet::Ipv4Net;

use crate::cloud::{
    Cloud, CloudError, GroupRule, Image, Instance, InstanceId, InstanceQuery, KeyPair, Offering,
    RouteToInternet, SecurityGroup, Subnet, Tags, TypeFacts, VpcId,
};
use crate::instance::InstanceName;
use crate::machine::MachineError;
use crate::machine::spec::Spec;
use crate::machine::tags::{self, Ownership};

/// What the cloud has of one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The machine with our tags that is not on its way out, and whose it is.
    pub machine: Option<(Ownership, Instance)>,
    /// Machines with our tags on their way out, or gone and still shown.
    pub ending: Vec<Instance>,
    /// A machine that only has the name, and could be adopted; looked for if there is none with our tags.
    pub namesake: Option<Instance>,
    /// The group that rules go to: one that the machine (or the namesake) is in; without a machine one of ours in the
    /// network that a new machine would be put in.
    pub group: Option<SecurityGroup>,
    /// Whether `group` is tagged as ours to delete.
    pub owns_group: bool,
    /// The group's inbound rules, with tags.
    pub rules: Vec<GroupRule>,
    /// Other machines in the same group, which its rules affect too; not looked for before an `up` if the group is ours.
    pub sharers: Vec<Instance>,
    /// Further groups that are tagged as ours, by their ids.
    pub other_groups: Vec<SecurityGroup>,
    /// Our key pairs, by their names.
    pub key_pairs: Vec<KeyPair>,
    /// What there is to choose from, if a machine is to be made.
    pub catalog: Option<Catalog>,
}

impl Observed {
    /// Tells whether there is nothing of ours; what is on its way out does not count.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let has_groups = self.owns_group || !self.other_groups.is_empty();
        self.machine.is_none() && !has_groups && self.key_pairs.is_empty()
    }

    /// Returns the machine that somebody made by hand, whether or not it was adopted already.
    #[must_use]
    pub fn made_by_hand(&self) -> Option<&Instance> {
        let adopted = self.machine.as_ref().filter(|(ownership, _)| *ownership == Ownership::Adopted);
        adopted.map(|(_, machine)| machine).or(self.namesake.as_ref())
    }

    /// Tells whether some rule of the group, whoever made it, lets all of a range reach a TCP port.
    #[must_use]
    pub fn lets_in(&self, port: u16, range: &Ipv4Net) -> bool {
        self.rules.iter().any(|GroupRule { rule, .. }| {
            let ports = rule.from_port.unwrap_or(0)..=rule.to_port.unwrap_or(u16::MAX);
            let source = rule.source.parse::<Ipv4Net>();
            ["tcp", "-1"].contains(&rule.protocol.as_str())
                && ports.contains(&port)
                && source.is_ok_and(|source| source.contains(range))
        })
    }

    /// Returns the machine to work with: the one with our tags, or the one there is to adopt.
    #[must_use]
    pub fn subject(&self) -> Option<&Instance> {
        self.machine.as_ref().map(|(_, machine)| machine).or(self.namesake.as_ref())
    }
}

/// What the region has to offer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// Which region it is.
    pub region: String,
    /// Images that will do, in no order.
    pub images: Vec<Image>,
    /// The network that a new machine would be put in: that of the wanted subnet, or the default one.
    pub vpc: Option<VpcId>,
    /// The subnets of that, or the wanted one.
    pub subnets: Vec<Subnet>,
    /// Which of them lead to the internet.
    pub routes: RouteToInternet,
    /// Which zones offer the wanted types.
    pub offerings: Vec<Offering>,
    /// What the wanted types are.
    pub types: Vec<TypeFacts>,
}

/// One machine of a list of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Whose.
    pub ownership: Ownership,
    /// Of which instance.
    pub instance: InstanceName,
    /// The machine.
    pub machine: Instance,
}

/// Looks at everything of one instance, and at namesakes and what there is to choose from if `spec` is given and a machine
/// has to be made or adopted.
///
/// # Errors
///
/// [`MachineError::Cloud`]; [`MachineError::Several`] and [`MachineError::SeveralToAdopt`]: more than one machine is an error,
/// never a guess.
pub fn observe(
    cloud: &dyn Cloud,
    instance: &InstanceName,
    spec: Option<&Spec>,
) -> Result<Observed, MachineError> {
    let ours = tags::mark(instance);
    let (machines, named, owned, mut key_pairs) = thread::scope(|scope| {
        let machines = scope.spawn(|| cloud.instances(&tagged(tags::INSTANCE, instance.as_str())));
        let named = spec.map(|_| scope.spawn(|| cloud.instances(&tagged(tags::NAME, instance.as_str()))));
        let groups = scope.spawn(|| cloud.groups_tagged(&ours));
        let key_pairs = cloud.key_pairs_tagged(&ours);
        let named = named.map_or(Ok(Vec::new()), join);
        Ok::<_, CloudError>((join(machines)?, named?, join(groups)?, key_pairs?))
    })?;
    key_pairs.sort_by(|a, b| a.name.cmp(&b.name));
    let (machine, ending) = sort_machines(cloud, instance, machines)?;
    let namesake = if machine.is_some() { None } else { namesake(cloud, instance, named)? };
    let found = Observed { machine, ending, namesake, key_pairs, ..Observed::default() };
    look_closer(cloud, instance, spec, owned, found)
}

/// Looks at what the region has to offer for a machine of this kind, whether or not one has to be made.
///
/// # Errors
///
/// [`MachineError::Cloud`].
pub fn catalog(cloud: &dyn Cloud, spec: &Spec) -> Result<Catalog, MachineError> {
    Ok(region::look(cloud, spec)?)
}

/// Lists all machines of ours in the region by the names of their instances, those on their way out left out.
///
/// # Errors
///
/// [`MachineError::Cloud`].
pub fn list(cloud: &dyn Cloud) -> Result<Vec<Listed>, MachineError> {
    let (ours, adopted) = thread::scope(|scope| {
        let ours = scope.spawn(|| cloud.instances(&tagged(tags::MANAGED, tags::OURS)));
        let adopted = cloud.instances(&tagged(tags::MANAGED, tags::ADOPTED));
        Ok::<_, CloudError>((join(ours)?, adopted?))
    })?;
    let there = ours.into_iter().chain(adopted).filter(|machine| !machine.state.is_ending());
    let mut listed: Vec<Listed> = there
        .filter_map(|machine| {
            let (ownership, instance) = tags::ownership(&machine)?;
            Some(Listed { ownership, instance, machine })
        })
        .collect();
    listed.sort_by(|a, b| (&a.instance, &a.machine.id).cmp(&(&b.instance, &b.machine.id)));
    Ok(listed)
}

/// The second round: what can be asked only when it is known what is there.
fn look_closer(
    cloud: &dyn Cloud,
    instance: &InstanceName,
    spec: Option<&Spec>,
    owned: Vec<SecurityGroup>,
    found: Observed,
) -> Result<Observed, MachineError> {
    let is_new = found.machine.is_none() && found.namesake.is_none();
    let machine = found.subject();
    let (catalog, groups) = thread::scope(|scope| {
        let catalog = spec.filter(|_| is_new).map(|spec| scope.spawn(|| region::look(cloud, spec)));
        let groups = groups::look(cloud, owned, machine, spec.is_some());
        Ok::<_, CloudError>((catalog.map(join).transpose()?, groups?))
    })?;
    let vpc = catalog.as_ref().map(|catalog| catalog.vpc.as_ref());
    let (chosen, other_groups) = groups::choose(groups, instance, machine, vpc);
    let Some(groups::Group { group, is_ours: owns_group, rules, users }) = chosen else {
        return Ok(Observed { other_groups, catalog, ..found });
    };
    // One of ours that did not show a moment ago is no stranger who would keep the group from going.
    let is_ours = |user: &Instance| tags::ownership(user).is_some_and(|(_, name)| name == *instance);
    let is_subject = |user: &Instance| machine.is_some_and(|machine| machine.id == user.id);
    let mut sharers = users;
    sharers.retain(|user| !user.state.is_ending() && !is_subject(user) && !is_ours(user));
    sharers.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(Observed { group: Some(group), owns_group, rules, sharers, other_groups, catalog, ..found })
}

type Sorted = (Option<(Ownership, Instance)>, Vec<Instance>);

/// Tells the machine from those on their way out; whatever our tags do not name is none of ours.
fn sort_machines(
    cloud: &dyn Cloud,
    instance: &InstanceName,
    machines: Vec<Instance>,
) -> Result<Sorted, MachineError> {
    let ours = machines.into_iter().filter_map(|machine| match tags::ownership(&machine) {
        Some((ownership, name)) if name == *instance => Some((ownership, machine)),
        _ => None,
    });
    let (mut ending, mut there): (Vec<_>, Vec<_>) = ours.partition(|(_, machine)| machine.state.is_ending());
    ending.sort_by(|a, b| a.1.id.cmp(&b.1.id));
    if there.len() > 1 {
        return Err(MachineError::Several {
            instance: instance.clone(),
            region: cloud.region().to_owned(),
            ids: sorted_ids(there.into_iter().map(|(_, machine)| machine)),
        });
    }
    Ok((there.pop(), ending.into_iter().map(|(_, machine)| machine).collect()))
}

/// Picks the machine that somebody made by hand: those of another instance of ours are not among them.
fn namesake(
    cloud: &dyn Cloud,
    instance: &InstanceName,
    named: Vec<Instance>,
) -> Result<Option<Instance>, MachineError> {
    let is_strange = |machine: &Instance| !machine.state.is_ending() && tags::ownership(machine).is_none();
    let mut namesakes: Vec<_> = named.into_iter().filter(is_strange).collect();
    if namesakes.len() > 1 {
        return Err(MachineError::SeveralToAdopt {
            instance: instance.clone(),
            region: cloud.region().to_owned(),
            ids: sorted_ids(namesakes),
        });
    }
    Ok(namesakes.pop())
}

fn sorted_ids(machines: impl IntoIterator<Item = Instance>) -> Vec<InstanceId> {
    let mut ids: Vec<_> = machines.into_iter().map(|machine| machine.id).collect();
    ids.sort();
    ids
}

fn tagged(key: &str, value: &str) -> InstanceQuery {
    InstanceQuery::Tagged(Tags::from([(key.to_owned(), value.to_owned())]))
}

/// Waits for a thread; if it panicked, so does this one.
fn join<T>(handle: ScopedJoinHandle<'_, T>) -> T {
    handle.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
}

#[cfg(test)]
mod tests;
