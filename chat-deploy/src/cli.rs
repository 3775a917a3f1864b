//! The command line, as clap reads it. What it means is decided in `settings.rs`.
//!
//! What has a value has a name in the environment too. What consents to something, as `--yes` and `--adopt`, has none: it is
//! meant for the one time.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use ipnet::Ipv4Net;

use crate::cloud::{ImageId, InstanceType, SubnetId};
use crate::host::local::launch;
use crate::instance::InstanceName;
use crate::release::ReleaseId;
use crate::settings::ec2;
use crate::settings::range::{Source, range};
use crate::settings::ssh::{HostAddress, KeyFingerprint, LoginName};

/// How many releases can be kept.
pub(crate) const KEPT_RELEASES: RangeInclusive<u64> = 3..=50;
/// How long a server may be given until it is healthy.
pub(crate) const START_TIMEOUT_SECONDS: RangeInclusive<u64> = 1..=600;
/// The sizes of a disk: what the image needs, and what EC2 has.
pub(crate) const DISK_GIB: RangeInclusive<u32> = 8..=16_384;

/// Deploys the chat server and looks after it.
///
/// Every command compares what should be with what there is, so any of them may be run again, after a failure or an
/// interruption too.
#[derive(Debug, Parser)]
#[command(name = "chat-deploy", version, max_term_width = 100, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What all commands take.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  chat-deploy up --instance myserver                      a machine on EC2, with the chat on it
  chat-deploy up --instance myserver --host me@box        the same on a Linux machine you have
  chat-deploy up --instance myserver --provider local     the same on this machine
  chat-deploy status --instance myserver                  how it is
  chat-deploy rollback --instance myserver                back to the release before
  chat-deploy down --instance myserver                    stop it, keep a backup, remove the rest

Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 130 interrupted,
3 changes pending (plan --detailed-exitcode).";

/// What all commands take.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The server's name: 1 to 32 characters of a-z, 0-9 and '-'
    #[arg(
        long,
        short,
        global = true,
        env = "CHAT_DEPLOY_INSTANCE",
        hide_env_values = true,
        value_name = "NAME"
    )]
    pub instance: Option<InstanceName>,
    /// Where it runs [default: ssh with --host; else where it is; else ec2]
    #[arg(long, global = true, env = "CHAT_DEPLOY_PROVIDER", hide_env_values = true, value_enum)]
    pub provider: Option<Provider>,
    /// Settings file [default: chat-deploy.toml in the working directory, if there is one]
    #[arg(long, global = true, env = "CHAT_DEPLOY_CONFIG", hide_env_values = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// One JSON object per line on standard output, for programs
    #[arg(long, global = true)]
    pub json: bool,
    /// How many seconds a server has to stay healthy before it is kept; for tests, which would rather not wait.
    #[arg(long, global = true, hide = true, env = "CHAT_DEPLOY_SETTLING_TIME", value_parser = clap::value_parser!(u64).range(..=600))]
    pub settling_time: Option<u64>,
    /// Which account on AWS, and where.
    #[command(flatten)]
    pub aws: AwsFlags,
    /// How to reach a machine.
    #[command(flatten)]
    pub ssh: SshFlags,
}

/// Which account on AWS, and where.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "EC2 and SSH")]
pub struct AwsFlags {
    /// Region of AWS [default: what AWS_REGION or the profile says]
    #[arg(long, global = true, env = "CHAT_DEPLOY_REGION", hide_env_values = true, value_name = "REGION", value_parser = ec2::region)]
    pub region: Option<String>,
    /// Profile of AWS's own settings [default: what AWS_PROFILE says]
    #[arg(long, global = true, env = "CHAT_DEPLOY_PROFILE", hide_env_values = true, value_name = "NAME")]
    pub profile: Option<String>,
}

/// How to reach a machine.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "EC2 and SSH")]
pub struct SshFlags {
    /// The machine to deploy to with the provider ssh: user@address:port; an IPv6 address in brackets
    #[arg(long, global = true, env = "CHAT_DEPLOY_HOST", hide_env_values = true, value_name = "HOST", value_hint = ValueHint::Hostname)]
    pub host: Option<HostAddress>,
    /// Whom to log in as [default: ec2-user on EC2, else whom --host names, else your own name]
    #[arg(long, global = true, env = "CHAT_DEPLOY_USER", hide_env_values = true, value_name = "NAME", value_hint = ValueHint::Username)]
    pub user: Option<LoginName>,
    /// Private key to log in with; a new machine on EC2 lets it in [default: those of the agent and ~/.ssh; on EC2 one
    /// that chat-deploy has made for you, the same for all instances]
    #[arg(long, global = true, env = "CHAT_DEPLOY_KEY", hide_env_values = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub key: Option<PathBuf>,
    /// Fingerprint that the machine's host key must have, as `ssh-keygen -lf` prints it
    #[arg(
        long,
        global = true,
        env = "CHAT_DEPLOY_HOST_KEY",
        hide_env_values = true,
        value_name = "SHA256:..."
    )]
    pub host_key: Option<KeyFingerprint>,
}

