//! One instance whose host can be reached: the host, the pins, the health check; and the ways all commands go about them.
//!
//! Where an instance is, and how its host is reached, is found out in `place.rs`.

use std::path::Path;
use std::time::Duration;

#[cfg(feature = "ec2")]
use chat_core::known_servers::ServerAddress;

use super::Context;
use crate::apply::{Engine, apply};
use crate::cli::Provider;
#[cfg(feature = "ec2")]
use crate::config::ServerConfig;
use crate::desired::Desired;
use crate::diff::diff;
use crate::error::Error;
use crate::health::ChatProbe;
use crate::host::{Held, Host, HostError, HostState};
use crate::instance::InstanceName;
use crate::observe::{Observed, observe};
use crate::outline::Outline;
use crate::plan::Plan;
use crate::report::{Event, Report as _};

/// An instance that a command works on.
pub(super) struct Session<'a> {
    context: &'a Context<'a>,
    pub(super) provider: Provider,
    pub(super) host: Box<dyn Host + 'a>,
    pub(super) pins: chat_client::pins::Pins,
    probe: ChatProbe,
}

impl<'a> Session<'a> {
    /// Opens the instance on a host.
    pub(super) fn over(
        context: &'a Context<'a>,
        provider: Provider,
        host: Box<dyn Host + 'a>,
    ) -> Result<Self, Error> {
        Ok(Self {
            context,
            provider,
            host,
            pins: chat_client::pins::Pins::of_user()?,
            probe: ChatProbe::new().map_err(Error::Setup)?,
        })
    }

    pub(super) fn instance(&self) -> &InstanceName {
        self.host.instance()
    }

    /// Takes the lock of the instance, which is held until the result is dropped.
    pub(super) fn lock(&self) -> Result<Box<dyn Held + '_>, Error> {
        Ok(self.host.lock()?)
    }

    /// Looks at the server, on the host as it was seen in `state`, and at what is pinned for it.
    pub(super) fn observe(&self, state: HostState) -> Result<Observed, Error> {
        Ok(observe(&*self.host, state, &self.probe, &self.pins)?)
    }

    /// Looks at an instance that must be there: another command may have removed it by now.
    pub(super) fn observe_existing(&self) -> Result<Observed, Error> {
        let state = self.host.state()?;
        if state.is_empty() {
            return Err(Error::UnknownInstance {
                instance: self.instance().clone(),
                place: self.host.place(),
            });
        }
        self.observe(state)
    }

    /// Plans how to get there, and makes sure beforehand that nothing stands in the way.
    pub(super) fn plan(&self, desired: &Desired, observed: &Observed) -> Result<Plan, Error> {
        self.check_obstacles(desired.config.listen.port(), &observed.host)?;
        Ok(diff(desired, &self.host.reach(&desired.config), observed))
    }

    /// Checks that the host is fit for the server, that the server's identity can be read, if it has one, and that the port is
    /// free, unless our own server has it.
    pub(super) fn check_obstacles(&self, port: u16, state: &HostState) -> Result<(), Error> {
        state.facts.check()?;
        if state.identity_problem.is_some() {
            // Asked again for the error itself, which knows what to do about it.
            self.host.identity()?;
        }
        let own = state.config.as_ref().filter(|_| state.process.is_some());
        let listen = self.host.listen(port);
        match own {
            Some(config) if config.listen == listen => Ok(()),
            _ => Ok(self.host.check_port(listen)?),
        }
    }

    /// Checks that no backup is to be put over data.
    pub(super) fn check_restore(&self, restore: Option<&Path>, state: &HostState) -> Result<(), Error> {
        if restore.is_some() && state.has_data {
            return Err(HostError::HasData { data: self.host.data_dir() }.into());
        }
        Ok(())
    }

    /// Carries a plan out that was made under a lock, which may have been a while ago.
    pub(super) fn apply(&self, lock: &dyn Held, plan: &Plan) -> Result<(), Error> {
        lock.keep()?;
        let settling_time =
            if self.host.settles_itself() { Duration::ZERO } else { self.context.settings.settling_time };
        let engine = Engine {
            host: &*self.host,
            health: &self.probe,
            pins: &self.pins,
            clock: &self.context.clock,
            interrupt: &self.context.interrupt,
            report: self.context.ui,
            start_timeout: self.context.settings.start_timeout,
            settling_time,
        };
        Ok(apply(&engine, plan)?)
    }

    /// Forgets what is pinned for addresses that the machine had before it was stopped: by now they may be somebody else's.
    /// `config` is what the server has.
    #[cfg(feature = "ec2")]
    pub(super) fn forget_former_addresses(&self, config: &ServerConfig) -> Result<(), Error> {
        let Some(identity) = self.host.identity()? else {
            return Ok(());
        };
        let address = self.host.reach(config);
        let is_former = |pinned: &ServerAddress| {
            pinned.host() != address.host() && pinned.host().parse::<std::net::Ipv4Addr>().is_ok()
        };
        for (pinned, _) in self.pins.read()?.pins().filter(|pin| pin.1 == identity && is_former(pin.0)) {
            self.pins.forget(pinned)?;
            self.note(&format!("{pinned} is not its address any more, and is not pinned any more"));
        }
        Ok(())
    }

    pub(super) fn heading(&self) -> String {
        format!("{} on {}:", self.instance(), self.host.place())
    }

    pub(super) fn note(&self, text: &str) {
        self.context.ui.event(&Event::Note(text));
    }
}

/// Shows what would change and asks as [`confirm`] does; returns whether anything would.
pub(super) fn agree(
    context: &Context<'_>,
    instance: &InstanceName,
    heading: &str,
    outline: &Outline,
    yes: bool,
) -> Result<bool, Error> {
    if !outline.is_empty() {
        return confirm(context, heading, outline, "Do this?", yes).map(|()| true);
    }
    for note in &outline.notes {
        context.ui.event(&Event::Note(note));
    }
    // The line to type next is worth more than this.
    let _ = context.ui.no_changes(&format!("{instance} is as it should be: nothing to do"));
    Ok(false)
}

/// Shows what would change and, unless that was granted beforehand, asks whether to go ahead.
pub(super) fn confirm(
    context: &Context<'_>,
    heading: &str,
    outline: &Outline,
    question: &str,
    yes: bool,
) -> Result<(), Error> {
    let ui = context.ui;
    let shown = ui.show_plan(heading, outline);
    if yes {
        // What was granted beforehand is done whether or not anybody looks on.
        return Ok(());
    }
    shown?;
    if !ui.can_ask() {
        return Err(Error::NobodyToAsk);
    }
    if ui.ask(question, &context.interrupt)? { Ok(()) } else { Err(Error::Cancelled) }
}
