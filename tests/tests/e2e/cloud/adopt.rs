//! A machine that somebody made by hand, with a key pair and a group of their own: it is used, and left as it was.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::account::{Account, INSTANCE};
use super::servers::server;
use crate::programs::await_that;

#[test]
fn a_machine_made_by_hand_is_adopted_and_left_standing() {
    let account = Account::new();
    let key = make_by_hand(&account);
    let host_key = account.in_machine("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub");
    let host_key = host_key.split(' ').nth(1).unwrap();
    let (server, key) = (server(), key.to_str().unwrap().to_owned());
    let flags = ["up", "--yes", "--key", &key, "--host-key", host_key, "--binary", server.to_str().unwrap()];

    let named = ["doctor", "--key", &key, "--host-key", host_key, "--binary", server.to_str().unwrap()];
    let seen = account.run(&named).ended_with(0);
    assert!(seen.out.contains("`up --adopt` would use it"), "{seen:?}");

    // A yes to the plan is no yes to taking over what somebody else made.
    let _ = account.run(&flags).ended_with(1).complains(&["--adopt"]);
    assert_eq!(open_ports(&account), [22]);

    // Nor is anything changed of it before somebody has said that it is the right one.
    let stranger = ["up", "--yes", "--adopt", "--key", &key, "--binary", server.to_str().unwrap()];
    let calls = account.calls_of(|| {
        let _ = account.run(&stranger).ended_with(1).complains(&[host_key]);
    });
    assert!(calls.iter().all(|call| call.starts_with("Describe")), "{calls:?}");

    let _ = account.run(&[&flags[..], &["--adopt"]].concat()).ended_with(0);
    let instance = account.instance();
    assert_eq!((account.groups().len(), account.key_pairs().len()), (1, 1));
    assert_eq!(open_ports(&account), [22, 12345]);
    account.can_chat();
    let status = account.run(&["status", "--key", &key]).ended_with(0);
    assert!(status.out.contains(&format!("host key  {host_key}")), "{status:?}");
    let seen = account.run(&named).ended_with(0);
    assert!(!seen.out.contains("not allowed") && seen.out.contains("answers in"), "{seen:?}");
    let calls = account.calls_of(|| {
        let _ = account.run(&flags).ended_with(0);
    });
    assert!(calls.iter().all(|call| call.starts_with("Describe")), "{calls:?}");

    let _ = account.run(&["down", "--yes", "--key", &key]).ended_with(0);
    let left = account.instance();
    assert_eq!((&left["InstanceId"], &left["State"]["Name"]), (&instance["InstanceId"], &"running".into()));
    assert!(!left["Tags"].to_string().contains("chat-deploy"), "{left:#}");
    assert_eq!((account.groups().len(), account.key_pairs().len()), (1, 1));
    assert_eq!(open_ports(&account), [22]);
    assert_eq!(account.in_machine("ls -d /opt/chat /etc/chat /var/lib/chat 2>/dev/null || true"), "");
    assert_eq!(account.in_machine("systemctl list-unit-files --no-legend 'chat*' || true"), "");
}

/// Does what the console's launch wizard does, and returns the file with the private key.
fn make_by_hand(account: &Account) -> PathBuf {
    let pair = account.aws("create_key_pair", &json!({"KeyName": INSTANCE, "KeyType": "ed25519"}));
    let key = account.home.path().join("myserver.pem");
    fs::write(&key, pair["KeyMaterial"].as_str().unwrap()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).unwrap();
    let group = account.aws(
        "create_security_group",
        &json!({"GroupName": "launch-wizard-3", "Description": "launch-wizard-3 created 2022-05-01"}),
    );
    account.aws(
        "authorize_security_group_ingress",
        &json!({"GroupId": group["GroupId"], "IpPermissions": [rule(22)]}),
    );
    let images = account.aws(
        "describe_images",
        &json!({"Owners": ["amazon"], "Filters": [{"Name": "name", "Values": ["al2023-ami-2023.*-x86_64"]}]}),
    );
    account.aws(
        "run_instances",
        &json!({
            "ImageId": images["Images"][0]["ImageId"], "InstanceType": "t3.micro", "KeyName": INSTANCE,
            "SecurityGroupIds": [group["GroupId"]], "MinCount": 1, "MaxCount": 1,
            "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": INSTANCE}]}],
        }),
    );
    await_that("the machine is up", || {
        account.instance()["State"]["Name"] == "running"
            && account
                .try_in_machine("test -e /etc/ssh/ssh_host_ed25519_key.pub && systemctl is-active ssh")
                .is_ok()
    });
    key
}

fn rule(port: u16) -> Value {
    json!({"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": "127.0.0.0/8"}]})
}

fn open_ports(account: &Account) -> Vec<u64> {
    let groups = account.groups();
    let rules = groups[0]["IpPermissions"].as_array().unwrap();
    let mut ports: Vec<_> = rules.iter().map(|rule| rule["FromPort"].as_u64().unwrap()).collect();
    ports.sort_unstable();
    ports
}
