//! The state machine by example: what happened on the left, what is to be done on the right.

use std::io;

use chat_core::hello::Hello;
use chat_core::noise::Fingerprint;
use chat_core::notice::{self, NoticeCode};
use proptest::prelude::*;

use super::*;
use crate::link::Basis;

const GREETING: &str = "Server: Client-1 has connected to the server\n";

struct World {
    app: App,
    now: Instant,
}

impl World {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            interactive: false,
            reconnect: false,
            allow_plain_passwords: false,
            encryption: Encryption::Auto,
            zone: "Europe/Paris".to_owned(),
            address: ServerAddress::new("home", 1),
        };
        change(&mut config);
        Self { app: App::new(config, 1), now: Instant::now() }
    }

    fn person() -> Self {
        Self::new(|config| (config.interactive, config.reconnect) = (true, true))
    }

    fn pipe() -> Self {
        Self::new(|_| {})
    }

    /// Connects to a server of ours.
    fn connected(mut self) -> Self {
        self.event(Event::Start { connect: true });
        self.opened(ours(), noise());
        self
    }

    fn connected_plain(mut self, peer: Peer) -> Self {
        self.event(Event::Start { connect: true });
        self.opened(peer, Protection::Plain);
        self
    }

    fn event(&mut self, event: Event) -> Vec<String> {
        self.app.handle(self.now, event).iter().filter_map(shown).collect()
    }

    fn opened(&mut self, peer: Peer, protection: Protection) -> Vec<String> {
        self.event(Event::Opened { peer, protection, greeting: GREETING.to_owned() })
    }

    fn line(&mut self, line: &str) -> Vec<String> {
        self.event(Event::Line(line.to_owned()))
    }

    fn answer(&mut self, text: &str) -> Vec<String> {
        self.event(Event::Answer(Some(Secret::new(text))))
    }

    fn packet(&mut self, kind: PacketType, text: &str) -> Vec<String> {
        self.event(Event::Incoming(Incoming::Packet { kind, text: text.to_owned() }))
    }

    fn notice(&mut self, code: NoticeCode, text: &str) -> Vec<String> {
        self.packet(PacketType::NOTICE, &notice::encode(code, text))
    }

    fn later(&mut self, seconds: u64) -> Vec<String> {
        self.now += Duration::from_secs(seconds);
        self.event(Event::Deadline)
    }
}

/// Writes an effect short; hints are left out.
fn shown(effect: &Effect) -> Option<String> {
    Some(match effect {
        Effect::Show(Show::Text { text, .. }) => format!("| {}", text.trim_end()),
        Effect::Show(Show::Users { names, asked }) => {
            format!("{} {}", if *asked { "users!" } else { "users" }, names.join(" "))
        }
        Effect::Show(Show::Help(_)) => "help".to_owned(),
        Effect::Show(Show::Note(text)) => format!("* {text}"),
        Effect::Show(Show::Error(text)) => format!("! {text}"),
        Effect::Show(Show::Hint(_)) => return None,
        Effect::Open { address, encryption } => format!("open {address} {encryption:?}"),
        Effect::Send { kind, text } => format!("send {} {text}", kind.name()).trim_end().to_owned(),
        Effect::SendCredentials { kind, user, password } => {
            format!("send {} {user}:{}", kind.name(), password.expose())
        }
        Effect::Switch(to) => format!("switch {to:?}"),
        Effect::Close => "close".to_owned(),
        Effect::Ask(Question { prompt, hidden }) => {
            format!("{} {}", if *hidden { "ask hidden" } else { "ask" }, prompt.trim_end())
        }
        Effect::Quit(exit) => format!("quit {exit:?}"),
    })
}

fn ours() -> Peer {
    Peer::Ours(Hello::new("chat-server/0.1.0"))
}

fn noise() -> Protection {
    Protection::Noise { identity: Fingerprint::of(&[1; 32]), basis: Basis::Pinned }
}

fn reset() -> LinkError {
    LinkError::Lost(io::ErrorKind::ConnectionReset.into())
}

fn changed() -> LinkError {
    let (pinned, offered) = (Fingerprint::of(&[1; 32]), Fingerprint::of(&[2; 32]));
    LinkError::ChangedIdentity { address: ServerAddress::new("home", 1), pinned, offered }
}

