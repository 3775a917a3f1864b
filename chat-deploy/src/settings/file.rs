//! Reads `chat-deploy.toml`. All mistakes are reported at once, with their lines; unknown keys are mistakes.

use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::ValueEnum as _;
use toml::Table;
use toml::de::{DeTable, DeValue};

use super::Mistake;
use crate::cli::Provider;
use crate::config;
use crate::instance::InstanceName;

/// The keys the file may have, for the message about one it may not.
const KEYS: &str = "instance, provider, port, source, binary, keep_releases, start_timeout_seconds, [server]";

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
    /// Goes into the server's configuration as it is; the server judges it.
    pub(super) server: Table,
}

/// Reads a file's text; relative paths in it are relative to `base`.
pub(super) fn parse(text: &str, base: &Path) -> Result<FileSettings, Vec<Mistake>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let line = |span: Range<usize>| 1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count();
    let mut mistakes: Vec<Mistake> = errors
        .iter()
        .map(|error| Mistake {
            line: line(error.span().unwrap_or_default()),
            message: error.message().to_owned(),
        })
        .collect();
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let mut settings = FileSettings::default();
    for (key, value) in table.get_ref() {
        if let Err(message) = settings.take(key.get_ref(), value.get_ref(), base) {
            mistakes.push(Mistake { line: line(key.span()), message });
        }
    }
    if settings.source.is_some() && settings.binary.is_some() {
        mistakes.push(Mistake { line: 1, message: "source and binary exclude each other".to_owned() });
    }
    // The keys come sorted by name; a person reads from top to bottom.
    mistakes.sort_by_key(|mistake| mistake.line);
    if mistakes.is_empty() {
        settings.server = server_table(text);
        Ok(settings)
    } else {
        Err(mistakes)
    }
}

impl FileSettings {
    fn take(&mut self, key: &str, value: &DeValue<'_>, base: &Path) -> Result<(), String> {
        match key {
            "instance" => {
                self.instance = Some(string(key, value)?.parse().map_err(|e| format!("instance: {e}"))?)
            }
            "provider" => self.provider = Some(provider(string(key, value)?)?),
            "port" => {
                self.port =
                    Some(u16::try_from(integer(key, value, 1..65_536)?).map_err(|e| format!("port: {e}"))?);
            }
            "source" => self.source = Some(base.join(string(key, value)?)),
            "binary" => self.binary = Some(base.join(string(key, value)?)),
            "keep_releases" => self.keep_releases = Some(integer(key, value, 3..51)?),
            "start_timeout_seconds" => self.start_timeout_seconds = Some(integer(key, value, 1..601)?),
            "server" => return check_server(value),
            _ => return Err(format!("unknown key '{key}'; there are {KEYS}")),
        }
        Ok(())
    }
}

fn check_server(value: &DeValue<'_>) -> Result<(), String> {
    let table = value.as_table().ok_or("[server] is a table")?;
    let own = config::OWN_KEYS.into_iter().find(|own| table.keys().any(|key| key.get_ref() == own));
    match own {
        Some(key) => Err(format!("server.{key} is decided by the deployment and cannot be set")),
        None => Ok(()),
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

fn provider(text: &str) -> Result<Provider, String> {
    Provider::from_str(text, false).map_err(|_| format!("provider is ec2, ssh or local, not '{text}'"))
}

fn string<'a>(key: &str, value: &'a DeValue<'_>) -> Result<&'a str, String> {
    value.as_str().ok_or_else(|| format!("{key} is a string, not {}", article(value)))
}

fn integer(key: &str, value: &DeValue<'_>, range: Range<u64>) -> Result<u64, String> {
    let integer = value.as_integer().ok_or_else(|| format!("{key} is a number, not {}", article(value)))?;
    let number =
        u64::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("{key} is {} to {}, not {}", range.start, range.end - 1, integer.as_str()))
}

fn article(value: &DeValue<'_>) -> String {
    let kind = value.type_str();
    let article = if kind.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read() {
        let text = "instance = 'a'\nprovider = 'local'\nport = 12_346\nsource = 'chat'\nkeep_releases = 3\n\
            start_timeout_seconds = 600\n[server]\nlog.level = 'debug'\n[server.limits]\nmax_connections = 5\n";
        let settings = parse(text, Path::new("/base")).unwrap();
        assert_eq!(settings.port, Some(12_346));
        assert_eq!(settings.source, Some("/base/chat".into()));
        assert_eq!((settings.keep_releases, settings.start_timeout_seconds), (Some(3), Some(600)));
        assert_eq!(settings.server.len(), 2);
        assert_eq!(parse("", Path::new("/")), Ok(FileSettings::default()));
    }

    #[test]
    fn the_template_shows_every_key_and_its_default() {
        let template = include_str!("../../../templates/chat-deploy.toml");
        assert_eq!(parse(template, Path::new("/")), Ok(FileSettings::default()));
        let is_setting = |line: &&str| !line.starts_with("# ") && !line.starts_with("#binary");
        let lines: Vec<&str> =
            template.lines().filter(is_setting).map(|line| line.trim_start_matches('#')).collect();
        let settings = parse(&lines.join("\n"), Path::new("/")).unwrap();
        let numbers = (settings.port, settings.keep_releases, settings.start_timeout_seconds);
        assert_eq!(numbers, (Some(12345), Some(5), Some(20)));
        for key in KEYS.split(", ").map(|key| key.trim_matches(['[', ']'])) {
            assert!(
                template.contains(&format!("#{key} = ")) || template.contains(&format!("#[{key}")),
                "{key}"
            );
        }
    }

    #[test]
    fn all_mistakes_are_reported_with_their_lines() {
        let text = "prot = 1\ninstance = 'My Server'\nprovider = 'aws'\nport = 0\nkeep_releases = '5'\n\n\
            start_timeout_seconds = 1.5\nsource = 'a'\nbinary = 'b'\n[server]\nport = 5\n";
        let mistakes = parse(text, Path::new("/")).unwrap_err();
        let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn what_is_not_toml_says_where() {
        let mistakes = parse("instance = 'a'\nport 12345\n", Path::new("/")).unwrap_err();
        assert_eq!(mistakes.first().map(|mistake| mistake.line), Some(2));
    }
}
