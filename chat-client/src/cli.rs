//! The command line: what can be asked for, and how it becomes settings of the parts. Nothing is done here.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chat_core::known_servers::ServerAddress;
use chat_core::noise::Fingerprint;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use regex_lite::Regex;

use crate::app::{Config, Destination};
use crate::lines::{Input, Usage};
use crate::link::{KeySource, Target, Timeouts, Trust};
use crate::password::PasswordSource;
use crate::pins::{Pins, PinsError};
use crate::settings::Settings;
use crate::{AGENT, DEFAULT_PORT};

const AFTER_SHORT_HELP: &str = "\
chat-client connect chat.example             connect, then type; /help and /keys explain
chat-client send chat.example 'backup done'  one message
chat-client watch chat.example               what is said

--help says more: all options, scripts, passwords, exit status.";

const AFTER_HELP: &str = "\
On a terminal:
  chat-client connect chat.example    connect, then type; /help and /keys explain
  chat-client                         start without a server; /connect leads to one

In a pipe, lines are messages or commands, and the chat comes out on standard output:
  printf '/join\\nhello\\n' | chat-client connect 127.0.0.1 12345
  tail -f log | chat-client connect chat.example --reconnect
Further lines of one message come out indented, so that no line can pass for somebody else's message.

Servers prove who they are. The first time, their identity is remembered; if it is another one later, the client stops. \
`chat-client pins` lists what is remembered.

For scripts:
  chat-client send home 'backup done'            one message, to a server that has a name in the settings
  chat-client send home -- '-5 degrees outside'  the same with a text that may begin with a dash
  chat-client watch home --json                  what is said, as JSON
  chat-client watch home --wait-for '^bob: .*done' --timeout 60

Passwords come from --password-fd, --password-command, --password-keyring or CHAT_CLIENT_PASSWORD, never from an argument.

Everything that the settings file can say (chat-client config --example) can also be said by --set NAME=VALUE and by a variable \
of the environment, CHAT_CLIENT_ and the name in capitals: CHAT_CLIENT_ENCRYPTION=noise, CHAT_CLIENT_THEME=light.

Exit status:
  0    all that was asked for was done, or nobody reads the output any more
  1    something was not: no connection, connection lost, a login or command refused, no answer
  2    wrong usage or settings
  4    time was up (--timeout)
  130  interrupted
On a terminal, refusals are only shown.";

/// Chats: on a terminal with a full screen, in a pipe line by line
#[derive(Debug, Parser)]
#[command(name = "chat-client", version, after_help = AFTER_SHORT_HELP, after_long_help = AFTER_HELP, max_term_width = 100)]
pub struct Cli {
    /// What to do; without it the client starts without a server.
    #[command(subcommand)]
    pub action: Option<Action>,
    /// How to connect.
    #[command(flatten)]
    pub options: Options,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Connect to a server and chat
    Connect(Address),
    /// Connect to a server and chat in a window; without one, begin as without a command
    #[command(hide = !cfg!(feature = "window"))]
    Window(Place),
    /// Send one message and leave
    Send {
        /// The server: a name in the settings, HOST or HOST:PORT
        server: String,
        /// The message; without one, standard input is sent as one. One that may begin with a dash goes behind --
        message: Vec<String>,
    },
    /// Print what is said, without reading standard input
    Watch(Address),
    /// List the remembered identities of servers
    Pins,
    /// Forget the identity of a server, after it was set up anew
    Forget(Address),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    Man,
    /// Show every setting with its value and where that comes from
    Config {
        /// Show a settings file with every setting explained instead
        #[arg(long)]
        example: bool,
    },
}

/// Which server.
#[derive(Debug, Args)]
pub struct Address {
    /// Name or IP address of the server, or its name in the settings
    host: String,
    /// Port of the server [default: 12345]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
}

/// Which server, if one is named.
#[derive(Debug, Args)]
pub struct Place {
    /// Name or IP address of the server, or its name in the settings
    host: Option<String>,
    /// Port of the server [default: 12345]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
}

