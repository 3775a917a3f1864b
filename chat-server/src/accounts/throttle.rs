//! Who has to wait how long: for logins by name, for registrations by address.
//!
//! Both are pure: the time is an argument. Both remember a bounded number of names or addresses and forget the
//! least recent one when a new one comes. Waiting, and reading the clock, is the caller's part.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::config::limit_key;

/// The first delay, which doubles with each further failure.
const FIRST_DELAY: Duration = Duration::from_millis(500);

/// How long failures are held against a name. Guessing more slowly than this is as slow as the longest delay
/// would make it for all practical purposes.
const MEMORY_OF_FAILURES: Duration = Duration::from_secs(60 * 60);

/// Delays logins for a name once too many have failed. It never refuses one: whoever knows the password gets in
/// after the longest delay at the latest.
pub(super) struct LoginThrottle {
    free_failures: u32,
    max_delay: Duration,
    names: Recent<Box<str>, u32>,
}

impl LoginThrottle {
    pub(super) fn new(free_failures: u32, max_delay: Duration, max_names: usize) -> Self {
        Self { free_failures, max_delay, names: Recent::new(max_names) }
    }

    /// Counts an attempt, which is a failure until [`Self::succeeded`] or [`Self::undo`] says otherwise, and
    /// returns how long it has to wait.
    pub(super) fn begin(&mut self, name: &str, now: Instant) -> Duration {
        let failures = match self.names.used_at(name) {
            Some(at) if now.saturating_duration_since(at) < MEMORY_OF_FAILURES => {
                self.names.value_mut(name).map_or(0, |failures| *failures)
            }
            _ => 0,
        };
        self.names.put(name.into(), failures.saturating_add(1), now);
        self.delay_after(failures)
    }

    /// Forgets the failures of a name, since its owner has shown up.
    pub(super) fn succeeded(&mut self, name: &str) {
        self.names.remove(name);
    }

    /// Takes back one attempt that was neither right nor wrong.
    pub(super) fn undo(&mut self, name: &str) {
        if let Some(failures) = self.names.value_mut(name) {
            *failures = failures.saturating_sub(1);
        }
    }

    fn delay_after(&self, failures: u32) -> Duration {
        match failures.checked_sub(self.free_failures) {
            None => Duration::ZERO,
            Some(doublings) => {
                let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
                FIRST_DELAY.saturating_mul(factor).min(self.max_delay)
            }
        }
    }
}

/// Limits how many names an address registers: some at once, then one for each share of an hour that passes.
pub(super) struct RegistrationLimit {
    per_hour: u32,
    addresses: Recent<IpAddr, Duration>,
}

impl RegistrationLimit {
    pub(super) fn new(per_hour: u32, max_addresses: usize) -> Self {
        Self { per_hour: per_hour.max(1), addresses: Recent::new(max_addresses) }
    }

    /// Takes one registration from the address's account, or says how long there is none.
    pub(super) fn take(&mut self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        let key = limit_key(peer);
        let debt = self.debt(&key, now);
        let share = self.share();
        let most = Duration::from_secs(60 * 60).saturating_sub(share);
        if debt > most {
            return Err(debt - most);
        }
        self.addresses.put(key, debt + share, now);
        Ok(())
    }

    /// Takes back one registration that did not come about.
    pub(super) fn give_back(&mut self, peer: IpAddr) {
        let share = self.share();
        if let Some(debt) = self.addresses.value_mut(&limit_key(peer)) {
            *debt = debt.saturating_sub(share);
        }
    }

    /// What one registration costs: the time after which the next one is due.
    fn share(&self) -> Duration {
        Duration::from_secs(60 * 60) / self.per_hour
    }

    /// The time until the address's registrations are all paid off.
    fn debt(&mut self, key: &IpAddr, now: Instant) -> Duration {
        let passed =
            self.addresses.used_at(key).map_or(Duration::MAX, |at| now.saturating_duration_since(at));
        self.addresses.value_mut(key).map_or(Duration::ZERO, |debt| debt.saturating_sub(passed))
    }
}

/// A map of bounded size with the time of each entry's last use; the least recently used entry makes room.
struct Recent<K, V> {
    entries: HashMap<K, (V, Instant)>,
    capacity: usize,
}

impl<K: Eq + Hash + Clone, V> Recent<K, V> {
    fn new(capacity: usize) -> Self {
        Self { entries: HashMap::new(), capacity }
    }

