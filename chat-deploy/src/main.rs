//! The program `chat-deploy`: reads the command line, runs the command, and ends with its exit code.

use std::process::ExitCode;

use chat_deploy::cli::Cli;
use chat_deploy::commands::{self, Outcome};
use chat_deploy::ui::Ui;
use clap::Parser as _;

fn main() -> ExitCode {
    let cli = Cli::parse();
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
