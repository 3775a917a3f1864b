//! The slash commands: one table that reads them, suggests them and writes `/help`.
//!
//! What a command does is `input`'s; here is only what a line means.

mod arguments;

use chat_core::known_servers::ServerAddress;
use chat_core::secret::Secret;

use self::arguments::{
    alone, read_account, read_address, read_encryption, read_text, read_word, split_keep, split_word,
};

/// What a line asks for.
#[derive(Clone, Debug)]
pub enum Line {
    /// A message to everyone, without its line end.
    Message(String),
    /// A command.
    Command(Command),
}

/// A command with its arguments.
#[derive(Clone, Debug)]
pub enum Command {
    /// Connects; to the last server again if none is named.
    Connect(Option<ServerAddress>),
    /// Leaves the server.
    Disconnect,
    /// Switches encryption; without an argument, says how the connection is encrypted.
    Encryption(Option<EncryptionChoice>),
    /// Enters the room.
    Join,
    /// Leaves the room.
    Leave,
    /// Makes an account.
    Register(Account),
    /// Logs in.
    Login(Account),
    /// Removes a user's password from the keyring: that of the one who is logged in if none is named.
    Forget(Option<String>),
    /// Logs out.
    Logout,
    /// Asks who one is.
    WhoAmI,
    /// Asks a server of the January 2026 revision who one is.
    Profile,
    /// Asks for the date, in the local time zone if none is named.
    Date(Option<String>),
    /// Asks for the time, in the local time zone if none is named.
    Time(Option<String>),
    /// Shows who is in the room.
    Users,
    /// Explains all commands or one.
    Help(Option<String>),
    /// Lets the screen do something.
    Screen(ScreenCommand),
    /// Leaves the server and its tab.
    Close,
    /// Leaves all servers and the program.
    Exit,
}

/// What only a full screen can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScreenCommand {
    /// Looks for a text in what was said.
    Search(String),
    /// Shows comings and goings one by one, or in one sentence again.
    Fold,
    /// Forgets what was said.
    Clear,
    /// Writes what was said to a new file of this name.
    Export(String),
    /// Explains the keys.
    Keys,
}

/// What the argument of a command may be, for completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// None, or nothing that is known beforehand.
    None,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A command.
    Command,
    /// Somebody's name.
    Name,
    /// A server.
    Server,
    /// A time zone.
    Zone,
}

/// How `/encryption` is to switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncryptionChoice {
    /// The best the server knows.
    On,
    /// Modern encryption.
    Noise,
    /// The original's cipher.
    Classic,
    /// None.
    Off,
}

/// A user name and, unless it is still to be asked for, a password.
#[derive(Clone, Debug)]
pub struct Account {
    /// The name; no white space and no `:`.
    pub user: String,
    /// The password: the rest of the line, spaces included.
    pub password: Option<Secret>,
    /// The keyring is to keep the password.
    pub keep: bool,
}

/// A line that begins with a slash and is no command as it stands. Such lines are never sent as messages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// There is no such command.
    #[error("there is no command {name}{}", suggestion.map(|name| format!("; did you mean {name}?")).unwrap_or_default())]
    Unknown {
        /// What was typed.
        name: String,
        /// The command that looks most like it.
        suggestion: Option<&'static str>,
    },
    /// Other chat programs have it, and this one has not.
    #[error("there is no {name} here: {instead}")]
    Absent {
        /// What was typed.
        name: &'static str,
        /// What to do.
        instead: &'static str,
    },
    /// The arguments do not fit.
    #[error("usage: {}", format!("{name} {arguments}").trim_end())]
    Usage {
        /// The command.
        name: &'static str,
        /// The arguments it takes.
        arguments: &'static str,
    },
    /// It goes on in further lines, as pasted text may; they would become part of its last argument.
    #[error("a command is one line")]
    SeveralLines,
    /// The user name has a `:`, at which the server would split it.
    #[error("a user name cannot contain ':'")]
    Colon,
}

/// One row of the table.
struct Row {
    name: &'static str,
    arguments: &'static str,
    help: &'static str,
    argument: Argument,
    read: fn(&str) -> Option<Command>,
}

