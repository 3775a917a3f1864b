//! Puts flags, environment, file and defaults on top of each other, and collects every mistake on the way.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::Settings;
use super::table::{Given, KEYS, Key};

/// What was said about the settings, by whom; [`Layers::resolve`] makes [`Settings`] of it.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// Name of a setting, and its value on the command line.
    pub flags: Vec<(&'static str, OsString)>,
    /// The variables of the environment; all of it, what is not for this program is passed over.
    pub environment: Vec<(OsString, OsString)>,
    /// The settings file, if one was named.
    pub file: Option<PathBuf>,
}

/// Everything that is wrong with the settings, all at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", list(mistakes))]
pub struct ConfigError {
    /// The mistakes; at least one.
    pub mistakes: Vec<Mistake>,
}

/// One mistake in the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong and where, such as `CHAT_PORT=http`.
    pub found: String,
    /// What would be right.
    pub problem: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.found, self.problem)
    }
}

impl Layers {
    /// Returns the settings: flags before environment before file before defaults. A list whose variable is
    /// empty is empty; every other empty variable counts as unset.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every mistake in every layer, also where a stronger layer overrides it.
    pub fn resolve(&self) -> Result<Settings, ConfigError> {
        let mut resolving = Resolving { settings: Settings::default(), mistakes: Vec::new() };
        if let Some(path) = &self.file {
            match std::fs::read_to_string(path) {
                Ok(text) => resolving.apply_file(path, &text),
                Err(error) => {
                    resolving.mistake(format!("settings file {}", path.display()), error.to_string())
                }
            }
        }
        resolving.apply_environment(&self.environment);
        resolving.apply_flags(&self.flags);
        resolving.check_together();
        if resolving.mistakes.is_empty() {
            Ok(resolving.settings)
        } else {
            Err(ConfigError { mistakes: resolving.mistakes })
        }
    }
}

impl Settings {
    /// Writes the settings as the file that would set them all.
    #[must_use]
    pub fn to_toml(&self) -> String {
        use fmt::Write as _;
        let (mut settings, mut text, mut section) = (self.clone(), String::new(), "");
        for key in KEYS {
            let (its_section, name) = key.name.split_once('.').unwrap_or(("", key.name));
            if its_section != section {
                section = its_section;
                // Writing to a string cannot fail.
                let _ = write!(text, "\n[{section}]\n");
            }
            let _ = writeln!(text, "{name} = {}", key.value(&mut settings));
        }
        text
    }
}

struct Resolving {
    settings: Settings,
    mistakes: Vec<Mistake>,
}

impl Resolving {
    fn mistake(&mut self, found: String, problem: impl Into<String>) {
        self.mistakes.push(Mistake { found, problem: problem.into() });
    }

    fn set(&mut self, key: &Key, given: &Given, found: String) {
        if let Err(allowed) = key.set(&mut self.settings, given) {
            self.mistake(found, format!("must be {allowed}"));
        }
    }

    fn apply_file(&mut self, path: &Path, text: &str) {
        let table: toml::Table = match text.parse() {
            Ok(table) => table,
            Err(error) => {
                let error: toml::de::Error = error;
                return self.mistake(path.display().to_string(), error.to_string().trim_end());
            }
        };
        for (name, value) in table {
            match value {
                toml::Value::Table(section) if is_section(&name) => {
                    for (inner, value) in section {
                        self.apply_entry(path, &format!("{name}.{inner}"), value);
                    }
                }
                value => self.apply_entry(path, &name, value),
            }
        }
    }

    fn apply_entry(&mut self, path: &Path, name: &str, value: toml::Value) {
        match KEYS.iter().find(|key| key.name == name) {
            Some(key) => {
                let found = format!("{name} = {value} in {}", path.display());
                self.set(key, &Given::Value(value), found);
            }
            None if is_section(name) => {
                self.mistake(format!("{name} = {value} in {}", path.display()), "must be a table");
            }
            None => self.mistake(format!("{name} in {}", path.display()), unknown(name)),
        }
    }

