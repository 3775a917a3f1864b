//! What the machine of an instance should be, with every default decided.

use ipnet::Ipv4Net;

use crate::cloud::{ImageId, InstanceType, Rule, SubnetId};
use crate::instance::InstanceName;

/// The machine that should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Whose machine.
    pub instance: InstanceName,
    /// The types to take, the first that is to be had.
    pub types: Vec<InstanceType>,
    /// The image for a new machine; else the newest Amazon Linux 2023.
    pub image: Option<ImageId>,
    /// Where to put a new machine; else a default subnet that leads to the internet.
    pub subnet: Option<SubnetId>,
    /// The size of a new machine's disk, in GiB.
    pub disk_gib: u32,
    /// The port of the chat.
    pub chat_port: u16,
    /// Who may reach the chat.
    pub chat_from: Vec<Ipv4Net>,
    /// Who may reach SSH; `None` leaves the rules for it as they are, where there are any, and else asks.
    pub ssh_from: Vec<Ipv4Net>,
    /// Further ports, open to `chat_from`.
    pub ports: Vec<u16>,
    /// The public key that a new machine lets in, a line as in `id_ed25519.pub`.
    pub public_key: String,
    /// Whether a machine made by hand may be adopted without a question.
    pub adopt: bool,
}

/// The port of SSH.
pub const SSH_PORT: u16 = 22;

impl Spec {
    /// Returns the inbound rules the machine's group should have, and no others.
    #[must_use]
    pub fn rules(&self) -> Vec<Rule> {
        let chat = std::iter::once(&self.chat_port).chain(&self.ports);
        let mut rules: Vec<Rule> =
            chat.flat_map(|port| self.chat_from.iter().map(|range| Rule::tcp(*port, *range))).collect();
        rules.extend(self.ssh_from.iter().map(|range| Rule::tcp(SSH_PORT, *range)));
        rules.sort();
        rules.dedup();
        rules
    }
}
