//! The settings: flags over environment over file over defaults, into one value, with every mistake reported at once.
//!
//! `table` says what can be set, what it means and what is allowed. Reading the file and the environment is the caller's.

mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use chat_core::known_servers::ServerAddress;
use chat_core::noise::Fingerprint;

use self::table::TABLE;
use crate::DEFAULT_PORT;
use crate::app::Destination;
use crate::link::{Dialect, Encryption};
use crate::screen::{Colours, Theme};

/// What the names of settings begin with in the environment.
const ENVIRONMENT_PREFIX: &str = "CHAT_CLIENT_";
/// Servers have tables of their own in the file.
const SERVERS: &str = "servers";

/// Everything that can be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The server to connect to when none is named.
    pub host: Option<String>,
    /// Its port.
    pub port: u16,
    /// What the title of the window begins with.
    pub title: String,
    /// The colours; `None` to find out.
    pub theme: Option<Theme>,
    /// Colours in place of the theme's.
    pub colours: Colours,
    /// The font of the window; `None` for the one that comes with the program.
    pub font_name: Option<String>,
    /// Its size, in points.
    pub font_size: u8,
    /// Show when things were said.
    pub timestamps: bool,
    /// Show who is in the room.
    pub users: bool,
    /// Put comings and goings into one sentence.
    pub fold: bool,
    /// Let the wheel scroll.
    pub mouse: bool,
    /// Ring the bell when somebody is named.
    pub bell: bool,
    /// Let the desktop tell when somebody is named.
    pub notify: bool,
    /// How many entries are kept.
    pub scrollback: usize,
    /// Which revision of the original protocol to speak.
    pub dialect: Dialect,
    /// How to encrypt.
    pub encryption: Encryption,
    /// Send passwords without encryption and without asking.
    pub allow_plain_passwords: bool,
    /// A file that everything that is shown is added to.
    pub log: Option<PathBuf>,
    /// The time zone of `/date`, `/time` and of what is shown; `None` for the computer's.
    pub zone: Option<String>,
    /// Servers by name.
    pub servers: BTreeMap<String, Destination>,
}

impl Settings {
    /// Says how to connect to a server; a name of the settings is the name of a host to everybody else.
    #[must_use]
    pub fn destination(&self, address: ServerAddress) -> Destination {
        let named = self.servers.get(address.host()).filter(|_| address.port() == DEFAULT_PORT);
        let typed =
            || Destination { address, dialect: self.dialect, encryption: self.encryption, identity: None };
        named.cloned().unwrap_or_else(typed)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: None,
            port: DEFAULT_PORT,
            title: "chat".to_owned(),
            theme: None,
            colours: Colours::default(),
            font_name: None,
            font_size: 15,
            timestamps: true,
            users: true,
            fold: true,
            mouse: true,
            bell: true,
            notify: false,
            scrollback: 10_000,
            dialect: Dialect::Auto,
            encryption: Encryption::Auto,
            allow_plain_passwords: false,
            log: None,
            zone: None,
            servers: BTreeMap::new(),
        }
    }
}

/// Where settings may come from.
#[derive(Debug, Default)]
pub struct Sources {
    /// What was said on the command line: names and values.
    pub flags: Vec<(String, String)>,
    /// The file: its name and text.
    pub file: Option<(PathBuf, String)>,
}

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    Flag,
    /// A variable of the environment.
    Environment(String),
    /// The file.
    File(PathBuf),
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("command line"),
            Self::Environment(name) => write!(f, "environment, {name}"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One setting as it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its name.
    pub name: String,
    /// Its value, as it would stand in the file.
    pub value: String,
    /// Where it comes from.
    pub source: Source,
}

/// Everything that is wrong with the settings.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct SettingsError(Vec<String>);

