//! What is in the account, and EC2's rules about it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use chat_deploy::cloud::{
    CloudError, GroupId, GroupRule, Image, ImageId, Instance, InstanceId, InstanceQuery, InstanceState,
    InstanceType, KeyPair, KeyPairId, Launch, NewGroup, Offering, Rule, RuleId, SecurityGroup, Subnet,
    SubnetId, Tags, TypeFacts, VpcId,
};
use ssh_key::{HashAlg, PublicKey};

use super::has;

const ZONES: [&str; 2] = ["xx-fake-1a", "xx-fake-1b"];
/// How long a machine takes from one state to the next.
const TRANSITION: Duration = Duration::from_secs(7);

/// A thing that shows late, and late as it was changed.
#[derive(Clone, Debug, PartialEq)]
struct Shown<T> {
    now: T,
    hidden: u32,
    before: Option<(u32, T)>,
}

impl<T: Clone> Shown<T> {
    /// Looks at it, once.
    fn look(&mut self) -> Option<T> {
        if self.hidden > 0 {
            self.hidden -= 1;
            return None;
        }
        match &mut self.before {
            Some((looks, before)) if *looks > 0 => {
                *looks -= 1;
                Some(before.clone())
            }
            _ => Some(self.now.clone()),
        }
    }

    /// Takes hold of it, to change it.
    fn change(&mut self, stale: u32) -> Option<&mut T> {
        if self.hidden > 0 {
            self.hidden -= 1;
            return None;
        }
        self.before = Some((stale, self.now.clone()));
        Some(&mut self.now)
    }
}

/// A machine, what it was made from, and what it will be when.
#[derive(Clone, Debug, PartialEq)]
struct Machine {
    shown: Shown<Instance>,
    launch: Option<Launch>,
    next: Option<(Duration, InstanceState)>,
}

/// A group with its rules.
#[derive(Clone, Debug, PartialEq)]
struct Group {
    shown: Shown<SecurityGroup>,
    rules: Vec<Shown<GroupRule>>,
}

/// What is in the account.
pub(crate) struct Account {
    machines: Vec<Machine>,
    groups: Vec<Group>,
    keys: Vec<Shown<KeyPair>>,
    /// Types that are not to be had, and what EC2 says to them.
    pub(crate) refused: BTreeMap<InstanceType, &'static str>,
    /// Types of which EC2 finds only when it has begun that there is none left.
    pub(crate) short: Vec<InstanceType>,
    stale: u32,
    next_id: u32,
    now: Duration,
}

/// What EC2 answers, by its code.
pub(super) fn refusal<T>(code: &str) -> Result<T, CloudError> {
    Err(CloudError::answered("a call", None, code, "EC2 in memory says no"))
}

fn no_machine<T>() -> Result<T, CloudError> {
    refusal("InvalidInstanceID.NotFound")
}

pub(super) fn no_group<T>() -> Result<T, CloudError> {
    refusal("InvalidGroup.NotFound")
}

impl Account {
    pub(super) fn new(stale: u32) -> Self {
        let mut account = Self {
            machines: Vec::new(),
            groups: Vec::new(),
            keys: Vec::new(),
            refused: BTreeMap::new(),
            short: Vec::new(),
            stale: 0,
            next_id: 1,
            now: Duration::ZERO,
        };
        account.add_stranger("bystander", "default");
        account.stale = stale;
        account
    }

    /// Adds a machine that somebody made by hand, in a group of its own with one rule, and returns its id.
    pub(crate) fn add_stranger(&mut self, name: &str, group: &str) -> InstanceId {
        let stale = std::mem::take(&mut self.stale);
        let tags = Tags::from([("Name".to_owned(), name.to_owned())]);
        let new =
            NewGroup { name: group.to_owned(), description: String::new(), vpc: vpc(), tags: Tags::new() };
        let group = self.create_group(&new).unwrap();
        self.authorize(&group, &rule(22), &Tags::new()).unwrap();
        let id = InstanceId::new(format!("i-{}", self.id()));
        let instance = Instance {
            state: InstanceState::Running,
            address: Some(Ipv4Addr::new(203, 0, 113, 200)),
            ..new_instance(id.clone(), &subnets()[0], group, tags)
        };
        self.machines.push(Machine { shown: self.shown(instance), launch: None, next: None });
        self.stale = stale;
        id
    }

    fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    fn shown<T>(&self, now: T) -> Shown<T> {
        Shown { now, hidden: self.stale, before: None }
    }

    /// Lets everything show as it is.
    pub(crate) fn settle(&mut self) {
        for machine in &mut self.machines {
            (machine.shown.hidden, machine.shown.before) = (0, None);
        }
        for group in &mut self.groups {
            (group.shown.hidden, group.shown.before) = (0, None);
            group.rules.iter_mut().for_each(|rule| rule.hidden = 0);
        }
        self.keys.iter_mut().for_each(|key| key.hidden = 0);
    }

