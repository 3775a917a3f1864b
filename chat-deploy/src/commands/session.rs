//! One instance, opened: its host, the pins, the health check; and the ways all commands go about them.

use chat_core::known_servers::ServerAddress;

use super::Context;
use crate::apply::{Engine, apply};
use crate::cli::Provider;
use crate::desired::Desired;
use crate::diff::diff;
use crate::error::Error;
use crate::health::ChatProbe;
use crate::host::local::LocalHost;
use crate::host::{Held, Host as _, HostState};
use crate::instance::InstanceName;
use crate::observe::{Observed, observe};
use crate::plan::Plan;
use crate::report::{Event, Report as _};

/// An instance that a command works on.
pub(super) struct Session<'a> {
    context: &'a Context<'a>,
    pub(super) host: LocalHost,
    pins: chat_client::pins::Pins,
    probe: ChatProbe,
}

impl<'a> Session<'a> {
    /// Opens the instance to deploy to, which need not be there. Where it goes has to be said: a server must not end up on
    /// this machine because EC2 was forgotten, nor the other way round.
    pub(super) fn of_deployment(context: &'a Context<'a>) -> Result<Self, Error> {
        let provider = context.settings.provider.unwrap_or(Provider::Ec2);
        Self::open(context, provider)
    }

    /// Opens an instance that is there. Where it is can be seen.
    pub(super) fn of_existing(context: &'a Context<'a>) -> Result<Self, Error> {
        let session = Self::open(context, context.settings.provider.unwrap_or(Provider::Local))?;
        session.check_exists()?;
        Ok(session)
    }

    /// Opens an instance on this machine.
    pub(super) fn of_local(context: &'a Context<'a>, instance: InstanceName) -> Result<Self, Error> {
        Ok(Self {
            context,
            host: LocalHost::new(&context.root, instance, context.program.clone()),
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

    /// Takes the lock of an instance that must be there: another command may have removed it by now.
    pub(super) fn lock_existing(&self) -> Result<Box<dyn Held + '_>, Error> {
        let lock = self.lock()?;
        self.check_exists()?;
        Ok(lock)
    }

    pub(super) fn observe(&self) -> Result<Observed, Error> {
        Ok(observe(&self.host, &self.probe, &self.pins)?)
    }

    /// Plans how to get there, and makes sure beforehand that nothing stands in the way.
    pub(super) fn plan(&self, desired: &Desired, observed: &Observed) -> Result<Plan, Error> {
        self.check_obstacles(desired.config.listen.port(), &observed.host)?;
        Ok(diff(desired, &self.host.reach(&desired.config), observed))
    }

    /// Checks that the server's identity can be read, if it has one, and that the port is free, unless our own server
    /// has it.
    pub(super) fn check_obstacles(&self, port: u16, state: &HostState) -> Result<(), Error> {
        self.host.identity()?;
        let listen = self.host.listen(port);
        let own = state.config.as_ref().filter(|_| state.process.is_some());
        match own {
            Some(config) if config.listen == listen => Ok(()),
            _ => Ok(self.host.check_port(listen)?),
        }
    }

    /// Shows a plan and, unless that was granted beforehand, asks whether to go ahead.
    pub(super) fn confirm(&self, plan: &Plan, question: &str, yes: bool) -> Result<(), Error> {
        let ui = self.context.ui;
        let shown = ui.show_plan(&self.heading(), &plan.outline());
        if yes {
            // What was granted beforehand is done whether or not anybody looks on.
            return Ok(());
        }
        shown?;
        if !ui.can_ask() {
            return Err(Error::NobodyToAsk);
        }
        if ui.ask(question, &self.context.interrupt)? { Ok(()) } else { Err(Error::Cancelled) }
    }

    /// Returns where the server is reached, if it runs.
    pub(super) fn address(&self) -> Result<Option<ServerAddress>, Error> {
        let state = self.host.state()?;
        Ok(state.config.filter(|_| state.process.is_some()).map(|config| self.host.reach(&config)))
    }

    pub(super) fn apply(&self, plan: &Plan) -> Result<(), Error> {
        let engine = Engine {
            host: &self.host,
            health: &self.probe,
            pins: &self.pins,
            clock: &self.context.clock,
            interrupt: &self.context.interrupt,
            report: self.context.ui,
            start_timeout: self.context.settings.start_timeout,
            settling_time: self.context.settings.settling_time,
        };
        Ok(apply(&engine, plan)?)
    }

    pub(super) fn heading(&self) -> String {
        format!("{} on {}:", self.instance(), self.host.place())
    }

    pub(super) fn note(&self, text: &str) {
        self.context.ui.event(&Event::Note(text));
    }

    fn open(context: &'a Context<'a>, provider: Provider) -> Result<Self, Error> {
        if provider != Provider::Local {
            let aws_credentials = context.environment.aws_credentials.clone();
            return Err(Error::NoProvider { provider, aws_credentials });
        }
        let instance = context.settings.instance.clone().ok_or(Error::NoInstance)?;
        Self::of_local(context, instance)
    }

    fn check_exists(&self) -> Result<(), Error> {
        if self.host.exists() { Ok(()) } else { Err(Error::UnknownInstance(self.instance().clone())) }
    }
}
