//! Region, credentials and retries, each in surroundings of its own: the SDK reads the environment, so a test starts this
//! very test program again with another one. And our own address, from a service on this machine.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use chat_client::link::error_chain;

use super::super::checkip::address_from;
use super::super::retry;
use crate::cloud::ec2::Ec2;
use crate::cloud::{AddressError, Cloud as _, ConnectError, Ec2Settings};
use crate::interrupt::Interrupt;

const NO_METADATA: (&str, &str) = ("AWS_EC2_METADATA_DISABLED", "true");
const KEY: (&str, &str) = ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
const SECRET: (&str, &str) = ("AWS_SECRET_ACCESS_KEY", super::SECRET);
const REGION: (&str, &str) = ("AWS_REGION", "eu-west-1");

/// Says what connecting comes to here and now.
#[test]
#[ignore = "run by the other tests of this file, each in surroundings of its own"]
fn connects() {
    let settings = Ec2Settings { region: None, profile: std::env::var("TEST_PROFILE").ok() };
    match Ec2::connect(&settings, &Interrupt::default()) {
        Ok(ec2) => println!("=> {}", ec2.region()),
        Err(error) => println!("=> {}", error_chain(&error)),
    }
}

/// Connects with these variables, and with `config` as `~/.aws/config`.
fn connect(variables: &[(&str, &str)], config: &str) -> (String, Duration) {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    std::fs::write(home.path().join(".aws/config"), config).unwrap();
    let start = Instant::now();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "cloud::ec2::tests::connect::connects"])
        .env_clear()
        .env("HOME", home.path())
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let answer = text.lines().find_map(|line| line.split_once("=> ")).unwrap_or_else(|| panic!("{text}")).1;
    assert!(!text.contains(super::SECRET), "{text}");
    (answer.to_owned(), start.elapsed())
}

#[test]
fn region_and_credentials_come_from_where_aws_tools_have_them() {
    let check = |variables: &[(&str, &str)], config: &str, expected: &str| {
        assert_eq!(connect(&[variables, &[NO_METADATA]].concat(), config).0, expected);
    };
    let keys = "aws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = x\n";
    let files = format!("[default]\nregion = us-west-2\n{keys}[profile work]\nregion = eu-north-1\n{keys}");
    check(&[KEY, SECRET, REGION], "", "eu-west-1");
    check(&[], &files, "us-west-2");
    check(&[REGION], &files, "eu-west-1");
    check(&[("AWS_PROFILE", "work")], &files, "eu-north-1");
    check(&[("TEST_PROFILE", "work")], &files, "eu-north-1");
}

#[test]
fn what_is_missing_is_named() {
    let profile =
        "[profile work]\nsso_session = gone\nsso_account_id = 1\nsso_role_name = a\nregion = us-east-1\n";
    let answers = [
        connect(&[KEY, SECRET, NO_METADATA], ""),
        connect(&[REGION, NO_METADATA], ""),
        connect(&[REGION, NO_METADATA, ("TEST_PROFILE", "wrok")], profile),
        // A profile that is named counts for more than what the environment has.
        connect(&[KEY, SECRET, NO_METADATA, ("TEST_PROFILE", "work")], profile),
        connect(&[KEY, SECRET, REGION, ("AWS_MAX_ATTEMPTS", "0")], ""),
    ];
    insta::assert_snapshot!(answers.map(|(answer, _)| answer).join("\n"));
}

#[test]
fn a_metadata_service_that_keeps_silent_does_not_hold_us_up() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let (answer, time) = connect(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)], "");
    assert!(answer.starts_with("no AWS region is set"), "{answer}");
    assert!(time < Duration::from_secs(8), "{time:?}");
}

#[test]
fn variables_about_retries_do_not_panic() {
    let check = |name: &'static str, value: &str, fine: bool| {
        let result = retry::settings(|asked| (asked == name).then(|| value.to_owned()));
        match result {
            Ok(_) => assert!(fine, "{name}={value}"),
            Err(error) => {
                assert!(!fine && matches!(error, ConnectError::Variable { .. }), "{name}={value}: {error}");
            }
        }
    };
    check("AWS_MAX_ATTEMPTS", "4", true);
    check("AWS_MAX_ATTEMPTS", "0", false);
    check("AWS_MAX_ATTEMPTS", "-1", false);
    check("AWS_MAX_ATTEMPTS", "many", false);
    check("AWS_RETRY_MODE", "standard", true);
    check("AWS_RETRY_MODE", "adaptive", true);
    check("AWS_RETRY_MODE", "legacy", false);
}

/// Asks a service that sends this and hangs up, or nothing at all.
fn address(reply: Option<&'static str>) -> Result<Ipv4Addr, AddressError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let service = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]).unwrap();
        match reply {
            Some(reply) => stream.write_all(reply.as_bytes()).unwrap(),
            None => drop(stream.read(&mut [0])),
        }
    });
    let address = address_from(&url, Duration::from_millis(if reply.is_some() { 5000 } else { 100 }));
    service.join().unwrap();
    address
}

#[test]
fn our_own_address_is_an_address_or_an_error() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n203.0.113.25\n";
    assert_eq!(address(Some(ok)).unwrap(), Ipv4Addr::new(203, 0, 113, 25));
    let wrong = [
        "HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n203.0.113.25, 10.0.0.25\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n2001:db8::25",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n0.0.0.0/0",
        "HTTP/1.1 200 OK\r\nContent-Length: 29\r\n\r\n<html>\x1b[31mLog in first</html>",
        "HTTP/1.1 500 Oops\r\nContent-Length: 12\r\n\r\n203.0.113.25",
    ];
    let errors = wrong.map(|reply| {
        let error = address(Some(reply)).unwrap_err();
        assert!(matches!(error, AddressError::NoAddress { .. }), "{error}");
        let text = error.to_string();
        text.split_once(" answered ").unwrap().1.to_owned()
    });
    insta::assert_snapshot!(errors.join("\n"));
    assert!(matches!(address(None).unwrap_err(), AddressError::Unreachable { .. }));
}
