//! How many connections there may be, in total and from one address (of IPv6: from one /64, which one host commands).

use std::collections::HashMap;
use std::net::IpAddr;

use crate::config::{Limits, limit_key};

/// Counts the open connections.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    total: usize,
    per_address: HashMap<IpAddr, usize>,
}

/// Why a connection is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There are as many connections as the server takes.
    Full,
    /// There are as many from this address as one may have.
    AddressFull,
}

impl Admission {
    /// Counts one more connection from `address`, or says why it must not be taken.
    pub(crate) fn admit(&mut self, address: IpAddr, limits: &Limits) -> Result<(), Refusal> {
        let exempt = limits.is_exempt(address);
        if self.total >= limits.max_connections {
            return Err(Refusal::Full);
        }
        let address = limit_key(address);
        let open = self.per_address.entry(address).or_default();
        if *open >= limits.max_connections_per_address && !exempt {
            return Err(Refusal::AddressFull);
        }
        *open += 1;
        self.total += 1;
        Ok(())
    }

    /// Counts one connection from `address` less.
    pub(crate) fn release(&mut self, address: IpAddr) {
        let address = limit_key(address);
        if let Some(open) = self.per_address.get_mut(&address) {
            *open -= 1;
            self.total -= 1;
            if *open == 0 {
                self.per_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_hold_and_loopback_is_spared_only_its_own() {
        let limits = Limits { max_connections: 4, max_connections_per_address: 1, ..Limits::default() };
        let [a, mapped, b, local] =
            ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2", "127.0.0.1"].map(|a| a.parse().unwrap());
        let mut admission = Admission::default();
        assert_eq!(admission.admit(a, &limits), Ok(()));
        assert_eq!(admission.admit(mapped, &limits), Err(Refusal::AddressFull));
        assert_eq!(admission.admit(b, &limits), Ok(()));
        assert_eq!(admission.admit(local, &limits), Ok(()));
        assert_eq!(admission.admit(local, &limits), Ok(()));
        assert_eq!(admission.admit(local, &limits), Err(Refusal::Full));
        for address in [a, b, local, local] {
            admission.release(address);
        }
        assert_eq!((admission.total, admission.per_address.len()), (0, 0));
        admission.release(a);
        assert_eq!(admission.total, 0);
    }
}
