//! One login on its way past the throttle: waits until it may start, and tells in the end how it went.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use chat_core::names::Username;

use super::throttle::{Login, LoginThrottle, Start};

/// A login that the throttle counts. Dropped without [`Self::succeeded`] or [`Self::failed`], since its client has gone or
/// nobody could check the password, it is as if it had never been.
pub(super) struct Attempt<'a> {
    throttle: &'a Mutex<LoginThrottle>,
    login: Login,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    Waiting,
    Started,
    Settled,
}

impl<'a> Attempt<'a> {
    /// Waits until a login for `name` may start; nothing if too many wait.
    pub(super) async fn start(
        throttle: &'a Mutex<LoginThrottle>,
        name: &Username,
        peer: IpAddr,
    ) -> Option<Self> {
        let login = lock(throttle).login(name, peer);
        let mut attempt = Self { throttle, login, state: State::Waiting };
        loop {
            let start = lock(throttle).ask(&attempt.login, now());
            match start {
                Start::Now => {
                    attempt.state = State::Started;
                    return Some(attempt);
                }
                Start::NotBefore(at) => tokio::time::sleep_until(at.into()).await,
                Start::Crowded => return None,
            }
        }
    }

    /// The password was right.
    pub(super) fn succeeded(mut self) {
        lock(self.throttle).succeeded(&self.login, now());
        self.state = State::Settled;
    }

    /// The password was wrong.
    pub(super) fn failed(mut self) {
        lock(self.throttle).failed(&self.login, now());
        self.state = State::Settled;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.state != State::Settled {
            lock(self.throttle).withdraw(&self.login, self.state == State::Started);
        }
    }
}

pub(super) fn lock(throttle: &Mutex<LoginThrottle>) -> MutexGuard<'_, LoginThrottle> {
    // A panic elsewhere leaves counters, which cannot be half-written.
    throttle.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tokio's clock, which tests can stop.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
