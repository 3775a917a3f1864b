//! Settings for how a machine is reached by SSH, be it on EC2 or the person's own, and the texts they are read from.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;

use super::{Base, SettingsError};
use crate::cli::{Provider, SshFlags};

/// The user of an Amazon Linux machine.
pub const EC2_USER: &str = "ec2-user";

/// How to reach a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SshSettings {
    /// The machine, for the provider `ssh`.
    pub host: Option<HostAddress>,
    /// Whom to log in as, if that was said apart from the host; [`Self::login`] has the answer.
    pub user: Option<LoginName>,
    /// The private key to log in with.
    pub key: Option<PathBuf>,
    /// The host key that the machine must have.
    pub host_key: Option<KeyFingerprint>,
}

impl SshSettings {
    /// Returns whom to log in as; `None` if that was not said and `local_user` is not known.
    #[must_use]
    pub fn login<'a>(&'a self, provider: Provider, local_user: Option<&'a str>) -> Option<&'a str> {
        let said = self.user.as_ref().map(LoginName::as_str);
        match provider {
            Provider::Ec2 => said.or(Some(EC2_USER)),
            Provider::Ssh => {
                let in_host = self.host.as_ref().and_then(|host| host.user.as_ref());
                said.or(in_host.map(LoginName::as_str)).or(local_user)
            }
            Provider::Local => local_user,
        }
    }
}

/// What a settings file says of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SshFile {
    pub(super) host: Option<HostAddress>,
    pub(super) user: Option<LoginName>,
    pub(super) key: Option<PathBuf>,
    pub(super) host_key: Option<KeyFingerprint>,
}

/// Puts flags over the file.
pub(super) fn layer(
    flags: &SshFlags,
    file: SshFile,
    provider: Option<Provider>,
    base: &Base<'_>,
) -> SshSettings {
    // The user in a host named by a flag is nearer than the one that the file names apart.
    let flag_names_user = flags.host.as_ref().is_some_and(|host| host.user.is_some());
    // The host key beside a host in the file is that machine's and no other's.
    let file_key_applies = file.host.as_ref().is_none_or(|known| {
        provider == Some(Provider::Ssh) && flags.host.as_ref().is_none_or(|host| host.is_same_machine(known))
    });
    SshSettings {
        user: flags.user.clone().or(file.user.filter(|_| !flag_names_user)),
        key: flags.key.as_deref().map(|key| base.locate(key)).or(file.key),
        host_key: flags.host_key.clone().or(file.host_key.filter(|_| file_key_applies)),
        host: flags.host.clone().or(file.host),
    }
}

/// Chooses the provider: the one that was said, else `ssh` if a host was; what flags say goes before the file.
pub(super) fn provider(
    flags: (Option<Provider>, &SshFlags),
    file: (Option<Provider>, &SshFile),
) -> Result<Option<Provider>, SettingsError> {
    match (flags.0, &flags.1.host) {
        (Some(provider @ (Provider::Ec2 | Provider::Local)), Some(host)) => {
            Err(SettingsError::HostElsewhere { host: host.clone(), provider })
        }
        (None, Some(_)) => Ok(Some(Provider::Ssh)),
        (None, None) => Ok(file.0.or(file.1.host.as_ref().map(|_| Provider::Ssh))),
        (said, _) => Ok(said),
    }
}

/// A machine that is reached by SSH: `user@host:port`, of which only the host must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostAddress {
    /// Whom to log in as.
    pub user: Option<LoginName>,
    /// A name or address; IPv6 without brackets.
    pub host: String,
    /// The port, if it is not [`Self::DEFAULT_PORT`].
    pub port: Option<u16>,
}

impl HostAddress {
    /// The port of SSH.
    pub const DEFAULT_PORT: u16 = 22;

