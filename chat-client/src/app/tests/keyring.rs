//! The keyring: when a password is looked for, kept and forgotten, and that nothing waits for it in vain.

use super::*;
use crate::keyring::KeyringError;

const LOGGED_IN: &str = "Server: Client-1 logged in as alice\n";

fn place(identity: bool) -> Place {
    let Protection::Noise { identity: known, .. } = noise() else { unreachable!() };
    Place { server: home().address, identity: identity.then_some(known), user: "alice".to_owned() }
}

fn found(password: Option<&str>) -> Event {
    Event::Keyring(place(true), Outcome::Found(Ok(password.map(Secret::new))))
}

fn failed(error: KeyringError) -> Event {
    Event::Keyring(place(true), Outcome::Found(Err(error)))
}

fn person() -> World {
    World::new(|config| (config.interactive, config.reconnect, config.keyring) = (true, true, true))
}

#[test]
fn a_password_is_kept_only_if_that_was_asked_for_and_the_server_took_it() {
    let mut world = person().connected();
    world.line("/login alice wrong --keep");
    assert!(
        world.packet(PacketType::LOGIN, LOGGED_IN)[0].starts_with('|'),
        "the rest of the line is the password"
    );
    let mut world = person().connected();
    assert_eq!(world.line("/login alice --keep wrong"), ["send LOGIN alice:wrong"]);
    world.packet(PacketType::LOGIN, "Server: Unable to login as alice\n");
    assert_eq!(world.line("/login alice --keep"), ["ask hidden password of alice:"], "not looked for");
    assert_eq!(world.answer("two words"), ["send LOGIN alice:two words"]);
    let told = world.packet(PacketType::LOGIN, LOGGED_IN);
    assert_eq!(told[0], "keyring alice@home:1 known keep two words");
    let kept = world.event(Event::Keyring(place(true), Outcome::Kept(Ok(()))));
    assert_eq!(kept, ["* the keyring keeps the password of alice for home:1; /forget alice removes it"]);
    // Once is enough: after a loss it logs in again, and keeps nothing again.
    world.event(Event::Lost(reset()));
    world.later(1);
    assert!(world.opened(ours(), noise()).contains(&"send LOGIN alice:two words".to_owned()));
    assert!(world.packet(PacketType::LOGIN, LOGGED_IN)[0].starts_with('|'));
}

#[test]
fn a_new_account_s_password_can_be_kept() {
    let mut world = person().connected();
    world.line("/register alice --keep");
    assert_eq!(world.answer("pw"), ["ask hidden password of alice, again:"]);
    world.answer("pw");
    let told = world.packet(PacketType::REGISTER, "Server: The username alice was successfully registered\n");
    assert_eq!(told[0], "keyring alice@home:1 known keep pw");
    let error = KeyringError::Absent("no bus".to_owned());
    let kept = world.event(Event::Keyring(place(true), Outcome::Kept(Err(error))));
    assert_eq!(kept, ["! the password is not kept: there is no keyring to be reached: no bus"]);
}

#[test]
fn a_missing_password_is_looked_for_and_then_asked_for() {
    let mut world = person().connected();
    assert_eq!(world.line("/login alice"), ["keyring alice@home:1 known find"]);
    assert!(!world.app.wants_line());
    assert_eq!(world.event(found(Some("kept"))), ["send LOGIN alice:kept"]);
    world.packet(PacketType::LOGIN, LOGGED_IN);
    world.line("/login alice");
    assert_eq!(world.event(found(None)), ["ask hidden password of alice:"]);
    world.answer("pw");
    world.packet(PacketType::LOGIN, LOGGED_IN);
    world.line("/login alice");
    let locked = KeyringError::Refused("locked".to_owned());
    assert_eq!(
        world.event(failed(locked)),
        ["* the keyring refused: locked", "ask hidden password of alice:"]
    );
    world.answer("pw");
    world.packet(PacketType::LOGIN, LOGGED_IN);
    world.line("/login alice");
    assert_eq!(world.event(failed(KeyringError::NotBuilt)), ["ask hidden password of alice:"]);
}