    fn apply_environment(&mut self, environment: &[(OsString, OsString)]) {
        // In a fixed order, which the environment has not.
        let ours: BTreeMap<&str, &OsString> =
            environment.iter().filter_map(|(name, value)| Some((name.to_str()?, value))).collect();
        for key in KEYS {
            let (variable, is_list) = (key.variable(), key.is_list(&mut self.settings));
            let says = |value: &&OsString| is_list || !value.is_empty();
            for name in key.other_variables.iter().copied().chain([variable.as_str()]) {
                let Some(value) = ours.get(name).copied().filter(says) else { continue };
                self.apply_word(key, value, format!("{name}={}", value.display()));
            }
        }
        for (name, value) in ours {
            let known = |key: &Key| key.variable() == name || key.other_variables.contains(&name);
            if !value.is_empty() && is_in_section(name) && !KEYS.iter().any(known) {
                self.mistake(format!("{name}={}", value.display()), "no setting has this name");
            }
        }
    }

    fn apply_flags(&mut self, flags: &[(&'static str, OsString)]) {
        for (name, value) in flags {
            let found = format!("--{} {}", name.replace(['.', '_'], "-"), value.display());
            match KEYS.iter().find(|key| key.name == *name) {
                Some(key) => self.apply_word(key, value, found),
                None => self.mistake(found, "no setting has this name"),
            }
        }
    }

    fn apply_word(&mut self, key: &Key, value: &OsString, found: String) {
        match value.to_str() {
            Some(word) => self.set(key, &Given::Word(word.to_owned()), found),
            None => self.mistake(found, "is not UTF-8"),
        }
    }

    /// Checks what settings have to do with each other.
    fn check_together(&mut self) {
        let (limits, accounts) = (&self.settings.limits, &self.settings.accounts);
        let mut mistakes = Vec::new();
        if u64::from(limits.byte_burst) < limits.max_packet_bytes as u64 {
            mistakes.push(Mistake {
                found: format!("limits.byte_burst = {}", limits.byte_burst),
                problem: format!(
                    "must be limits.max_packet_bytes ({}) at least, or the longest packet could never be sent",
                    limits.max_packet_bytes
                ),
            });
        }
        if accounts.memory_kib < accounts.lanes.saturating_mul(8) {
            mistakes.push(Mistake {
                found: format!("accounts.memory_kib = {}", accounts.memory_kib),
                problem: format!("must be 8 for each of accounts.lanes ({}) at least", accounts.lanes),
            });
        }
        self.mistakes.append(&mut mistakes);
    }
}

fn is_section(name: &str) -> bool {
    KEYS.iter().any(|key| key.name.split_once('.').is_some_and(|(section, _)| section == name))
}

/// Whether a variable looks like a setting in a section. Other `CHAT_` variables belong to other programs.
fn is_in_section(variable: &str) -> bool {
    variable
        .strip_prefix("CHAT_")
        .and_then(|rest| rest.split_once('_'))
        .is_some_and(|(section, _)| is_section(&section.to_lowercase()))
}

fn unknown(name: &str) -> String {
    let section = name.split_once('.').map(|(section, _)| section);
    let names: Vec<&str> = KEYS
        .iter()
        .map(|key| key.name.split_once('.').map_or((None, key.name), |(section, name)| (Some(section), name)))
        .filter(|(its_section, _)| *its_section == section)
        .map(|(_, name)| name)
        .collect();
    match section {
        Some(section) if is_section(section) => {
            format!("no such setting; [{section}] has {}", names.join(", "))
        }
        _ => format!("no such setting; outside of sections there are {}", names.join(", ")),
    }
}

fn list(mistakes: &[Mistake]) -> String {
    match mistakes {
        [only] => format!("mistake in the settings: {only}"),
        many => many.iter().fold(format!("{} mistakes in the settings:", many.len()), |mut text, mistake| {
            text.push_str("\n  ");
            text.push_str(&mistake.to_string());
            text
        }),
    }
}

#[cfg(test)]
mod tests;