#[test]
fn a_pipe_sends_lines_and_leaves_when_all_is_answered() {
    let mut world = World::pipe();
    assert_eq!(world.event(Event::Start { connect: true }), ["open home:1 Auto"]);
    assert!(!world.app.wants_line());
    assert!(world.opened(ours(), noise()).contains(&format!("| {}", GREETING.trim_end())));
    assert!(world.app.wants_line());
    assert_eq!(world.line("/join"), ["send JOIN"]);
    assert_eq!(world.line("hello"), ["send MESSAGE hello"]);
    assert_eq!(world.line("/date"), ["send DATE Europe/Paris"]);
    assert_eq!(world.line("/time Asia/Kolkata"), ["send TIME Asia/Kolkata"]);
    assert_eq!(world.event(Event::EndOfInput), ["send DISCONNECT"]);
    assert!(!world.app.wants_line());
    let join = "Server: Client-1 joined the chat room\n";
    assert_eq!(world.packet(PacketType::JOIN, join), [format!("| {}", join.trim_end())]);
    assert_eq!(world.packet(PacketType::USERLIST, "Client-1"), ["users Client-1"]);
    assert_eq!(world.packet(PacketType::MESSAGE, "Client-1: hello\n"), ["| Client-1: hello"]);
    world.packet(PacketType::DATE, "Server: The date is Sunday, October 12, 2025\n");
    world.packet(PacketType::TIME, "Server: The time is 7:06 PM IST\n");
    let goodbye = world.packet(PacketType::DISCONNECT, "Server: Client-1 has disconnected from the server\n");
    assert_eq!(goodbye, ["close", "quit Done"]);
}

#[test]
fn the_exit_status_of_a_pipe_tells_what_was_not_done() {
    let check = |what: &dyn Fn(&mut World), expected: &str| {
        let mut world = World::pipe().connected();
        what(&mut world);
        world.line("/exit");
        assert_eq!(world.packet(PacketType::DISCONNECT, "bye").last().unwrap(), expected);
    };
    check(&|_| {}, "quit Done");
    check(&|world| drop(world.line("/jion")), "quit Failed");
    check(&|world| drop(world.event(Event::BadLine("not UTF-8".into()))), "quit Failed");
    check(&|world| drop(world.line("/login alice")), "quit Failed");
    check(&|world| drop(world.line("/logout")), "quit Failed");
    check(&|world| drop(world.line("hello")), "quit Failed");
    check(
        &|world| {
            world.line("/login alice x");
            world.packet(PacketType::LOGIN, "Server: Unable to login as alice\n");
        },
        "quit Failed",
    );
    check(
        &|world| {
            world.line("/register alice x");
            world.packet(PacketType::REGISTER, "Server: The username alice is already taken\n");
        },
        "quit Failed",
    );
    check(
        &|world| {
            world.line("/date Nope");
            let refused = world.notice(NoticeCode::BadZone, "no such zone");
            assert_eq!(refused, ["! /date was refused: no such zone"]);
        },
        "quit Failed",
    );
    check(
        &|world| {
            let note = world.notice(NoticeCode::Restart, "back soon");
            assert_eq!(note, ["* the server says: back soon"]);
        },
        "quit Done",
    );
}

#[test]
fn unanswered_requests_are_named_at_the_end_and_after_a_while() {
    let mut world = World::pipe().connected_plain(Peer::Original);
    world.line("/date Nope");
    assert!(world.later(4).is_empty());
    assert_eq!(world.later(1), ["! no answer to /date"]);
    world.line("hello");
    world.line("/exit");
    let goodbye = world.packet(PacketType::DISCONNECT, "bye");
    assert_eq!(goodbye, ["! no answer to a message", "close", "quit Failed"]);

    let mut world = World::pipe().connected();
    world.line("/exit");
    assert!(world.later(29).is_empty());
    assert_eq!(world.later(1), ["close", "! the server did not say goodbye", "quit Failed"]);
}

#[test]
fn a_pipe_waits_for_answers_and_an_original_server_gets_one_request_at_a_time() {
    let mut world = World::pipe().connected_plain(Peer::Original);
    world.line("hello");
    assert!(!world.app.wants_line());
    world.packet(PacketType::MESSAGE, "Client-2: hello\n");
    assert!(!world.app.wants_line());
    world.packet(PacketType::MESSAGE, "Client-1: hello\n");
    assert!(world.app.wants_line());

    let mut world = World::pipe().connected();
    let mut sent = 0;
    while world.app.wants_line() {
        world.line("hello");
        sent += 1;
    }
    assert_eq!(sent, PIPELINED);
}

