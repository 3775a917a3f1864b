//! What the cloud's calls take and return, without the SDK's optional everything.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::Serialize;
use zeroize::Zeroizing;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes a name as the cloud writes it.
            #[must_use]
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// Returns the name as the cloud writes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

id!(
    /// A machine: `i-0123456789abcdef0`.
    InstanceId
);
id!(
    /// A kind of machine: `t2.micro`.
    InstanceType
);
id!(
    /// A security group: `sg-0123456789abcdef0`.
    GroupId
);
id!(
    /// One rule of a security group: `sgr-0123456789abcdef0`.
    RuleId
);
id!(
    /// A key pair: `key-0123456789abcdef0`.
    KeyPairId
);
id!(
    /// An image to start machines from: `ami-0123456789abcdef0`.
    ImageId
);
id!(
    /// A network: `vpc-0123456789abcdef0`.
    VpcId
);
id!(
    /// A part of a network, in one zone: `subnet-0123456789abcdef0`.
    SubnetId
);

/// Tags, by key.
pub type Tags = BTreeMap<String, String>;

/// What a machine is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InstanceState {
    /// It is being made or started.
    Pending,
    /// It runs.
    Running,
    /// It is on its way to be stopped.
    Stopping,
    /// It is stopped and can be started.
    Stopped,
    /// It is on its way to be terminated.
    ShuttingDown,
    /// It is gone, and shows for a while still.
    Terminated,
}

impl InstanceState {
    /// Returns EC2's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
        }
    }

    /// Tells whether the machine is gone or on its way out.
    #[must_use]
    pub fn is_ending(self) -> bool {
        matches!(self, Self::ShuttingDown | Self::Terminated)
    }
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Which.
    pub id: InstanceId,
    /// What it does.
    pub state: InstanceState,
    /// Why it is in that state, in EC2's words: `Server.InsufficientInstanceCapacity: ...`.
    pub state_reason: Option<String>,
    /// What it is.
    pub kind: InstanceType,
    /// What it was started from.
    pub image: ImageId,
    /// Its public address, while it runs.
    pub address: Option<Ipv4Addr>,
    /// Its security groups.
    pub groups: Vec<GroupId>,
    /// Its network.
    pub vpc: Option<VpcId>,
    /// Where in the network it is.
    pub subnet: Option<SubnetId>,
    /// Its zone: `us-east-1a`.
    pub zone: Option<String>,
    /// The name of the key pair it was started with.
    pub key_name: Option<String>,
    /// The token it was made with.
    pub client_token: Option<String>,
    /// When it was started last, in seconds since 1970.
    pub launched_at: u64,
    /// Its tags.
    pub tags: Tags,
}

/// Which machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstanceQuery {
    /// This one.
    Id(InstanceId),
    /// Those made with this client token.
    ClientToken(String),
    /// Those that carry all these tags; never an empty set.
    Tagged(Tags),
    /// Those in this group, to see whether it is shared.
    InGroup(GroupId),
}

/// One inbound TCP rule: who may reach which ports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// `tcp`, `udp`, `icmp`, or `-1` for everything.
    pub protocol: String,
    /// The first port; `None` if the protocol has none or all are meant.
    pub from_port: Option<u16>,
    /// The last port.
    pub to_port: Option<u16>,
    /// From where: a range as AWS writes it (`0.0.0.0/0`, `::/0`), or `sg-...`, or `pl-...`.
    pub source: String,
}

impl Rule {
    /// Returns the rule that lets `range` reach one TCP port.
    #[must_use]
    pub fn tcp(port: u16, range: Ipv4Net) -> Self {
        let source = range.trunc().to_string();
        Self { protocol: "tcp".to_owned(), from_port: Some(port), to_port: Some(port), source }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = if self.protocol == "-1" { "all" } else { &self.protocol };
        match (self.from_port, self.to_port) {
            (Some(from), Some(to)) if from == to => write!(f, "{protocol} {from} from {}", self.source),
            (Some(from), Some(to)) => write!(f, "{protocol} {from}-{to} from {}", self.source),
            _ => write!(f, "{protocol} from {}", self.source),
        }
    }
}

