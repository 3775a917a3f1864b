//! What is typed before it can be obeyed: while the connection is made, a question is open or a login unanswered.

use super::*;

#[test]
fn what_is_typed_while_connecting_waits_in_order() {
    let mut world = World::person();
    world.event(Event::Start { connect: true });
    assert!(world.app.wants_line());
    for line in ["/join", "/login alice", "hello"] {
        assert_eq!(world.line(line), ["* kept until the connection is there"]);
    }
    assert_eq!(world.line("/help"), ["help"]);
    assert_eq!(world.line("/connect"), ["! connecting to home:1 already"]);
    let opened = world.opened(ours(), noise());
    // What comes after the question waits for the answer.
    assert_eq!(opened[2..], ["send JOIN", "ask hidden password of alice:"]);
    assert_eq!(world.line("crossed"), ["* kept until the question is answered"]);
    assert_eq!(world.answer("secret"), ["send LOGIN alice:secret"]);
    assert_eq!(world.line("last"), ["* kept until what came before is done"]);
    let sent = world.packet(PacketType::LOGIN, "Server: Client-1 logged in as alice\n");
    assert_eq!(sent[2..], ["send MESSAGE hello", "send MESSAGE crossed", "send MESSAGE last"]);
    assert_eq!(world.line("now"), ["send MESSAGE now"]);
}

#[test]
fn what_waits_for_a_login_is_not_said_under_another_name() {
    let asked = || {
        let mut world = World::person();
        world.event(Event::Start { connect: true });
        world.line("/login alice");
        world.line("hello");
        world.opened(ours(), noise());
        world
    };
    let refused = |world: &mut World| {
        world.answer("wrong");
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
