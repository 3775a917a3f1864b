//! `status`: how one instance is.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

use super::session::Session;
use super::{Context, Outcome, connect};
use crate::clock::{Clock as _, show_duration, show_moment};
use crate::error::Error;
use crate::observe::Observed;
use crate::release::{self, Release};

/// The state of a server: one word for programs, and a few for people.
pub(super) struct ServerState {
    pub(super) word: &'static str,
    pub(super) text: String,
}

pub(super) fn run(context: &Context<'_>) -> Result<Outcome, Error> {
    let session = Session::of_existing(context)?;
    let observed = session.observe()?;
    let host = &observed.host;
    let state = server(context, &observed);
    let current = host.current.as_ref().and_then(|current| host.release(current));
    let local = current.map(compare_with_build);
    let log = session.host.layout().log();
    let identity = host.identity.map(|identity| identity.to_string());
    let pinned = observed.address.as_ref().and_then(|address| observed.pins.lookup(address));
    let is_pinned = pinned.is_some() && pinned == host.identity;
    let command =
        observed.address.as_ref().filter(|_| host.process.is_some()).map(|address| {
            connect::command(&context.environment, context.settings.source.as_deref(), address)
        });

    let mut text = format!("{}\n", session.heading());
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            // Writing to a string does not fail.
            let _ = writeln!(text, "  {name:<9} {value}");
        }
    };
    line("server", Some(state.text.clone()));
    line("address", observed.address.as_ref().map(ToString::to_string));
    line("release", current.map(|r| format!("{}, deployed {}", r.id, show_moment(r.deployed_at))));
    line("build", local.as_ref().map(|local| local.text.clone()));
    let pinned = if is_pinned { "pinned" } else { "not pinned here" };
    line("identity", identity.as_ref().map(|identity| format!("{identity} ({pinned})")));
    line("identity", host.identity_problem.clone());
    line("log", Some(log.display().to_string()));
    line("connect", command.clone());

    let value = json!({
        "instance": session.instance().as_str(),
        "provider": "local",
        "server": state.word,
        "pid": host.process.as_ref().map(|process| process.pid),
        "uptime_seconds": uptime(context, &observed).map(|uptime| uptime.as_secs()),
        "round_trip_seconds": round_trip(&observed).map(|time| time.as_secs_f64()),
        "problem": observed.health.as_ref().and_then(|health| health.as_ref().err()),
        "host": observed.address.as_ref().map(|address| address.host()),
        "port": observed.address.as_ref().map(|address| address.port()),
        "release": host.current,
        "release_confirmed": host.unconfirmed.is_none(),
        "build": local.as_ref().map(|local| local.word),
        "identity": identity,
        "identity_problem": host.identity_problem,
        "identity_pinned": is_pinned,
        "log": log.display().to_string(),
        "command": command,
    });
    context.ui.print(&text, &value)?;
    Ok(Outcome::Done)
}

/// Says how the server is.
pub(super) fn server(context: &Context<'_>, observed: &Observed) -> ServerState {
    let Some(process) = &observed.host.process else {
        return ServerState { word: "stopped", text: "stopped".to_owned() };
    };
    let uptime = show_duration(uptime(context, observed).unwrap_or_default());
    let who = format!("pid {}, up {uptime}", process.pid);
    match &observed.health {
        Some(Err(why)) => ServerState { word: "unhealthy", text: format!("unhealthy, {who}: {why}") },
        _ => {
            let millis = round_trip(observed).unwrap_or_default().as_secs_f64() * 1000.0;
            ServerState { word: "healthy", text: format!("healthy, {who}, answers in {millis:.1} ms") }
        }
    }
}

fn uptime(context: &Context<'_>, observed: &Observed) -> Option<Duration> {
    let process = observed.host.process.as_ref()?;
    Some(Duration::from_secs(context.clock.unix_seconds().saturating_sub(process.started_at)))
}

fn round_trip(observed: &Observed) -> Option<Duration> {
    Some(observed.health.as_ref()?.as_ref().ok()?.round_trip)
}

/// Compares the current release with the file it was made from, which may have been built anew since. Builds nothing.
fn compare_with_build(current: &Release) -> ServerState {
    let origin = current.origin.display();
    match release::digest::of_file(&current.origin) {
        Ok(digest) if digest == current.digest => {
            ServerState { word: "same", text: format!("the same as {origin}") }
        }
        Ok(_) => {
            ServerState { word: "differs", text: format!("{origin} is another by now; `up` deploys it") }
        }
        Err(_) => ServerState { word: "gone", text: format!("{origin} cannot be read any more") },
    }
}
