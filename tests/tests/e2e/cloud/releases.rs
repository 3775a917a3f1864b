//! New releases on a machine on EC2: good ones, and those that give way to the one before.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::programs::{Said, await_that};

use super::account::{Account, up};
use super::servers::{changed_server, misfit, server};

#[test]
fn a_changed_server_takes_over_with_its_accounts() {
    let account = Account::new();
    let _ = account.up(&server());
    let mut alice = account.chatter();
    alice.type_line("/register alice pw");
    alice.await_line("Server: The username alice was successfully registered");
    let before = account.status();
    let _ = account.up(&changed_server(&account.home, "changed"));
    let after = account.status();
    assert_ne!(before["release"], after["release"]);
    // What comes late, for a release that is not at work any more, confirms nothing.
    let confirm =
        format!("/opt/chat/bin/chat-host confirm {} 0 - || true", before["release"].as_str().unwrap());
    let refused = account.in_machine(&confirm);
    assert!(refused.starts_with("refused went-back"), "{refused}");
    assert_eq!((&before["identity"], &after["server"]), (&after["identity"], &"healthy".into()));
    let mut alice = account.chatter();
    alice.type_line("/login alice pw");
    alice.await_line_like("logged in as alice");
    let _ = account.run(&["rollback", "--yes"]).ended_with(0);
    assert_eq!(account.status()["release"], before["release"]);
    account.can_chat();
}

#[test]
fn a_deployer_killed_at_any_moment_of_a_release_leaves_what_the_next_one_can_finish() {
    let account = Account::new();
    let _ = account.up(&server());
    let servers = [server(), changed_server(&account.home, "changed")];
    let first = account.status()["release"].clone();
    let mut killed_at_the_switch = 0;
    for round in 0..8 {
        // Always the one that is not there.
        let there = account.status()["release"].clone();
        let mut deployer = account.start(&up(&servers[usize::from(there == first)]));
        let mut is_done = || deployer.try_wait().unwrap().is_some();
        let waits_for_switch = round % 2 == 1;
        if waits_for_switch {
            let is_on_trial = || is_another_on_trial(&account, there.as_str().unwrap());
            await_that("the next release is put to work", || is_done() || is_on_trial());
        }
        thread::sleep(Duration::from_millis(100 * (round / 2)));
        // It may be done already; then there is nothing to kill.
        killed_at_the_switch += i32::from(waits_for_switch && !is_done());
        let _ = deployer.kill();
        deployer.wait().unwrap();
        account.can_chat_soon();
    }
    assert!(killed_at_the_switch >= 1, "none was still at work");
    let _ = account.up(&servers[1]);
    let status = account.status();
    assert_eq!((&status["server"], &status["release_confirmed"]), (&"healthy".into(), &true.into()));
    account.can_chat();
}

#[test]
fn servers_that_are_of_no_use_give_way_to_the_one_before() {
    let account = Account::new();
    let _ = account.up(&server());
    let release = account.status()["release"].clone();
    for fault in ["crashes", "silent"] {
        let said = up_impatiently(&account, &misfit(&account.home, fault)).ended_with(1);
        let _ = said.complains(&[release.as_str().unwrap()]);
        account.can_chat();
        let status = account.status();
        assert_eq!((&status["release"], &status["server"]), (&release, &"healthy".into()), "{fault}");
    }
    let _ = account.up(&changed_server(&account.home, "changed"));
}

