//! `logs`: what the server wrote.

use std::io;

use super::{Context, Outcome, place};
use crate::cli;
use crate::error::Error;
use crate::host::{HostError, LogSpan};

pub(super) fn run(context: &Context<'_>, args: &cli::Logs) -> Result<Outcome, Error> {
    let session = place::open_existing(context)?;
    for line in session.host.log_tail(LogSpan::All, args.lines)? {
        print(context, &line)?;
    }
    if args.follow {
        let mut sink = |line: &str| {
            print(context, line).map_err(|error| match error {
                Error::Output(error) => error,
                other => io::Error::other(other),
            })
        };
        session.host.follow_log(&context.interrupt, &mut sink).map_err(|error| match error {
            HostError::File { doing: "pass on", source, .. } => Error::Output(source),
            other => other.into(),
        })?;
    }
    Ok(Outcome::Done)
}

fn print(context: &Context<'_>, line: &str) -> Result<(), Error> {
    context.ui.print(line, &serde_json::json!({ "line": line }))
}