/// Where a server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Provider {
    #[cfg_attr(feature = "ec2", doc = "A machine of its own on AWS")]
    #[cfg_attr(
        not(feature = "ec2"),
        doc = "A machine of its own on AWS (not in this build: it lacks the feature ec2)"
    )]
    Ec2,
    #[cfg_attr(feature = "ssh", doc = "Any Linux machine, reached by SSH")]
    #[cfg_attr(
        not(feature = "ssh"),
        doc = "Any Linux machine, reached by SSH (not in this build: it lacks the feature ssh)"
    )]
    Ssh,
    /// This machine
    Local,
}

impl Provider {
    /// Returns its name as on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Ssh => "ssh",
            Self::Local => "local",
        }
    }

    /// Tells whether this build has it.
    #[must_use]
    pub fn is_built_in(self) -> bool {
        match self {
            Self::Ec2 => cfg!(feature = "ec2"),
            Self::Ssh => cfg!(feature = "ssh"),
            Self::Local => true,
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build the server, show what would change, and after a yes do it
    Up(Up),
    /// Show what `up` would change
    Plan(Plan),
    /// Show how an instance is and how far from what `up` would make, or list all of them
    Status(Status),
    /// Show the server's log
    Logs(Logs),
    /// Open a shell on the machine, or run a command there
    Ssh(Ssh),
    /// Go back to an earlier release
    Rollback(Rollback),
    /// List the releases that are kept
    Releases,
    /// Start the server again after `stop`, and its machine on EC2
    Start,
    /// Stop the server, and its machine on EC2, and keep everything
    Stop,
    /// Stop the server, back its data up, and remove everything
    Down(Down),
    /// Look for whatever could keep a deployment from working
    Doctor(Doctor),
    /// Print the permissions that chat-deploy needs on AWS, as an IAM policy
    Policy,
    /// Write a chat-deploy.toml that explains every setting
    Init,
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Become the server; `up` starts it so.
    #[command(name = launch::SUBCOMMAND, hide = true)]
    Launch {
        /// The instance's directory.
        dir: PathBuf,
        /// The release to run.
        release: ReleaseId,
    },
}

/// What should be deployed.
#[derive(Clone, Debug, Default, Args)]
pub struct Deployment {
    /// The port to listen on [default: the one it has, else 12345]
    #[arg(long, env = "CHAT_DEPLOY_PORT", hide_env_values = true, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Deploy this server program instead of building one
    #[arg(long, env = "CHAT_DEPLOY_BINARY", hide_env_values = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub binary: Option<PathBuf>,
    /// Build from this checkout [default: the one around the working directory]
    #[arg(long, env = "CHAT_DEPLOY_SOURCE", hide_env_values = true, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "binary")]
    pub source: Option<PathBuf>,
    /// How many releases to keep, 3 to 50 [default: 5]
    #[arg(long, env = "CHAT_DEPLOY_KEEP_RELEASES", hide_env_values = true, value_name = "N", value_parser = clap::value_parser!(u64).range(KEPT_RELEASES))]
    pub keep_releases: Option<u64>,
    /// How many seconds a server may take until it is healthy, 1 to 600 [default: 20]; it is kept once it has stayed so
    /// for 4 seconds
    #[arg(long, env = "CHAT_DEPLOY_START_TIMEOUT", hide_env_values = true, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(START_TIMEOUT_SECONDS))]
    pub start_timeout: Option<u64>,
}

/// The machine on EC2.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Machine on EC2")]
pub struct MachineFlags {
    /// Types to take for a new machine, the first that is to be had [default: t2.micro,t3.micro]
    #[arg(long = "type", env = "CHAT_DEPLOY_TYPE", hide_env_values = true, value_name = "TYPE", value_delimiter = ',', value_parser = ec2::instance_type)]
    pub types: Option<Vec<InstanceType>>,
    /// Image for a new machine [default: the newest Amazon Linux 2023]
    #[arg(long, env = "CHAT_DEPLOY_IMAGE", hide_env_values = true, value_name = "AMI", value_parser = ec2::image)]
    pub image: Option<ImageId>,
    /// Where to put a new machine [default: a default subnet that leads to the internet]
    #[arg(long, env = "CHAT_DEPLOY_SUBNET", hide_env_values = true, value_name = "SUBNET", value_parser = ec2::subnet)]
    pub subnet: Option<SubnetId>,
    /// Size of a new machine's disk in GiB, 8 to 16384 [default: 8]
    #[arg(long, env = "CHAT_DEPLOY_DISK", hide_env_values = true, value_name = "GIB", value_parser = clap::value_parser!(u32).range(i64::from(*DISK_GIB.start())..=i64::from(*DISK_GIB.end())))]
    pub disk: Option<u32>,
    /// Who may reach it.
    #[command(flatten)]
    pub rules: RuleFlags,
    /// Use a machine of this name that was made by hand, and add what it lacks
    #[arg(long)]
    pub adopt: bool,
}

/// Who may reach a machine on EC2.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Machine on EC2")]
pub struct RuleFlags {
    /// Who may reach the chat: IPv4 addresses and ranges [default: 0.0.0.0/0, everybody]
    #[arg(long, env = "CHAT_DEPLOY_CHAT_FROM", hide_env_values = true, value_name = "CIDR", value_delimiter = ',', value_parser = range)]
    pub chat_from: Option<Vec<Ipv4Net>>,
    /// Who may reach SSH: IPv4 addresses and ranges, or auto: the address you are seen under now [default: auto]
    #[arg(
        long,
        env = "CHAT_DEPLOY_SSH_FROM",
        hide_env_values = true,
        value_name = "CIDR|auto",
        value_delimiter = ','
    )]
    pub ssh_from: Option<Vec<Source>>,
}

