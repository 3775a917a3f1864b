//! How many connections there may be, in total and from one address (of IPv6: from one /64, which one host commands), how fast
//! an address may open them, and what they use together, which is remembered until it is paid off.

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::config::{Limits, limit_key};
use crate::rate::{SharedUsage, Usage};

/// Counts the open connections.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    total: usize,
    per_address: HashMap<IpAddr, Address>,
}

#[derive(Debug)]
struct Address {
    open: usize,
    /// Until when the connections opened so far last, at the rate at which an address may open them.
    opened_until: Instant,
    usage: SharedUsage,
}

/// Why a connection is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There are as many connections as the server takes.
    Full,
    /// There are as many from this address as one may have.
    AddressFull,
    /// This address opens them too fast.
    TooFast,
}

impl Admission {
    /// Counts one more connection from `address`, or says why it must not be taken. Returns what its rates are counted in.
    pub(crate) fn admit(
        &mut self,
        address: IpAddr,
        limits: &Limits,
        now: Instant,
    ) -> Result<SharedUsage, Refusal> {
        let is_spared = limits.is_exempt(address);
        if self.total >= limits.max_connections {
            return Err(Refusal::Full);
        }
        let address = self.per_address.entry(limit_key(address)).or_insert_with(|| Address::new(limits, now));
        if !is_spared {
            address.admit(limits, now)?;
        }
        address.open += 1;
        self.total += 1;
        Ok(Rc::clone(&address.usage))
    }

    /// Counts one connection from `address` less.
    pub(crate) fn release(&mut self, address: IpAddr) {
        if let Some(address) = self.per_address.get_mut(&limit_key(address))
            && address.open > 0
        {
            address.open -= 1;
            self.total -= 1;
        }
    }

    /// Forgets the addresses that have no connection and have paid off what they used. To be called every second or so.
    pub(crate) fn forget_old(&mut self, limits: &Limits, now: Instant) {
        self.per_address.retain(|_, address| {
            address.open > 0 || address.opened_until > now || !address.usage.get().is_paid_off(limits, now)
        });
    }
}

impl Address {
    fn new(limits: &Limits, now: Instant) -> Self {
        Self { open: 0, opened_until: now, usage: Usage::of_address(limits, now) }
    }

    /// After a pause an address may open as many at once as it may have open: all who share it may have lost theirs.
    fn admit(&mut self, limits: &Limits, now: Instant) -> Result<(), Refusal> {
        if self.open >= limits.max_connections_per_address {
            return Err(Refusal::AddressFull);
        }
        let at_once = u32::try_from(limits.max_connections_per_address).unwrap_or(u32::MAX);
        let each = Duration::from_secs(1) / limits.connections_per_second.max(1);
        let opened_until = self.opened_until.max(now) + each;
        if opened_until - now > each.saturating_mul(at_once) {
            return Err(Refusal::TooFast);
        }
        self.opened_until = opened_until;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate::Rates;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn both_limits_hold_and_loopback_is_spared_only_its_own() {
        let limits = Limits { max_connections: 4, max_connections_per_address: 1, ..Limits::default() };
        let [a, mapped, b, local] =
            ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2", "127.0.0.1"].map(|a| a.parse().unwrap());
        let (mut admission, now) = (Admission::default(), Instant::now());
        let mut admit = |address| admission.admit(address, &limits, now).map(drop);
        assert_eq!(admit(a), Ok(()));
        assert_eq!(admit(mapped), Err(Refusal::AddressFull));
        assert_eq!(admit(b), Ok(()));
        assert_eq!(admit(local), Ok(()));
        assert_eq!(admit(local), Ok(()));
        assert_eq!(admit(local), Err(Refusal::Full));
        for address in [a, b, local, local, a] {
            admission.release(address);
        }
        assert_eq!(admission.total, 0);
    }

    #[test]
    fn an_address_opens_as_many_at_once_as_it_may_have_and_then_some_a_second() {
        let limits =
            Limits { max_connections_per_address: 3, connections_per_second: 2, ..Limits::default() };
        let (address, now) = ("192.0.2.1".parse().unwrap(), Instant::now());
        let mut admission = Admission::default();
        let mut open_and_close = |at| {
            let admitted = admission.admit(address, &limits, at).map(drop);
            admitted.inspect(|()| admission.release(address))
        };
        (0..3).for_each(|_| assert_eq!(open_and_close(now), Ok(())));
        assert_eq!(open_and_close(now), Err(Refusal::TooFast));
        assert_eq!(open_and_close(now + SECOND / 2), Ok(()));
        assert_eq!(open_and_close(now + SECOND / 2), Err(Refusal::TooFast));
        (0..3).for_each(|_| assert_eq!(open_and_close(now + 60 * SECOND), Ok(())));
        assert_eq!(open_and_close(now + 60 * SECOND), Err(Refusal::TooFast));
    }

    #[test]
    fn what_an_address_used_is_remembered_until_it_is_paid_off() {
        let limits = Limits { messages_per_second: 1, rate_shares_per_address: 1, ..Limits::default() };
        let (address, now) = ("192.0.2.1".parse().unwrap(), Instant::now());
        let mut admission = Admission::default();
        let usage = admission.admit(address, &limits, now).unwrap();
        let mut rates = Rates::new(usage, &limits, now);
        rates.opened(&limits, now);
        rates.take(&limits, now, 9, 0);
        let mut remembered = |after| {
            admission.forget_old(&limits, now + after);
            admission.per_address.len()
        };
        assert_eq!(remembered(60 * SECOND), 1, "it is connected");
        admission.release(address);
        let mut remembered = |after| {
            admission.forget_old(&limits, now + after);
            admission.per_address.len()
        };
        assert_eq!((remembered(9 * SECOND), remembered(11 * SECOND)), (1, 0));
    }
}
