//! The life of a server on EC2, from nothing to nothing, while nothing goes wrong.

use std::fs;

use serde_json::json;

use super::account::{Account, INSTANCE};
use super::servers::{changed_server, server};
use crate::programs::await_that;

/// What looking at everything costs at most. One call less is welcome.
const CALLS_TO_LOOK: usize = 8;

#[test]
fn up_makes_one_machine_and_up_again_changes_nothing() {
    let account = Account::new();
    let said = account.up(&server());
    let address = account.address();
    let connect = said.out.lines().last().unwrap();
    assert!(connect.ends_with(&format!("connect {address} 12345")), "{said:?}");
    account.can_chat();
    is_made_as_promised(&account);

    let calls = account.calls_of(|| {
        let _ = account.up(&server());
    });
    assert!(calls.iter().all(|call| call.starts_with("Describe")), "{calls:?}");
    assert!(calls.len() <= CALLS_TO_LOOK, "{} calls: {calls:?}", calls.len());
    let plan = ["plan", "--detailed-exitcode", "--binary", server().to_str().unwrap()].map(str::to_owned);
    let _ = account.run(&plan.each_ref().map(String::as_str)).ended_with(0);
    assert_eq!(account.address(), address);

    let status = account.status();
    assert_eq!(status["server"], "healthy", "{status:#}");
    for strayed in ["missing", "surplus", "drift"] {
        assert_eq!(status[strayed], json!([]), "{status:#}");
    }
    assert!(status.to_string().contains(&address), "{status:#}");
    reads_its_settings_again(&account);
}

/// A reload is no restart, and the service manager knows when it is done.
fn reads_its_settings_again(account: &Account) {
    let main_pid = || account.in_machine("systemctl show -p MainPID --value chat-server.service");
    let before = main_pid();
    account.in_machine("systemctl reload chat-server.service && systemctl is-active chat-server.service");
    assert_eq!(main_pid(), before);
    let log = account.in_machine("journalctl --no-pager -u chat-server.service");
    assert!(log.contains("read the settings again"), "{log}");
}