    /// Returns the port to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(Self::DEFAULT_PORT)
    }

    fn is_same_machine(&self, other: &Self) -> bool {
        self.host.eq_ignore_ascii_case(&other.host) && self.port() == other.port()
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if self.host.contains(':') { write!(f, "[{}]", self.host) } else { f.write_str(&self.host) }?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// A text that is no machine to reach by SSH.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostAddressError {
    /// It is something else.
    #[error("'{0}' is not written as user@host or user@host:port")]
    Malformed(String),
    /// Where its port begins is not clear.
    #[error("an IPv6 address goes in brackets: [{0}]")]
    NoBrackets(String),
    /// Its port is none.
    #[error("a port is 1 to 65535, not '{0}'")]
    Port(String),
    /// Its user is none.
    #[error(transparent)]
    User(#[from] LoginNameError),
}

impl FromStr for HostAddress {
    type Err = HostAddressError;

    fn from_str(text: &str) -> Result<Self, HostAddressError> {
        let malformed = || HostAddressError::Malformed(text.to_owned());
        let (user, rest) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(user.parse()?), rest),
            None => (None, text),
        };
        let (host, port) = if let Some(bracketed) = rest.strip_prefix('[') {
            let (host, tail) = bracketed.split_once(']').ok_or_else(malformed)?;
            if host.parse::<Ipv6Addr>().is_err() {
                return Err(malformed());
            }
            (host, if tail.is_empty() { None } else { Some(tail.strip_prefix(':').ok_or_else(malformed)?) })
        } else if rest.parse::<Ipv6Addr>().is_ok() {
            return Err(HostAddressError::NoBrackets(rest.to_owned()));
        } else {
            let (host, port) = rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)));
            if !is_host_name(host) {
                return Err(malformed());
            }
            (host, port)
        };
        let port = port.map(read_port).transpose()?;
        Ok(Self { user, host: host.to_owned(), port })
    }
}

fn read_port(text: &str) -> Result<u16, HostAddressError> {
    let port = text.parse().ok().filter(|port| *port != 0);
    port.ok_or_else(|| HostAddressError::Port(text.to_owned()))
}

fn is_host_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=253).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with(['-', '.'])
}

/// The name of a user on a machine: 1 to 32 letters, digits, `_`, `.` and `-`, the first no `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginName(String);

impl LoginName {
    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LoginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A text that is no user's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no user name")]
pub struct LoginNameError(String);

impl FromStr for LoginName {
    type Err = LoginNameError;

    fn from_str(text: &str) -> Result<Self, LoginNameError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let is_name = (1..=32).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with('-');
        if is_name { Ok(Self(text.to_owned())) } else { Err(LoginNameError(text.to_owned())) }
    }
}

/// The fingerprint of a host key as OpenSSH shows it: `SHA256:` and 43 characters of base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFingerprint(String);

impl KeyFingerprint {
    /// Returns it as OpenSSH shows it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A text that is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is SHA256: and 43 characters, as `ssh-keygen -lf` prints it")]
pub struct KeyFingerprintError;

impl FromStr for KeyFingerprint {
    type Err = KeyFingerprintError;

