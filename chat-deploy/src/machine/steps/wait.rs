//! Patience: calls that may succeed a moment later, things that do not show yet, machines that take their time.

use std::fmt;
use std::time::Duration;

use super::Failure;
use crate::clock::Clock;
use crate::cloud::{Cloud, CloudError, CloudErrorKind, Instance, InstanceId, InstanceQuery};
use crate::instance::InstanceName;
use crate::interrupt::Interrupt;
use crate::machine::apply::{ApplyError, Engine};
use crate::report::Event;

/// How often a call is made before its failure counts, on top of what the cloud's client repeats by itself.
const ATTEMPTS: u32 = 4;
/// How long all of that may take before no further attempt is made: a call may have waited long enough for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long to wait before the second attempt; then twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// How long to wait at least, and at most, before looking again at something that changes.
const LOOK_AGAIN: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(5)];
/// How soon an interrupt is heeded.
const HEED: Duration = Duration::from_millis(100);

/// The part of the engine that can be used from any thread: it talks to the cloud, and says nothing.
#[derive(Clone, Copy)]
pub struct Calls<'a> {
    /// The account and region.
    pub cloud: &'a dyn Cloud,
    /// Whose machine.
    pub instance: &'a InstanceName,
    /// Time.
    pub clock: &'a (dyn Clock + Sync),
    /// Whether to stop.
    pub interrupt: &'a Interrupt,
    /// How long what was just made may stay invisible.
    pub visible_timeout: Duration,
}

/// What a look at something showed.
pub(super) enum Look<T> {
    /// It is as wanted.
    There(T),
    /// It is not, but may become so.
    NotYet(String),
    /// It does not show, though it was made.
    NotVisible,
}

/// What is waited for.
pub(super) struct Aim<'a> {
    /// Of what: an id or a name.
    pub(super) of: &'a dyn fmt::Display,
    /// What it should be: `running`.
    pub(super) wanted: &'static str,
    /// How long it has.
    pub(super) within: Duration,
}

impl Calls<'_> {
    /// Makes a call, and makes it again if EC2 was in trouble or no answer came. Since it may have been carried out then,
    /// a call that makes something can find it there.
    pub(super) fn call<T>(&self, call: impl Fn() -> Result<T, CloudError>) -> Result<T, CloudError> {
        let start = self.clock.now();
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            let answer = call();
            let elapsed = self.clock.now().saturating_sub(start);
            let is_hopeful = answer.as_ref().is_err_and(|error| error.kind.is_transient());
            if !is_hopeful || elapsed > PATIENCE || self.interrupt.is_set() {
                return answer;
            }
            self.clock.sleep(pause);
            pause *= 2;
        }
        call()
    }

    /// Makes a call about something that was just made: that it is not found means that it does not show yet. Tells of
    /// every attempt that was in vain.
    fn call_when_visible<T>(
        &self,
        call: impl Fn() -> Result<T, CloudError>,
        mut tell: impl FnMut(Duration, &CloudError),
    ) -> Result<T, Failure> {
        let start = self.clock.now();
        loop {
            let source = match self.call(&call) {
                Err(error) if error.kind == CloudErrorKind::NotFound => error,
                answer => return Ok(answer?),
            };
            let elapsed = self.clock.now().saturating_sub(start);
            if elapsed >= self.visible_timeout {
                return Err(ApplyError::Invisible { within: self.visible_timeout, source }.into());
            }
            tell(elapsed, &source);
            self.pause(elapsed)?;
        }
    }

    /// Looks until what is looked at is as wanted, and tells of every look that was in vain.
    pub(super) fn look_until<T>(
        &self,
        aim: &Aim<'_>,
        mut look: impl FnMut() -> Result<Look<T>, Failure>,
        mut tell: impl FnMut(Duration, &str),
    ) -> Result<T, Failure> {
        let start = self.clock.now();
        loop {
            let (last, within) = match look()? {
                Look::There(found) => return Ok(found),
                Look::NotYet(last) => (last, aim.within),
                Look::NotVisible => ("not visible yet".to_owned(), self.visible_timeout.min(aim.within)),
            };
            let elapsed = self.clock.now().saturating_sub(start);
            if elapsed >= within {
                let machine = aim.of.to_string();
                return Err(ApplyError::Late { machine, wanted: aim.wanted, within, last }.into());
            }
            tell(elapsed, &last);
            self.pause(elapsed)?;
        }
    }

    /// Looks at a machine; `None` if it does not show.
    pub(super) fn machine(&self, id: &InstanceId) -> Result<Option<Instance>, CloudError> {
        match self.call(|| self.cloud.instances(&InstanceQuery::Id(id.clone()))) {
            Ok(machines) => Ok(machines.into_iter().next()),
            Err(error) if error.kind == CloudErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits before the next look: an eighth of the time that has passed, so that no wait is much longer than it has to
    /// be, however long it is, and none asks more often than it helps.
    fn pause(&self, elapsed: Duration) -> Result<(), Failure> {
        let [shortest, longest] = LOOK_AGAIN;
        let until = self.clock.now() + (elapsed / 8).clamp(shortest, longest);
        loop {
            if self.interrupt.is_set() {
                return Err(Failure::Interrupted);
            }
            let left = until.saturating_sub(self.clock.now());
            if left.is_zero() {
                return Ok(());
            }
            self.clock.sleep(left.min(HEED));
        }
    }
}

impl<'a> Engine<'a> {
    /// Returns the part that can be used from any thread.
    #[must_use]
    pub fn calls(&self) -> Calls<'a> {
        let Self { cloud, instance, clock, interrupt, visible_timeout, .. } = *self;
        Calls { cloud, instance, clock, interrupt, visible_timeout }
    }

    /// Makes a call about something that was just made, and goes on while EC2 does not find it, for the engine's
    /// `visible_timeout` at most; reports what EC2 says meanwhile.
    pub(super) fn call_when_visible<T>(
        &self,
        call: impl Fn() -> Result<T, CloudError>,
    ) -> Result<T, Failure> {
        self.calls().call_when_visible(call, |elapsed, error| {
            let units = Some((elapsed.as_secs(), self.visible_timeout.as_secs()));
            self.report.event(&Event::Progress { units, note: &format!("not visible yet: {error}") });
        })
    }

    /// Looks until a machine or a group is as wanted, within the engine's `state_timeout`, and reports what it is
    /// meanwhile.
    pub(super) fn wait<T>(
        &self,
        of: &dyn fmt::Display,
        wanted: &'static str,
        look: impl FnMut() -> Result<Look<T>, Failure>,
    ) -> Result<T, Failure> {
        self.look_until(&Aim { of, wanted, within: self.state_timeout }, look)
    }

    /// Looks until something is as wanted, and reports what it is meanwhile.
    pub(super) fn look_until<T>(
        &self,
        aim: &Aim<'_>,
        look: impl FnMut() -> Result<Look<T>, Failure>,
    ) -> Result<T, Failure> {
        self.calls().look_until(aim, look, |elapsed, last| {
            let units = Some((elapsed.as_secs(), aim.within.as_secs()));
            self.report.event(&Event::Progress { units, note: &format!("{} is {last}", aim.of) });
        })
    }
}