    /// Lets nothing show that has the tags, for a while.
    pub(crate) fn hide(&mut self, tags: &Tags) {
        let looks = self.stale;
        let machines = self.machines.iter_mut().filter(|machine| has(&machine.shown.now.tags, tags));
        machines.for_each(|machine| machine.shown.hidden = looks);
        let groups = self.groups.iter_mut().filter(|group| has(&group.shown.now.tags, tags));
        groups.for_each(|group| group.shown.hidden = looks);
        self.keys.iter_mut().filter(|key| has(&key.now.tags, tags)).for_each(|key| key.hidden = looks);
    }

    /// Returns all machines as they are, but those that are gone.
    pub(crate) fn alive(&self) -> Vec<Instance> {
        let machines = self.machines.iter().map(|machine| machine.shown.now.clone());
        machines.filter(|machine| !machine.state.is_ending()).collect()
    }

    /// Returns what a machine of ours was made from.
    pub(crate) fn launch_of(&self, id: &InstanceId) -> Option<Launch> {
        self.machines.iter().find(|machine| machine.shown.now.id == *id)?.launch.clone()
    }

    /// Returns all groups with their rules as they are.
    pub(crate) fn all_groups(&self) -> Vec<(SecurityGroup, Vec<GroupRule>)> {
        let rules = |group: &Group| group.rules.iter().map(|rule| rule.now.clone()).collect();
        self.groups.iter().map(|group| (group.shown.now.clone(), rules(group))).collect()
    }

    /// Returns all key pairs as they are.
    pub(crate) fn all_keys(&self) -> Vec<KeyPair> {
        self.keys.iter().map(|key| key.now.clone()).collect()
    }

    /// Ends a machine from outside.
    pub(crate) fn kill_machine(&mut self, id: &InstanceId) {
        let machine = self.machines.iter_mut().find(|machine| machine.shown.now.id == *id).unwrap();
        machine.next = None;
        machine.shown.now.state = InstanceState::Terminated;
        machine.shown.now.address = None;
    }

    /// Lets machines become what they were to become by now.
    pub(super) fn advance(&mut self, now: Duration) {
        self.now = now;
        for machine in &mut self.machines {
            let Some((_, state)) = machine.next.filter(|(when, _)| *when <= now) else {
                continue;
            };
            machine.next = None;
            self.next_id += 1;
            let number = u8::try_from(self.next_id % 256).unwrap_or(0);
            let instance = &mut machine.shown.now;
            instance.state = state;
            instance.address =
                (state == InstanceState::Running).then_some(Ipv4Addr::new(198, 51, 100, number));
            if state == InstanceState::Terminated && self.short.contains(&instance.kind) {
                instance.state_reason = Some("Server.InsufficientInstanceCapacity: none left".to_owned());
            }
        }
    }

    pub(super) fn instances(&mut self, query: &InstanceQuery) -> Result<Vec<Instance>, CloudError> {
        let matches = |instance: &Instance| match query {
            InstanceQuery::Id(id) => instance.id == *id,
            InstanceQuery::ClientToken(token) => instance.client_token.as_ref() == Some(token),
            InstanceQuery::Tagged(tags) => has(&instance.tags, tags),
            InstanceQuery::InGroup(group) => instance.groups.contains(group),
        };
        let asked = self.machines.iter_mut().filter(|machine| matches(&machine.shown.now));
        let found: Vec<_> = asked.filter_map(|machine| machine.shown.look()).filter(matches).collect();
        match query {
            InstanceQuery::Id(_) if found.is_empty() => no_machine(),
            _ => Ok(found),
        }
    }

    pub(super) fn groups(&mut self, matches: impl Fn(&SecurityGroup) -> bool) -> Vec<SecurityGroup> {
        let asked = self.groups.iter_mut().filter(|group| matches(&group.shown.now));
        asked.filter_map(|group| group.shown.look()).collect()
    }

    pub(super) fn keys(&mut self, matches: impl Fn(&KeyPair) -> bool) -> Vec<KeyPair> {
        let asked = self.keys.iter_mut().filter(|key| matches(&key.now));
        asked.filter_map(Shown::look).collect()
    }

    pub(super) fn rules(&mut self, id: &GroupId) -> Result<Vec<GroupRule>, CloudError> {
        let group =
            self.groups.iter_mut().find(|group| group.shown.now.id == *id).map_or_else(no_group, Ok)?;
        if group.shown.hidden > 0 {
            group.shown.hidden -= 1;
            return no_group();
        }
        Ok(group.rules.iter_mut().filter_map(Shown::look).collect())
    }

