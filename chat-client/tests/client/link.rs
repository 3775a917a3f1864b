//! The link over real sockets: our server, an original one, and somebody in between.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use chat_client::link::{
    self, Basis, Encryption, Incoming, LinkError, Misbehaviour, Peer, Protection, Switch,
};
use chat_client::{ProbeError, probe};
use chat_core::frame::packet;
use chat_core::noise::Fingerprint;
use chat_core::packet::PacketType as T;
use chat_core::ping;

use crate::original::Original;
use crate::proxy::{Mischief, Proxy};
use crate::world::{Home, NOBODY, PATIENCE, Server, next, server_address};

const SHORT: Duration = Duration::from_millis(50);

fn basis(protection: Protection) -> Basis {
    match protection {
        Protection::Noise { basis, .. } => basis,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_of_ours_is_pinned_at_first_contact_and_recognised_later() {
    let (server, home) = (Server::start(), Home::new());
    let target = home.target(server.address(), Encryption::Auto);
    let mut opened = link::open(&target).await.unwrap();
    assert_eq!(basis(opened.protection), Basis::FirstContact);
    assert_eq!(opened.greeting, "Server: Client-1 has connected to the server\n");
    opened.link.send(T::MESSAGE, "hello π\n".as_bytes()).unwrap();
    assert_eq!(next(&mut opened.link, T::MESSAGE).await.unwrap(), "Client-1: hello π\n");
    let again = link::open(&target).await.unwrap();
    assert_eq!(basis(again.protection), Basis::Pinned);
    assert_eq!(home.pins().lookup(&target.address).unwrap(), Some(server.running.fingerprint()));
}

#[tokio::test]
async fn bytes_may_come_one_by_one() {
    let (server, home) = (Server::start(), Home::new());
    let proxy = Proxy::start(server.address(), Mischief::Dribble);
    for encryption in [Encryption::Auto, Encryption::Classic, Encryption::Off] {
        let mut link = link::open(&home.target(proxy.address, encryption)).await.unwrap().link;
        link.send(T::MESSAGE, b"slow\n").unwrap();
        assert!(next(&mut link, T::MESSAGE).await.unwrap().ends_with(": slow\n"));
    }
}

#[tokio::test]
async fn encryption_is_switched_on_and_off_in_mid_connection() {
    let (server, home) = (Server::start(), Home::new());
    let mut link = link::open(&home.target(server.address(), Encryption::Auto)).await.unwrap().link;
    for to in [Switch::Off, Switch::Classic, Switch::Classic, Switch::Off, Switch::Noise] {
        link.switch(to).unwrap();
        // Queued behind the switch: it must leave in the new state.
        link.send(T::MESSAGE, b"on the way\n").unwrap();
        let Incoming::Switched { protection, .. } = link.next().await.unwrap() else { panic!() };
        match to {
            Switch::Off => assert_eq!(protection, Protection::Plain),
            Switch::Classic => assert_eq!(protection, Protection::Classic),
            Switch::Noise => assert_eq!(basis(protection), Basis::Pinned),
        }
        assert_eq!(next(&mut link, T::MESSAGE).await.unwrap(), "Client-1: on the way\n");
    }
    assert!(matches!(link.switch(Switch::Classic), Err(LinkError::Busy)));
}

#[tokio::test]
async fn an_original_server_is_spoken_to_only_if_that_is_asked_for() {
    let (original, home) = (Original::start(), Home::new());
    let open = |encryption| {
        let target = home.target(original.address, encryption);
        async move { link::open(&target).await }
    };
    assert!(matches!(open(Encryption::Auto).await, Err(LinkError::Original(_))));
    assert!(matches!(open(Encryption::Noise).await, Err(LinkError::Original(_))));
    let mut plain = open(Encryption::Off).await.unwrap();
    assert_eq!((plain.peer, plain.protection), (Peer::Original, Protection::Plain));
    let mut classic = open(Encryption::Classic).await.unwrap();
    assert_eq!(classic.protection, Protection::Classic);
    classic.link.send(T::MESSAGE, "hello π\n".as_bytes()).unwrap();
    for link in [&mut classic.link, &mut plain.link] {
        assert_eq!(next(link, T::MESSAGE).await.unwrap(), "Client-4: hello π\n");
    }
    assert!(matches!(classic.link.switch(Switch::Noise), Err(LinkError::Original(_))));
    classic.link.switch(Switch::Classic).unwrap();
    let switched = classic.link.next().await.unwrap();
    assert!(matches!(switched, Incoming::Switched { protection: Protection::Classic, .. }), "{switched:?}");
    classic.link.send(T::MESSAGE, b"new keys\n").unwrap();
    for link in [&mut classic.link, &mut plain.link] {
        assert_eq!(next(link, T::MESSAGE).await.unwrap(), "Client-4: new keys\n");
    }
}

#[tokio::test]
async fn another_identity_at_a_pinned_address_is_refused() {
    let (server, home) = (Server::start(), Home::new());
    let target = home.target(server.address(), Encryption::Auto);
    let expected = Fingerprint::of(&[7; 32]);
    home.pins().pin(&target.address, expected).unwrap();
    let Err(LinkError::ChangedIdentity { pinned, offered, .. }) = link::open(&target).await else { panic!() };
    assert_eq!((pinned, offered), (expected, server.running.fingerprint()));
    assert_eq!(home.pins().lookup(&target.address).unwrap(), Some(expected));
}

#[tokio::test]
async fn only_the_demanded_identity_will_do() {
    let (server, home) = (Server::start(), Home::new());
    let mut target = home.target(server.address(), Encryption::Auto);
    target.trust.demanded = Some(Fingerprint::of(&[7; 32]));
    assert!(matches!(link::open(&target).await, Err(LinkError::NotDemanded { .. })));
    assert_eq!(home.pins().lookup(&target.address).unwrap(), None);
    target.trust.demanded = Some(server.running.fingerprint());
    assert_eq!(basis(link::open(&target).await.unwrap().protection), Basis::Demanded);
}

#[tokio::test]
async fn a_server_that_hides_its_encryption_is_taken_for_an_original_only_where_nothing_is_pinned() {
    let (server, home) = (Server::start(), Home::new());
    for mischief in [Mischief::StripHello, Mischief::StripCaps] {
        let proxy = Proxy::start(server.address(), mischief);
        let target = home.target(proxy.address, Encryption::Auto);
        let refused = link::open(&target).await.unwrap_err();
        assert!(matches!(refused, LinkError::Original(_) | LinkError::NoNoise(_)), "{refused}");
        home.pins().pin(&target.address, server.running.fingerprint()).unwrap();
        for encryption in [Encryption::Auto, Encryption::Noise, Encryption::Classic, Encryption::Off] {
            let target = home.target(proxy.address, encryption);
            let refused = link::open(&target).await.unwrap_err();
            assert!(matches!(refused, LinkError::Stripped { .. }), "{encryption:?}: {refused}");
        }
    }
}

#[tokio::test]
async fn whoever_changes_or_adds_bytes_ends_the_connection() {
    let (server, home) = (Server::start(), Home::new());
    for (mischief, expected) in [(Mischief::Tamper, "Noise"), (Mischief::Inject, "OutsideSecure")] {
        let proxy = Proxy::start(server.address(), mischief);
        match link::open(&home.target(proxy.address, Encryption::Auto)).await {
            Err(LinkError::Misbehaved(error)) => assert!(format!("{error:?}").starts_with(expected)),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_service_that_says_nothing_or_something_else_is_no_chat_server() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut target = Home::new().target(silent.local_addr().unwrap(), Encryption::Auto);
    target.timeouts.greeting = SHORT;
    let error = link::open(&target).await.unwrap_err();
    assert!(matches!(error, LinkError::NoGreeting { .. }) && error.is_transient(), "{error}");

    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = web.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in web.incoming() {
            let _ = stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let error = link::open(&Home::new().target(address, Encryption::Auto)).await.unwrap_err();
    assert!(matches!(error, LinkError::Misbehaved(Misbehaviour::Frame(_))), "{error}");
}

/// A server of ours that greets, then says the given packets, and is silent for ever.
fn greeting_server(then: &[Vec<u8>]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let hello = packet(T::HELLO, b"protocol=2\nagent=x\ncaps=noise,notice,ping\n").unwrap();
    let connected = packet(T::CONNECT, b"Server: Client-1 has connected to the server\n").unwrap();
    let packets = [vec![hello, connected], then.to_vec()].concat().concat();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.write_all(&packets).unwrap();
            kept.push(stream);
        }
    });
    address
}

/// A server of ours that says the given packets first and others over and over, as fast as it can.
fn flooding_server(first: Vec<Vec<u8>>, flood: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let flood = flood.repeat(64 * 1024 / flood.len());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&first.concat()).unwrap();
        while stream.write_all(&flood).is_ok() {}
    });
    address
}

