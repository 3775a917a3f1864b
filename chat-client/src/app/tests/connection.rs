//! Openings, losses, switches of servers.

use super::*;

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
        (config.interactive, config.destination.encryption) = (true, Encryption::Noise);
    });
    demanding.event(Event::Start { connect: true });
    assert!(demanding.event(original())[0].starts_with("! home:1 is an original"));
}

#[test]
fn before_a_server_of_january_2026_the_person_agrees_and_a_pipe_fails() {
    let january = || Event::OpenFailed(LinkError::January(ServerAddress::new("home", 1)));
    for (answer, expected) in [("y", "open home:1 Classic 2026"), ("n", "* not connected")] {
        let mut world = World::person();
        world.event(Event::Start { connect: true });
        assert_eq!(world.event(january()).last().unwrap(), "ask connect all the same? [y/N]");
        assert_eq!(world.answer(answer), [expected]);
    }
    let mut world = World::pipe();
    world.event(Event::Start { connect: true });
    assert_eq!(world.event(january()).last().unwrap(), "quit Failed");
}

#[test]
fn on_a_server_of_january_2026_everybody_is_in_the_room() {
    let mut world = World::new(|config| {
        (config.interactive, config.reconnect, config.join) = (true, true, true);
    });
    world.event(Event::Start { connect: true });
    let opened = world.opened(Peer::January, Protection::Classic);
    assert_eq!(opened.last().unwrap(), "| Server: Client-1 has connected to the server", "no JOIN is sent");
    assert!(world.app.status().joined);
    assert!(world.line("/join")[0].starts_with("* in the room already"));
    assert!(world.line("/leave")[0].starts_with("! on this server everybody"));
    assert_eq!(world.line("/encryption off"), ["! this server's encryption cannot be turned off"]);
    assert_eq!(world.line("/encryption noise"), ["! this server knows only its own cipher"]);
    assert!(world.line("/encryption on")[0].starts_with("* classic encryption"));
    world.line("/login alice secret");
    world.packet(PacketType::LOGIN, "Server: Client-1 logged in as alice\n");
    world.packet(PacketType::USERLIST, "alice");
    let profile = "client_name=Client-1:client_ip=::1:client_port=1:logged_in=True:username=alice";
    assert!(world.packet(january::PROFILE, profile).is_empty(), "nobody asked");
    assert_eq!(world.line("/profile"), ["send UNKNOWN"]);
    assert_eq!(world.packet(january::PROFILE, profile), [format!("| {profile}")]);
    world.event(Event::Lost(reset()));
    assert_eq!(world.later(1), ["open home:1 Classic 2026"]);
    let opened = world.opened(Peer::January, Protection::Classic);
    assert_eq!(opened.last().unwrap(), "send LOGIN alice:secret", "and no JOIN");
    assert!(World::person().connected().line("/profile")[0].starts_with("! only servers"));
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
    assert_eq!(world.line("hello?"), ["* kept until the connection is back"]);
    assert_eq!(world.later(1), ["open home:1 Noise"]);
    for line in ["/date", "anybody?"] {
        assert_eq!(world.line(line), ["* kept until the connection is back"]);
    }
    assert!(world.event(Event::OpenFailed(reset())).is_empty(), "the reason is the same");
    world.later(2);
    let opened = world.opened(ours(), noise());
    assert_eq!(opened[2], "* back after 3 s; what others said meanwhile has not come here");
    assert_eq!(opened[3..], ["send LOGIN alice:secret", "send JOIN"]);
    assert_eq!(world.line("still there?"), ["* kept until you are logged in again"]);
    let back = world.packet(PacketType::LOGIN, "Server: Client-1 logged in as alice\n");
    let sent = [
        "send MESSAGE hello?",
        "send DATE Europe/Paris",
        "send MESSAGE anybody?",
        "send MESSAGE still there?",
    ];
    assert_eq!(back[1..], sent, "nothing is said under another name");
}

