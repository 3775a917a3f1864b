//! Looks at what the cloud has of an instance, and at what it has to offer for a new machine. Changes nothing.

use crate::cloud::{
    Cloud, GroupRule, Image, Instance, KeyPair, Offering, RouteToInternet, SecurityGroup, Subnet, TypeFacts,
};
use crate::instance::InstanceName;
use crate::machine::MachineError;
use crate::machine::spec::Spec;
use crate::machine::tags::Ownership;

/// What the cloud has of one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The machine with our tags that is not on its way out, and whose it is.
    pub machine: Option<(Ownership, Instance)>,
    /// Machines with our tags on their way out, or gone and still shown.
    pub ending: Vec<Instance>,
    /// Machines that only have the name; looked for if there is none with our tags.
    pub namesakes: Vec<Instance>,
    /// The group that rules go to: the one with our tags, or the adopted machine's own (or the namesake's).
    pub group: Option<SecurityGroup>,
    /// Whether `group` is tagged as ours to delete.
    pub owns_group: bool,
    /// The group's inbound rules, with tags.
    pub rules: Vec<GroupRule>,
    /// Other machines in the same group, if it is not ours: they are affected by its rules.
    pub sharers: Vec<Instance>,
    /// Our key pairs.
    pub key_pairs: Vec<KeyPair>,
    /// What there is to choose from, if a machine is to be made.
    pub catalog: Option<Catalog>,
}

/// What the region has to offer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// Images that will do, in no order.
    pub images: Vec<Image>,
    /// Subnets that machines can be put in.
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

/// Looks at everything of one instance, and at what there is to choose from if `spec` is given and a machine has to be made.
/// Calls that do not need one another run side by side.
///
/// # Errors
///
/// [`MachineError`]; more than one machine is an error, never a guess.
pub fn observe(
    cloud: &dyn Cloud,
    instance: &InstanceName,
    spec: Option<&Spec>,
) -> Result<Observed, MachineError> {
    let _ = (cloud, instance, spec);
    unimplemented!()
}

/// Lists all machines of ours in the region, those on their way out left out.
///
/// # Errors
///
/// [`MachineError`].
pub fn list(cloud: &dyn Cloud) -> Result<Vec<Listed>, MachineError> {
    let _ = cloud;
    unimplemented!()
}
