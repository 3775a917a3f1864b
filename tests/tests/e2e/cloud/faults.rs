//! What a network and an API do to a deployer now and then, and what happens when it is killed in between.

use std::process::Stdio;
use std::thread;

use serde_json::json;

use super::account::{Account, up};
use super::servers::{changed_server, server};
use crate::programs::{Home, await_that, finish};

#[test]
fn what_passes_by_itself_is_survived() {
    let account = Account::new();
    account.break_calls(&json!([
        {"action": "DescribeInstances", "fault": "throttled"},
        {"action": "DescribeImages", "fault": "broken"},
        {"action": "DescribeSubnets", "fault": "throttled", "times": 2},
        {"action": "DescribeSecurityGroups", "fault": "blind", "times": 2, "since": "CreateSecurityGroup"},
        {"action": "AuthorizeSecurityGroupIngress", "fault": "lost"},
        {"action": "RunInstances", "fault": "lost"},
        {"action": "DescribeInstances", "fault": "blind", "times": 2, "since": "RunInstances"},
        {"action": "CreateTags", "fault": "throttled"},
    ]));
    let _ = account.up(&server());
    account.instance();
    account.can_chat();
    account.break_calls(&json!([
        {"action": "TerminateInstances", "fault": "lost"},
        {"action": "DeleteSecurityGroup", "fault": "broken"},
        {"action": "DeleteKeyPair", "fault": "throttled"},
    ]));
    let _ = account.run(&["down", "--yes"]).ended_with(0);
    account.is_empty();
}

#[test]
fn no_room_in_one_place_is_no_end() {
    let account = Account::new();
    account.break_calls(&json!([
        {"action": "RunInstances", "fault": "refused", "code": "InsufficientInstanceCapacity",
         "message": "We currently do not have sufficient capacity in the Availability Zone you requested."},
    ]));
    let _ = account.up(&server());
    account.instance();
    account.can_chat();
}

#[test]
fn killed_after_every_call_that_changes_something_it_gets_there_in_the_end() {
    let account = Account::new();
    let mut kills = 0;
    // Every run gets one change further; the answer to it never arrives.
    while killed_after_a_change(&account) {
        kills += 1;
        assert!(kills < 30, "it gets no further: {:?}", account.calls());
    }
    assert!(kills >= 5, "{kills} kills: {:?}", account.calls());
    let _ = account.up(&server());
    account.instance();
    assert_eq!((account.groups().len(), account.key_pairs().len()), (1, 1));
    account.can_chat();
}

/// Makes a machine that nothing was deployed to, since its deployer was killed too early.
fn machine_that_was_left_alone(account: &Account) {
    account.break_calls(&json!([{"action": "CreateTags", "fault": "held", "times": 100}]));
    let mut deployer = account.start(&up(&server()));
    await_that("the host key is to be exchanged", || account.calls().iter().any(|call| call == "CreateTags"));
    deployer.kill().unwrap();
    deployer.wait().unwrap();
    account.break_calls(&json!([]));
    // EC2 calls a machine running long before anybody can log in.
    account.in_machine("systemctl stop ssh.socket ssh.service 2>/dev/null; ! systemctl is-active ssh");
}

#[test]
fn a_machine_that_takes_its_time_is_waited_for() {
    let account = Account::new();
    machine_that_was_left_alone(&account);
    let machine = account.instance()["InstanceId"].clone();
    // Longer than a machine gets that is there; a timer is a minute late if nobody says otherwise.
    let timer = "systemd-run --quiet --on-active=25 --timer-property=AccuracySec=1s";
    account.in_machine(&format!("{timer} systemctl start ssh.service"));
    let said = account.run(&["status", "--json"]).ended_with(0);
    assert!(said.out.contains(machine.as_str().unwrap()), "{said:?}");
    let _ = account.up(&server());
    assert_eq!(account.instance()["InstanceId"], machine);
    account.can_chat();
}

#[test]
fn until_somebody_says_yes_a_machine_keeps_even_the_key_it_came_with() {
    let account = Account::new();
    machine_that_was_left_alone(&account);
    account.in_machine("systemctl start ssh.service");
    let calls = account.calls_of(|| {
        let asks = ["up", "--binary", server().to_str().unwrap()].map(str::to_owned);
        let said = account.run(&asks.each_ref().map(String::as_str)).ended_with(2);
        let _ = said.complains(&["no terminal to ask on"]);
    });
    assert!(calls.iter().all(|call| call.starts_with("Describe")), "{calls:?}");
    a_yes_is_one_to_what_was_shown(&account);
}

/// While somebody thinks about a plan, another puts a server there. With the key that the machine came with goes the
/// connection, and with that the lock: the plan is made anew, and it is another.
fn a_yes_is_one_to_what_was_shown(account: &Account) {
    const QUESTION: &str = "Do this?";
    let changed = changed_server(&account.home, "changed");
    let thinks = account.run_in_terminal(&["up", "--binary", changed.to_str().unwrap()]);
    thinks.await_text(QUESTION, 1);
    // Who has the lock holds it on this file.
    account.in_machine("rm /run/chat-deploy.lock");
    let key = account.home.path().join(".local/state/chat-deploy/keys/id_ed25519");
    let server = server();
    let theirs = [&up(&server)[..], &["--key", key.to_str().unwrap()]].concat();
    let _ = finish(&mut account.command_at(&Home::new(), &theirs), "").ended_with(0);
    let theirs = account.status()["release"].clone();
    thinks.type_line("yes");
    thinks.await_text(QUESTION, 2);
    assert_eq!(account.status()["release"], theirs);
    thinks.type_line("yes");
    thinks.await_text("ended with 0", 1);
    assert_ne!(account.status()["release"], theirs);
    account.can_chat();
}

#[test]
fn a_machine_that_nothing_was_deployed_to_goes_without_a_backup() {
    let account = Account::new();
    machine_that_was_left_alone(&account);
    let _ = account.run(&["down", "--yes"]).ended_with(0).complains(&["nothing to save"]);
    account.is_empty();
}

/// Runs `up` until it has changed something in the cloud, and kills it then; returns whether it came to that.
fn killed_after_a_change(account: &Account) -> bool {
    let is_change = |call: &String| !call.starts_with("Describe");
    account.break_calls(&json!([{"action": "[!D]*", "fault": "held", "times": 100}]));
    let before = account.calls().len();
    let mut deployer = account.start(&up(&server()));
    let mut ended = None;
    await_that("up ends or changes something", || {
        ended = deployer.try_wait().unwrap();
        ended.is_some() || account.calls()[before..].iter().any(is_change)
    });
    deployer.kill().unwrap();
    deployer.wait().unwrap();
    account.break_calls(&json!([]));
    assert!(ended.is_none_or(|status| status.success()), "{ended:?}: {:?}", account.run(&up(&server())));
    ended.is_none()
}

#[test]
fn two_laptops_at_once_make_one_machine() {
    let account = Account::new();
    let other = Home::new();
    let mut command = account.command_at(&other, &up(&server()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let codes = thread::scope(|scope| {
        let theirs = scope.spawn(|| command.status().unwrap().code());
        [account.run(&up(&server())).code, theirs.join().unwrap()]
    });
    assert!(codes.contains(&Some(0)), "{codes:?}");
    account.instance();
    assert_eq!(account.groups().len(), 1);
}
