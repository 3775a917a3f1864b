//! The steps that lead to a machine, or to none, and how they look to the person who is asked.
//!
//! `diff.rs` makes plans and `apply.rs` carries them out; nothing is decided in between. What a step must find out when it
//! is taken, such as the id of a group that another step of the same plan makes, is `None` here.

use std::fmt;

use super::cost::Cost;
use crate::cloud::{GroupId, GroupRule, Image, InstanceId, InstanceType, KeyPairId, Rule, SubnetId, VpcId};
use crate::outline::Outline;
use crate::plan::{Action, Row};

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
    /// Opens ports, one call for each rule.
    OpenPorts {
        /// In which group; `None` is the one that `CreateGroup` makes.
        group: Option<GroupId>,
        /// The rules that are missing.
        rules: Vec<Rule>,
    },
    /// Closes ports that we opened and that should not be open any more.
    ClosePorts {
        /// In which group.
        group: GroupId,
        /// The rules.
        rules: Vec<GroupRule>,
    },
    /// Makes the machine and waits until it runs and has an address.
    Launch(Box<LaunchPlan>),
    /// Starts the machine, which is waited for first if it is still stopping, and waits until it runs and has an address.
    Start {
        /// Which.
        machine: InstanceId,
    },
    /// Waits until a machine that is being made or started already runs and has an address.
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
        /// Its name.
        name: String,
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
    /// Why the first is the first, if it is not simply the type wanted most: `t2.micro is not offered in eu-north-1`.
    pub why: Option<String>,
    /// The name of the key pair.
    pub key_name: String,
    /// The group it is put in; `None` is the one that `CreateGroup` makes.
    pub group: Option<GroupId>,
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

impl Step {
    /// Returns the step's name: a word or two, as progress and JSON have it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Adopt { .. } => "adopt",
            Self::ImportKey { .. } => "import-key",
            Self::CreateGroup { .. } => "create-group",
            Self::OpenPorts { .. } => "open-ports",
            Self::ClosePorts { .. } => "close-ports",
            Self::Launch(_) => "launch",
            Self::Start { .. } => "start",
            Self::AwaitRunning { .. } => "boot",
            Self::Stop { .. } => "stop",
            Self::Terminate { .. } => "terminate",
            Self::AwaitGone { .. } => "await-gone",
            Self::Disown { .. } => "disown",
            Self::DeleteGroup { .. } => "delete-group",
            Self::DeleteKey { .. } => "delete-key",
        }
    }

    /// Tells whether the step opens this port for somebody.
    #[must_use]
    pub fn opens(&self, port: u16) -> bool {
        matches!(self, Self::OpenPorts { rules, .. } if rules.iter().any(|rule| is_of_port(rule, port)))
    }

    /// Tells whether the step closes this port for somebody.
    #[must_use]
    pub fn closes(&self, port: u16) -> bool {
        matches!(self, Self::ClosePorts { rules, .. } if rules.iter().any(|there| is_of_port(&there.rule, port)))
    }

    /// Says what the step is about, in a few words.
    #[must_use]
    pub fn what(&self) -> String {
        match self {
            Self::Adopt { machine }
            | Self::Start { machine }
            | Self::AwaitRunning { machine }
            | Self::Stop { machine }
            | Self::Terminate { machine }
            | Self::Disown { machine } => machine.to_string(),
            Self::ImportKey { name, .. }
            | Self::CreateGroup { name, .. }
            | Self::DeleteGroup { name, .. }
            | Self::DeleteKey { name, .. } => name.clone(),
            Self::OpenPorts { rules, .. } => join(rules),
            Self::ClosePorts { rules, .. } => join(rules.iter().map(|rule| &rule.rule)),
            Self::Launch(launch) => launch.first().map(Choice::to_string).unwrap_or_default(),
            Self::AwaitGone { machines } => join(machines),
        }
    }

    /// Returns what the step changes, for a person.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        use Action::{Add, Change, Remove};
        let machine = |action, text: String| vec![Row::new(action, "machine", text)];
        match self {
            Self::Adopt { machine: id } => machine(Change, format!("{id}, made by hand, is adopted")),
            Self::ImportKey { name, .. } => {
                vec![Row::new(Add, "key", format!("{name}, the public half of your key"))]
            }
            Self::CreateGroup { name, vpc } => vec![Row::new(Add, "group", format!("{name} in {vpc}"))],
            Self::OpenPorts { rules, .. } => {
                rules.iter().map(|rule| Row::new(Add, "rule", rule.to_string())).collect()
            }
            Self::ClosePorts { rules, .. } => {
                rules.iter().map(|rule| Row::new(Remove, "rule", rule.rule.to_string())).collect()
            }
            Self::Launch(launch) => machine(Add, launch.to_string()),
            Self::Start { machine: id } => machine(Change, format!("start {id}")),
            Self::AwaitRunning { machine: id } => {
                machine(Change, format!("wait until {id} runs and has an address"))
            }
            Self::Stop { machine: id } => machine(Change, format!("stop {id}")),
            Self::Terminate { machine: id } => machine(Remove, format!("{id} and its disk")),
            // Nothing changes by waiting.
            Self::AwaitGone { .. } => Vec::new(),
            Self::Disown { machine: id } => machine(Change, format!("{id} is given back")),
            Self::DeleteGroup { group, name } => vec![Row::new(Remove, "group", format!("{name} ({group})"))],
            Self::DeleteKey { name, .. } => vec![Row::new(Remove, "key", name.clone())],
        }
    }
}

impl LaunchPlan {
    /// Returns the type and place that are tried first.
    #[must_use]
    pub fn first(&self) -> Option<&Choice> {
        self.choices.first()
    }
}

impl fmt::Display for LaunchPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(choice) = self.first() {
            write!(f, "{choice}")?;
        }
        if let Some(why) = &self.why {
            write!(f, " ({why})")?;
        }
        write!(f, ", {} ({}), {} GiB", self.image.name, self.image.id, self.disk_gib)
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.kind, self.zone)
    }
}

fn is_of_port(rule: &Rule, port: u16) -> bool {
    rule.from_port == Some(port) && rule.to_port == Some(port)
}

fn join<T: fmt::Display>(things: impl IntoIterator<Item = T>) -> String {
    things.into_iter().map(|thing| thing.to_string()).collect::<Vec<_>>().join(", ")
}

/// The steps, and what else the person should see.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// In the order they are taken.
    pub steps: Vec<Step>,
    /// What to know before saying yes: a shared group, an adoption.
    pub warnings: Vec<String>,
    /// What is there and not as it should be, and is not ours to change.
    pub drift: Vec<String>,
    /// What stays when all of ours is removed: `i-1, which was adopted`.
    pub leaves: Vec<String>,
    /// What it costs, if a machine is made.
    pub cost: Option<Cost>,
}

impl Plan {
    /// Tells whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Returns what changes and what to know besides, for a person.
    #[must_use]
    pub fn outline(&self) -> Outline {
        let labelled = |label: &'static str, lines: &[String]| -> Vec<String> {
            lines.iter().map(|line| format!("{label}: {line}")).collect()
        };
        let notes = [
            labelled("warning", &self.warnings),
            labelled("drift", &self.drift),
            labelled("stays", &self.leaves),
            self.cost.iter().map(|cost| format!("cost: {cost}")).collect(),
        ];
        Outline { rows: self.steps.iter().flat_map(Step::rows).collect(), notes: notes.concat() }
    }
}
