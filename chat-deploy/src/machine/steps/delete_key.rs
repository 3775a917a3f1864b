//! Deletes our key pair, which is EC2's copy of a public key; the key itself stays where it is.

use super::Failure;
use super::wait::Calls;
use crate::cloud::KeyPairId;
use crate::machine::tags;

/// Takes the step. The tags are read once more: a key pair that is not ours any more, or is gone, is left alone.
///
/// # Errors
///
/// A call's.
pub fn run(calls: &Calls<'_>, key: &KeyPairId) -> Result<(), Failure> {
    let mark = tags::mark(calls.instance);
    let pairs = calls.call(|| calls.cloud.key_pairs_tagged(&mark))?;
    match pairs.iter().find(|pair| pair.id == *key) {
        Some(pair) => Ok(calls.call(|| calls.cloud.delete_key_pair(&pair.name))?),
        None => Ok(()),
    }
}
