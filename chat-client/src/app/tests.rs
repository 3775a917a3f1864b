//! The state machine by example: what happened on the left, what is to be done on the right. Connections, encryption,
//! passwords, the keyring and what is held back have files of their own.

mod connection;
mod encryption;
mod held;
mod keyring;
mod passwords;

use std::collections::BTreeMap;
use std::io;

use chat_core::hello::Hello;
use chat_core::january;
use chat_core::known_servers::ServerAddress;
use chat_core::noise::Fingerprint;
use chat_core::notice::{self, NoticeCode};

use super::*;
use crate::link::{Basis, Dialect, Encryption};

const GREETING: &str = "Server: Client-1 has connected to the server\n";

const AGAIN: &str = "* Ctrl-C again within 5 s leaves, and so does /exit";

struct World {
    app: App,
    now: Instant,
}

impl World {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            interactive: false,
            asks: false,
            screen: false,
            reconnect: false,
            allow_plain_passwords: false,
            keyring: false,
            dialect: Dialect::Auto,
            encryption: Encryption::Auto,
            zone: "Europe/Paris".to_owned(),
            identity: None,
            destination: home(),
            servers: BTreeMap::new(),
            login: None,
            join: false,
        };
        change(&mut config);
        config.asks |= config.interactive;
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

    /// Returns what went wrong and what can be done about it, which [`World::event`] leaves out.
    fn trouble(&mut self, event: Event) -> Vec<String> {
        let told = |effect: &Effect| match effect {
            Effect::Show(Show::Error(text)) => Some(format!("! {text}")),
            Effect::Show(Show::Hint(text)) => Some(format!("> {text}")),
            _ => None,
        };
        self.app.handle(self.now, event).iter().filter_map(told).collect()
    }

    fn opened(&mut self, peer: Peer, protection: Protection) -> Vec<String> {
        self.event(Event::Opened {
            peer,
            protection,
            greeting: GREETING.to_owned(),
            round_trip: Duration::ZERO,
        })
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
        Effect::Show(Show::UsersChanged(names)) => format!("users~ {}", names.join(" ")),
        Effect::Show(Show::Help(_)) => "help".to_owned(),
        Effect::Show(Show::Note(text)) => format!("* {text}"),
        Effect::Show(Show::Error(text)) => format!("! {text}"),
        Effect::Show(Show::Hint(_)) => return None,
        Effect::Open(Destination { address, dialect, encryption, .. }) => {
            let dialect = if *dialect == Dialect::January { " 2026" } else { "" };
            format!("open {address} {encryption:?}{dialect}")
        }
        Effect::Send { kind, text, .. } => format!("send {} {text}", kind.name()).trim_end().to_owned(),
        Effect::SendCredentials { kind, user, password, .. } => {
            format!("send {} {user}:{}", kind.name(), password.expose())
        }
        Effect::Switch(to) => format!("switch {to:?}"),
        Effect::Keyring(Place { server, identity, user }, errand) => {
            let identity = if identity.is_some() { " known" } else { "" };
            let what = match errand {
                Errand::Find => "find".to_owned(),
                Errand::Keep(password) => format!("keep {}", password.expose()),
                Errand::Forget => "forget".to_owned(),
            };
            format!("keyring {user}@{server}{identity} {what}")
        }
        Effect::Probe => "probe".to_owned(),
        Effect::Close => "close".to_owned(),
        Effect::OpenBeside(Destination { address, .. }) => format!("open {address} beside"),
        Effect::Ask(Question { prompt, hidden }) => {
            format!("{} {}", if *hidden { "ask hidden" } else { "ask" }, prompt.trim_end())
        }
        Effect::Screen(command) => format!("screen {command:?}"),
        Effect::LeaveAll => "leave all".to_owned(),
        Effect::Quit(exit) => format!("quit {exit:?}"),
    })
}