/// How to connect, and how the client is to be.
#[derive(Debug, Args)]
pub struct Options {
    /// Which revision of the original protocol to speak [default: auto]
    #[arg(long, value_enum, global = true, hide_short_help = true)]
    dialect: Option<Spoken>,
    /// How to encrypt [default: auto]
    #[arg(long, value_enum, global = true)]
    encryption: Option<Wanted>,
    /// Accept only a server with this identity
    #[arg(long, value_name = "SHA256:...", global = true, hide_short_help = true)]
    identity: Option<Fingerprint>,
    /// Directory with publickey.txt and privatekey.txt for classic encryption [default: fresh keys each time]
    #[arg(long, value_name = "DIR", global = true, hide_short_help = true)]
    key_dir: Option<PathBuf>,
    /// Send passwords without encryption and without asking
    #[arg(long, global = true, hide_short_help = true)]
    allow_plain_passwords: bool,
    /// In a pipe, too, reconnect when the connection is lost
    #[arg(long, global = true, hide_short_help = true)]
    reconnect: bool,
    /// Lines instead of a full screen, also on a terminal: for screen readers
    #[arg(long, global = true)]
    lines: bool,
    /// Print events as JSON, one object per line
    #[arg(long, global = true)]
    json: bool,
    /// Leave with success once a line has come that this regular expression finds something in
    #[arg(long, value_name = "PATTERN", global = true)]
    wait_for: Option<Regex>,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", global = true, value_parser = seconds)]
    timeout: Option<Duration>,
    /// Log in as this user once connected
    #[arg(long, value_name = "NAME", global = true)]
    user: Option<String>,
    /// Read the password of --user from this file descriptor, up to the end of its first line
    #[arg(
        long,
        value_name = "N",
        global = true,
        requires = "user",
        conflicts_with = "password_command",
        hide_short_help = true
    )]
    password_fd: Option<u32>,
    /// Take the password of --user from what this command prints first, such as `secret-tool lookup chat home`
    #[arg(long, value_name = "COMMAND", global = true, requires = "user", hide_short_help = true)]
    password_command: Option<String>,
    /// Take the password of --user from the system's keyring, where /login NAME --keep has put it
    #[arg(long, global = true, requires = "user", conflicts_with_all = ["password_fd", "password_command"], hide_short_help = true)]
    password_keyring: bool,
    /// Enter the room once connected
    #[arg(long, global = true)]
    join: bool,
    /// Add everything that is shown to this file
    #[arg(long, value_name = "FILE", global = true, hide_short_help = true)]
    log: Option<String>,
    /// Set anything that the settings file can, such as theme=light
    #[arg(long = "set", value_name = "NAME=VALUE", global = true, value_parser = assignment, hide_short_help = true)]
    set: Vec<(String, String)>,
    /// Settings file [default: chat-client/config.toml in the user's configuration directory]
    #[arg(
        long,
        value_name = "FILE",
        global = true,
        env = "CHAT_CLIENT_CONFIG",
        hide_env_values = true,
        hide_short_help = true
    )]
    config: Option<PathBuf>,
}

/// The values of `--dialect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Spoken {
    /// 2025; with a server that does not answer, try 2026 and ask (in a pipe: say so and fail)
    Auto,
    /// October 2025, and what servers of ours add to it
    #[value(name = "2025")]
    October,
    /// January 2026, whose only encryption protects nothing
    #[value(name = "2026")]
    January,
}

/// The values of `--encryption`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Wanted {
    /// Modern encryption; with an original server, ask (in a pipe: fail)
    Auto,
    /// Modern encryption or no connection
    Noise,
    /// The original's cipher, which protects nothing
    Classic,
    /// No encryption
    Off,
}

impl From<&Address> for ServerAddress {
    fn from(address: &Address) -> Self {
        Self::typed(&address.host, address.port, DEFAULT_PORT)
    }
}

