//! EC2, as the cloud of [`Cloud`]: one SDK call behind each method. The only user of the AWS crates.
//!
//! - `connect.rs`: region, credentials, time limits; `retry.rs`; `driver.rs`: the thread the SDK lives on;
//! - `write.rs`: what we ask for, `read.rs`: what is answered, `failure.rs`: what went wrong;
//! - `permissions.rs`: the same calls as dry runs; `checkip.rs`: our own address as AWS sees it.

mod checkip;
mod connect;
mod driver;
mod failure;
mod permissions;
mod read;
mod retry;
#[cfg(test)]
mod tests;
mod write;

use std::error::Error;
use std::sync::Arc;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::RequestId;
use aws_sdk_ec2::primitives::Blob;
use aws_sdk_ec2::types::{LocationType, ResourceType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use self::driver::Driver;
use self::failure::Call;
use self::read::{Malformed, required};
use self::write::{filter, tag_filters, tag_list, tagged};
use super::{
    Action, Cloud, CloudError, GroupId, GroupRule, Image, ImageQuery, Instance, InstanceId, InstanceQuery,
    InstanceType, KeyPair, KeyPairId, Launch, NewGroup, Offering, Permission, RouteToInternet, Rule, RuleId,
    SecurityGroup, Subjects, Subnet, SubnetId, Tags, TypeFacts, VpcId,
};
use crate::interrupt::Interrupt;

pub use self::checkip::public_address;

/// How many things EC2 is to put on one page: the most it takes. Images come without, since of all that Amazon has made
/// few match, and a page is filled before it is filtered.
const PAGE: i32 = 1000;
/// The same for the calls that take less.
const SMALL_PAGE: i32 = 100;

/// An account in a region of EC2.
#[derive(Clone, Debug)]
pub struct Ec2 {
    client: Client,
    region: String,
    /// Set if EC2 is to do nothing but say whether it would.
    dry_run: Option<bool>,
    driver: Arc<Driver>,
    interrupt: Interrupt,
}

impl Ec2 {
    fn over(
        config: aws_sdk_ec2::config::Builder,
        region: String,
        driver: Driver,
        interrupt: Interrupt,
    ) -> Self {
        let client = Client::from_conf(config.retry_classifier(retry::FullZonesAreFinal).build());
        Self { client, region, dry_run: None, driver: Arc::new(driver), interrupt }
    }

    /// Waits for EC2's answer, or until the run is to stop.
    fn send<T, E>(
        &self,
        call: Call,
        answer: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, CloudError>
    where
        E: ProvideErrorMetadata + RequestId + Error + Send + Sync + 'static,
    {
        match self.driver.wait_unless(&self.interrupt, answer) {
            Some(answer) => answer.map_err(|error| call.failed(error)),
            None => Err(call.abandoned()),
        }
    }

    /// Waits for all pages of EC2's answer, and reads each item.
    fn list<S, T, E>(
        &self,
        call: Call,
        answer: impl Future<Output = Result<Vec<S>, SdkError<E, HttpResponse>>>,
        read: impl FnMut(S) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, CloudError>
    where
        E: ProvideErrorMetadata + RequestId + Error + Send + Sync + 'static,
    {
        let items = self.send(call.clone(), answer)?;
        items.into_iter().map(read).collect::<Result<_, _>>().map_err(|malformed| call.malformed(malformed))
    }
}

impl Cloud for Ec2 {
    fn region(&self) -> &str {
        &self.region
    }

    fn instances(&self, query: &InstanceQuery) -> Result<Vec<Instance>, CloudError> {
        let action = Action::DescribeInstances;
        let request = self.client.describe_instances().set_dry_run(self.dry_run);
        // A page has a size only where no ids are given.
        let (call, request) = match query {
            InstanceQuery::Id(id) => (Call::about(action, id.as_str()), request.instance_ids(id.as_str())),
            InstanceQuery::ClientToken(token) => {
                (Call::new(action), request.max_results(PAGE).filters(filter("client-token", [token])))
            }
            InstanceQuery::Tagged(tags) if tags.is_empty() => {
                return Err(Call::new(action).refused("no tags were given, which would mean every machine"));
            }
            InstanceQuery::Tagged(tags) => {
                (Call::new(action), request.max_results(PAGE).set_filters(tag_filters(tags)))
            }
            InstanceQuery::InGroup(group) => {
                let in_group = filter("instance.group-id", [group.as_str()]);
                (Call::about(action, group.as_str()), request.max_results(PAGE).filters(in_group))
            }
        };
        let reservations = request.into_paginator().items().send().collect();
        let reservations =
            self.list(call.clone(), reservations, |found| Ok(found.instances.unwrap_or_default()))?;
        let instances = reservations.into_iter().flatten().map(read::instance).collect::<Result<_, _>>();
        instances.map_err(|malformed| call.malformed(malformed))
    }

    fn groups_tagged(&self, tags: &Tags) -> Result<Vec<SecurityGroup>, CloudError> {
        let call = Call::new(Action::DescribeSecurityGroups);
        if tags.is_empty() {
            return Err(call.refused("no tags were given, which would mean every group"));
        }
        let request = self.client.describe_security_groups().set_dry_run(self.dry_run).max_results(PAGE);
        let pages = request.set_filters(tag_filters(tags)).into_paginator();
        self.list(call, pages.items().send().collect(), read::group)
    }

    fn groups(&self, ids: &[GroupId]) -> Result<Vec<SecurityGroup>, CloudError> {
        let ids: Vec<String> = ids.iter().map(|id| id.as_str().to_owned()).collect();
        // No ids at all would mean every group.
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let call = Call::about(Action::DescribeSecurityGroups, &ids.join(", "));
        let request = self.client.describe_security_groups().set_dry_run(self.dry_run);
        let pages = request.set_group_ids(Some(ids)).into_paginator();
        self.list(call, pages.items().send().collect(), read::group)
    }

    fn groups_named(&self, name: &str, vpc: &VpcId) -> Result<Vec<SecurityGroup>, CloudError> {
        let call = Call::about(Action::DescribeSecurityGroups, name);
        let request = self.client.describe_security_groups().set_dry_run(self.dry_run).max_results(PAGE);
        let pages = request
            .filters(filter("group-name", [name]))
            .filters(filter("vpc-id", [vpc.as_str()]))
            .into_paginator();
        self.list(call, pages.items().send().collect(), read::group)
    }

    fn rules(&self, group: &GroupId) -> Result<Vec<GroupRule>, CloudError> {
        let call = Call::about(Action::DescribeSecurityGroupRules, group.as_str());
        let request = self.client.describe_security_group_rules().set_dry_run(self.dry_run).max_results(PAGE);
        let pages = request.filters(filter("group-id", [group.as_str()])).into_paginator();
        let rules = self.list(call, pages.items().send().collect(), read::group_rule)?;
        Ok(rules.into_iter().flatten().collect())
    }

    fn key_pairs_tagged(&self, tags: &Tags) -> Result<Vec<KeyPair>, CloudError> {
        let call = Call::new(Action::DescribeKeyPairs);
        if tags.is_empty() {
            return Err(call.refused("no tags were given, which would mean every key pair"));
        }
        let request =
            self.client.describe_key_pairs().set_dry_run(self.dry_run).set_filters(tag_filters(tags));
        let answer = async { Ok(request.send().await?.key_pairs.unwrap_or_default()) };
        self.list(call, answer, read::key_pair)
    }

    fn images(&self, query: &ImageQuery) -> Result<Vec<Image>, CloudError> {
        let request = self.client.describe_images().set_dry_run(self.dry_run);
        let request = request.filters(filter("state", ["available"]));
        let (about, request) = match query {
            ImageQuery::Id(id) => (id.as_str(), request.image_ids(id.as_str())),
            ImageQuery::Named { owner, pattern } => {
                (*pattern, request.owners(*owner).filters(filter("name", [*pattern])))
            }
        };
        let call = Call::about(Action::DescribeImages, about);
        self.list(call, request.into_paginator().items().send().collect(), read::image)
    }

    fn default_vpc(&self) -> Result<Option<VpcId>, CloudError> {
        let request = self.client.describe_vpcs().set_dry_run(self.dry_run).max_results(PAGE);
        let pages = request.filters(filter("is-default", ["true"])).into_paginator();
        let id = |vpc: aws_sdk_ec2::types::Vpc| required(vpc.vpc_id, "vpcId");
        let ids = self.list(Call::new(Action::DescribeVpcs), pages.items().send().collect(), id)?;
        Ok(ids.into_iter().next().map(VpcId::new))
    }

    fn subnets(&self, vpc: Option<&VpcId>, id: Option<&SubnetId>) -> Result<Vec<Subnet>, CloudError> {
        let action = Action::DescribeSubnets;
        let request = self.client.describe_subnets().set_dry_run(self.dry_run);
        let request = match vpc {
            Some(vpc) => request.filters(filter("vpc-id", [vpc.as_str()])),
            None => request,
        };
        let (call, request) = match id {
            Some(id) => (Call::about(action, id.as_str()), request.subnet_ids(id.as_str())),
            None => (Call::new(action), request.max_results(PAGE)),
        };
        self.list(call, request.into_paginator().items().send().collect(), read::subnet)
    }

    fn routes(&self, vpc: &VpcId) -> Result<RouteToInternet, CloudError> {
        let call = Call::about(Action::DescribeRouteTables, vpc.as_str());
        let request = self.client.describe_route_tables().set_dry_run(self.dry_run).max_results(SMALL_PAGE);
        let pages = request.filters(filter("vpc-id", [vpc.as_str()])).into_paginator();
        self.list(call, pages.items().send().collect(), Ok).map(read::routes)
    }

    fn offerings(&self, types: &[InstanceType]) -> Result<Vec<Offering>, CloudError> {
        let request =
            self.client.describe_instance_type_offerings().set_dry_run(self.dry_run).max_results(PAGE);
        let pages = request
            .location_type(LocationType::AvailabilityZone)
            .filters(filter("instance-type", types.iter().map(InstanceType::as_str)))
            .into_paginator();
        let call = Call::new(Action::DescribeInstanceTypeOfferings);
        self.list(call, pages.items().send().collect(), read::offering)
    }

    fn type_facts(&self, types: &[InstanceType]) -> Result<Vec<TypeFacts>, CloudError> {
        let request = self.client.describe_instance_types().set_dry_run(self.dry_run).max_results(SMALL_PAGE);
        // By a filter, which leaves out what the region does not have; by name that would be an error.
        let pages =
            request.filters(filter("instance-type", types.iter().map(InstanceType::as_str))).into_paginator();
        let call = Call::new(Action::DescribeInstanceTypes);
        self.list(call, pages.items().send().collect(), read::type_facts)
    }

    fn console_output(&self, instance: &InstanceId) -> Result<String, CloudError> {
        let call = Call::about(Action::GetConsoleOutput, instance.as_str());
        let request =
            self.client.get_console_output().set_dry_run(self.dry_run).instance_id(instance.as_str());
        let text = self.send(call.clone(), request.send())?.output.unwrap_or_default();
        let bytes = BASE64.decode(text.trim()).map_err(|_| call.malformed(Malformed::Strange("output")))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn create_group(&self, group: &NewGroup) -> Result<GroupId, CloudError> {
        let call = Call::about(Action::CreateSecurityGroup, &group.name);
        let request = self
            .client
            .create_security_group()
            .set_dry_run(self.dry_run)
            .group_name(&group.name)
            .description(&group.description)
            .vpc_id(group.vpc.as_str())
            .tag_specifications(tagged(ResourceType::SecurityGroup, &group.tags));
        let id = required(self.send(call.clone(), request.send())?.group_id, "groupId");
        id.map(GroupId::new).map_err(|malformed| call.malformed(malformed))
    }

    fn authorize(&self, group: &GroupId, rule: &Rule, tags: &Tags) -> Result<(), CloudError> {
        let call = Call::about(Action::AuthorizeSecurityGroupIngress, group.as_str());
        let request = self
            .client
            .authorize_security_group_ingress()
            .set_dry_run(self.dry_run)
            .group_id(group.as_str())
            .ip_permissions(write::permission(rule))
            .tag_specifications(tagged(ResourceType::SecurityGroupRule, tags));
        self.send(call, request.send()).map(drop)
    }

    fn revoke(&self, group: &GroupId, rule: &RuleId) -> Result<(), CloudError> {
        let call = Call::about(Action::RevokeSecurityGroupIngress, rule.as_str());
        let request = self
            .client
            .revoke_security_group_ingress()
            .set_dry_run(self.dry_run)
            .group_id(group.as_str())
            .security_group_rule_ids(rule.as_str());
        // Of some rules that it does not have, EC2 says so without calling it an error.
        match self.send(call.clone(), request.send())?.r#return {
            Some(false) => Err(call.not_found()),
            _ => Ok(()),
        }
    }

    fn delete_group(&self, group: &GroupId) -> Result<(), CloudError> {
        let call = Call::about(Action::DeleteSecurityGroup, group.as_str());
        let request = self.client.delete_security_group().set_dry_run(self.dry_run).group_id(group.as_str());
        self.send(call, request.send()).map(drop)
    }

    fn import_key_pair(&self, name: &str, public_key: &str, tags: &Tags) -> Result<KeyPairId, CloudError> {
        let call = Call::about(Action::ImportKeyPair, name);
        let request = self
            .client
            .import_key_pair()
            .set_dry_run(self.dry_run)
            .key_name(name)
            .public_key_material(Blob::new(public_key))
            .tag_specifications(tagged(ResourceType::KeyPair, tags));
        let id = required(self.send(call.clone(), request.send())?.key_pair_id, "keyPairId");
        id.map(KeyPairId::new).map_err(|malformed| call.malformed(malformed))
    }

    fn delete_key_pair(&self, name: &str) -> Result<(), CloudError> {
        let call = Call::about(Action::DeleteKeyPair, name);
        let request = self.client.delete_key_pair().set_dry_run(self.dry_run).key_name(name);
        self.send(call, request.send()).map(drop)
    }

    fn run_instance(&self, launch: &Launch) -> Result<Instance, CloudError> {
        let what = format!("{} in {}", launch.kind, launch.subnet);
        let call = Call::about(Action::RunInstances, &what);
        let request = write::launch(&self.client, launch).set_dry_run(self.dry_run);
        let instances = self.send(call.clone(), request.send())?.instances.unwrap_or_default();
        let first = required(instances.into_iter().next(), "an instance");
        first.and_then(read::instance).map_err(|malformed| call.malformed(malformed))
    }

    fn start_instance(&self, id: &InstanceId) -> Result<(), CloudError> {
        let call = Call::about(Action::StartInstances, id.as_str());
        let request = self.client.start_instances().set_dry_run(self.dry_run).instance_ids(id.as_str());
        self.send(call, request.send()).map(drop)
    }

    fn stop_instance(&self, id: &InstanceId) -> Result<(), CloudError> {
        let call = Call::about(Action::StopInstances, id.as_str());
        let request = self.client.stop_instances().set_dry_run(self.dry_run).instance_ids(id.as_str());
        self.send(call, request.send()).map(drop)
    }

    fn terminate_instance(&self, id: &InstanceId) -> Result<(), CloudError> {
        let call = Call::about(Action::TerminateInstances, id.as_str());
        let request = self.client.terminate_instances().set_dry_run(self.dry_run).instance_ids(id.as_str());
        self.send(call, request.send()).map(drop)
    }

    fn tag(&self, resource: &str, tags: &Tags) -> Result<(), CloudError> {
        let request = self.client.create_tags().set_dry_run(self.dry_run).resources(resource);
        let request = request.set_tags(tag_list(tags));
        self.send(Call::about(Action::CreateTags, resource), request.send()).map(drop)
    }

    fn untag(&self, resource: &str, keys: &[&str]) -> Result<(), CloudError> {
        let call = Call::about(Action::DeleteTags, resource);
        // No tags at all would mean every tag.
        if keys.is_empty() {
            return Err(call.refused("no keys were given, which would mean every tag"));
        }
        let tags = keys.iter().map(|key| aws_sdk_ec2::types::Tag::builder().key(*key).build()).collect();
        let request =
            self.client.delete_tags().set_dry_run(self.dry_run).resources(resource).set_tags(Some(tags));
        self.send(call, request.send()).map(drop)
    }

    fn permission(&self, action: Action, subjects: &Subjects) -> Option<Permission> {
        Some(permissions::ask_one(&Self { dry_run: Some(true), ..self.clone() }, action, subjects))
    }

    fn permissions(&self, subjects: &Subjects) -> Vec<(Action, Permission)> {
        permissions::ask(&Self { dry_run: Some(true), ..self.clone() }, subjects)
    }
}
