//! What the system says of its sockets in `/proc/net`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Reads an address as `/proc/net/tcp` has it: words of four bytes in hexadecimal digits, in the order of the machine, which
/// is little-endian wherever this runs, and the port.
pub(super) fn address(value: &str) -> Option<SocketAddr> {
    let (address, port) = value.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word =
        |at: usize| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::swap_bytes);
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from_bits(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            IpAddr::V6(Ipv6Addr::from_bits(words.iter().fold(0, |bits, word| bits << 32 | u128::from(*word))))
        }
        _ => return None,
    };
    Some(SocketAddr::new(address.to_canonical(), port))
}