fn is_made_as_promised(account: &Account) {
    let instance = account.instance();
    assert_eq!(instance["MetadataOptions"]["HttpTokens"], "required");
    assert_eq!((account.groups().len(), account.key_pairs().len()), (1, 1));
    let ports: Vec<_> = account.groups()[0]["IpPermissions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["FromPort"].clone())
        .collect();
    assert!(ports.len() == 2 && ports.contains(&22.into()) && ports.contains(&12345.into()), "{ports:?}");
    for resource in [instance, account.groups()[0].clone(), account.key_pairs()[0].clone()] {
        let tags = resource["Tags"].as_array().unwrap();
        for (key, value) in [("chat-deploy:managed", "true"), ("chat-deploy:instance", INSTANCE)] {
            assert!(tags.contains(&json!({"Key": key, "Value": value})), "{resource:#}");
        }
    }
    // The key that came with the user data is no longer the one that the machine proves itself with.
    let tags = account.instance()["Tags"].to_string();
    assert!(tags.contains("chat-deploy:host-key") && !tags.contains("bootstrap"), "{tags}");
    assert_eq!(account.in_machine("systemctl is-failed 'chat*' | grep -c failed || true").trim(), "0");
    // Both end with an error that says what they mind. The threshold is ten times what systemd shows, where 10.0 is no
    // protection at all.
    account.in_machine("cloud-init schema --config-file /var/lib/cloud/instance/user-data.txt");
    account.in_machine("systemd-analyze security --threshold=10 chat-server.service");
}

#[test]
fn down_leaves_nothing_but_a_backup_that_can_be_restored() {
    let account = Account::new();
    let _ = account.up(&server());
    let mut alice = account.chatter();
    alice.type_line("/register alice pw");
    alice.await_line("Server: The username alice was successfully registered");
    let identity = account.status()["identity"].clone();
    an_answer_that_comes_too_late_removes_nothing(&account);

    let _ = account.run(&["down", "--yes"]).ended_with(0);
    account.is_empty();
    let backups = account.home.path().join(".local/state/chat-deploy/backups");
    let backups: Vec<_> = fs::read_dir(backups).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(backups.len(), 1, "{backups:?}");
    let _ = account.run(&["down", "--yes"]).ended_with(1).complains(&["no instance"]);

    let backup = backups[0].to_str().unwrap();
    let _ = account
        .run(&["up", "--yes", "--restore", backup, "--binary", server().to_str().unwrap()])
        .ended_with(0);
    assert_eq!(account.status()["identity"], identity);
    let mut alice = account.chatter();
    alice.type_line("/login alice pw");
    alice.await_line_like("logged in as alice");
}

/// Who thinks for so long that the lock is lost may have been overtaken.
fn an_answer_that_comes_too_late_removes_nothing(account: &Account) {
    let thinks = account.run_in_terminal(&["down", "--no-backup"]);
    thinks.await_text("Remove all this?", 1);
    account.in_machine(
        "for process in /proc/[0-9]*; do
            [ \"$(readlink $process/fd/9)\" != /run/chat-deploy.lock ] || kill ${process#/proc/}
        done",
    );
    thinks.type_line("yes");
    thinks.await_text("ended with 1", 1);
    assert!(thinks.shown().contains("the lock on myserver was lost"), "{}", thinks.shown());
    account.can_chat();
}

#[test]
fn a_stopped_machine_comes_back_with_everything_on_another_address() {
    let account = Account::new();
    let _ = account.up(&server());
    let (address, status) = (account.address(), account.status());
    let _ = account.run(&["stop"]).ended_with(0);
    assert_eq!(account.instance()["State"]["Name"], "stopped");
    let said = account.run(&["start"]).ended_with(0);
    let new_address = account.address();
    assert_ne!(new_address, address);
    assert!(said.out.contains(&new_address), "{said:?}");
    account.can_chat();
    assert_eq!(account.status()["identity"], status["identity"]);
    let calls = account.calls_of(|| {
        let _ = account.up(&server());
    });
    assert!(calls.iter().all(|call| call.starts_with("Describe")), "{calls:?}");
}

#[test]
fn a_reboot_and_a_power_cut_are_survived() {
    let account = Account::new();
    let _ = account.up(&server());
    let boots = account.boots();
    account.aws("reboot_instances", &json!({"InstanceIds": [account.instance()["InstanceId"]]}));
    // Nobody is let into a machine that shuts down: it would hang.
    let entered = account.try_in_machine("true");
    assert!(entered.is_err() || account.boots() > boots, "{entered:?}");
    await_that("the machine has rebooted", || account.boots() > boots);
    account.can_chat_soon();
    account.cut_power();
    account.can_chat_soon();
    assert_eq!(account.status()["server"], "healthy");
}

#[test]
fn a_stopped_machine_keeps_its_port_whatever_else_is_open() {
    let account = Account::new();
    let settings = account.home.path().join("ports.toml");
    fs::write(&settings, "[ec2]\nports = [80]\n").unwrap();
    let server = server();
    let up = ["up", "--yes", "--binary", server.to_str().unwrap()];
    let moved = ["--port", "4000", "--config", settings.to_str().unwrap()];
    let _ = account.run(&[&up[..], &moved[..]].concat()).ended_with(0);
    let doctor = || account.run(&["doctor", "--binary", server.to_str().unwrap()]).out;
    let said = doctor();
    assert!(said.contains("ok  rules"), "{said}");
    account.in_machine("mv /etc/chat/server.toml /root");
    let said = doctor();
    assert!(said.contains("which port the server has, its host alone knows"), "{said}");
    account.in_machine("mv /root/server.toml /etc/chat");
    let _ = account.run(&["stop"]).ended_with(0);

    // Without the settings file, only the host knows which of the two ports is the server's.
    let plan = account.run(&["plan", "--binary", server.to_str().unwrap()]).ended_with(0);
    assert!(!plan.out.contains("rule") && plan.out.contains("is seen once"), "{plan:?}");
    let changed = changed_server(&account.home, "changed");
    let calls = account.calls_of(|| {
        let said = account.run(&["up", "--yes", "--binary", changed.to_str().unwrap()]).ended_with(0);
        // What nobody is asked about is shown all the same.
        let _ = said.complains(&["is seen once", "- rule", "tcp 80 from 0.0.0.0/0", "~ current"]);
    });
    assert!(!calls.contains(&"AuthorizeSecurityGroupIngress".to_owned()), "{calls:?}");
    let status = account.status();
    assert_eq!(status["server"], "healthy", "{status:#}");
    for strayed in ["missing", "surplus", "drift"] {
        assert_eq!(status[strayed], json!([]), "{status:#}");
    }
    let rules = status["rules"].as_array().unwrap();
    assert!(rules.len() == 2 && rules.contains(&json!("tcp 4000 from 0.0.0.0/0")), "{status:#}");
}
