//! What the person wants, from flags, environment, file and defaults, in this order of precedence.
//!
//! clap has put flags over the environment already (`cli.rs`); `settings/file.rs` reads the file.

mod file;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Table;

use crate::cli::{Deployment, Global, Provider};
use crate::instance::InstanceName;

use self::file::FileSettings;

/// The port of the original chat.
pub const DEFAULT_PORT: u16 = 12345;
/// The settings file that is read if none is named.
pub const DEFAULT_FILE: &str = "chat-deploy.toml";

const DEFAULT_KEPT_RELEASES: u64 = 5;
const DEFAULT_START_TIMEOUT_SECONDS: u64 = 20;
const DEFAULT_SETTLING_SECONDS: u64 = 4;

/// Everything a command goes by.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Which instance, if one was named.
    pub instance: Option<InstanceName>,
    /// Where, if that was said.
    pub provider: Option<Provider>,
    /// Which port; else the one the instance has, else [`DEFAULT_PORT`].
    pub port: Option<u16>,
    /// Which checkout to build from.
    pub source: Option<PathBuf>,
    /// Which binary to deploy in place of building one.
    pub binary: Option<PathBuf>,
    /// How many releases to keep.
    pub keep_releases: usize,
    /// How long a server may take until it is healthy.
    pub start_timeout: Duration,
    /// How long it has to stay healthy before it is kept.
    pub settling_time: Duration,
    /// Settings for the server itself.
    pub server: Table,
}

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The file that was named cannot be read.
    #[error("the settings file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file says what cannot be.
    #[error("{} in the settings file {}", if mistakes.len() == 1 { "a mistake".to_owned() } else { format!("{} mistakes", mistakes.len()) }, path.display())]
    Mistakes {
        /// The file.
        path: PathBuf,
        /// All of them.
        mistakes: Vec<Mistake>,
    },
}

/// One mistake in a settings file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct Mistake {
    /// Where, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl Settings {
    /// Resolves the settings of a command; `deployment` is what `up` and `plan` take beyond the rest.
    ///
    /// # Errors
    ///
    /// [`SettingsError`], with all mistakes at once.
    pub fn resolve(
        global: &Global,
        deployment: &Deployment,
        working_directory: &Path,
    ) -> Result<Self, SettingsError> {
        let file = read_file(global.config.as_deref(), working_directory)?;
        Ok(Self::layer(global, deployment, file))
    }

    fn layer(global: &Global, flags: &Deployment, file: FileSettings) -> Self {
        // A binary named by a flag is meant in place of a checkout named by the file, and the other way round.
        let (source, binary) = match (&flags.source, &flags.binary) {
            (None, None) => (file.source, file.binary),
            (source, binary) => (source.clone(), binary.clone()),
        };
        let keep_releases = flags.keep_releases.or(file.keep_releases).unwrap_or(DEFAULT_KEPT_RELEASES);
        let timeout =
            flags.start_timeout.or(file.start_timeout_seconds).unwrap_or(DEFAULT_START_TIMEOUT_SECONDS);
        Self {
            instance: global.instance.clone().or(file.instance),
            provider: global.provider.or(file.provider),
            port: flags.port.or(file.port),
            source,
            binary,
            keep_releases: usize::try_from(keep_releases).unwrap_or(usize::MAX),
            start_timeout: Duration::from_secs(timeout),
            settling_time: Duration::from_secs(global.settling_time.unwrap_or(DEFAULT_SETTLING_SECONDS)),
            server: file.server,
        }
    }
}

fn read_file(named: Option<&Path>, working_directory: &Path) -> Result<FileSettings, SettingsError> {
    let path = working_directory.join(named.unwrap_or(Path::new(DEFAULT_FILE)));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => {
            return Ok(FileSettings::default());
        }
        Err(source) => return Err(SettingsError::Unreadable { path, source }),
    };
    let base = path.parent().unwrap_or(working_directory);
    file::parse(&text, base).map_err(|mistakes| SettingsError::Mistakes { path: path.clone(), mistakes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let text = "instance = \"a\"\nprovider = \"local\"\nport = 1\nkeep_releases = 7\n";
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(DEFAULT_FILE), text).unwrap();
        let settings =
            |global: &Global, flags: &Deployment| Settings::resolve(global, flags, dir.path()).unwrap();

        let from_file = settings(&Global::default(), &Deployment::default());
        assert_eq!(from_file.instance, "a".parse().ok());
        assert_eq!((from_file.provider, from_file.port), (Some(Provider::Local), Some(1)));
        assert_eq!((from_file.keep_releases, from_file.start_timeout), (7, Duration::from_secs(20)));

        let global = Global { instance: "b".parse().ok(), ..Global::default() };
        let flags = Deployment { port: Some(2), start_timeout: Some(3), ..Deployment::default() };
        let from_flags = settings(&global, &flags);
        assert_eq!(from_flags.instance, "b".parse().ok());
        assert_eq!((from_flags.port, from_flags.keep_releases), (Some(2), 7));
        assert_eq!(from_flags.start_timeout, Duration::from_secs(3));
    }

    #[test]
    fn a_source_flag_sets_a_binary_in_the_file_aside() {
        let file = FileSettings { binary: Some("/bin/server".into()), ..FileSettings::default() };
        let flags = Deployment { source: Some("/src".into()), ..Deployment::default() };
        let settings = Settings::layer(&Global::default(), &flags, file);
        assert_eq!((settings.source, settings.binary), (Some("/src".into()), None));
    }

    #[test]
    fn only_a_file_that_was_named_must_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut global = Global::default();
        assert!(Settings::resolve(&global, &Deployment::default(), dir.path()).is_ok());
        global.config = Some("other.toml".into());
        let error = Settings::resolve(&global, &Deployment::default(), dir.path()).unwrap_err();
        assert!(matches!(error, SettingsError::Unreadable { .. }));
    }
}
