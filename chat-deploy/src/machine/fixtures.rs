//! What there may be in an account, for the tests of looking and of planning.

use crate::cloud::{
    GroupId, GroupRule, Image, ImageId, Instance, InstanceId, InstanceState, InstanceType, KeyPair,
    KeyPairId, Offering, RouteToInternet, Rule, RuleId, SecurityGroup, Subnet, SubnetId, Tags, TypeFacts,
    VpcId,
};
use crate::machine::observe::{Catalog, Observed};
use crate::machine::spec::Spec;
use crate::machine::tags::{self, Ownership};

pub(crate) const PUBLIC_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl bryan@mac";

pub(crate) fn types(names: &[&str]) -> Vec<InstanceType> {
    names.iter().map(|name| InstanceType::new(*name)).collect()
}

pub(crate) fn spec() -> Spec {
    Spec {
        instance: "myserver".parse().unwrap(),
        types: types(&["t2.micro", "t3.micro"]),
        image: None,
        subnet: None,
        disk_gib: 8,
        chat_port: Some(12345),
        chat_from: vec!["0.0.0.0/0".parse().unwrap()],
        ssh_from: vec!["198.51.100.7/32".parse().unwrap()],
        ports: Vec::new(),
        public_key: PUBLIC_KEY.to_owned(),
        adopt: false,
    }
}

pub(crate) fn image(name: &str, created_at: &str, architecture: &str) -> Image {
    Image {
        id: ImageId::new(format!("ami-{architecture}-{}", created_at.get(..4).unwrap())),
        name: format!("al2023-ami-2023.{name}-kernel-6.1-{architecture}"),
        created_at: format!("{created_at}T00:00:00.000Z"),
        architecture: architecture.to_owned(),
        root_device: Some("/dev/xvda".to_owned()),
        root_gib: Some(8),
    }
}

pub(crate) fn subnet(zone: char) -> Subnet {
    Subnet {
        id: SubnetId::new(format!("subnet-{zone}")),
        vpc: VpcId::new("vpc-1"),
        zone: format!("us-east-1{zone}"),
        maps_public_ip: true,
        is_default: true,
    }
}

pub(crate) fn facts(kind: &str, architectures: &[&str]) -> TypeFacts {
    TypeFacts {
        kind: InstanceType::new(kind),
        architectures: architectures.iter().map(ToString::to_string).collect(),
        burstable: true,
    }
}

pub(crate) fn catalog() -> Catalog {
    let offered = |kind: &str, zones: &[char]| {
        let offering =
            |zone: &char| Offering { kind: InstanceType::new(kind), zone: format!("us-east-1{zone}") };
        zones.iter().map(offering).collect::<Vec<_>>()
    };
    Catalog {
        region: "us-east-1".to_owned(),
        images: vec![
            image("9.20261101.0", "2026-11-01", "x86_64"),
            image("8.20250101.0", "2025-01-01", "x86_64"),
            image("9.20261101.0", "2026-11-01", "arm64"),
        ],
        vpc: Some(VpcId::new("vpc-1")),
        subnets: vec![subnet('b'), subnet('a'), subnet('e')],
        routes: RouteToInternet { main: true, ..RouteToInternet::default() },
        offerings: [
            offered("t2.micro", &['a', 'b']),
            offered("t3.micro", &['a', 'b', 'e']),
            offered("t4g.micro", &['a']),
        ]
        .concat(),
        types: vec![
            facts("t2.micro", &["i386", "x86_64"]),
            facts("t3.micro", &["x86_64"]),
            facts("t4g.micro", &["arm64"]),
        ],
    }
}

pub(crate) fn empty() -> Observed {
    Observed { catalog: Some(catalog()), ..Observed::default() }
}

pub(crate) fn ours() -> Tags {
    tags::ours(&spec().instance)
}

pub(crate) fn adopted() -> Tags {
    let mut tags = ours();
    tags.insert(tags::MANAGED.to_owned(), tags::ADOPTED.to_owned());
    tags
}

pub(crate) fn named(name: &str) -> Tags {
    Tags::from([(tags::NAME.to_owned(), name.to_owned())])
}

pub(crate) fn machine(id: &str, group: &str, tags: Tags) -> Instance {
    Instance {
        id: InstanceId::new(id),
        state: InstanceState::Running,
        state_reason: None,
        kind: InstanceType::new("t2.micro"),
        image: ImageId::new("ami-x86_64-2026"),
        address: Some([203, 0, 113, 5].into()),
        groups: vec![GroupId::new(group)],
        vpc: Some(VpcId::new("vpc-1")),
        subnet: Some(SubnetId::new("subnet-a")),
        zone: Some("us-east-1a".to_owned()),
        key_name: Some(spec().key_name()),
        client_token: Some("token".to_owned()),
        launched_at: 0,
        tags,
    }
}

pub(crate) fn group(id: &str, name: &str, tags: Tags) -> SecurityGroup {
    SecurityGroup {
        id: GroupId::new(id),
        name: name.to_owned(),
        vpc: Some(VpcId::new("vpc-1")),
        rules: Vec::new(),
        tags,
    }
}

pub(crate) fn rule(port: u16, range: &str, tags: Tags) -> GroupRule {
    let rule = Rule::tcp(port, range.parse().unwrap());
    GroupRule { id: RuleId::new(format!("sgr-{port}-{range}")), rule, tags }
}

pub(crate) fn key_pair(name: &str) -> KeyPair {
    KeyPair {
        id: KeyPairId::new(format!("key-{name}")),
        name: name.to_owned(),
        fingerprint: String::new(),
        tags: ours(),
    }
}

/// What `up` leaves.
pub(crate) fn running() -> Observed {
    Observed {
        machine: Some((Ownership::Ours, machine("i-1", "sg-1", ours()))),
        group: Some(group("sg-1", "chat-deploy-myserver", ours())),
        owns_group: true,
        rules: vec![rule(12345, "0.0.0.0/0", ours()), rule(22, "198.51.100.7/32", ours())],
        key_pairs: vec![key_pair(&spec().key_name())],
        ..Observed::default()
    }
}

/// A machine made in the console, by clicking.
pub(crate) fn by_hand() -> Observed {
    Observed {
        namesake: Some(machine("i-9", "sg-9", named("myserver"))),
        group: Some(group("sg-9", "launch-wizard-3", Tags::new())),
        rules: vec![rule(22, "0.0.0.0/0", Tags::new()), rule(12345, "0.0.0.0/0", Tags::new())],
        ..Observed::default()
    }
}

/// The same after it was adopted, and its chat port opened by us.
pub(crate) fn taken_over() -> Observed {
    let found = by_hand();
    Observed {
        machine: Some((Ownership::Adopted, machine("i-9", "sg-9", adopted()))),
        namesake: None,
        rules: vec![rule(22, "0.0.0.0/0", Tags::new()), rule(12345, "0.0.0.0/0", ours())],
        ..found
    }
}

pub(crate) fn changed<T>(mut value: T, change: impl FnOnce(&mut T)) -> T {
    change(&mut value);
    value
}

pub(crate) fn own_machine(observed: &mut Observed) -> &mut Instance {
    &mut observed.machine.as_mut().unwrap().1
}
