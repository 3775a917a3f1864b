//! The tags by which we know what is ours. Every resource carries the first two from the call that makes it.

use crate::cloud::{Instance, Tags};
use crate::instance::InstanceName;

/// Says whose a resource is: [`OURS`] or [`ADOPTED`].
pub const MANAGED: &str = "chat-deploy:managed";
/// Says which instance a resource belongs to.
pub const INSTANCE: &str = "chat-deploy:instance";
/// On the security group: counts the machines made for this instance, so that each has a client token of its own.
pub const GENERATION: &str = "chat-deploy:generation";
/// On the machine, until its host key was exchanged for one that never left it: the fingerprint of the first key.
pub const BOOTSTRAP_KEY: &str = "chat-deploy:bootstrap-key";
/// On the machine: the fingerprint of its host key, `SHA256:...`.
pub const HOST_KEY: &str = "chat-deploy:host-key";
/// EC2's own tag for names.
pub const NAME: &str = "Name";

/// The value of [`MANAGED`] for what we made and may delete.
pub const OURS: &str = "true";
/// The value of [`MANAGED`] for a machine that somebody else made.
pub const ADOPTED: &str = "adopted";

/// Whose a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// We made it and may delete it.
    Ours,
    /// Somebody made it by hand and let us use it.
    Adopted,
}

/// Returns the tags by which what we made for an instance is found again.
#[must_use]
pub fn mark(instance: &InstanceName) -> Tags {
    Tags::from([(MANAGED.to_owned(), OURS.to_owned()), (INSTANCE.to_owned(), instance.as_str().to_owned())])
}

/// Returns the tags that every resource of an instance gets: the mark, and a name for whoever looks at the console.
#[must_use]
pub fn ours(instance: &InstanceName) -> Tags {
    let mut tags = mark(instance);
    tags.insert(NAME.to_owned(), instance.as_str().to_owned());
    tags
}

/// Tells whether something that we could only have made ourselves, a rule, a group or a key pair, is ours of this instance.
#[must_use]
pub fn is_ours(tags: &Tags, instance: &InstanceName) -> bool {
    mark(instance).iter().all(|(key, value)| tags.get(key) == Some(value))
}

/// Returns the name of an instance's security group, unique in its network.
#[must_use]
pub fn group_name(instance: &InstanceName) -> String {
    format!("chat-deploy-{instance}")
}

/// Tells whose a machine is, and of which instance; `None` if it is none of ours.
#[must_use]
pub fn ownership(instance: &Instance) -> Option<(Ownership, InstanceName)> {
    let ownership = match instance.tags.get(MANAGED)?.as_str() {
        OURS => Ownership::Ours,
        ADOPTED => Ownership::Adopted,
        _ => return None,
    };
    Some((ownership, instance.tags.get(INSTANCE)?.parse().ok()?))
}
