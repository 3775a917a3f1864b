//! Sections 3 to 5: names, requests, who receives the answers, and in which order.

use chat_core::packet::PacketType as P;
use chat_tests::{Peer, TestServer};

const JOINED_1: &str = "Server: Client-1 joined the chat room\n";

#[test]
fn everyone_is_every_open_connection() {
    let server = TestServer::start();
    let (mut a, mut b) = (server.peer(), server.peer());
    let mut silent = server.peer();
    a.send(P::JOIN, "a body is ignored");
    for peer in [&mut a, &mut b, &mut silent] {
        peer.expect(P::JOIN, JOINED_1);
        peer.expect(P::USERLIST, "Client-1");
    }
    b.send(P::MESSAGE, "not joined\n");
    for peer in [&mut a, &mut b, &mut silent] {
        peer.expect(P::MESSAGE, "Client-2: not joined\n");
    }
}

#[test]
fn what_changes_nothing_is_told_to_everyone_and_listed_for_its_requester_alone() {
    let server = TestServer::start();
    let (mut a, mut b) = (server.peer(), server.peer());
    let (mut ours, _, _) = Peer::hello(server.address());
    a.send(P::JOIN, "");
    for peer in [&mut a, &mut b, &mut ours] {
        peer.expect(P::JOIN, JOINED_1);
        peer.expect(P::USERLIST, "Client-1");
    }
    for (kind, text) in [(P::JOIN, JOINED_1), (P::LEAVE, "Server: Client-2 left the chat room\n")] {
        let (requester, other) = if kind == P::JOIN { (&mut a, &mut b) } else { (&mut b, &mut a) };
        requester.send(kind, "");
        requester.expect(kind, text);
        requester.expect(P::USERLIST, "Client-1");
        other.expect(kind, text);
        other.fence();
        ours.expect(kind, text);
    }
    ours.send(P::LEAVE, "");
    ours.expect(P::LEAVE, "Server: Client-3 left the chat room\n");
    ours.expect(P::ROSTER, "");
}

#[test]
fn who_asks_for_a_list_that_has_not_changed_is_sent_the_changes_of_that_one() {
    let server = TestServer::start();
    let mut a = server.peer();
    let (mut ours, _, _) = Peer::hello(server.address());
    ours.send(P::LEAVE, "");
    ours.expect(P::LEAVE, "Server: Client-2 left the chat room\n");
    ours.expect(P::USERLIST, "");
    assert_eq!(a.receive().kind, P::LEAVE);
    a.send(P::JOIN, "");
    ours.expect(P::JOIN, JOINED_1);
    ours.expect(P::ROSTER, "+Client-1\n");
}

#[test]
fn a_connection_that_has_said_nothing_hears_nothing_until_it_has() {
    let server = TestServer::start();
    let mut a = server.peer();
    let mut mute = Peer::connect(server.address());
    // Whoever comes third is accepted after the second.
    let _third = server.peer();
    a.send(P::JOIN, "");
    a.skip_to(P::USERLIST);
    mute.fence();
    a.send(P::LEAVE, "");
    mute.expect(P::LEAVE, "Server: Client-1 left the chat room\n");
    mute.expect(P::USERLIST, "");
}

#[test]
fn answers_to_a_request_reach_the_requester_only() {
    let server = TestServer::start();
    let (mut a, mut b) = (server.peer(), server.peer());
    for (kind, body) in [
        (P::CONNECT, ""),
        (P::WHOAMI, ""),
        (P::DATE, "Etc/UTC"),
        (P::TIME, "Etc/UTC"),
        (P::REGISTER, "alice:pw"),
        (P::LOGIN, "alice:wrong"),
        (P::LOGIN, "nobody:pw"),
    ] {
        a.send(kind, body);
        assert_eq!(a.receive().kind, kind);
    }
    b.fence();
}

#[test]
fn answers_keep_the_order_of_the_requests_even_when_one_takes_longer() {
    let server = TestServer::start_with(chat_server::Clock::system(), |settings, _| {
        settings.accounts.memory_kib = 19 * 1024;
        settings.accounts.iterations = 2;
    });
    let mut a = server.peer();
    let requests = [
        (P::REGISTER, "alice:pw"),
        (P::WHOAMI, ""),
        (P::LOGIN, "alice:pw"),
        (P::MESSAGE, "hello\n"),
        (P::LOGIN, "alice:wrong"),
        (P::DATE, "Etc/UTC"),
    ];
    for (kind, body) in requests {
        a.send(kind, body);
    }
    let answers: Vec<_> = (0..7).map(|_| a.receive()).collect();
    let kinds: Vec<_> = answers.iter().map(|packet| packet.kind).collect();
    assert_eq!(kinds, [P::REGISTER, P::WHOAMI, P::LOGIN, P::USERLIST, P::MESSAGE, P::LOGIN, P::DATE]);
    assert_eq!(answers[4].text(), "alice: hello\n");
}

