//! The keys we log in with: files of the user, keys of an agent, and one of our own. How they are used is in
//! `session/login.rs`.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rand::TryRng as _;
use rand::rngs::SysRng;
use ssh_key::private::{Ed25519Keypair, PrivateKey};
use ssh_key::public::{KeyData, RsaPublicKey};
use ssh_key::{LineEnding, Mpint, PublicKey};
use zeroize::Zeroizing;

use super::store;

/// More than any key takes.
const MAX_KEY_BYTES: u64 = 64 * 1024;
const DAMAGED: &str = "it is damaged";

/// Where a key to log in with comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// All that the agent holds.
    Agent,
    /// A private key, in OpenSSH's format or PEM. If it is encrypted, the agent may hold it, or the person is asked for the
    /// passphrase.
    File(PathBuf),
}

/// The key pair that this user logs in to new machines with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnKey {
    /// The file of the private key.
    pub path: PathBuf,
    /// The public key, a line as in `authorized_keys`.
    pub public_line: String,
}

/// A new ed25519 key pair.
pub struct NewKey {
    /// The private key, in OpenSSH's format, not encrypted.
    pub private: Zeroizing<String>,
    /// The public key.
    pub public: PublicKey,
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be read.
    #[error("the key {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read the file.
    #[error("the key {} is open to other users (mode {mode:04o}), so it is not used", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It holds no private key that we know.
    #[error("the key {} cannot be used: {why}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Its public half is neither in it nor beside it.
    #[error("the public half of {} is needed, and neither in it nor in {}", path.display(), beside.display())]
    NoPublicHalf {
        /// The file.
        path: PathBuf,
        /// Where it was looked for.
        beside: PathBuf,
    },
    /// It is encrypted, and nobody knows the passphrase.
    #[error("the key {} is encrypted, and {why}", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
        /// Why it stays so.
        why: &'static str,
    },
    /// A key cannot be made.
    #[error("no key could be made")]
    NotMade(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Our own key cannot be written.
    #[error("the key {} cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Returns the user's own key in a directory, and makes it first if there is none. Of two runs that make it at once, both
/// get the same.
///
/// # Errors
///
/// [`KeyError`].
pub fn own_key(dir: &Path) -> Result<OwnKey, KeyError> {
    let path = dir.join("id_ed25519");
    if !path.exists() {
        let make = |former: Option<String>| match former {
            Some(_) => Ok(None),
            None => Ok(Some(generate("chat-deploy").map_err(io::Error::other)?.private.to_string())),
        };
        store::update(&path, make).map_err(|source| KeyError::Write { path: path.clone(), source })?;
    }
    let public_line = public_line(&path)?;
    Ok(OwnKey { path, public_line })
}

/// Makes an ed25519 key pair with randomness from the system.
///
/// # Errors
///
/// [`KeyError::NotMade`] if the system has none.
pub fn generate(comment: &str) -> Result<NewKey, KeyError> {
    let make = || -> Result<NewKey, Box<dyn std::error::Error + Send + Sync>> {
        let mut seed = Zeroizing::new([0; 32]);
        SysRng.try_fill_bytes(seed.as_mut())?;
        let key = PrivateKey::new(Ed25519Keypair::from_seed(&seed).into(), comment)?;
        Ok(NewKey { private: key.to_openssh(LineEnding::LF)?, public: key.public_key().clone() })
    };
    make().map_err(KeyError::NotMade)
}

/// Returns the public half of a private key file, a line as in `authorized_keys`. It is taken from the file itself, where it
/// is in clear in OpenSSH's format, even if the rest is encrypted, and in PEM for RSA; otherwise from `FILE.pub`.
///
/// # Errors
///
/// [`KeyError`].
pub fn public_line(path: &Path) -> Result<String, KeyError> {
    let key = KeyFile::load(path)?;
    if let Some(public) = key.public {
        return Ok(public.to_string());
    }
    let beside = path.with_added_extension("pub");
    let text = store::read(&beside).map_err(|source| KeyError::Read { path: beside.clone(), source })?;
    match text.as_deref().map(|text| text.trim().parse::<PublicKey>()) {
        Some(Ok(public)) => Ok(public.to_string()),
        Some(Err(error)) => Err(KeyError::Unusable { path: beside, why: error.to_string() }),
        None => Err(KeyError::NoPublicHalf { path: path.to_owned(), beside }),
    }
}

/// Lists what a person logs in with who names no key: the agent's keys, then the usual files, as far as there are any.
#[must_use]
pub fn usual(home: &Path) -> Vec<KeySource> {
    let files = ["id_ed25519", "id_ecdsa", "id_rsa"].map(|name| home.join(".ssh").join(name));
    let files = files.into_iter().filter(|path| path.is_file()).map(KeySource::File);
    std::iter::once(KeySource::Agent).chain(files).collect()
}

/// A private key file that was read.
pub(super) struct KeyFile {
    pub(super) path: PathBuf,
    pub(super) text: Zeroizing<String>,
    pub(super) is_encrypted: bool,
    /// As far as it can be told without the passphrase.
    pub(super) public: Option<PublicKey>,
}

impl KeyFile {
    /// Reads a file, and refuses as OpenSSH does one that others can read.
    pub(super) fn load(path: &Path) -> Result<Self, KeyError> {
        let read = |source| KeyError::Read { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(read)?;
        let about = file.metadata().map_err(read)?;
        let mode = about.mode() & 0o7777;
        if about.uid() == rustix::process::getuid().as_raw() && mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path: path.to_owned(), mode });
        }
        // As large as it may become, so that it is never moved and leaves no copy behind.
        let capacity = usize::try_from(about.len().min(MAX_KEY_BYTES)).unwrap_or(0) + 1;
        let mut text = Zeroizing::new(String::with_capacity(capacity));
        file.by_ref().take(MAX_KEY_BYTES).read_to_string(&mut text).map_err(read)?;
        let (is_encrypted, public) = inspect(&text)
            .map_err(|why| KeyError::Unusable { path: path.to_owned(), why: why.to_owned() })?;
        Ok(Self { path: path.to_owned(), text, is_encrypted, public })
    }
}

