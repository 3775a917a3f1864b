//! Lets EC2 know our public key, so that a new machine lets us in.

use ssh_key::{HashAlg, PublicKey};

use super::Failure;
use super::wait::{Aim, Calls, Look};
use crate::cloud::{CloudErrorKind, KeyPair};
use crate::machine::apply::ApplyError;
use crate::machine::tags;

/// Takes the step.
///
/// # Errors
///
/// [`ApplyError::Taken`] if another key has that name, [`ApplyError::Late`], or a call's.
pub fn run(calls: &Calls<'_>, name: &str, public_key: &str) -> Result<(), Failure> {
    let ours = tags::ours(calls.instance);
    match calls.call(|| calls.cloud.import_key_pair(name, public_key, &ours)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind == CloudErrorKind::Duplicate => find(calls, name, public_key),
        Err(error) => Err(error.into()),
    }
}

/// Makes sure that the key pair of this name is ours, and of this key.
fn find(calls: &Calls<'_>, name: &str, public_key: &str) -> Result<(), Failure> {
    let mark = tags::mark(calls.instance);
    let of = format!("our key pair {name}");
    let aim = Aim { of: &of, wanted: "visible", within: calls.visible_timeout };
    let look = || {
        let pairs = calls.call(|| calls.cloud.key_pairs_tagged(&mark))?;
        match pairs.iter().find(|pair| pair.name == name) {
            Some(pair) if may_be_of(pair, public_key) => Ok(Look::There(())),
            Some(_) => Err(ApplyError::Taken { resource: format!("key pair {name}") }.into()),
            None => Ok(Look::NotVisible),
        }
    };
    calls.look_until(&aim, look, |_, _| {})
}

/// Compares fingerprints where EC2 keeps one that can be compared: of an RSA key it has an MD5 of another encoding, which
/// says less than the part of the SHA-256 that is in the name.
fn may_be_of(pair: &KeyPair, public_key: &str) -> bool {
    let fingerprint =
        PublicKey::from_openssh(public_key).map(|key| key.fingerprint(HashAlg::Sha256).to_string());
    let theirs = pair.fingerprint.trim_end_matches('=');
    theirs.contains(':') || fingerprint.is_ok_and(|ours| ours.strip_prefix("SHA256:") == Some(theirs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::{KeyPairId, Tags};

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO+p0qf11dOnFjeXuQlM0EH/pu7QXN0fU8WnHXAZX+9D user@example.com";

    #[test]
    fn keys_are_compared_where_that_can_be_done() {
        let check = |fingerprint: &str, expected: bool| {
            let pair = KeyPair {
                id: KeyPairId::new("key-1"),
                name: "name".to_owned(),
                fingerprint: fingerprint.to_owned(),
                tags: Tags::new(),
            };
            assert_eq!(may_be_of(&pair, KEY), expected, "{fingerprint}");
        };
        check("uHObzst+k+Ss0a5dBgT9JKSY81e+IoK0ICFogOgkSA4=", true);
        check("uHObzst+k+Ss0a5dBgT9JKSY81e+IoK0ICFogOgkSA4", true);
        check("AHObzst+k+Ss0a5dBgT9JKSY81e+IoK0ICFogOgkSA4=", false);
        check("1f:51:ae:28:bf:89:e9:d8:1f:25:5d:37:2d:7d:b8:ca", true);
    }
}
