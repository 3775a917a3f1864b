//! The machine that EC2 runs for an instance, with its security group and key pair: what it should be, what it is, and the
//! steps in between. What runs on it is the affair of `host.rs` and the plan next door.
//!
//! Truth is in the cloud: everything is found by its tags, each time anew, so that a run that was cut off anywhere leaves
//! behind what the next one goes on from.
//!
//! ```text
//! Spec ─────────────────┐
//!                       ├─► diff ──► Plan ──► apply, steps/ ──► Machine ──► SSH
//! observe(cloud, name) ─┘   (pure)   (shown)
//! ```

#[cfg(feature = "ssh")]
pub mod apply;
pub mod cost;
pub mod diff;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod image;
pub mod observe;
pub mod plan;
pub mod spec;
#[cfg(feature = "ssh")]
pub mod steps;
pub mod tags;
#[cfg(feature = "ssh")]
pub mod user_data;

use std::net::Ipv4Addr;

use crate::cloud::{CloudError, Instance, InstanceId, InstanceState};
use crate::instance::InstanceName;

pub use tags::Ownership;

/// A machine of ours, as a command finds it or a run leaves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Which.
    pub id: InstanceId,
    /// Whose.
    pub ownership: Ownership,
    /// What it does.
    pub state: InstanceState,
    /// Where it is reached, while it runs.
    pub address: Option<Ipv4Addr>,
    /// The name its host keys are pinned under here: the client token it was made with, which is known before the machine is,
    /// or else its id.
    pub pinned_as: String,
    /// The fingerprints of host keys that the cloud vouches for, by its tags.
    pub host_keys: Vec<String>,
    /// The one among them that was in the user-data, and is to be exchanged.
    pub bootstrap_key: Option<String>,
    /// When it was made or last started, in seconds since 1970.
    pub launched_at: u64,
}

impl Machine {
    /// Reads a machine; `None` if it carries no tags of ours.
    #[must_use]
    pub fn of(instance: &Instance) -> Option<Self> {
        let (ownership, _) = tags::ownership(instance)?;
        Some(Self::read(instance, ownership))
    }

    /// Reads a machine that carries no tags of ours yet, as it will be when it has been adopted.
    #[must_use]
    pub fn to_adopt(instance: &Instance) -> Self {
        Self::read(instance, Ownership::Adopted)
    }

    fn read(instance: &Instance, ownership: Ownership) -> Self {
        let tag = |key: &str| instance.tags.get(key).filter(|value| !value.is_empty()).cloned();
        let bootstrap_key = tag(tags::BOOTSTRAP_KEY);
        Self {
            id: instance.id.clone(),
            ownership,
            state: instance.state,
            address: instance.address,
            pinned_as: instance.client_token.clone().unwrap_or_else(|| instance.id.as_str().to_owned()),
            host_keys: tag(tags::HOST_KEY).into_iter().chain(bootstrap_key.clone()).collect(),
            bootstrap_key,
            launched_at: instance.launched_at,
        }
    }

    /// Tells whether nothing can have been put on it yet: the key that came with the user-data is exchanged before.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.ownership == Ownership::Ours && self.bootstrap_key.is_some()
    }
}

/// Why nothing can be planned or done about a machine, other than a call that failed in a step (`apply.rs`).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MachineError {
    /// A call failed while looking.
    #[error(transparent)]
    Cloud(#[from] CloudError),
    /// Several machines carry the tags of one instance.
    #[error("{} machines in {region} are tagged as {instance}: {}", ids.len(), join(ids))]
    Several {
        /// Of which instance.
        instance: InstanceName,
        /// Where.
        region: String,
        /// Which.
        ids: Vec<InstanceId>,
    },
    /// Several machines made by hand have this name, so which to adopt is not clear.
    #[error("{} machines in {region} that chat-deploy did not make are named {instance}: {}", ids.len(), join(ids))]
    SeveralToAdopt {
        /// The name.
        instance: InstanceName,
        /// Where.
        region: String,
        /// Which.
        ids: Vec<InstanceId>,
    },
    /// A machine made by hand has this name, and nobody said that it may be used.
    #[error("{id} is named {instance}, and chat-deploy did not make it")]
    NotAdopted {
        /// The name.
        instance: InstanceName,
        /// Which.
        id: InstanceId,
    },
    /// A machine made by hand runs, and nobody outside can reach it.
    #[error("{id} runs without a public IPv4 address")]
    NoAddress {
        /// Which.
        id: InstanceId,
    },
    /// EC2 does not take keys of this kind.
    #[error("a new machine cannot have a key of the kind {kind}: EC2 takes ed25519 and RSA")]
    KeyKind {
        /// As the public key says.
        kind: String,
    },
    /// The account has no default network, and none was named.
    #[error("{region} has no default VPC")]
    NoDefaultVpc {
        /// Where.
        region: String,
    },
    /// No subnet will do.
    #[error("no subnet in {region} will do: {why}")]
    NoSubnet {
        /// Where.
        region: String,
        /// What each lacks.
        why: String,
    },
    /// No type will do.
    #[error("no {types} is to be had in {region}: {why}")]
    NoType {
        /// Where.
        region: String,
        /// Those wanted: `t2.micro or t3.micro`.
        types: String,
        /// Why not, type by type.
        why: String,
    },
    /// There is no image.
    #[error("no image {wanted} is available in {region}")]
    NoImage {
        /// Where.
        region: String,
        /// Which, or what kind.
        wanted: String,
    },
}

fn join(ids: &[InstanceId]) -> String {
    ids.iter().map(InstanceId::as_str).collect::<Vec<_>>().join(", ")
}

/// The host keys that are pinned on this machine, by the machine's [`Machine::pinned_as`].
pub trait HostKeyPins {
    /// Pins one more key, a line as in `ssh_host_ed25519_key.pub`. Done when it is on the disk.
    ///
    /// # Errors
    ///
    /// What kept it from being written.
    fn pin(&self, name: &str, public_key: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;

    /// Forgets one key of a machine; one that is not pinned is no error.
    ///
    /// # Errors
    ///
    /// What kept it from being written, or that the key is none.
    fn unpin(&self, name: &str, public_key: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;

    /// Forgets all keys of a machine; one that has none is no error.
    ///
    /// # Errors
    ///
    /// What kept it from being written.
    fn forget(&self, name: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}
