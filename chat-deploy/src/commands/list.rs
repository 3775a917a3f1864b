//! `status` without an instance: all of them, on this machine and in the region, one line each.

use serde_json::json;

use super::{Context, Outcome, place, status};
use crate::cli::Provider;
use crate::error::Error;
use crate::instance::InstanceName;
use crate::observe::ObserveError;

/// What is known of one instance.
#[derive(Default)]
struct Row {
    instance: String,
    provider: &'static str,
    address: String,
    release: String,
    word: &'static str,
    text: String,
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
    for Row { instance, provider, address, release, word, text } in rows {
        let value = json!({
            "instance": instance,
            "provider": provider,
            "address": address,
            "release": release,
            "server": word,
        });
        context.ui.print(&line(instance, provider, address, release, text), &value)?;
    }
    Ok(())
}

fn on_this_machine(context: &Context<'_>) -> Result<Vec<Row>, Error> {
    context.root.instances()?.into_iter().map(|name| look(context, name)).collect()
}

/// Looks at one instance. One that cannot be looked at must not hide the others.
fn look(context: &Context<'_>, name: InstanceName) -> Result<Row, Error> {
    let row = Row { instance: name.to_string(), provider: "local", ..Row::default() };
    let session = place::on_this_machine(context, name)?;
    let observed = match session.observe_existing() {
        Ok(observed) => observed,
        Err(error @ (Error::Observe(ObserveError::Host(_)) | Error::Host(_))) => {
            return Ok(Row { word: "unknown", text: error.message(), ..row });
        }
        Err(error) => return Err(error),
    };
    let mut server = status::server(context, &observed);
    if let Some(problem) = &observed.host.identity_problem {
        server.text = format!("{}; {problem}", server.text);
    }
    Ok(Row {
        address: observed.address.map(|address| address.to_string()).unwrap_or_default(),
        release: observed.host.current.map(|current| current.to_string()).unwrap_or_default(),
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
    on_ec2(context).unwrap_or_else(|error| {
        vec![Row {
            instance: "?".to_owned(),
            provider: "ec2",
            word: "unknown",
            text: error.message(),
            ..Row::default()
        }]
    })
}

#[cfg(feature = "ec2")]
fn on_ec2(context: &Context<'_>) -> Result<Vec<Row>, Error> {
    let cloud = super::machine::connect(context)?;
    let row = |listed: crate::machine::observe::Listed| Row {
        instance: listed.instance.to_string(),
        provider: "ec2",
        address: listed.machine.address.map(|address| address.to_string()).unwrap_or_default(),
        release: String::new(),
        word: listed.machine.state.as_str(),
        text: format!("{} {} {}", listed.machine.id, listed.machine.kind, listed.machine.state),
    };
    Ok(crate::machine::observe::list(&*cloud)?.into_iter().map(row).collect())
}

#[cfg(not(feature = "ec2"))]
fn on_ec2(_: &Context<'_>) -> Result<Vec<Row>, Error> {
    Err(Error::NoProvider { provider: Provider::Ec2 })
}

fn line(instance: &str, provider: &str, address: &str, release: &str, server: &str) -> String {
    format!("{instance:<20}  {provider:<8}  {address:<21}  {release:<24}  {server}").trim_end().to_owned()
}
