//! What a network and an API do to a deployer now and then, and what happens when it is killed in between.

use std::process::Stdio;
use std::thread;

use serde_json::json;

use super::account::{Account, up};
use super::servers::server;
use crate::programs::{Home, await_that};

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
fn killed_after_any_call_the_next_run_makes_one_machine() {
    let account = Account::new();
    // Some of the calls by which a machine is made; the answer to the last one never arrives.
    for action in [
        "CreateSecurityGroup",
        "AuthorizeSecurityGroupIngress",
        "ImportKeyPair",
        "RunInstances",
        "CreateTags",
    ] {
        account.break_calls(&json!([{"action": action, "fault": "held"}]));
        let before = account.calls().len();
        let mut deployer = account.start(&up(&server()));
        await_that(action, || {
            let ended = deployer.try_wait().unwrap();
            assert!(ended.is_none(), "up ended without {action}: {:?}", account.run(&up(&server())));
            account.calls()[before..].iter().any(|call| call == action)
        });
        deployer.kill().unwrap();
        deployer.wait().unwrap();
        account.break_calls(&json!([]));
    }
    let _ = account.up(&server());
    account.instance();
    assert_eq!(account.groups().len(), 1);
    account.can_chat();
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
