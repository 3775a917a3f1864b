//! Settings for a machine on EC2, and the texts they are read from. Who may reach it is in `range.rs`.

use ipnet::Ipv4Net;

use super::range::{ANYWHERE, AutoAmongRanges, Source, SshFrom};
use crate::cli::{AwsFlags, MachineFlags};
use crate::cloud::{ImageId, InstanceType, SubnetId};

/// The types that are tried when none is named, in this order: the oldest small one, and the one that newer accounts and zones
/// have in its place.
pub const DEFAULT_TYPES: [&str; 2] = ["t2.micro", "t3.micro"];
/// The size of the disk, in GiB, when none is named: what the image needs.
pub const DEFAULT_DISK_GIB: u32 = 8;

/// What is wanted of a machine on EC2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ec2Settings {
    /// Which region; else the one that AWS's own settings name.
    pub region: Option<String>,
    /// Which profile of AWS's own settings; else the one these choose.
    pub profile: Option<String>,
    /// The types to take, the first that is to be had; one at least.
    pub types: Vec<InstanceType>,
    /// From which image to make a machine; else the newest Amazon Linux 2023.
    pub image: Option<ImageId>,
    /// Where to put a new machine; else a default subnet that leads to the internet.
    pub subnet: Option<SubnetId>,
    /// The size of a new machine's disk, in GiB.
    pub disk_gib: u32,
    /// Who may reach the chat and [`Self::ports`]; one range at least.
    pub chat_from: Vec<Ipv4Net>,
    /// Who may reach SSH.
    pub ssh_from: SshFrom,
    /// Further ports to open; 22 is not among them.
    pub ports: Vec<u16>,
    /// Whether a machine made by hand may be adopted without a question.
    pub adopt: bool,
}

impl Default for Ec2Settings {
    fn default() -> Self {
        Self {
            region: None,
            profile: None,
            types: DEFAULT_TYPES.map(InstanceType::new).to_vec(),
            image: None,
            subnet: None,
            disk_gib: DEFAULT_DISK_GIB,
            chat_from: vec![ANYWHERE],
            ssh_from: SshFrom::Auto,
            ports: Vec::new(),
            adopt: false,
        }
    }
}

/// What a settings file says of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ec2File {
    pub(super) region: Option<String>,
    pub(super) profile: Option<String>,
    pub(super) types: Option<Vec<InstanceType>>,
    pub(super) image: Option<ImageId>,
    pub(super) subnet: Option<SubnetId>,
    pub(super) disk_gib: Option<u32>,
    pub(super) chat_from: Option<Vec<Ipv4Net>>,
    pub(super) ssh_from: Option<SshFrom>,
    pub(super) ports: Option<Vec<u16>>,
}

/// Puts flags over the file, and both over the defaults.
pub(super) fn layer(
    aws: &AwsFlags,
    flags: &MachineFlags,
    file: Ec2File,
) -> Result<Ec2Settings, AutoAmongRanges> {
    let default = Ec2Settings::default();
    let ssh_from = flags.rules.ssh_from.as_deref().map(SshFrom::of).transpose()?;
    Ok(Ec2Settings {
        region: aws.region.clone().or(file.region),
        profile: aws.profile.clone().or(file.profile),
        types: flags.types.clone().or(file.types).unwrap_or(default.types),
        image: flags.image.clone().or(file.image),
        subnet: flags.subnet.clone().or(file.subnet),
        disk_gib: flags.disk.or(file.disk_gib).unwrap_or(default.disk_gib),
        chat_from: flags.rules.chat_from.clone().or(file.chat_from).unwrap_or(default.chat_from),
        ssh_from: ssh_from.or(file.ssh_from).unwrap_or(default.ssh_from),
        ports: file.ports.unwrap_or(default.ports),
        adopt: flags.adopt,
    })
}

/// A text that names nothing on EC2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no {what}")]
pub struct NameError {
    /// What was written.
    pub text: String,
    /// What it should have been, with an example.
    pub what: &'static str,
}

