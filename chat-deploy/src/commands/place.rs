//! Finds out where an instance is, and opens it there.

use super::Context;
#[cfg(feature = "ec2")]
use super::machine::MachinePlace;
use super::session::Session;
use crate::cli::Provider;
use crate::error::Error;
use crate::host::local::LocalHost;
use crate::instance::InstanceName;

/// Where an instance is.
pub(super) enum Place<'a> {
    /// On a host that is there anyway.
    Reachable(Session<'a>),
    /// On a machine of EC2, which comes and goes with it.
    #[cfg(feature = "ec2")]
    Machine(Box<MachinePlace<'a>>),
}

/// Returns the provider that was named; else that of the instance, where it can be seen; else EC2.
pub(super) fn provider(context: &Context<'_>) -> Provider {
    let is_here = || {
        let name = context.settings.instance.as_ref();
        name.is_some_and(|name| local(context, name.clone()).exists())
    };
    match context.settings.provider {
        Some(provider) => provider,
        None if is_here() => Provider::Local,
        None if context.settings.ssh.host.is_some() => Provider::Ssh,
        None => Provider::Ec2,
    }
}

/// Opens the place to deploy to, which need not have anything of the instance yet.
pub(super) fn deployment<'a>(context: &'a Context<'a>) -> Result<Place<'a>, Error> {
    let instance = context.settings.instance.clone().ok_or(Error::NoInstance)?;
    match provider(context) {
        Provider::Local => on_this_machine(context, instance).map(Place::Reachable),
        Provider::Ssh => over_ssh(context, instance).map(Place::Reachable),
        Provider::Ec2 => on_ec2(context, instance),
    }
}

/// Opens the place of an instance that should be there.
pub(super) fn existing<'a>(context: &'a Context<'a>) -> Result<Place<'a>, Error> {
    let instance = context.settings.instance.clone().ok_or(Error::NoInstance)?;
    if provider(context) == Provider::Local && !local(context, instance.clone()).exists() {
        return Err(Error::UnknownInstance { instance, place: "this machine".to_owned() });
    }
    deployment(context)
}

/// Opens an instance that should be there, on a host that can be reached, to change it.
pub(super) fn open_existing<'a>(context: &'a Context<'a>) -> Result<Session<'a>, Error> {
    match existing(context)? {
        Place::Reachable(session) => Ok(session),
        #[cfg(feature = "ec2")]
        Place::Machine(machine) => machine.connect(),
    }
}

/// Opens an instance that should be there, to look at it.
pub(super) fn look_at<'a>(context: &'a Context<'a>) -> Result<Session<'a>, Error> {
    match existing(context)? {
        Place::Reachable(session) => Ok(session),
        #[cfg(feature = "ec2")]
        Place::Machine(machine) => machine.look_at_host(),
    }
}

/// Opens an instance on this machine.
pub(super) fn on_this_machine<'a>(
    context: &'a Context<'a>,
    instance: InstanceName,
) -> Result<Session<'a>, Error> {
    Session::over(context, Provider::Local, Box::new(local(context, instance)))
}

fn local(context: &Context<'_>, instance: InstanceName) -> LocalHost {
    LocalHost::new(&context.root, instance, context.program.clone())
}

#[cfg(feature = "ssh")]
fn over_ssh<'a>(context: &'a Context<'a>, instance: InstanceName) -> Result<Session<'a>, Error> {
    super::remote::open(context, instance)
}

#[cfg(not(feature = "ssh"))]
fn over_ssh<'a>(_: &'a Context<'a>, _: InstanceName) -> Result<Session<'a>, Error> {
    Err(Error::NoProvider { provider: Provider::Ssh })
}

#[cfg(feature = "ec2")]
fn on_ec2<'a>(context: &'a Context<'a>, instance: InstanceName) -> Result<Place<'a>, Error> {
    MachinePlace::open(context, instance).map(|place| Place::Machine(Box::new(place)))
}

#[cfg(not(feature = "ec2"))]
fn on_ec2<'a>(_: &'a Context<'a>, _: InstanceName) -> Result<Place<'a>, Error> {
    Err(Error::NoProvider { provider: Provider::Ec2 })
}
