//! `up`: what should be, made so.

use super::session::Session;
use super::{Context, Outcome, connect};
use crate::cli;
use crate::config::ServerConfig;
use crate::desired::Desired;
use crate::error::Error;
use crate::host::{Host as _, HostState};
use crate::release::{self, Release, build};
use crate::settings::DEFAULT_PORT;

pub(super) fn run(context: &Context<'_>, args: &cli::Up) -> Result<Outcome, Error> {
    let session = Session::of_deployment(context)?;
    let _lock = session.lock()?;
    // What would come in the way comes to light before the minutes that a build takes.
    let state = session.host.state()?;
    session.check_obstacles(port(context, &state), &state)?;
    if state.process.is_none() && !args.yes && !context.ui.can_ask() {
        return Err(Error::NobodyToAsk);
    }
    let release = find_release(context)?;
    let observed = session.observe()?;
    let desired = desire(context, &session, &observed.host, release);
    let plan = session.plan(&desired, &observed)?;
    if plan.is_empty() {
        // The line to type next is worth more than this.
        let _ = context.ui.no_changes(&format!("{} is as it should be: nothing to do", session.instance()));
    } else {
        session.confirm(&plan, "Do this?", args.yes)?;
        session.apply(&plan)?;
    }
    connect::print(context, &session)?;
    Ok(Outcome::Done)
}

/// Says what should be, with all that is left open taken from what there is.
pub(super) fn desire(
    context: &Context<'_>,
    session: &Session<'_>,
    state: &HostState,
    release: Release,
) -> Desired {
    let listen = session.host.listen(port(context, state));
    Desired {
        release,
        config: ServerConfig::render(listen, &session.host.data_dir(), &context.settings.server),
        keep_releases: Some(context.settings.keep_releases),
        deploys: true,
        restore: None,
    }
}

/// Builds the server, or looks at the binary that was named.
pub(super) fn find_release(context: &Context<'_>) -> Result<Release, Error> {
    let settings = &context.settings;
    let environment = &context.environment;
    let here = release::Target::Here;
    if let Some(binary) = &settings.binary {
        let binary = environment.working_directory.join(binary);
        return Ok(release::inspect(&binary, None, here, &context.interrupt)?);
    }
    let checkout = build::find_checkout(
        settings.source.as_deref(),
        &environment.working_directory,
        environment.manifest_dir.as_deref(),
    )?;
    Ok(build::spawn(checkout, here).finish(context.ui, &context.interrupt)?)
}

fn port(context: &Context<'_>, state: &HostState) -> u16 {
    let there = state.config.as_ref().map(|config| config.listen.port());
    context.settings.port.or(there).unwrap_or(DEFAULT_PORT)
}
