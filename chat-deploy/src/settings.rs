//! What the person wants, from flags, environment, file and defaults, in this order of precedence.
//!
//! clap has put flags over the environment already (`cli.rs`); `settings/file.rs` reads the file. What belongs to a machine
//! on EC2 is in `settings/ec2.rs` and `settings/range.rs`, how one is reached in `settings/ssh.rs`.

pub mod ec2;
mod file;
pub mod range;
pub mod ssh;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Table;

use crate::cli::{Deployment, Global, MachineFlags, Provider};
use crate::environment::Environment;
use crate::instance::InstanceName;

use self::file::FileSettings;

pub use self::ec2::Ec2Settings;
pub use self::range::{AutoAmongRanges, SshFrom};
pub use self::ssh::{HostAddress, SshSettings};

/// The port of the original chat.
pub const DEFAULT_PORT: u16 = 12345;
/// The settings file that is read if none is named.
pub const DEFAULT_FILE: &str = "chat-deploy.toml";
/// A settings file that explains every setting and sets none.
pub const TEMPLATE: &str = include_str!("../../templates/chat-deploy.toml");

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
    /// What is wanted of a machine on EC2.
    pub ec2: Ec2Settings,
    /// How a machine is reached.
    pub ssh: SshSettings,
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
    /// A machine was named for a provider that chooses its own.
    #[error("--host {host} is for the provider ssh, and {} was asked for", provider.as_str())]
    HostElsewhere {
        /// The machine.
        host: HostAddress,
        /// The provider.
        provider: Provider,
    },
    /// `--ssh-from` says two things.
    #[error("--ssh-from")]
    SshFrom(#[from] AutoAmongRanges),
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
    /// Resolves the settings of a command.
    ///
    /// # Errors
    ///
    /// [`SettingsError`], with all mistakes of the file at once.
    pub fn resolve(flags: &Flags<'_>, environment: &Environment) -> Result<Self, SettingsError> {
        let base = Base { dir: &environment.working_directory, home: environment.home.as_deref() };
        let file = read_file(flags.global.config.as_deref(), &base)?;
        Self::layer(flags, file, &base)
    }

    fn layer(flags: &Flags<'_>, file: FileSettings, base: &Base<'_>) -> Result<Self, SettingsError> {
        let Flags { global, deployment, machine } = *flags;
        // A binary named by a flag is meant in place of a checkout named by the file, and the other way round.
        let (source, binary) = match (&deployment.source, &deployment.binary) {
            (None, None) => (file.source, file.binary),
            (source, binary) => (source.clone(), binary.clone()),
        };
        let keep_releases = deployment.keep_releases.or(file.keep_releases).unwrap_or(DEFAULT_KEPT_RELEASES);
        let timeout = deployment.start_timeout.or(file.start_timeout_seconds);
        let provider = ssh::provider((global.provider, &global.ssh), (file.provider, &file.ssh))?;
        Ok(Self {
            instance: global.instance.clone().or(file.instance),
            provider,
            port: deployment.port.or(file.port),
            source,
            binary,
            keep_releases: usize::try_from(keep_releases).unwrap_or(usize::MAX),
            start_timeout: Duration::from_secs(timeout.unwrap_or(DEFAULT_START_TIMEOUT_SECONDS)),
            settling_time: Duration::from_secs(global.settling_time.unwrap_or(DEFAULT_SETTLING_SECONDS)),
            server: file.server,
            ec2: ec2::layer(&global.aws, machine, file.ec2)?,
            ssh: ssh::layer(&global.ssh, file.ssh, provider, base),
        })
    }
}

/// What was typed, or is in the environment.
#[derive(Clone, Copy, Debug)]
pub struct Flags<'a> {
    /// What all commands take.
    pub global: &'a Global,
    /// What should be deployed.
    pub deployment: &'a Deployment,
    /// The machine on EC2.
    pub machine: &'a MachineFlags,
}

/// What relative paths are relative to.
#[derive(Clone, Copy, Debug)]
struct Base<'a> {
    dir: &'a Path,
    home: Option<&'a Path>,
}

impl Base<'_> {
    /// Makes a path absolute. `~` is the home directory: no shell has seen to that in a file or in the environment.
    fn locate(&self, path: &Path) -> PathBuf {
        match (path.strip_prefix("~"), self.home) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => self.dir.join(path),
        }
    }
}

fn read_file(named: Option<&Path>, base: &Base<'_>) -> Result<FileSettings, SettingsError> {
    let path = base.dir.join(named.unwrap_or(Path::new(DEFAULT_FILE)));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => {
            return Ok(FileSettings::default());
        }
        Err(source) => return Err(SettingsError::Unreadable { path, source }),
    };
    let dir = path.parent().unwrap_or(base.dir);
    file::parse(&text, &Base { dir, ..*base })
        .map_err(|mistakes| SettingsError::Mistakes { path: path.clone(), mistakes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Base<'static> {
        Base { dir: Path::new("/here"), home: Some(Path::new("/home/me")) }
    }

    fn resolve(global: &Global, deployment: &Deployment, dir: &Path) -> Result<Settings, SettingsError> {
        let environment = Environment { working_directory: dir.to_owned(), ..Environment::default() };
        Settings::resolve(&Flags { global, deployment, machine: &MachineFlags::default() }, &environment)
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let text = "instance = \"a\"\nprovider = \"local\"\nport = 1\nkeep_releases = 7\n";
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(DEFAULT_FILE), text).unwrap();

        let from_file = resolve(&Global::default(), &Deployment::default(), dir.path()).unwrap();
        assert_eq!(from_file.instance, "a".parse().ok());
        assert_eq!((from_file.provider, from_file.port), (Some(Provider::Local), Some(1)));
        assert_eq!((from_file.keep_releases, from_file.start_timeout), (7, Duration::from_secs(20)));

        let global = Global { instance: "b".parse().ok(), ..Global::default() };
        let flags = Deployment { port: Some(2), start_timeout: Some(3), ..Deployment::default() };
        let from_flags = resolve(&global, &flags, dir.path()).unwrap();
        assert_eq!(from_flags.instance, "b".parse().ok());
        assert_eq!((from_flags.port, from_flags.keep_releases), (Some(2), 7));
        assert_eq!(from_flags.start_timeout, Duration::from_secs(3));
    }

    #[test]
    fn a_source_flag_sets_a_binary_in_the_file_aside() {
        let file = FileSettings { binary: Some("/bin/server".into()), ..FileSettings::default() };
        let deployment = Deployment { source: Some("/src".into()), ..Deployment::default() };
        let (global, machine) = Default::default();
        let flags = Flags { global: &global, deployment: &deployment, machine: &machine };
        let settings = Settings::layer(&flags, file, &base()).unwrap();
        assert_eq!((settings.source, settings.binary), (Some("/src".into()), None));
    }

    #[test]
    fn only_a_file_that_was_named_must_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut global = Global::default();
        assert!(resolve(&global, &Deployment::default(), dir.path()).is_ok());
        global.config = Some("other.toml".into());
        let error = resolve(&global, &Deployment::default(), dir.path()).unwrap_err();
        assert!(matches!(error, SettingsError::Unreadable { .. }));
    }

    #[test]
    fn paths_are_relative_to_where_they_were_written() {
        for (text, expected) in [
            ("a.pem", "/here/a.pem"),
            ("/a.pem", "/a.pem"),
            ("~/a.pem", "/home/me/a.pem"),
            ("~me/a.pem", "/here/~me/a.pem"),
        ] {
            assert_eq!(base().locate(Path::new(text)), Path::new(expected));
        }
    }
}
