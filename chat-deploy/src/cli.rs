//! The command line, as clap reads it. What it means is decided in `settings.rs`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use crate::host::local::launch;
use crate::instance::InstanceName;
use crate::release::ReleaseId;

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
  chat-deploy up --instance myserver --provider local     build, deploy and start on this machine
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
    /// Where it runs; `up` and `plan` take ec2 if you do not say
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
}

/// Where a server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Provider {
    /// A machine of its own on AWS (not in this build)
    Ec2,
    /// A Linux machine reached by SSH (not in this build)
    Ssh,
    /// This machine
    Local,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build the server, show what would change, and after a yes do it
    Up(Up),
    /// Show what `up` would change
    Plan(Plan),
    /// Show how an instance is, or list all of them
    Status,
    /// Show the server's log
    Logs(Logs),
    /// Go back to an earlier release
    Rollback(Rollback),
    /// List the releases that are kept
    Releases,
    /// Start the server again after `stop`
    Start,
    /// Stop the server, and keep everything
    Stop,
    /// Stop the server, back its data up, and remove everything
    Down(Down),
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
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(3..=50))]
    pub keep_releases: Option<u64>,
    /// How many seconds a server may take until it is healthy, 1 to 600 [default: 20]; it is kept once it has stayed so
    /// for 4 seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    pub start_timeout: Option<u64>,
}

/// `up`.
#[derive(Debug, Args)]
pub struct Up {
    /// What should be deployed.
    #[command(flatten)]
    pub deployment: Deployment,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
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
    fn help_of_every_command() {
        let mut command = Cli::command().term_width(100);
        let help = |command: &mut clap::Command| command.render_long_help().to_string();
        insta::assert_snapshot!("help", help(&mut command));
        command.build();
        for name in ["up", "plan", "logs", "rollback", "down"] {
            let subcommand = command.find_subcommand_mut(name).unwrap();
            insta::assert_snapshot!(format!("help-{name}"), help(subcommand));
        }
    }
}
