//! Ranges of addresses, as a person writes them: who may reach a port.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

/// Every address there is.
pub const ANYWHERE: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0);

/// Who may reach SSH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SshFrom {
    /// The address we are seen under, which has to be found out.
    Auto,
    /// These, one at least.
    Ranges(Vec<Ipv4Net>),
}

/// One item of a list of who may reach SSH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `auto`.
    Auto,
    /// A range.
    Range(Ipv4Net),
}

/// A text that is no range of IPv4 addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RangeError {
    /// It is something else.
    #[error("'{0}' is no IPv4 address or range, such as 203.0.113.7 or 203.0.113.0/24")]
    NotARange(String),
    /// It is of the other kind.
    #[error("'{0}' is IPv6; the machine has an IPv4 address, so only such addresses reach it")]
    Ipv6(String),
    /// It says more than the range, so what is meant is not clear.
    #[error(
        "'{text}' is an address within {range}; write {range}, or {}/32 for that address alone",
        range_address(text)
    )]
    HostBits {
        /// What was written.
        text: String,
        /// The range around it.
        range: Ipv4Net,
    },
}

/// `auto` beside ranges, which it would have to be added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("auto stands alone, without ranges beside it")]
pub struct AutoAmongRanges;

/// Reads a range; a lone address is the range of that address.
///
/// # Errors
///
/// [`RangeError`].
pub fn range(text: &str) -> Result<Ipv4Net, RangeError> {
    let not_a_range = || RangeError::NotARange(text.to_owned());
    let parsed: IpNet = match text.parse::<IpAddr>() {
        Ok(address) => address.into(),
        Err(_) => text.parse().map_err(|_| not_a_range())?,
    };
    match parsed {
        IpNet::V6(_) => Err(RangeError::Ipv6(text.to_owned())),
        IpNet::V4(range) if range.trunc() == range => Ok(range),
        IpNet::V4(range) => Err(RangeError::HostBits { text: text.to_owned(), range: range.trunc() }),
    }
}

impl FromStr for Source {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        if text == "auto" { Ok(Self::Auto) } else { range(text).map(Self::Range) }
    }
}

impl SshFrom {
    /// Joins the items of a list; an empty one is `auto`.
    ///
    /// # Errors
    ///
    /// [`AutoAmongRanges`].
    pub fn of(sources: &[Source]) -> Result<Self, AutoAmongRanges> {
        let ranges: Vec<Ipv4Net> = sources
            .iter()
            .filter_map(|source| match source {
                Source::Range(range) => Some(*range),
                Source::Auto => None,
            })
            .collect();
        match ranges.len() {
            0 => Ok(Self::Auto),
            count if count == sources.len() => Ok(Self::Ranges(ranges)),
            _ => Err(AutoAmongRanges),
        }
    }
}

fn range_address(text: &str) -> &str {
    text.split_once('/').map_or(text, |(address, _)| address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("203.0.113.7", "203.0.113.7/32"),
            ("203.0.113.0/24", "203.0.113.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ] {
            assert_eq!(range(text).unwrap().to_string(), expected);
        }
        assert_eq!(range("0.0.0.0/0"), Ok(ANYWHERE));
    }

    #[test]
    fn what_is_no_range_says_why() {
        let said: Vec<String> = ["home", "10.0.0.0/33", "", "2001:db8::/32", "::1", "10.1.2.3/8"]
            .into_iter()
            .map(|text| range(text).unwrap_err().to_string())
            .collect();
        insta::assert_snapshot!(said.join("\n"));
    }

    #[test]
    fn auto_stands_alone() {
        let here = range("203.0.113.7").unwrap();
        let check = |texts: &[&str], expected: Result<SshFrom, AutoAmongRanges>| {
            let sources: Vec<Source> = texts.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(SshFrom::of(&sources), expected, "{texts:?}");
        };
        check(&[], Ok(SshFrom::Auto));
        check(&["auto"], Ok(SshFrom::Auto));
        check(&["203.0.113.7", "203.0.113.7/32"], Ok(SshFrom::Ranges(vec![here, here])));
        check(&["auto", "203.0.113.7"], Err(AutoAmongRanges));
    }
}
