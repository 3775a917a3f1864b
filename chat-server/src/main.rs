//! The chat-server program: reads the command line, runs one command, and says how it went.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 130 interrupted. Data goes to standard output, everything
//! else to standard error.

mod activation;
mod cli;
mod commands;
mod descriptors;
mod logging;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use chat_server::ServerError;
use chat_server::accounts::AccountsError;
use chat_server::config::ConfigError;
use chat_server::control::ControlError;
use chat_server::data::DataError;
use chat_server::data::classic_keys::ClassicKeysError;
use chat_server::import::ImportError;
use clap::Parser as _;

use crate::activation::ActivationError;

/// How a command that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    Interrupted,
}

/// Marks an error as a mistake in what was typed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct UsageError(String);

fn main() -> ExitCode {
    // Exits by itself, with 2 or after --help with 0.
    let cli = cli::Cli::parse();
    match commands::run(cli, std::env::vars_os().collect()) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Interrupted) => ExitCode::from(130),
        // Whoever read our output has seen enough of it.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is gone there is nobody to tell.
            let _ = report(&error);
            let is_usage = error.is::<ConfigError>() || error.is::<UsageError>();
            ExitCode::from(if is_usage { 2 } else { 1 })
        }
    }
}

/// Prints the error, what led to it, and what can be done about it.
fn report(error: &anyhow::Error) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    writeln!(stderr, "error: {error}")?;
    for cause in error.chain().skip(1) {
        writeln!(stderr, "  because: {cause}")?;
    }
    for hint in error.chain().filter_map(hint) {
        writeln!(stderr, "hint: {hint}")?;
    }
    Ok(())
}

fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    None.or_else(|| error.downcast_ref::<ServerError>().and_then(ServerError::hint))
        .or_else(|| error.downcast_ref::<ActivationError>().map(ActivationError::hint))
        .or_else(|| error.downcast_ref::<ControlError>().and_then(ControlError::hint))
        .or_else(|| error.downcast_ref::<DataError>().and_then(DataError::hint))
        .or_else(|| error.downcast_ref::<AccountsError>().and_then(AccountsError::hint))
        .or_else(|| error.downcast_ref::<ClassicKeysError>().and_then(ClassicKeysError::hint))
        .or_else(|| error.downcast_ref::<ImportError>().and_then(ImportError::hint))
        .or_else(|| {
            error.is::<ConfigError>().then(|| "`chat-server check-config` prints all settings".to_owned())
        })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
