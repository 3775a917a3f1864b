//! Clients in pipes: a conversation, what scripts rely on, and whom a client refuses.

use std::fs;

use chat_tests::TestServer;

use crate::programs::{Home, PipedClient, RunningServer, free_port};

#[test]
fn two_clients_chat() {
    let server = TestServer::start();
    let (port, home) = (server.address().port(), Home::new());
    let mut alice = PipedClient::start(&home, port, &[]);
    alice.type_line("/join");
    alice.await_line("Server: Client-1 joined the chat room");
    let mut bob = PipedClient::start(&home, port, &[]);
    bob.type_line("/join");
    bob.await_line("Server: Client-2 joined the chat room");
    alice.await_line("Server: Client-2 joined the chat room");
    alice.type_line("/register alice correct horse");
    alice.await_line("Server: The username alice was successfully registered");
    alice.type_line("/login alice correct horse");
    for client in [&mut alice, &mut bob] {
        client.await_line("Server: Client-1 logged in as alice");
    }
    alice.type_line("hello π 😀");
    for client in [&mut alice, &mut bob] {
        client.await_line("alice: hello π 😀");
    }
    alice.type_line("/exit");
    let (code, _) = alice.end();
    assert_eq!(code, Some(0));
    bob.await_line("Server: alice left the chat room");
    let (code, rest) = bob.end();
    assert_eq!((code, rest), (Some(0), vec![]));
}

#[test]
fn a_script_gets_every_answer_before_the_end() {
    let server = TestServer::start();
    let (port, home) = (server.address().port().to_string(), Home::new());
    let said = home.run_with_input(
        "chat-client",
        &["connect", "127.0.0.1", &port],
        "/join\n/register alice pw\n/login alice pw\nhello\n/exit\n",
    );
    let said = said.ended_with(0);
    let expected = [
        "Server: Client-1 has connected to the server",
        "Server: Client-1 joined the chat room",
        "Server: The username alice was successfully registered",
        "Server: Client-1 logged in as alice",
        "alice: hello",
    ];
    assert_eq!(said.out.lines().collect::<Vec<_>>(), expected, "{said:#?}");
}

#[test]
fn the_user_list_follows_who_comes_and_goes_and_is_called_what() {
    let server = TestServer::start();
    let (port, home) = (server.address().port().to_string(), Home::new());
    let last_list = |encryption: &str, input: &str| {
        let arguments = ["connect", "127.0.0.1", &port, "--encryption", encryption];
        let said = home.run_with_input("chat-client", &arguments, input).ended_with(0);
        let list = said.out.lines().rfind(|line| line.contains("in the chat room"));
        list.unwrap_or_else(|| panic!("{said:#?}")).to_owned()
    };
    let list = last_list("noise", "/join\n/register alice pw\n/login alice pw\n/users\n");
    assert_eq!(list, "in the chat room: alice");
    let list = last_list("off", "/join\n/leave\n/users\n");
    assert_eq!(list, "nobody is in the chat room");
    let list = last_list("classic", "/join\n/leave\n/join\n/users\n");
    assert!(list.starts_with("in the chat room: Client-"), "{list}");
}

#[test]
fn the_exit_code_says_what_did_not_work() {
    let server = TestServer::start();
    let (port, home) = (server.address().port().to_string(), Home::new());
    for (input, code) in
        [("hello\n", 0), ("/login nobody pw\n", 1), ("/nonsense\n", 1), ("/date Nope/Zone\n", 1)]
    {
        let said = home.run_with_input("chat-client", &["connect", "127.0.0.1", &port], input);
        let _ = said.ended_with(code);
    }
    let nobody = free_port().to_string();
    let said = home.run("chat-client", &["connect", "127.0.0.1", &nobody]).ended_with(1);
    assert!(said.err.contains("error: ") && said.out.is_empty(), "{said:#?}");
    let _ = home.run("chat-client", &["connect"]).ended_with(2);
}

#[test]
fn a_server_with_another_identity_is_refused_with_both_fingerprints() {
    let (home, port) = (Home::new(), free_port());
    let arguments = ["connect", "127.0.0.1", &port.to_string()];
    RunningServer::start(&home, port).kill();
    let fingerprint = |home: &Home| {
        let said =
            home.run("chat-server", &["identity", "--data", home.path().join("data").to_str().unwrap()]);
        said.ended_with(0).out.trim().to_owned()
    };
    let first = fingerprint(&home);
    let server = RunningServer::start(&home, port);
    let _ = home.run_with_input("chat-client", &arguments, "/join\n").ended_with(0).complains(&[&first]);
    server.kill();
    fs::remove_file(home.path().join("data/identity")).unwrap();
    let _other = RunningServer::start(&home, port);
    let second = fingerprint(&home);
    assert_ne!(first, second);
    let said = home.run_with_input("chat-client", &arguments, "secret\n").ended_with(1);
    let said = said.complains(&[&first, &second]);
    assert!(!said.out.contains("secret"), "{said:#?}");
    let _ = home.run("chat-client", &["forget", "127.0.0.1", &port.to_string()]).ended_with(0);
    let _ = home.run_with_input("chat-client", &arguments, "/join\n").ended_with(0);
}

#[test]
fn a_password_does_not_go_out_in_the_clear_unasked() {
    let server = TestServer::start();
    let (port, home) = (server.address().port().to_string(), Home::new());
    let input = "/register alice pw\n";
    let plain = ["connect", "127.0.0.1", &port, "--encryption", "off"];
    let said = home.run_with_input("chat-client", &plain, input).ended_with(1);
    assert!(!said.out.contains("registered"), "{said:#?}");
    let allowed = [&plain[..], &["--allow-plain-passwords"]].concat();
    let said = home.run_with_input("chat-client", &allowed, input).ended_with(0);
    assert!(said.out.contains("The username alice was successfully registered"), "{said:#?}");
}

#[test]
fn a_second_server_on_the_same_data_or_port_says_so() {
    let (home, port) = (Home::new(), free_port());
    let server = RunningServer::start(&home, port);
    let (data, other) = (home.path().join("data"), home.path().join("other"));
    let same_port = ["--port", &server.port.to_string(), "--data", other.to_str().unwrap()];
    let said = home.run("chat-server", &same_port).ended_with(1);
    let _ = said.complains(&["cannot listen", "hint: "]);
    let said = home.run("chat-server", &["--port", "0", "--data", data.to_str().unwrap()]).ended_with(1);
    let _ = said.complains(&["in use", "hint: "]);
}
