//! `status` without an instance: all of them, one line each.

use serde_json::json;

use super::session::Session;
use super::{Context, Outcome, status};
use crate::cli::Provider;
use crate::error::Error;
use crate::instance::InstanceName;
use crate::observe::ObserveError;

pub(super) fn run(context: &Context<'_>) -> Result<Outcome, Error> {
    if let Some(provider @ (Provider::Ec2 | Provider::Ssh)) = context.settings.provider {
        let aws_credentials = context.environment.aws_credentials.clone();
        return Err(Error::NoProvider { provider, aws_credentials });
    }
    let names = context.root.instances()?;
    if names.is_empty() && !context.ui.is_json() {
        context.ui.print("no instances on this machine", &())?;
    }
    for (index, name) in names.into_iter().enumerate() {
        let Row { instance, address, release, word, text } = look(context, name)?;
        if index == 0 && !context.ui.is_json() {
            context.ui.print(&line("INSTANCE", "PROVIDER", "ADDRESS", "RELEASE", "SERVER"), &())?;
        }
        let value = json!({
            "instance": instance,
            "provider": "local",
            "address": address,
            "release": release,
            "server": word,
        });
        context.ui.print(&line(&instance, "local", &address, &release, &text), &value)?;
    }
    Ok(Outcome::Done)
}

/// What is known of one instance.
#[derive(Default)]
struct Row {
    instance: String,
    address: String,
    release: String,
    word: &'static str,
    text: String,
}

/// Looks at one instance. One that cannot be looked at must not hide the others.
fn look(context: &Context<'_>, name: InstanceName) -> Result<Row, Error> {
    let instance = name.to_string();
    let session = Session::of_local(context, name)?;
    let observed = match session.observe() {
        Ok(observed) => observed,
        Err(error @ Error::Observe(ObserveError::Host(_))) => {
            return Ok(Row { instance, word: "unknown", text: error.message(), ..Row::default() });
        }
        Err(error) => return Err(error),
    };
    let mut server = status::server(context, &observed);
    if let Some(problem) = &observed.host.identity_problem {
        server.text.push_str(&format!("; {problem}"));
    }
    Ok(Row {
        instance,
        address: observed.address.as_ref().map(ToString::to_string).unwrap_or_default(),
        release: observed.host.current.as_ref().map(ToString::to_string).unwrap_or_default(),
        word: server.word,
        text: server.text,
    })
}

fn line(instance: &str, provider: &str, address: &str, release: &str, server: &str) -> String {
    format!("{instance:<20}  {provider:<8}  {address:<21}  {release:<24}  {server}")
}