#[test]
fn a_password_crosses_an_open_connection_only_if_the_person_agrees() {
    let warning = "* this connection is not encrypted: anybody on the way could read the password";
    let mut world = World::person().connected_plain(ours());
    assert_eq!(world.line("/login alice secret"), [warning, "ask send it anyway? [y/N]"]);
    assert!(!world.app.wants_line());
    assert_eq!(world.answer("n"), ["* not sent"]);
    world.line("/login alice secret");
    assert_eq!(world.event(Event::Answer(None)), ["* cancelled"]);
    world.line("/login alice secret");
    assert_eq!(world.answer("y"), ["send LOGIN alice:secret"]);

    let mut world = World::pipe().connected_plain(ours());
    let refused = ["! not sent: a password over a connection without encryption"];
    assert_eq!(world.line("/login alice secret"), refused);
    assert_eq!(world.line("/register alice secret"), refused);
    let mut world = World::new(|config| config.allow_plain_passwords = true).connected_plain(ours());
    assert_eq!(world.line("/login alice secret"), ["send LOGIN alice:secret"]);
}

#[test]
fn a_password_does_not_slip_out_while_encryption_is_being_turned_off() {
    let mut world = World::person().connected();
    assert_eq!(world.line("/encryption off"), ["switch Off"]);
    assert!(!world.app.wants_line());
    assert!(world.line("/login alice secret")[0].starts_with("! not sent: encryption is being switched"));
}

#[test]
fn a_password_asked_for_while_encrypted_is_not_sent_once_that_has_ended() {
    let mut world = World::person().connected();
    world.line("/login alice");
    let text = "Server: Encryption turned off for Client-1\n".to_owned();
    world.event(Event::Incoming(Incoming::Switched { protection: Protection::Plain, text }));
    assert_eq!(world.answer("secret"), ["! not sent: a password over a connection without encryption"]);
}

#[test]
fn a_missing_password_is_asked_for_hidden_and_a_new_one_twice() {
    let mut world = World::person().connected();
    assert_eq!(world.line("/login alice"), ["ask hidden password of alice:"]);
    assert_eq!(world.answer("s3 cret"), ["send LOGIN alice:s3 cret"]);
    assert_eq!(world.line("/register bob"), ["ask hidden password of bob:"]);
    assert_eq!(world.answer("one"), ["ask hidden the same again:"]);
    assert_eq!(world.answer("two"), ["! not sent: the two passwords differ"]);
    world.line("/register bob");
    world.answer("one");
    assert_eq!(world.answer("one"), ["send REGISTER bob:one"]);
    world.line("/login alice");
    assert_eq!(world.answer(""), ["* cancelled"]);
}

#[test]
fn before_an_original_server_the_person_chooses_and_a_pipe_fails() {
    let original = || Event::OpenFailed(LinkError::Original(ServerAddress::new("home", 1)));
    for (answer, expected) in
        [("c", "open home:1 Classic"), ("off", "open home:1 Off"), ("n", "* not connected")]
    {
        let mut world = World::person();
        world.event(Event::Start { connect: true });
        let asked = world.event(original());
        assert_eq!(asked.last().unwrap(), "ask connect with classic, off, or not at all? [c/o/N]");
        assert_eq!(world.answer(answer), [expected]);
    }
    let mut world = World::pipe();
    world.event(Event::Start { connect: true });
    let failed = world.event(original());
    assert!(failed[0].starts_with("! home:1 is an original chat server"), "{failed:?}");
    assert_eq!(failed[1..], ["quit Failed"]);
    let mut demanding = World::new(|config| {
        (config.interactive, config.encryption) = (true, Encryption::Noise);
    });
    demanding.event(Event::Start { connect: true });
    assert!(demanding.event(original())[0].starts_with("! home:1 is an original"));
}