impl Cli {
    /// Returns the server to connect to at once: the one that is named here, or else in the settings.
    #[must_use]
    pub fn destination(&self, settings: &Settings) -> Option<Destination> {
        let address = match &self.action {
            Some(Action::Connect(address) | Action::Watch(address)) => address.into(),
            Some(Action::Send { server, .. }) => ServerAddress::typed(server, None, DEFAULT_PORT),
            Some(Action::Window(Place { host: Some(host), port })) => {
                ServerAddress::typed(host, *port, DEFAULT_PORT)
            }
            Some(Action::Window(Place { host: None, .. })) | None => {
                let host = settings.host.as_deref()?;
                // A name stands for a port, too.
                let port = (!settings.servers.contains_key(&host.to_lowercase())).then_some(settings.port);
                ServerAddress::typed(host, port, DEFAULT_PORT)
            }
            Some(
                Action::Pins
                | Action::Forget(_)
                | Action::Config { .. }
                | Action::Completions { .. }
                | Action::Man,
            ) => return None,
        };
        let destination = settings.destination(address);
        Some(Destination { identity: self.options.identity.or(destination.identity), ..destination })
    }
}

impl Options {
    /// Returns the settings file, if one is named here.
    #[must_use]
    pub fn config_file(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// Tells whether lines are wanted also where there could be a screen.
    #[must_use]
    pub fn wants_lines(&self) -> bool {
        self.lines
    }

    /// Returns the settings that are named here.
    #[must_use]
    pub fn flags(&self) -> Vec<(String, String)> {
        let mut flags = self.set.clone();
        let mut add =
            |name: &str, value: Option<String>| flags.extend(value.map(|value| (name.to_owned(), value)));
        add("dialect", self.dialect.as_ref().and_then(value_name));
        add("encryption", self.encryption.as_ref().and_then(value_name));
        add("allow_plain_passwords", self.allow_plain_passwords.then(|| "true".to_owned()));
        add("log", self.log.clone());
        flags
    }

    /// Tells whether something is asked for that only lines can do.
    #[must_use]
    pub fn is_for_programs(&self) -> bool {
        self.json || self.wait_for.is_some() || self.timeout.is_some()
    }

    /// Says whom to log in as, and where the password comes from.
    #[must_use]
    pub fn login(&self) -> Option<(&str, PasswordSource<'_>)> {
        let source = match (self.password_fd, &self.password_command) {
            (Some(descriptor), _) => PasswordSource::Descriptor(descriptor),
            (None, Some(command)) => PasswordSource::Command(command),
            (None, None) if self.password_keyring => PasswordSource::Keyring,
            (None, None) => PasswordSource::Environment,
        };
        Some((self.user.as_deref()?, source))
    }

    /// Says how lines are used.
    #[must_use]
    pub fn usage(&self, settings: &Settings, user: User, action: Option<&Action>) -> Usage {
        Usage {
            person: matches!(user, User::WithLines | User::AtKeyboard),
            bell: user == User::WithLines && settings.bell,
            json: self.json,
            quiet: matches!(action, Some(Action::Send { .. })),
            input: if matches!(action, Some(Action::Watch(_))) { Input::None } else { Input::Standard },
            wait_for: self.wait_for.clone(),
            timeout: self.timeout,
        }
    }

    /// Says how the client is used; `zone` is the local time zone.
    #[must_use]
    pub fn config(
        &self,
        settings: &Settings,
        destination: Option<Destination>,
        user: User,
        zone: String,
    ) -> Config {
        let usual = Destination {
            address: ServerAddress::new("127.0.0.1", settings.port),
            dialect: settings.dialect,
            encryption: settings.encryption,
            identity: self.identity,
        };
        let interactive = matches!(user, User::AtScreen | User::WithLines);
        // A server that is named later must prove to be the same as one that is named here.
        let demanding =
            |server: Destination| Destination { identity: self.identity.or(server.identity), ..server };
        Config {
            interactive,
            asks: user != User::Program,
            screen: user == User::AtScreen,
            reconnect: interactive || self.reconnect,
            allow_plain_passwords: settings.allow_plain_passwords,
            keyring: interactive || self.password_keyring,
            dialect: settings.dialect,
            encryption: settings.encryption,
            identity: self.identity,
            zone,
            destination: destination.unwrap_or(usual),
            servers: settings
                .servers
                .clone()
                .into_iter()
                .map(|(name, server)| (name, demanding(server)))
                .collect(),
            login: None,
            join: self.join,
        }
    }

    /// Says how to connect.
    ///
    /// # Errors
    ///
    /// [`PinsError::NoHome`] if there is no place for the pins.
    pub fn target(&self, destination: &Destination) -> Result<Target, PinsError> {
        Ok(Target {
            address: destination.address.clone(),
            agent: AGENT.to_owned(),
            dialect: destination.dialect,
            encryption: destination.encryption,
            trust: Trust { pins: Some(Pins::of_user()?), demanded: destination.identity },
            classic_keys: self.key_dir.clone().map_or(KeySource::Fresh, KeySource::Directory),
            timeouts: Timeouts::default(),
        })
    }
}

/// Who uses the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// A person at a full screen.
    AtScreen,
    /// A person with lines.
    WithLines,
    /// A person who types; a program reads what is said.
    AtKeyboard,
    /// A program.
    Program,
}