    fn used_at<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<Instant>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.entries.get(key).map(|(_, at)| *at)
    }

    fn value_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.entries.get_mut(key).map(|(value, _)| value)
    }

    fn put(&mut self, key: K, value: V, now: Instant) {
        if self.entries.len() >= self.capacity && !self.entries.contains_key(&key) {
            self.make_room();
        }
        self.entries.insert(key, (value, now));
    }

    fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q)
    where
        K: std::borrow::Borrow<Q>,
    {
        self.entries.remove(key);
    }

    fn make_room(&mut self) {
        let oldest = self.entries.iter().min_by_key(|(_, (_, at))| *at).map(|(key, _)| key.clone());
        if let Some(key) = oldest {
            self.entries.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn throttle() -> LoginThrottle {
        LoginThrottle::new(10, 15 * SECOND, 100)
    }

    #[test]
    fn ten_failures_are_free_then_delays_double_up_to_the_cap() {
        let (mut throttle, now) = (throttle(), Instant::now());
        let millis: Vec<u128> = (0..18).map(|_| throttle.begin("alice", now).as_millis()).collect();
        assert_eq!(millis[..10], [0; 10]);
        assert_eq!(millis[10..], [500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
    }

    #[test]
    fn the_delay_stays_at_the_cap_however_many_fail() {
        let (mut throttle, now) = (throttle(), Instant::now());
        let longest = (0..100_000).map(|_| throttle.begin("alice", now)).max();
        assert_eq!(longest, Some(15 * SECOND));
    }

    #[test]
    fn other_names_are_not_delayed() {
        let (mut throttle, now) = (throttle(), Instant::now());
        (0..50).for_each(|_| _ = throttle.begin("alice", now));
        assert_eq!(throttle.begin("bob", now), Duration::ZERO);
    }

    #[test]
    fn success_and_time_clear_a_name() {
        let (mut throttle, now) = (throttle(), Instant::now());
        (0..50).for_each(|_| _ = throttle.begin("alice", now));
        throttle.succeeded("alice");
        assert_eq!(throttle.begin("alice", now), Duration::ZERO);
        (0..50).for_each(|_| _ = throttle.begin("alice", now));
        assert_eq!(throttle.begin("alice", now + 3599 * SECOND), 15 * SECOND);
        assert_eq!(throttle.begin("alice", now + 7199 * SECOND), Duration::ZERO);
    }

    #[test]
    fn attempts_that_came_to_nothing_are_not_failures() {
        let (mut throttle, now) = (throttle(), Instant::now());
        for _ in 0..50 {
            assert_eq!(throttle.begin("alice", now), Duration::ZERO);
            throttle.undo("alice");
        }
    }

    #[test]
    fn the_least_recent_name_makes_room() {
        let start = Instant::now();
        let mut throttle = LoginThrottle::new(1, 15 * SECOND, 2);
        _ = throttle.begin("old", start);
        _ = throttle.begin("new", start + SECOND);
        _ = throttle.begin("newer", start + 2 * SECOND);
        assert!(throttle.begin("new", start + 3 * SECOND) > Duration::ZERO);
        assert_eq!(throttle.begin("old", start + 4 * SECOND), Duration::ZERO);
        assert_eq!(throttle.names.entries.len(), 2);
    }

    #[test]
    fn an_address_registers_so_many_names_and_then_one_per_share_of_an_hour() {
        let (peer, now): (IpAddr, _) = ("192.0.2.1".parse().unwrap(), Instant::now());
        let mut limit = RegistrationLimit::new(10, 100);
        (0..10).for_each(|_| limit.take(peer, now).unwrap());
        assert_eq!(limit.take(peer, now), Err(360 * SECOND));
        assert_eq!(limit.take(peer, now + 300 * SECOND), Err(60 * SECOND));
        assert_eq!(limit.take(peer, now + 360 * SECOND), Ok(()));
        assert_eq!(limit.take(peer, now + 360 * SECOND), Err(360 * SECOND));
        assert_eq!(limit.take("192.0.2.2".parse().unwrap(), now), Ok(()));
        (0..10).for_each(|_| limit.take(peer, now + 7200 * SECOND).unwrap());
        assert!(limit.take(peer, now + 7200 * SECOND).is_err());
    }

    #[test]
    fn registrations_that_came_to_nothing_are_given_back() {
        let (peer, now): (IpAddr, _) = ("192.0.2.1".parse().unwrap(), Instant::now());
        let mut limit = RegistrationLimit::new(1, 100);
        for _ in 0..5 {
            limit.take(peer, now).unwrap();
            limit.give_back(peer);
        }
    }

    #[test]
    fn a_whole_ipv6_network_counts_as_one_address() {
        let (mut limit, now) = (RegistrationLimit::new(1, 100), Instant::now());
        limit.take("2001:db8::1".parse().unwrap(), now).unwrap();
        assert!(limit.take("2001:db8::2:3:4:5".parse().unwrap(), now).is_err());
        assert!(limit.take("2001:db8:0:1::1".parse().unwrap(), now).is_ok());
    }

    #[test]
    fn a_clock_that_stands_still_or_steps_back_does_no_harm() {
        let (mut throttle, now) = (throttle(), Instant::now() + 10 * SECOND);
        (0..20).for_each(|_| _ = throttle.begin("alice", now));
        assert_eq!(throttle.begin("alice", now - 5 * SECOND), 15 * SECOND);
    }
}
