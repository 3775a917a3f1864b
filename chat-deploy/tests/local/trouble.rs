//! What comes in the way: settings and programs that are no good, damage, a full disk, a reader that went away. Whatever
//! it is, a server that runs and its data are not the ones to suffer.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::home::{Home, Run, files_below, free_port};
use crate::{signal, wait_for};

#[test]
fn a_refused_setting_touches_nothing_of_a_run_that_was_cut_off() {
    let (home, port) = (Home::new(), free_port());
    // As if the first run was killed before it saw its healthy server healthy.
    let server = home.server("good");
    home.up(&server, port).expect(0);
    fs::write(home.instance().join("activation.json"), r#"{"former":null,"fresh_data":true}"#).unwrap();
    let (before, servers) = (home.status(), home.servers());
    fs::write(home.path().join("chat-deploy.toml"), "[server]\nnonsense = 1\n").unwrap();
    for server in [&server, &home.server("other")] {
        home.up(server, port).expect(1).says("refuses its configuration").says("the server is as it was");
        assert_eq!(home.servers(), servers);
        assert_eq!(home.of_server("releases", &[]).expect(0).out.lines().count(), 1);
    }
    fs::remove_file(home.path().join("chat-deploy.toml")).unwrap();
    assert_eq!(home.status()["identity"], before["identity"]);
    // A release that fails for another reason does not take the data along either.
    home.up(&home.server("crash"), port).expect(1);
    assert!(home.instance().join("data/identity").exists());
    home.up(&server, port).expect(0);
    assert_eq!(home.status()["identity"], before["identity"]);
}

#[test]
fn a_backup_goes_over_no_data_and_a_program_that_is_none_nowhere() {
    let (home, port) = (Home::new(), free_port());
    let server = home.server("good");
    let restore = |backup: &Path| {
        let (server, backup, port) = (server.to_str().unwrap(), backup.to_str().unwrap(), port.to_string());
        home.of_server("up", &["--yes", "--binary", server, "--port", &port, "--restore", backup])
    };
    home.up(&server, port).expect(0);
    home.of_server("down", &["--yes"]).expect(0);
    let backup = files_below(&home.state()).pop().unwrap();
    restore(&backup).expect(0);
    let again = restore(&backup).expect(1).says("has data of a server already").says("leave out --restore");
    assert!(!again.err.contains("Plan:"), "{}", again.err);
    restore(&server).expect(1).says("is no backup").says("it is not a tar file, or is damaged");
    for nothing in [Path::new("/nope"), home.path()] {
        home.up(nothing, port).expect(1).says("cannot be read").says("name the file of a built chat-server");
    }
    assert_eq!(home.status()["server"], "healthy");
    home.run(&["up", "myserver"]).expect(2).says("an instance is named with '--instance myserver'");
}

#[test]
fn a_refused_first_setting_leaves_nothing() {
    let home = Home::new();
    fs::write(home.path().join("chat-deploy.toml"), "[server]\nnonsense = 1\n").unwrap();
    home.up(&home.server("good"), free_port()).expect(1).says("refuses its configuration");
    assert!(!home.state().exists(), "{:?}", files_below(&home.state()));
}

#[test]
fn a_change_that_fails_half_way_starts_the_former_again() {
    let (home, port) = (Home::new(), free_port());
    home.up(&home.server("one"), port).expect(0);
    let before = home.status();
    // The configuration is written beside the old one first, and cannot be.
    fs::create_dir(home.instance().join("server.new")).unwrap();
    home.up(&home.server("two"), port).expect(1).says("server.toml").says("rolled back:");
    let after = home.status();
    assert_eq!((&after["server"], &after["release"]), (&"healthy".into(), &before["release"]));
    fs::remove_dir(home.instance().join("server.new")).unwrap();
}

#[test]
fn what_was_granted_is_done_though_nobody_reads_of_it() {
    let (home, port) = (Home::new(), free_port());
    let server = home.server("good");
    let unread = |arguments: &[&str]| {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut command = home.command(&[arguments, &["-i", "myserver", "--provider", "local"]].concat());
        command.stdout(writer.try_clone().unwrap()).stderr(writer).status().unwrap().code()
    };
    let port = port.to_string();
    unread(&["up", "--yes", "--port", &port, "--binary", server.to_str().unwrap()]);
    assert_eq!(home.status()["server"], "healthy");
    assert_eq!(unread(&["down"]), Some(1));
    assert_eq!(home.status()["server"], "healthy");
    assert_eq!(unread(&["down", "--yes", "--no-backup"]), Some(0));
    assert!(!home.state().exists());
}

#[test]
fn a_damaged_instance_hides_no_other_and_can_be_removed() {
    let (home, port) = (Home::new(), free_port());
    let server = home.server("good");
    home.up(&server, port).expect(0);
    fs::write(home.instance().join("data/identity"), "").unwrap();
    let other = home.state().join("instances/other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("process.json"), "").unwrap();
    fs::write(other.join("activation.json"), "").unwrap();
    let list = home.run(&["status"]).expect(0).out;
    let row = |name: &str| list.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(row("myserver").contains("identity is damaged"), "{list}");
    assert!(row("other").contains("activation.json is damaged"), "{list}");
    let status = home.status();
    assert_eq!((&status["identity"], &status["identity_pinned"]), (&Value::Null, &false.into()));
    home.up(&server, port).expect(1).says("identity is damaged").says("put a copy of it back");
    home.of_server("down", &["--yes"]).expect(0);
    assert!(!home.instance().exists());
    fs::remove_dir_all(other).unwrap();
}

#[test]
fn names_that_cannot_be_written_down_are_refused() {
    let home = Home::new();
    let odd = home.path().join(OsStr::from_bytes(b"caf\xe9"));
    let server = home.server("good");
    let port = free_port().to_string();
    let up = |state: &Path, server: &Path| {
        let mut command =
            home.command(&["up", "-i", "myserver", "--provider", "local", "-y", "--port", &port]);
        Run::from(command.arg("--binary").arg(server).env("HOME", state).output().unwrap())
    };
    up(&odd, &server).expect(1).says("is not an absolute path in UTF-8").says("XDG_STATE_HOME");
    up("home".as_ref(), &server).expect(1).says("is not an absolute path in UTF-8");
    fs::copy(&server, &odd).unwrap();
    up(home.path(), &odd).expect(1).says("is not in UTF-8").says("rename");
    assert!(!home.state().exists());
}

#[test]
fn what_a_settings_file_says_does_not_steer_the_terminal() {
    let home = Home::new();
    let server = home.server("good");
    fs::write(home.path().join("chat-deploy.toml"), "\"\\u001b[2J\" = 1\n").unwrap();
    let run = home.up(&server, free_port()).expect(2).says("\u{fffd}[2J");
    assert!(!run.err.contains('\u{1b}'));
    fs::write(home.path().join("chat-deploy.toml"), "[server]\n\"\\u001b[2J\" = 1\n").unwrap();
    let run = home.up(&server, free_port()).expect(1).says("refuses its configuration");
    assert!(!run.err.contains('\u{1b}'));
}

#[test]
fn a_program_that_hangs_when_it_is_asked_does_not_hang_us() {
    let (home, port) = (Home::new(), free_port());
    for word in ["--version", "check-config"] {
        let server = home.server(&format!("hang{word}"));
        let child = home.begin_up(&server, port);
        let asked = |pid: &str| {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.starts_with(home.path().to_str().unwrap()) && line.split('\0').nth(1) == Some(word)
        };
        wait_for("the question", || {
            fs::read_dir("/proc").unwrap().any(|entry| asked(entry.unwrap().file_name().to_str().unwrap()))
        });
        signal(child.id(), Signal::INT);
        let start = Instant::now();
        Run::from(child.wait_with_output().unwrap()).expect(130).says("interrupted");
        assert!(start.elapsed() < Duration::from_secs(5));
        assert!(!home.state().exists(), "{:?}", files_below(&home.state()));
    }
}