/// A server that has not noticed the loss takes alice to be there still.
#[test]
fn a_login_that_is_refused_after_a_loss_is_tried_again() {
    let refused = "Server: Unable to login as alice\n";
    let mut world = World::person().connected();
    world.line("/login alice secret");
    world.packet(PacketType::LOGIN, "Server: Client-1 logged in as alice\n");
    world.event(Event::Lost(reset()));
    world.line("hello?");
    world.later(1);
    world.opened(ours(), noise());
    let told = world.packet(PacketType::LOGIN, refused);
    assert!(told.iter().any(|told| told.contains("not logged in as alice yet")), "{told:?}");
    assert_eq!(world.later(1), ["send LOGIN alice:secret"]);
    // Lost once more, it still knows.
    world.event(Event::Lost(reset()));
    world.later(5);
    assert_eq!(world.opened(ours(), noise())[3..], ["send LOGIN alice:secret"]);
    let mut attempts = 0;
    let given_up = loop {
        let told = world.packet(PacketType::LOGIN, refused);
        if world.later(60) != ["send LOGIN alice:secret"] {
            break told;
        }
        attempts += 1;
    };
    assert_eq!(attempts, 7);
    assert!(given_up.contains(&"! never sent: hello?".to_owned()), "{given_up:?}");
    assert!(given_up.last().unwrap().starts_with("! not logged in as alice any more"), "{given_up:?}");
    assert_eq!(world.line("so be it"), ["send MESSAGE so be it"]);
}

#[test]
fn a_program_says_nothing_under_another_name() {
    let account = || Account { user: "bot".to_owned(), password: Some(Secret::new("pw")), keep: false };
    let mut world = World::new(|config| config.login = Some(account())).connected();
    assert!(!world.app.wants_line());
    let refused = world.packet(PacketType::LOGIN, "Server: Unable to login as bot\n");
    assert!(refused[1].starts_with("! the login as bot failed: "), "{refused:?}");
    assert_eq!(
        refused[2..],
        ["! not logged in as bot: nothing is said under another name", "send DISCONNECT"]
    );
    let mut world = World::new(|config| config.login = Some(account())).connected();
    world.packet(PacketType::LOGIN, "Server: Client-1 logged in as bot\n");
    assert!(world.app.wants_line());
}

#[test]
fn what_was_kept_and_cannot_be_sent_is_named() {
    let lost = || {
        let mut world = World::person().connected();
        world.event(Event::Lost(reset()));
        world.line("hello?");
        world
    };
    let never = "! never sent: hello?".to_owned();
    let mut world = lost();
    world.later(1);
    assert!(world.event(Event::OpenFailed(changed())).contains(&never));
    assert!(lost().line("/disconnect").contains(&never));
    assert!(lost().line("/connect other 2").contains(&never));
    let mut world = lost();
    assert_eq!(world.line("/exit"), ["! 1 message was not sent yet"]);
    assert_eq!(world.line("/exit"), ["! never sent: hello?", "quit Done"]);
}

#[test]
fn who_is_kicked_stays_away_until_they_say_otherwise() {
    let mut world = World::person().connected();
    world.notice(NoticeCode::Kicked, "Whoever runs this server has ended your connection.");
    let lost = world.event(Event::Lost(LinkError::Closed));
    assert_eq!(lost.last().unwrap(), "* not connected; /connect tries again");
    assert_eq!(world.line("/connect"), ["open home:1 Auto"]);
}

#[test]
fn a_server_that_goes_on_restarting_is_waited_for() {
    let mut world = World::person().connected();
    let restart = |world: &mut World| {
        world.notice(NoticeCode::Restart, "back soon");
        world.event(Event::Lost(LinkError::Closed))
    };
    assert_eq!(restart(&mut world).last().unwrap(), "open home:1 Noise", "at once");
    world.opened(ours(), noise());
    assert!(restart(&mut world).last().unwrap().contains("reconnecting in"), "not at once again");
}

#[test]
fn the_server_must_prove_again_who_it_is() {
    let mut world = World::person().connected();
    world.event(Event::Lost(reset()));
    world.now += Duration::from_secs(1);
    let effects = world.app.handle(world.now, Event::Deadline);
    let demanded = effects.iter().find_map(|effect| match effect {
        Effect::Open(destination) => destination.identity,
        _ => None,
    });
    assert!(matches!(noise(), Protection::Noise { identity, .. } if Some(identity) == demanded));
}

