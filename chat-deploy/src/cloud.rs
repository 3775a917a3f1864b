//! The cloud as the engine sees it: the EC2 calls that we make, in our own words.
//!
//! Each method is one API call (all pages of it), so that whatever can happen between two calls can happen between two
//! methods too: a lost answer, a thing that is there and not yet visible, a kill. What the calls are for is decided in
//! `machine.rs`. Behind the trait is `cloud/ec2.rs`, or a cloud in memory in the tests.

mod connect;
#[cfg(feature = "ec2")]
pub mod ec2;
mod error;
mod permissions;
mod types;

pub use self::connect::{AddressError, ConnectError, Ec2Settings, connect, public_address};
pub use self::error::{CloudError, CloudErrorKind, FailedCall};
pub use self::permissions::{Action, Permission, Subjects, policy};
pub use self::types::{
    GroupId, GroupRule, Image, ImageId, ImageQuery, Instance, InstanceId, InstanceQuery, InstanceState,
    InstanceType, KeyPair, KeyPairId, Launch, NewGroup, Offering, RouteToInternet, Rule, RuleId,
    SecurityGroup, Subnet, SubnetId, Tags, TypeFacts, UserData, VpcId,
};

/// An account in one region. Calls may be made from several threads at once.
pub trait Cloud: Sync {
    /// Returns the region: `us-east-1`.
    fn region(&self) -> &str;

    /// DescribeInstances: those that match, in whatever state, terminated ones that still show included.
    ///
    /// # Errors
    ///
    /// [`CloudError`]; an id that is not there (or not yet) is [`CloudErrorKind::NotFound`].
    fn instances(&self, query: &InstanceQuery) -> Result<Vec<Instance>, CloudError>;

    /// DescribeSecurityGroups: those that carry all these tags.
    ///
    /// # Errors
    ///
    /// [`CloudError`].
    fn groups_tagged(&self, tags: &Tags) -> Result<Vec<SecurityGroup>, CloudError>;

    /// DescribeSecurityGroups: these.
    ///
    /// # Errors
    ///
    /// [`CloudError`]; [`CloudErrorKind::NotFound`] if one is not there (or not yet).
    fn groups(&self, ids: &[GroupId]) -> Result<Vec<SecurityGroup>, CloudError>;

    /// DescribeSecurityGroups: those of this name in a network.
    ///
    /// # Errors
    ///
    /// [`CloudError`].
    fn groups_named(&self, name: &str, vpc: &VpcId) -> Result<Vec<SecurityGroup>, CloudError>;

    /// DescribeSecurityGroupRules: the inbound rules of a group, with their ids and tags.
    ///
    /// # Errors
    ///
    /// [`CloudError`].
    fn rules(&self, group: &GroupId) -> Result<Vec<GroupRule>, CloudError>;

    /// DescribeKeyPairs: those that carry all these tags.
    ///
    /// # Errors
    ///
    /// [`CloudError`].
    fn key_pairs_tagged(&self, tags: &Tags) -> Result<Vec<KeyPair>, CloudError>;

    /// DescribeImages: those that are available and match.
    ///
    /// # Errors
    ///
    /// [`CloudError`].
    fn images(&self, query: &ImageQuery) -> Result<Vec<Image>, CloudError>;

    /// DescribeVpcs: the default network, if the account has one.
    ///
    /// # Errors
    ///
    /// [`CloudError`].
    fn default_vpc(&self) -> Result<Option<VpcId>, CloudError>;

    /// DescribeSubnets: those of a network, or the one named.
    ///
    /// # Errors
    ///
    /// [`CloudError`].
    fn subnets(&self, vpc: Option<&VpcId>, id: Option<&SubnetId>) -> Result<Vec<Subnet>, CloudError>;

    /// DescribeRouteTables: which of the network's subnets have a route to an internet gateway.
    ///
    /// # Errors
    ///
    /// [`CloudError`].
    fn routes(&self, vpc: &VpcId) -> Result<RouteToInternet, CloudError>;

    /// DescribeInstanceTypeOfferings: in which zones of the region these types are offered.
    ///
    /// # Errors
    ///
    /// [`CloudError`].
    fn offerings(&self, types: &[InstanceType]) -> Result<Vec<Offering>, CloudError>;