    pub(super) fn create_group(&mut self, new: &NewGroup) -> Result<GroupId, CloudError> {
        let is_same = |group: &Group| {
            group.shown.now.name == new.name && group.shown.now.vpc.as_ref() == Some(&new.vpc)
        };
        if self.groups.iter().any(is_same) {
            return refusal("InvalidGroup.Duplicate");
        }
        let group = SecurityGroup {
            id: GroupId::new(format!("sg-{}", self.id())),
            name: new.name.clone(),
            vpc: Some(new.vpc.clone()),
            rules: Vec::new(),
            tags: new.tags.clone(),
        };
        let id = group.id.clone();
        self.groups.push(Group { shown: self.shown(group), rules: Vec::new() });
        Ok(id)
    }

    fn group(&mut self, id: &GroupId) -> Result<&mut Group, CloudError> {
        let found = self.groups.iter_mut().find(|group| group.shown.now.id == *id);
        let group = found.map_or_else(no_group, Ok)?;
        // What cannot be seen yet cannot be changed either.
        if group.shown.hidden > 0 {
            group.shown.hidden -= 1;
            return no_group();
        }
        Ok(group)
    }

    pub(super) fn authorize(&mut self, id: &GroupId, rule: &Rule, tags: &Tags) -> Result<(), CloudError> {
        let new = RuleId::new(format!("sgr-{}", self.id()));
        let shown = self.shown(GroupRule { id: new, rule: rule.clone(), tags: tags.clone() });
        let group = self.group(id)?;
        if group.rules.iter().any(|there| there.now.rule == *rule) {
            return refusal("InvalidPermission.Duplicate");
        }
        group.rules.push(shown);
        group.shown.now.rules.push(rule.clone());
        Ok(())
    }

    pub(super) fn revoke(&mut self, id: &GroupId, rule: &RuleId) -> Result<(), CloudError> {
        let group = self.group(id)?;
        let Some(place) = group.rules.iter().position(|there| there.now.id == *rule) else {
            return refusal("InvalidSecurityGroupRuleId.NotFound");
        };
        let gone = group.rules.remove(place).now;
        group.shown.now.rules.retain(|there| *there != gone.rule);
        Ok(())
    }

    pub(super) fn delete_group(&mut self, id: &GroupId) -> Result<(), CloudError> {
        self.group(id)?;
        let uses = |machine: &Machine| {
            machine.shown.now.state != InstanceState::Terminated && machine.shown.now.groups.contains(id)
        };
        if self.machines.iter().any(uses) {
            return refusal("DependencyViolation");
        }
        self.groups.retain(|group| group.shown.now.id != *id);
        Ok(())
    }

    pub(super) fn import_key(&mut self, name: &str, key: &str, tags: &Tags) -> Result<KeyPairId, CloudError> {
        if self.keys.iter().any(|pair| pair.now.name == name) {
            return refusal("InvalidKeyPair.Duplicate");
        }
        let fingerprint = PublicKey::from_openssh(key).unwrap().fingerprint(HashAlg::Sha256).to_string();
        let pair = KeyPair {
            id: KeyPairId::new(format!("key-{}", self.id())),
            name: name.to_owned(),
            fingerprint: fingerprint.replace("SHA256:", "") + "=",
            tags: tags.clone(),
        };
        let id = pair.id.clone();
        self.keys.push(self.shown(pair));
        Ok(id)
    }

    pub(super) fn delete_key(&mut self, name: &str) {
        self.keys.retain(|key| key.now.name != name);
    }

    pub(super) fn run(&mut self, launch: &Launch) -> Result<Instance, CloudError> {
        let of_token =
            |machine: &&Machine| machine.shown.now.client_token.as_ref() == Some(&launch.client_token);
        if let Some(machine) = self.machines.iter().find(of_token) {
            return match &machine.shown.now {
                _ if machine.launch.as_ref() != Some(launch) => refusal("IdempotentParameterMismatch"),
                instance if instance.state.is_ending() => refusal("IdempotentInstanceTerminated"),
                instance => Ok(instance.clone()),
            };
        }
        let key = self.keys.iter_mut().find(|key| key.now.name == launch.key_name);
        if key.and_then(Shown::look).is_none() {
            return refusal("InvalidKeyPair.NotFound");
        }
        self.group(&launch.group)?;
        if let Some(code) = self.refused.get(&launch.kind) {
            return refusal(code);
        }
        let id = InstanceId::new(format!("i-{}", self.id()));
        let subnet = subnets().into_iter().find(|subnet| subnet.id == launch.subnet).unwrap();
        let instance = Instance {
            kind: launch.kind.clone(),
            key_name: Some(launch.key_name.clone()),
            client_token: Some(launch.client_token.clone()),
            ..new_instance(id, &subnet, launch.group.clone(), launch.tags.clone())
        };
        let is_short = self.short.contains(&launch.kind);
        let becomes = if is_short { InstanceState::Terminated } else { InstanceState::Running };
        self.machines.push(Machine {
            shown: self.shown(instance.clone()),
            launch: Some(launch.clone()),
            next: Some((self.now + TRANSITION, becomes)),
        });
        Ok(instance)
    }

