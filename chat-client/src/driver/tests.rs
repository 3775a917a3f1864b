//! Several servers at once, without any network.

use std::collections::BTreeMap;

use chat_core::hello::Hello;
use chat_core::known_servers::ServerAddress;

use super::*;
use crate::app::Config;
use crate::link::{Dialect, Encryption, KeySource, LinkError, Peer, Protection, Timeouts, Trust};

/// Somebody who only reads what went wrong.
#[derive(Default)]
struct Reader {
    errors: Vec<(u32, String)>,
}

impl Front for Reader {
    fn show(&mut self, tab: TabId, show: &Show) -> io::Result<()> {
        if let Show::Error(text) = show {
            self.errors.push((tab.0, text.clone()));
        }
        Ok(())
    }

    fn want_line(&mut self, _tab: TabId) {}

    fn ask(&mut self, _tab: TabId, _question: Question) {}

    fn room(&self) -> impl Future<Output = ()> + 'static {
        std::future::ready(())
    }

    async fn next(&mut self) -> (TabId, Event) {
        pending().await
    }
}

fn target() -> Target {
    Target {
        address: ServerAddress::new("home", 1),
        agent: "chat-client/test".to_owned(),
        dialect: Dialect::Auto,
        encryption: Encryption::Off,
        trust: Trust { pins: None, demanded: None },
        classic_keys: KeySource::Fresh,
        timeouts: Timeouts::default(),
    }
}

fn app() -> App {
    let Target { address, dialect, encryption, .. } = target();
    let config = Config {
        interactive: true,
        asks: true,
        screen: true,
        reconnect: true,
        allow_plain_passwords: false,
        keyring: false,
        dialect,
        encryption,
        identity: None,
        zone: "Etc/UTC".to_owned(),
        destination: Destination { address, dialect, encryption, identity: None },
        servers: BTreeMap::new(),
        login: None,
        join: false,
    };
    App::new(config, 1)
}

/// Opens so many servers, all of which have answered.
fn connected(count: u32) -> Tabs {
    let start = || Event::Start { connect: true };
    let (errands, _) = mpsc::channel(1);
    let mut tabs = Tabs::new(app(), target(), start(), errands);
    (1..count).for_each(|_| tabs.open(app(), target(), start()));
    for id in (0..count).map(TabId) {
        let opened = Event::Opened {
            peer: Peer::Ours(Hello::new("chat-server/0.1.0")),
            protection: Protection::Plain,
            greeting: "Server: Client-1 has connected to the server\n".to_owned(),
            round_trip: Duration::ZERO,
        };
        tabs.events.push_back((id, opened));
    }
    assert_eq!(tabs.react(&mut Reader::default()).unwrap(), None);
    tabs
}

fn hear(tabs: &mut Tabs, id: u32, event: Event) -> Option<Exit> {
    hear_and_read(tabs, id, event).0
}

/// Returns also what is said to have gone wrong.
fn hear_and_read(tabs: &mut Tabs, id: u32, event: Event) -> (Option<Exit>, Vec<(u32, String)>) {
    let mut reader = Reader::default();
    tabs.events.push_back((TabId(id), event));
    let exit = tabs.react(&mut reader).unwrap();
    (exit, reader.errors)
}

fn line(text: &str) -> Event {
    Event::Line(text.to_owned())
}

fn lost() -> Event {
    Event::Lost(LinkError::Lost(io::ErrorKind::ConnectionReset.into()))
}

fn goodbye() -> Event {
    Event::Incoming(Incoming::Packet { kind: PacketType::DISCONNECT, text: "bye\n".to_owned() })
}

#[test]
fn all_servers_are_left_at_once_however_long_one_takes_to_say_goodbye() {
    let mut tabs = connected(3);
    assert_eq!(hear(&mut tabs, 1, Event::Line("/exit".to_owned())), None);
    assert!(tabs.tabs.iter().all(|tab| tab.app.leaves() == Some(Exit::Done)));
    assert_eq!(hear(&mut tabs, 0, goodbye()), None);
    assert_eq!(hear(&mut tabs, 2, goodbye()), None);
    assert_eq!(hear(&mut tabs, 1, goodbye()), Some(Exit::Done));
}

