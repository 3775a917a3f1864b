//! Who has to wait how long: for logins by name, for registrations by address.
//!
//! Both are pure: the time is an argument. Both remember a bounded number of names or addresses and forget the
//! least recent one when a new one comes. Waiting, and reading the clock, is the caller's part (`attempt`).

use std::net::IpAddr;
use std::time::{Duration, Instant};

use chat_core::names::Username;

use super::recent::Recent;
use crate::config::limit_key;

/// The first delay, which doubles with each further failure.
const FIRST_DELAY: Duration = Duration::from_millis(500);

/// How long failures are held against a name or an address. Guessing more slowly than this is as slow as the longest
/// delay would make it for all practical purposes.
const MEMORY_OF_FAILURES: Duration = Duration::from_secs(60 * 60);

/// How many logins may wait for one name. More would wait for minutes.
const MAX_WAITING: usize = 8;

/// How long a login waits for one before it that may start now, and is about to.
const BREATH: Duration = Duration::from_millis(10);

/// Lets logins for a name start one after the other, ever more slowly, once too many have failed.
///
/// The pace is that of the name, so that a guesser gains nothing by many connections or addresses. It is not by
/// patience or speed that one comes first, or guessers would keep everybody else out, but by standing: an address where
/// the name has registered or logged in before, then those with the fewest failures of late, then who came first. The
/// lowest gives way when [`MAX_WAITING`] wait already. So the owner is let in after one delay where they have been
/// before, however many guess; and elsewhere, after those addresses that have not failed yet either, each of which has
/// one guess before it has.
pub(super) struct LoginThrottle {
    free_failures: u32,
    max_delay: Duration,
    names: Recent<Box<str>, Watch>,
    /// The failures from each address, for whatever name.
    addresses: Recent<IpAddr, u32>,
    /// Where names have registered or logged in.
    homes: Recent<(Box<str>, IpAddr), ()>,
    logins: u64,
}

/// One login, as far as the throttle is concerned.
pub(super) struct Login {
    name: Box<str>,
    address: IpAddr,
    number: u64,
}

/// When a login may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// Now. It counts as failed until [`LoginThrottle::succeeded`] or [`LoginThrottle::withdraw`] says otherwise, so that
    /// logins under way at the same time see each other.
    Now,
    /// Not before then, when it has to ask again.
    NotBefore(Instant),
    /// Not at all: enough with at least its standing wait.
    Crowded,
}

/// What is known about a name.
struct Watch {
    failures: u32,
    next_start: Instant,
    waiting: Vec<Place>,
}

/// A place among those who wait; the lower goes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    standing: u32,
    number: u64,
}

impl LoginThrottle {
    pub(super) fn new(free_failures: u32, max_delay: Duration, max_watched: usize) -> Self {
        Self {
            free_failures,
            max_delay,
            names: Recent::new(max_watched),
            addresses: Recent::new(max_watched),
            homes: Recent::new(max_watched),
            logins: 0,
        }
    }

    /// Changes how many failures are free, and how long the longest delay is, for logins from now on.
    pub(super) fn set_pace(&mut self, free_failures: u32, max_delay: Duration) {
        (self.free_failures, self.max_delay) = (free_failures, max_delay);
    }

    /// A new login, which has to [`Self::ask`] for its start.
    pub(super) fn login(&mut self, name: &Username, peer: IpAddr) -> Login {
        self.logins += 1;
        Login { name: name.as_str().into(), address: limit_key(peer), number: self.logins }
    }

    /// Tells whether a login may start; if it has to wait, it has a place among those who do.
    pub(super) fn ask(&mut self, login: &Login, now: Instant) -> Start {
        let place = Place { standing: self.standing(login, now), number: login.number };
        if self.names.get(&*login.name).is_some_and(|(_, used_at)| is_forgotten(used_at, now)) {
            self.names.remove(&*login.name);
        }
        let new = || Watch { failures: 0, next_start: now, waiting: Vec::new() };
        let watch = self.names.use_or_make(login.name.clone(), now, new);
        let is_free = watch.failures < self.free_failures;
        if is_free || (now >= watch.next_start && watch.is_first(place)) {
            watch.leave(login.number);
            watch.failures = watch.failures.saturating_add(1);
            watch.next_start = now + delay_after(watch.failures, self.free_failures, self.max_delay);
            Start::Now
        } else if !watch.join(place) {
            Start::Crowded
        } else if now < watch.next_start {
            Start::NotBefore(watch.next_start)
        } else {
            Start::NotBefore(now + BREATH)
        }
    }

    /// Notes that a login had the right password: the name's failures are forgotten, since its owner has shown up.
    pub(super) fn succeeded(&mut self, login: &Login, now: Instant) {
        self.names.remove(&*login.name);
        self.note_home(&login.name, login.address, now);
    }

    /// Notes that `peer` is where the owner of a name is.
    pub(super) fn note_home(&mut self, name: &str, peer: IpAddr, now: Instant) {
        self.homes.use_or_make((name.into(), limit_key(peer)), now, || ());
    }

