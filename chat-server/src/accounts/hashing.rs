//! Passwords as argon2id hashes, in the PHC string form, which names its own parameters.

use std::sync::{Mutex, MutexGuard, PoisonError};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::password_hash::{self, try_generate_salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use chat_core::secret::Secret;

use super::AccountsError;
use crate::config::AccountSettings;

/// Hashes and checks passwords.
pub(super) struct Hasher {
    params: Params,
    nobody: String,
    parallel: usize,
    // Memory of computations that have ended, for the next ones. Left to glibc, each would take fresh memory several
    // times over before any is used again: a freed block lacks the few bytes that aligning it cost.
    memory: Mutex<Vec<Vec<Block>>>,
}

impl Hasher {
    /// Takes the parameters of new hashes from the settings; old ones are checked with the parameters they name.
    pub(super) fn new(settings: &AccountSettings) -> Result<Self, AccountsError> {
        let (memory, iterations, lanes) = (settings.memory_kib, settings.iterations, settings.lanes);
        let params = Params::new(memory, iterations, lanes, Some(Params::DEFAULT_OUTPUT_LEN))
            .map_err(|error| AccountsError::Hash { source: error.into() })?;
        // As dear to check as any other, and the hash of no password anybody knows.
        let (salt, hash) = ("A".repeat(22), "A".repeat(43));
        let nobody = format!("$argon2id$v=19$m={memory},t={iterations},p={lanes}${salt}${hash}");
        Ok(Self { params, nobody, parallel: settings.parallel_hashes, memory: Mutex::default() })
    }

    /// Hashes a password with a fresh salt.
    pub(super) fn hash(&self, password: &Secret) -> Result<String, AccountsError> {
        self.try_hash(password).map_err(|source| AccountsError::Hash { source })
    }

    /// Whether the password is the one that was hashed. Without a hash, as for a name that does not exist, the
    /// same work is done for nothing.
    pub(super) fn verify(&self, password: &Secret, hash: Option<&str>) -> Result<bool, AccountsError> {
        let matches = self.try_verify(password, hash.unwrap_or(&self.nobody));
        Ok(matches.map_err(|source| AccountsError::Hash { source })? && hash.is_some())
    }

    fn try_hash(&self, password: &Secret) -> password_hash::Result<String> {
        let salt = Salt::new(&try_generate_salt()?)?;
        let hash = PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&self.params)?,
            hash: Some(self.compute(password, &salt, self.params.clone(), Params::DEFAULT_OUTPUT_LEN)?),
            salt: Some(salt),
        };
        Ok(hash.to_string())
    }

    fn try_verify(&self, password: &Secret, hash: &str) -> password_hash::Result<bool> {
        let known = PasswordHash::new(hash)?;
        if known.algorithm != Algorithm::Argon2id.ident() || known.version != Some(Version::V0x13.into()) {
            return Err(password_hash::Error::Algorithm);
        }
        let salt = known.salt.as_ref().ok_or(password_hash::Error::SaltInvalid)?;
        let expected = known.hash.as_ref().ok_or(password_hash::Error::OutputSize)?;
        let params = Params::try_from(&known)?;
        // Outputs are compared in constant time.
        Ok(self.compute(password, salt, params, expected.len())? == *expected)
    }

    fn compute(
        &self,
        password: &Secret,
        salt: &[u8],
        params: Params,
        length: usize,
    ) -> password_hash::Result<Output> {
        let blocks = params.block_count();
        let mut memory = self.take_memory(blocks)?;
        let mut buffer = [0; Output::MAX_LENGTH];
        let output = buffer.get_mut(..length).ok_or(password_hash::Error::OutputSize)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let password = password.expose().as_bytes();
        argon2.hash_password_into_with_memory(password, salt, output, memory.as_mut_slice())?;
        self.keep_memory(memory);
        Ok(Output::new(output)?)
    }

    fn take_memory(&self, blocks: usize) -> password_hash::Result<Vec<Block>> {
        if blocks == self.params.block_count()
            && let Some(memory) = self.kept_memory().pop()
        {
            return Ok(memory);
        }
        let mut memory = Vec::new();
        memory.try_reserve_exact(blocks).map_err(|_| password_hash::Error::OutOfMemory)?;
        memory.resize_with(blocks, Block::new);
        Ok(memory)
    }

    /// Keeps what fits the current settings, and no more of it than is used at a time: whoever runs the server may have
    /// passwords hashed out of turn.
    fn keep_memory(&self, memory: Vec<Block>) {
        let mut kept = self.kept_memory();
        if memory.len() == self.params.block_count() && kept.len() < self.parallel {
            kept.push(memory);
        }
    }

    fn kept_memory(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn hashes_are_those_of_the_argon2_crate() {
        use argon2::{PasswordHasher as _, PasswordVerifier as _};
        let (hasher, password) = (hasher(64), Secret::new("s3cr:et"));
        let ours = hasher.hash(&password).unwrap();
        let parsed = PasswordHash::new(&ours).unwrap();
        assert!(Argon2::default().verify_password(b"s3cr:et", &parsed).is_ok());
        let theirs = Argon2::default().hash_password(b"s3cr:et").unwrap().to_string();
        assert!(hasher.verify(&password, Some(&theirs)).unwrap());
    }

    #[test]
    fn memory_is_used_again_and_only_if_it_fits() {
        let hasher = hasher(64);
        let large = Hasher {
            memory: Mutex::default(),
            params: Params::new(128, 1, 1, None).unwrap(),
            ..self::hasher(64)
        };
        let hash_of_large = large.hash(&Secret::new("pw")).unwrap();
        for _ in 0..3 {
            assert!(!hasher.verify(&Secret::new("pw"), None).unwrap());
            assert!(hasher.verify(&Secret::new("pw"), Some(&hash_of_large)).unwrap());
        }
        let kept: Vec<usize> = hasher.memory.lock().unwrap().iter().map(Vec::len).collect();
        assert_eq!(kept, [64]);
    }

    #[test]
    fn no_more_memory_is_kept_than_is_used_at_a_time() {
        let hasher = Hasher { parallel: 1, ..hasher(64) };
        let taken: Vec<_> = (0..3).map(|_| hasher.take_memory(64).unwrap()).collect();
        taken.into_iter().for_each(|memory| hasher.keep_memory(memory));
        assert_eq!(hasher.memory.lock().unwrap().len(), 1);
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
