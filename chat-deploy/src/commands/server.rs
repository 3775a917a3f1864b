//! What of the server should be deployed: which release, and with which configuration.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::Context;
use super::session::Session;
use crate::cli::Provider;
use crate::config::ServerConfig;
use crate::desired::Desired;
use crate::error::Error;
use crate::host::HostState;
use crate::outline::Outline;
use crate::plan::{Action, Plan, Row};
use crate::release::build::{self, Building, Recipe};
use crate::release::{self, BuildError, Release, SERVER, Target};
use crate::settings::DEFAULT_PORT;

/// Where a release comes from.
pub(super) enum Source {
    /// The program that was named.
    Binary(PathBuf),
    /// A checkout to build it from.
    Checkout(PathBuf),
}

/// A release that may still have to be built.
pub(super) enum Pending {
    Ready(Box<Release>),
    Building(Building),
}

impl Source {
    /// Finds it.
    pub(super) fn find(context: &Context<'_>) -> Result<Self, Error> {
        let (settings, environment) = (&context.settings, &context.environment);
        if let Some(binary) = &settings.binary {
            let path = environment.working_directory.join(binary);
            release::check_is_file(&path)?;
            return Ok(Self::Binary(path));
        }
        let checkout = build::find_checkout(
            settings.source.as_deref(),
            &environment.working_directory,
            environment.manifest_dir.as_deref(),
        )?;
        Ok(Self::Checkout(checkout))
    }

    /// Begins to build it, or looks at the program.
    pub(super) fn start(&self, context: &Context<'_>, target: Target) -> Result<Pending, Error> {
        Ok(match self {
            Self::Binary(path) => {
                let release = release::inspect(path, None, target, &context.interrupt);
                Pending::Ready(Box::new(release.map_err(named_binary)?))
            }
            Self::Checkout(path) => Pending::Building(build::spawn(path.clone(), target)),
        })
    }
}

/// Tells of a program that was named: nothing is built then, so no build can be interrupted.
fn named_binary(error: BuildError) -> Error {
    match error {
        BuildError::Interrupted => Error::Interrupted,
        error => error.into(),
    }
}

impl Pending {
    /// Waits for it.
    pub(super) fn finish(self, context: &Context<'_>) -> Result<Release, Error> {
        match self {
            Self::Ready(release) => Ok(*release),
            Self::Building(building) => Ok(building.finish(context.ui, &context.interrupt)?),
        }
    }
}

/// Builds the server for a host that was looked at, or looks at the program that was named.
pub(super) fn release_for(
    context: &Context<'_>,
    session: &Session<'_>,
    state: &HostState,
) -> Result<Release, Error> {
    Source::find(context)?.start(context, target(session, state)?)?.finish(context)
}

/// Says what a server has to be built for to run on a host.
fn target(session: &Session<'_>, state: &HostState) -> Result<Target, Error> {
    match (session.provider, &state.facts.architecture) {
        (Provider::Local, _) => Ok(Target::Here),
        (_, Some(architecture)) => Ok(Target::linux(architecture, state.facts.libc.as_deref())?),
        (_, None) => Err(Error::NoArchitecture { place: session.host.place() }),
    }
}

/// Finds the server here that `up` would deploy, as far as it is built: the one that was named, else the one that was
/// deployed last from here, else the one that was built last. Builds nothing.
pub(super) fn built(
    context: &Context<'_>,
    session: &Session<'_>,
    state: &HostState,
    current: &Release,
) -> Option<PathBuf> {
    let settings = &context.settings;
    // The host says where it came from, and a host can say anything: only a real file comes to an end.
    let is_file = |path: &Path| path.metadata().is_ok_and(|file| file.is_file());
    let is_named = settings.binary.is_some() || settings.source.is_some();
    if !is_named && is_file(&current.origin) {
        return Some(current.origin.clone());
    }
    let path = match Source::find(context).ok()? {
        Source::Binary(path) => path,
        Source::Checkout(path) => build::last_built(&path, target(session, state).ok()?, &context.interrupt)?,
    };
    is_file(&path).then_some(path)
}

/// Says what should be, with all that is left open taken from what there is.
fn desire(
    context: &Context<'_>,
    session: &Session<'_>,
    state: &HostState,
    release: Release,
    restore: Option<&Path>,
) -> Desired {
    let listen = session.host.listen(port(context, state));
    Desired {
        release,
        config: ServerConfig::render(listen, &session.host.data_dir(), &context.settings.server),
        keep_releases: Some(context.settings.keep_releases),
        deploys: true,
        restore: restore.map(Path::to_owned),
    }
}

/// Plans how to get there with a release, on the host as it was seen in `state`.
pub(super) fn plan(
    context: &Context<'_>,
    session: &Session<'_>,
    state: HostState,
    release: Release,
    restore: Option<&Path>,
) -> Result<(ServerConfig, Plan), Error> {
    let desired = desire(context, session, &state, release, restore);
    let plan = session.plan(&desired, &session.observe(state)?)?;
    Ok((desired.config, plan))
}

/// Returns the port that was asked for; else the one it has; else the original's.
pub(super) fn port(context: &Context<'_>, state: &HostState) -> u16 {
    let there = state.config.as_ref().map(|config| config.listen.port());
    context.settings.port.or(there).unwrap_or(DEFAULT_PORT)
}

/// Returns the port of a server that is yet to be made: the one that was asked for, or the original's.
#[cfg_attr(not(feature = "ec2"), expect(dead_code, reason = "other hosts are there, and are looked at"))]
pub(super) fn new_port(context: &Context<'_>) -> u16 {
    context.settings.port.unwrap_or(DEFAULT_PORT)
}

/// Shows what will be on a machine that is yet to be made.
#[cfg_attr(not(feature = "ec2"), expect(dead_code, reason = "other hosts are there, and are looked at"))]
pub(super) fn preview(source: &Source, port: u16, restore: Option<&Path>) -> Outline {
    let listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let release = match source {
        Source::Binary(path) => path.display().to_string(),
        Source::Checkout(path) => format!("{SERVER}, built from {}", path.display()),
    };
    let restored =
        restore.map(|backup| ("data", format!("accounts, identity and keys of {}", backup.display())));
    let rows = [
        ("service", "chat-server.service, its socket and the user chat".to_owned()),
        ("release", release),
        ("config", format!("listen on {listen}")),
        ("server", "start it".to_owned()),
        ("pin", "the identity of this server".to_owned()),
    ];
    let row = |(subject, text)| Row::new(Action::Add, subject, text);
    Outline { rows: restored.into_iter().chain(rows).map(row).collect(), notes: Vec::new() }
}

/// Looks at whether there is, or can be built, a server for where it would go.
pub(super) fn check(context: &Context<'_>, target: Target) -> Result<String, Error> {
    match Source::find(context)? {
        source @ Source::Binary(_) => {
            let release = source.start(context, target)?.finish(context)?;
            Ok(format!("{SERVER} {}", release.id))
        }
        Source::Checkout(path) => {
            let triple = Recipe::find(target, &context.interrupt)?.triple();
            let for_what = triple.map(|triple| format!(" for {triple}")).unwrap_or_default();
            Ok(format!("can be built from {}{for_what}", path.display()))
        }
    }
}