#[test]
fn a_lost_connection_is_restored_with_encryption_login_and_room() {
    let mut world = World::person().connected();
    world.line("/login alice secret");
    world.packet(PacketType::LOGIN, "Server: Client-1 logged in as alice\n");
    world.line("/join");
    world.packet(PacketType::JOIN, "Server: Client-1 joined the chat room\n");
    world.line("hello");
    let lost = world.event(Event::Lost(reset()));
    assert_eq!(lost[0], "! no answer to a message");
    assert!(
        lost[1].starts_with("* the connection was lost: connection reset; reconnecting in 0."),
        "{lost:?}"
    );
    assert!(world.app.wants_line());
    assert_eq!(world.line("hello?"), ["! not sent: the connection is being restored"]);
    assert_eq!(world.later(1), ["open home:1 Noise"]);
    let failed = world.event(Event::OpenFailed(reset()));
    assert!(failed[0].contains("; reconnecting in"), "{failed:?}");
    world.later(2);
    let opened = world.opened(ours(), noise());
    assert_eq!(opened[2..], ["send LOGIN alice:secret", "send JOIN"]);
}

#[test]
fn a_login_is_not_restored_over_a_weaker_connection() {
    let mut world = World::person().connected();
    world.line("/login alice secret");
    world.packet(PacketType::LOGIN, "Server: Client-1 logged in as alice\n");
    world.event(Event::Lost(reset()));
    world.later(1);
    let opened = world.opened(ours(), Protection::Plain);
    assert_eq!(opened[2..], ["! not sent: a password over a connection without encryption"]);

    // Encryption turned off after the login is no permission to send the password without.
    let mut world = World::person().connected();
    world.line("/login alice secret");
    world.packet(PacketType::LOGIN, "Server: Client-1 logged in as alice\n");
    let off = Incoming::Switched { protection: Protection::Plain, text: String::new() };
    world.event(Event::Incoming(off));
    world.event(Event::Lost(reset()));
    assert_eq!(world.later(1), ["open home:1 Off"]);
    let opened = world.opened(ours(), Protection::Plain);
    assert_eq!(opened[2..], ["! not sent: a password over a connection without encryption"]);
}

#[test]
fn what_was_left_is_not_restored() {
    let mut world = World::person().connected();
    world.line("/login alice secret");
    world.packet(PacketType::LOGIN, "Server: Client-1 logged in as alice\n");
    world.packet(PacketType::JOIN, "Server: Client-1 joined the chat room\n");
    world.line("/leave");
    world.packet(PacketType::LEAVE, "Server: alice left the chat room\n");
    world.event(Event::Lost(reset()));
    world.later(1);
    assert_eq!(world.opened(ours(), noise()).len(), 2);
}

#[test]
fn another_identity_ends_the_attempts() {
    let mut world = World::person().connected();
    world.event(Event::Lost(reset()));
    world.later(1);
    let refused = world.event(Event::OpenFailed(changed()));
    assert!(refused[0].starts_with("! the identity of home:1 has changed: pinned SHA256:"), "{refused:?}");
    assert_eq!(refused[1..], ["* not connected; /connect tries again"]);
    assert_eq!(world.app.deadline(), None);
}

#[test]
fn a_pipe_ends_with_its_connection_unless_told_to_reconnect() {
    let mut world = World::pipe().connected();
    assert_eq!(
        world.event(Event::Lost(reset())),
        ["! the connection was lost: connection reset", "quit Failed"]
    );

    let mut world = World::new(|config| config.reconnect = true).connected();
    world.event(Event::Lost(reset()));
    assert!(!world.app.wants_line());
    let mut attempts = 0;
    let end = loop {
        world.later(60);
        attempts += 1;
        let failed = world.event(Event::OpenFailed(reset()));
        if failed.iter().any(|effect| effect.starts_with("quit")) {
            break failed;
        }
    };
    assert_eq!((attempts, end.last().unwrap().as_str()), (MAX_ATTEMPTS_IN_PIPE, "quit Failed"));
}

#[test]
fn a_server_that_closes_after_goodbye_was_asked_for_is_no_loss() {
    let mut world = World::pipe().connected();
    world.line("/exit");
    assert_eq!(world.event(Event::Lost(LinkError::Closed)), ["quit Done"]);
    let mut world = World::pipe().connected();
    world.line("hello");
    world.line("/exit");
    assert_eq!(world.event(Event::Lost(LinkError::Closed)), ["! no answer to a message", "quit Failed"]);
}

#[test]
fn a_goodbye_that_nobody_asked_for_ends_the_connection() {
    let mut world = World::person().connected();
    let ended = world.packet(PacketType::DISCONNECT, "Server: Client-1 has disconnected from the server\n");
    assert_eq!(ended[0], "close");
    assert_eq!(ended.last().unwrap(), "* not connected; /connect tries again");
    assert_eq!(world.line("/connect"), ["open home:1 Auto"]);
}