/// Runs a future on a thread of its own, so that one that never lets go fails the test instead of stopping it.
fn on_a_thread<T: Send + 'static>(act: impl AsyncFnOnce() -> T + Send + 'static) -> T {
    let (sender, done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        sender.send(runtime.block_on(act())).unwrap();
    });
    done.recv_timeout(PATIENCE).expect("the flood stops everything else")
}

#[test]
fn a_server_that_never_stops_talking_does_not_stop_the_clock() {
    let hello = || packet(T::HELLO, b"protocol=2\nagent=x\ncaps=noise,notice,ping\n").unwrap();
    let connected = || packet(T::CONNECT, b"Server: Client-1 has connected to the server\n").unwrap();
    let ping = || packet(T::PING, &ping::request(1)).unwrap();
    for flood in [ping(), packet(T::MESSAGE, b"").unwrap()] {
        let before_the_greeting = flooding_server(vec![hello()], flood.clone());
        let error = on_a_thread(async move || {
            let mut target = Home::new().target(before_the_greeting, Encryption::Off);
            target.timeouts.greeting = SHORT;
            link::open(&target).await.unwrap_err()
        });
        assert!(matches!(error, LinkError::NoGreeting { .. }), "{error:?}");
        for encryption in [Encryption::Auto, Encryption::Classic] {
            let during_the_switch = flooding_server(vec![hello(), connected()], flood.clone());
            let error = on_a_thread(async move || {
                let mut target = Home::new().target(during_the_switch, encryption);
                target.timeouts.switch = SHORT;
                link::open(&target).await.unwrap_err()
            });
            assert!(matches!(error, LinkError::NoSwitch(_)), "{error:?}");
        }
    }
    let afterwards = flooding_server(vec![hello(), connected()], ping());
    on_a_thread(async move || {
        let mut link = link::open(&Home::new().target(afterwards, Encryption::Off)).await.unwrap().link;
        assert!(tokio::time::timeout(SHORT, link.next()).await.is_err());
    });
}

