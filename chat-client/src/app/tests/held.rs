//! What is typed before it can be obeyed: while the connection is made or restored, a question is open or a login unanswered.
//! Under which name it is said in the end is in `held/names.rs`.

mod names;

use super::*;

fn logged_in(user: &str) -> (PacketType, String) {
    (PacketType::LOGIN, format!("Server: Client-1 logged in as {user}\n"))
}

fn refused(user: &str) -> (PacketType, String) {
    (PacketType::LOGIN, format!("Server: Unable to login as {user}\n"))
}

impl World {
    fn told(&mut self, (kind, text): (PacketType, String)) -> Vec<String> {
        self.packet(kind, &text)
    }

    /// Connects, and logs in as bob.
    fn as_bob() -> Self {
        let mut world = World::person().connected();
        world.line("/login bob pw");
        world.told(logged_in("bob"));
        world
    }

    /// Has a connection again after it was lost, and asks to be bob again.
    fn back(mut self) -> Self {
        self.event(Event::Lost(reset()));
        self.later(1);
        assert!(self.opened(ours(), noise()).contains(&"send LOGIN bob:pw".to_owned()));
        self
    }
}

/// Finds what a text is in: `!` before what was never said, `send` before what was.
fn said(effects: &[String], text: &str) -> Vec<String> {
    effects.iter().filter(|effect| effect.ends_with(text)).cloned().collect()
}

#[test]
fn what_is_typed_while_connecting_waits_in_order() {
    let mut world = World::person();
    world.event(Event::Start { connect: true });
    assert!(world.app.wants_line());
    for line in ["/join", "hello", "/login alice", "/date"] {
        assert_eq!(world.line(line), ["* kept until the connection is there"]);
    }
    assert_eq!(world.line("/help"), ["help"]);
    assert_eq!(world.line("/connect"), ["! connecting to home:1 already"]);
    let opened = world.opened(ours(), noise());
    // What comes after the question waits for the answer.
    assert_eq!(opened[2..], ["send JOIN", "send MESSAGE hello", "ask hidden password of alice:"]);
    assert_eq!(world.line("/whoami"), ["* kept until the question is answered"]);
    assert_eq!(world.answer("secret"), ["send LOGIN alice:secret"]);
    assert_eq!(world.line("last"), ["* kept until what came before is done"]);
    let sent = world.packet(PacketType::LOGIN, "Server: Client-1 logged in as alice\n");
    assert_eq!(sent[3..], ["send DATE Europe/Paris", "send WHOAMI", "send MESSAGE last"]);
    assert_eq!(world.line("now"), ["send MESSAGE now"]);
}

#[test]
fn what_waits_for_a_login_is_not_said_under_another_name() {
    let asked = || {
        let mut world = World::person();
        world.event(Event::Start { connect: true });
        world.line("/login alice secret");
        world.line("hello");
        world.opened(ours(), Protection::Plain);
        world
    };
    let refused = |world: &mut World| {
        world.answer("y");
        world.packet(PacketType::LOGIN, "Server: Unable to login as alice\n")
    };
    for what in [
        |world: &mut World| world.event(Event::Interrupt),
        |world: &mut World| world.answer(""),
        |world: &mut World| world.event(Event::Answer(None)),
        refused,
    ] {
        let told = what(&mut asked());
        assert!(told.contains(&"! never sent: hello".to_owned()), "{told:?}");
        assert!(!told.iter().any(|told| told.starts_with("send MESSAGE")), "{told:?}");
    }
}

#[test]
fn nothing_asks_again_at_the_end_of_the_input() {
    let mut world = World::person();
    world.event(Event::Start { connect: true });
    world.line("hello");
    let told = world.event(Event::EndOfInput);
    assert!(told.contains(&"! never sent: hello".to_owned()), "{told:?}");
    assert!(told.iter().any(|told| told.starts_with("quit")), "{told:?}");
}

