//! `status`: how one instance is.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};

use super::place::{self, Place};
use super::session::Session;
use super::{Context, Outcome, connect, server};
use crate::clock::{Clock as _, show_duration, show_moment};
use crate::error::Error;
use crate::host::ServerStatus;
use crate::observe::Observed;
use crate::release::{self, Release};

#[cfg(feature = "ec2")]
mod machine;

/// The state of a server: one word for programs, and a few for people.
pub(super) struct ServerState {
    pub(super) word: &'static str,
    pub(super) text: String,
}

/// What is told: lines for people, fields for programs.
#[derive(Default)]
struct Report {
    text: String,
    fields: Map<String, Value>,
}

impl Report {
    fn line(&mut self, name: &str, value: Option<impl AsRef<str>>) {
        if let Some(value) = value {
            // Writing to a string does not fail.
            let _ = writeln!(self.text, "  {name:<9} {}", value.as_ref());
        }
    }

    fn field(&mut self, name: &str, value: impl Into<Value>) {
        self.fields.insert(name.to_owned(), value.into());
    }

    /// Puts what another tells behind this.
    #[cfg(feature = "ec2")]
    fn append(&mut self, other: Self) {
        self.text.push_str(&other.text);
        self.fields.extend(other.fields);
    }
}

pub(super) fn run(context: &Context<'_>) -> Result<Outcome, Error> {
    let mut report = Report::default();
    match place::existing(context)? {
        Place::Reachable(session) => {
            let _ = writeln!(report.text, "{}", session.heading());
            report.field("instance", session.instance().as_str());
            report.field("provider", session.provider.as_str());
            let host_key = session.host.host_key();
            report.line("host key", host_key.as_ref());
            report.field("host_key", host_key);
            of_server(context, &session, &mut report)?;
        }
        #[cfg(feature = "ec2")]
        Place::Machine(place) => machine::of_machine(context, &place, &mut report)?,
    }
    context.ui.print(&report.text, &Value::Object(report.fields))?;
    Ok(Outcome::Done)
}

/// Tells of the server on a host that can be reached; returns its port, if it has one.
fn of_server(
    context: &Context<'_>,
    session: &Session<'_>,
    report: &mut Report,
) -> Result<Option<u16>, Error> {
    let observed = session.observe_existing()?;
    let host = &observed.host;
    let state = server_state(context, &observed);
    report.line("server", Some(&state.text));
    report.field("server", state.word);
    report.field("pid", host.process.as_ref().map(|process| process.pid));
    report.field("uptime_seconds", uptime(context, &observed).map(|uptime| uptime.as_secs()));
    report.field("round_trip_seconds", round_trip(&observed).map(|time| time.as_secs_f64()));
    report.field("problem", observed.health.as_ref().and_then(|health| health.as_ref().err()).cloned());
    of_people(host.process.as_ref().and_then(|_| session.host.server_status()), report);
    report.line("address", observed.address.as_ref().map(ToString::to_string));
    report.field("host", observed.address.as_ref().map(|address| address.host()));
    report.field("port", observed.address.as_ref().map(|address| address.port()));
    of_release(context, session, &observed, report);
    of_identity(&observed, report);
    let log = session.host.log_place();
    report.line("log", Some(&log));
    report.field("log", log);
    let command =
        observed.address.as_ref().filter(|_| host.process.is_some()).map(|address| {
            connect::command(&context.environment, context.settings.source.as_deref(), address)
        });
    report.line("connect", command.as_ref());
    report.field("command", command);
    Ok(host.config.as_ref().map(|config| config.listen.port()))
}

/// Tells who is there.
fn of_people(status: Option<ServerStatus>, report: &mut Report) {
    let text = status.as_ref().map(|status| {
        let users = status.users.map(|users| format!(", {users} registered")).unwrap_or_default();
        format!(
            "{} connected, {} in the room, {} logged in{users}",
            status.connections.total, status.joined, status.logged_in
        )
    });
    report.line("people", text);
    report.field("connections", status.as_ref().map(|status| status.connections.total));
    report.field("joined", status.as_ref().map(|status| status.joined));
    report.field("logged_in", status.as_ref().map(|status| status.logged_in));
    report.field("users", status.as_ref().and_then(|status| status.users));
}

fn of_release(context: &Context<'_>, session: &Session<'_>, observed: &Observed, report: &mut Report) {
    let host = &observed.host;
    let current = host.current.as_ref().and_then(|current| host.release(current));
    let built = current.and_then(|current| server::built(context, session, host, current));
    let local = current.map(|current| compare(current, built.as_deref()));
    report.line("release", current.map(|r| format!("{}, deployed {}", r.id, show_moment(r.deployed_at))));
    report.line("build", local.as_ref().map(|local| &local.text));
    let setback = host.setback.as_ref();
    report
        .line("put back", setback.map(|s| format!("from {} at {}: {}", s.release, show_moment(s.at), s.why)));
    report.field("put_back_from", setback.map(|setback| setback.release.to_string()));
    report.field("release", host.current.as_ref().map(ToString::to_string));
    report.field("release_confirmed", host.unconfirmed.is_none());
    report.field("build", local.as_ref().map(|local| local.word));
    report.field("build_path", built.map(|built| built.display().to_string()));
}

fn of_identity(observed: &Observed, report: &mut Report) {
    let host = &observed.host;
    let identity = host.identity.map(|identity| identity.to_string());
    let pinned = observed.address.as_ref().and_then(|address| observed.pins.lookup(address));
    let is_pinned = pinned.is_some() && pinned == host.identity;
    let pinned = if is_pinned { "pinned" } else { "not pinned here" };
    report.line("identity", identity.as_ref().map(|identity| format!("{identity} ({pinned})")));
    report.line("identity", host.identity_problem.as_ref());
    report.field("identity", identity);
    report.field("identity_problem", host.identity_problem.clone());
    report.field("identity_pinned", is_pinned);
}

/// Says how the server is.
pub(super) fn server_state(context: &Context<'_>, observed: &Observed) -> ServerState {
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

/// Compares the current release with the server that `up` would deploy from here, if there is one.
fn compare(current: &Release, built: Option<&Path>) -> ServerState {
    let digest = built.and_then(|path| Some((path.display(), release::digest::of_file(path).ok()?)));
    let (word, text) = match digest {
        Some((path, digest)) if digest == current.digest => ("same", format!("the same as {path}")),
        Some((path, _)) => ("differs", format!("{path} is another; `up` deploys it")),
        None => {
            let origin = current.origin.display();
            ("unknown", format!("there is none here to compare with; it was made from {origin}"))
        }
    };
    ServerState { word, text }
}
