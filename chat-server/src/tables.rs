//! How much memory the cipher tables of classic connections take, in total and for one address.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::config::{Limits, limit_key};

/// One address may have this part of all the memory, so that it cannot keep every other one from classic encryption.
const SHARE: usize = 8;

/// Counts the bytes of cipher tables in use or about to be.
#[derive(Debug, Default)]
pub(crate) struct TableMemory {
    total: usize,
    per_address: HashMap<IpAddr, usize>,
}

impl TableMemory {
    /// Changes what a connection from `address` holds from one number of bytes to another. Holding less always works;
    /// more only within the limits, else nothing changes and the answer is `false`.
    pub(crate) fn change(&mut self, address: IpAddr, from: usize, to: usize, limits: &Limits) -> bool {
        let key = limit_key(address);
        let held = self.per_address.get(&key).copied().unwrap_or_default();
        let (total, own) = (self.total.saturating_sub(from) + to, held.saturating_sub(from) + to);
        let share = limits.cipher_table_bytes / SHARE;
        if to > from && (total > limits.cipher_table_bytes || own > share && !limits.is_exempt(address)) {
            return false;
        }
        self.total = total;
        if own == 0 {
            self.per_address.remove(&key);
        } else {
            self.per_address.insert(key, own);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_takes_it_all_and_all_together_do_not_take_more() {
        let limits = Limits { cipher_table_bytes: 800, ..Limits::default() };
        let [a, b, local] = ["192.0.2.1", "192.0.2.2", "127.0.0.1"].map(|address| address.parse().unwrap());
        let mut memory = TableMemory::default();
        assert!(memory.change(a, 0, 60, &limits));
        assert!(!memory.change(a, 0, 60, &limits), "its share is 100");
        assert!(memory.change(a, 60, 100, &limits));
        assert!(memory.change(b, 0, 100, &limits));
        assert!(memory.change(local, 0, 600, &limits), "exempt from its share");
        assert!(!memory.change(local, 600, 601, &limits), "never from the total");
        assert!(memory.change(a, 100, 50, &limits));
        for (address, held) in [(a, 50), (b, 100), (local, 600)] {
            assert!(memory.change(address, held, 0, &limits));
        }
        assert_eq!((memory.total, memory.per_address.len()), (0, 0));
    }
}
