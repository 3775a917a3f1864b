//! The commands that look, on a server on EC2: each says what it should, and ends as it should.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use super::account::{Account, INSTANCE};
use super::servers::{changed_server, server};
use crate::programs::{await_that, finish};

#[test]
fn what_looks_at_a_server_says_what_it_finds() {
    let account = Account::new();
    let binary = server();
    let binary = binary.to_str().unwrap();
    let before = account.run(&["doctor", "--binary", binary]).ended_with(0);
    assert!(before.out.contains("there is no machine yet"), "{before:?}");
    let _ = account.run(&["logs"]).ended_with(1).complains(&["no instance"]);

    let _ = account.up(&server());
    let _ = account.up(&changed_server(&account.home, "changed"));
    let address = account.address();

    let doctor = account.run(&["doctor", "--binary", binary]).ended_with(0);
    for found in ["reaches EC2 in", "answers in", "a new one would be a t"] {
        assert!(doctor.out.contains(found), "{found}: {doctor:?}");
    }
    let mut list = account.command_at(&account.home, &["status"]);
    let list = finish(list.env_remove("CHAT_DEPLOY_INSTANCE"), "").ended_with(0);
    assert!(list.out.contains(INSTANCE) && list.out.contains(&address), "{list:?}");
    let releases = account.run(&["releases"]).ended_with(0);
    assert_eq!(releases.out.lines().filter(|line| line.contains("0.1.0-")).count(), 2, "{releases:?}");
    let logs = account.run(&["logs", "--lines", "3"]).ended_with(0);
    assert_eq!(logs.out.lines().count(), 3, "{logs:?}");
    let there = account.run(&["ssh", "--", "hostname"]).ended_with(0);
    assert_eq!(there.out.trim(), account.in_machine("hostname").trim());
    let _ = account.run(&["ssh", "--", "exit 7"]).ended_with(7);
}

#[test]
fn a_log_is_followed_until_somebody_stops() {
    let account = Account::new();
    let _ = account.up(&server());
    let mut follow = account.command_at(&account.home, &["logs", "--follow"]);
    let mut follow = follow.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let (output, seen) = (follow.stdout.take().unwrap(), Arc::clone(&lines));
    let reader = thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            seen.lock().unwrap().push(line.unwrap());
        }
    });
    // What there is comes first, and then what comes.
    await_that("the log so far", || !lines.lock().unwrap().is_empty());
    let so_far = lines.lock().unwrap().len();
    // For some seconds after it was deployed, a server that ends has failed, and is taken back.
    account.in_machine("while systemctl is-active --quiet chat-guard.service; do sleep 0.1; done");
    account.in_machine("systemctl restart chat-server.service");
    await_that("the restart is told of", || lines.lock().unwrap().len() > so_far);
    let stop = Command::new("kill").args(["-INT", &follow.id().to_string()]).status();
    assert!(stop.unwrap().success());
    assert!(follow.wait().unwrap().success());
    reader.join().unwrap();
}
