//! An account that can be looked at; every change is refused. The one that can be worked in is in `tests/engine`.

use std::sync::Mutex;

use crate::cloud::{
    Cloud, CloudError, GroupId, GroupRule, Image, ImageQuery, Instance, InstanceId, InstanceQuery,
    InstanceType, KeyPair, KeyPairId, Launch, NewGroup, Offering, RouteToInternet, Rule, RuleId,
    SecurityGroup, Subnet, SubnetId, Tags, TypeFacts, VpcId,
};
use crate::machine::fixtures;
use crate::machine::observe::Catalog;

/// What is there, and which calls were made.
pub(super) struct Account {
    pub(super) machines: Vec<Instance>,
    pub(super) groups: Vec<(SecurityGroup, Vec<GroupRule>)>,
    pub(super) key_pairs: Vec<KeyPair>,
    pub(super) catalog: Catalog,
    /// The machine that does not show by its tags yet.
    pub(super) late: Option<&'static str>,
    /// The call that fails.
    pub(super) fails: Option<&'static str>,
    pub(super) made: Mutex<Vec<&'static str>>,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            machines: Vec::new(),
            groups: Vec::new(),
            key_pairs: Vec::new(),
            catalog: fixtures::catalog(),
            late: None,
            fails: None,
            made: Mutex::default(),
        }
    }
}

impl Account {
    /// Returns the calls that were made, sorted: those at the same time come in any order.
    pub(super) fn calls(&self) -> Vec<&'static str> {
        let mut calls = self.made.lock().unwrap().clone();
        calls.sort_unstable();
        calls
    }

    fn answer<T>(&self, call: &'static str, answer: T) -> Result<T, CloudError> {
        self.made.lock().unwrap().push(call);
        if self.fails == Some(call) { refuse(call) } else { Ok(answer) }
    }
}

fn refuse<T>(call: &'static str) -> Result<T, CloudError> {
    Err(CloudError::answered(call, None, "UnauthorizedOperation", "You are not authorized."))
}

fn carries(tags: &Tags, wanted: &Tags) -> bool {
    wanted.iter().all(|(key, value)| tags.get(key) == Some(value))
}

impl Cloud for Account {
    fn region(&self) -> &str {
        &self.catalog.region
    }

    fn instances(&self, query: &InstanceQuery) -> Result<Vec<Instance>, CloudError> {
        let matches = |machine: &&Instance| match query {
            InstanceQuery::Id(id) => machine.id == *id,
            InstanceQuery::ClientToken(token) => machine.client_token.as_ref() == Some(token),
            InstanceQuery::Tagged(tags) => {
                self.late != Some(machine.id.as_str()) && carries(&machine.tags, tags)
            }
            InstanceQuery::InGroup(group) => machine.groups.contains(group),
        };
        self.answer("DescribeInstances", self.machines.iter().filter(matches).cloned().collect())
    }

    fn groups_tagged(&self, tags: &Tags) -> Result<Vec<SecurityGroup>, CloudError> {
        let groups = self.groups.iter().map(|(group, _)| group);
        self.answer(
            "DescribeSecurityGroups",
            groups.filter(|group| carries(&group.tags, tags)).cloned().collect(),
        )
    }

    fn groups(&self, ids: &[GroupId]) -> Result<Vec<SecurityGroup>, CloudError> {
        let groups = self.groups.iter().map(|(group, _)| group);
        self.answer(
            "DescribeSecurityGroups",
            groups.filter(|group| ids.contains(&group.id)).cloned().collect(),
        )
    }

    fn groups_named(&self, name: &str, _: &VpcId) -> Result<Vec<SecurityGroup>, CloudError> {
        let groups = self.groups.iter().map(|(group, _)| group);
        self.answer("DescribeSecurityGroups", groups.filter(|group| group.name == name).cloned().collect())
    }

    fn rules(&self, group: &GroupId) -> Result<Vec<GroupRule>, CloudError> {
        let rules = self.groups.iter().filter(|(there, _)| there.id == *group).flat_map(|(_, rules)| rules);
        self.answer("DescribeSecurityGroupRules", rules.cloned().collect())
    }