/// `up`.
#[derive(Clone, Debug, Args)]
pub struct Up {
    /// What should be deployed.
    #[command(flatten)]
    pub deployment: Deployment,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Give a new server the accounts, identity and keys of a backup that `down` made
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub restore: Option<PathBuf>,
    /// The machine on EC2.
    #[command(flatten)]
    pub machine: MachineFlags,
}

/// `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// What should be deployed.
    #[command(flatten)]
    pub deployment: Deployment,
    /// Exit with 3 if anything would change
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// The machine on EC2.
    #[command(flatten)]
    pub machine: MachineFlags,
}

/// `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// What would be deployed.
    #[command(flatten)]
    pub deployment: Deployment,
    /// The machine on EC2.
    #[command(flatten)]
    pub machine: MachineFlags,
}

/// `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// What should be deployed.
    #[command(flatten)]
    pub deployment: Deployment,
    /// The machine on EC2.
    #[command(flatten)]
    pub machine: MachineFlags,
}

/// `ssh`.
#[derive(Debug, Args)]
pub struct Ssh {
    /// The command to run there [default: a shell]
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<String>,
}

/// `logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// Go on with what is written from now on, until Ctrl-C
    #[arg(long, short)]
    pub follow: bool,
    /// How many of the last lines to show
    #[arg(long, short = 'n', default_value_t = 100, value_name = "N")]
    pub lines: usize,
}

/// `rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    /// The release, or a part of its name that no other has [default: the one deployed before the current one]
    pub release: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
}

/// `down`.
#[derive(Debug, Args)]
pub struct Down {
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Keep no copy of accounts, identity and keys
    #[arg(long)]
    pub no_backup: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_example_is_understood() {
        let help = Cli::command().render_long_help().to_string();
        let mut examples = 0;
        for line in help.lines().filter_map(|line| line.strip_prefix("  chat-deploy ")) {
            let (command, _) = line.split_once("  ").unwrap();
            Cli::try_parse_from(["chat-deploy"].into_iter().chain(command.split(' '))).unwrap();
            examples += 1;
        }
        assert_eq!(examples, 6);
    }

    #[test]
    fn every_value_has_a_name_in_the_environment() {
        let mut command = Cli::command();
        command.build();
        for argument in command.get_subcommands().flat_map(clap::Command::get_arguments) {
            let id = argument.get_id().as_str();
            let has_value = argument.get_action().takes_values() && argument.get_long().is_some();
            // These are about one run.
            if has_value && !["lines", "restore"].contains(&id) {
                let expected =
                    format!("CHAT_DEPLOY_{}", argument.get_long().unwrap().replace('-', "_").to_uppercase());
                assert_eq!(argument.get_env(), Some(expected.as_ref()), "{id}");
            }
        }
    }

    #[test]
    fn lists_are_repeated_or_joined_by_commas() {
        let parse = |arguments: &str| {
            let words = format!("chat-deploy plan -i a {arguments}");
            let Command::Plan(plan) = Cli::try_parse_from(words.split(' ')).unwrap().command else {
                panic!()
            };
            plan.machine
        };
        let flags = parse("--ssh-from 10.0.0.1,192.0.2.0/24 --ssh-from auto --type t3.nano,t3.micro");
        assert_eq!(flags.rules.ssh_from.map(|sources| sources.len()), Some(3));
        assert_eq!(flags.types.map(|types| types.len()), Some(2));
        assert_eq!(parse("--disk 8").types, None);
    }

    #[test]
    fn a_remote_command_keeps_its_own_flags() {
        let cli = Cli::try_parse_from(["chat-deploy", "ssh", "-i", "a", "ls", "-l", "--json"]).unwrap();
        let Command::Ssh(ssh) = cli.command else { panic!() };
        assert_eq!(
            (ssh.command, cli.global.json),
            (vec!["ls".to_owned(), "-l".to_owned(), "--json".to_owned()], false)
        );
    }

    #[test]
    #[cfg(feature = "ec2")]
    fn help_of_every_command() {
        let mut command = Cli::command().term_width(100);
        let help = |command: &mut clap::Command| command.render_long_help().to_string();
        insta::assert_snapshot!("help", help(&mut command));
        command.build();
        let shown = command.get_subcommands().filter(|one| !one.is_hide_set() && one.get_name() != "help");
        let all: Vec<String> = shown.map(|one| one.get_name().to_owned()).collect();
        for name in all {
            let subcommand = command.find_subcommand_mut(&name).unwrap();
            insta::assert_snapshot!(format!("help-{name}"), help(subcommand));
        }
    }
}