#[tokio::test]
async fn little_is_kept_of_what_comes_before_the_greeting() {
    let hello = packet(T::HELLO, b"protocol=2\nagent=x\ncaps=noise,notice,ping\n").unwrap();
    let connected = packet(T::CONNECT, b"Server: Client-1 has connected to the server\n").unwrap();
    let messages = packet(T::MESSAGE, b"").unwrap().repeat(10_000);
    let address = flooding_server(vec![hello, messages, connected], packet(T::USERLIST, b"").unwrap());
    let mut link = link::open(&Home::new().target(address, Encryption::Off)).await.unwrap().link;
    let mut kept = 0;
    while let Incoming::Packet { kind: T::MESSAGE, .. } = link.next().await.unwrap() {
        kept += 1;
    }
    assert_eq!(kept, 4096);
}

#[tokio::test]
async fn a_server_that_has_gone_silent_is_asked_and_then_given_up() {
    let mut target = Home::new().target(greeting_server(&[]), Encryption::Off);
    (target.timeouts.ping_after, target.timeouts.pong) = (SHORT, SHORT);
    let mut opened = link::open(&target).await.unwrap();
    let error = next(&mut opened.link, T::MESSAGE).await.unwrap_err();
    assert!(matches!(error, LinkError::Silent(_)) && error.is_transient(), "{error}");

    // Our own answers, for longer than that.
    let server = Server::start();
    let mut target = Home::new().target(server.address(), Encryption::Auto);
    (target.timeouts.ping_after, target.timeouts.pong) = (SHORT, PATIENCE);
    let mut link = link::open(&target).await.unwrap().link;
    let asked_again = async {
        loop {
            assert!(matches!(link.next().await, Ok(Incoming::RoundTrip(time)) if time < PATIENCE));
        }
    };
    assert!(tokio::time::timeout(SHORT * 10, asked_again).await.is_err());
    link.send(T::MESSAGE, b"still here\n").unwrap();
    assert_eq!(next(&mut link, T::MESSAGE).await.unwrap(), "Client-1: still here\n");
}

