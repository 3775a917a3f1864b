//! The way to a host by SSH: which keys to offer, which host key to trust, and how long to wait.

use std::cell::Cell;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use chat_client::link::error_chain;

use super::Context;
use super::place::{self, Place};
use super::session::Session;
use crate::cli::{self, Provider};
use crate::clock::Clock as _;
use crate::error::Error;
use crate::host::ssh::keys::{self, KeySource};
use crate::host::ssh::known_hosts::PinnedHosts;
use crate::host::ssh::prompt::TerminalPrompt;
use crate::host::ssh::remote::RemoteError;
use crate::host::ssh::session::{self, Target, Wait};
use crate::host::ssh::trust::Trust;
use crate::host::ssh::{SshHost, Surroundings};
use crate::instance::InstanceName;
use crate::report::{Event, Report as _};

/// How long a host that should be there may take.
const RUNNING_WITHIN: Duration = Duration::from_secs(15);
/// How long a machine may take from its start until it lets us in.
const BOOTED_WITHIN: Duration = Duration::from_secs(300);
/// How long a machine that is starting may refuse us, until it has learnt our key.
const DENIED_GRACE: Duration = Duration::from_secs(30);

/// For how many seconds after its start a machine may still be on its way, whatever EC2 calls it: it says `running` long
/// before anybody can log in.
#[cfg(feature = "ec2")]
const STARTING_SECONDS: u64 = 300;

/// What to expect of a host.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    /// It is there.
    Running,
    /// It is there, or may still be on its way: it was started not long ago.
    #[cfg(feature = "ec2")]
    Starting,
    /// It is just starting.
    Booting,
}

#[cfg(feature = "ec2")]
impl Expect {
    /// Says what to expect of a machine that EC2 calls running; `now` is in seconds since 1970.
    pub(super) fn of(machine: &crate::machine::Machine, now: u64) -> Self {
        // Nobody has been on a machine that is untouched, so nobody can tell whether it ever came up.
        if machine.is_untouched() {
            return Self::Booting;
        }
        let is_starting = now < machine.launched_at.saturating_add(STARTING_SECONDS);
        if is_starting { Self::Starting } else { Self::Running }
    }
}

/// Opens an instance on a host that the person named.
pub(super) fn open<'a>(context: &'a Context<'a>, instance: InstanceName) -> Result<Session<'a>, Error> {
    let target = own_target(context)?;
    let (address, place) = (target.host.clone(), target.peer());
    let connection = dial(context, target, Expect::Running)?;
    host_over(context, Provider::Ssh, instance, connection, &address, place)
}

/// Opens an instance on the host behind a connection; `address` is where its chat is reached, `place` is
/// what a person calls it.
pub(super) fn host_over<'a>(
    context: &'a Context<'a>,
    provider: Provider,
    instance: InstanceName,
    connection: session::Session,
    address: &str,
    place: String,
) -> Result<Session<'a>, Error> {
    let surroundings = Surroundings {
        address: address.to_owned(),
        place,
        backups: context.root.backups(),
        holder: context.environment.who(),
        start_timeout: context.settings.start_timeout,
    };
    let host = SshHost::new(instance, Box::new(connection), surroundings);
    Session::over(context, provider, Box::new(host))
}

/// Connects, and tells of it if that takes time.
pub(super) fn dial(context: &Context<'_>, target: Target, expect: Expect) -> Result<session::Session, Error> {
    let peer = target.peer();
    let (start, ui) = (context.clock.now(), context.ui);
    let waits = expect != Expect::Running;
    let is_told = Cell::new(false);
    let tell = || {
        if !is_told.replace(true) {
            ui.event(&Event::Started { step: "connect", what: &peer });
        }
    };
    let mut report = |error: &RemoteError| {
        if waits {
            tell();
            ui.event(&Event::Progress { units: None, note: &error_chain(error) });
        }
    };
    let mut wait = Wait {
        within: if waits { BOOTED_WITHIN } else { RUNNING_WITHIN },
        denied_grace: if waits { DENIED_GRACE } else { Duration::ZERO },
        report: &mut report,
    };
    if expect == Expect::Booting {
        tell();
    }
    let connection = session::Session::connect_until(target, &mut wait, &context.interrupt);
    let elapsed = context.clock.now().saturating_sub(start);
    match &connection {
        Ok(_) if is_told.get() => ui.event(&Event::Finished { step: "connect", what: &peer, elapsed }),
        Err(_) if is_told.get() => ui.event(&Event::Failed { step: "connect", what: &peer, elapsed }),
        _ => {}
    }
    Ok(connection?)
}

