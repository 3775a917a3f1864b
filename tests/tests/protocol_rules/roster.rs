//! ROSTER, and what becomes of user lists that a slow reader has not read.

use chat_core::packet::PacketType as P;
use chat_core::text;
use chat_server::Clock;
use chat_tests::{Packet, Peer, TestServer};

#[test]
fn whoever_understands_roster_gets_the_list_once_and_then_changes() {
    let server = TestServer::start();
    let mut old = server.peer();
    let (mut new, _, _) = Peer::hello(server.address());
    for joined in ["Client-1", "Client-1:Client-2"] {
        let (joiner, name) =
            if joined == "Client-1" { (&mut old, "Client-1") } else { (&mut new, "Client-2") };
        joiner.send(P::JOIN, "");
        for peer in [&mut old, &mut new] {
            peer.expect(P::JOIN, format!("Server: {name} joined the chat room\n"));
        }
        old.expect(P::USERLIST, joined);
        match name {
            "Client-1" => new.expect(P::USERLIST, joined),
            _ => new.expect(P::ROSTER, "+Client-2\n"),
        }
    }
    let mut change = |kind, body: &str, list: &str, changes: &str| {
        new.send(kind, body);
        if kind == P::REGISTER {
            return assert_eq!(new.receive().kind, P::REGISTER);
        }
        assert_eq!((old.receive().kind, new.receive().kind), (kind, kind));
        // What changes nothing is announced, and has a list for its requester alone.
        if !changes.is_empty() {
            old.expect(P::USERLIST, list);
        }
        new.expect(P::ROSTER, changes);
    };
    change(P::REGISTER, "alice:pw", "", "");
    change(P::LOGIN, "alice:pw", "Client-1:alice", "-Client-2\n+alice\n");
    change(P::JOIN, "", "Client-1:alice", "");
    change(P::LOGOUT, "", "Client-1:Client-2", "-alice\n+Client-2\n");
    change(P::LEAVE, "", "Client-1", "-Client-2\n");
    change(P::LEAVE, "", "Client-1", "");
    old.vanish();
    new.expect(P::LEAVE, "Server: Client-1 left the chat room\n");
    new.expect(P::ROSTER, "-Client-1\n");
}

#[test]
fn changes_go_on_when_encryption_is_turned_on_and_off() {
    let server = TestServer::start();
    let mut old = server.peer();
    let (mut new, ours, theirs) = Peer::hello(server.address());
    let mut toggle = |kind| {
        old.send(kind, "");
        let _ = old.skip_to(P::USERLIST);
    };
    toggle(P::JOIN);
    new.encrypt_noise(&ours, &theirs);
    toggle(P::LEAVE);
    assert_eq!(new.receive().kind, P::LEAVE);
    new.expect(P::ROSTER, "-Client-1\n");
    new.encrypt_off();
    toggle(P::JOIN);
    assert_eq!(new.receive().kind, P::JOIN);
    new.expect(P::ROSTER, "+Client-1\n");
}

#[test]
fn a_slow_reader_gets_its_own_lists_and_only_the_last_of_the_others() {
    const EVENTS: usize = 50;
    let server = TestServer::start_with(Clock::system(), |settings, _| {
        settings.limits.outbox_bytes = 64 << 20;
        settings.limits.max_message_bytes = 100_000;
    });
    let (mut slow, mut busy) = (server.peer(), server.peer());
    // More than the kernel keeps for a reader, so that what follows waits in the server.
    let line = "x".repeat(100_000);
    for _ in 0..200 {
        busy.send(P::MESSAGE, &line);
        let _ = busy.skip_to(P::MESSAGE);
    }
    for event in 0..EVENTS {
        busy.send(if event % 2 == 0 { P::JOIN } else { P::LEAVE }, "");
        let _ = busy.skip_to(P::USERLIST);
        if event == EVENTS / 2 - 1 {
            slow.send(P::JOIN, "");
            busy.expect(P::JOIN, "Server: Client-1 joined the chat room\n");
            let _ = busy.skip_to(P::USERLIST);
        }
    }
    slow.send(P::CONNECT, "");
    let mut received = Vec::new();
    loop {
        let packet = slow.receive();
        match packet.kind {
            P::MESSAGE => {}
            P::CONNECT => break,
            _ => received.push(packet),
        }
    }
    let lists: Vec<_> =
        received.iter().filter(|packet| packet.kind == P::USERLIST).map(Packet::text).collect();
    assert_eq!(lists, ["Client-1:Client-2", "Client-1"], "its own, and the last");
    let others = received.iter().filter(|packet| [P::JOIN, P::LEAVE].contains(&packet.kind)).count();
    assert_eq!(others, EVENTS + 1, "no event is lost");
    assert_eq!(
        text::split_user_list(received.last().unwrap().text()).count(),
        1,
        "and the list comes after them"
    );
}
