//! `kill -9` in a storm of registrations, again and again: whoever got an answer has an account afterwards. And at the first
//! start, of which nothing half-done may be left.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use chat_core::packet::PacketType;

use crate::process::{Connection, ServerProcess, server};

const ROUNDS: u64 = 6;
const CONNECTIONS: u64 = 4;

/// Registers one name after the other until the server is gone, and notes each that is acknowledged.
fn register_until_the_end(address: SocketAddr, prefix: &str, names: &Mutex<Noted>) -> std::io::Result<()> {
    let mut connection = Connection::open(address)?;
    for number in 0.. {
        let name = format!("{prefix}-{number}");
        names.lock().unwrap().asked.insert(name.clone());
        connection.send(PacketType::REGISTER, &format!("{name}:password of {name}"))?;
        let answer = connection.receive(PacketType::REGISTER)?;
        assert_eq!(answer, format!("Server: The username {name} was successfully registered\n"));
        names.lock().unwrap().acknowledged.insert(name);
    }
    Ok(())
}

#[derive(Default)]
struct Noted {
    asked: BTreeSet<String>,
    acknowledged: BTreeSet<String>,
}

#[test]
fn every_acknowledged_registration_survives_kill_nine_and_none_is_there_by_half() {
    let home = tempfile::tempdir().unwrap();
    let noted = Mutex::new(Noted::default());
    for round in 0..ROUNDS {
        let server = ServerProcess::start(home.path());
        let address = server.address;
        std::thread::scope(|scope| {
            for connection in 0..CONNECTIONS {
                let (noted, prefix) = (&noted, format!("user-{round}-{connection}"));
                // Ends with the server, by an error that is expected.
                scope.spawn(move || register_until_the_end(address, &prefix, noted));
            }
            std::thread::sleep(Duration::from_millis(60 + 37 * round));
            server.stop("KILL");
        });
    }
    let Noted { asked, acknowledged } = noted.into_inner().unwrap();
    assert!(
        acknowledged.len() as u64 > ROUNDS,
        "only {} registrations: nothing was tested",
        acknowledged.len()
    );

    let server = ServerProcess::start(home.path());
    let mut connection = Connection::open(server.address).unwrap();
    let mut login = |name: &str| {
        connection.send(PacketType::LOGIN, &format!("{name}:password of {name}")).unwrap();
        !connection.receive(PacketType::LOGIN).unwrap().contains("Unable to login")
    };
    for name in &acknowledged {
        assert!(login(name), "{name} was registered and is gone");
    }
    // What was asked for but never answered is there as a whole, or the name is free.
    for name in asked.difference(&acknowledged).filter(|name| !login(name)).collect::<Vec<_>>() {
        connection.send(PacketType::REGISTER, &format!("{name}:again")).unwrap();
        let answer = connection.receive(PacketType::REGISTER).unwrap();
        assert!(answer.contains("was successfully registered"), "{answer}");
    }
}

#[test]
fn a_first_start_killed_at_any_moment_is_no_obstacle_to_the_next() {
    for millis in (0..60).step_by(3) {
        let home = tempfile::tempdir().unwrap();
        let mut child = server(home.path()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(millis));
        child.kill().unwrap();
        child.wait().unwrap();
        ServerProcess::start(home.path());
    }
}
