//! Our wishes, as EC2 wants them said.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::operation::run_instances::builders::RunInstancesFluentBuilder;
use aws_sdk_ec2::types as sdk;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::cloud::{Launch, Rule, Tags};

/// How many routers an answer of the metadata service may cross. One keeps it on the machine itself, out of the reach of
/// containers and of whatever forwards packets; nothing of ours needs it further away.
const METADATA_HOPS: i32 = 1;

pub(super) fn filter(name: &str, values: impl IntoIterator<Item = impl Into<String>>) -> sdk::Filter {
    let values = values.into_iter().map(Into::into).collect();
    sdk::Filter::builder().name(name).set_values(Some(values)).build()
}

/// Only what carries all of these.
pub(super) fn tag_filters(tags: &Tags) -> Option<Vec<sdk::Filter>> {
    Some(tags.iter().map(|(key, value)| filter(&format!("tag:{key}"), [value])).collect())
}

pub(super) fn tag_list(tags: &Tags) -> Option<Vec<sdk::Tag>> {
    Some(tags.iter().map(|(key, value)| sdk::Tag::builder().key(key).value(value).build()).collect())
}

pub(super) fn tagged(kind: sdk::ResourceType, tags: &Tags) -> sdk::TagSpecification {
    sdk::TagSpecification::builder().resource_type(kind).set_tags(tag_list(tags)).build()
}

pub(super) fn permission(rule: &Rule) -> sdk::IpPermission {
    let permission = sdk::IpPermission::builder()
        .ip_protocol(&rule.protocol)
        .set_from_port(rule.from_port.map(i32::from))
        .set_to_port(rule.to_port.map(i32::from));
    let source = &rule.source;
    let permission = if source.starts_with("sg-") {
        permission.user_id_group_pairs(sdk::UserIdGroupPair::builder().group_id(source).build())
    } else if source.starts_with("pl-") {
        permission.prefix_list_ids(sdk::PrefixListId::builder().prefix_list_id(source).build())
    } else if source.contains(':') {
        permission.ipv6_ranges(sdk::Ipv6Range::builder().cidr_ipv6(source).build())
    } else {
        permission.ip_ranges(sdk::IpRange::builder().cidr_ip(source).build())
    };
    permission.build()
}

pub(super) fn launch(client: &Client, launch: &Launch) -> RunInstancesFluentBuilder {
    use sdk::ResourceType::{Instance, NetworkInterface, Volume};
    let tags = [Instance, Volume, NetworkInterface].map(|kind| tagged(kind, &launch.tags));
    client
        .run_instances()
        .client_token(&launch.client_token)
        .min_count(1)
        .max_count(1)
        .image_id(launch.image.as_str())
        .instance_type(launch.kind.as_str().into())
        .key_name(&launch.key_name)
        .network_interfaces(network_interface(launch))
        .block_device_mappings(root_disk(launch))
        .metadata_options(metadata())
        .set_credit_specification(launch.standard_credits.then(standard_credits))
        .user_data(BASE64.encode(launch.user_data.as_str()))
        .set_tag_specifications(Some(tags.to_vec()))
}

fn network_interface(launch: &Launch) -> sdk::InstanceNetworkInterfaceSpecification {
    sdk::InstanceNetworkInterfaceSpecification::builder()
        .device_index(0)
        .associate_public_ip_address(true)
        .delete_on_termination(true)
        .groups(launch.group.as_str())
        .subnet_id(launch.subnet.as_str())
        .build()
}

fn root_disk(launch: &Launch) -> sdk::BlockDeviceMapping {
    let disk = sdk::EbsBlockDevice::builder()
        .volume_type(sdk::VolumeType::Gp3)
        .volume_size(i32::try_from(launch.root_gib).unwrap_or(i32::MAX))
        .encrypted(true)
        .delete_on_termination(true);
    sdk::BlockDeviceMapping::builder().device_name(&launch.root_device).ebs(disk.build()).build()
}

fn metadata() -> sdk::InstanceMetadataOptionsRequest {
    sdk::InstanceMetadataOptionsRequest::builder()
        .http_endpoint(sdk::InstanceMetadataEndpointState::Enabled)
        .http_tokens(sdk::HttpTokensState::Required)
        .http_put_response_hop_limit(METADATA_HOPS)
        .build()
}

fn standard_credits() -> sdk::CreditSpecificationRequest {
    sdk::CreditSpecificationRequest::builder().cpu_credits("standard").build()
}