#[test]
fn what_is_typed_while_connecting_is_named_if_nothing_comes_of_it() {
    let named = ["! never sent: hello", "! not done: /login"].map(str::to_owned);
    let connecting = || {
        let mut world = World::person();
        world.event(Event::Start { connect: true });
        world.line("hello");
        world.line("/login alice secret");
        world
    };
    for what in [
        |world: &mut World| world.event(Event::OpenFailed(reset())),
        |world: &mut World| world.line("/disconnect"),
        |world: &mut World| world.event(Event::Interrupt),
        |world: &mut World| world.event(Event::Terminate),
        |world: &mut World| {
            world.event(Event::OpenFailed(LinkError::Original(ServerAddress::new("home", 1))));
            world.answer("n")
        },
        |world: &mut World| {
            assert_eq!(world.line("/exit"), ["! 1 message was not sent yet"]);
            world.line("/exit")
        },
    ] {
        let told = what(&mut connecting());
        assert!(named.iter().all(|named| told.contains(named)), "{told:?}");
        assert!(!told.iter().any(|told| told.contains("secret")), "{told:?}");
    }
}

#[test]
fn what_is_typed_behind_a_login_waits_for_its_answer() {
    let typed = || {
        let mut world = World::person().connected();
        assert_eq!(world.line("/login bob pw"), ["send LOGIN bob:pw"]);
        assert_eq!(world.line("said as bob"), ["* kept until what came before is done"]);
        world
    };
    assert_eq!(said(&typed().told(refused("bob")), "said as bob"), ["! never sent: said as bob"]);
    assert_eq!(said(&typed().told(logged_in("bob")), "said as bob"), ["send MESSAGE said as bob"]);
    assert_eq!(said(&typed().later(30), "said as bob"), ["! never sent: said as bob"]);
    // Lost before it is answered, the login is repeated, and refused as long as the server has the old connection.
    let mut world = typed().back();
    assert!(said(&world.told(refused("bob")), "said as bob").is_empty());
    assert_eq!(world.later(1), ["send LOGIN bob:pw"]);
    assert_eq!(said(&world.told(logged_in("bob")), "said as bob"), ["send MESSAGE said as bob"]);
}

#[test]
fn a_server_that_is_too_busy_for_a_login_refuses_it_like_any_other() {
    let busy = |world: &mut World| {
        let told = world.notice(NoticeCode::Unavailable, "The server is busy; try again.");
        assert_eq!(told, ["* the server says: The server is busy; try again."]);
        world.told(refused("bob"))
    };
    let mut world = World::as_bob().back();
    world.line("said as bob");
    let told = busy(&mut world);
    assert!(told.iter().any(|told| told.starts_with("* not logged in as bob yet")), "{told:?}");
    assert_eq!(world.later(1), ["send LOGIN bob:pw"]);
    // A notice that no refusal follows is one itself.
    let told = world.notice(NoticeCode::Malformed, "no");
    assert!(told.iter().any(|told| told.starts_with("* not logged in as bob yet")), "{told:?}");
    assert_eq!(world.later(2), ["send LOGIN bob:pw"]);
    assert_eq!(said(&world.told(logged_in("bob")), "said as bob"), ["send MESSAGE said as bob"]);

    let mut world = World::person();
    world.event(Event::Start { connect: true });
    world.line("/login bob pw");
    world.line("said as bob");
    world.opened(ours(), noise());
    let told = busy(&mut world);
    assert_eq!(told[1..], ["! the server cannot log in bob now", "! never sent: said as bob"]);

    // What was said of one login is not said of the next, also if the refusal never came.
    let mut world = World::person().connected();
    world.line("/login bob pw");
    world.notice(NoticeCode::Unavailable, "The server is busy; try again.");
    world.later(30);
    world.line("/login bob wrong");
    assert!(world.told(refused("bob"))[1].starts_with("! the login as bob failed"));

    // One request, one answer: the next login is not refused by what was said of the first.
    let mut world = World::pipe().connected();
    world.line("/login bob pw");
    world.line("/login bob pw");
    busy(&mut world);
    world.told(logged_in("bob"));
    assert_eq!(world.app.status().me.as_deref(), Some("bob"));
}

