//! An instance on EC2: its machine, and the way to the host on it.

mod host_key;
mod reach;

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use ipnet::Ipv4Net;

use self::host_key::Notes;
pub(super) use self::reach::ssh_ranges;
use super::Context;
use super::remote::{self, Expect};
use super::session::Session;
use crate::cli::Provider;
use crate::clock::Clock as _;
use crate::cloud::{self, Cloud, Ec2Settings, InstanceState, InstanceType};
use crate::error::Error;
use crate::host::ssh::known_hosts::PinnedHosts;
use crate::host::ssh::remote::{Remote as _, RemoteError};
use crate::host::ssh::trust::fingerprint;
use crate::host::ssh::{self, keys, rotation};
use crate::instance::InstanceName;
use crate::machine::apply::{self, Engine};
use crate::machine::diff::diff;
use crate::machine::observe::{Catalog, Observed, catalog, observe};
use crate::machine::plan::{Plan, Step};
use crate::machine::spec::{SSH_PORT, Spec};
use crate::machine::tags;
use crate::machine::{Machine, MachineError, Ownership};
use crate::report::{Event, Report as _};
use crate::run_lock::RunLock;
use crate::settings::DEFAULT_PORT;
use crate::settings::ec2::DEFAULT_TYPES;
use crate::ui::Looking;

/// How long a machine may take until it runs, is stopped, or is gone. EC2 takes 20 to 90 s for most of that.
const STATE_TIMEOUT: Duration = Duration::from_secs(600);
/// How long what was just made may stay invisible; AWS speaks of up to five minutes.
const VISIBLE_TIMEOUT: Duration = Duration::from_secs(300);

/// How many lines of its console a machine that does not let us in is quoted with.
const CONSOLE_LINES: usize = 10;

/// An instance on EC2.
pub(super) struct MachinePlace<'a> {
    context: &'a Context<'a>,
    pub(super) instance: InstanceName,
    pub(super) cloud: Box<dyn Cloud + Send>,
    host_keys: PinnedHosts,
}

/// What should be, and what there is.
pub(super) struct Look {
    pub(super) spec: Spec,
    pub(super) observed: Observed,
}

impl<'a> MachinePlace<'a> {
    pub(super) fn open(context: &'a Context<'a>, instance: InstanceName) -> Result<Self, Error> {
        Ok(Self { context, instance, cloud: connect(context)?, host_keys: remote::pins(context) })
    }

    /// Keeps other runs on this machine away, from before there is a host that could.
    pub(super) fn lock(&self) -> Result<RunLock, Error> {
        let name = format!("ec2.{}.{}", self.cloud.region(), self.instance);
        let path = self.context.root.locks().join(name);
        Ok(RunLock::take(&path, &self.instance, &self.context.interrupt)?)
    }

    /// Looks at what there is of an instance that should be there.
    pub(super) fn observe(&self) -> Result<Observed, Error> {
        let looking = self.looking();
        let observed = observe(&*self.cloud, &self.instance, None)?;
        drop(looking);
        if observed.is_empty() { Err(self.unknown()) } else { Ok(observed) }
    }

    /// Looks at what there is, and plans how to get the machine that should be.
    pub(super) fn plan(&self, yes: bool) -> Result<(Look, Plan), Error> {
        let mut look = self.look(self.public_key()?)?;
        let mut plan = match diff(&look.spec, &look.observed) {
            Ok(plan) => plan,
            Err(error @ MachineError::NotAdopted { .. }) => {
                // --yes is a yes to the plan, not to taking over what somebody else made.
                if yes || !self.context.ui.can_ask() {
                    return Err(error.into());
                }
                let question = format!("{error}. Use that machine from now on?");
                if !self.context.ui.ask(&question, &self.context.interrupt)? {
                    return Err(Error::Cancelled);
                }
                look.spec.adopt = true;
                diff(&look.spec, &look.observed)?
            }
            Err(error) => return Err(error.into()),
        };
        reach::warn(&self.context.settings.ec2.ssh_from, &mut plan, reach::own_address);
        Ok((look, plan))
    }

