//! The programs that are measured, and how each is brought to show what is said and what is typed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::flood::Speech;
use crate::terminal::Person;

/// What runs on the terminal.
pub(crate) enum Subject {
    /// A program that draws one empty picture and ends.
    Nothing,
    /// `cat`: lines go to the terminal as they come, and the kernel echoes what is typed.
    Floor,
    /// This chat-client, encrypted as usual.
    Ours(PathBuf),
    Irssi,
    WeeChat,
}

impl Subject {
    /// The floor, ours, and those of the others that are installed.
    pub(crate) fn installed(client: &Path) -> Vec<Self> {
        let mut subjects = vec![Self::Floor, Self::Ours(client.to_owned())];
        for (subject, program) in [(Self::Irssi, "irssi"), (Self::WeeChat, "weechat")] {
            let version = Command::new(program).arg("--version").stdout(Stdio::null()).status();
            if version.is_ok_and(|status| status.success()) {
                subjects.push(subject);
            }
        }
        subjects
    }

    /// Names it in the tables.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Floor => "floor",
            Self::Ours(_) => "ours",
            Self::Irssi => "irssi",
            Self::WeeChat => "WeeChat",
        }
    }

    /// Returns what its server has to speak.
    pub(crate) fn speaks(&self) -> Speech {
        match self {
            Self::Nothing | Self::Floor => Speech::Lines,
            Self::Ours(_) => Speech::Chat,
            Self::Irssi | Self::WeeChat => Speech::Irc,
        }
    }

    /// Returns what a shell is to become: the program, connected to a port of this machine, or to none for 0.
    pub(crate) fn command(&self, port: u16, home: &Path) -> String {
        let home = home.display();
        match self {
            Self::Nothing => r"env printf '\033[?2026l'".to_owned(),
            Self::Floor => format!("bash -c 'exec cat </dev/tcp/127.0.0.1/{port}'"),
            Self::Ours(client) if port == 0 => client.display().to_string(),
            Self::Ours(client) => format!("{} connect 127.0.0.1 {port} --join", client.display()),
            Self::Irssi => format!("irssi --home {home}/irssi -c 127.0.0.1 -p {port} -n me"),
            Self::WeeChat => {
                let commands = format!("/server add here 127.0.0.1/{port} -notls -nicks=me;/connect here");
                format!("weechat -d {home}/weechat -r '{commands}'")
            }
        }
    }

    /// Does what somebody has to do by hand before the room is in view.
    pub(crate) fn arrange(&self, person: &mut Person) {
        if let Self::Irssi = self {
            person.press("/window 2\r");
        }
    }
}