#[test]
fn another_identity_after_a_loss_is_refused_even_if_it_is_pinned_by_now() {
    let mut world = World::person().connected();
    world.event(Event::Lost(reset()));
    world.later(1);
    let Protection::Noise { identity: demanded, .. } = noise() else { unreachable!() };
    let offered = Fingerprint::of(&[2; 32]);
    let refused = world.trouble(Event::OpenFailed(LinkError::NotDemanded { demanded, offered }));
    assert!(
        refused[0].starts_with("! the server is not the one from before: that was SHA256:"),
        "{refused:?}"
    );
    assert_eq!(
        refused[1..],
        [
            "> somebody may be pretending to be the server: ask who runs it for the fingerprint",
            "> if you know that this server was set up anew: chat-client forget home 1",
        ]
    );
    assert_eq!(world.line("/connect"), ["open home:1 Auto"], "whoever says so goes on with the new one");
}

#[test]
fn only_so_many_messages_are_kept_without_a_connection() {
    let mut world = World::person().connected();
    world.event(Event::Lost(reset()));
    for _ in 0..100 {
        assert_eq!(world.line("x"), ["* kept until the connection is back"]);
    }
    assert_eq!(world.line("x"), ["! not sent: 100 lines wait already"]);
    world.later(1);
    world.event(Event::OpenFailed(reset()));
    world.later(5);
    assert_eq!(world.opened(ours(), noise()).len(), 3 + 100);
}

#[test]
fn a_server_that_announces_its_restart_is_reconnected_to_at_once() {
    let mut world = World::person().connected();
    world.line("/join");
    world.packet(PacketType::JOIN, "Server: Client-1 joined the chat room\n");
    assert_eq!(world.notice(NoticeCode::Restart, "back soon"), ["* the server says: back soon"]);
    let lost = world.event(Event::Lost(LinkError::Closed));
    assert_eq!(
        lost,
        ["* the server stopped; reconnecting in case it is being restarted", "open home:1 Noise"]
    );
    let failed = world.event(Event::OpenFailed(reset()));
    assert!(failed[0].contains("; reconnecting in"), "{failed:?}");
}

#[test]
fn after_sleep_the_server_is_asked_and_a_wait_is_over() {
    let mut world = World::person();
    assert!(world.event(Event::Woke).is_empty());
    world = world.connected();
    assert_eq!(world.event(Event::Woke), ["probe"]);
    world.event(Event::Lost(reset()));
    assert_eq!(world.event(Event::Woke), ["open home:1 Noise"]);
    assert!(world.event(Event::Woke).is_empty());
}

#[test]
fn on_a_screen_another_server_is_talked_with_beside() {
    let mut world = World::new(|config| {
        (config.interactive, config.screen) = (true, true);
        config.servers.insert(
            "work".to_owned(),
            Destination { address: ServerAddress::new("work.example", 7), ..home() },
        );
    });
    assert_eq!(world.line("/connect home 1"), ["open home:1 Auto"]);
    world.opened(ours(), noise());
    assert_eq!(world.line("/connect work"), ["open work.example:7 beside"]);
    assert_eq!(world.line("/connect"), ["! already connected to home:1"]);
    let mut other = world.app.beside(home());
    assert_eq!(other.handle(world.now, Event::Start { connect: true }).len(), 1);
    assert_eq!(world.line("/close"), ["send DISCONNECT"]);
    assert_eq!(world.packet(PacketType::DISCONNECT, "bye"), ["close", "quit Closed"]);
    let mut lines = World::person().connected();
    assert_eq!(lines.line("/connect work"), ["! already connected to home:1"]);
    assert_eq!(lines.line("/close"), ["! only the full screen can do that"]);
}

#[test]
fn connecting_by_hand_while_waiting_restores_as_much() {
    let mut world = World::person().connected();
    world.line("/join");
    world.packet(PacketType::JOIN, "Server: Client-1 joined the chat room\n");
    world.event(Event::Lost(reset()));
    assert_eq!(world.line("/connect"), ["open home:1 Noise"]);
    let opened = world.opened(ours(), noise());
    assert_eq!(opened[3..], ["send JOIN"]);
}