/// A rule as a group has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRule {
    /// Which.
    pub id: RuleId,
    /// What it lets in.
    pub rule: Rule,
    /// Its tags.
    pub tags: Tags,
}

/// A security group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityGroup {
    /// Which.
    pub id: GroupId,
    /// Its name, unique in its network.
    pub name: String,
    /// Its network.
    pub vpc: Option<VpcId>,
    /// What it lets in, one entry for each source.
    pub rules: Vec<Rule>,
    /// Its tags.
    pub tags: Tags,
}

/// A security group to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGroup {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its network.
    pub vpc: VpcId,
    /// Its tags.
    pub tags: Tags,
}

/// A public key that EC2 knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPair {
    /// Which.
    pub id: KeyPairId,
    /// Its name, unique in the region.
    pub name: String,
    /// Its fingerprint as EC2 writes it: base64 of SHA-256 for ed25519, MD5 in colons for an imported RSA key.
    pub fingerprint: String,
    /// Its tags.
    pub tags: Tags,
}

/// Which images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageQuery {
    /// This one.
    Id(ImageId),
    /// Those of an owner whose name matches a pattern with `*`.
    Named {
        /// An account, or `amazon`.
        owner: &'static str,
        /// The pattern.
        pattern: &'static str,
    },
}

/// An image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Which.
    pub id: ImageId,
    /// Its name: `al2023-ami-2023.5.20240708.0-kernel-6.1-x86_64`.
    pub name: String,
    /// When it was made, as AWS writes it: `2026-11-02T10:00:00.000Z`. Sorts by time.
    pub created_at: String,
    /// Its processor: `x86_64` or `arm64`.
    pub architecture: String,
    /// The device of its root volume: `/dev/xvda`.
    pub root_device: Option<String>,
    /// The size of its root volume, in GiB.
    pub root_gib: Option<u32>,
}

/// A subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Which.
    pub id: SubnetId,
    /// Its network.
    pub vpc: VpcId,
    /// Its zone.
    pub zone: String,
    /// Whether machines in it get a public address without asking.
    pub maps_public_ip: bool,
    /// Whether it is the default one of its zone.
    pub is_default: bool,
}

/// Which subnets of a network lead to the internet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteToInternet {
    /// Whether the main route table does, which holds for subnets without one of their own.
    pub main: bool,
    /// The subnets with a route table of their own, and whether that one does.
    pub subnets: BTreeMap<String, bool>,
}

impl RouteToInternet {
    /// Tells whether a subnet leads to the internet.
    #[must_use]
    pub fn reaches(&self, subnet: &SubnetId) -> bool {
        self.subnets.get(subnet.as_str()).copied().unwrap_or(self.main)
    }
}

/// A type that a zone offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offering {
    /// The type.
    pub kind: InstanceType,
    /// The zone.
    pub zone: String,
}

/// What a type is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeFacts {
    /// Which type.
    pub kind: InstanceType,
    /// The processors it has: `x86_64`, `arm64`, `i386`.
    pub architectures: Vec<String>,
    /// Whether it can run beyond its baseline at a price, so that credits have to be said.
    pub burstable: bool,
}

/// What cloud-init reads, with a private key in it: never shown, and wiped when it is dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct UserData(Zeroizing<String>);

impl UserData {
    /// Takes the text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Returns the text, not encoded yet.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for UserData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserData").finish_non_exhaustive()
    }
}

/// A machine to be made. Whatever is not here is always the same: one machine, IMDSv2 only, a gp3 volume that is
/// encrypted and goes with the machine, a public address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// At most 64 ASCII characters; the same token makes the same machine.
    pub client_token: String,
    /// From what.
    pub image: ImageId,
    /// What.
    pub kind: InstanceType,
    /// Whether to say that it must not run beyond its baseline at a price.
    pub standard_credits: bool,
    /// Whose key it lets in.
    pub key_name: String,
    /// Its group.
    pub group: GroupId,
    /// Where.
    pub subnet: SubnetId,
    /// The device of its root volume.
    pub root_device: String,
    /// The size of its root volume, in GiB.
    pub root_gib: u32,
    /// What it is told when it boots for the first time.
    pub user_data: UserData,
    /// For the machine, its volume and its network interface.
    pub tags: Tags,
}