    fn from_str(text: &str) -> Result<Self, KeyFingerprintError> {
        // Some programs write the padding, which carries nothing.
        let text = text.trim_end_matches('=');
        let digits = text.strip_prefix("SHA256:").ok_or(KeyFingerprintError)?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        if digits.len() == 43 && digits.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(KeyFingerprintError)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn host(text: &str) -> HostAddress {
        text.parse().unwrap()
    }

    #[test]
    fn hosts_as_a_person_writes_them() {
        let check = |text: &str, user: Option<&str>, name: &str, port: Option<u16>| {
            let user = user.map(|user| user.parse().unwrap());
            let expected = HostAddress { user, host: name.to_owned(), port };
            assert_eq!(text.parse(), Ok(expected.clone()), "{text}");
            assert_eq!(expected.to_string(), text);
        };
        check("me@example.org", Some("me"), "example.org", None);
        check("example.org:2222", None, "example.org", Some(2222));
        check("me@192.0.2.1:22", Some("me"), "192.0.2.1", Some(22));
        check("me@[2001:db8::1]:22", Some("me"), "2001:db8::1", Some(22));
        check("[::1]", None, "::1", None);
        assert_eq!((host("a").port(), host("a:23").port()), (22, 23));
    }

    #[test]
    fn what_is_no_host_says_why() {
        let bad = [
            "",
            "me@",
            "@host",
            "a b",
            "-oProxyCommand=x",
            "me@-x",
            "a:0",
            "a:65536",
            "a:b",
            "a:1:2",
            "::1",
            "[::1",
            "[::1]22",
            "[host]",
            "ssh://host",
            "m e@host",
        ];
        let said: Vec<String> = bad
            .into_iter()
            .map(|text| format!("{text:<18} {}", text.parse::<HostAddress>().unwrap_err()))
            .collect();
        insta::assert_snapshot!(said.join("\n"));
    }

    #[test]
    fn fingerprints() {
        let digits = "uNiVztksCsDhcc0u9e8BrRJRM/6pjLNXJ0IKcLHpTlU";
        let expected = KeyFingerprint(format!("SHA256:{digits}"));
        assert_eq!(format!("SHA256:{digits}").parse(), Ok(expected.clone()));
        assert_eq!(format!("SHA256:{digits}=").parse(), Ok(expected));
        for bad in
            ["", "SHA256:", digits, "MD5:16:27:ac:a5", "SHA256:uNiVztksCsDhcc0u9e8BrRJRM/6pjLNXJ0IKcLHpTl"]
        {
            assert_eq!(bad.parse::<KeyFingerprint>(), Err(KeyFingerprintError), "{bad}");
        }
    }

    #[test]
    fn the_user_is_the_one_said_nearest() {
        let check =
            |provider: Provider, flags: [Option<&str>; 2], file: [Option<&str>; 2], expected: &str| {
                let name = |text: Option<&str>| text.map(|text| text.parse().unwrap());
                let flags =
                    SshFlags { host: flags[0].map(host), user: name(flags[1]), ..SshFlags::default() };
                let file = SshFile { host: file[0].map(host), user: name(file[1]), ..SshFile::default() };
                let settings = layer(&flags, file, Some(provider), &Base { dir: Path::new("/"), home: None });
                assert_eq!(settings.login(provider, Some("here")), Some(expected));
            };
        check(Provider::Ssh, [None, None], [Some("h"), None], "here");
        check(Provider::Ssh, [None, None], [Some("a@h"), None], "a");
        check(Provider::Ssh, [None, None], [Some("a@h"), Some("b")], "b");
        check(Provider::Ssh, [Some("c@h"), None], [Some("a@h"), Some("b")], "c");
        check(Provider::Ssh, [Some("c@h"), Some("d")], [Some("a@h"), Some("b")], "d");
        check(Provider::Ec2, [None, None], [Some("a@h"), None], EC2_USER);
        check(Provider::Ec2, [None, None], [Some("a@h"), Some("b")], "b");
    }

    #[test]
    fn a_host_key_in_the_file_is_that_of_its_host() {
        let fingerprint: KeyFingerprint =
            "SHA256:uNiVztksCsDhcc0u9e8BrRJRM/6pjLNXJ0IKcLHpTlU".parse().unwrap();
        let key_with = |provider, flag: Option<&str>| {
            let flags = SshFlags { host: flag.map(host), ..SshFlags::default() };
            let file = SshFile {
                host: Some(host("a@one")),
                host_key: Some(fingerprint.clone()),
                ..SshFile::default()
            };
            layer(&flags, file, Some(provider), &Base { dir: Path::new("/"), home: None }).host_key
        };
        assert_eq!(key_with(Provider::Ssh, None), Some(fingerprint.clone()));
        assert_eq!(key_with(Provider::Ssh, Some("b@one:22")), Some(fingerprint.clone()));
        assert_eq!(key_with(Provider::Ssh, Some("a@two")), None);
        assert_eq!(key_with(Provider::Ec2, None), None);
    }

    #[test]
    fn a_host_means_ssh() {
        let with = |text: Option<&str>| SshFlags { host: text.map(host), ..SshFlags::default() };
        let file_with = |text: Option<&str>| SshFile { host: text.map(host), ..SshFile::default() };
        let check =
            |flags: (Option<Provider>, Option<&str>), file: (Option<Provider>, Option<&str>), expected| {
                let chosen = provider((flags.0, &with(flags.1)), (file.0, &file_with(file.1)));
                assert_eq!(chosen.ok(), expected, "{flags:?} {file:?}");
            };
        let (ec2, ssh, local) = (Some(Provider::Ec2), Some(Provider::Ssh), Some(Provider::Local));
        check((None, None), (None, None), Some(None));
        check((None, None), (None, Some("h")), Some(ssh));
        check((None, None), (ec2, Some("h")), Some(ec2));
        check((None, Some("h")), (local, None), Some(ssh));
        check((local, None), (ssh, Some("h")), Some(local));
        check((ssh, Some("h")), (None, None), Some(ssh));
        check((ec2, Some("h")), (None, None), None);
    }
}
