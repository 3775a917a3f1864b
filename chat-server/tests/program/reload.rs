//! SIGHUP: the settings are read again, and what can be taken over is.

use std::fs;
use std::path::Path;
use std::time::Instant;

use chat_core::packet::PacketType;

use crate::process::{Connection, PATIENCE, ServerProcess, run};

/// Sends SIGHUP, and waits until the server has read its settings `count` times with that result.
fn reload(server: &ServerProcess, home: &Path, result: &str, count: u32) {
    server.signal("HUP");
    let line = format!("chat_reloads_total{{result=\"{result}\"}} {count}");
    let deadline = Instant::now() + PATIENCE;
    while !run(home, &["metrics", "--data", "data"]).1.lines().any(|its| its == line) {
        assert!(Instant::now() < deadline, "{line} never came");
    }
}

fn can_register(connection: &mut Connection, name: &str) -> bool {
    connection.send(PacketType::REGISTER, &format!("{name}:secret")).unwrap();
    connection.receive(PacketType::REGISTER).unwrap().contains("successfully")
}

#[test]
fn sighup_takes_over_what_can_be_and_keeps_all_if_there_is_a_mistake() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("server.toml");
    fs::write(&file, "[limits]\nmax_name_bytes = 4\n").unwrap();
    let server = ServerProcess::start_with(home.path(), &[("CHAT_CONFIG", "server.toml")]);
    let mut ada = Connection::open(server.address).unwrap();
    assert!(!can_register(&mut ada, "ada.l"));

    fs::write(&file, "[log]\nlevel = \"debug\"\n[limits]\nmax_name_bytes = 5\n[keys]\npairs = 2\n").unwrap();
    reload(&server, home.path(), "done", 1);
    assert!(can_register(&mut ada, "ada.l"), "for connections that are there as well");

    fs::write(&file, "[limits]\nmax_name_bytes = 64\nmax_nmae_bytes = 6\n").unwrap();
    reload(&server, home.path(), "refused", 1);
    assert!(!can_register(&mut ada, "ada.lovelace"), "nothing of it is taken");
    fs::remove_file(&file).unwrap();
    reload(&server, home.path(), "refused", 2);
    assert!(can_register(&mut ada, "ada.m"));

    let (status, log) = server.stop("TERM");
    assert_eq!(status.code(), Some(0));
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = |message: &str, setting: Option<&str>| {
        let fits = |line: &&serde_json::Value| {
            line["fields"]["message"] == message
                && setting.is_none_or(|name| line["fields"]["setting"] == name)
        };
        lines.iter().filter(fits).count()
    };
    assert_eq!(said("in force from now on", Some("log.level")), 1, "{log}");
    assert_eq!(said("in force from now on", Some("limits.max_name_bytes")), 1);
    assert_eq!(said("in force only after a restart", Some("keys.pairs")), 1);
    assert_eq!(said("in force only after a restart", None), 1, "{log}");
    assert_eq!(said("the settings cannot be read again; those in force stay", None), 2);
    assert!(log.contains("limits.max_nmae_bytes in server.toml: no such setting"), "{log}");
    assert!(log.contains("settings file server.toml: No such file or directory"), "{log}");
    assert!(lines.iter().any(|line| line["level"] == "DEBUG"), "the log's level has changed: {log}");
}

#[test]
fn whether_an_address_is_spared_the_rates_holds_for_who_is_connected() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("server.toml");
    let rates = "[limits]\nmessages_per_second = 1\nmessage_burst = 1\nrate_shares_per_address = 1\n";
    fs::write(&file, rates).unwrap();
    let server = ServerProcess::start_with(home.path(), &[("CHAT_CONFIG", "server.toml")]);
    let slowed = || !run(home.path(), &["metrics", "--data", "data"]).1.contains("\nchat_slowed_total 0\n");
    let mut connection = Connection::open(server.address).unwrap();
    let (mut said, mut heard) = (0, 0);
    let speak = |connection: &mut Connection, times| {
        (0..times).for_each(|_| connection.send(PacketType::MESSAGE, "hello").unwrap());
        times
    };
    said += speak(&mut connection, 60);
    while heard < said {
        connection.receive(PacketType::MESSAGE).unwrap();
        heard += 1;
    }
    assert!(!slowed());

    fs::write(&file, format!("{rates}exempt = []\n")).unwrap();
    reload(&server, home.path(), "done", 1);
    let deadline = Instant::now() + PATIENCE;
    while !slowed() {
        assert!(Instant::now() < deadline, "nobody is slowed down");
        said += speak(&mut connection, 2);
    }

    // More than a minute's worth, which is handled as soon as it is free.
    said += speak(&mut connection, 100);
    fs::write(&file, rates).unwrap();
    reload(&server, home.path(), "done", 2);
    while heard < said {
        connection.receive(PacketType::MESSAGE).unwrap();
        heard += 1;
    }
}

#[test]
fn sighup_without_a_settings_file_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(home.path());
    reload(&server, home.path(), "done", 1);
    let mut still = Connection::open(server.address).unwrap();
    still.send(PacketType::CONNECT, "").unwrap();
    still.receive(PacketType::CONNECT).unwrap();
    let (status, log) = server.stop("TERM");
    assert!(status.success() && log.contains("\"changes\":0"), "{log}");
}
