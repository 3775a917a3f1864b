//! `status` without an instance: all of them, on this machine and in the region, one line each.
//!
//! A machine on EC2 is told of as EC2 knows it. What runs on it only its host knows, and asking all hosts by SSH would take
//! a key for each, and the patience for those that do not answer.

use serde_json::{Value, json};

use super::{Context, Outcome, place, status};
use crate::cli::Provider;
#[cfg(feature = "ec2")]
use crate::cloud::{Instance, InstanceState};
use crate::error::Error;
use crate::instance::InstanceName;
#[cfg(feature = "ec2")]
use crate::machine::{Ownership, observe};
use crate::observe::ObserveError;

/// What is known of one instance.
#[derive(Default)]
struct Row {
    /// None if it is not even known which there are.
    instance: Option<String>,
    provider: &'static str,
    region: Option<String>,
    /// As `status` of one instance has it; null where there is no machine of its own.
    machine: Value,
    address: Option<String>,
    release: Option<String>,
    /// How the server is: one word for programs, and a few for people.
    word: &'static str,
    text: String,
    /// Why it cannot be said how the server is, if something came in the way.
    problem: Option<String>,
}

impl Row {
    /// Tells of what could not be looked at.
    fn unknown(error: &Error) -> Self {
        let text = error.message();
        Self { word: "unknown", problem: Some(text.clone()), text, ..Self::default() }
    }

    fn line(&self) -> String {
        let instance = self.instance.as_deref().unwrap_or("?");
        let [address, release] = [&self.address, &self.release].map(|text| text.as_deref().unwrap_or("-"));
        line(instance, self.provider, address, release, &self.text)
    }

    fn value(&self) -> Value {
        json!({
            "instance": self.instance,
            "provider": self.provider,
            "region": self.region,
            "machine": self.machine,
            "address": self.address,
            "release": self.release,
            "server": self.word,
            "problem": self.problem,
        })
    }
}

pub(super) fn run(context: &Context<'_>) -> Result<Outcome, Error> {
    let rows = match context.settings.provider {
        None => {
            let mut rows = on_this_machine(context)?;
            rows.extend(on_ec2_if_asked_for(context));
            rows
        }
        Some(Provider::Local) => on_this_machine(context)?,
        Some(Provider::Ec2) => on_ec2(context)?,
        // A host of one's own is asked for what it has by its name, not for a list.
        Some(Provider::Ssh) => return Err(Error::NoInstance),
    };
    show(context, &rows)?;
    Ok(Outcome::Done)
}

fn show(context: &Context<'_>, rows: &[Row]) -> Result<(), Error> {
    if rows.is_empty() && !context.ui.is_json() {
        context.ui.print("no instances", &())?;
    } else if !context.ui.is_json() {
        context.ui.print(&line("INSTANCE", "PROVIDER", "ADDRESS", "RELEASE", "SERVER"), &())?;
    }
    for row in rows {
        context.ui.print(&row.line(), &row.value())?;
    }
    Ok(())
}

fn on_this_machine(context: &Context<'_>) -> Result<Vec<Row>, Error> {
    context.root.instances()?.into_iter().map(|name| look(context, name)).collect()
}

/// Looks at one instance. One that cannot be looked at must not hide the others.
fn look(context: &Context<'_>, name: InstanceName) -> Result<Row, Error> {
    let row = Row { instance: Some(name.to_string()), provider: "local", ..Row::default() };
    let session = place::on_this_machine(context, name)?;
    let observed = match session.observe_existing() {
        Ok(observed) => observed,
        Err(error @ (Error::Observe(ObserveError::Host(_)) | Error::Host(_))) => {
            return Ok(Row { instance: row.instance, provider: row.provider, ..Row::unknown(&error) });
        }
        Err(error) => return Err(error),
    };
    let mut server = status::server_state(context, &observed);
    if let Some(problem) = &observed.host.identity_problem {
        server.text = format!("{}; {problem}", server.text);
    }
    Ok(Row {
        address: observed.address.map(|address| address.to_string()),
        release: observed.host.current.map(|current| current.to_string()),
        word: server.word,
        text: server.text,
        ..row
    })
}

/// Asks EC2 if there is reason to think that the person has an account. That it cannot be asked hides nothing else.
fn on_ec2_if_asked_for(context: &Context<'_>) -> Vec<Row> {
    if !cfg!(feature = "ec2") || context.environment.aws_credentials.is_none() {
        return Vec::new();
    }
    on_ec2(context).unwrap_or_else(|error| vec![Row { provider: "ec2", ..Row::unknown(&error) }])
}

#[cfg(feature = "ec2")]
fn on_ec2(context: &Context<'_>) -> Result<Vec<Row>, Error> {
    let cloud = super::machine::connect(context)?;
    Ok(observe::list(&*cloud)?.into_iter().map(|listed| of_machine(listed, cloud.region())).collect())
}

/// Tells of a machine as EC2 knows it.
#[cfg(feature = "ec2")]
fn of_machine(listed: observe::Listed, region: &str) -> Row {
    let observe::Listed { ownership, instance, machine } = listed;
    let Instance { id, kind, state, .. } = &machine;
    let (word, server) = match state {
        InstanceState::Stopping | InstanceState::Stopped => ("stopped", ""),
        _ => ("unknown", "; its server was not asked"),
    };
    Row {
        instance: Some(instance.to_string()),
        provider: "ec2",
        region: Some(region.to_owned()),
        machine: json!({
            "id": id,
            "type": kind,
            "state": state.as_str(),
            "zone": machine.zone,
            "adopted": ownership == Ownership::Adopted,
        }),
        address: machine.address.map(|address| address.to_string()),
        word,
        text: format!("{id}, a {kind} in {region}, is {state}{server}"),
        ..Row::default()
    }
}

#[cfg(not(feature = "ec2"))]
fn on_ec2(_: &Context<'_>) -> Result<Vec<Row>, Error> {
    Err(Error::NoProvider { provider: Provider::Ec2 })
}

fn line(instance: &str, provider: &str, address: &str, release: &str, server: &str) -> String {
    format!("{instance:<20}  {provider:<8}  {address:<21}  {release:<24}  {server}").trim_end().to_owned()
}

#[cfg(all(test, feature = "ec2"))]
mod tests {
    use super::*;
    use crate::machine::fixtures::{adopted, machine, ours};

    #[test]
    fn machines_of_ec2_in_a_list() {
        let listed = |ownership, machine| {
            let instance = "myserver".parse().unwrap();
            of_machine(observe::Listed { ownership, instance, machine }, "us-east-1")
        };
        let stopped =
            Instance { state: InstanceState::Stopped, address: None, ..machine("i-9", "sg-9", adopted()) };
        let rows =
            [listed(Ownership::Ours, machine("i-1", "sg-1", ours())), listed(Ownership::Adopted, stopped)];
        let shown = rows
            .iter()
            .map(|row| format!("{}\n{}\n", row.line(), serde_json::to_string_pretty(&row.value()).unwrap()));
        insta::assert_snapshot!(shown.collect::<String>());
    }
}