    /// Plans as [`Self::plan`] does, but takes an adoption for granted, for a plan that is only shown.
    pub(super) fn plan_to_show(&self) -> Result<(Look, Plan), Error> {
        let mut look = self.look(self.public_key()?)?;
        look.spec.adopt = true;
        let mut plan = diff(&look.spec, &look.observed)?;
        reach::warn(&self.context.settings.ec2.ssh_from, &mut plan, reach::own_address);
        Ok((look, plan))
    }

    /// Looks at what there is, and at what there would be for a new machine even if there is one. Of the key nothing is asked:
    /// an empty one will do.
    pub(super) fn look_for_new(&self, public_key: String) -> Result<(Look, Catalog), Error> {
        let mut look = self.look(public_key)?;
        let catalog = match look.observed.catalog.take() {
            Some(catalog) => catalog,
            None => catalog(&*self.cloud, &look.spec)?,
        };
        Ok((look, catalog))
    }

    fn looking(&self) -> Looking<'a> {
        self.context.ui.looking(&format!("for {} on EC2 in {}", self.instance, self.cloud.region()))
    }

    fn look(&self, public_key: String) -> Result<Look, Error> {
        let mut spec = self.spec(public_key);
        let looking = self.looking();
        let (observed, ssh_from) = thread::scope(|scope| {
            let wanted = &self.context.settings.ec2.ssh_from;
            let ssh_from = scope.spawn(|| ssh_ranges(wanted));
            let observed = observe(&*self.cloud, &self.instance, Some(&spec));
            (observed, ssh_from.join())
        });
        // A thread that panicked has said why on standard error.
        spec.ssh_from = ssh_from.unwrap_or(Err(Error::Interrupted))?;
        let observed = observed?;
        drop(looking);
        spec.chat_port = self.chat_port(&spec, &observed, None);
        Ok(Look { spec, observed })
    }

    /// Says how far a machine that is there is from what is wanted; `ssh_from` and the port that its server has, where they
    /// are known.
    pub(super) fn compare(
        &self,
        observed: &Observed,
        ssh_from: Vec<Ipv4Net>,
        port: Option<u16>,
    ) -> Result<Plan, Error> {
        let mut spec = self.spec(String::new());
        spec.ssh_from = ssh_from;
        spec.chat_port = self.chat_port(&spec, observed, port);
        if spec.types.iter().map(InstanceType::as_str).eq(DEFAULT_TYPES) {
            // Nobody said which, so that none is another than it should be.
            spec.types.clear();
        }
        Ok(diff(&spec, observed)?)
    }

    /// Tells whether the host alone can say which port its server has.
    pub(super) fn has_unknown_port(&self, observed: &Observed) -> bool {
        self.chat_port(&self.spec(String::new()), observed, None).is_none()
    }

    /// Returns the port that was asked for; else the one the server has; else what the rules have us think. `None` if they
    /// leave a choice.
    fn chat_port(&self, spec: &Spec, observed: &Observed, there: Option<u16>) -> Option<u16> {
        self.context.settings.port.or(there).or_else(|| likely_port(spec, observed))
    }

    /// Says which machine should be, with the ranges for SSH still open.
    fn spec(&self, public_key: String) -> Spec {
        let (settings, ec2) = (&self.context.settings, &self.context.settings.ec2);
        Spec {
            instance: self.instance.clone(),
            types: ec2.types.clone(),
            image: ec2.image.clone(),
            subnet: ec2.subnet.clone(),
            disk_gib: ec2.disk_gib,
            chat_port: settings.port,
            chat_from: ec2.chat_from.clone(),
            ssh_from: Vec::new(),
            ports: ec2.ports.clone(),
            public_key,
            adopt: ec2.adopt,
        }
    }

    pub(super) fn public_key(&self) -> Result<String, Error> {
        Ok(match &self.context.settings.ssh.key {
            Some(path) => keys::public_line(path)?,
            None => keys::own_key(&self.context.root.keys())?.public_line,
        })
    }

    /// Carries a plan out; returns the machine that is there then.
    pub(super) fn apply(&self, plan: &Plan) -> Result<Option<Machine>, Error> {
        let engine = Engine {
            cloud: &*self.cloud,
            instance: &self.instance,
            host_keys: &self.host_keys,
            clock: &self.context.clock,
            interrupt: &self.context.interrupt,
            report: self.context.ui,
            state_timeout: STATE_TIMEOUT,
            visible_timeout: VISIBLE_TIMEOUT,
        };
        Ok(apply::apply(&engine, plan)?)
    }

    /// Connects to the host of an instance that should be there.
    pub(super) fn connect(&self) -> Result<Session<'a>, Error> {
        self.connect_to(&self.running()?, Expect::Running)
    }

    /// Connects to the host of an instance that should be there, to look at it.
    pub(super) fn look_at_host(&self) -> Result<Session<'a>, Error> {
        self.look_into(&self.running()?)
    }

    /// Connects to the host on a machine that runs, and is ready to change it.
    pub(super) fn connect_to(&self, machine: &Machine, expect: Expect) -> Result<Session<'a>, Error> {
        self.session_over(self.dial_to(machine, expect)?, machine)
    }

    /// Connects to the host on a machine that runs, to look at it: whatever is found there stays as it is, even the host key
    /// of the user-data.
    pub(super) fn look_into(&self, machine: &Machine) -> Result<Session<'a>, Error> {
        self.look_into_when(machine, Expect::Running)
    }

    /// Does so with a machine that may have to be waited for.
    pub(super) fn look_into_when(&self, machine: &Machine, expect: Expect) -> Result<Session<'a>, Error> {
        let (connection, machine) = self.dial_vouched(machine, expect)?;
        self.session_over(connection, &machine)
    }

    fn session_over(
        &self,
        connection: ssh::session::Session,
        machine: &Machine,
    ) -> Result<Session<'a>, Error> {
        let address = machine.address.ok_or_else(|| self.not_running(machine))?;
        let place = format!("EC2 in {} ({})", self.cloud.region(), machine.id);
        remote::host_over(
            self.context,
            Provider::Ec2,
            self.instance.clone(),
            connection,
            &address.to_string(),
            place,
        )
    }

    /// Connects to a machine that should run, for a session of the person's.
    pub(super) fn dial(&self) -> Result<ssh::session::Session, Error> {
        self.dial_to(&self.running()?, Expect::Running)
    }

    /// Connects to a machine. The host key that was in its user-data is exchanged on the way.
    fn dial_to(&self, machine: &Machine, expect: Expect) -> Result<ssh::session::Session, Error> {
        let (mut connection, machine) = self.dial_vouched(machine, expect)?;
        match &machine.bootstrap_key {
            Some(bootstrap) => self.exchange_host_key(&mut connection, &machine, bootstrap)?,
            None if machine.host_keys.is_empty() && machine.ownership == Ownership::Ours => {
                // Who may not do that is none the worse for it: here the key is pinned.
                let _ = self.notes(&machine).renew(&connection.host_key());
            }
            None => {}
        }
        Ok(connection)
    }

    /// Connects to a machine that has one of the host keys on its tags; returns the machine as its tags are then.
    fn dial_vouched(
        &self,
        machine: &Machine,
        expect: Expect,
    ) -> Result<(ssh::session::Session, Machine), Error> {
        match self.dial_by_tags(machine, expect) {
            Err(error @ Error::Remote(RemoteError::WrongHostKey { .. })) if !machine.host_keys.is_empty() => {
                // Another run may have exchanged the key since the tags were read.
                let now = self.running()?;
                let is_exchanged = now.id == machine.id && now.host_keys != machine.host_keys;
                if is_exchanged { Ok((self.dial_by_tags(&now, expect)?, now)) } else { Err(error) }
            }
            Err(error) => Err(reach::explain(&self.context.settings.ec2.ssh_from, error, reach::own_address)),
            Ok(connection) => Ok((connection, machine.clone())),
        }
    }

    /// Connects to a machine that has one of the host keys on its tags, as they were read.
    fn dial_by_tags(&self, machine: &Machine, expect: Expect) -> Result<ssh::session::Session, Error> {
        let address = machine.address.ok_or_else(|| self.not_running(machine))?;
        let target = remote::machine_target(self.context, machine, address)?;
        match remote::dial(self.context, target, expect) {
            Err(Error::Remote(error)) if expect != Expect::Running && error.is_transient() => {
                self.show_console(machine);
                Err(error.into())
            }
            dialled => dialled,
        }
    }

    /// Shows the end of what the machine wrote to its console, which may say why it cannot be reached. EC2 has it minutes
    /// late at times, and then there is nothing to show.
    fn show_console(&self, machine: &Machine) {
        let text = self.cloud.console_output(&machine.id).unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        for line in lines.iter().skip(lines.len().saturating_sub(CONSOLE_LINES)) {
            self.context.ui.event(&Event::Note(&format!("console: {line}")));
        }
    }

    /// Has the machine exchange the host key that was in its user-data for one that never leaves it.
    fn exchange_host_key(
        &self,
        connection: &mut ssh::session::Session,
        machine: &Machine,
        bootstrap: &str,
    ) -> Result<(), Error> {
        const STEP: &str = "host-key";
        let (start, ui) = (self.context.clock.now(), self.context.ui);
        let what = machine.id.as_str();
        ui.event(&Event::Started { step: STEP, what });
        let mut notes = self.notes(machine);
        let exchanged = rotation::exchange(connection, bootstrap, rotation::KEY_FILE, &mut notes);
        let elapsed = self.context.clock.now().saturating_sub(start);
        match exchanged {
            Ok(key) => {
                let what = format!("{} is the key of {what} from now on", fingerprint(&key));
                ui.event(&Event::Finished { step: STEP, what: &what, elapsed });
                connection.trust_only(fingerprint(&key));
                Ok(())
            }
            Err(error) => {
                ui.event(&Event::Failed { step: STEP, what, elapsed });
                Err(error.into())
            }
        }
    }

    fn notes<'m>(&'m self, machine: &'m Machine) -> Notes<'m> {
        Notes { cloud: &*self.cloud, machine, pins: &self.host_keys }
    }

    /// Returns the machine, which has to run.
    fn running(&self) -> Result<Machine, Error> {
        let observed = self.observe()?;
        let (_, instance) = observed.machine.as_ref().ok_or_else(|| self.unknown())?;
        let machine = Machine::of(instance).ok_or_else(|| self.unknown())?;
        match (machine.state, machine.address) {
            (InstanceState::Running, Some(_)) => Ok(machine),
            _ => Err(self.not_running(&machine)),
        }
    }

    /// Connects to the machine, to see whether somebody else is at work on it; `None` if it cannot be reached, or nothing was
    /// put on it yet.
    pub(super) fn connect_if_possible(&self, observed: &Observed) -> Result<Option<Session<'a>>, Error> {
        let machine = observed.machine.as_ref().and_then(|(_, instance)| Machine::of(instance));
        let runs = |machine: &Machine| machine.state == InstanceState::Running && machine.address.is_some();
        let Some(machine) = machine.filter(|machine| runs(machine) && !machine.is_untouched()) else {
            return Ok(None);
        };
        let _looking = self.context.ui.looking(&format!("whether somebody is at work on {}", machine.id));
        match self.look_into(&machine) {
            Ok(session) => Ok(Some(session)),
            Err(error) if self.context.interrupt.is_set() => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn not_running(&self, machine: &Machine) -> Error {
        let (instance, id) = (self.instance.clone(), machine.id.clone());
        Error::MachineNotRunning { instance, id, state: machine.state }
    }

    /// Starts the machine if it does not run, and connects to it.
    pub(super) fn started(&self) -> Result<Session<'a>, Error> {
        let _run = self.lock()?;
        let observed = self.observe()?;
        let (_, instance) = observed.machine.as_ref().ok_or_else(|| self.unknown())?;
        let machine = instance.id.clone();
        let step = match instance.state {
            InstanceState::Running => None,
            InstanceState::Pending => Some(Step::AwaitRunning { machine }),
            _ => Some(Step::Start { machine }),
        };
        let machine = match step {
            Some(step) => self.apply(&Plan { steps: vec![step], ..Plan::default() })?,
            None => Machine::of(instance),
        };
        let machine = machine.ok_or_else(|| self.unknown())?;
        self.connect_to(&machine, Expect::of(&machine, self.context.clock.unix_seconds()))
    }

    /// Stops the machine.
    pub(super) fn stop(&self, observed: &Observed) -> Result<(), Error> {
        let Some((_, instance)) = &observed.machine else {
            return Err(self.unknown());
        };
        if instance.state == InstanceState::Stopped {
            let text = format!("{} ({}) is stopped; nothing to do", self.instance, instance.id);
            self.context.ui.event(&Event::Note(&text));
            return Ok(());
        }
        let step = Step::Stop { machine: instance.id.clone() };
        self.apply(&Plan { steps: vec![step], ..Plan::default() }).map(drop)
    }

    pub(super) fn heading(&self, machine: Option<&Machine>) -> String {
        let region = self.cloud.region();
        match machine {
            Some(machine) => format!("{} on EC2 in {region} ({}):", self.instance, machine.id),
            None => format!("{} on EC2 in {region}:", self.instance),
        }
    }

    pub(super) fn unknown(&self) -> Error {
        let place = format!("EC2 in {}", self.cloud.region());
        Error::UnknownInstance { instance: self.instance.clone(), place }
    }
}