#[test]
fn closing_one_leaves_the_others_and_urgency_reaches_all() {
    let mut tabs = connected(3);
    assert_eq!(hear(&mut tabs, 0, Event::Line("/close".to_owned())), None);
    assert!(tabs.tabs.iter().all(|tab| tab.app.leaves().is_none()));
    assert_eq!(hear(&mut tabs, 0, goodbye()), None);
    assert_eq!((tabs.tabs.len(), hear(&mut tabs, 1, Event::EndOfInput)), (2, None));
    assert_eq!(hear(&mut tabs, 2, Event::Terminate), None);
    assert!(tabs.tabs.iter().all(|tab| tab.app.is_stopping()));
}

#[test]
fn no_server_is_left_while_one_has_something_to_lose_and_then_all_are() {
    let mut tabs = connected(2);
    hear(&mut tabs, 1, lost());
    hear(&mut tabs, 1, line("hello?"));
    let (exit, errors) = hear_and_read(&mut tabs, 0, line("/exit"));
    assert_eq!((exit, errors), (None, vec![(0, "home:1: 1 message was not sent yet".to_owned())]));
    assert!(tabs.tabs.iter().all(|tab| tab.app.leaves().is_none()));
    // What waited is sent, so the next time there is something to ask again.
    let opened = || Event::Opened {
        peer: Peer::Ours(Hello::new("chat-server/0.1.0")),
        protection: Protection::Plain,
        greeting: "Server: Client-1 has connected to the server\n".to_owned(),
        round_trip: Duration::ZERO,
    };
    hear(&mut tabs, 1, Event::Woke);
    hear(&mut tabs, 1, opened());
    hear(&mut tabs, 1, lost());
    hear(&mut tabs, 1, line("once more"));
    assert_eq!(hear_and_read(&mut tabs, 1, Event::EndOfInput).1.len(), 1);
    // After that it means all of them.
    assert_eq!(hear(&mut tabs, 0, line("/exit")), None);
    assert_eq!((tabs.tabs.len(), hear(&mut tabs, 0, goodbye())), (1, Some(Exit::Done)));
}

#[test]
fn what_was_never_sent_outlives_the_screen() {
    let mut tabs = connected(2);
    hear(&mut tabs, 1, lost());
    hear(&mut tabs, 1, line("hello?"));
    hear(&mut tabs, 0, Event::Leave);
    assert_eq!(hear(&mut tabs, 0, goodbye()), Some(Exit::Done));
    let said = vec![Show::Error("home:1: never sent: hello?".to_owned())];
    assert_eq!(tabs.ended(Exit::Done), Ended { exit: Exit::Done, last_words: said });

    // While the server is there and only a login keeps it back.
    let mut tabs = connected(1);
    hear(&mut tabs, 0, line("/login alice secret"));
    hear(&mut tabs, 0, line("hello?"));
    hear(&mut tabs, 0, Event::Terminate);
    assert_eq!(hear(&mut tabs, 0, goodbye()), Some(Exit::Interrupted));
    let last_words = tabs.ended(Exit::Interrupted).last_words;
    assert_eq!(last_words, [Show::Error("never sent: hello?".to_owned())]);

    let mut tabs = connected(1);
    hear(&mut tabs, 0, lost());
    hear(&mut tabs, 0, line("hello?"));
    assert_eq!(hear(&mut tabs, 0, line("/exit")), None);
    assert_eq!(hear(&mut tabs, 0, line("/exit")), Some(Exit::Done));
    assert_eq!(tabs.ended(Exit::Done).last_words, [Show::Error("never sent: hello?".to_owned())]);
}