/// Reads the name of a region, which becomes part of a host name.
///
/// # Errors
///
/// [`NameError`].
pub fn region(text: &str) -> Result<String, NameError> {
    let is_region = text.split('-').count() >= 3 && text.split('-').all(is_word);
    named(is_region, text, "region, such as us-east-1").map(str::to_owned)
}

/// Reads the name of an instance type.
///
/// # Errors
///
/// [`NameError`].
pub fn instance_type(text: &str) -> Result<InstanceType, NameError> {
    let is_type = text
        .split_once('.')
        .is_some_and(|(family, size)| family.split('-').all(is_word) && size.split('-').all(is_word));
    named(is_type, text, "instance type, such as t3.micro").map(InstanceType::new)
}

/// Reads the id of an image.
///
/// # Errors
///
/// [`NameError`].
pub fn image(text: &str) -> Result<ImageId, NameError> {
    named(is_id(text, "ami-"), text, "image, such as ami-0123456789abcdef0").map(ImageId::new)
}

/// Reads the id of a subnet.
///
/// # Errors
///
/// [`NameError`].
pub fn subnet(text: &str) -> Result<SubnetId, NameError> {
    named(is_id(text, "subnet-"), text, "subnet, such as subnet-0123456789abcdef0").map(SubnetId::new)
}

/// Reads one item of a list of who may reach SSH; clap wants a function.
pub(crate) fn source(text: &str) -> Result<Source, super::range::RangeError> {
    text.parse()
}

fn named<'a>(is_one: bool, text: &'a str, what: &'static str) -> Result<&'a str, NameError> {
    if is_one { Ok(text) } else { Err(NameError { text: text.to_owned(), what }) }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn is_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|digits| {
        !digits.is_empty() && digits.len() <= 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_mistakes() {
        let check = |parses: fn(&str) -> bool, good: &[&str], bad: &[&str]| {
            good.iter().for_each(|text| assert!(parses(text), "{text}"));
            bad.iter().for_each(|text| assert!(!parses(text), "{text}"));
        };
        check(
            |text| region(text).is_ok(),
            &["us-east-1", "us-gov-west-1"],
            &["", "us", "US-EAST-1", "a-b-/"],
        );
        check(
            |text| instance_type(text).is_ok(),
            &["t2.micro", "u-6tb1.56xlarge", "m7i-flex.large", "m5.metal-48xl"],
            &["", "t2", "t2.", ".micro", "T2.micro", "t2.micro,t3.micro", "t2 micro"],
        );
        check(
            |text| image(text).is_ok(),
            &["ami-0123456789abcdef0"],
            &["ami-", "0123", "ami-xyz", "subnet-0"],
        );
        check(|text| subnet(text).is_ok(), &["subnet-0a1b2c3d"], &["subnet-", "subnet", "vpc-0"]);
        assert_eq!(image("x").unwrap_err().to_string(), "'x' is no image, such as ami-0123456789abcdef0");
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let aws = AwsFlags { region: Some("eu-west-1".to_owned()), profile: None };
        let file = Ec2File {
            region: Some("us-east-1".to_owned()),
            profile: Some("work".to_owned()),
            disk_gib: Some(20),
            ssh_from: Some(SshFrom::Ranges(vec![ANYWHERE])),
            ..Ec2File::default()
        };
        let mut flags = MachineFlags { disk: Some(30), ..MachineFlags::default() };
        let settings = layer(&aws, &flags, file.clone()).unwrap();
        assert_eq!(
            (settings.region.as_deref(), settings.profile.as_deref()),
            (Some("eu-west-1"), Some("work"))
        );
        assert_eq!((settings.disk_gib, settings.types.len()), (30, 2));
        assert_eq!(settings.ssh_from, SshFrom::Ranges(vec![ANYWHERE]));

        flags.rules.ssh_from = Some(vec![Source::Auto]);
        assert_eq!(layer(&aws, &flags, file.clone()).unwrap().ssh_from, SshFrom::Auto);
        flags.rules.ssh_from = Some(vec![Source::Auto, Source::Range(ANYWHERE)]);
        assert_eq!(layer(&aws, &flags, file), Err(AutoAmongRanges));
    }
}