const TABLE: [Row; 22] = [
    Row {
        name: "/connect",
        arguments: "[host [port]]",
        help: "connect to a server, beside the one there is; without a host to the last one, at once",
        argument: Argument::Server,
        read: |rest| Some(Command::Connect(read_address(rest)?)),
    },
    Row {
        name: "/disconnect",
        arguments: "",
        help: "leave the server",
        argument: Argument::None,
        read: |rest| alone(rest, Command::Disconnect),
    },
    Row {
        name: "/encryption",
        arguments: "[on|off|noise|classic]",
        help: "switch encryption, or say what it is; classic is the original's cipher, a toy",
        argument: Argument::OneOf(&["on", "off", "noise", "classic"]),
        read: |rest| Some(Command::Encryption(read_encryption(rest)?)),
    },
    Row {
        name: "/join",
        arguments: "",
        help: "enter the chat room: be on the user list, and tell others; whoever is connected reads along anyway",
        argument: Argument::None,
        read: |rest| alone(rest, Command::Join),
    },
    Row {
        name: "/leave",
        arguments: "",
        help: "leave the chat room: off the user list, tell others, log out; you read along until /disconnect",
        argument: Argument::None,
        read: |rest| alone(rest, Command::Leave),
    },
    Row {
        name: "/register",
        arguments: "user [--keep] [password]",
        help: "make an account; a missing password is asked for, hidden; --keep: see /login",
        argument: Argument::None,
        read: |rest| Some(Command::Register(read_account(rest)?)),
    },
    Row {
        name: "/login",
        arguments: "user [--keep] [password]",
        help: "log in; a missing password is asked for, hidden; --keep keeps it in the system's keyring",
        argument: Argument::None,
        read: |rest| Some(Command::Login(read_account(rest)?)),
    },
    Row {
        name: "/forget",
        arguments: "[user]",
        help: "remove a password from the keyring",
        argument: Argument::Name,
        read: |rest| Some(Command::Forget(read_word(rest)?)),
    },
    Row {
        name: "/logout",
        arguments: "",
        help: "log out",
        argument: Argument::None,
        read: |rest| alone(rest, Command::Logout),
    },
    Row {
        name: "/whoami",
        arguments: "",
        help: "show what the server knows of this connection",
        argument: Argument::None,
        read: |rest| alone(rest, Command::WhoAmI),
    },
    Row {
        name: "/profile",
        arguments: "",
        help: "the same in one line, on servers of the January 2026 revision",
        argument: Argument::None,
        read: |rest| alone(rest, Command::Profile),
    },
    Row {
        name: "/date",
        arguments: "[zone]",
        help: "ask for the date, here or in a time zone such as Europe/Paris",
        argument: Argument::Zone,
        read: |rest| Some(Command::Date(read_word(rest)?)),
    },
    Row {
        name: "/time",
        arguments: "[zone]",
        help: "ask for the time, here or in a time zone",
        argument: Argument::Zone,
        read: |rest| Some(Command::Time(read_word(rest)?)),
    },
    Row {
        name: "/users",
        arguments: "",
        help: "show who is in the chat room",
        argument: Argument::None,
        read: |rest| alone(rest, Command::Users),
    },
    Row {
        name: "/help",
        arguments: "[command]",
        help: "explain all commands, or one",
        argument: Argument::Command,
        read: |rest| Some(Command::Help(read_word(rest)?)),
    },
    Row {
        name: "/search",
        arguments: "text",
        help: "look for a text in what was said; Return looks further up, Esc ends it",
        argument: Argument::None,
        read: |rest| Some(Command::Screen(ScreenCommand::Search(read_text(rest)?))),
    },
    Row {
        name: "/fold",
        arguments: "",
        help: "show who comes and goes one by one, or in one sentence",
        argument: Argument::None,
        read: |rest| alone(rest, Command::Screen(ScreenCommand::Fold)),
    },
    Row {
        name: "/clear",
        arguments: "",
        help: "empty the screen",
        argument: Argument::None,
        read: |rest| alone(rest, Command::Screen(ScreenCommand::Clear)),
    },
    Row {
        name: "/export",
        arguments: "file",
        help: "write what was said to a new file",
        argument: Argument::None,
        read: |rest| Some(Command::Screen(ScreenCommand::Export(read_text(rest)?))),
    },
    Row {
        name: "/keys",
        arguments: "",
        help: "explain what the keys do",
        argument: Argument::None,
        read: |rest| alone(rest, Command::Screen(ScreenCommand::Keys)),
    },
    Row {
        name: "/close",
        arguments: "",
        help: "leave the server and close its tab",
        argument: Argument::None,
        read: |rest| alone(rest, Command::Close),
    },
    Row {
        name: "/exit",
        arguments: "",
        help: "leave all servers and the program, once everything sent is answered; asks if messages wait",
        argument: Argument::None,
        read: |rest| alone(rest, Command::Exit),
    },
];

/// What other chat programs call some of these; understood as well.
const ELSEWHERE: [(&str, &str); 5] =
    [("/quit", "/exit"), ("/q", "/exit"), ("/names", "/users"), ("/who", "/users"), ("/part", "/leave")];

const NOTHING_PRIVATE: &str = "everybody in the room reads everything";

/// What other chat programs have and this one has not, and what there is instead.
const ABSENT: [(&str, &str); 6] = [
    ("/me", "say what you do in a message"),
    ("/msg", NOTHING_PRIVATE),
    ("/query", NOTHING_PRIVATE),
    ("/whisper", NOTHING_PRIVATE),
    ("/nick", "a name is an account, which /register makes and /login uses"),
    ("/set", "settings are in a file, which `chat-client config` explains"),
];

