//! The command line: what can be asked for, and how it becomes settings of the parts. Nothing is done here.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use chat_core::known_servers::ServerAddress;
use chat_core::noise::Fingerprint;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::app::Config;
use crate::link::{Encryption, KeySource, Target, Timeouts, Trust};
use crate::pins::{Pins, PinsError};
use crate::{AGENT, DEFAULT_PORT};

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

Exit status:
  0    all that was asked for was done, or nobody reads the output any more
  1    something was not: no connection, connection lost, a login or command refused, no answer
  2    wrong usage
  130  interrupted
On a terminal, refusals are only shown.";

/// Chats: on a terminal with a full screen, in a pipe line by line
#[derive(Debug, Parser)]
#[command(name = "chat-client", version, after_help = AFTER_HELP, max_term_width = 100)]
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
    /// List the remembered identities of servers
    Pins,
    /// Forget the identity of a server, after it was set up anew
    Forget(Address),
}

/// Which server.
#[derive(Debug, Args)]
pub struct Address {
    /// Name or IP address of the server
    host: String,
    /// Port of the server [default: 12345]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
}

/// How to connect.
#[derive(Debug, Args)]
pub struct Options {
    /// How to encrypt
    #[arg(
        long,
        value_enum,
        default_value = "auto",
        global = true,
        env = "CHAT_CLIENT_ENCRYPTION",
        hide_env_values = true
    )]
    encryption: Wanted,
    /// Accept only a server with this identity
    #[arg(long, value_name = "SHA256:...", global = true)]
    identity: Option<Fingerprint>,
    /// Directory with publickey.txt and privatekey.txt for classic encryption [default: fresh keys each time]
    #[arg(long, value_name = "DIR", global = true)]
    key_dir: Option<PathBuf>,
    /// Send passwords without encryption and without asking
    #[arg(long, global = true)]
    allow_plain_passwords: bool,
    /// In a pipe, too, reconnect when the connection is lost
    #[arg(long, global = true)]
    reconnect: bool,
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

impl From<Wanted> for Encryption {
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Auto => Self::Auto,
            Wanted::Noise => Self::Noise,
            Wanted::Classic => Self::Classic,
            Wanted::Off => Self::Off,
        }
    }
}

impl From<&Address> for ServerAddress {
    fn from(address: &Address) -> Self {
        Self::typed(&address.host, address.port, DEFAULT_PORT)
    }
}

impl Cli {
    /// Returns the server to connect to at once, if one is named.
    #[must_use]
    pub fn server(&self) -> Option<ServerAddress> {
        match &self.action {
            Some(Action::Connect(address)) => Some(address.into()),
            _ => None,
        }
    }
}

impl Options {
    /// Says how the client is used; `zone` is the local time zone.
    #[must_use]
    pub fn config(&self, server: Option<ServerAddress>, screen: bool, zone: String) -> Config {
        let interactive = screen;
        Config {
            interactive,
            screen,
            reconnect: interactive || self.reconnect,
            allow_plain_passwords: self.allow_plain_passwords,
            encryption: self.encryption.into(),
            zone,
            address: server.unwrap_or_else(|| ServerAddress::new("127.0.0.1", DEFAULT_PORT)),
        }
    }

    /// Says how to connect.
    ///
    /// # Errors
    ///
    /// [`PinsError::NoHome`] if there is no place for the pins.
    pub fn target(&self, address: ServerAddress) -> Result<Target, PinsError> {
        Ok(Target {
            address,
            agent: AGENT.to_owned(),
            encryption: self.encryption.into(),
            trust: Trust { pins: Some(Pins::of_user()?), demanded: self.identity },
            classic_keys: self.key_dir.clone().map_or(KeySource::Fresh, KeySource::Directory),
            timeouts: Timeouts::default(),
        })
    }
}

/// Tells whether a person can type and read: a screen needs both ends of the terminal.
#[must_use]
pub fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_documented() {
        Cli::command().debug_assert();
        insta::assert_snapshot!(Cli::command().term_width(100).render_long_help().to_string());
    }

    #[test]
    fn a_server_has_the_usual_port_unless_another_is_named() {
        let server =
            |line: &str| Cli::try_parse_from(line.split(' ')).unwrap().server().map(|s| s.to_string());
        assert_eq!(server("chat-client"), None);
        assert_eq!(server("chat-client connect Host"), Some("host:12345".to_owned()));
        assert_eq!(server("chat-client connect ::1 4000 --encryption off"), Some("[::1]:4000".to_owned()));
        assert_eq!(server("chat-client connect host:4000"), Some("host:4000".to_owned()));
        assert!(Cli::try_parse_from(["chat-client", "connect", "host", "0"]).is_err());
        assert!(Cli::try_parse_from(["chat-client", "connect", "host", "--identity", "SHA256:x"]).is_err());
    }
}