    /// Notes that a login had a wrong password.
    pub(super) fn failed(&mut self, login: &Login, now: Instant) {
        let failures = self.failures_from(login.address, now).saturating_add(1);
        *self.addresses.use_or_make(login.address, now, || 0) = failures;
    }

    /// Takes back a login that came to nothing, whether it had `started` or not.
    pub(super) fn withdraw(&mut self, login: &Login, started: bool) {
        let Some(watch) = self.names.get_mut(&*login.name) else { return };
        watch.leave(login.number);
        watch.failures = watch.failures.saturating_sub(u32::from(started));
        if watch.failures == 0 && watch.waiting.is_empty() {
            self.names.remove(&*login.name);
        }
    }

    fn standing(&self, login: &Login, now: Instant) -> u32 {
        if self.homes.get(&(login.name.clone(), login.address)).is_some() {
            0
        } else {
            self.failures_from(login.address, now).saturating_add(1)
        }
    }

    fn failures_from(&self, address: IpAddr, now: Instant) -> u32 {
        match self.addresses.get(&address) {
            Some((failures, used_at)) if !is_forgotten(used_at, now) => *failures,
            _ => 0,
        }
    }
}

impl Watch {
    fn is_first(&self, place: Place) -> bool {
        self.waiting.iter().all(|other| place <= *other || other.number == place.number)
    }

    /// Takes a place, for which the lowest may have to go: it will be told when it next asks.
    fn join(&mut self, place: Place) -> bool {
        if self.waiting.iter().any(|other| other.number == place.number) {
            return true;
        }
        if self.waiting.len() >= MAX_WAITING {
            let Some(lowest) = self.waiting.iter().max().copied().filter(|lowest| *lowest > place) else {
                return false;
            };
            self.leave(lowest.number);
        }
        self.waiting.push(place);
        true
    }

    fn leave(&mut self, number: u64) {
        self.waiting.retain(|place| place.number != number);
    }
}

fn is_forgotten(used_at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(used_at) >= MEMORY_OF_FAILURES
}

