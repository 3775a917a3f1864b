//! New releases on a machine on EC2: good ones, and those that give way to the one before.

use std::path::Path;
use std::thread;

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
    assert_eq!((&before["identity"], &after["server"]), (&after["identity"], &"healthy".into()));
    let mut alice = account.chatter();
    alice.type_line("/login alice pw");
    alice.await_line_like("logged in as alice");
    let _ = account.run(&["rollback", "--yes"]).ended_with(0);
    assert_eq!(account.status()["release"], before["release"]);
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