fn home() -> Destination {
    let address = ServerAddress::new("home", 1);
    Destination { address, dialect: Dialect::Auto, encryption: Encryption::Auto, identity: None }
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
fn a_line_refused_as_the_one_before_is_refused_in_short_on_a_screen() {
    let help = "> /help lists the commands; // sends a line that begins with a slash";
    let left = "> the line is still there to be corrected; Ctrl-U deletes it";
    let nick = "! there is no /nick here: a name is an account, which /register makes and /login uses";
    let mut world = World::new(|config| (config.interactive, config.screen) = (true, true)).connected();
    let refused = |world: &mut World, line: &str| world.trouble(Event::Line(line.to_owned()));
    assert_eq!(refused(&mut world, "/nick bob"), [nick, help, left]);
    for typed_on in ["/nick bob", "/nick bobhello everybody"] {
        assert_eq!(refused(&mut world, typed_on), [format!("{nick} (Ctrl-U deletes the line)")]);
    }
    assert_eq!(refused(&mut world, "/export"), ["! usage: /export file", help, left]);
    assert_eq!(refused(&mut world, "/export"), ["! usage: /export file (Ctrl-U deletes the line)"]);
    world.line("hello");
    assert_eq!(refused(&mut world, "/export"), ["! usage: /export file", help, left]);
    let mut lines = World::person().connected();
    for _ in 0..2 {
        assert_eq!(refused(&mut lines, "/nick bob"), [nick, help], "nothing is left to be corrected");
    }
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
            let told = world.packet(PacketType::LOGIN, "Server: Unable to login as alice\n");
            let why = "a wrong password, no such account, or the name is in use there already";
            assert_eq!(told[1], format!("! the login as alice failed: {why}"));
        },
        "quit Failed",
    );
    check(
        &|world| {
            world.line("/register alice x");
            let told = world.packet(PacketType::REGISTER, "Server: The username alice is already taken\n");
            let why = "the name alice is taken, or not allowed; try another";
            assert_eq!(told[1], format!("! no account was made: {why}"));
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
fn the_user_list_is_shown_when_it_changes_and_when_asked_for() {
    let mut world = World::pipe().connected();
    assert_eq!(world.line("/users"), ["! the server has not said yet who is in the chat room"]);
    world.line("/join");
    assert!(world.line("/users").is_empty(), "the answer to /join comes first");
    world.packet(PacketType::JOIN, "Server: Client-1 joined the chat room\n");
    let list = world.packet(PacketType::USERLIST, "Client-1:alice");
    assert_eq!(list, ["users Client-1 alice", "users! Client-1 alice"]);
    assert!(world.packet(PacketType::USERLIST, "Client-1:alice").is_empty());
    assert_eq!(world.line("/users"), ["users! Client-1 alice"]);
}

#[test]
fn a_server_of_ours_sends_the_list_once_and_then_its_changes() {
    let mut world = World::pipe().connected();
    assert!(world.packet(PacketType::ROSTER, "+bob\n").is_empty(), "changes of a list that never came");
    world.line("/join");
    world.packet(PacketType::JOIN, "Server: Client-1 joined the chat room\n");
    world.packet(PacketType::USERLIST, "Client-1:alice");
    assert_eq!(world.packet(PacketType::ROSTER, "-alice\n+Bob\n"), ["users~ Bob Client-1"]);
    world.line("/join");
    world.line("/users");
    world.packet(PacketType::JOIN, "Server: Client-1 joined the chat room\n");
    let answered = world.packet(PacketType::ROSTER, "");
    assert_eq!(answered, ["users! Bob Client-1"], "nothing has changed, and that is the answer");
}

#[test]
fn a_server_that_the_settings_name_is_called_so() {
    let mut world = World::new(|config| {
        config.servers = BTreeMap::from([("mine".to_owned(), home())]);
    });
    world.event(Event::Start { connect: true });
    assert_eq!(world.app.status().place(), "mine");
    assert_eq!(World::pipe().app.status().place(), "home:1");
}

#[test]
fn control_c_cancels_then_leaves() {
    let mut world = World::person().connected();
    world.line("/login alice");
    assert_eq!(world.event(Event::Interrupt), ["* cancelled"]);
    assert_eq!(world.event(Event::Interrupt), ["send DISCONNECT"]);
    assert_eq!(world.later(2), ["close", "quit Interrupted"]);

    let mut world = World::person().connected();
    assert_eq!(world.event(Event::Interrupt), [AGAIN]);
    world.line("hello");
    assert_eq!(world.event(Event::Interrupt), [AGAIN]);
    world.later(6);
    assert_eq!(world.event(Event::Interrupt), [AGAIN], "somebody who comes back later means something else");
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
fn only_answers_make_leaving_take_longer_and_nothing_makes_an_interrupt() {
    let message = "Client-2: still here\n";
    let mut world = World::pipe().connected();
    world.line("/date");
    world.line("/exit");
    world.later(29);
    world.packet(PacketType::DATE, "Server: The date is Sunday, October 12, 2025\n");
    assert!(world.later(14).is_empty());
    world.packet(PacketType::MESSAGE, message);
    assert_eq!(world.later(1).last().unwrap(), "quit Failed");

    let mut world = World::pipe().connected();
    world.line("/date");
    world.event(Event::Interrupt);
    assert!(world.later(1).is_empty());
    world.packet(PacketType::DATE, "Server: The date is Sunday, October 12, 2025\n");
    world.event(Event::EndOfInput);
    assert_eq!(world.later(1), ["close", "quit Interrupted"]);
}

#[test]
fn asked_twice_to_stop_it_stops_at_once() {
    let stops: [fn() -> Event; 2] = [|| Event::Terminate, || Event::Interrupt];
    for again in stops {
        for mut world in [World::person().connected(), World::pipe().connected()] {
            assert_eq!(world.event(Event::Terminate), ["send DISCONNECT"]);
            assert_eq!(world.event(again()), ["quit Interrupted"]);
        }
    }
}

#[test]
fn a_person_without_a_server_is_told_what_to_type() {
    let mut world = World::person();
    assert_eq!(world.event(Event::Start { connect: false }).len(), 4);
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
