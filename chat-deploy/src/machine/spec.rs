//! What the machine of an instance should be, with every default decided.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ipnet::Ipv4Net;
use sha2::{Digest as _, Sha256};

use crate::cloud::{ImageId, InstanceType, Rule, SubnetId};
use crate::instance::InstanceName;

/// The machine that should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Whose machine.
    pub instance: InstanceName,
    /// The types to take, the first that is to be had; none where it is only asked whether a machine is as it should be, and
    /// any type would do.
    pub types: Vec<InstanceType>,
    /// The image for a new machine; else the newest Amazon Linux 2023.
    pub image: Option<ImageId>,
    /// Where to put a new machine; else a default subnet that leads to the internet.
    pub subnet: Option<SubnetId>,
    /// The size of a new machine's disk, in GiB.
    pub disk_gib: u32,
    /// The port of the chat; `None` while only the host knows it, which leaves the rules for ports that are not known to be
    /// wanted as they are.
    pub chat_port: Option<u16>,
    /// Who may reach the chat.
    pub chat_from: Vec<Ipv4Net>,
    /// Who may reach SSH. Empty leaves the rules for SSH as they are; whoever asks for that has seen to it that there are
    /// some ([`Observed::lets_in`](super::observe::Observed::lets_in)).
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
    /// Returns the inbound rules the machine's group should have: these and no others, but for what is left as it is.
    #[must_use]
    pub fn rules(&self) -> Vec<Rule> {
        let chat = self.chat_port.iter().chain(&self.ports);
        let mut rules: Vec<Rule> =
            chat.flat_map(|port| self.chat_from.iter().map(|range| Rule::tcp(*port, *range))).collect();
        rules.extend(self.ssh_from.iter().map(|range| Rule::tcp(SSH_PORT, *range)));
        rules.sort();
        rules.dedup();
        rules
    }

    /// Returns the name of the key pair of a new machine: another key has another name, so that what EC2 has under a name is
    /// never another key than ours.
    #[must_use]
    pub fn key_name(&self) -> String {
        // The type, the key itself, a comment.
        let key = self.public_key.split_whitespace().nth(1).unwrap_or_default();
        let blob = BASE64.decode(key).unwrap_or_else(|_| key.into());
        let digits: String = Sha256::digest(blob).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        format!("chat-deploy-{}-{digits}", self.instance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec {
        let ranges = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Spec {
            instance: "myserver".parse().unwrap(),
            types: Vec::new(),
            image: None,
            subnet: None,
            disk_gib: 8,
            chat_port: Some(12345),
            chat_from: ranges(&["0.0.0.0/0"]),
            ssh_from: ranges(&["198.51.100.7/32"]),
            ports: vec![80],
            public_key:
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl a@b"
                    .to_owned(),
            adopt: false,
        }
    }

    #[test]
    fn every_port_is_open_to_its_ranges_once() {
        let shown = |spec: &Spec| spec.rules().iter().map(Rule::to_string).collect::<Vec<_>>();
        assert_eq!(
            shown(&spec()),
            ["tcp 22 from 198.51.100.7/32", "tcp 80 from 0.0.0.0/0", "tcp 12345 from 0.0.0.0/0"]
        );
        // AWS keeps a range without the bits outside of it.
        let ranges = ["10.1.2.3/8", "10.9.9.9/8"].map(|range| range.parse().unwrap()).to_vec();
        let spec = Spec { chat_from: ranges, ssh_from: Vec::new(), ports: vec![12345], ..spec() };
        assert_eq!(shown(&spec), ["tcp 12345 from 10.0.0.0/8"]);
    }

    #[test]
    fn a_key_pair_is_named_after_its_key() {
        let named = |public_key: &str| Spec { public_key: public_key.to_owned(), ..spec() }.key_name();
        let key = spec().public_key;
        assert!(named(&key).starts_with("chat-deploy-myserver-"), "{}", named(&key));
        assert_eq!(named(&key), named(&key.replace("a@b", "another comment")));
        assert_ne!(named(&key), named(&key.replace("GKJl", "GKJm")));
    }
}
