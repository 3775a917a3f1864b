//! Waits until the server is healthy: it runs, it is the program we mean, and it speaks the protocol with the identity
//! the host says it has. And it stays so for a while: some servers answer once and die of what they find out next.

use std::time::Duration;

use chat_core::known_servers::ServerAddress;

use crate::apply::Engine;
use crate::health::{Health, Unwell};
use crate::host::{HostError, Process, Proof, Server};
use crate::release::Release;
use crate::report::Event;

/// How long one request may take while waiting.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long to wait between two requests.
const PAUSE: Duration = Duration::from_millis(50);
/// How long to wait between two looks at the process of a server that answers already.
const SETTLING_PAUSE: Duration = Duration::from_millis(250);

/// What is wrong with a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Sick {
    /// It could not be started.
    #[error("the host could not start it")]
    NotStarted(#[source] HostError),
    /// It ended.
    #[error("it ended after it was started{}", how.as_ref().map(|how| format!(" ({how})")).unwrap_or_default())]
    Died {
        /// How, where that is known.
        how: Option<String>,
    },
    /// The host itself went back from it.
    #[error("the host went back from it: {why}")]
    WentBack {
        /// Why.
        why: String,
    },
    /// It did not answer in time.
    #[error("it did not answer within {} s", within.as_secs())]
    Silent {
        /// How long it had.
        within: Duration,
        /// What the last request came to.
        source: Unwell,
    },
    /// It answered, but not as a healthy server does.
    #[error("it does not answer as it should")]
    Unwell(#[source] Unwell),
    /// Somebody else answered in its place.
    #[error("a server with another identity answered in its place")]
    OtherServer,
    /// Something else runs than what was installed.
    #[error("another program runs than the one installed")]
    OtherProgram,
    /// The host could not be asked.
    #[error("the host could not be asked about it")]
    Host(#[source] HostError),
    /// Somebody asked us to stop waiting.
    #[error("the wait for it was interrupted")]
    Interrupted,
}

/// Waits until the server at `address` is healthy, runs this release's program, and is healthy still when it has run
/// for the engine's `settling_time` as one and the same process; without the last where the host sees to that itself.
///
/// # Errors
///
/// [`Sick`], after twice the engine's `start_timeout` and its `settling_time` at the latest.
pub fn wait_until_healthy(
    engine: &Engine<'_>,
    address: &ServerAddress,
    release: &Release,
) -> Result<Health, Sick> {
    let (process, health) = wait_until_answering(engine, address, release)?;
    if engine.host.settles_itself() {
        return Ok(health);
    }
    let note = format!("{address} answers; watched for {} s", engine.settling_time.as_secs());
    engine.report.event(&Event::Progress { units: None, note: &note });
    settle(engine, &process)?;
    let (still, health) = wait_until_answering(engine, address, release)?;
    same(&process, &still)?;
    Ok(health)
}

/// Asks until the server answers as it should.
fn wait_until_answering(
    engine: &Engine<'_>,
    address: &ServerAddress,
    release: &Release,
) -> Result<(Process, Health), Sick> {
    let deadline = engine.clock.now() + engine.start_timeout;
    loop {
        let proof = look(engine, release)?;
        let process = running(proof.server.clone())?;
        match engine.health.check(address, proof.identity, ANSWER_WITHIN) {
            Ok(health) => {
                // Seen before it answered, a new server may not have had its identity yet, nor even its program.
                let is_whole = proof.identity.is_some() && proof.digest == Some(release.digest);
                let proof = if is_whole { proof } else { look(engine, release)? };
                prove(proof, &process, &health, release)?;
                return Ok((process, health));
            }
            Err(unwell) if !unwell.is_transient => return Err(Sick::Unwell(unwell)),
            Err(source) if engine.clock.now() >= deadline => {
                return Err(Sick::Silent { within: engine.start_timeout, source });
            }
            Err(_) if engine.interrupt.is_set() => return Err(Sick::Interrupted),
            Err(_) => engine.clock.sleep(PAUSE),
        }
    }
}

/// Watches the process for a while. It is not asked meanwhile: every connection takes a number that a client would have
/// been shown.
fn settle(engine: &Engine<'_>, process: &Process) -> Result<(), Sick> {
    let until = engine.clock.now() + engine.settling_time;
    while engine.clock.now() < until {
        if engine.interrupt.is_set() {
            return Err(Sick::Interrupted);
        }
        same(process, &running(engine.host.server().map_err(|error| ended(engine, error))?)?)?;
        engine.clock.sleep(SETTLING_PAUSE);
    }
    Ok(())
}

fn same(before: &Process, now: &Process) -> Result<(), Sick> {
    if before.pid == now.pid { Ok(()) } else { Err(Sick::Died { how: None }) }
}

/// Makes sure that who answered is who the host says, and runs the right program. Whether it goes on running is for
/// [`settle`] to see, or for the host.
fn prove(proof: Proof, process: &Process, health: &Health, release: &Release) -> Result<(), Sick> {
    same(process, &running(proof.server)?)?;
    if proof.identity != Some(health.identity) {
        return Err(Sick::OtherServer);
    }
    if proof.digest == Some(release.digest) { Ok(()) } else { Err(Sick::OtherProgram) }
}

/// Looks at the host, unless that went back from the release already.
fn look(engine: &Engine<'_>, release: &Release) -> Result<Proof, Sick> {
    let proof = engine.host.proof().map_err(|error| ended(engine, error))?;
    match proof.setback {
        Some(setback) if setback.release == release.id => Err(Sick::WentBack { why: setback.why }),
        _ => Ok(proof),
    }
}

/// A host that could not be asked any more because somebody asked us to stop says nothing about the server.
fn ended(engine: &Engine<'_>, error: HostError) -> Sick {
    if engine.interrupt.is_set() { Sick::Interrupted } else { Sick::Host(error) }
}

fn running(server: Server) -> Result<Process, Sick> {
    match server {
        Server::Running(process) => Ok(process),
        Server::Stopped { how } => Err(Sick::Died { how }),
    }
}
