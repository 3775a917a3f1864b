//! What a person can do about a failure here or on a host. EC2 and the way to a host have files of their own.

use std::io;
use std::path::Path;

use chat_client::pins::PinsError;

use crate::apply::{ApplyError, RolledBack};
use crate::host::HostError;
use crate::instance::InstanceName;
use crate::release::build::Recipe;
use crate::release::build::recipe::musl;
use crate::release::elf::Processor;
use crate::release::{BuildError, SERVER};
use crate::settings::SettingsError;
use crate::steps::check::Sick;

pub(super) fn settings_hint(error: &SettingsError) -> Option<String> {
    match error {
        SettingsError::HostElsewhere { .. } => {
            Some("leave one of the two out; the provider may come from CHAT_DEPLOY_PROVIDER and the host from CHAT_DEPLOY_HOST".to_owned())
        }
        SettingsError::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            Some("`chat-deploy init --config FILE` writes one".to_owned())
        }
        _ => None,
    }
}

/// Says how to undo what was done before a no.
pub(super) fn cancelled_hints(instance: &InstanceName, is_adopted: bool, is_started: bool) -> Vec<String> {
    let stop = || {
        format!(
            "the machine runs again, with the server it has, and costs money: `chat-deploy stop --instance {instance}` stops it"
        )
    };
    let disown = || format!("it is adopted now: `chat-deploy down --instance {instance}` gives it back");
    is_started.then(stop).into_iter().chain(is_adopted.then(disown)).collect()
}

pub(super) fn build_hint(error: &BuildError) -> String {
    match error {
        BuildError::NoCheckout { .. } | BuildError::NotACheckout { .. } => {
            format!(
                "run it inside the checkout, or name that with --source DIR, or a built {SERVER} with --binary FILE"
            )
        }
        BuildError::NoCargo => {
            format!("install Rust from https://rustup.rs, or name a built {SERVER} with --binary FILE")
        }
        BuildError::Failed { recipe, .. } => failed_build_hint(*recipe),
        BuildError::Compiler { .. } => "`rustc -vV` shows whether there is one that works".to_owned(),
        BuildError::NoTarget { target, .. } => {
            format!(
                "`rustup target add {target}` installs what is missing; or name a built {SERVER} with --binary FILE"
            )
        }
        BuildError::UnknownProcessor { .. } => "x86_64 and aarch64 are what there is".to_owned(),
        BuildError::NotAProgram { .. } | BuildError::NotAServer { .. } => {
            format!("--binary takes a built {SERVER}; without it one is built")
        }
        BuildError::WrongProcessor { .. } | BuildError::ForMacOs { .. } => {
            format!("--binary takes a {SERVER} built for that machine; without it one is built")
        }
        BuildError::ForeignLoader { processor, .. } | BuildError::GlibcTooNew { processor, .. } => {
            static_build_hint(*processor)
        }
        BuildError::NotUtf8 { .. } => "rename it, or a directory above it".to_owned(),
        BuildError::Interrupted => "nothing was deployed; run the same command again to go on".to_owned(),
        BuildError::Unreadable { .. } => {
            format!("name the file of a built {SERVER} with --binary; without it one is built")
        }
        BuildError::Cargo(_) | BuildError::NoArtifact => {
            format!("`cargo build --release -p {SERVER}` in the checkout may say more")
        }
    }
}

pub(super) fn failed_build_hint(recipe: Recipe) -> String {
    let target = recipe.triple().map(|triple| format!(" --target {triple}")).unwrap_or_default();
    let again =
        format!("nothing was deployed; `cargo build --release -p {SERVER}{target}` shows all of the output");
    match recipe {
        Recipe::StaticGlibc(processor) => {
            // Not every system has a glibc to link statically; Debian's development package does, Fedora's does not.
            format!(
                "{again}; if it lacks static libraries, `rustup target add {}` does without them",
                musl(processor)
            )
        }
        Recipe::Plain | Recipe::Musl(_) => again,
    }
}

pub(super) fn static_build_hint(processor: Processor) -> String {
    let target = musl(processor);
    format!(
        "without --binary a static one is built; by hand: `rustup target add {target}`, then \
         `RUSTFLAGS=-Clinker=rust-lld cargo build --release -p {SERVER} --target {target}`"
    )
}

const FREE_SPACE: &str = "free some space on that disk";

pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

pub(super) fn host_hints(error: &HostError) -> Vec<String> {
    match error {
        HostError::HasData { .. } => vec![
            "to keep what is there, leave out --restore".to_owned(),
            "`chat-deploy down` saves it to a file here and removes it".to_owned(),
        ],
        error => host_hint(error).into_iter().collect(),
    }
}

