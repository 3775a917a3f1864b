//! `status` without an instance: all of them, one line each.

use serde_json::json;

use super::session::Session;
use super::{Context, Outcome, status};
use crate::cli::Provider;
use crate::error::Error;

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
        let session = Session::of_local(context, name)?;
        let observed = session.observe()?;
        let address = observed.address.as_ref().map(ToString::to_string).unwrap_or_default();
        let release = observed.host.current.as_ref().map(ToString::to_string).unwrap_or_default();
        let server = status::server(context, &observed);
        if index == 0 && !context.ui.is_json() {
            context.ui.print(&row("INSTANCE", "PROVIDER", "ADDRESS", "RELEASE", "SERVER"), &())?;
        }
        let text = row(session.instance().as_str(), "local", &address, &release, &server.text);
        let value = json!({
            "instance": session.instance().as_str(),
            "provider": "local",
            "address": address,
            "release": release,
            "server": server.word,
        });
        context.ui.print(&text, &value)?;
    }
    Ok(Outcome::Done)
}

fn row(instance: &str, provider: &str, address: &str, release: &str, server: &str) -> String {
    format!("{instance:<20}  {provider:<8}  {address:<21}  {release:<24}  {server}")
}