/// Returns what an argument was called on the command line.
fn value_name(value: &impl ValueEnum) -> Option<String> {
    Some(value.to_possible_value()?.get_name().to_owned())
}

/// Reads a number of seconds.
fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0.0);
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or("it must be a number above 0")
}

/// Reads `NAME=VALUE`.
fn assignment(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Tells whether a person can type and read: a screen needs both ends of the terminal.
#[must_use]
pub fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Tells whether a person types who would see a question, whoever reads standard output.
#[must_use]
pub fn can_be_asked() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::link::{Dialect, Encryption};

    #[test]
    fn the_command_line_is_consistent_and_documented() {
        Cli::command().debug_assert();
        let window = "  window       Connect to a server and chat in a window; without one, begin as without a command\n";
        let without = |help: String| {
            assert_eq!(help.contains(window), cfg!(feature = "window"), "{help}");
            help.replace(window, "")
        };
        let mut command = Cli::command().term_width(100);
        insta::assert_snapshot!(without(command.render_long_help().to_string()));
        insta::assert_snapshot!("the_short_help_is_short", without(command.render_help().to_string()));
    }

    #[test]
    fn completions_and_the_manual_page_know_every_command() {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "chat-client", &mut script);
            let script = String::from_utf8(script).unwrap();
            // One that is not built in is not shown either.
            for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
                let name = command.get_name();
                assert!(script.contains(name) && page.contains(name), "{name} {shell}");
            }
        }
        assert!(page.starts_with(".ie") && page.contains("EXTRA") && page.contains("wait"), "{page}");
    }

    fn destination(line: &str, settings: &Settings) -> Option<String> {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let destination = cli.destination(settings)?;
        let identity = if destination.identity.is_some() { " known" } else { "" };
        Some(format!("{} {:?}{identity}", destination.address, destination.encryption))
    }

    #[test]
    fn a_server_has_the_usual_port_unless_another_is_named() {
        let server = |line: &str| destination(line, &Settings::default());
        assert_eq!(server("chat-client"), None);
        assert_eq!(server("chat-client connect Host"), Some("host:12345 Auto".to_owned()));
        assert_eq!(server("chat-client connect ::1 4000"), Some("[::1]:4000 Auto".to_owned()));
        assert_eq!(server("chat-client connect host:4000"), Some("host:4000 Auto".to_owned()));
        for wrong in ["connect host 0", "connect host --identity SHA256:x", "connect host --set theme"] {
            assert!(Cli::try_parse_from(format!("chat-client {wrong}").split(' ')).is_err());
        }
    }

    #[test]
    fn a_server_may_have_a_name_in_the_settings() {
        let mut settings = Settings::default();
        let (address, identity) = (ServerAddress::new("chat.example", 4000), Some(Fingerprint::of(&[1; 32])));
        settings.servers.insert(
            "home".to_owned(),
            Destination { address, dialect: Dialect::Auto, encryption: Encryption::Noise, identity },
        );
        let home = Some("chat.example:4000 Noise known".to_owned());
        assert_eq!(destination("chat-client connect Home", &settings), home);
        assert_eq!(destination("chat-client connect home 7", &settings), Some("home:7 Auto".to_owned()));
        assert_eq!(destination("chat-client", &settings), None);
        settings.host = Some("home".to_owned());
        assert_eq!(destination("chat-client", &settings), home);
        (settings.host, settings.port) = (Some("Home".to_owned()), 4001);
        assert_eq!(destination("chat-client", &settings), home);
        (settings.host, settings.port) = (Some("elsewhere".to_owned()), 5);
        assert_eq!(destination("chat-client", &settings), Some("elsewhere:5 Auto".to_owned()));
    }
}