fn host_hint(error: &HostError) -> Option<String> {
    Some(match error {
        HostError::NoHome | HostError::BadHome { .. } => {
            "set HOME, or XDG_STATE_HOME to a directory for the state".to_owned()
        }
        HostError::File { source, .. } if is_full(source) => FREE_SPACE.to_owned(),
        HostError::File { doing: "create" | "write" | "lock" | "rename", .. } => {
            "chat-deploy keeps its state there; make the directory writable, or set XDG_STATE_HOME to another"
                .to_owned()
        }
        HostError::Locked { .. } => "wait until it is done, or end it; the lock ends with it".to_owned(),
        HostError::LockLost { .. } => "run the same command again; nothing was changed".to_owned(),
        HostError::PortTaken { .. } => {
            "stop what listens there, or take another port with `chat-deploy up --port N`".to_owned()
        }
        HostError::PortRefused { .. } => "choose a port above 1023 with --port".to_owned(),
        HostError::BinaryChanged { .. } => {
            "something builds at the same time; run the same command again".to_owned()
        }
        HostError::Damaged { path, .. } => damaged_hint(path),
        HostError::Nameless { lock } => {
            format!("`fuser {}` names it; end it, and run the same command again", lock.display())
        }
        HostError::StillRunning { .. } | HostError::NotOurs { .. } => {
            "look at that process, end it, and run the same command again".to_owned()
        }
        HostError::ConfigRefused { .. } => {
            "correct [server] in chat-deploy.toml; the server is as it was".to_owned()
        }
        HostError::NoRelease { .. } => "`chat-deploy up` deploys one".to_owned(),
        HostError::BadBackup { .. } => "name a file that `chat-deploy down` has written".to_owned(),
        HostError::Script { said, .. } => return script_hint(said),
        HostError::Garbled { .. } => {
            "does the login shell there print something of its own? It has to be silent without a terminal"
                .to_owned()
        }
        HostError::OtherInstance { there } => {
            format!("one machine holds one server; `chat-deploy down --instance {there}` removes that one")
        }
        HostError::Unsuitable { .. } => "it takes a Linux host with systemd 247 or later".to_owned(),
        HostError::UserTaken => {
            "the server would have that user's rights; rename the user, or take another host".to_owned()
        }
        HostError::FilesTaken { .. } => "move it out of the way, or take another host".to_owned(),
        HostError::NoRoom { .. } => "free some space on that disk, or keep fewer releases".to_owned(),
        HostError::WentBack { .. } => {
            "`chat-deploy logs` may say more; correct the server and run `chat-deploy up` again".to_owned()
        }
        #[cfg(feature = "ssh")]
        HostError::Remote(_) => return None,
        HostError::HasData { .. }
        | HostError::File { .. }
        | HostError::NotChecked { .. }
        | HostError::NotStarted { .. }
        | HostError::Process { .. } => return None,
    })
}

/// What can be done about a step that failed on a host, as far as its words tell.
pub(super) fn script_hint(said: &[String]) -> Option<String> {
    let says = |words: &str| said.iter().any(|line| line.contains(words));
    if says("sudo:") {
        return Some(
            "the login user there has to be root, or to be allowed `sudo` without a password".to_owned(),
        );
    }
    says("No space left on device").then(|| FREE_SPACE.to_owned())
}

pub(super) fn damaged_hint(path: &Path) -> String {
    if path.ends_with("data/identity") {
        // Moved aside, it would be made anew, and every client would find the server changed.
        return "that is the server's identity; put a copy of it back if there is one, as in a backup of `down`".to_owned();
    }
    format!("move {} aside and run the same command again", path.display())
}

pub(super) fn pins_hint(error: &PinsError) -> Option<String> {
    match error {
        PinsError::Damaged { .. } => Some("correct or remove that line".to_owned()),
        PinsError::Write { source, .. } if is_full(source) => Some(FREE_SPACE.to_owned()),
        PinsError::NoHome(_) => Some("set HOME, or XDG_CONFIG_HOME to a directory for the pins".to_owned()),
        _ => None,
    }
}

pub(super) fn apply_hint(error: &ApplyError) -> Vec<String> {
    let again = "run the same command again to go on from there";
    match error {
        ApplyError::Host { step: "backup", source: HostError::File { source, .. }, .. }
            if is_full(source) =>
        {
            vec![format!("{FREE_SPACE}, or remove all of it without a copy: --no-backup"), again.to_owned()]
        }
        // Here the same command would come to the same end.
        ApplyError::Host {
            source:
                source @ (HostError::HasData { .. }
                | HostError::BadBackup { .. }
                | HostError::ConfigRefused { .. }
                | HostError::OtherInstance { .. }
                | HostError::Unsuitable { .. }
                | HostError::UserTaken
                | HostError::FilesTaken { .. }),
            ..
        } => host_hints(source),
        ApplyError::Host { source, .. } => host_hints(source).into_iter().chain([again.to_owned()]).collect(),
        ApplyError::Pins { source, .. } => pins_hint(source).into_iter().chain([again.to_owned()]).collect(),
        ApplyError::Interrupted { before: "confirm" } => {
            vec![format!("{again}; `chat-deploy rollback` returns to the release before")]
        }
        ApplyError::Interrupted { .. } => vec![again.to_owned()],
        ApplyError::NoIdentity => vec!["its log may say why: `chat-deploy logs`".to_owned()],
        ApplyError::Unhealthy(unhealthy) => unhealthy_hint(&unhealthy.source, &unhealthy.rolled_back),
    }
}

pub(super) fn unhealthy_hint(sick: &Sick, rolled_back: &RolledBack) -> Vec<String> {
    let first = match sick {
        Sick::NotStarted(error) => host_hint(error),
        Sick::Silent { .. } => Some("a slow machine may need a longer --start-timeout".to_owned()),
        _ => None,
    };
    let last = match rolled_back {
        RolledBack::Sick(..) | RolledBack::Failed(_) => {
            "`chat-deploy status` and `chat-deploy logs` show how things are"
        }
        _ if matches!(sick, Sick::NotStarted(_)) => "run the same command again to try once more",
        RolledBack::To(_) | RolledBack::Nothing => "correct the server and run `chat-deploy up` again",
    };
    first.into_iter().chain([last.to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_is_refused_is_refused_again() {
        let source = HostError::ConfigRefused { said: vec!["unknown key".to_owned()] };
        let refused = ApplyError::Host { step: "prepare", what: "config".to_owned(), source };
        // Ports may have been opened before, so that something may well have changed.
        assert_eq!(apply_hint(&refused), ["correct [server] in chat-deploy.toml; the server is as it was"]);
    }
}
