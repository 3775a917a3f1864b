//! Passwords kept in the system's keyring, when that was asked for: the Secret Service on Linux, the keychain on macOS.
//!
//! When to look there, and when to keep, is `app`'s to say. A keyring may be absent, locked, or waiting for somebody to
//! unlock it, so it is asked on a thread of its own and not for ever.

use std::time::Duration;

use chat_core::known_servers::ServerAddress;
use chat_core::noise::Fingerprint;
use chat_core::secret::Secret;

/// How long a keyring may take; a person may have to unlock it first.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whose password it is, and for which server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where the server is.
    pub server: ServerAddress,
    /// Who it proved to be, if it did: what was kept for one server is never given to another at its address.
    pub identity: Option<Fingerprint>,
    /// The user's name there.
    pub user: String,
}

/// What to do with it.
#[derive(Clone, Debug)]
pub enum Errand {
    /// Look for it.
    Find,
    /// Keep it, in place of any other.
    Keep(Secret),
    /// Remove it.
    Forget,
}

/// How that went.
#[derive(Debug)]
pub enum Outcome {
    /// It was looked for.
    Found(Result<Option<Secret>, KeyringError>),
    /// It was to be kept.
    Kept(Result<(), KeyringError>),
    /// It was to be removed; tells whether there was one.
    Forgotten(Result<bool, KeyringError>),
}

/// The keyring cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// The program cannot use any.
    #[error("this chat-client was built without the feature keyring")]
    NotBuilt,
    /// There is none, or it cannot be reached.
    #[error("there is no keyring to be reached: {0}")]
    Absent(String),
    /// It refused, or was not unlocked. The text is its own; what it holds is not in it.
    #[error("the keyring refused: {0}")]
    Refused(String),
    /// It did not answer.
    #[error("the keyring did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
}

impl KeyringError {
    /// Returns what a person can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotBuilt => "build it with the feature, or use --password-command",
            Self::Absent(_) => {
                "it needs a Secret Service on the session's D-Bus, such as gnome-keyring; --password-command needs none"
            }
            Self::Refused(_) | Self::TimedOut(_) => "is it locked? unlock it and try again",
        }
    }

    /// Tells whether there is simply no keyring on this machine.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::NotBuilt | Self::Absent(_))
    }
}

impl Place {
    /// Names the server as the keyring's "service"; programs that manage keyrings show it.
    #[cfg_attr(
        not(any(feature = "keyring", test)),
        expect(dead_code, reason = "there is no keyring to name it to")
    )]
    fn service(&self) -> String {
        let identity = self.identity.map(|identity| format!(" {identity}")).unwrap_or_default();
        format!("chat-client {}{identity}", self.server)
    }
}

/// Runs an errand; waits a minute at most. What a keyring still does after that has no effect here.
pub async fn run(place: Place, errand: Errand) -> Outcome {
    match errand {
        Errand::Find => Outcome::Found(aside(PATIENCE, move || system::find(&place)).await),
        Errand::Keep(password) => {
            Outcome::Kept(aside(PATIENCE, move || system::keep(&place, &password)).await)
        }
        Errand::Forget => Outcome::Forgotten(aside(PATIENCE, move || system::forget(&place)).await),
    }
}

/// Does something that may take as long as it likes, on a thread where nobody waits for it.
async fn aside<T: Send + 'static>(
    patience: Duration,
    act: impl FnOnce() -> Result<T, KeyringError> + Send + 'static,
) -> Result<T, KeyringError> {
    match tokio::time::timeout(patience, tokio::task::spawn_blocking(act)).await {
        Ok(Ok(done)) => done,
        Ok(Err(_)) => Err(KeyringError::Refused("it failed unexpectedly".to_owned())),
        Err(_) => Err(KeyringError::TimedOut(patience)),
    }
}

#[cfg(all(feature = "keyring", any(target_os = "linux", target_os = "macos")))]
mod system {
    //! The keyring itself.

    #[cfg(target_os = "macos")]
    use apple_native_keyring_store::keychain::Store;
    use keyring_core::Entry;
    use keyring_core::Error;
    use keyring_core::api::CredentialStoreApi as _;
    #[cfg(target_os = "linux")]
    use zbus_secret_service_keyring_store::Store;

    use super::{KeyringError, Place, Secret};

    pub(super) fn find(place: &Place) -> Result<Option<Secret>, KeyringError> {
        match entry(place)?.get_password() {
            Ok(password) => Ok(Some(Secret::new(password))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(refused(&error)),
        }
    }

    pub(super) fn keep(place: &Place, password: &Secret) -> Result<(), KeyringError> {
        entry(place)?.set_password(password.expose()).map_err(|error| refused(&error))
    }

    pub(super) fn forget(place: &Place) -> Result<bool, KeyringError> {
        match entry(place)?.delete_credential() {
            Ok(()) => Ok(true),
            Err(Error::NoEntry) => Ok(false),
            Err(error) => Err(refused(&error)),
        }
    }

    fn entry(place: &Place) -> Result<Entry, KeyringError> {
        let store = Store::new().map_err(|error| KeyringError::Absent(error.to_string()))?;
        store.build(&place.service(), &place.user, None).map_err(|error| refused(&error))
    }

    /// Takes the text alone: the error itself may hold what it could not read.
    fn refused(error: &Error) -> KeyringError {
        KeyringError::Refused(error.to_string())
    }
}

#[cfg(not(all(feature = "keyring", any(target_os = "linux", target_os = "macos"))))]
mod system {
    //! There is none.

    use super::{KeyringError, Place, Secret};

    pub(super) fn find(_: &Place) -> Result<Option<Secret>, KeyringError> {
        Err(KeyringError::NotBuilt)
    }

    pub(super) fn keep(_: &Place, _: &Secret) -> Result<(), KeyringError> {
        Err(KeyringError::NotBuilt)
    }

    pub(super) fn forget(_: &Place) -> Result<bool, KeyringError> {
        Err(KeyringError::NotBuilt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_keyring_that_never_answers_is_given_up() {
        let (sender, held) = std::sync::mpsc::channel::<()>();
        let patience = Duration::from_millis(20);
        let waited = aside(patience, move || {
            // Until the test is over.
            let _ = held.recv();
            Ok(())
        });
        assert_eq!(waited.await, Err(KeyringError::TimedOut(patience)));
        drop(sender);
    }

    #[test]
    fn what_is_kept_for_one_server_has_another_name_than_for_the_next() {
        let place =
            |identity| Place { server: ServerAddress::new("home", 1), identity, user: "alice".to_owned() };
        let known = Some(Fingerprint::of(&[1; 32]));
        assert_eq!(place(None).service(), "chat-client home:1");
        assert!(place(known).service().starts_with("chat-client home:1 SHA256:"));
    }
}
