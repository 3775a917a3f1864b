//! One range of addresses, `192.0.2.0/24` or a single `2001:db8::1`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses: those that share the first `prefix` bits of `address`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpNet {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is not a range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an address or a range such as 192.0.2.0/24 or 2001:db8::/32 without bits set behind its prefix")]
pub struct NetworkError;

impl IpNet {
    /// The addresses a machine reaches itself by: 127.0.0.0/8.
    pub const LOOPBACK_V4: Self = Self { address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), prefix: 8 };
    /// The address a machine reaches itself by: `::1`.
    pub const LOOPBACK_V6: Self = Self { address: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix: 128 };

    /// Whether `address` lies in the range. An IPv4 address in its IPv6 form (`::ffff:192.0.2.1`), as a
    /// socket that listens on both gives it, counts as the IPv4 address it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.prefix) == self.address
    }
}

impl FromStr for IpNet {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError)?;
        let prefix = match prefix {
            // `parse` alone would take "+8" and "008".
            Some(digits) if digits.starts_with(['+', '0']) && digits != "0" => return Err(NetworkError),
            Some(digits) => digits.parse().map_err(|_| NetworkError)?,
            None => width(address),
        };
        if prefix > width(address) || masked(address, prefix) != address {
            return Err(NetworkError);
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for IpNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// What limits per address count as one address: an IPv4 address, or the /64 network of an IPv6 address, all of
/// which one subscriber has at his disposal. An IPv4 address in its IPv6 form is that IPv4 address.
pub fn limit_key(address: IpAddr) -> IpAddr {
    let address = address.to_canonical();
    if address.is_ipv6() { masked(address, 64) } else { address }
}

/// How many bits an address has.
fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// `address` with all bits behind the first `prefix` cleared.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(network: &str, address: &str, expected: bool) {
        let network: IpNet = network.parse().unwrap();
        assert_eq!(network.contains(address.parse().unwrap()), expected, "{network} contains {address}");
    }

    #[test]
    fn a_range_contains_what_shares_its_prefix() {
        check("127.0.0.0/8", "127.0.0.1", true);
        check("127.0.0.0/8", "127.255.255.255", true);
        check("127.0.0.0/8", "128.0.0.0", false);
        check("0.0.0.0/0", "203.0.113.9", true);
        check("0.0.0.0/0", "::1", false);
        check("192.0.2.7", "192.0.2.7", true);
        check("192.0.2.7", "192.0.2.6", false);
        check("192.0.2.4/31", "192.0.2.5", true);
        check("192.0.2.4/31", "192.0.2.6", false);
        check("::/0", "2001:db8::1", true);
        check("2001:db8::/33", "2001:db8:7fff::", true);
        check("2001:db8::/33", "2001:db8:8000::", false);
    }

    #[test]
    fn an_ipv4_address_in_its_ipv6_form_is_that_ipv4_address() {
        check("127.0.0.0/8", "::ffff:127.0.0.1", true);
        check("::/0", "::ffff:127.0.0.1", false);
    }

    #[test]
    fn only_whole_and_clean_ranges_are_taken() {
        for text in
            ["", "/", "127.0.0.1/", "127.0.0.1/8", "127.0.0.0/33", "::/129", "127.0.0.0/-1", "10.0.0.0/+8"]
        {
            assert_eq!(text.parse::<IpNet>(), Err(NetworkError), "{text:?}");
        }
        for text in
            ["10.0.0.0/08", "localhost", "10.0.0/8", " 10.0.0.0/8", "10.0.0.0/8 ", "::1/64", "10.0.0.0/8/8"]
        {
            assert_eq!(text.parse::<IpNet>(), Err(NetworkError), "{text:?}");
        }
        assert_eq!("10.0.0.0/8".parse::<IpNet>().unwrap().to_string(), "10.0.0.0/8");
        assert_eq!("::1".parse::<IpNet>().unwrap(), IpNet::LOOPBACK_V6);
    }
}
