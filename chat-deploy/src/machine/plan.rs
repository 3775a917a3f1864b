//! The steps that lead to a machine, or to none, and how they look to the person who is asked.

use crate::cloud::{GroupId, GroupRule, Image, InstanceId, InstanceType, KeyPairId, Rule, SubnetId, VpcId};

/// One step. Every step may be taken again: what is done already is success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Tags a machine that was made by hand as adopted.
    Adopt {
        /// Which.
        machine: InstanceId,
    },
    /// Lets EC2 know our public key.
    ImportKey {
        /// The name it gets.
        name: String,
        /// The key.
        public_key: String,
    },
    /// Makes the security group.
    CreateGroup {
        /// Its name.
        name: String,
        /// In which network.
        vpc: VpcId,
    },
    /// Opens ports; into the group there is, or the one that `CreateGroup` made. One call for each rule.
    OpenPorts {
        /// The rules that are missing.
        rules: Vec<Rule>,
    },
    /// Closes ports that we opened and that should not be open any more.
    ClosePorts {
        /// The rules.
        rules: Vec<GroupRule>,
    },
    /// Makes the machine and waits until it runs and has an address.
    Launch(Box<LaunchPlan>),
    /// Starts the machine and waits until it runs and has an address.
    Start {
        /// Which.
        machine: InstanceId,
    },
    /// Waits for a machine that is being made or started already.
    AwaitRunning {
        /// Which.
        machine: InstanceId,
    },
    /// Stops the machine and waits until it is stopped.
    Stop {
        /// Which.
        machine: InstanceId,
    },
    /// Deletes the machine, having looked once more whether it is ours to delete, and waits until it is gone.
    Terminate {
        /// Which.
        machine: InstanceId,
    },
    /// Waits for machines that are on their way out.
    AwaitGone {
        /// Which.
        machines: Vec<InstanceId>,
    },
    /// Removes our tags from an adopted machine.
    Disown {
        /// Which.
        machine: InstanceId,
    },
    /// Deletes our security group, having looked once more whether it is ours to delete.
    DeleteGroup {
        /// Which.
        group: GroupId,
    },
    /// Deletes our key pair.
    DeleteKey {
        /// Which.
        key: KeyPairId,
        /// Its name.
        name: String,
    },
}

/// How a machine is to be made: the first of the choices that is to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchPlan {
    /// From what.
    pub image: Image,
    /// Type and place, in order of preference. Never empty.
    pub choices: Vec<Choice>,
    /// Why the first is the first, if it is not simply the first one wanted: `t2.micro is not offered in us-west-2d`.
    pub why: Option<String>,
    /// The name of the key pair.
    pub key_name: String,
    /// The size of the disk, in GiB.
    pub disk_gib: u32,
}

/// A type and a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The type.
    pub kind: InstanceType,
    /// Whether credits have to be said to be standard.
    pub standard_credits: bool,
    /// Where.
    pub subnet: SubnetId,
    /// The zone of that.
    pub zone: String,
}

/// The steps, and what else the person should see.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// In the order they are taken.
    pub steps: Vec<Step>,
    /// What is there and not as it should be, and is not ours to change: `tcp 80 from 0.0.0.0/0 in sg-1 was not opened by chat-deploy`.
    pub drift: Vec<String>,
    /// What stays when all is removed: `i-1, which was adopted`.
    pub leaves: Vec<String>,
    /// What to know before saying yes: a shared group, an adoption.
    pub warnings: Vec<String>,
    /// What it costs, if a machine is made.
    pub cost: Option<super::cost::Cost>,
}