/// Says how to reach the host that the person named.
fn own_target(context: &Context<'_>) -> Result<Target, Error> {
    let settings = &context.settings.ssh;
    let host = settings.host.as_ref().ok_or(Error::NoHost)?;
    let local_user = context.environment.user.as_deref();
    let user = settings.login(Provider::Ssh, local_user).ok_or(Error::NoUser)?.to_owned();
    let keys = match &settings.key {
        Some(key) => vec![KeySource::File(key.clone())],
        None => context.environment.home.as_deref().map(keys::usual).unwrap_or_default(),
    };
    let trust = Trust { pinned_as: None, vouched: Vec::new(), ..trust(context) };
    Ok(Target { host: host.host.clone(), port: host.port(), user, trust, keys, ..target(context) })
}

/// Returns what is the same for all targets.
fn target(context: &Context<'_>) -> Target {
    let prompt = TerminalPrompt::find(&context.interrupt);
    Target {
        host: String::new(),
        port: 22,
        user: String::new(),
        trust: trust(context),
        keys: Vec::new(),
        agent: context.environment.ssh_agent.clone(),
        // A program that reads JSON has nobody to ask, whatever terminal it was started from.
        prompt: prompt.filter(|_| !context.ui.is_json()).map(|prompt| Arc::new(prompt) as _),
    }
}

fn trust(context: &Context<'_>) -> Trust {
    Trust {
        pinned_as: None,
        vouched: Vec::new(),
        given: context.settings.ssh.host_key.as_ref().map(ToString::to_string),
        pins: pins(context),
        known_hosts: known_hosts(context),
    }
}

/// Returns the host keys that are pinned on this machine.
pub(super) fn pins(context: &Context<'_>) -> PinnedHosts {
    PinnedHosts::at(context.root.known_hosts())
}

fn known_hosts(context: &Context<'_>) -> Vec<PathBuf> {
    let own = context.environment.home.as_ref().map(|home| home.join(".ssh/known_hosts"));
    own.into_iter().chain([PathBuf::from("/etc/ssh/ssh_known_hosts")]).collect()
}

/// Returns the command that opens a session on the host of an instance.
pub(super) fn openssh(context: &Context<'_>, args: &cli::Ssh) -> Result<Command, Error> {
    let words: Vec<_> = args.command.iter().map(Into::into).collect();
    let connection = match place::provider(context) {
        Provider::Local => return Err(Error::NotRemote),
        Provider::Ssh => dial(context, own_target(context)?, Expect::Running)?,
        Provider::Ec2 => match place::existing(context)? {
            Place::Reachable(_) => return Err(Error::NotRemote),
            #[cfg(feature = "ec2")]
            Place::Machine(machine) => machine.dial()?,
        },
    };
    Ok(connection.openssh_command(&words))
}

/// Says how to reach a machine on EC2.
#[cfg(feature = "ec2")]
pub(super) fn machine_target(
    context: &Context<'_>,
    machine: &crate::machine::Machine,
    address: std::net::Ipv4Addr,
) -> Result<Target, Error> {
    let settings = &context.settings.ssh;
    let user = settings.login(Provider::Ec2, None).ok_or(Error::NoUser)?.to_owned();
    let keys = match &settings.key {
        Some(key) => vec![KeySource::File(key.clone())],
        None => vec![KeySource::File(keys::own_key(&context.root.keys())?.path), KeySource::Agent],
    };
    // An address of EC2's belonged to somebody else yesterday: what OpenSSH knows of it counts for adopted machines only, of
    // which nothing else is known.
    let is_adopted = machine.ownership == crate::machine::Ownership::Adopted;
    let trust = trust(context);
    // Once the key of the user-data was exchanged, the tag of the new one decides alone, whatever was pinned before.
    let settled = machine.host_keys.first().filter(|_| machine.bootstrap_key.is_none()).cloned();
    let trust = Trust {
        given: trust.given.or(settled),
        pinned_as: Some(machine.pinned_as.clone()),
        vouched: machine.host_keys.clone(),
        known_hosts: if is_adopted { trust.known_hosts } else { Vec::new() },
        ..trust
    };
    Ok(Target { host: address.to_string(), user, trust, keys, ..target(context) })
}
