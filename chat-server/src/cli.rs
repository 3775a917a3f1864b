//! The command line: what can be typed, and nothing of what happens then (that is in `commands`).

use std::ffi::OsString;
use std::path::PathBuf;

use chat_server::config::Layers;
use clap::{Args, Parser, Subcommand};

/// A chat server: one room, with accounts and encryption, for original and modern clients alike.
#[derive(Debug, Parser)]
#[command(
    name = "chat-server",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Settings come from flags, then the environment (CHAT_HOST, CHAT_PORT, CHAT_LIMITS_MAX_CONNECTIONS, \
                  ...), then the settings file, then defaults. An empty variable counts as not set; that of a list \
                  (CHAT_LIMITS_EXEMPT) makes the list empty.\n\n\
                  Examples:\n  \
                  chat-server                              talk on 127.0.0.1:12345, for this machine only\n  \
                  chat-server --host 0.0.0.0 --port 5000   talk to everyone\n  \
                  chat-server --config server.toml         with everything else as the file says\n  \
                  chat-server check-config                 print all settings, as a file to start from\n  \
                  chat-server identity                     print the fingerprint that clients pin\n  \
                  chat-server status                       ask the running server how it is"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// What `serve` takes may also be typed without it.
    #[command(flatten)]
    pub(crate) serve: SettingsArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server (what happens without a subcommand)
    Serve(SettingsArgs),
    /// Check the settings: list every mistake, or print all settings as a file
    CheckConfig(SettingsArgs),
    /// Print the fingerprint of the identity in --data, which is made if there is none yet
    Identity(SettingsArgs),
    /// Show how a running server is: who is there, since when, and where
    Status(StatusArgs),
    /// Print what a running server counts about itself, as Prometheus reads it
    Metrics(MetricsArgs),
    /// Administer the accounts of a running server
    #[command(subcommand)]
    Users(UsersCommand),
    /// End the connection of a user or client of a running server
    Kick(KickArgs),
    /// Have a running server take nobody new, and stop when everybody has left
    ///
    /// Who connects meanwhile waits in the socket, if systemd holds it, and is served by the next start.
    Drain(DrainArgs),
    /// Take over the users of the original server from its users.pickle
    ///
    /// The file is a dictionary {name: {"password": text, "registration_dt": datetime}}, as the original writes it. It is
    /// read without running any of it. Names that exist are kept, names that cannot be used are listed; the server must not
    /// be running.
    ImportUsers(ImportArgs),
    /// Make classic keys: publickey.txt and privatekey.txt
    Keygen(KeygenArgs),
}

/// The settings that have flags; the file and the environment have all of them.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SettingsArgs {
    /// Settings file, in TOML [env: CHAT_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Literal address to listen on: 0.0.0.0 or :: for everyone [env: CHAT_HOST] [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    host: Option<OsString>,

    /// TCP port to listen on; 0 takes any free one [env: CHAT_PORT] [default: 12345]
    #[arg(long, value_name = "PORT")]
    port: Option<OsString>,

    /// Directory for accounts, identity and keys [env: CHAT_DATA] [default: chat-server in the user's state directory]
    #[arg(long, value_name = "DIR")]
    data: Option<OsString>,

    /// Address and port where Prometheus finds the metrics [env: CHAT_METRICS_ADDRESS] [default: none]
    #[arg(long, value_name = "ADDRESS")]
    metrics_address: Option<OsString>,

    /// Write every packet in clear into this file, for debugging [env: CHAT_PACKET_LOG]
    #[arg(long, value_name = "FILE")]
    packet_log: Option<OsString>,

    /// Form of the log on standard error, text or json [env: CHAT_LOG_FORMAT] [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<OsString>,

    /// off, error, warn, info, debug, trace, or directives [env: CHAT_LOG] [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<OsString>,
}

/// Asks the server that uses the data directory.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Print one line of JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

/// Asks the server that uses the data directory.
#[derive(Debug, Args)]
pub(crate) struct MetricsArgs {
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// List all accounts
    List(ListUsersArgs),
    /// Show one account
    Show(UserArgs),
    /// Give an account another password: one that is made up and printed, or one line of standard input
    ResetPassword(ResetPasswordArgs),
    /// Remove an account and end its connection; the name is free then
    Remove(UserArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListUsersArgs {
    /// Print JSON, one account a line
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UserArgs {
    /// Name of the account
    #[arg(value_name = "NAME")]
    pub(crate) name: String,

    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ResetPasswordArgs {
    /// Read the password from standard input; as an argument, everybody on the machine could read it
    #[arg(long)]
    pub(crate) stdin: bool,

    #[command(flatten)]
    pub(crate) user: UserArgs,
}

#[derive(Debug, Args)]
pub(crate) struct KickArgs {
    /// User name, or Client-NUMBER of who is not logged in
    #[arg(value_name = "WHO")]
    pub(crate) who: String,

    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    /// How long the last clients may stay
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub(crate) seconds: u64,

    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The original server's users.pickle
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

/// Sizes go by the modulus (`--bits`), or by its two primes (`--min`, `--max`) as in the original's tools.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                        chat-server keygen                                16 pairs of 32-bit moduli, in this directory\n  \
                        chat-server keygen rsa --pairs 64 --bits 512      larger, in directory rsa\n  \
                        chat-server keygen rsa --min 2000 --max 1e4       from primes in a range, like the original\n\n\
                        The server finds keys in the directory rsa of its data directory. The classic cipher protects \
                        nothing: every byte is encrypted by itself.")]
pub(crate) struct KeygenArgs {
    /// Directory to write into; existing files are not overwritten
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) directory: PathBuf,

    /// Number of pairs in the key
    #[arg(long, short = 'n', alias = "kl", value_name = "COUNT", default_value_t = 16)]
    pub(crate) pairs: usize,

    /// Length of each modulus, in bits [default: 32]
    #[arg(long, value_name = "BITS", conflicts_with_all = ["min", "max"])]
    pub(crate) bits: Option<u64>,

    /// Smallest prime to take, such as 1000 or 1e3 [default: 2]
    #[arg(long, value_name = "PRIME", requires = "max")]
    pub(crate) min: Option<String>,

    /// Largest prime to take; needed with --min
    #[arg(long, value_name = "PRIME")]
    pub(crate) max: Option<String>,
}

impl SettingsArgs {
    /// Joins the flags with the environment and the name of the settings file.
    pub(crate) fn layers(&self, environment: Vec<(OsString, OsString)>) -> Layers {
        let flags = [
            ("host", &self.host),
            ("port", &self.port),
            ("data", &self.data),
            ("packet_log", &self.packet_log),
            ("metrics.address", &self.metrics_address),
            ("log.format", &self.log_format),
            ("log.level", &self.log_level),
        ];
        let flags = flags.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect();
        let variable =
            |name| environment.iter().find(|(its_name, _)| its_name == name).map(|(_, value)| value);
        let file = self.config.clone().or_else(|| variable("CHAT_CONFIG").map(PathBuf::from));
        // An empty variable counts as unset, as it does for every setting but lists.
        let file = file.filter(|path| !path.as_os_str().is_empty());
        Layers { flags, environment, file }
    }
}