#[tokio::test]
async fn a_switch_that_is_refused_or_ignored_ends_the_connection() {
    for encryption in [Encryption::Auto, Encryption::Classic] {
        let refusal = packet(T::NOTICE, b"code=bad-key\ntext=Not with me.\n").unwrap();
        let target = Home::new().target(greeting_server(&[refusal]), encryption);
        let error = link::open(&target).await.unwrap_err();
        assert!(matches!(&error, LinkError::SwitchRefused(text) if text == "Not with me."), "{error:?}");
        let mut target = Home::new().target(greeting_server(&[]), encryption);
        target.timeouts.switch = SHORT;
        let error = link::open(&target).await.unwrap_err();
        assert!(matches!(error, LinkError::NoSwitch(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_that_turns_clients_away_is_heard() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let hello = packet(T::HELLO, b"protocol=2\nagent=x\ncaps=noise\n").unwrap();
        let notice = packet(T::NOTICE, b"code=full\ntext=No more connections.\n").unwrap();
        stream.write_all(&[hello, notice].concat()).unwrap();
        // What the client sent is read first: closing over it would reset the connection.
        let _ = std::io::Read::read(&mut stream, &mut [0; 1024]);
    });
    let error = link::open(&Home::new().target(address, Encryption::Auto)).await.unwrap_err();
    assert!(matches!(&error, LinkError::TurnedAway(text) if text == "No more connections."), "{error:?}");
}

#[tokio::test]
async fn nobody_there_is_an_error_that_names_the_address() {
    let error = link::open(&Home::new().target(NOBODY, Encryption::Auto)).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot connect to {NOBODY}"));
    assert!(error.is_transient() && !error.hints().is_empty());
}

#[tokio::test]
async fn a_probe_tells_who_is_there_and_leaves_no_trace() {
    let server = Server::start();
    let address = server_address(server.address());
    let fingerprint = server.running.fingerprint();
    for expected in [None, Some(fingerprint)] {
        let found = probe(&address, expected, PATIENCE).await.unwrap();
        assert_eq!(found.fingerprint, fingerprint);
        assert!(found.agent.starts_with("chat-server/"), "{}", found.agent);
    }
    let other = probe(&address, Some(Fingerprint::of(&[7; 32])), PATIENCE).await.unwrap_err();
    assert!(matches!(&other, ProbeError::Link { source: LinkError::NotDemanded { .. }, .. }), "{other:?}");
    assert!(!other.is_transient());
    let original = Original::start();
    let error = probe(&server_address(original.address), None, PATIENCE).await.unwrap_err();
    assert!(matches!(&error, ProbeError::Link { source: LinkError::Original(_), .. }), "{error:?}");
}