#[test]
fn a_full_disk_leaves_the_old_release_at_work() {
    let account = Account::new();
    let _ = account.up(&server());
    let release = account.status()["release"].clone();
    account.in_machine(SMALL_DISK);
    let changed = changed_server(&account.home, "changed");
    for (fill, complaint) in [
        ("head -c $(stat -c %s /opt/chat/current/chat-server) /dev/zero >/opt/chat/ballast", "needs"),
        // Full in the middle of it.
        (
            "rm /opt/chat/ballast
             mount -o remount,nr_inodes=$(($(df --output=iused /opt/chat | tail -n 1) + 1)) /opt/chat",
            "No space left on device",
        ),
    ] {
        account.in_machine(fill);
        let _ = account.run(&up(&changed)).ended_with(1).complains(&[complaint, "free some space"]);
        account.can_chat();
        assert_eq!(account.status()["release"], release, "{fill}");
    }
    account.in_machine("mount -o remount,nr_inodes=1000 /opt/chat");
    let _ = account.up(&changed);
    account.can_chat();

    // Full just when the release is put to work, which the host is left alone with.
    let release = account.status()["release"].clone();
    account.in_machine(FULL_CONFIGURATION);
    let settings = account.home.path().join("settings.toml");
    fs::write(&settings, "[server.limits]\nmax_connections = 99\n").unwrap();
    let server = server();
    let other = [&up(&server)[..], &["--config", settings.to_str().unwrap()]].concat();
    let _ = account.run(&other).ended_with(1).complains(&["journalctl -u chat-guard tells why"]);
    account.can_chat();
    assert_eq!(account.status()["release"], release);
    account.in_machine("umount /etc/chat");
    let _ = account.run(&other).ended_with(0);
    account.can_chat();
}

/// Moves the configuration to a disk without room for another.
const FULL_CONFIGURATION: &str = "set -e
while [ -d /opt/chat/activation ]; do sleep 0.1; done
cp -a /etc/chat /root/configuration
mount -t tmpfs -o mode=750,gid=$(id -g chat) tmpfs /etc/chat
cp -a /root/configuration/. /etc/chat
mount -o remount,nr_inodes=$(($(df --output=iused /etc/chat | tail -n 1))) /etc/chat";

/// Tells whether the host has begun to put another release to work than the one that was there.
fn is_another_on_trial(account: &Account, there: &str) -> bool {
    let tried = account.try_in_machine("cd /opt/chat/activation && [ ! -e decision ] && cat tried");
    tried.is_ok_and(|tried| tried.trim_end() != there)
}

/// Moves what releases are in to a disk with room for one more of them, once the host watches the last no more.
const SMALL_DISK: &str = "set -e
while [ -d /opt/chat/activation ]; do sleep 0.1; done
cp -a /opt/chat /root/kept
size=$(stat -c %s /opt/chat/current/chat-server)
mount -t tmpfs -o mode=755,size=$((size * 3 + 1048576)) tmpfs /opt/chat
cp -a /root/kept/. /opt/chat
systemctl restart chat-server";

#[test]
fn a_deployer_killed_while_activating_leaves_a_server_that_answers() {
    let account = Account::new();
    let _ = account.up(&server());
    let release = account.status()["release"].clone();
    let silent = misfit(&account.home, "silent");
    let mut deployer = account.start(&[&up(&silent)[..], &["--start-timeout", "5"]].concat());
    await_that("the new release is being tried", || {
        account.in_machine("readlink /opt/chat/current").trim_end().rsplit('/').next() != release.as_str()
    });
    deployer.kill().unwrap();
    deployer.wait().unwrap();
    account.can_chat_soon();
    assert_eq!(account.status()["release"], release);
    let _ = account.up(&changed_server(&account.home, "changed"));
    assert_ne!(account.status()["release"], release);
    account.can_chat();
}

#[test]
fn two_at_once_take_turns_or_say_who_is_first() {
    let account = Account::new();
    let _ = account.up(&server());
    let servers = ["one", "two"].map(|change| changed_server(&account.home, change));
    let said = thread::scope(|scope| {
        let running = servers.each_ref().map(|server| scope.spawn(|| account.run(&up(server))));
        running.map(|deployer| deployer.join().unwrap())
    });
    assert!(said.iter().any(|said| said.code == Some(0)), "{said:?}");
    for said in said.iter().filter(|said| said.code != Some(0)) {
        assert!(said.err.contains("another"), "{said:?}");
    }
    account.instance();
    account.can_chat();
}

fn up_impatiently(account: &Account, server: &Path) -> Said {
    account.run(&[&up(server)[..], &["--start-timeout", "5"]].concat())
}
