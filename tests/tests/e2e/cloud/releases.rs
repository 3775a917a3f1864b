//! New releases on a machine on EC2: good ones, and those that give way to the one before.

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
    let mut killed = 0;
    for round in 0..8 {
        // Always the one that is not there.
        let next = &servers[usize::from(account.status()["release"] == first)];
        let mut deployer = account.start(&up(next));
        thread::sleep(Duration::from_millis(200 * round));
        killed += i32::from(deployer.try_wait().unwrap().is_none());
        // It may be done already; then there is nothing to kill.
        let _ = deployer.kill();
        deployer.wait().unwrap();
        account.can_chat_soon();
    }
    assert!(killed >= 3, "{killed} of 8 were still at work");
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
