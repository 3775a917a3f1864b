//! `logs`: what the server wrote.

use std::io;

use super::{Context, Outcome, place};
use crate::cli;
use crate::error::Error;
#[cfg(feature = "ssh")]
use crate::host::ssh::remote::RemoteError;
use crate::host::{HostError, LogSpan};

pub(super) fn run(context: &Context<'_>, args: &cli::Logs) -> Result<Outcome, Error> {
    let session = place::look_at(context)?;
    if !args.follow {
        for line in session.host.log_tail(LogSpan::All, args.lines)? {
            print(context, &line)?;
        }
        return Ok(Outcome::Done);
    }
    let mut sink = |line: &str| {
        print(context, line).map_err(|error| match error {
            Error::Output(error) => error,
            other => io::Error::other(other),
        })
    };
    let followed = session.host.follow_log(args.lines, &context.interrupt, &mut sink);
    followed.map_err(|error| match error {
        HostError::File { doing: "pass on", source, .. } => Error::Output(source),
        #[cfg(feature = "ssh")]
        HostError::Remote(RemoteError::Sink { source, .. }) => Error::Output(source),
        other => other.into(),
    })?;
    Ok(Outcome::Done)
}

fn print(context: &Context<'_>, line: &str) -> Result<(), Error> {
    context.ui.print(line, &serde_json::json!({ "line": line }))
}
