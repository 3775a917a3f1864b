//! EC2's answers, in our own words. In the SDK every field is optional; what EC2 always sends is insisted on here.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types as sdk;
use thiserror::Error;

use crate::cloud::{
    GroupId, GroupRule, Image, ImageId, Instance, InstanceId, InstanceState, InstanceType, KeyPair,
    KeyPairId, Offering, RouteToInternet, Rule, RuleId, SecurityGroup, Subnet, SubnetId, Tags, TypeFacts,
    VpcId,
};

/// An answer that is not as EC2's are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Malformed {
    /// What is always there is not.
    #[error("the answer lacks {0}")]
    Lacks(&'static str),
    /// It is there, and is nothing that it can be.
    #[error("the answer has a {0} that makes no sense")]
    Strange(&'static str),
}

/// Insists on a field that EC2 always sends.
pub(super) fn required<T>(value: Option<T>, field: &'static str) -> Result<T, Malformed> {
    value.ok_or(Malformed::Lacks(field))
}

pub(super) fn instance(from: sdk::Instance) -> Result<Instance, Malformed> {
    let state = from.state.and_then(|state| state.name);
    let address = from.public_ip_address.filter(|text| !text.is_empty());
    let interfaces = from.network_interfaces.unwrap_or_default().into_iter();
    let groups = interfaces.flat_map(|interface| interface.groups.unwrap_or_default());
    let groups = from.security_groups.unwrap_or_default().into_iter().chain(groups);
    // Those of the first interface are named twice.
    let groups: BTreeSet<String> = groups.filter_map(|group| group.group_id).collect();
    Ok(Instance {
        id: InstanceId::new(required(from.instance_id, "instanceId")?),
        state: instance_state(&required(state, "instanceState")?)?,
        state_reason: from.state_reason.and_then(|reason| reason.message).filter(|text| !text.is_empty()),
        kind: InstanceType::new(required(from.instance_type, "instanceType")?.as_str()),
        image: ImageId::new(required(from.image_id, "imageId")?),
        address: address.map(|text| parse_address(&text)).transpose()?,
        groups: groups.into_iter().map(GroupId::new).collect(),
        vpc: from.vpc_id.map(VpcId::new),
        subnet: from.subnet_id.map(SubnetId::new),
        zone: from.placement.and_then(|placement| placement.availability_zone),
        key_name: from.key_name,
        client_token: from.client_token.filter(|token| !token.is_empty()),
        launched_at: seconds(required(from.launch_time, "launchTime")?)?,
        tags: tags(from.tags),
    })
}

fn instance_state(name: &sdk::InstanceStateName) -> Result<InstanceState, Malformed> {
    match name {
        sdk::InstanceStateName::Pending => Ok(InstanceState::Pending),
        sdk::InstanceStateName::Running => Ok(InstanceState::Running),
        sdk::InstanceStateName::Stopping => Ok(InstanceState::Stopping),
        sdk::InstanceStateName::Stopped => Ok(InstanceState::Stopped),
        sdk::InstanceStateName::ShuttingDown => Ok(InstanceState::ShuttingDown),
        sdk::InstanceStateName::Terminated => Ok(InstanceState::Terminated),
        _ => Err(Malformed::Strange("instanceState")),
    }
}

fn parse_address(text: &str) -> Result<Ipv4Addr, Malformed> {
    text.parse().map_err(|_| Malformed::Strange("ipAddress"))
}

fn seconds(time: DateTime) -> Result<u64, Malformed> {
    u64::try_from(time.secs()).map_err(|_| Malformed::Strange("launchTime"))
}

pub(super) fn tags(from: Option<Vec<sdk::Tag>>) -> Tags {
    let pair = |tag: sdk::Tag| Some((tag.key?, tag.value.unwrap_or_default()));
    from.unwrap_or_default().into_iter().filter_map(pair).collect()
}

pub(super) fn group(from: sdk::SecurityGroup) -> Result<SecurityGroup, Malformed> {
    let mut rules = Vec::new();
    for permission in from.ip_permissions.unwrap_or_default() {
        rules.extend(permission_rules(permission)?);
    }
    Ok(SecurityGroup {
        id: GroupId::new(required(from.group_id, "groupId")?),
        name: required(from.group_name, "groupName")?,
        vpc: from.vpc_id.map(VpcId::new),
        rules,
        tags: tags(from.tags),
    })
}

/// One rule for each source: EC2 puts those with the same ports together.
fn permission_rules(from: sdk::IpPermission) -> Result<Vec<Rule>, Malformed> {
    let protocol = required(from.ip_protocol, "ipProtocol")?;
    let ranges = from.ip_ranges.unwrap_or_default().into_iter().map(|range| range.cidr_ip);
    let ranges_6 = from.ipv6_ranges.unwrap_or_default().into_iter().map(|range| range.cidr_ipv6);
    let lists = from.prefix_list_ids.unwrap_or_default().into_iter().map(|list| list.prefix_list_id);
    let groups = from.user_id_group_pairs.unwrap_or_default().into_iter().map(|group| group.group_id);
    let sources = ranges.chain(ranges_6).chain(lists).chain(groups);
    let rule = |source| rule(&protocol, from.from_port, from.to_port, source);
    sources.map(rule).collect()
}

fn rule(
    protocol: &str,
    from: Option<i32>,
    to: Option<i32>,
    source: Option<String>,
) -> Result<Rule, Malformed> {
    Ok(Rule {
        protocol: protocol.to_owned(),
        from_port: port(from)?,
        to_port: port(to)?,
        source: required(source, "source of a rule")?,
    })
}

/// EC2 writes -1 for all, or leaves it out.
fn port(number: Option<i32>) -> Result<Option<u16>, Malformed> {
    let number = number.filter(|number| *number != -1);
    number.map(u16::try_from).transpose().map_err(|_| Malformed::Strange("port"))
}

/// `None` for an outbound rule.
pub(super) fn group_rule(from: sdk::SecurityGroupRule) -> Result<Option<GroupRule>, Malformed> {
    if from.is_egress == Some(true) {
        return Ok(None);
    }
    let group = from.referenced_group_info.and_then(|group| group.group_id);
    let source = from.cidr_ipv4.or(from.cidr_ipv6).or(from.prefix_list_id).or(group);
    let protocol = required(from.ip_protocol, "ipProtocol")?;
    Ok(Some(GroupRule {
        id: RuleId::new(required(from.security_group_rule_id, "securityGroupRuleId")?),
        rule: rule(&protocol, from.from_port, from.to_port, source)?,
        tags: tags(from.tags),
    }))
}

pub(super) fn key_pair(from: sdk::KeyPairInfo) -> Result<KeyPair, Malformed> {
    Ok(KeyPair {
        id: KeyPairId::new(required(from.key_pair_id, "keyPairId")?),
        name: required(from.key_name, "keyName")?,
        fingerprint: required(from.key_fingerprint, "keyFingerprint")?,
        tags: tags(from.tags),
    })
}

pub(super) fn image(from: sdk::Image) -> Result<Image, Malformed> {
    let root = from.root_device_name;
    let is_root = |disk: &sdk::BlockDeviceMapping| disk.device_name == root;
    let root_disk = from.block_device_mappings.unwrap_or_default().into_iter().find(is_root);
    let root_gib = root_disk.and_then(|disk| disk.ebs).and_then(|disk| disk.volume_size);
    Ok(Image {
        id: ImageId::new(required(from.image_id, "imageId")?),
        name: required(from.name, "name")?,
        created_at: required(from.creation_date, "creationDate")?,
        architecture: required(from.architecture, "architecture")?.as_str().to_owned(),
        root_device: root,
        root_gib: root_gib.map(u32::try_from).transpose().map_err(|_| Malformed::Strange("volumeSize"))?,
    })
}

pub(super) fn subnet(from: sdk::Subnet) -> Result<Subnet, Malformed> {
    Ok(Subnet {
        id: SubnetId::new(required(from.subnet_id, "subnetId")?),
        vpc: VpcId::new(required(from.vpc_id, "vpcId")?),
        zone: required(from.availability_zone, "availabilityZone")?,
        maps_public_ip: from.map_public_ip_on_launch.unwrap_or_default(),
        is_default: from.default_for_az.unwrap_or_default(),
    })
}

pub(super) fn routes(tables: Vec<sdk::RouteTable>) -> RouteToInternet {
    let mut routes = RouteToInternet::default();
    for table in tables {
        let leads_out = table.routes.unwrap_or_default().iter().any(is_way_out);
        for association in table.associations.unwrap_or_default() {
            if association.main == Some(true) {
                routes.main = leads_out;
            } else if let Some(subnet) = association.subnet_id {
                routes.subnets.insert(subnet, leads_out);
            }
        }
    }
    routes
}

/// A way out through a NAT gateway would not do: nobody comes in through that.
fn is_way_out(route: &sdk::Route) -> bool {
    route.destination_cidr_block.as_deref() == Some("0.0.0.0/0")
        && route.gateway_id.as_deref().is_some_and(|gateway| gateway.starts_with("igw-"))
        && route.state != Some(sdk::RouteState::Blackhole)
}

pub(super) fn offering(from: sdk::InstanceTypeOffering) -> Result<Offering, Malformed> {
    Ok(Offering {
        kind: InstanceType::new(required(from.instance_type, "instanceType")?.as_str()),
        zone: required(from.location, "location")?,
    })
}

pub(super) fn type_facts(from: sdk::InstanceTypeInfo) -> Result<TypeFacts, Malformed> {
    let architectures = from.processor_info.and_then(|processor| processor.supported_architectures);
    let architectures = required(architectures, "supportedArchitectures")?;
    Ok(TypeFacts {
        kind: InstanceType::new(required(from.instance_type, "instanceType")?.as_str()),
        architectures: architectures.iter().map(|name| name.as_str().to_owned()).collect(),
        burstable: from.burstable_performance_supported.unwrap_or_default(),
    })
}
