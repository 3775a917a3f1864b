//! The name of an instance: one server, wherever it runs.
//!
//! The name becomes a directory here and a tag in a cloud, so it is held to what all of them take.

use std::fmt;
use std::str::FromStr;

/// The longest instance name, in bytes.
pub const MAX_NAME_BYTES: usize = 32;

/// A validated instance name: 1 to 32 characters of `a-z`, `0-9` and `-`, beginning with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InstanceName(String);

impl InstanceName {
    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A text that cannot name an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an instance name is 1 to 32 characters of a-z, 0-9 and '-', the first not a '-'")]
pub struct InstanceNameError;

impl FromStr for InstanceName {
    type Err = InstanceNameError;

    fn from_str(text: &str) -> Result<Self, InstanceNameError> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let valid =
            (1..=MAX_NAME_BYTES).contains(&text.len()) && text.chars().all(allowed) && !text.starts_with('-');
        if valid { Ok(Self(text.to_owned())) } else { Err(InstanceNameError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "0", "myserver", "my-server-2", "a-", &"x".repeat(32)] {
            assert_eq!(good.parse::<InstanceName>().map(|name| name.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "-a", "A", "my server", "../etc", "a/b", "a.b", "é", &"x".repeat(33)] {
            assert_eq!(bad.parse::<InstanceName>(), Err(InstanceNameError), "{bad:?}");
        }
    }
}
