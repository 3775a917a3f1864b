//! Colours, where they are wanted: on a terminal, without `NO_COLOR`.

use std::io::IsTerminal;

use crate::error::{Error, printable};
use crate::outline::Outline;
use crate::plan::Action;

/// How to write text to one stream.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    colour: bool,
}

const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";

impl Style {
    /// Chooses the style for a stream.
    #[must_use]
    pub fn of(stream: &impl IsTerminal) -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colour: stream.is_terminal() && can_draw() && !unwanted }
    }

    /// Writes a plan, its glyphs in the colours of what they do.
    #[must_use]
    pub fn plan(self, outline: &Outline) -> String {
        // Tags, and what a host says, may be in it.
        let mut text = printable(&outline.to_string());
        for (action, colour) in [(Action::Add, GREEN), (Action::Change, YELLOW), (Action::Remove, RED)] {
            let glyph = action.glyph();
            text = text
                .replace(&format!("  {glyph} "), &format!("  {} ", self.paint(colour, &glyph.to_string())));
        }
        text
    }

    /// Writes an error with all that belongs to it.
    #[must_use]
    pub fn error(self, error: &Error) -> String {
        let mut text = format!("{} {}\n", self.paint(RED, "error:"), error.message());
        for detail in error.details() {
            text.push_str(&format!("  | {detail}\n"));
        }
        for note in error.notes() {
            text.push_str(&format!("{} {note}\n", self.paint(YELLOW, "note:")));
        }
        for hint in error.hints() {
            text.push_str(&format!("{} {hint}\n", self.paint(CYAN, "hint:")));
        }
        text
    }

    pub(super) fn done(self) -> String {
        self.paint(GREEN, "✓")
    }

    pub(super) fn failed(self) -> String {
        self.paint(RED, "✗")
    }

    fn paint(self, colour: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Tells whether the terminal, if it is one, does more than print.
pub(super) fn can_draw() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use super::*;
    use crate::apply::{ApplyError, RolledBack, Unhealthy};
    use crate::cli::Provider;
    use crate::cloud::{CloudError, ConnectError, InstanceId, InstanceState};
    use crate::health::Unwell;
    use crate::host::HostError;
    use crate::machine::MachineError;
    use crate::release::elf::Processor;
    use crate::release::target::Glibc;
    use crate::release::{BuildError, Release, ReleaseId, digest};
    use crate::settings::{Mistake, SettingsError};
    use crate::steps::check::Sick;

    const PLAIN: Style = Style { colour: false };

    fn id(version: &str) -> ReleaseId {
        ReleaseId::new(version, &digest::of_bytes(version.as_bytes()))
    }

    fn unhealthy(source: Sick, rolled_back: RolledBack) -> Error {
        let log = vec!["INFO listening".to_owned(), "thread 'main' panicked".to_owned()];
        ApplyError::from(Box::new(Unhealthy { release: id("0.2.0"), source, log, rolled_back })).into()
    }

    fn silent() -> Sick {
        let source = Unwell { cause: "connection refused".into(), is_transient: true };
        Sick::Silent { within: Duration::from_secs(20), source }
    }

    fn denied_call() -> CloudError {
        let message =
            "You are not authorized to perform this operation. Encoded authorization failure message: x";
        CloudError::answered("RunInstances", None, "UnauthorizedOperation", message)
    }

    fn denied() -> HostError {
        let source = io::Error::from(io::ErrorKind::PermissionDenied);
        HostError::File { doing: "create", path: "/home/a/.local/state/chat-deploy".into(), source }
    }

    fn full() -> HostError {
        let source = io::Error::from(io::ErrorKind::StorageFull);
        HostError::File { doing: "write", path: "/home/a/.local/state/chat-deploy/x".into(), source }
    }

    fn errors() -> Vec<Error> {
        let refused = HostError::ConfigRefused { said: vec!["unknown key \u{1b}]0;x\u{7}".to_owned()] };
        let mistake = |line, message: &str| Mistake { line, message: message.to_owned() };
        let mistakes = vec![mistake(1, "unknown key 'prot'"), mistake(3, "port is 1 to 65535, not 0")];
        let listen = "127.0.0.1:12345".parse().unwrap();
        let holder = Some("python3 (pid 4242)".to_owned());
        let instance = || "myserver".parse().unwrap();
        vec![
            SettingsError::Mistakes { path: "chat-deploy.toml".into(), mistakes }.into(),
            Error::NoInstance,
            Error::UnknownInstance { instance: instance(), place: "this machine".to_owned() },
            Error::NoProvider { provider: Provider::Ec2 },
            Error::Connect(ConnectError::NoRegion { looked_at: "AWS_REGION".to_owned() }),
            denied_call().into(),
            MachineError::NotAdopted { instance: instance(), id: InstanceId::new("i-1") }.into(),
            MachineError::Several {
                instance: instance(),
                region: "us-east-1".to_owned(),
                ids: vec![InstanceId::new("i-1"), InstanceId::new("i-2")],
            }
            .into(),
            #[cfg(feature = "ssh")]
            crate::machine::apply::ApplyError::CutOff { step: "launch" }.into(),
            Error::MachineNotRunning {
                instance: instance(),
                id: InstanceId::new("i-1"),
                state: InstanceState::Stopped,
            },
            Error::NobodyToAsk,
            Error::Cancelled,
            BuildError::NoCheckout { from: "/home/a".into() }.into(),
            BuildError::NoCargo.into(),
            BuildError::NoTarget {
                host: "aarch64-apple-darwin".to_owned(),
                target: "x86_64-unknown-linux-musl".to_owned(),
            }
            .into(),
            BuildError::GlibcTooNew {
                path: "/b/chat-server".into(),
                needed: Glibc { major: 2, minor: 39 },
                has: Glibc::AMAZON_LINUX_2023,
                processor: Processor::X86_64,
            }
            .into(),
            BuildError::ForMacOs { path: "/b/chat-server".into() }.into(),
            HostError::PortTaken { listen, holder }.into(),
            HostError::Locked { instance: instance(), holder: Some("pid 4242".to_owned()) }.into(),
            denied().into(),
            ApplyError::Host { step: "install", what: format!("release {}", id("0.2.0")), source: denied() }
                .into(),
            unhealthy(Sick::Died { how: Some("exit status: 101".to_owned()) }, RolledBack::To(id("0.1.0"))),
            unhealthy(silent(), RolledBack::Nothing),
            unhealthy(silent(), RolledBack::Sick(id("0.1.0"), Sick::OtherServer)),
            unhealthy(Sick::NotStarted(denied()), RolledBack::Failed(HostError::StillRunning { pid: 4242 })),
            ApplyError::Host { step: "backup", what: "accounts".to_owned(), source: full() }.into(),
            full().into(),
            ApplyError::Host { step: "activate", what: "\u{1b}[2J".to_owned(), source: refused }.into(),
            ApplyError::Interrupted { before: "activate" }.into(),
            ApplyError::Interrupted { before: "confirm" }.into(),
            Error::from(denied()).cut_short(),
            Error::NothingToRollBackTo(instance()),
            Error::NothingDeployed(instance()),
        ]
    }

    #[test]
    fn what_a_person_reads_when_something_failed() {
        let texts =
            errors().into_iter().map(|error| format!("{}=> {}\n", PLAIN.error(&error), error.exit_code()));
        insta::assert_snapshot!(texts.collect::<Vec<String>>().join("\n"));
    }

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        let digest = digest::of_bytes(b"");
        let release =
            Release { id: id("1"), digest, size_bytes: 3_456_789, deployed_at: 0, origin: "/x".into() };
        let outline = crate::plan::Plan { steps: vec![crate::plan::Step::Install(release)] }.outline();
        assert_eq!(PLAIN.plan(&outline), outline.to_string());
        let painted = Style { colour: true }.plan(&outline);
        assert!(painted.starts_with("  \u{1b}[32m+\u{1b}[0m release  1-"), "{painted:?}");
        assert!(!PLAIN.error(&Error::Cancelled).contains('\u{1b}'));
    }
}
