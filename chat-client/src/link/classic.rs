//! Stand-in until chat_core::rsa is there.
use super::error::OwnKeysError;
pub type KeyError = std::fmt::Error;
/// Keys.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// Fresh.
    Fresh,
}
impl KeySource {
    pub(super) fn load(&self) -> Result<OwnKeys, OwnKeysError> {
        Ok(OwnKeys)
    }
}
#[derive(Debug)]
pub(super) struct OwnKeys;
#[derive(Debug)]
pub(super) struct Classic;
impl OwnKeys {
    pub(super) fn offer(&self) -> &str {
        ""
    }
    pub(super) fn decrypt(&self, _body: &[u8]) -> Option<Vec<u8>> {
        None
    }
    pub(super) fn complete(self, _key: &str) -> Result<Classic, KeyError> {
        Err(std::fmt::Error)
    }
}
impl Classic {
    pub(super) fn encrypt(&self, _body: &[u8], _out: &mut Vec<u8>) {}
    pub(super) fn decrypt(&self, _body: &[u8]) -> Option<Vec<u8>> {
        None
    }
}
