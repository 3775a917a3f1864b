//! Reads `chat-deploy.toml`. All mistakes are reported at once, with their lines; unknown keys are mistakes.
//!
//! `file/entry.rs` reads single values.

mod entry;

use std::path::PathBuf;

use clap::ValueEnum as _;
use toml::Table;
use toml::de::DeTable;

use self::entry::{Entry, Mistakes};
use super::ec2::{self, Ec2File};
use super::range::{SshFrom, range};
use super::ssh::SshFile;
use super::{Base, Mistake};
use crate::cli::{DISK_GIB, KEPT_RELEASES, Provider, START_TIMEOUT_SECONDS};
use crate::config;
use crate::instance::InstanceName;
use crate::machine::spec::SSH_PORT;

/// What a settings file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct FileSettings {
    pub(super) instance: Option<InstanceName>,
    pub(super) provider: Option<Provider>,
    pub(super) port: Option<u16>,
    pub(super) source: Option<PathBuf>,
    pub(super) binary: Option<PathBuf>,
    pub(super) keep_releases: Option<u64>,
    pub(super) start_timeout_seconds: Option<u64>,
    pub(super) ec2: Ec2File,
    pub(super) ssh: SshFile,
    /// Goes into the server's configuration as it is; the server judges it.
    pub(super) server: Table,
}

/// Reads a file's text; relative paths in it are relative to `base`.
pub(super) fn parse(text: &str, base: &Base<'_>) -> Result<FileSettings, Vec<Mistake>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut mistakes = Mistakes::default();
    for error in &errors {
        mistakes.add(error.span().unwrap_or_default(), error.message().to_owned());
    }
    let mut settings = FileSettings::default();
    if errors.is_empty() {
        read_section(&mut settings, "", table.get_ref(), base, &mut mistakes);
        if let Some((key, _)) = table.get_ref().get_key_value("binary").filter(|_| settings.source.is_some())
        {
            mistakes.add(key.span(), "source and binary exclude each other".to_owned());
        }
    }
    let mistakes = mistakes.into_lines(text);
    if mistakes.is_empty() {
        settings.server = server_table(text);
        Ok(settings)
    } else {
        Err(mistakes)
    }
}

/// A table of the file.
trait Section {
    /// Its keys, for the message about one it does not have.
    const KEYS: &[&str];

    /// Takes the value of one of them.
    fn take(&mut self, entry: &mut Entry<'_>);
}

impl Section for FileSettings {
    const KEYS: &[&str] = &[
        "instance",
        "provider",
        "port",
        "source",
        "binary",
        "keep_releases",
        "start_timeout_seconds",
        "ec2",
        "ssh",
        "server",
    ];

    fn take(&mut self, entry: &mut Entry<'_>) {
        match entry.key {
            "instance" => self.instance = entry.parsed(str::parse),
            "provider" => self.provider = entry.parsed(provider),
            "port" => self.port = entry.integer(1..=u16::MAX),
            "source" => self.source = entry.path(),
            "binary" => self.binary = entry.path(),
            "keep_releases" => self.keep_releases = entry.integer(KEPT_RELEASES),
            "start_timeout_seconds" => self.start_timeout_seconds = entry.integer(START_TIMEOUT_SECONDS),
            "ec2" => take_table(&mut self.ec2, entry),
            "ssh" => take_table(&mut self.ssh, entry),
            "server" => check_server(entry),
            _ => {}
        }
    }
}

impl Section for Ec2File {
    const KEYS: &[&str] =
        &["region", "profile", "types", "image", "subnet", "disk_gib", "chat_from", "ssh_from", "ports"];

    fn take(&mut self, entry: &mut Entry<'_>) {
        match entry.key {
            "region" => self.region = entry.parsed(ec2::region),
            "profile" => self.profile = entry.text().map(str::to_owned),
            "types" => self.types = entry.list(|entry| entry.parsed(ec2::instance_type)),
            "image" => self.image = entry.parsed(ec2::image),
            "subnet" => self.subnet = entry.parsed(ec2::subnet),
            "disk_gib" => self.disk_gib = entry.integer(DISK_GIB),
            "chat_from" => self.chat_from = entry.list(|entry| entry.parsed(range)),
            "ssh_from" => self.ssh_from = ssh_from(entry),
            "ports" => self.ports = entry.list(port_to_open),
            _ => {}
        }
    }
}

impl Section for SshFile {
    const KEYS: &[&str] = &["host", "user", "key", "host_key"];