/// Tells whether a key is encrypted, and its public half if that is in clear.
fn inspect(text: &str) -> Result<(bool, Option<PublicKey>), &'static str> {
    let Some((_, from_label)) = text.split_once("-----BEGIN ") else {
        return Err(if text.trim().parse::<PublicKey>().is_ok() {
            "it is a public key; the private one is meant"
        } else {
            "it is no private key"
        });
    };
    match from_label.split_once("-----") {
        Some(("OPENSSH PRIVATE KEY", rest)) => {
            // `from_openssh` insists on lines as long as ssh-keygen's; others write shorter ones.
            let key = PrivateKey::from_bytes(&decode(rest)?).map_err(|_| DAMAGED)?;
            Ok((key.is_encrypted(), Some(PublicKey::new(key.public_key().key_data().clone(), ""))))
        }
        Some((label, rest)) if label.ends_with("PRIVATE KEY") => {
            let is_encrypted = label.starts_with("ENCRYPTED") || rest.contains("ENCRYPTED");
            let is_rsa = label == "RSA PRIVATE KEY" && !is_encrypted;
            Ok((is_encrypted, if is_rsa { Some(public_of_rsa(rest)?) } else { None }))
        }
        _ => Err("it is no private key"),
    }
}

/// Reads the two public numbers of a PKCS#1 key, which is what EC2 hands out as a `.pem`.
fn public_of_rsa(body: &str) -> Result<PublicKey, &'static str> {
    let der = decode(body)?;
    let key = pkcs1::RsaPrivateKey::try_from(der.as_slice()).map_err(|_| DAMAGED)?;
    let number = |bytes| Mpint::from_positive_bytes(bytes).map_err(|_| DAMAGED);
    let public =
        RsaPublicKey { e: number(key.public_exponent.as_bytes())?, n: number(key.modulus.as_bytes())? };
    Ok(PublicKey::new(KeyData::Rsa(public), ""))
}

/// Decodes what stands between the labels of a PEM.
fn decode(body: &str) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let (base64, _) = body.split_once("-----END").ok_or(DAMAGED)?;
    let base64: Zeroizing<String> = Zeroizing::new(base64.split_whitespace().collect());
    Ok(Zeroizing::new(BASE64_STANDARD.decode(base64.as_bytes()).map_err(|_| DAMAGED)?))
}
