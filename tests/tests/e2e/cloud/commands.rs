//! The commands that look, on a server on EC2: each says what it should, and ends as it should.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::json;

use super::account::{Account, INSTANCE};
use super::servers::{changed_server, server};
use crate::programs::{Said, await_that, finish};

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
fn a_doctor_tells_of_all_that_is_wrong_and_of_each_thing_once() {
    let account = Account::new();
    let binary = server();
    let doctor = |more: &[&str]| {
        let words = ["doctor", "--binary", binary.to_str().unwrap()];
        account.run(&[&words[..], more].concat())
    };
    let tells = |said: &Said, texts: &[&str]| {
        for text in texts {
            assert!(said.out.contains(text), "{text:?} is not in {said:#?}");
        }
    };

    account.break_calls(&json!([{"action": "*", "fault": "refused", "code": "UnauthorizedOperation",
        "message": "You are not authorized to perform this operation.", "times": 1000}]));
    let denied = doctor(&[]).ended_with(1).complains(&["1 thing is wrong"]);
    let names = ["not allowed: DescribeInstances, ", "DescribeVpcs", "ImportKeyPair", "chat-deploy policy"];
    tells(&denied, &names);
    tells(&denied, &["so not known yet: ", "TerminateInstances", "not looked at, for want of ec2:Describe"]);
    account.break_calls(&json!([]));

    let key = account.home.path().join("exposed");
    let key = key.to_str().unwrap();
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", key]).status();
    assert!(made.unwrap().success());
    fs::set_permissions(key, fs::Permissions::from_mode(0o644)).unwrap();
    let exposed = doctor(&["--key", key]).ended_with(1).complains(&["1 thing is wrong"]);
    tells(&exposed, &["!!  key", "chmod 600", "a new one would be a t"]);

    let _ = account.up(&server());
    let exposed = doctor(&["--key", key]).ended_with(1).complains(&["1 thing is wrong"]);
    tells(&exposed, &["ok  rules", "not tried, for want of a key"]);
    let group = account.groups()[0]["GroupId"].clone();
    let chat = json!({"IpProtocol": "tcp", "FromPort": 12345, "ToPort": 12345,
        "IpRanges": [{"CidrIp": "0.0.0.0/0"}]});
    let revoke = json!({"GroupId": group, "IpPermissions": [chat]});
    account.aws("revoke_security_group_ingress", &revoke);
    let closed = doctor(&[]).ended_with(1);
    tells(&closed, &["!!  rules        not open: tcp 12345 from 0.0.0.0/0", "`chat-deploy up` opens"]);
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