    fn key_pairs_tagged(&self, tags: &Tags) -> Result<Vec<KeyPair>, CloudError> {
        let pairs = self.key_pairs.iter().filter(|pair| carries(&pair.tags, tags));
        self.answer("DescribeKeyPairs", pairs.cloned().collect())
    }

    fn images(&self, query: &ImageQuery) -> Result<Vec<Image>, CloudError> {
        let matches = |image: &&Image| match query {
            ImageQuery::Id(id) => image.id == *id,
            ImageQuery::Named { pattern, .. } => image.name.starts_with(pattern.trim_end_matches('*')),
        };
        let images: Vec<_> = self.catalog.images.iter().filter(matches).cloned().collect();
        match query {
            ImageQuery::Id(id) if images.is_empty() => {
                Err(CloudError::answered("DescribeImages", Some(id.as_str()), "InvalidAMIID.NotFound", ""))
            }
            _ => self.answer("DescribeImages", images),
        }
    }

    fn default_vpc(&self) -> Result<Option<VpcId>, CloudError> {
        self.answer("DescribeVpcs", self.catalog.vpc.clone())
    }

    fn subnets(&self, vpc: Option<&VpcId>, id: Option<&SubnetId>) -> Result<Vec<Subnet>, CloudError> {
        let matches = |subnet: &&Subnet| {
            vpc.is_none_or(|vpc| subnet.vpc == *vpc) && id.is_none_or(|id| subnet.id == *id)
        };
        let subnets: Vec<_> = self.catalog.subnets.iter().filter(matches).cloned().collect();
        match id {
            Some(id) if subnets.is_empty() => Err(CloudError::answered(
                "DescribeSubnets",
                Some(id.as_str()),
                "InvalidSubnetID.NotFound",
                "",
            )),
            _ => self.answer("DescribeSubnets", subnets),
        }
    }

    fn routes(&self, _: &VpcId) -> Result<RouteToInternet, CloudError> {
        self.answer("DescribeRouteTables", self.catalog.routes.clone())
    }

    fn offerings(&self, types: &[InstanceType]) -> Result<Vec<Offering>, CloudError> {
        let offerings = self.catalog.offerings.iter().filter(|offering| types.contains(&offering.kind));
        self.answer("DescribeInstanceTypeOfferings", offerings.cloned().collect())
    }

    fn type_facts(&self, types: &[InstanceType]) -> Result<Vec<TypeFacts>, CloudError> {
        let facts = self.catalog.types.iter().filter(|facts| types.contains(&facts.kind));
        self.answer("DescribeInstanceTypes", facts.cloned().collect())
    }

    fn console_output(&self, _: &InstanceId) -> Result<String, CloudError> {
        refuse("GetConsoleOutput")
    }

    fn create_group(&self, _: &NewGroup) -> Result<GroupId, CloudError> {
        refuse("CreateSecurityGroup")
    }

    fn authorize(&self, _: &GroupId, _: &Rule, _: &Tags) -> Result<(), CloudError> {
        refuse("AuthorizeSecurityGroupIngress")
    }

    fn revoke(&self, _: &GroupId, _: &RuleId) -> Result<(), CloudError> {
        refuse("RevokeSecurityGroupIngress")
    }

    fn delete_group(&self, _: &GroupId) -> Result<(), CloudError> {
        refuse("DeleteSecurityGroup")
    }

    fn import_key_pair(&self, _: &str, _: &str, _: &Tags) -> Result<KeyPairId, CloudError> {
        refuse("ImportKeyPair")
    }

    fn delete_key_pair(&self, _: &str) -> Result<(), CloudError> {
        refuse("DeleteKeyPair")
    }

    fn run_instance(&self, _: &Launch) -> Result<Instance, CloudError> {
        refuse("RunInstances")
    }

    fn start_instance(&self, _: &InstanceId) -> Result<(), CloudError> {
        refuse("StartInstances")
    }

    fn stop_instance(&self, _: &InstanceId) -> Result<(), CloudError> {
        refuse("StopInstances")
    }

    fn terminate_instance(&self, _: &InstanceId) -> Result<(), CloudError> {
        refuse("TerminateInstances")
    }

    fn tag(&self, _: &str, _: &Tags) -> Result<(), CloudError> {
        refuse("CreateTags")
    }

    fn untag(&self, _: &str, _: &[&str]) -> Result<(), CloudError> {
        refuse("DeleteTags")
    }
}
