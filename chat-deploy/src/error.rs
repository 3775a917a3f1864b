//! Why a command failed, what to do about it, and the exit code.
//!
//! The message says what happened and stands alone; hints say what to do and come from here, so that the modules below
//! need not know which command they serve.

mod cloud;
mod hints;
#[cfg(feature = "ssh")]
mod remote;

use crate::apply::{ApplyError, RolledBack};
use crate::cli::Provider;
use crate::cloud::{AddressError, CloudError, ConnectError, InstanceId, InstanceState};
use crate::host::HostError;
#[cfg(feature = "ssh")]
use crate::host::ssh::{keys::KeyError, remote::RemoteError, rotation::RotationError};
use crate::instance::InstanceName;
use crate::interrupt;
#[cfg(feature = "ssh")]
use crate::machine;
use crate::machine::MachineError;
use crate::observe::ObserveError;
use crate::release::BuildError;
use crate::settings::SettingsError;
use chat_client::link::error_chain;
use chat_client::pins::PinsError;
use std::io;
use std::path::PathBuf;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings are no good.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The command needs to know which instance.
    #[error("no instance was named")]
    NoInstance,
    /// There is no such instance.
    #[error("there is no instance {instance} on {place}")]
    UnknownInstance {
        /// Which.
        instance: InstanceName,
        /// Where it was looked for.
        place: String,
    },
    /// EC2 cannot be asked.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Our own address, which SSH is to be opened for, is not known.
    #[error("SSH cannot be opened for this machine")]
    OwnAddress(#[from] AddressError),
    /// A call failed outside of a plan.
    #[error(transparent)]
    Cloud(#[from] CloudError),
    /// Nothing can be planned for the machine.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The plan for the machine was not carried out to its end.
    #[cfg(feature = "ssh")]
    #[error(transparent)]
    MachineApply(#[from] machine::apply::ApplyError),
    /// The machine has to run for this.
    #[error("{instance} cannot be reached: its machine {id} is {state}")]
    MachineNotRunning {
        /// Which instance.
        instance: InstanceName,
        /// Which machine.
        id: InstanceId,
        /// What it is instead.
        state: InstanceState,
    },
    /// What the server has cannot be copied before it is removed.
    #[error("the accounts and the identity of {instance} cannot be saved: {why}")]
    NoBackup {
        /// Which instance.
        instance: InstanceName,
        /// What comes in the way.
        why: String,
        /// How, where that is known.
        source: Option<Box<Error>>,
    },
    /// More of the instance came to light when all that was known was removed.
    #[error("there is more of {instance} than could be seen at first")]
    MoreLeft {
        /// Which instance.
        instance: InstanceName,
    },
    /// The host cannot be reached.
    #[cfg(feature = "ssh")]
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The host does not answer, and SSH is not open for us.
    #[cfg(feature = "ssh")]
    #[error("SSH is open for {ranges}, and you are seen under {own}")]
    LeftOut {
        /// Whom it is open for.
        ranges: String,
        /// Our address, as others see it.
        own: std::net::Ipv4Addr,
        /// How the host did not answer.
        source: Box<Error>,
    },
    /// A key to log in with cannot be used.
    #[cfg(feature = "ssh")]
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The host key of a new machine was not exchanged.
    #[cfg(feature = "ssh")]
    #[error("the host key that came with the user-data is still in use")]
    HostKey(#[from] RotationError),
    /// Nobody said which host.
    #[error("no host was named to reach by SSH")]
    NoHost,
    /// Nobody said whom to log in as.
    #[error("it is not known whom to log in as")]
    NoUser,
    /// There is nothing to log in to.
    #[error("this instance runs on this machine, which needs no SSH")]
    NotRemote,
    /// OpenSSH could not be started.
    #[error("OpenSSH's client `ssh` could not be started")]
    NoOpenSsh(#[source] io::Error),
    /// The host does not say what processor it has.
    #[error("{place} does not say what processor it has")]
    NoArchitecture {
        /// Which host.
        place: String,
    },
    /// `doctor` found something wrong.
    #[error("{} wrong", if *wrong == 1 { "1 thing is".to_owned() } else { format!("{wrong} things are") })]
    Unfit {
        /// How much.
        wrong: usize,
    },
    /// The provider is not in this build.
    #[error("this build has no {} in it", provider.as_str())]
    NoProvider {
        /// Which.
        provider: Provider,
    },
    /// `init` does not write over a file.
    #[error("{} is there already", path.display())]
    AlreadyThere {
        /// The file.
        path: PathBuf,
    },
    /// `init` cannot write its file.
    #[error("{} cannot be written", path.display())]
    NotWritten {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A question has to be asked, and nobody is there.
    #[error("there are changes to confirm, and no terminal to ask on")]
    NobodyToAsk,
    /// The person said no.
    #[error("cancelled; nothing was changed")]
    Cancelled,
    /// The person said no to what came to light on the way.
    #[error(
        "cancelled; the machine can be reached now, and nothing of its server or of its other ports was changed"
    )]
    CancelledLater {
        /// Of which instance.
        instance: InstanceName,
        /// Whether the machine was adopted for this.
        is_adopted: bool,
        /// Whether it was started for this.
        is_started: bool,
    },
    /// There is no server to deploy.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The instance could not be looked at.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// The host failed outside of a plan.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The pins could not be used outside of a plan.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// A plan was not carried out to its end.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// Nothing was ever deployed completely.
    #[error("instance {0} has no release to start")]
    NothingDeployed(InstanceName),
    /// There is no earlier release.
    #[error("instance {0} has no release older than the current one")]
    NothingToRollBackTo(InstanceName),
    /// The release that was named is not there, or there are several.
    #[error("{found} releases of {instance} match '{wanted}'")]
    ReleaseNotClear {
        /// What was asked for.
        wanted: String,
        /// Of which instance.
        instance: InstanceName,
        /// How many match.
        found: usize,
    },
    /// Ctrl-C, outside of a plan.
    #[error("interrupted")]
    Interrupted,
    /// Ctrl-C, in the midst of something that failed for it, or did not get another try.
    #[error(transparent)]
    CutShort(Box<Error>),
    /// The surroundings cannot be read, or signals not be heard.
    #[error("the program could not be set up")]
    Setup(#[source] io::Error),
    /// The person could not see the plan that waits for a yes.
    #[error("the plan could not be shown, and nothing was changed")]
    NotShown(#[source] io::Error),
    /// Nobody reads what we write.
    #[error("the output could not be written")]
    Output(#[source] io::Error),
}

impl Error {
    /// Returns the exit code: 1 failed, 2 wrong usage or settings, 130 interrupted, 0 if only the reader went away.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Connect(ConnectError::Interrupted) => interrupt::EXIT_CODE,
            Self::Settings(_)
            | Self::Connect(_)
            | Self::NoHost
            | Self::NoUser
            | Self::NotRemote
            | Self::NoInstance
            | Self::NoProvider { .. }
            | Self::NobodyToAsk
            | Self::ReleaseNotClear { .. } => 2,
            Self::Interrupted
            | Self::CutShort(_)
            | Self::Build(BuildError::Interrupted)
            | Self::Apply(ApplyError::Interrupted { .. }) => interrupt::EXIT_CODE,
            #[cfg(feature = "ssh")]
            Self::MachineApply(
                machine::apply::ApplyError::Interrupted { .. } | machine::apply::ApplyError::CutOff { .. },
            )
            | Self::Remote(RemoteError::Interrupted)
            | Self::HostKey(RotationError::Remote(RemoteError::Interrupted)) => interrupt::EXIT_CODE,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            _ => 1,
        }
    }

    /// Returns the error of a run that was asked to stop: whatever failed after that, the next run takes up.
    #[must_use]
    pub(crate) fn cut_short(self) -> Self {
        if self.exit_code() == 1 { Self::CutShort(Box::new(self)) } else { self }
    }

    /// Returns the message with its causes, on one line.
    #[must_use]
    pub fn message(&self) -> String {
        printable(&error_chain(self))
    }

    /// Returns what belongs to the message but not on its line: what cargo or the server said, the single mistakes.
    #[must_use]
    pub fn details(&self) -> Vec<String> {
        let details = match self {
            Self::CutShort(error) => return error.details(),
            Self::Settings(SettingsError::Mistakes { mistakes, .. }) => {
                mistakes.iter().map(ToString::to_string).collect()
            }
            Self::Build(BuildError::Failed { lines, .. } | BuildError::Compiler { said: lines }) => {
                trim(lines)
            }
            Self::Apply(ApplyError::Unhealthy(unhealthy)) => trim(&unhealthy.log),
            Self::Apply(ApplyError::Host { source: HostError::ConfigRefused { said }, .. }) => said.clone(),
            _ => Vec::new(),
        };
        details.iter().map(|detail| printable(detail)).collect()
    }

    /// Returns what became of things, if the message does not say it.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        match self {
            Self::CutShort(error) => error.notes(),
            Self::Apply(ApplyError::Unhealthy(unhealthy)) => vec![printable(&match &unhealthy.rolled_back {
                RolledBack::To(former) => format!("rolled back: {former} runs again and is healthy"),
                RolledBack::Nothing => "there is nothing to roll back to; the server is stopped".to_owned(),
                RolledBack::Sick(former, why) => format!("rolled back to {former}, but {}", error_chain(why)),
                RolledBack::Failed(error) => format!("the roll back failed too: {}", error_chain(error)),
            })],
            Self::Apply(ApplyError::Interrupted { before: "confirm" }) => {
                vec!["the new release runs, but it was not seen healthy yet".to_owned()]
            }
            _ => Vec::new(),
        }
    }

    /// Returns what the person can do.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Settings(error) => return hints::settings_hint(error).into_iter().collect(),
            Self::Setup(_) | Self::Output(_) => return Vec::new(),
            Self::NoInstance => {
                "name one with --instance NAME; `chat-deploy status` lists what there is".to_owned()
            }
            Self::UnknownInstance { .. } => "`chat-deploy status` lists what there is".to_owned(),
            Self::Interrupted | Self::CutShort(_) | Self::Connect(ConnectError::Interrupted) => {
                "run the same command again to go on".to_owned()
            }
            Self::Connect(error) => {
                let here = "or add --provider local to deploy to this machine";
                return error.hint().into_iter().chain([here]).map(str::to_owned).collect();
            }
            Self::OwnAddress(_) => "say for which addresses: --ssh-from 203.0.113.0/24".to_owned(),
            Self::Cloud(error) => return cloud::call_hints(error),
            Self::Machine(error) => return cloud::machine_hints(error),
            #[cfg(feature = "ssh")]
            Self::MachineApply(error) => return cloud::apply_hints(error),
            Self::MachineNotRunning { instance, .. } => {
                format!("`chat-deploy start --instance {instance}` starts it")
            }
            Self::NoBackup { source, .. } => {
                let cure = "make it reachable (`chat-deploy start`, `chat-deploy doctor`), or remove all of it without a copy: --no-backup";
                let why = source.iter().flat_map(|source| source.hints());
                return why.chain([cure.to_owned()]).collect();
            }
            #[cfg(feature = "ssh")]
            Self::Remote(error) | Self::HostKey(RotationError::Remote(error)) => return remote::hints(error),
            #[cfg(feature = "ssh")]
            Self::LeftOut { ranges, own, .. } => {
                let both = format!("{},{own}", ranges.replace(' ', ""));
                format!(
                    "`chat-deploy up --ssh-from {both}` opens it for that address as well, `--ssh-from auto` for that alone"
                )
            }
            #[cfg(feature = "ssh")]
            Self::Key(error) => return remote::key_hints(error),
            #[cfg(feature = "ssh")]
            Self::HostKey(_) => "run the same command again: it goes on from what is there".to_owned(),
            Self::MoreLeft { instance } => {
                format!(
                    "EC2 takes a moment to show what was just made: `chat-deploy down --instance {instance}` again"
                )
            }
            Self::NoHost => "name it with --host user@address".to_owned(),
            Self::NoUser => "name the user with --user".to_owned(),
            Self::NotRemote => "look around here".to_owned(),
            Self::NoOpenSsh(_) => "install OpenSSH's client".to_owned(),
            Self::NoArchitecture { .. } => "look whether `uname -m` works there".to_owned(),
            Self::Unfit { .. } => return Vec::new(),
            Self::NoProvider { provider, .. } => {
                return vec![
                    format!(
                        "`cargo build --release -p chat-deploy --features {}` makes a build that has it",
                        provider.as_str()
                    ),
                    "add --provider local to deploy to this machine".to_owned(),
                ];
            }
            Self::AlreadyThere { .. } => {
                "edit it, or write the new one elsewhere: `chat-deploy init --config FILE`".to_owned()
            }
            Self::NotWritten { .. } => "name another place with --config FILE".to_owned(),
            Self::NobodyToAsk | Self::NotShown(_) => "add --yes to go ahead without a question".to_owned(),
            Self::Cancelled => return Vec::new(),
            Self::CancelledLater { instance, is_adopted, is_started } => {
                return hints::cancelled_hints(instance, *is_adopted, *is_started);
            }
            Self::Build(error) => hints::build_hint(error),
            Self::Host(error) | Self::Observe(ObserveError::Host(error)) => {
                return hints::host_hints(error);
            }
            Self::Pins(error) | Self::Observe(ObserveError::Pins(error)) => {
                return hints::pins_hint(error).into_iter().collect();
            }
            Self::Apply(error) => return hints::apply_hint(error),
            Self::NothingDeployed(_) => "`chat-deploy up` with the same options deploys one".to_owned(),
            Self::NothingToRollBackTo(name) => {
                return vec![
                    format!("`chat-deploy releases --instance {name}` lists what there is"),
                    format!("`chat-deploy rollback --instance {name} RELEASE` goes to any of them"),
                ];
            }
            Self::ReleaseNotClear { instance: name, .. } => {
                format!("`chat-deploy releases --instance {name}` lists them")
            }
        };
        vec![hint]
    }
}