/// Reads a line, without its line end. White space before a slash changes nothing: a command with a password must not
/// become a message by a slip of the thumb. `//` sends a message that begins with a slash.
///
/// # Errors
///
/// [`CommandError`].
pub fn read(line: &str) -> Result<Line, CommandError> {
    let typed = line.trim_start();
    let indent = line.strip_suffix(typed).unwrap_or_default();
    if let Some(rest) = typed.strip_prefix("//") {
        return Ok(Line::Message(format!("{indent}/{rest}")));
    }
    if !typed.starts_with('/') {
        return Ok(Line::Message(line.to_owned()));
    }
    if line.contains('\n') {
        return Err(CommandError::SeveralLines);
    }
    let (name, rest) = split_word(line);
    let row = find(name).ok_or_else(|| match absent(name) {
        Some((name, instead)) => CommandError::Absent { name, instead },
        None => CommandError::Unknown { name: name.to_owned(), suggestion: suggest(name) },
    })?;
    match (row.read)(rest) {
        Some(Command::Register(account) | Command::Login(account)) if account.user.contains(':') => {
            Err(CommandError::Colon)
        }
        Some(command) => Ok(Line::Command(command)),
        None => Err(CommandError::Usage { name: row.name, arguments: row.arguments }),
    }
}

/// Writes the help for all commands, or for one; `None` if there is no such command.
#[must_use]
pub fn help(name: Option<&str>) -> Option<String> {
    let Some(name) = name else {
        let mut lines: Vec<_> = TABLE.iter().map(Row::explain).collect();
        lines.push(explain("anything else", "is a message; // sends one that begins with a slash"));
        return Some(lines.concat());
    };
    let name = if name.starts_with('/') { name.to_owned() } else { format!("/{name}") };
    find(&name).map(Row::explain)
}

/// Goes through the names of all commands.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|row| row.name)
}

/// Says what the argument of a command may be.
#[must_use]
pub fn argument(name: &str) -> Argument {
    find(name).map_or(Argument::None, |row| row.argument)
}

/// Returns where in a line a password begins, in bytes; such lines are kept out of histories and off screens. Also finds
/// the password behind a mistyped `/login` or `/register`; behind a slash word that nobody knows, anything may be one.
#[must_use]
pub fn password_start(line: &str) -> Option<usize> {
    let (name, rest) = split_word(line);
    let takes_password = |name| matches!(name, "/login" | "/register");
    let (_, password) = if takes_password(name) || suggest(name).is_some_and(takes_password) {
        split_word(rest)
    } else if name.starts_with('/')
        && !name.starts_with("//")
        && find(name).is_none()
        && absent(name).is_none()
    {
        (name, rest)
    } else {
        return None;
    };
    let (_, password) = split_keep(password);
    // Slices of one line: the end is where the password ends, whatever white space stands before it.
    (!password.is_empty()).then_some(line.len() - password.len())
}

/// Tells whether a line begins with a command, whatever follows: where something else is wanted, it was meant as one.
#[must_use]
pub fn begins(line: &str) -> bool {
    find(split_word(line).0).is_some()
}

/// Tells whether a line lets the client ask for a password.
#[must_use]
pub fn asks_for_password(line: &str) -> bool {
    match read(line) {
        Ok(Line::Command(Command::Register(account) | Command::Login(account))) => account.password.is_none(),
        _ => false,
    }
}

/// Tells whether a line may be remembered: not with a password in it, nor after a slash without its command, as that may
/// be any typing error for `/login`.
#[must_use]
pub fn is_memorable(line: &str) -> bool {
    let is_command = |error| matches!(error, CommandError::Usage { .. } | CommandError::Colon);
    password_start(line).is_none() && read(line).map_or_else(is_command, |_| true)
}

impl Row {
    fn explain(&self) -> String {
        let usage = format!("{} {}", self.name, self.arguments);
        explain(usage.trim_end(), self.help)
    }
}

fn explain(usage: &str, help: &str) -> String {
    format!("{usage:<36} {help}\n")
}

fn find(name: &str) -> Option<&'static Row> {
    let ours = ELSEWHERE.iter().find(|(theirs, _)| *theirs == name).map_or(name, |(_, ours)| *ours);
    TABLE.iter().find(|row| row.name == ours)
}

/// Returns what other chat programs have by this name, and what there is instead.
fn absent(name: &str) -> Option<(&'static str, &'static str)> {
    ABSENT.into_iter().find(|(absent, _)| *absent == name)
}

/// Returns the command nearest to what was typed, if it is near enough to be meant.
fn suggest(typed: &str) -> Option<&'static str> {
    if !typed.starts_with('/') || typed.len() < 3 {
        return None;
    }
    let typed = typed.to_lowercase();
    let nearest = names().map(|name| (strsim::osa_distance(&typed, name), name)).min()?;
    let allowed = if typed.len() < 6 { 1 } else { 2 };
    let mut begun = names().filter(|name| name.starts_with(&typed));
    match (begun.next(), begun.next()) {
        (Some(only), None) => Some(only),
        _ => (nearest.0 <= allowed).then_some(nearest.1),
    }
}

#[cfg(test)]
mod tests;