/// Puts the sources on top of each other; returns the settings, and where each comes from. `environment` looks a variable
/// up.
///
/// # Errors
///
/// [`SettingsError`] with every mistake.
pub fn resolve(
    sources: Sources,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<(Settings, Vec<Origin>), SettingsError> {
    let mut resolver = Resolver::default();
    if let Some((path, text)) = sources.file {
        resolver.read_file(path, &text);
    }
    for row in &TABLE {
        let name = variable(row.name);
        if let Some(value) = environment(&name) {
            resolver.offer(row.name, value, Source::Environment(name));
        }
    }
    for (name, value) in sources.flags {
        resolver.offer(&name, value, Source::Flag);
    }
    resolver.finish()
}

/// Writes a file with every setting, what it is for, and its default behind a `#`.
#[must_use]
pub fn example() -> String {
    let mut text =
        String::from("# Settings of chat-client. `chat-client config` shows what is in force and why.\n");
    let mut section = "";
    for row in &TABLE {
        let (in_section, name) = row.name.split_once('.').unwrap_or(("", row.name));
        if in_section != section {
            text.push_str(&format!("\n[{in_section}]\n"));
            section = in_section;
        }
        text.push_str(&format!("\n# {}\n#{name} = {}\n", row.help, quoted(row.default)));
    }
    text.push_str(
        "\n# Servers by name: `chat-client connect home` leads to this one.\n#[servers.home]\n#host = \"chat.example\"\n\
         #port = 12345\n#dialect = \"2025\"\n#encryption = \"noise\"\n#identity = \"SHA256:...\"\n",
    );
    text
}

/// Names the variable of the environment for a setting.
fn variable(name: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", name.replace('.', "_").to_uppercase())
}

/// Writes a value as TOML wants it.
fn quoted(value: &str) -> String {
    let is_bare = matches!(value, "true" | "false") || value.parse::<u64>().is_ok();
    if is_bare { value.to_owned() } else { toml::Value::from(value).to_string() }
}

/// Settings on their way.
#[derive(Default)]
struct Resolver {
    settings: Settings,
    said: BTreeMap<&'static str, (String, Source)>,
    servers: Vec<Origin>,
    named: Vec<Named>,
    mistakes: Vec<String>,
}

impl Resolver {
    /// Takes a value in place of what a weaker source said.
    fn offer(&mut self, name: &str, value: String, source: Source) {
        let Some(row) = TABLE.iter().find(|row| row.name == name) else {
            let nearest = TABLE.iter().map(|row| (strsim::osa_distance(name, row.name), row.name)).min();
            // One letter in three may be another one.
            let meant = nearest.filter(|(distance, _)| *distance <= (name.len() / 3).clamp(1, 3));
            let meant = meant.map(|(_, name)| format!("; did you mean {name}?")).unwrap_or_default();
            self.mistakes.push(format!("{source}: there is no setting {name}{meant}"));
            return;
        };
        if (row.set)(&mut self.settings, &value) {
            self.said.insert(row.name, (value, source));
        } else {
            self.mistakes.push(format!("{source}: {name} must be {}, not {value:?}", row.allowed));
        }
    }

    fn read_file(&mut self, path: PathBuf, text: &str) {
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            Err(error) => {
                let line = error
                    .span()
                    .map_or(1, |span| text.get(..span.start).unwrap_or_default().lines().count().max(1));
                self.mistakes.push(format!("{}: line {line}: {}", path.display(), error.message()));
                return;
            }
        };
        let source = Source::File(path);
        for (key, value) in table {
            match value {
                toml::Value::Table(servers) if key == SERVERS => self.read_servers(servers, &source),
                toml::Value::Table(section) => {
                    for (inner, value) in section {
                        self.offer(&format!("{key}.{inner}"), plain(&value), source.clone());
                    }
                }
                value => self.offer(&key, plain(&value), source.clone()),
            }
        }
    }

    fn read_servers(&mut self, servers: toml::Table, source: &Source) {
        for (name, value) in servers {
            let toml::Value::Table(table) = value else {
                self.mistakes.push(format!("{source}: {SERVERS}.{name} must be a table with a host"));
                continue;
            };
            let mut server = ServerText::default();
            for (key, value) in table {
                let text = plain(&value);
                let full = format!("{SERVERS}.{name}.{key}");
                match server.set(&key, &text) {
                    Ok(()) => {
                        self.servers.push(Origin { name: full, value: quoted(&text), source: source.clone() })
                    }
                    Err(allowed) => self.mistakes.push(format!("{source}: {full}: {allowed}, not {text:?}")),
                }
            }
            match server.host {
                Some(host) => {
                    let address = ServerAddress::typed(&host, server.port, DEFAULT_PORT);
                    let name = name.to_lowercase();
                    self.named.push(Named {
                        name,
                        address,
                        dialect: server.dialect,
                        encryption: server.encryption,
                        identity: server.identity,
                    });
                }
                None => self.mistakes.push(format!("{source}: {SERVERS}.{name} needs a host")),
            }
        }
    }

    fn finish(mut self) -> Result<(Settings, Vec<Origin>), SettingsError> {
        if !self.mistakes.is_empty() {
            return Err(SettingsError(self.mistakes));
        }
        let mut origins: Vec<Origin> = TABLE
            .iter()
            .map(|row| {
                let said = self.said.get(row.name).cloned();
                let (value, source) = said.unwrap_or_else(|| (row.default.to_owned(), Source::Default));
                Origin { name: row.name.to_owned(), value: quoted(&value), source }
            })
            .collect();
        origins.extend(self.servers);
        // The file says more of one server than of all, but what is said now weighs more than any file.
        let said = &self.said;
        let is_said_now = |name| matches!(said.get(name), Some((_, Source::Flag | Source::Environment(_))));
        let (dialect_now, encryption_now) = (is_said_now("dialect"), is_said_now("encryption"));
        for Named { name, address, dialect, encryption, identity } in self.named {
            let dialect = dialect.filter(|_| !dialect_now).unwrap_or(self.settings.dialect);
            let encryption = encryption.filter(|_| !encryption_now).unwrap_or(self.settings.encryption);
            self.settings.servers.insert(name, Destination { address, dialect, encryption, identity });
        }
        Ok((self.settings, origins))
    }
}

/// A server with a name. Without an encryption or dialect of its own it takes the one for all, which a stronger source may
/// still set.
struct Named {
    name: String,
    address: ServerAddress,
    dialect: Option<Dialect>,
    encryption: Option<Encryption>,
    identity: Option<Fingerprint>,
}

/// A server as the file describes it.
#[derive(Default)]
struct ServerText {
    host: Option<String>,
    port: Option<u16>,
    dialect: Option<Dialect>,
    encryption: Option<Encryption>,
    identity: Option<Fingerprint>,
}

impl ServerText {
    /// Takes a value; says what it must be if it is not.
    fn set(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        match key {
            "host" if !value.is_empty() => self.host = Some(value.to_owned()),
            "host" => return Err("must be a name or an address"),
            "port" => self.port = Some(table::port(value).ok_or("must be from 1 to 65535")?),
            "dialect" => {
                self.dialect = Some(table::dialect(value).ok_or("must be auto, 2025 or 2026")?);
            }
            "encryption" => {
                self.encryption =
                    Some(table::encryption(value).ok_or("must be auto, noise, classic or off")?);
            }
            "identity" => self.identity = Some(value.parse().map_err(|_| "must be SHA256:...")?),
            _ => return Err("a server has host, port, dialect, encryption and identity"),
        }
        Ok(())
    }
}

/// Writes a value of the file as the environment would.
fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
