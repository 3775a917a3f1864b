//! What the program finds around it: directories, the search path, AWS credentials. Read once, at the start.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// The surroundings of a run.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Where the person stands.
    pub working_directory: PathBuf,
    /// The person's home directory.
    pub home: Option<PathBuf>,
    /// The person's name on this machine.
    pub user: Option<String>,
    /// This machine's name.
    pub hostname: Option<String>,
    /// The socket of the person's SSH agent.
    pub ssh_agent: Option<PathBuf>,
    /// The package that `cargo run` runs us from, if it does.
    pub manifest_dir: Option<PathBuf>,
    /// Where programs are looked for.
    pub search_path: OsString,
    /// Where AWS credentials were seen, if anywhere: a variable or a file.
    pub aws_credentials: Option<String>,
}

impl Environment {
    /// Reads the surroundings.
    ///
    /// # Errors
    ///
    /// The system's, if the working directory is gone.
    pub fn read() -> io::Result<Self> {
        Ok(Self {
            working_directory: std::env::current_dir()?,
            home: std::env::home_dir(),
            user: variable(&["USER", "LOGNAME"]),
            hostname: std::fs::read_to_string("/proc/sys/kernel/hostname")
                .ok()
                .map(|name| name.trim().to_owned())
                .or_else(|| variable(&["HOSTNAME", "HOST"])),
            ssh_agent: variable(&["SSH_AUTH_SOCK"]).map(PathBuf::from),
            manifest_dir: std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from),
            search_path: std::env::var_os("PATH").unwrap_or_default(),
            aws_credentials: find_aws_credentials(),
        })
    }

    /// Says who runs this, for others who wait for it: `you@laptop, pid 4242`.
    #[must_use]
    pub fn who(&self) -> String {
        let user = self.user.as_deref().unwrap_or("somebody");
        let host = self.hostname.as_deref().map(|host| format!("@{host}")).unwrap_or_default();
        format!("{user}{host}, pid {}", std::process::id())
    }

    /// Tells whether a program is found by its name alone.
    #[must_use]
    pub fn has_program(&self, name: &str) -> bool {
        use std::os::unix::fs::PermissionsExt as _;
        let is_program = |path: &Path| {
            path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
        };
        std::env::split_paths(&self.search_path).any(|dir| is_program(&dir.join(name)))
    }
}

/// Returns the first of these variables that says anything.
fn variable(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

/// Looks where AWS's own tools look first; that there are credentials does not say that they are any good.
fn find_aws_credentials() -> Option<String> {
    const VARIABLES: [&str; 5] = [
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ];
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if let Some(variable) = VARIABLES.into_iter().find(|name| is_set(name)) {
        return Some(variable.to_owned());
    }
    let home = std::env::home_dir()?;
    let files = ["credentials", "config"].map(|name| home.join(".aws").join(name));
    files.iter().find(|file| file.is_file()).map(|file| file.display().to_string())
}