/// The time between two logins for a name.
fn delay_after(failures: u32, free: u32, longest: Duration) -> Duration {
    match failures.checked_sub(free) {
        None => Duration::ZERO,
        Some(doublings) => {
            let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
            FIRST_DELAY.saturating_mul(factor).min(longest)
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

    /// Changes how many names an address may register per hour; what it owes stays.
    pub(super) fn set_rate(&mut self, per_hour: u32) {
        self.per_hour = per_hour.max(1);
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
        *self.addresses.use_or_make(key, now, Duration::default) = debt + share;
        Ok(())
    }

    /// Takes back one registration that did not come about.
    pub(super) fn give_back(&mut self, peer: IpAddr) {
        let share = self.share();
        if let Some(debt) = self.addresses.get_mut(&limit_key(peer)) {
            *debt = debt.saturating_sub(share);
        }
    }

    /// What one registration costs: the time after which the next one is due.
    fn share(&self) -> Duration {
        Duration::from_secs(60 * 60) / self.per_hour
    }

    /// The time until the address's registrations are all paid off.
    fn debt(&self, key: &IpAddr, now: Instant) -> Duration {
        let debt = self.addresses.get(key);
        debt.map_or(Duration::ZERO, |(debt, at)| debt.saturating_sub(now.saturating_duration_since(at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn throttle() -> LoginThrottle {
        LoginThrottle::new(10, 15 * SECOND, 100)
    }

    fn address(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    impl LoginThrottle {
        fn come(&mut self, name: &str, from: u8, now: Instant) -> (Login, Start) {
            let login = self.login(&Username::parse(name).unwrap(), address(from));
            let start = self.ask(&login, now);
            (login, start)
        }

        /// Fails as often, one after the other; returns the time after that.
        fn fail(&mut self, times: usize, name: &str, from: u8, mut now: Instant) -> Instant {
            for _ in 0..times {
                let (login, mut start) = self.come(name, from, now);
                while let Start::NotBefore(at) = start {
                    now = at;
                    start = self.ask(&login, now);
                }
                self.failed(&login, now);
            }
            now
        }
    }

    #[test]
    fn ten_failures_are_free_then_delays_double_up_to_the_cap() {
        let (mut throttle, start) = (throttle(), Instant::now());
        let mut now = throttle.fail(10, "alice", 1, start);
        assert_eq!(now, start);
        for millis in [500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000] {
            let after = throttle.fail(1, "alice", 1, now);
            assert_eq!((after - now).as_millis(), millis);
            now = after;
        }
        assert_eq!(throttle.come("alice", 1, now + 15 * SECOND).1, Start::Now, "the time between counts");
    }

    #[test]
    fn the_delay_stays_at_the_cap_however_many_fail() {
        let longest = (0..100_000).map(|failures| delay_after(failures, 10, 15 * SECOND)).max();
        assert_eq!(longest, Some(15 * SECOND));
    }

    #[test]
    fn logins_at_the_same_time_start_one_after_the_other_from_wherever_they_come() {
        let (mut throttle, start) = (throttle(), Instant::now());
        let mut waiting = Vec::new();
        let (mut started, mut crowded) = (0, 0);
        for number in 0..200 {
            match throttle.come("alice", number, start) {
                (_, Start::Now) => started += 1,
                (_, Start::Crowded) => crowded += 1,
                (login, Start::NotBefore(_)) => waiting.push(login),
            }
        }
        assert_eq!((started, waiting.len(), crowded), (10, MAX_WAITING, 190 - MAX_WAITING));
        let mut now = start;
        let mut starts = Vec::new();
        while !waiting.is_empty() {
            now += BREATH;
            waiting.retain(|login| match throttle.ask(login, now) {
                Start::Now => {
                    starts.push((now - start).as_millis());
                    false
                }
                _ => true,
            });
        }
        assert_eq!(starts, [500, 1500, 3500, 7500, 15_500, 30_500, 45_500, 60_500]);
    }

    #[test]
    fn who_has_failed_less_or_was_there_before_goes_first() {
        let (mut throttle, now) = (throttle(), Instant::now());
        let (owner, _) = throttle.come("alice", 200, now);
        throttle.succeeded(&owner, now);
        let now = throttle.fail(30, "alice", 1, now);
        let now = throttle.fail(3, "zoe", 100, now);
        let mut guesses: Vec<Login> = (0..50).map(|_| throttle.come("alice", 1, now).0).collect();
        let clumsy = throttle.come("alice", 100, now);
        let new = throttle.come("alice", 101, now);
        let home = throttle.come("alice", 200, now);
        let next = now + 15 * SECOND;
        assert_eq!([clumsy.1, new.1, home.1], [Start::NotBefore(next); 3], "they took the places of guesses");
        assert_eq!(throttle.come("alice", 1, now).1, Start::Crowded);
        let mut now = now;
        for (login, _) in [home, new, clumsy] {
            now += 15 * SECOND;
            assert!(guesses.iter().all(|guess| throttle.ask(guess, now) != Start::Now));
            assert_eq!(throttle.ask(&login, now), Start::Now);
            throttle.failed(&login, now);
        }
        now += 15 * SECOND;
        guesses.retain(|guess| throttle.ask(guess, now) == Start::Now);
        assert_eq!(guesses.len(), 1, "nobody waits for ever");
    }

    #[test]
    fn who_leaves_the_queue_makes_room() {
        let (mut throttle, now) = (throttle(), Instant::now());
        let now = throttle.fail(10, "alice", 1, now);
        let waiting: Vec<Login> = (0..MAX_WAITING).map(|_| throttle.come("alice", 1, now).0).collect();
        assert_eq!(throttle.come("alice", 1, now).1, Start::Crowded);
        waiting.iter().for_each(|login| throttle.withdraw(login, false));
        let (login, start) = throttle.come("alice", 1, now);
        assert_eq!(start, Start::NotBefore(now + FIRST_DELAY));
        assert_eq!(throttle.ask(&login, now + FIRST_DELAY), Start::Now);
    }

    #[test]
    fn other_names_are_not_delayed() {
        let (mut throttle, now) = (throttle(), Instant::now());
        throttle.fail(50, "alice", 1, now);
        assert_eq!(throttle.come("bob", 1, now).1, Start::Now);
    }

    #[test]
    fn success_and_time_clear_a_name() {
        let (mut throttle, now) = (throttle(), Instant::now());
        throttle.fail(50, "alice", 1, now);
        let (owner, _) = throttle.come("alice", 2, now);
        throttle.succeeded(&owner, now);
        assert_eq!(throttle.come("alice", 1, now).1, Start::Now);
        let now = throttle.fail(50, "alice", 1, now) + 3599 * SECOND;
        assert_eq!(throttle.come("alice", 1, now).1, Start::Now);
        assert_eq!(throttle.come("alice", 1, now).1, Start::NotBefore(now + 15 * SECOND));
        assert_eq!(throttle.fail(10, "alice", 1, now + 3600 * SECOND), now + 3600 * SECOND);
    }

    #[test]
    fn logins_that_came_to_nothing_are_not_failures_and_leave_nothing_behind() {
        let start = Instant::now();
        let mut throttle = LoginThrottle::new(10, 15 * SECOND, 2);
        let now = throttle.fail(11, "alice", 1, start);
        for number in 0..50 {
            let (login, start) = throttle.come(&format!("busy {number}"), 1, now);
            assert_eq!(start, Start::Now);
            throttle.withdraw(&login, true);
        }
        assert_eq!(throttle.names.len(), 1);
        assert_eq!(throttle.come("alice", 1, now).1, Start::NotBefore(now + SECOND), "still watched");
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
        let later = throttle.fail(20, "alice", 1, now);
        assert!(
            matches!(throttle.come("alice", 1, later - 5 * SECOND).1, Start::NotBefore(at) if at > later)
        );
    }
}
