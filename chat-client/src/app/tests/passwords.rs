//! Passwords: who is asked, what is refused, and that none leaves in the clear unagreed.

use proptest::prelude::*;

use super::*;

#[test]
fn somebody_may_be_logged_in_from_the_start_and_only_there() {
    let login = || Some(Account { user: "alice".to_owned(), password: Some(Secret::new("pw")), keep: false });
    let mut world = World::new(|config| (config.login, config.join) = (login(), true));
    world.event(Event::Start { connect: true });
    assert_eq!(world.opened(ours(), noise())[2..], ["send JOIN", "send LOGIN alice:pw"]);
    assert!(world.app.beside(home()).config.login.is_none());
    let mut plain = World::new(|config| config.login = login());
    plain.event(Event::Start { connect: true });
    let opened = plain.opened(ours(), Protection::Plain);
    assert_eq!(opened[2], "! not sent: a password over a connection without encryption");
    assert_eq!(opened.last().unwrap(), "send DISCONNECT", "a program is not heard under another name");
}

#[test]
fn who_is_logged_in_at_one_server_from_the_start_is_nobody_at_another() {
    let login = || Some(Account { user: "alice".to_owned(), password: Some(Secret::new("pw")), keep: false });
    let begin = || {
        let mut world = World::new(|config| (config.interactive, config.login) = (true, login()));
        world.event(Event::Start { connect: true });
        world
    };
    let gone_on = |mut world: World| {
        assert_eq!(world.line("/connect other 2").last().unwrap(), "open other:2 Auto");
        world.opened(ours(), noise())
    };
    let mut left = begin();
    left.opened(ours(), noise());
    left.line("/disconnect");
    left.packet(PacketType::DISCONNECT, "bye");
    let mut failed = begin();
    failed.event(Event::OpenFailed(reset()));
    for world in [left, failed] {
        assert!(!gone_on(world).iter().any(|effect| effect.contains("LOGIN")));
    }
    let mut first = World::new(|config| (config.interactive, config.login) = (true, login()));
    first.event(Event::Start { connect: false });
    assert_eq!(gone_on(first).last().unwrap(), "send LOGIN alice:pw", "it was for wherever one goes first");
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
    world.packet(PacketType::LOGIN, "Server: Client-1 logged in as alice\n");
    assert_eq!(world.line("/register bob"), ["ask hidden password of bob:"]);
    assert_eq!(world.answer("one"), ["ask hidden password of bob, again:"]);
    let again = [
        "! the two passwords differ: type it again, or press Return alone to cancel",
        "ask hidden password of bob:",
    ];
    assert_eq!(world.answer("two"), again);
    assert_eq!(world.answer("one"), ["ask hidden password of bob, again:"]);
    assert_eq!(world.answer("one"), ["send REGISTER bob:one"]);
    world.line("/login alice");
    assert_eq!(world.answer(""), ["* cancelled"]);
}

#[test]
fn a_command_in_place_of_a_password_cancels_the_question() {
    let cancelled = ["* cancelled: that was a command, not a password; type it again"];
    let mut world = World::person().connected();
    for command in ["/exit", " /login bob secret", "/register bob", "/help", "/q"] {
        world.line("/login alice");
        assert_eq!(world.answer(command), cancelled, "{command}");
        assert!(world.app.wants_line());
    }
    world.line("/register bob");
    world.answer("one");
    assert_eq!(world.answer("/help"), cancelled, "the second time as well");
    world.line("/login alice");
    assert_eq!(world.answer("/s3cret"), ["send LOGIN alice:/s3cret"], "a slash alone makes no command");
    let mut world = World::person().connected();
    assert_eq!(world.line("/login alice /exit"), ["send LOGIN alice:/exit"], "here it can be nothing else");
}

#[test]
fn a_login_is_not_restored_over_a_weaker_connection() {
    let mut world = World::person().connected();
    world.line("/login alice secret");
    world.packet(PacketType::LOGIN, "Server: Client-1 logged in as alice\n");
    world.event(Event::Lost(reset()));
    world.later(1);
    let opened = world.opened(ours(), Protection::Plain);
    let refused = "! not sent: a password over a connection without encryption";
    assert_eq!(opened[3], refused);
    assert!(opened[4].starts_with("! not logged in as alice any more"), "{opened:?}");

    // Encryption turned off after the login is no permission to send the password without.
    let mut world = World::person().connected();
    world.line("/login alice secret");
    world.packet(PacketType::LOGIN, "Server: Client-1 logged in as alice\n");
    let off = Incoming::Switched { protection: Protection::Plain, text: String::new() };
    world.event(Event::Incoming(off));
    world.event(Event::Lost(reset()));
    assert_eq!(world.later(1), ["open home:1 Off"]);
    let opened = world.opened(ours(), Protection::Plain);
    assert_eq!(opened[3], refused);
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
            Event::Opened { peer: ours(), protection, greeting: GREETING.to_owned(), round_trip: Duration::ZERO }
        }),
        1 => protection.prop_map(|protection| {
            Event::Incoming(Incoming::Switched { protection, text: String::new() })
        }),
        5 => (0..8).prop_map(|which| match which {
            0 => Event::Answer(Some(Secret::new("no"))),
            1 => Event::Answer(None),
            2 => Event::Deadline,
            3 => Event::Interrupt,
            4 => Event::Lost(reset()),
            5 => Event::NotSent(None, LinkError::Busy),
            6 => Event::NotSwitched(LinkError::Busy),
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

#[test]
fn whoever_types_for_a_program_is_asked_for_the_password() {
    let mut world = World::new(|config| config.asks = true).connected();
    assert_eq!(world.line("/login alice"), ["ask hidden password of alice:"]);
    assert_eq!(world.answer("secret"), ["send LOGIN alice:secret"]);
    world.packet(PacketType::LOGIN, "Server: Client-1 logged in as alice\n");
    world.line("/login bob");
    assert_eq!(world.event(Event::Answer(None)), ["* cancelled"]);
    world.line("/exit");
    assert_eq!(world.packet(PacketType::DISCONNECT, "bye").last().unwrap(), "quit Failed");
}
