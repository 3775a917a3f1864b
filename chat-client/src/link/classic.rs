//! The original's encryption as a client uses it: where its keys come from, and the two directions.
//!
//! The cipher is `chat_core::rsa` and protects nothing; see its `hazmat`.

use std::fs;
use std::path::{Path, PathBuf};

use chat_core::frame::MAX_PACKET_LEN;
use chat_core::rsa::hazmat::{CipherError, Decryptor, Encryptor};
use chat_core::rsa::{KeyLimits, KeyPair, KeySpec, KeyTextError, PrivateKey, PublicKey};
use zeroize::Zeroizing;

use super::error::OwnKeysError;

/// Pairs of a fresh key, as many as the original ships.
const FRESH_PAIRS: usize = 16;
/// Bits of each modulus of a fresh key: made in an instant, and as good as any size in a cipher like this.
const FRESH_MODULUS_BITS: u64 = 32;

/// Where a client's classic keys come from, each time classic encryption is turned on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeySource {
    /// They are made on the spot and never stored.
    #[default]
    Fresh,
    /// They are read from `publickey.txt` and `privatekey.txt` in this directory, the original's files.
    Directory(PathBuf),
}

/// This client's keys, offered to the server and not yet in use.
#[derive(Debug)]
pub(super) struct OwnKeys {
    offer: String,
    decryptor: Decryptor,
}

/// Classic encryption in both directions.
#[derive(Debug)]
pub(super) struct Classic {
    encryptor: Encryptor,
    decryptor: Decryptor,
}

impl KeySource {
    /// Reads the keys, or makes some with moduli of `fresh_bits`.
    ///
    /// # Errors
    ///
    /// [`OwnKeysError`].
    pub(super) fn load(&self, fresh_bits: u64) -> Result<KeyPair, OwnKeysError> {
        match self {
            Self::Fresh => {
                let spec = KeySpec::bits(FRESH_PAIRS, fresh_bits);
                spec.and_then(|spec| KeyPair::generate(&spec)).map_err(OwnKeysError::Generate)
            }
            Self::Directory(directory) => read(directory),
        }
    }
}

fn read(directory: &Path) -> Result<KeyPair, OwnKeysError> {
    let text = |path: &PathBuf| match fs::read_to_string(path) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(source) => Err(OwnKeysError::Read { path: path.clone(), source }),
    };
    let malformed = |path: &PathBuf| {
        let path = path.clone();
        move |source| OwnKeysError::Malformed { path, source }
    };
    let (public, private) = (directory.join("publickey.txt"), directory.join("privatekey.txt"));
    let public_key =
        PublicKey::from_file_text(&text(&public)?, &KeyLimits::LOCAL).map_err(malformed(&public))?;
    let private_key =
        PrivateKey::from_file_text(&text(&private)?, &KeyLimits::LOCAL).map_err(malformed(&private))?;
    KeyPair::from_halves(public_key, private_key)
        .map_err(|source| OwnKeysError::Mismatch { directory: directory.to_owned(), source })
}

impl OwnKeys {
    /// Makes or reads the keys.
    ///
    /// # Errors
    ///
    /// [`OwnKeysError`].
    pub(super) fn load(source: &KeySource) -> Result<Self, OwnKeysError> {
        let pair = source.load(FRESH_MODULUS_BITS)?;
        Ok(Self { offer: pair.public().to_wire(), decryptor: Decryptor::new(&pair) })
    }

    /// Returns the body of the ENCRYPTION_ON request.
    pub(super) fn offer(&self) -> &str {
        &self.offer
    }

    /// Decrypts a body made for these keys.
    ///
    /// # Errors
    ///
    /// [`CipherError`].
    pub(super) fn decrypt(&self, body: &[u8]) -> Result<Vec<u8>, CipherError> {
        decrypt(&self.decryptor, body)
    }

    /// Takes the keys into use, together with the server's.
    ///
    /// # Errors
    ///
    /// [`KeyTextError`] if the server's key is malformed or too large.
    pub(super) fn complete(self, server_key: &str) -> Result<Classic, KeyTextError> {
        let server_key = PublicKey::parse_wire(server_key, &KeyLimits::PEER)?;
        Ok(Classic { encryptor: Encryptor::new(&server_key), decryptor: self.decryptor })
    }
}

impl Classic {
    /// Encrypts a whole body.
    pub(super) fn encrypt(&self, body: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(self.encryptor.encrypted_len(body));
        self.encryptor.encrypt(body, &mut sealed);
        sealed
    }

    /// Decrypts a whole body.
    ///
    /// # Errors
    ///
    /// [`CipherError`].
    pub(super) fn decrypt(&self, body: &[u8]) -> Result<Vec<u8>, CipherError> {
        decrypt(&self.decryptor, body)
    }
}

fn decrypt(decryptor: &Decryptor, body: &[u8]) -> Result<Vec<u8>, CipherError> {
    let mut plain = Vec::new();
    decryptor.decrypt(body, MAX_PACKET_LEN, &mut plain)?;
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clients_understand_each_other() {
        let (alice, bob) =
            (OwnKeys::load(&KeySource::Fresh).unwrap(), OwnKeys::load(&KeySource::Fresh).unwrap());
        let (to_alice, to_bob) = (alice.offer().to_owned(), bob.offer().to_owned());
        let (alice, bob) = (alice.complete(&to_bob).unwrap(), bob.complete(&to_alice).unwrap());
        assert_eq!(bob.decrypt(&alice.encrypt("π hello\n".as_bytes())).unwrap(), "π hello\n".as_bytes());
        assert!(bob.decrypt(&bob.encrypt(b"hello")).is_err());
    }

    #[test]
    fn fresh_keys_are_fresh() {
        assert_ne!(
            OwnKeys::load(&KeySource::Fresh).unwrap().offer(),
            OwnKeys::load(&KeySource::Fresh).unwrap().offer()
        );
    }

    #[test]
    fn the_originals_files_are_read_and_checked() {
        let directory = tempfile::tempdir().unwrap();
        let source = KeySource::Directory(directory.path().to_owned());
        let put = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        assert!(
            matches!(OwnKeys::load(&source), Err(OwnKeysError::Read { path, .. }) if path.ends_with("publickey.txt"))
        );
        put("publickey.txt", "n=3233 e=17\nn=3127 e=3\n");
        put("privatekey.txt", "n=3233 d=413\nn=3127 d=503\n");
        assert_eq!(OwnKeys::load(&source).unwrap().offer(), "3233,17:3127,3");
        put("privatekey.txt", "n=3233 d=413\nn=3127 d=505\n");
        assert!(matches!(OwnKeys::load(&source), Err(OwnKeysError::Mismatch { .. })));
        put("privatekey.txt", "n=3233\n");
        assert!(matches!(OwnKeys::load(&source), Err(OwnKeysError::Malformed { .. })));
    }
}
