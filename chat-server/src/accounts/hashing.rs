//! Passwords as argon2id hashes, in the PHC string form, which names its own parameters.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{self, PasswordHasher as _, PasswordVerifier as _};
use argon2::{Argon2, Params};
use chat_core::secret::Secret;

use super::AccountsError;
use crate::config::AccountSettings;

/// Hashes and checks passwords.
pub(super) struct Hasher {
    argon2: Argon2<'static>,
    nobody: String,
}

impl Hasher {
    /// Takes the parameters of new hashes from the settings; old ones are checked with the parameters they name.
    pub(super) fn new(settings: &AccountSettings) -> Result<Self, AccountsError> {
        let params = Params::new(settings.memory_kib, settings.iterations, settings.lanes, None)
            .map_err(|error| AccountsError::Hash { source: error.into() })?;
        // As dear to check as any other, and the hash of no password anybody knows.
        let nobody = format!(
            "$argon2id$v=19$m={},t={},p={}${}${}",
            settings.memory_kib,
            settings.iterations,
            settings.lanes,
            "A".repeat(22),
            "A".repeat(43)
        );
        Ok(Self { argon2: Argon2::from(params), nobody })
    }

    /// Hashes a password with a fresh salt.
    pub(super) fn hash(&self, password: &Secret) -> Result<String, AccountsError> {
        let hash = self.argon2.hash_password(password.expose().as_bytes());
        hash.map(|hash| hash.to_string()).map_err(|source| AccountsError::Hash { source })
    }

    /// Whether the password is the one that was hashed. Without a hash, as for a name that does not exist, the
    /// same work is done for nothing.
    pub(super) fn verify(&self, password: &Secret, hash: Option<&str>) -> Result<bool, AccountsError> {
        let parsed = PasswordHash::new(hash.unwrap_or(&self.nobody))
            .map_err(|error| AccountsError::Hash { source: error.into() })?;
        match self.argon2.verify_password(password.expose().as_bytes(), &parsed) {
            Ok(()) => Ok(hash.is_some()),
            Err(password_hash::Error::PasswordInvalid) => Ok(false),
            Err(source) => Err(AccountsError::Hash { source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher(memory_kib: u32) -> Hasher {
        Hasher::new(&AccountSettings { memory_kib, ..AccountSettings::default() }).unwrap()
    }

    #[test]
    fn only_the_right_password_is_accepted() {
        let hasher = hasher(8);
        let hash = hasher.hash(&Secret::new("s3cr:et")).unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=8,t=2,p=1$"), "{hash}");
        assert!(hasher.verify(&Secret::new("s3cr:et"), Some(&hash)).unwrap());
        assert!(!hasher.verify(&Secret::new("s3cr:eT"), Some(&hash)).unwrap());
        assert!(!hasher.verify(&Secret::new("s3cr:et"), None).unwrap());
    }

    #[test]
    fn equal_passwords_have_different_hashes() {
        let hasher = hasher(8);
        let password = Secret::new("pw");
        assert_ne!(hasher.hash(&password).unwrap(), hasher.hash(&password).unwrap());
    }

    #[test]
    fn hashes_made_under_other_settings_stay_valid() {
        let hash = hasher(16).hash(&Secret::new("pw")).unwrap();
        assert!(hasher(8).verify(&Secret::new("pw"), Some(&hash)).unwrap());
    }

    #[test]
    fn a_damaged_hash_is_an_error_and_not_a_wrong_password() {
        for hash in ["", "plain", "$argon2id$v=19$m=8,t=2,p=1$x", "$md5$abc"] {
            let result = hasher(8).verify(&Secret::new("pw"), Some(hash));
            assert!(result.is_err() || !result.unwrap(), "{hash:?}");
        }
    }
}