/// Returns the port that the server of a machine seems to have: the one that we opened and that is open for no other reason,
/// or else the original's, which a new machine's has in any case. `None` if there are several such. What is opened by it is
/// opened when the host was seen, who knows.
fn likely_port(spec: &Spec, observed: &Observed) -> Option<u16> {
    let ours = observed.rules.iter().filter(|rule| tags::is_ours(&rule.tags, &spec.instance));
    let ports = ours.filter_map(|rule| rule.rule.from_port);
    let ports: BTreeSet<u16> = ports.filter(|port| *port != SSH_PORT && !spec.ports.contains(port)).collect();
    match ports.first() {
        _ if observed.machine.is_none() => Some(DEFAULT_PORT),
        Some(_) if ports.len() > 1 => None,
        first => Some(first.copied().unwrap_or(DEFAULT_PORT)),
    }
}

/// Reaches the account and region that the person means.
pub(super) fn connect(context: &Context<'_>) -> Result<Box<dyn Cloud + Send>, Error> {
    let ec2 = &context.settings.ec2;
    let settings = Ec2Settings { region: ec2.region.clone(), profile: ec2.profile.clone() };
    Ok(cloud::connect(&settings, &context.interrupt)?)
}

/// Tells whether a machine is ours, rather than adopted.
pub(super) fn is_ours(observed: &Observed) -> bool {
    observed.machine.as_ref().is_some_and(|(ownership, _)| *ownership == Ownership::Ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Tags;
    use crate::machine::fixtures::{changed, empty, ours, rule, running, spec};

    #[test]
    fn the_rules_tell_a_port_if_they_leave_no_choice() {
        let check = |open: &[u16], wanted: &[u16], expected: Option<u16>| {
            let observed = changed(running(), |observed| {
                observed.rules = open.iter().map(|port| rule(*port, "0.0.0.0/0", ours())).collect();
                observed.rules.push(rule(8080, "0.0.0.0/0", Tags::new()));
            });
            let spec = changed(spec(), |spec| spec.ports = wanted.to_vec());
            assert_eq!(likely_port(&spec, &observed), expected, "{open:?}, of which {wanted:?} are wanted");
        };
        check(&[22, 4000], &[], Some(4000));
        check(&[4000, 22, 4000, 80], &[80], Some(4000));
        check(&[22, 80, 4000], &[], None);
        check(&[22, 80], &[80], Some(DEFAULT_PORT));
        check(&[], &[], Some(DEFAULT_PORT));
        // Of a machine that is gone, only rules are left.
        let left = Observed { rules: vec![rule(4000, "0.0.0.0/0", ours())], ..empty() };
        assert_eq!(likely_port(&spec(), &left), Some(DEFAULT_PORT));
    }
}
