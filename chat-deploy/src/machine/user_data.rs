//! What a new machine is given to start with, for cloud-init to read, and the first host key that is in it.

use std::error::Error;
use std::fmt;

use rand::TryRng as _;
use rand::rngs::SysRng;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{HashAlg, LineEnding, PrivateKey};
use zeroize::Zeroizing;

use crate::cloud::UserData;

const TEMPLATE: &str = include_str!("../../../templates/user-data.yml");

/// EC2 takes no more, in bytes, before encoding.
pub const MAX_BYTES: usize = 16 * 1024;

/// The host key of a new machine, until it has made one that nobody else ever saw: the template says why that is needed.
pub struct BootstrapKey {
    private: Zeroizing<String>,
    public: String,
    fingerprint: String,
}

impl BootstrapKey {
    /// Makes a key.
    ///
    /// # Errors
    ///
    /// The system's, if it has no randomness to give.
    pub fn generate() -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut seed = Zeroizing::new([0; 32]);
        SysRng.try_fill_bytes(seed.as_mut())?;
        let pair = KeypairData::from(Ed25519Keypair::from_seed(&seed));
        let key = PrivateKey::new(pair, "chat-deploy-bootstrap")?;
        Ok(Self {
            private: key.to_openssh(LineEnding::LF)?,
            public: key.public_key().to_openssh()?,
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
        })
    }

    /// Returns the public half, a line as in `ssh_host_ed25519_key.pub`.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.public
    }

    /// Returns the fingerprint as OpenSSH writes it: `SHA256:` and unpadded base64.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

impl fmt::Debug for BootstrapKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BootstrapKey").field(&self.fingerprint).finish()
    }
}

/// Writes the user-data of a machine that starts with this host key.
#[must_use]
pub fn render(key: &BootstrapKey) -> UserData {
    // A block literal of YAML takes any text whose lines are indented; a key has only lines of base64.
    let private = Zeroizing::new(key.private.trim_end().replace('\n', "\n    "));
    UserData::new(TEMPLATE.replace("@PUBLIC_KEY@", &key.public).replace("@PRIVATE_KEY@", &private))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes the private key out again, as a reader of YAML would: a block ends where the indentation does.
    fn private_key(user_data: &str) -> String {
        let block = user_data.lines().skip_while(|line| *line != "  ed25519_private: |").skip(1);
        let lines: Vec<&str> = block.map_while(|line| line.strip_prefix("    ")).collect();
        lines.join("\n") + "\n"
    }

    #[test]
    fn the_user_data_holds_the_key_and_nothing_unfilled() {
        let key = BootstrapKey::generate().unwrap();
        let user_data = render(&key);
        let text = user_data.as_str();
        assert!(!format!("{user_data:?}").contains("KEY"));
        assert!(text.starts_with("#cloud-config\n"));
        assert!(text.len() < MAX_BYTES);
        assert!(!text.contains('@'), "{text}");
        let read = PrivateKey::from_openssh(private_key(text)).unwrap();
        assert_eq!(read.public_key().to_openssh().unwrap(), key.public());
        assert!(text.contains(&format!("  ed25519_public: \"{}\"\n", key.public())));
        assert_eq!(read.fingerprint(HashAlg::Sha256).to_string(), key.fingerprint());
    }

    #[test]
    fn every_key_is_another() {
        let [one, other] = [(); 2].map(|()| BootstrapKey::generate().unwrap());
        assert_ne!(one.fingerprint(), other.fingerprint());
    }

    #[test]
    fn a_key_prints_without_its_secret() {
        let key = BootstrapKey::generate().unwrap();
        assert_eq!(format!("{key:?}"), format!("BootstrapKey({:?})", key.fingerprint()));
        assert!(key.fingerprint().starts_with("SHA256:") && !key.fingerprint().ends_with('='));
    }
}