#[test]
fn who_gives_up_waiting_is_not_logged_in_later() {
    let mut world = person().connected();
    world.line("/login alice");
    assert_eq!(world.event(Event::Interrupt), ["* cancelled"]);
    assert!(world.app.wants_line());
    assert!(world.event(found(Some("kept"))).is_empty());
    world.line("/login alice");
    world.event(Event::Incoming(Incoming::Switched { protection: Protection::Plain, text: String::new() }));
    assert!(world.event(found(Some("kept")))[0].starts_with("! not sent: the connection is not the one"));
}

#[test]
fn what_the_keyring_says_for_a_server_that_was_left_is_not_heard() {
    let mut world = person().connected();
    world.line("/login alice");
    world.line("/disconnect");
    world.packet(PacketType::DISCONNECT, "bye");
    assert_eq!(world.line("/connect other 2"), ["open other:2 Auto"]);
    assert_eq!(world.line("meant for the other"), ["* kept until the connection is there"]);
    assert!(world.event(found(None)).is_empty());
    let opened = world.opened(ours(), noise());
    assert_eq!(opened.last().unwrap(), "send MESSAGE meant for the other");
    // Nor does it keep the login from being tried that a program begins with.
    let login = || Some(Account { user: "alice".to_owned(), password: None, keep: false });
    let mut world = World::new(|config| {
        (config.interactive, config.reconnect, config.keyring, config.login) = (true, true, true, login());
    })
    .connected();
    world.event(Event::Lost(reset()));
    world.line("/disconnect");
    world.line("/connect");
    assert_eq!(world.opened(ours(), noise()).last().unwrap(), "keyring alice@home:1 known find");
}

#[test]
fn a_program_is_told_what_is_wrong() {
    let login = || Some(Account { user: "alice".to_owned(), password: None, keep: false });
    let begin = || {
        let mut world = World::new(|config| (config.login, config.keyring) = (login(), true));
        world.event(Event::Start { connect: true });
        assert_eq!(world.opened(ours(), noise())[2..], ["keyring alice@home:1 known find"]);
        assert!(!world.app.wants_line());
        world
    };
    assert_eq!(begin().event(found(Some("kept"))), ["send LOGIN alice:kept"]);
    let anonymous = ["! not logged in as alice: nothing is said under another name", "send DISCONNECT"];
    let missing = begin().event(found(None));
    assert_eq!(missing[0], "! the keyring has no password of alice for home:1");
    assert_eq!(missing[1..], anonymous);
    let late = KeyringError::TimedOut(Duration::from_secs(60));
    let mut world = begin();
    let told = world.event(failed(late));
    assert_eq!(told[0], "! not logged in: the keyring did not answer within 60 s");
    assert_eq!(told[1..], anonymous);
    assert_eq!(world.event(Event::Lost(LinkError::Closed)), ["quit Failed"]);
}

#[test]
fn the_program_ends_when_the_keyring_has_what_it_is_to_keep() {
    let mut world = World::new(|config| config.keyring = true).connected();
    world.line("/login alice --keep pw");
    world.event(Event::EndOfInput);
    world.packet(PacketType::LOGIN, LOGGED_IN);
    world.packet(PacketType::USERLIST, "");
    let goodbye = world.packet(PacketType::DISCONNECT, "Server: alice has disconnected from the server\n");
    assert_eq!(goodbye, ["close"]);
    assert!(!world.app.wants_line());
    let kept = world.event(Event::Keyring(place(true), Outcome::Kept(Ok(()))));
    assert_eq!(kept.last().unwrap(), "quit Done");
}

#[test]
fn a_kept_password_is_forgotten_when_told() {
    let mut world = person().connected();
    assert_eq!(world.line("/forget"), ["! whose password? nobody is logged in"]);
    assert_eq!(world.line("/forget alice"), ["keyring alice@home:1 known forget"]);
    let forgotten = |gone| Event::Keyring(place(true), Outcome::Forgotten(Ok(gone)));
    assert_eq!(
        world.event(forgotten(true)),
        ["* the keyring has forgotten the password of alice for home:1"]
    );
    assert_eq!(world.event(forgotten(false)), ["! the keyring has no password of alice for home:1"]);
    assert_eq!(World::person().line("/forget alice"), ["! not connected"]);
}