#[test]
fn messages_of_each_sender_keep_their_order_at_every_receiver() {
    const COUNT: usize = 200;
    let server = TestServer::start();
    let (a, b) = (server.peer(), server.peer());
    let receivers = [server.peer(), server.peer()];
    let senders = [(a, "Client-1"), (b, "Client-2")].map(|(mut peer, name)| {
        std::thread::spawn(move || {
            for number in 0..COUNT {
                peer.send(P::MESSAGE, format!("{number}\n"));
            }
            (peer, name)
        })
    });
    let senders = senders.map(|thread| thread.join().unwrap());
    for mut receiver in receivers {
        let mut seen = [0; 2];
        for _ in 0..2 * COUNT {
            let packet = receiver.receive();
            let (name, number) = packet.text().trim_end().split_once(": ").unwrap();
            let sender = senders.iter().position(|(_, sender)| *sender == name).unwrap();
            assert_eq!(number, seen[sender].to_string(), "from {name}");
            seen[sender] += 1;
        }
        receiver.fence();
    }
}

#[test]
fn a_message_arrives_as_it_was_sent() {
    let server = TestServer::start();
    let mut a = server.peer();
    for text in ["", "\n", "no line feed", "two\nlines\n", "π and 😀 é\n", "\u{feff}\0\r\n"] {
        a.send(P::MESSAGE, text);
        a.expect(P::MESSAGE, format!("Client-1: {text}"));
    }
}

#[test]
fn a_refused_login_is_answered_and_changes_nothing() {
    let server = TestServer::start();
    let (mut a, mut b) = (server.peer(), server.peer());
    register(&mut a, "alice");
    for credentials in ["alice:wrong", "alice:", "Alice:pw", "nobody:pw"] {
        a.send(P::LOGIN, credentials);
        let name = credentials.split(':').next().unwrap();
        a.expect(P::LOGIN, format!("Server: Unable to login as {name}\n"));
    }
    login(&mut a, "Client-1", "alice");
    b.expect(P::LOGIN, "Server: Client-1 logged in as alice\n");
    b.expect(P::USERLIST, "");
    b.send(P::LOGIN, "alice:pw");
    b.expect(P::LOGIN, "Server: Unable to login as alice\n");
    a.fence();
}

#[test]
fn a_name_is_free_again_however_its_holder_goes() {
    type Leave = fn(Peer);
    let ways: [(&str, Leave); 4] = [
        ("DISCONNECT", |mut peer| {
            peer.send(P::DISCONNECT, "");
            peer.expect(P::DISCONNECT, "Server: alice has disconnected from the server\n");
            peer.expect_end();
        }),
        ("end of stream", |peer| peer.vanish()),
        ("malformed packet", |mut peer| peer.send_bytes(&[0; 8])),
        ("half a packet", |mut peer| {
            peer.send_bytes(&[0, 0, 0, 9, 11, b'x']);
            peer.vanish();
        }),
    ];
    let server = TestServer::start();
    let mut rest = server.peer();
    register(&mut rest, "alice");
    for (number, (way, leave)) in (2..).zip(ways) {
        let mut peer = server.peer();
        login(&mut peer, &format!("Client-{number}"), "alice");
        leave(peer);
        let heard = [rest.receive(), rest.receive(), rest.receive(), rest.receive()];
        let heard: Vec<_> = heard.iter().map(|packet| (packet.kind, packet.text())).collect();
        let logged_in = format!("Server: Client-{number} logged in as alice\n");
        let expected = [
            (P::LOGIN, logged_in.as_str()),
            (P::USERLIST, ""),
            (P::LOGOUT, "Server: alice logged out\n"),
            (P::USERLIST, ""),
        ];
        assert_eq!(heard, expected, "{way}");
    }
    login(&mut rest, "Client-1", "alice");
}

#[test]
fn whoever_had_joined_and_vanishes_is_taken_off_the_list() {
    let server = TestServer::start();
    let (mut a, mut b) = (server.peer(), server.peer());
    b.send(P::JOIN, "");
    a.expect(P::JOIN, "Server: Client-2 joined the chat room\n");
    a.expect(P::USERLIST, "Client-2");
    b.vanish();
    a.expect(P::LEAVE, "Server: Client-2 left the chat room\n");
    a.expect(P::USERLIST, "");
    server.peer().vanish();
    a.fence();
}