#[test]
fn one_can_go_from_server_to_server() {
    let mut world = World::person().connected();
    assert_eq!(world.line("/connect other 2"), ["! already connected to home:1"]);
    assert_eq!(world.line("/disconnect"), ["send DISCONNECT"]);
    let text = "Server: Client-1 has disconnected from the server\n";
    let left = world.packet(PacketType::DISCONNECT, text);
    assert_eq!(left, ["close", &format!("| {}", text.trim_end()), "* disconnected"]);
    assert_eq!(world.line("hello"), ["! not connected"]);
    assert_eq!(world.line("/connect other 2"), ["open other:2 Auto"]);
    world.opened(ours(), noise());
    world.line("/exit");
    assert_eq!(world.packet(PacketType::DISCONNECT, text), ["close", "quit Done"]);
}

#[test]
fn encryption_is_switched_only_where_that_makes_sense() {
    let check = |peer: Peer, protection, line: &str, expected: &str| {
        let mut world = World::person();
        world.event(Event::Start { connect: true });
        world.opened(peer, protection);
        let effects = world.line(line);
        assert!(effects.last().unwrap().starts_with(expected), "{line}: {effects:?}");
    };
    for (line, ours_plain, ours_noise, ours_classic, original_plain, original_classic) in [
        (
            "/encryption on",
            "switch Noise",
            "* encrypted with Noise",
            "! classic",
            "ask turn classic",
            "switch Classic",
        ),
        ("/encryption noise", "switch Noise", "* encrypted", "! another", "! an original", "! another"),
        (
            "/encryption classic",
            "switch Classic",
            "! another",
            "switch Classic",
            "switch Classic",
            "switch Classic",
        ),
        (
            "/encryption off",
            "* encryption is off",
            "switch Off",
            "switch Off",
            "* encryption is off",
            "switch Off",
        ),
        ("/encryption", "* not encrypted", "* encrypted", "* classic", "* not encrypted", "* classic"),
    ] {
        check(ours(), Protection::Plain, line, ours_plain);
        check(ours(), noise(), line, ours_noise);
        check(ours(), Protection::Classic, line, ours_classic);
        check(Peer::Original, Protection::Plain, line, original_plain);
        check(Peer::Original, Protection::Classic, line, original_classic);
    }
}

#[test]
fn a_switch_is_told_and_one_that_failed_changes_nothing() {
    let mut world = World::person().connected();
    world.line("/encryption off");
    let text = "Server: Encryption turned off for Client-1\n".to_owned();
    let off = world.event(Event::Incoming(Incoming::Switched { protection: Protection::Plain, text }));
    assert_eq!(off[0], "| Server: Encryption turned off for Client-1");
    assert!(world.app.wants_line());
    world.line("/encryption on");
    assert_eq!(world.event(Event::NotSent(changed()))[0].split(':').next(), Some("! the identity of home"));
    assert!(world.app.wants_line());
    assert!(world.line("/encryption")[0].starts_with("* not encrypted"));
}

#[test]
fn the_user_list_is_shown_when_it_changes_and_when_asked_for() {
    let mut world = World::pipe().connected();
    world.line("/join");
    assert!(world.line("/users").is_empty(), "the answer to /join comes first");
    world.packet(PacketType::JOIN, "Server: Client-1 joined the chat room\n");
    let list = world.packet(PacketType::USERLIST, "Client-1:alice");
    assert_eq!(list, ["users Client-1 alice", "users! Client-1 alice"]);
    assert!(world.packet(PacketType::USERLIST, "Client-1:alice").is_empty());
    assert_eq!(world.line("/users"), ["users! Client-1 alice"]);
}

#[test]
fn control_c_cancels_then_leaves() {
    let mut world = World::person().connected();
    world.line("/login alice");
    assert_eq!(world.event(Event::Interrupt), ["* cancelled"]);
    assert_eq!(world.event(Event::Interrupt), ["send DISCONNECT"]);
    assert_eq!(world.later(2), ["close", "quit Interrupted"]);

    let mut world = World::person().connected();
    assert_eq!(world.event(Event::Interrupt), ["* Ctrl-C again leaves, and so does /exit"]);
    world.line("hello");
    assert_eq!(world.event(Event::Interrupt), ["* Ctrl-C again leaves, and so does /exit"]);
    assert_eq!(world.event(Event::Interrupt), ["send DISCONNECT"]);
    assert_eq!(world.event(Event::Interrupt), ["quit Interrupted"]);

    let mut world = World::person();
    world.event(Event::Start { connect: true });
    assert_eq!(world.event(Event::Interrupt), ["close", "* stopped connecting"]);

    let mut world = World::pipe().connected();
    assert_eq!(world.event(Event::Interrupt), ["send DISCONNECT"]);
    assert_eq!(world.packet(PacketType::DISCONNECT, "bye"), ["close", "quit Interrupted"]);
    assert_eq!(World::pipe().event(Event::Terminate), ["quit Interrupted"]);
}