#[test]
fn a_connection_lost_again_before_all_is_restored_forgets_nothing() {
    let mut world = World::person().connected();
    world.line("/join");
    world.line("/login alice secret");
    for _ in 0..3 {
        let lost = world.event(Event::Lost(reset()));
        assert!(lost.len() == 1 && lost[0].contains("reconnecting in"), "{lost:?}");
        world.later(5);
        let opened = world.opened(ours(), noise());
        assert_eq!(opened[3..], ["send LOGIN alice:secret", "send JOIN"]);
    }
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
    assert_eq!(world.opened(ours(), noise()).len(), 3);
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
fn a_server_that_greets_and_closes_is_tried_ever_more_rarely() {
    let lose_after = |world: &mut World, seconds| {
        world.opened(ours(), noise());
        world.now += Duration::from_secs(seconds);
        world.event(Event::Lost(reset()))
    };
    let mut world = World::new(|config| config.reconnect = true).connected();
    let mut losses = 0;
    while !lose_after(&mut world, 1).iter().any(|effect| effect.starts_with("quit")) {
        losses += 1;
        world.later(60);
    }
    assert_eq!(losses, MAX_ATTEMPTS_IN_PIPE);

    let mut world = World::new(|config| config.reconnect = true).connected();
    for _ in 0..=2 * MAX_ATTEMPTS_IN_PIPE {
        let lost = lose_after(&mut world, 30);
        assert!(lost.last().unwrap().contains("reconnecting in 0."), "{lost:?}");
        world.later(60);
    }
}

#[test]
fn what_a_pipe_had_read_when_the_connection_was_lost_is_sent_on_the_next_one() {
    let mut world = World::new(|config| config.reconnect = true).connected();
    world.event(Event::Lost(reset()));
    assert!(world.line("hello").is_empty());
    assert_eq!(world.later(1), ["open home:1 Noise"]);
    assert_eq!(world.opened(ours(), noise())[3..], ["send MESSAGE hello"]);
    world.packet(PacketType::MESSAGE, "Client-1: hello\n");

    world.event(Event::Lost(reset()));
    assert!(world.event(Event::EndOfInput).is_empty());
    world.later(2);
    assert_eq!(world.opened(ours(), noise())[3..], ["send DISCONNECT"]);
    assert_eq!(world.packet(PacketType::DISCONNECT, "bye"), ["close", "quit Done"]);

    // One request at a time: what is restored comes first.
    let mut world =
        World::new(|config| (config.reconnect, config.destination.encryption) = (true, Encryption::Off))
            .connected_plain(Peer::Original);
    world.line("/join");
    world.packet(PacketType::JOIN, "Server: Client-1 joined the chat room\n");
    world.event(Event::Lost(reset()));
    world.line("hello");
    world.later(1);
    assert_eq!(world.opened(Peer::Original, Protection::Plain)[3..], ["send JOIN"]);
    world.packet(PacketType::JOIN, "Server: Client-1 joined the chat room\n");
    assert_eq!(world.packet(PacketType::USERLIST, "Client-1"), ["users Client-1", "send MESSAGE hello"]);
}

#[test]
fn a_pipe_that_ends_while_a_login_is_unanswered_tells_what_became_of_it() {
    let lost = || {
        let mut world = World::new(|config| config.reconnect = true).connected();
        world.line("/login alice x");
        world.event(Event::Lost(reset()));
        assert!(world.event(Event::EndOfInput).is_empty());
        world.later(1);
        world
    };
    let mut world = lost();
    assert_eq!(world.opened(ours(), noise())[3..], ["send LOGIN alice:x"]);
    for _ in 0..7 {
        world.packet(PacketType::LOGIN, "Server: Unable to login as alice\n");
        world.later(60);
    }
    let refused = world.packet(PacketType::LOGIN, "Server: Unable to login as alice\n");
    assert_eq!(refused.last().unwrap(), "send DISCONNECT");
    assert_eq!(world.packet(PacketType::DISCONNECT, "bye"), ["close", "quit Failed"]);

    let mut world = lost();
    assert_eq!(world.event(Event::OpenFailed(changed())).last().unwrap(), "quit Failed");
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
fn a_long_outage_is_told_of_when_its_reason_changes() {
    let mut world = World::person().connected();
    world.event(Event::Lost(LinkError::Closed));
    let fail = |world: &mut World, error| {
        world.later(60);
        world.event(Event::OpenFailed(error)).len()
    };
    assert_eq!(fail(&mut world, reset()), 1);
    assert!((0..100).all(|_| fail(&mut world, reset()) == 0));
    assert_eq!(fail(&mut world, LinkError::Closed), 1);
}

#[test]
fn a_server_that_says_goodbye_unasked_leaves_nothing_unsaid_of_what_was_sent() {
    let mut world = World::person().connected();
    world.line("hello");
    let ended = world.packet(PacketType::DISCONNECT, "bye");
    assert!(ended.contains(&"! no answer to a message".to_owned()), "{ended:?}");
}