#[test]
fn another_login_gives_the_former_name_free() {
    let server = TestServer::start();
    let (mut a, mut b) = (server.peer(), server.peer());
    register(&mut a, "alice");
    register(&mut a, "bob");
    login(&mut a, "Client-1", "alice");
    login(&mut a, "Client-1", "bob");
    assert_eq!(b.skip_to(P::LOGIN).text(), "Server: Client-1 logged in as alice\n");
    assert_eq!(b.skip_to(P::LOGIN).text(), "Server: Client-1 logged in as bob\n");
    b.expect(P::USERLIST, "");
    login(&mut b, "Client-2", "alice");
}

#[test]
fn leaving_logs_out_and_goes_on_hearing() {
    let server = TestServer::start();
    let mut a = server.peer();
    register(&mut a, "alice");
    a.send(P::JOIN, "");
    let _ = a.skip_to(P::USERLIST);
    login(&mut a, "Client-1", "alice");
    a.send(P::LEAVE, "");
    a.expect(P::LEAVE, "Server: alice left the chat room\n");
    a.expect(P::USERLIST, "");
    a.send(P::MESSAGE, "still here\n");
    a.expect(P::MESSAGE, "Client-1: still here\n");
    a.send(P::LOGOUT, "");
    a.send(P::WHOAMI, "");
    assert!(a.receive().text().ends_with("\nusername=None\n"), "and LOGOUT was not answered");
}

#[test]
fn the_user_list_is_in_code_point_order() {
    let server = TestServer::start();
    let mut a = server.peer();
    let mut others: Vec<_> = (2..=10).map(|_| server.peer()).collect();
    register(&mut a, "AA");
    login(&mut a, "Client-1", "AA");
    for peer in &mut others {
        peer.send(P::JOIN, "");
        peer.settle();
    }
    a.settle();
    a.send(P::JOIN, "");
    a.expect(P::JOIN, JOINED_1);
    a.expect(
        P::USERLIST,
        "AA:Client-10:Client-2:Client-3:Client-4:Client-5:Client-6:Client-7:Client-8:Client-9",
    );
}

#[test]
fn dangerous_names_and_broken_registrations_make_no_account() {
    let server = TestServer::start();
    let mut a = server.peer();
    for name in ["", "Server", "Client-7", "client-7", "a\nb", " a", "a\u{202e}b", &"x".repeat(65)] {
        a.send(P::REGISTER, format!("{name}:pw"));
        a.expect(P::REGISTER, format!("Server: The username {name} is already taken\n"));
        a.send(P::LOGIN, format!("{name}:pw"));
        a.expect(P::LOGIN, format!("Server: Unable to login as {name}\n"));
    }
    a.send(P::REGISTER, "no separator");
    a.send(P::LOGIN, "no separator");
    a.fence();
}

#[test]
fn passwords_may_be_short_or_long_and_contain_colons() {
    let server = TestServer::start();
    let mut a = server.peer();
    for (name, password) in [("a", "x".to_owned()), ("b", "s3cr:et: ".to_owned()), ("c", "é".repeat(512))] {
        a.send(P::REGISTER, format!("{name}:{password}"));
        a.expect(P::REGISTER, format!("Server: The username {name} was successfully registered\n"));
        a.send(P::LOGIN, format!("{name}:{password}"));
        assert_eq!(a.receive().text(), format!("Server: Client-1 logged in as {name}\n"));
        a.expect(P::USERLIST, "");
    }
}

#[test]
fn what_cannot_be_read_is_silence() {
    let server = TestServer::start();
    let mut a = server.peer();
    for zone in ["Nope/Zone", "", "America", "/etc/localtime", "../UTC", "america/new_york", "Etc/UTC\n"] {
        a.send(P::DATE, zone);
        a.send(P::TIME, zone);
    }
    a.send(P::MESSAGE, b"\xff\xfe");
    a.send(P::DATE, b"\xff");
    a.send(P::LOGOUT, "");
    for code in (0..=255).filter(|code| *code == 0 || *code == 10 || *code > 14) {
        a.send(P::new(code), "anything");
    }
    a.fence();
}

#[test]
fn client_numbers_are_never_reused() {
    let server = TestServer::start();
    server.peer().vanish();
    Peer::connect(server.address()).vanish();
    let mut third = Peer::connect(server.address());
    third.send(P::CONNECT, "");
    third.expect(P::CONNECT, "Server: Client-3 has connected to the server\n");
}

fn register(peer: &mut Peer, name: &str) {
    peer.send(P::REGISTER, format!("{name}:pw"));
    peer.expect(P::REGISTER, format!("Server: The username {name} was successfully registered\n"));
}

fn login(peer: &mut Peer, client: &str, name: &str) {
    peer.send(P::LOGIN, format!("{name}:pw"));
    peer.expect(P::LOGIN, format!("Server: {client} logged in as {name}\n"));
    assert_eq!(peer.receive().kind, P::USERLIST);
}