    fn machine(&mut self, id: &InstanceId) -> Result<&mut Machine, CloudError> {
        let stale = self.stale;
        let found = self.machines.iter_mut().find(|machine| machine.shown.now.id == *id);
        let machine = found.map_or_else(no_machine, Ok)?;
        machine.shown.change(stale).map_or_else(no_machine, Ok)?;
        Ok(machine)
    }

    /// Sends a machine from one of some states through the next into a third.
    fn send(
        &mut self,
        id: &InstanceId,
        from: &[InstanceState],
        [through, to]: [InstanceState; 2],
    ) -> Result<(), CloudError> {
        let when = self.now + TRANSITION;
        let machine = self.machine(id)?;
        let state = machine.shown.now.state;
        if state == through || state == to {
            return Ok(());
        }
        if !from.contains(&state) {
            return refusal("IncorrectInstanceState");
        }
        machine.shown.now.state = through;
        machine.shown.now.address = None;
        machine.next = Some((when, to));
        Ok(())
    }

    pub(super) fn start(&mut self, id: &InstanceId) -> Result<(), CloudError> {
        self.send(id, &[InstanceState::Stopped], [InstanceState::Pending, InstanceState::Running])
    }

    pub(super) fn stop(&mut self, id: &InstanceId) -> Result<(), CloudError> {
        self.send(id, &[InstanceState::Running], [InstanceState::Stopping, InstanceState::Stopped])
    }

    pub(super) fn terminate(&mut self, id: &InstanceId) -> Result<(), CloudError> {
        use InstanceState::{Pending, Running, ShuttingDown, Stopped, Stopping, Terminated};
        self.send(id, &[Pending, Running, Stopping, Stopped], [ShuttingDown, Terminated])
    }

    pub(super) fn retag(&mut self, resource: &str, change: impl FnOnce(&mut Tags)) -> Result<(), CloudError> {
        let stale = self.stale;
        if resource.starts_with("i-") {
            change(&mut self.machine(&InstanceId::new(resource))?.shown.now.tags);
            return Ok(());
        }
        let group = self.group(&GroupId::new(resource))?;
        change(&mut group.shown.change(stale).map_or_else(no_group, Ok)?.tags);
        Ok(())
    }
}

fn new_instance(id: InstanceId, subnet: &Subnet, group: GroupId, tags: Tags) -> Instance {
    Instance {
        id,
        state: InstanceState::Pending,
        state_reason: None,
        kind: InstanceType::new("t2.micro"),
        image: ImageId::new("ami-1"),
        address: None,
        groups: vec![group],
        vpc: Some(subnet.vpc.clone()),
        subnet: Some(subnet.id.clone()),
        zone: Some(subnet.zone.clone()),
        key_name: None,
        client_token: None,
        launched_at: 0,
        tags,
    }
}

/// A rule that lets everybody reach a port.
pub(crate) fn rule(port: u16) -> Rule {
    Rule::tcp(port, "0.0.0.0/0".parse().unwrap())
}

pub(super) fn vpc() -> VpcId {
    VpcId::new("vpc-1")
}

pub(super) fn subnets() -> Vec<Subnet> {
    let subnet = |zone: &&str| Subnet {
        id: SubnetId::new(format!("subnet-{zone}")),
        vpc: vpc(),
        zone: (*zone).to_owned(),
        maps_public_ip: true,
        is_default: true,
    };
    ZONES.iter().map(subnet).collect()
}

pub(super) fn images() -> Vec<Image> {
    vec![Image {
        id: ImageId::new("ami-1"),
        name: "al2023-ami-2023.5.20240708.0-kernel-6.1-x86_64".to_owned(),
        created_at: "2026-11-02T10:00:00.000Z".to_owned(),
        architecture: "x86_64".to_owned(),
        root_device: Some("/dev/xvda".to_owned()),
        root_gib: Some(8),
    }]
}

pub(super) fn offerings(types: &[InstanceType]) -> Vec<Offering> {
    let offered =
        |kind: &InstanceType| ZONES.map(|zone| Offering { kind: kind.clone(), zone: zone.to_owned() });
    types.iter().flat_map(offered).collect()
}

pub(super) fn type_facts(types: &[InstanceType]) -> Vec<TypeFacts> {
    let fact = |kind: &InstanceType| TypeFacts {
        kind: kind.clone(),
        architectures: vec!["x86_64".to_owned()],
        burstable: true,
    };
    types.iter().map(fact).collect()
}