#[test]
fn a_program_whose_login_is_restored_waits_for_a_busy_server() {
    let account = Account { user: "bot".to_owned(), password: Some(Secret::new("pw")), keep: false };
    let mut world = World::new(|config| (config.login, config.reconnect) = (Some(account), true)).connected();
    world.told(logged_in("bot"));
    world.event(Event::Lost(reset()));
    world.later(1);
    world.opened(ours(), noise());
    // Both were being read when the connection was lost.
    assert!(world.line("said as bot").is_empty() && world.event(Event::EndOfInput).is_empty());
    world.notice(NoticeCode::Unavailable, "The server is busy; try again.");
    world.told(refused("bot"));
    assert_eq!(world.later(1), ["send LOGIN bot:pw"]);
    let told = world.told(logged_in("bot"));
    assert_eq!(told[1..], ["send MESSAGE said as bot", "send DISCONNECT"]);
}

#[test]
fn a_program_whose_connection_is_lost_before_its_login_is_sent_begins_anew() {
    let lost = || {
        let account = Account { user: "bot".to_owned(), password: None, keep: false };
        let mut world = World::new(|config| {
            (config.login, config.reconnect, config.keyring) = (Some(account), true, true);
        })
        .connected();
        world.event(Event::Lost(reset()));
        world.later(1);
        world
    };
    let Protection::Noise { identity, .. } = noise() else { unreachable!() };
    let found = |identity| {
        let place = Place { server: home().address, identity, user: "bot".to_owned() };
        Event::Keyring(place, Outcome::Found(Ok(Some(Secret::new("pw")))))
    };
    let mut world = lost();
    world.opened(ours(), noise());
    assert!(!world.app.wants_line());
    assert_eq!(world.event(found(Some(identity))), ["send LOGIN bot:pw"]);
    assert!(!world.app.wants_line(), "nothing is said before it is answered");
    // Answered while there was no connection: asked again.
    let mut world = lost();
    assert!(world.event(found(Some(identity)))[0].starts_with("! not sent"));
    assert_eq!(world.opened(ours(), noise())[3..], ["keyring bot@home:1 known find"]);
}

#[test]
fn what_waits_for_a_login_that_is_never_sent_is_named() {
    let asked = |login: &str, protection| {
        let mut world = World::person();
        world.event(Event::Start { connect: true });
        world.line(login);
        world.line("/whoami");
        world.opened(ours(), protection);
        world
    };
    let never = ["! not done: /whoami"];
    for (login, protection, answer) in
        [("/login bob", noise(), "pw"), ("/login bob pw", Protection::Plain, "y")]
    {
        let mut world = asked(login, protection);
        world.event(Event::Lost(reset()));
        let told = world.answer(answer);
        assert_eq!(told[0], "! not sent: the connection is being restored");
        assert_eq!(said(&told, "/whoami"), never);
        world.later(1);
        assert!(said(&world.opened(ours(), protection), "WHOAMI").is_empty());
    }

    let mut world = asked("/login bob", noise());
    let off = Incoming::Switched { protection: Protection::Plain, text: String::new() };
    world.event(Event::Incoming(off));
    assert_eq!(said(&world.answer("pw"), "/whoami"), never);

    // The link could not take it.
    let mut world = asked("/login bob", noise());
    let sent = world.app.handle(world.now, Event::Answer(Some(Secret::new("pw"))));
    let Some(Effect::SendCredentials { ticket, .. }) = sent.last() else { panic!("{sent:?}") };
    let told = world.event(Event::NotSent(Some(*ticket), LinkError::Busy));
    assert_eq!(said(&told, "/whoami"), never);
}