#[test]
fn a_person_without_a_server_is_told_what_to_type() {
    let mut world = World::person();
    assert_eq!(world.event(Event::Start { connect: false }).len(), 2);
    assert_eq!(world.line("/help"), ["help"]);
    assert_eq!(world.line("/help jion"), ["! there is no command jion"]);
    assert!(world.line("").is_empty());
    assert_eq!(world.line("hello"), ["! not connected"]);
    assert_eq!(world.line("/connect"), ["open home:1 Auto"]);
    let failed = world.event(Event::OpenFailed(reset()));
    assert_eq!(failed.last().unwrap(), "* not connected; /connect tries again");
    assert_eq!(world.line("/exit"), ["quit Done"]);
}

#[test]
fn messages_too_long_for_a_packet_are_not_sent() {
    let mut world = World::pipe().connected();
    let refused = world.line(&"x".repeat(1 << 20));
    assert!(refused[0].starts_with("! not sent: a message has at most"), "{refused:?}");
}

/// Anything that can happen, in any order.
fn any_event() -> impl Strategy<Value = Event> {
    let line = prop_oneof![
        Just("/login alice secret"),
        Just("/login alice"),
        Just("/register alice secret"),
        Just("/encryption off"),
        Just("/encryption on"),
        Just("/join"),
        Just("/users"),
        Just("/disconnect"),
        Just("/connect"),
        Just("hello"),
    ];
    let packet = prop_oneof![
        Just((PacketType::LOGIN, "Server: Client-1 logged in as alice\n")),
        Just((PacketType::JOIN, "Server: Client-1 joined the chat room\n")),
        Just((PacketType::USERLIST, "a:b")),
        Just((PacketType::MESSAGE, "Client-1: hello\n")),
        Just((PacketType::DISCONNECT, "bye")),
        Just((PacketType::NOTICE, "code=bad-zone\ntext=no\n")),
        Just((PacketType::NOTICE, "garbage")),
    ];
    let protection = prop_oneof![Just(Protection::Plain), Just(Protection::Classic), Just(noise())];
    prop_oneof![
        4 => line.prop_map(|line| Event::Line(line.to_owned())),
        2 => packet.prop_map(|(kind, text)| {
            Event::Incoming(Incoming::Packet { kind, text: text.to_owned() })
        }),
        2 => protection.clone().prop_map(|protection| {
            Event::Opened { peer: ours(), protection, greeting: GREETING.to_owned() }
        }),
        1 => protection.prop_map(|protection| {
            Event::Incoming(Incoming::Switched { protection, text: String::new() })
        }),
        5 => (0..7).prop_map(|which| match which {
            0 => Event::Answer(Some(Secret::new("no"))),
            1 => Event::Answer(None),
            2 => Event::Deadline,
            3 => Event::Interrupt,
            4 => Event::Lost(reset()),
            5 => Event::NotSent(LinkError::Busy),
            _ => Event::OpenFailed(changed()),
        }),
    ]
}

proptest! {
    #[test]
    fn no_order_of_events_sends_a_password_in_the_clear(
        events in proptest::collection::vec(any_event(), 0..40),
        interactive in any::<bool>(),
    ) {
        let mut world = World::new(|config| {
            (config.interactive, config.reconnect) = (interactive, true);
        });
        world.event(Event::Start { connect: true });
        let mut protection = None;
        for event in events {
            match &event {
                Event::Opened { protection: now, .. }
                | Event::Incoming(Incoming::Switched { protection: now, .. }) => protection = Some(*now),
                _ => {}
            }
            world.now += Duration::from_secs(1);
            for effect in world.app.handle(world.now, event) {
                if matches!(effect, Effect::SendCredentials { .. }) {
                    prop_assert_ne!(protection, Some(Protection::Plain));
                }
            }
        }
    }
}
