//! Several servers at once, without any network.

use std::collections::BTreeMap;

use chat_core::hello::Hello;
use chat_core::known_servers::ServerAddress;

use super::*;
use crate::app::Config;
use crate::link::{Dialect, Encryption, KeySource, Peer, Protection, Timeouts, Trust};

/// Somebody who looks away.
struct Nobody;

impl Front for Nobody {
    fn show(&mut self, _tab: TabId, _show: &Show) -> io::Result<()> {
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
    assert_eq!(tabs.react(&mut Nobody).unwrap(), None);
    tabs
}

fn hear(tabs: &mut Tabs, id: u32, event: Event) -> Option<Exit> {
    tabs.events.push_back((TabId(id), event));
    tabs.react(&mut Nobody).unwrap()
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