/// A text as a terminal may have it: names from a settings file and words of a server may be in it, and must not steer
/// the terminal.
pub(crate) fn printable(text: &str) -> String {
    let harmless = |c: char| matches!(c, '\t' | '\n') || !c.is_control();
    text.chars().map(|c| if harmless(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// Leaves out the blank lines at both ends.
fn trim(lines: &[String]) -> Vec<String> {
    let is_blank = |line: &&String| line.trim().is_empty();
    let end = lines.len() - lines.iter().rev().take_while(is_blank).count();
    lines.iter().take(end).skip_while(is_blank).cloned().collect()
}

#[cfg(all(test, feature = "ssh"))]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_no_on_the_way_says_what_was_done_before_and_how_to_undo_it() {
        let told = |is_adopted, is_started| {
            let instance = "myserver".parse().unwrap();
            let error = Error::CancelledLater { instance, is_adopted, is_started };
            format!("{}\n{}\n", error.message(), error.hints().join("\n"))
        };
        insta::assert_snapshot!([told(false, false), told(false, true), told(true, true)].join("\n"));
    }

    #[test]
    fn what_keeps_a_backup_from_being_made_is_said_with_its_cure() {
        let filtered = RemoteError::Filtered {
            peer: "ec2-user@203.0.113.6".to_owned(),
            within: Duration::from_secs(15),
        };
        let error = Error::NoBackup {
            instance: "myserver".parse().unwrap(),
            why: "the host on i-1 cannot be reached".to_owned(),
            source: Some(Box::new(filtered.into())),
        };
        insta::assert_snapshot!(format!("{}\n{}", error.message(), error.hints().join("\n")));
    }
}