    fn take(&mut self, entry: &mut Entry<'_>) {
        match entry.key {
            "host" => self.host = entry.parsed(str::parse),
            "user" => self.user = entry.parsed(str::parse),
            "key" => self.key = entry.path(),
            "host_key" => self.host_key = entry.parsed(str::parse),
            _ => {}
        }
    }
}

fn read_section<S: Section>(
    section: &mut S,
    name: &str,
    table: &DeTable<'_>,
    base: &Base<'_>,
    mistakes: &mut Mistakes,
) {
    for (key, value) in table {
        if S::KEYS.contains(&key.get_ref().as_ref()) {
            section.take(&mut Entry {
                section: name,
                key: key.get_ref(),
                span: key.span(),
                value: value.get_ref(),
                base,
                mistakes,
            });
        } else {
            mistakes.add(key.span(), unknown_key(name, key.get_ref(), S::KEYS));
        }
    }
}

fn take_table<S: Section>(section: &mut S, entry: &mut Entry<'_>) {
    if let Some(table) = entry.table() {
        read_section(section, entry.key, table, entry.base, entry.mistakes);
    }
}

/// Says of an unknown key what may have been meant.
fn unknown_key(section: &str, key: &str, keys: &[&str]) -> String {
    let place = if section.is_empty() { String::new() } else { format!(" in [{section}]") };
    let elsewhere = [("ec2", Ec2File::KEYS), ("ssh", SshFile::KEYS)]
        .into_iter()
        .find(|(name, keys)| *name != section && keys.contains(&key));
    if let Some((name, _)) = elsewhere {
        return format!("'{key}' belongs in [{name}]");
    }
    if !section.is_empty() && FileSettings::KEYS.contains(&key) {
        return format!("'{key}' belongs above all tables");
    }
    let close = keys.iter().max_by(|a, b| closeness(a, key).total_cmp(&closeness(b, key)));
    match close.filter(|close| closeness(close, key) > 0.75) {
        Some(close) => format!("unknown key '{key}'{place}; is '{close}' meant?"),
        None => format!("unknown key '{key}'{place}; there are {}", keys.join(", ")),
    }
}

fn closeness(a: &str, b: &str) -> f64 {
    strsim::normalized_damerau_levenshtein(a, b).max(strsim::jaro(a, b))
}

fn provider(text: &str) -> Result<Provider, String> {
    Provider::from_str(text, false).map_err(|_| format!("ec2, ssh or local, not '{text}'"))
}

fn ssh_from(entry: &mut Entry<'_>) -> Option<SshFrom> {
    let sources = if entry.value.is_array() {
        entry.list(|entry| entry.parsed(ec2::source))?
    } else {
        vec![entry.parsed(ec2::source)?]
    };
    match SshFrom::of(&sources) {
        Ok(from) => Some(from),
        Err(error) => entry.refuse(&error.to_string()),
    }
}

fn port_to_open(entry: &mut Entry<'_>) -> Option<u16> {
    let port = entry.integer(1..=u16::MAX)?;
    if port == SSH_PORT {
        return entry.refuse("port 22 is opened by ssh_from, and for these alone");
    }
    Some(port)
}

fn check_server(entry: &mut Entry<'_>) {
    let Some(table) = entry.table() else { return };
    for key in table.keys().filter(|key| config::OWN_KEYS.contains(&key.get_ref().as_ref())) {
        let message = format!("server.{} is decided by the deployment and cannot be set", key.get_ref());
        entry.mistakes.add(key.span(), message);
    }
}

/// Reads the `[server]` table again, as values that can be written out.
fn server_table(text: &str) -> Table {
    let mut table: Table = text.parse().unwrap_or_default();
    match table.remove("server") {
        Some(toml::Value::Table(server)) => server,
        _ => Table::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::TEMPLATE;

    fn read(text: &str) -> Result<FileSettings, Vec<Mistake>> {
        parse(text, &Base { dir: Path::new("/base"), home: Some(Path::new("/home/me")) })
    }

    fn mistakes(text: &str) -> String {
        let mistakes = read(text).unwrap_err();
        mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_key_is_read() {
        let text = "instance = 'a'\nprovider = 'local'\nport = 12_346\nsource = 'chat'\nkeep_releases = 3\n\
            start_timeout_seconds = 600\n[server]\nlog.level = 'debug'\n[server.limits]\nmax_connections = 5\n\
            [ec2]\nregion = 'eu-west-1'\nprofile = 'work'\ntypes = ['t3.small']\nimage = 'ami-1'\nsubnet = 'subnet-1'\n\
            disk_gib = 20\nchat_from = ['10.0.0.0/8', '192.0.2.1']\nssh_from = '192.0.2.1'\nports = [80]\n\
            [ssh]\nhost = 'me@[::1]:2222'\nuser = 'you'\nkey = '~/a.pem'\n\
            host_key = 'SHA256:uNiVztksCsDhcc0u9e8BrRJRM/6pjLNXJ0IKcLHpTlU'\n";
        insta::assert_debug_snapshot!(read(text).unwrap());
        assert_eq!(read(""), Ok(FileSettings::default()));
    }

    #[test]
    fn the_template_shows_every_key_and_its_default() {
        assert_eq!(read(TEMPLATE), Ok(FileSettings::default()));
        let is_setting = |line: &&str| !line.starts_with("# ") && !line.starts_with("#binary");
        let lines: Vec<&str> =
            TEMPLATE.lines().filter(is_setting).map(|line| line.trim_start_matches('#')).collect();
        let settings = read(&lines.join("\n")).unwrap();
        let numbers = (settings.port, settings.keep_releases, settings.start_timeout_seconds);
        assert_eq!(numbers, (Some(12345), Some(5), Some(20)));
        let default = ec2::Ec2Settings::default();
        let Ec2File { types, disk_gib, chat_from, ssh_from, .. } = settings.ec2;
        assert_eq!((types, disk_gib), (Some(default.types), Some(default.disk_gib)));
        assert_eq!((chat_from, ssh_from), (Some(default.chat_from), Some(default.ssh_from)));
        for key in [FileSettings::KEYS, Ec2File::KEYS, SshFile::KEYS].concat() {
            let shown = [format!("\n#{key} = "), format!("\n#[{key}]"), format!("\n#[{key}.")];
            assert!(shown.iter().any(|shown| TEMPLATE.contains(shown)), "{key}");
        }
    }

    #[test]
    fn all_mistakes_are_reported_with_their_lines() {
        let text = "prot = 1\ninstance = 'My Server'\nprovider = 'aws'\nport = 0\nkeep_releases = '5'\n\n\
            start_timeout_seconds = 1.5\nsource = 'a'\nbinary = 'b'\n[server]\nport = 5\n";
        insta::assert_snapshot!(mistakes(text));
    }

    #[test]
    fn mistakes_in_tables_are_too() {
        let text = "ssh = 1\nregion = 'us-east-1'\n[ec2]\ntype = ['t2.micro']\nzzz = 1\nport = 1\nregion = 'here'\ntypes = []\n\
            chat_from = [\n  '10.1.2.3/8',\n  7,\n]\nssh_from = ['auto', '::1']\nports = [22, 0]\ndisk_gib = 1\n";
        insta::assert_snapshot!(mistakes(text));
        let text = "[ssh]\nhost = '::1'\nuser = ''\nhost_key = 'MD5:1'\nssh_from = 'auto'\n[ec2]\nssh_from = ['auto', '10.0.0.1']\n";
        insta::assert_snapshot!(mistakes(text));
    }

    #[test]
    fn what_is_not_toml_says_where() {
        let mistakes = read("instance = 'a'\nport 12345\n").unwrap_err();
        assert_eq!(mistakes.first().map(|mistake| mistake.line), Some(2));
    }
}
