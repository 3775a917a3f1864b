//! The manual page: what the command line says of itself, on one page. Which commands there are is `cli`'s.

use std::fmt::Write as _;
use std::io::{self, Write};

use clap::{Arg, Command};
use clap_mangen::Man;

const FILES: &[(&str, &str)] = &[
    ("$XDG_CONFIG_HOME/chat-client/config.toml", "Settings, if there are any. Default: below ~/.config."),
    (
        "$XDG_CONFIG_HOME/chat-client/known_servers",
        "Identities of servers, as `chat-client pins` lists them.",
    ),
    (
        "$XDG_STATE_HOME/chat-client/history",
        "The last lines typed, without passwords. Default: below ~/.local/state.",
    ),
];

/// Writes the manual page of a command line, as troff source.
///
/// # Errors
///
/// What the system said when it could not be written.
pub fn write(command: Command, out: &mut impl Write) -> io::Result<()> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let usages: Vec<_> = command.get_subcommands_mut().map(usage).collect();
    let name = command.get_name().to_owned();
    let notes = command.get_after_long_help().or(command.get_after_help());
    let notes = notes.map(ToString::to_string).unwrap_or_default();
    let described = command.clone().override_usage(format!("{name} [options]\n{}", usages.join("\n")));
    let page = Man::new(described);
    // Not the title that `Man` writes: it leaves out a date that there is none of, and the version takes its place.
    let (title, version) = (name.to_uppercase(), command.get_version().unwrap_or_default());
    writeln!(out, ".TH {} 1 \"\" \"{} {version}\" \"User Commands\"", escape(&title), escape(&name))?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    out.write_all(commands(&command, &usages).as_bytes())?;
    page.render_options_section(out)?;
    out.write_all(format!(".SH NOTES\n{}", prose(&notes)).as_bytes())?;
    let files = FILES.iter().map(|(file, kept)| item(file, kept));
    out.write_all(format!(".SH FILES\n{}", files.collect::<String>()).as_bytes())
}

/// Returns how a command is called, without the options that all have.
fn usage(command: &mut Command) -> String {
    let usage = command.render_usage().to_string();
    usage.trim_start_matches("Usage: ").replace(" [OPTIONS]", "").trim().to_owned()
}

/// Writes what each command does, and what its own arguments are.
fn commands(command: &Command, usages: &[String]) -> String {
    let mut text = ".SH COMMANDS\n".to_owned();
    for (command, usage) in command.get_subcommands().zip(usages) {
        text += &item(usage, &command.get_about().map(ToString::to_string).unwrap_or_default());
        let own = command.get_arguments().filter(|arg| !arg.is_global_set() && arg.get_id() != "help");
        let own =
            own.map(|arg| item(&called(arg), &arg.get_help().map(ToString::to_string).unwrap_or_default()));
        let own: String = own.collect();
        if !own.is_empty() {
            text += &format!(".RS\n{own}.RE\n");
        }
    }
    text
}

fn called(arg: &Arg) -> String {
    match (arg.get_long(), arg.get_value_names()) {
        (Some(long), _) => format!("--{long}"),
        (None, Some([name, ..])) => name.to_string(),
        (None, _) => arg.get_id().to_string(),
    }
}

fn item(head: &str, text: &str) -> String {
    format!(".TP\n\\fB{}\\fR\n{}\n", escape(head), escape(text))
}

/// Writes paragraphs; lines that are set in stay as they are.
fn prose(text: &str) -> String {
    let (mut out, mut as_is) = (String::new(), false);
    for line in text.lines() {
        if line.starts_with(' ') != as_is {
            as_is = !as_is;
            out += if as_is { ".nf\n" } else { ".fi\n" };
        }
        let _ = if line.is_empty() { writeln!(out, ".PP") } else { writeln!(out, "{}", escape(line)) };
    }
    out + if as_is { ".fi\n" } else { "" }
}

/// Makes a text mean nothing to troff.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_command_and_option_is_on_the_page() {
        let mut page = Vec::new();
        write(Cli::command(), &mut page).unwrap();
        let page = String::from_utf8(page).unwrap().replace("\\-", "-");
        let command = Cli::command();
        for sub in command.get_subcommands() {
            assert!(page.contains(&format!("\\fBchat-client {}", sub.get_name())), "{}", sub.get_name());
        }
        assert!(page.contains("Exit status:"), "the notes are those of --help, not of -h");
        let longs = command.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(Arg::get_long);
        for long in longs {
            assert!(page.contains(&format!("--{long}")), "{long}");
        }
    }

    #[test]
    fn nothing_on_it_is_an_order_to_troff() {
        assert_eq!(escape(".so /etc/passwd"), "\\&.so /etc/passwd");
        assert_eq!(escape(r"printf '\n' -x"), r"printf '\en' \-x");
        assert_eq!(prose("a\n\n  b\n  c\nd\n"), "a\n.PP\n.nf\n  b\n  c\n.fi\nd\n");
    }
}