    /// DescribeInstanceTypes: what these types are; those that the region does not have are left out.
    ///
    /// # Errors
    ///
    /// [`CloudError`].
    fn type_facts(&self, types: &[InstanceType]) -> Result<Vec<TypeFacts>, CloudError>;

    /// GetConsoleOutput: what the machine wrote to its console, as far as EC2 has it.
    ///
    /// # Errors
    ///
    /// [`CloudError`].
    fn console_output(&self, instance: &InstanceId) -> Result<String, CloudError>;

    /// CreateSecurityGroup, tagged from the start.
    ///
    /// # Errors
    ///
    /// [`CloudError`]; [`CloudErrorKind::Duplicate`] if the network has one of that name.
    fn create_group(&self, group: &NewGroup) -> Result<GroupId, CloudError>;

    /// AuthorizeSecurityGroupIngress with one rule, tagged from the start.
    ///
    /// # Errors
    ///
    /// [`CloudError`]; [`CloudErrorKind::Duplicate`] if the group has it.
    fn authorize(&self, group: &GroupId, rule: &Rule, tags: &Tags) -> Result<(), CloudError>;

    /// RevokeSecurityGroupIngress.
    ///
    /// # Errors
    ///
    /// [`CloudError`]; [`CloudErrorKind::NotFound`] if the group does not have it.
    fn revoke(&self, group: &GroupId, rule: &RuleId) -> Result<(), CloudError>;

    /// DeleteSecurityGroup.
    ///
    /// # Errors
    ///
    /// [`CloudError`]; [`CloudErrorKind::InUse`] while a machine uses it.
    fn delete_group(&self, group: &GroupId) -> Result<(), CloudError>;

    /// ImportKeyPair, tagged from the start. `public_key` is a line as in `id_ed25519.pub`.
    ///
    /// # Errors
    ///
    /// [`CloudError`]; [`CloudErrorKind::Duplicate`] if there is one of that name.
    fn import_key_pair(&self, name: &str, public_key: &str, tags: &Tags) -> Result<KeyPairId, CloudError>;

    /// DeleteKeyPair, by its name; one that is not there is no error.
    ///
    /// # Errors
    ///
    /// [`CloudError`].
    fn delete_key_pair(&self, name: &str) -> Result<(), CloudError>;

    /// RunInstances: one machine, tagged from the start, its volume and network interface too.
    ///
    /// # Errors
    ///
    /// [`CloudError`]; [`CloudErrorKind::ParameterMismatch`] if the token was used for another request,
    /// [`CloudErrorKind::TokenSpent`] if the machine made with it is terminated, [`CloudErrorKind::Capacity`] and
    /// [`CloudErrorKind::TypeRefused`] if this type is not to be had here.
    fn run_instance(&self, launch: &Launch) -> Result<Instance, CloudError>;

    /// StartInstances.
    ///
    /// # Errors
    ///
    /// [`CloudError`].
    fn start_instance(&self, id: &InstanceId) -> Result<(), CloudError>;

    /// StopInstances.
    ///
    /// # Errors
    ///
    /// [`CloudError`].
    fn stop_instance(&self, id: &InstanceId) -> Result<(), CloudError>;

    /// TerminateInstances.
    ///
    /// # Errors
    ///
    /// [`CloudError`].
    fn terminate_instance(&self, id: &InstanceId) -> Result<(), CloudError>;

    /// CreateTags: sets tags on one resource, by its id.
    ///
    /// # Errors
    ///
    /// [`CloudError`].
    fn tag(&self, resource: &str, tags: &Tags) -> Result<(), CloudError>;

    /// DeleteTags: removes tags from one resource, by their keys.
    ///
    /// # Errors
    ///
    /// [`CloudError`].
    fn untag(&self, resource: &str, keys: &[&str]) -> Result<(), CloudError>;

    /// Asks by a dry run, which changes nothing, whether one call would do. A cloud that has no permissions does not say.
    fn permission(&self, action: Action, subjects: &Subjects) -> Option<Permission> {
        let _ = (action, subjects);
        None
    }

    /// Asks by dry runs, which change nothing, what the credentials allow: one entry for each of [`Action::ALL`]. A cloud
    /// that has no permissions answers with none.
    fn permissions(&self, subjects: &Subjects) -> Vec<(Action, Permission)> {
        let _ = subjects;
        Vec::new()
    }
}
