//! The command table by example: what lines mean, what is refused and how, and the help.

use proptest::prelude::*;

use super::*;

/// Shows what a line means, with the password, so that a table can list it.
fn meaning(line: &str) -> String {
    match read(line) {
        Ok(Line::Message(text)) => format!("message {text:?}"),
        Ok(Line::Command(Command::Register(account) | Command::Login(account))) => {
            format!("{} / {:?}", account.user, account.password.as_ref().map(Secret::expose))
        }
        Ok(Line::Command(command)) => format!("{command:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn lines_mean_what_they_say() {
    for (line, expected) in [
        ("hello", "message \"hello\""),
        ("", "message \"\""),
        (" /join", "Join"),
        ("\t /login alice s3cr:et", "alice / Some(\"s3cr:et\")"),
        ("//join us", "message \"/join us\""),
        ("  //join us", "message \"  /join us\""),
        ("  and /join", "message \"  and /join\""),
        ("///", "message \"//\""),
        ("/join", "Join"),
        ("/join\t", "Join"),
        ("/exit ", "Exit"),
        ("/date Europe/Paris", "Date(Some(\"Europe/Paris\"))"),
        ("/time", "Time(None)"),
        ("/help connect", "Help(Some(\"connect\"))"),
        ("/encryption", "Encryption(None)"),
        ("/encryption on", "Encryption(Some(On))"),
        ("/encryption on classic", "Encryption(Some(Classic))"),
        ("/encryption noise", "Encryption(Some(Noise))"),
        ("/encryption\toff", "Encryption(Some(Off))"),
        ("/connect", "Connect(None)"),
        ("/login alice s3cr:et", "alice / Some(\"s3cr:et\")"),
        ("/login alice  two  words ", "alice / Some(\"two  words \")"),
        ("/register alice", "alice / None"),
    ] {
        assert_eq!(meaning(line), expected, "{line:?}");
    }
}

#[test]
fn addresses_have_a_port_or_get_the_usual_one() {
    let check = |line: &str, expected: &str| {
        let Ok(Line::Command(Command::Connect(Some(address)))) = read(line) else { panic!("{line}") };
        assert_eq!(address.to_string(), expected);
    };
    check("/connect 127.0.0.1", "127.0.0.1:12345");
    check("/connect Chat.Example 4000", "chat.example:4000");
    check("/connect ::1 4000", "[::1]:4000");
    check("/connect [::1]", "[::1]:12345");
    check("/connect 127.0.0.1:4000", "127.0.0.1:4000");
}

#[test]
fn what_is_no_command_is_refused_with_help() {
    for (line, expected) in [
        ("/jion", "there is no command /jion; did you mean /join?"),
        ("/JOIN", "there is no command /JOIN; did you mean /join?"),
        ("/conect host 1", "there is no command /conect; did you mean /connect?"),
        ("/disc", "there is no command /disc; did you mean /disconnect?"),
        ("/msg bob hi", "there is no /msg here: everybody in the room reads everything"),
        ("/me waves", "there is no /me here: say what you do in a message"),
        ("/teleport", "there is no command /teleport"),
        ("/usr/bin/env", "there is no command /usr/bin/env"),
        ("/", "there is no command /"),
        ("/join now", "usage: /join"),
        ("/connect host port", "usage: /connect [host [port]]"),
        ("/connect host 0", "usage: /connect [host [port]]"),
        ("/connect host 1 2", "usage: /connect [host [port]]"),
        ("/encryption maybe", "usage: /encryption [on|off|noise|classic]"),
        ("/login", "usage: /login user [--keep] [password]"),
        ("/login a:b c", "a user name cannot contain ':'"),
        ("/login a b\nc", "a command is one line"),
    ] {
        assert_eq!(meaning(line), expected, "{line:?}");
    }
}

#[test]
fn passwords_are_found_also_behind_typing_errors() {
    for (line, expected) in [
        ("/login alice secret", Some("secret")),
        ("/register  alice\t two words", Some("two words")),
        ("/lgoin alice secret", Some("secret")),
        ("/Login alice secret", Some("secret")),
        ("/regster alice secret", Some("secret")),
        ("/login alice --keep two words", Some("two words")),
        ("/login alice --keeps", Some("--keeps")),
        ("/log alice secret", Some("alice secret")),
        ("/l alice secret", Some("alice secret")),
        ("/identify secret", Some("secret")),
        ("/nick bob", None),
        ("/msg bob hi", None),
        ("/lo", None),
        ("/quit secret", None),
        ("//log alice secret", None),
        ("/login alice --keep", None),
        ("/login alice", None),
        ("/login alice ", None),
        ("/date alice secret", None),
        ("login alice secret", None),
    ] {
        assert_eq!(password_start(line).map(|start| &line[start..]), expected, "{line:?}");
    }
}

#[test]
fn what_may_hold_a_password_is_not_remembered() {
    for (line, expected) in [
        ("hello", true),
        ("//usr/bin", true),
        ("/login alice", true),
        ("/connect host port", true),
        ("/login alice secret", false),
        (" /login alice secret", false),
        ("/log alice secret", false),
        ("/loginalice secret", false),
        ("/log alice\nsecret", false),
        ("/nick secret", false),
    ] {
        assert_eq!(is_memorable(line), expected, "{line:?}");
    }
}

#[test]
fn help_is_the_table() {
    insta::assert_snapshot!(help(None).unwrap());
    assert_eq!(help(Some("join")), help(Some("/join")));
    assert_eq!(help(Some("/jion")), None);
}

proptest! {
    #[test]
    fn a_line_with_a_slash_is_a_command_or_refused(line in "\\s*/[^/].*") {
        prop_assert!(!matches!(read(&line), Ok(Line::Message(_))));
    }

    #[test]
    fn every_other_line_is_sent_as_it_is(line in "\\s*([^/\\s].*)?") {
        prop_assert!(matches!(read(&line), Ok(Line::Message(text)) if text == line));
    }
}
