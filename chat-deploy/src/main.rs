//! The program `chat-deploy`: reads the command line, runs the command, and ends with its exit code.

use std::process::ExitCode;

use chat_deploy::cli::Cli;
use chat_deploy::commands::{self, Outcome};
use chat_deploy::ui::Ui;
use clap::Parser as _;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| with_tip(error).exit());
    let ui = Ui::new(cli.global.json);
    match commands::run(cli, &ui) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::ChangesPending) => ExitCode::from(3),
        Err(error) => {
            let code = error.exit_code();
            // A reader that went away, as `head` does, is no failure.
            if code != 0 {
                ui.fail(&error);
            }
            ExitCode::from(code)
        }
    }
}

/// Says how an instance is named, should that be what a lone word was meant to do.
fn with_tip(mut error: clap::Error) -> clap::Error {
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg)
        && !word.starts_with('-')
    {
        let tip = StyledStr::from(format!("an instance is named with '--instance {word}'"));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    error
}
