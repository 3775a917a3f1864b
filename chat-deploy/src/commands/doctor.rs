//! `doctor`: everything that `up` needs, looked at without changing anything, with what to do about what is missing.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

use super::place::{self, Place};
use super::session::Session;
use super::{Context, Outcome, server};
use crate::cli::Provider;
use crate::error::Error;
use crate::health::{ChatProbe, HealthCheck as _};
use crate::release::Target;

#[cfg(feature = "ec2")]
mod ec2;

/// How long the chat may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What was looked at, and what came of it.
struct Findings<'a> {
    context: &'a Context<'a>,
    wrong: usize,
}

impl Findings<'_> {
    /// Tells of something that is as it should be.
    fn good(&mut self, what: &'static str, text: &str) -> Result<(), Error> {
        self.tell(what, "ok", text, &[])
    }

    /// Tells of something that cannot be said yet, and of why.
    fn open(&mut self, what: &'static str, text: &str) -> Result<(), Error> {
        self.tell(what, "--", text, &[])
    }

    /// Tells of something that is wrong, and of what to do.
    fn bad(&mut self, what: &'static str, text: &str, hints: &[String]) -> Result<(), Error> {
        self.wrong += 1;
        self.tell(what, "!!", text, hints)
    }

    fn take(&mut self, what: &'static str, found: Result<String, Error>) -> Result<(), Error> {
        match found {
            Ok(text) => self.good(what, &text),
            Err(error) => self.bad(what, &error.message(), &error.hints()),
        }
    }

    fn tell(&mut self, what: &'static str, mark: &str, text: &str, hints: &[String]) -> Result<(), Error> {
        let mut lines = format!("{mark}  {what:<12} {text}");
        for hint in hints {
            // Writing to a string does not fail.
            let _ = write!(lines, "\n    {:<12} hint: {hint}", "");
        }
        let word = match mark {
            "ok" => "ok",
            "--" => "unknown",
            _ => "wrong",
        };
        let value = json!({ "check": what, "result": word, "text": text, "hints": hints });
        self.context.ui.print(&lines, &value)
    }
}

pub(super) fn run(context: &Context<'_>) -> Result<Outcome, Error> {
    let mut findings = Findings { context, wrong: 0 };
    let provider = place::provider(context);
    match provider {
        Provider::Local => findings.take("server", server::check(context, Target::Here))?,
        Provider::Ssh => of_reach(context, &mut findings)?,
        #[cfg(feature = "ec2")]
        Provider::Ec2 => ec2::check(context, &mut findings)?,
        #[cfg(not(feature = "ec2"))]
        Provider::Ec2 => return Err(Error::NoProvider { provider }),
    }
    match findings.wrong {
        0 => Ok(Outcome::Done),
        wrong => Err(Error::Unfit { wrong }),
    }
}

/// Looks at whether there is a server for machines of this kind; of one that was not seen, the usual kind.
fn of_build(architecture: Option<&str>, findings: &mut Findings<'_>) -> Result<(), Error> {
    let target = Target::linux(architecture.unwrap_or("x86_64"), None)?;
    findings.take("server", server::check(findings.context, target))
}

/// Looks at whether the host and the chat on it can be reached.
fn of_reach(context: &Context<'_>, findings: &mut Findings<'_>) -> Result<(), Error> {
    match place::existing(context) {
        Ok(Place::Reachable(session)) => {
            let facts = session.host.state().map(|state| state.facts).unwrap_or_default();
            of_build(facts.architecture.as_deref(), findings)?;
            of_host(&session, findings)
        }
        #[cfg(feature = "ec2")]
        Ok(Place::Machine(_)) => Ok(()),
        Err(error) => {
            of_build(None, findings)?;
            findings.bad("ssh", &error.message(), &error.hints())
        }
    }
}

fn of_host(session: &Session<'_>, findings: &mut Findings<'_>) -> Result<(), Error> {
    findings.good("ssh", &format!("reaches {}", session.host.place()))?;
    let looked_at = session.host.state().and_then(|state| state.facts.check().map(|()| state));
    let state = match looked_at {
        Ok(state) => state,
        Err(error) => {
            let error = Error::from(error);
            return findings.bad("host", &error.message(), &error.hints());
        }
    };
    let Some(config) = state.config.as_ref().filter(|_| state.process.is_some()) else {
        return findings.open("chat", "no server runs there yet");
    };
    let address = session.host.reach(config);
    let probe = ChatProbe::new().map_err(Error::Setup)?;
    match probe.check(&address, state.identity, ANSWER_WITHIN) {
        Ok(health) => {
            let millis = health.round_trip.as_secs_f64() * 1000.0;
            findings.good("chat", &format!("{address} answers in {millis:.1} ms"))
        }
        Err(unwell) => {
            let text = format!("{address}: {}", chat_client::link::error_chain(&unwell));
            let hint = "if nothing answers, a firewall or security group does not let it through; `chat-deploy up` opens the port on EC2";
            findings.bad("chat", &text, &[hint.to_owned()])
        }
    }
}