#[test]
fn what_was_kept_is_named_by_whoever_disconnects() {
    let mut world = World::as_bob().back();
    world.told(refused("bob"));
    assert_eq!(world.line("will be lost"), ["* kept until you are logged in again"]);
    assert_eq!(world.line("/disconnect"), ["! never sent: will be lost", "send DISCONNECT"]);
    let mut world = World::as_bob();
    world.event(Event::Lost(reset()));
    world.line("will be lost");
    assert_eq!(
        world.line("/disconnect"),
        ["! never sent: will be lost", "close", "* no longer trying to connect"]
    );
}

#[test]
fn who_goes_to_another_server_says_nothing_there_that_was_meant_for_the_first() {
    for opening in [false, true] {
        let mut world = World::as_bob();
        world.event(Event::Lost(reset()));
        world.line("meant for the first");
        if opening {
            world.later(1);
        }
        let told = world.line("/connect other 2");
        assert_eq!(told[..2], ["close", "! never sent: meant for the first"]);
        assert!(said(&world.opened(ours(), noise()), "meant for the first").is_empty());
    }
}

#[test]
fn only_what_could_not_be_sent_is_taken_back() {
    let mut world = World::person();
    world.event(Event::Start { connect: true });
    for line in ["first", "second"] {
        world.line(line);
    }
    let greeting = GREETING.to_owned();
    let opened = Event::Opened { peer: ours(), protection: noise(), greeting, round_trip: Duration::ZERO };
    let effects = world.app.handle(world.now, opened);
    let first = effects.iter().find_map(|effect| match effect {
        Effect::Send { ticket, .. } => *ticket,
        _ => None,
    });
    assert_eq!(world.event(Event::NotSent(first, LinkError::Busy)).len(), 1);
    world.packet(PacketType::MESSAGE, "Client-1: second\n");
    assert!(world.later(60).is_empty(), "the second was answered");
}

#[test]
fn nothing_is_taken_that_may_be_a_password_typed_ahead() {
    for screen in [true, false] {
        check_what_is_typed_ahead(screen);
    }
}

fn check_what_is_typed_ahead(is_screen: bool) {
    let screen =
        || World::new(|config| (config.interactive, config.screen, config.keyring) = (true, is_screen, true));
    let refused = ["! not taken: wait for the question"];
    let mut world = screen().connected();
    world.line("/login carol");
    assert_eq!(world.line("hunter2"), refused, "while the keyring is asked");
    assert_eq!(world.line("/join"), ["* kept until the keyring has answered"]);
    world.line("/register carol");
    // A login that itself waits: the question is still to come.
    let mut world = screen();
    world.event(Event::Start { connect: true });
    assert_eq!(world.line("hello"), ["* kept until the connection is there"]);
    assert!(!world.app.status().awaits_password);
    world.line("/login carol");
    assert!(world.app.status().awaits_password);
    assert_eq!(world.line("hunter2"), refused);
    let account = Account { user: "carol".to_owned(), password: None, keep: false };
    let mut world = World::new(|config| {
        (config.interactive, config.screen, config.login) = (true, is_screen, Some(account));
    });
    world.event(Event::Start { connect: true });
    assert_eq!(world.line("hunter2"), refused);
    let sent = world.opened(ours(), noise());
    assert_eq!(sent.last().unwrap(), "ask hidden password of carol:");
    assert_eq!(world.line("hunter2"), refused, "it crossed the question");
    world.answer("hunter2");
    assert!(!world.app.status().awaits_password);
    assert_eq!(world.line("hello"), ["* kept until what came before is done"]);
}

#[test]
fn who_may_type_no_message_is_told_what_ends_that() {
    let mut world = World::as_bob();
    world.event(Event::Lost(reset()));
    let told = world.app.handle(world.now, Event::Line("/login bob".to_owned()));
    let hint =
        |effect: &Effect| matches!(effect, Effect::Show(Show::Hint(text)) if text.contains("/disconnect"));
    assert!(told.iter().any(hint), "{told:?}");
    assert_eq!(world.line("hello"), ["! not taken: wait for the question"]);
    assert_eq!(world.line("/disconnect")[0], "! not done: /login");
}
