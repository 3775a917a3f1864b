//! The exchange of a host key, and what is left when it is cut off anywhere. systemd is a stand-in here: a script that sends
//! the test's own sshd the signal by which `systemctl reload` has it read its keys.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::thread;

use chat_deploy::host::ssh::known_hosts::PinnedHosts;
use chat_deploy::host::ssh::remote::Remote as _;
use chat_deploy::host::ssh::rotation::{self, Record, RotationError};
use chat_deploy::host::ssh::session::Target;
use chat_deploy::host::ssh::trust::fingerprint;
use ssh_key::PublicKey;

use crate::sshd::{Sshd, connect};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Notes keys as a run does, in pins and in what the cloud would vouch for, or is killed before or after a note.
struct Notes {
    pins: PinnedHosts,
    vouched: Vec<String>,
    dies: Option<&'static str>,
}

impl Notes {
    fn of(server: &Sshd, dies: Option<&'static str>) -> Self {
        Self { pins: server.pins(), vouched: vec![server.fingerprint()], dies }
    }

    fn may_die(&self, at: &'static str) -> Result<(), BoxError> {
        if self.dies == Some(at) { Err(at.into()) } else { Ok(()) }
    }
}

impl Record for Notes {
    fn announce(&mut self, former: &PublicKey, fresh: &PublicKey) -> Result<(), BoxError> {
        self.may_die("before announce")?;
        self.pins.add("token", fresh)?;
        self.vouched = vec![fingerprint(former), fingerprint(fresh)];
        self.may_die("after announce")
    }

    fn settle(&mut self, fresh: &PublicKey) -> Result<(), BoxError> {
        self.may_die("before settle")?;
        self.vouched = vec![fingerprint(fresh)];
        self.pins.replace("token", fresh)?;
        self.may_die("after settle")
    }
}

/// Starts a server whose sessions find stand-ins for systemctl and, where we are not root, for sudo.
fn server() -> Sshd {
    let mut server = Sshd::prepare();
    let bin = server.path("bin");
    fs::create_dir(&bin).unwrap();
    let pid_file = server.path("sshd.pid");
    let systemctl = format!(
        "#!/bin/sh\ncase \"$*\" in\n'is-active --quiet sshd.service') exit 0;;\n\
         'reload sshd.service') kill -HUP \"$(cat {})\";;\n*) exit 3;;\nesac\n",
        pid_file.display()
    );
    for (name, text) in [("systemctl", systemctl.as_str()), ("sudo", "#!/bin/sh\nshift\nexec \"$@\"\n")] {
        fs::write(bin.join(name), text).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let config = server.path("sshd_config");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}SetEnv PATH={}:/usr/bin:/bin\n", bin.display())).unwrap();
    server.run();
    server
}

fn exchange(server: &Sshd, bootstrap: &str, notes: &mut Notes) -> Result<PublicKey, RotationError> {
    let mut target: Target = server.target();
    target.trust.vouched = notes.vouched.clone();
    let session = connect(target)?;
    let key_file = server.path("host").display().to_string();
    rotation::exchange(&session, bootstrap, &key_file, notes)
}

#[test]
fn a_host_key_is_exchanged_and_the_old_one_forgotten() {
    let server = server();
    let bootstrap = server.fingerprint();
    let mut notes = Notes::of(&server, None);
    let fresh = exchange(&server, &bootstrap, &mut notes).unwrap();
    assert_ne!(fingerprint(&fresh), bootstrap);
    assert_eq!(fingerprint(&server.public("host")), fingerprint(&fresh));
    assert_eq!(fs::metadata(server.path("host")).unwrap().mode() & 0o777, 0o600);
    let left: Vec<_> =
        fs::read_dir(server.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("fresh")), "{left:?}");

    let pins = fs::read_to_string(server.pins().path()).unwrap();
    assert_eq!(pins.lines().count(), 1, "{pins}");
    let mut target = server.target();
    target.trust.vouched.clear();
    assert_eq!(
        connect(target).unwrap().host_key().parse::<PublicKey>().unwrap().key_data(),
        fresh.key_data()
    );
    // Once more changes nothing.
    let again = exchange(&server, &bootstrap, &mut notes).unwrap();
    assert_eq!(again.key_data(), fresh.key_data());
}

#[test]
fn what_is_held_survives_the_exchange() {
    let server = server();
    let session = server.connect();
    let (_, held) = session.hold("echo locked; cat", crate::sshd::LONG).unwrap();
    let key_file = server.path("host").display().to_string();
    let mut notes = Notes::of(&server, None);
    rotation::exchange(&session, &server.fingerprint(), &key_file, &mut notes).unwrap();
    drop(held);
}

#[test]
fn cut_off_anywhere_it_goes_on_from_there() {
    for dies in ["before announce", "after announce", "before settle", "after settle"] {
        let server = server();
        let bootstrap = server.fingerprint();
        let mut notes = Notes::of(&server, Some(dies));
        let error = exchange(&server, &bootstrap, &mut notes).unwrap_err();
        assert!(matches!(error, RotationError::Record { .. }), "{dies}: {error:?}");
        notes.dies = None;
        let fresh =
            exchange(&server, &bootstrap, &mut notes).unwrap_or_else(|error| panic!("{dies}: {error:?}"));
        assert_ne!(fingerprint(&fresh), bootstrap, "{dies}");
        assert_eq!(notes.vouched, [fingerprint(&fresh)], "{dies}");
        assert_eq!(fs::read_to_string(server.pins().path()).unwrap().lines().count(), 1, "{dies}");
    }
}

#[test]
fn two_at_once_agree_on_one_key() {
    let server = server();
    let bootstrap = server.fingerprint();
    let run = || exchange(&server, &bootstrap, &mut Notes::of(&server, None)).unwrap();
    let [one, other] = thread::scope(|scope| {
        let runs = [scope.spawn(run), scope.spawn(run)];
        runs.map(|run| fingerprint(&run.join().unwrap()))
    });
    assert_eq!(one, other);
    assert_ne!(one, bootstrap);
}

#[test]
fn a_switch_that_sshd_did_not_notice_is_told_again() {
    let server = server();
    let bootstrap = server.fingerprint();
    let mut notes = Notes::of(&server, Some("after announce"));
    exchange(&server, &bootstrap, &mut notes).unwrap_err();
    // As if killed between the new file and the reload.
    fs::rename(server.path("host.fresh"), server.path("host")).unwrap();
    notes.dies = None;
    let fresh = exchange(&server, &bootstrap, &mut notes).unwrap();
    assert_ne!(fingerprint(&fresh), bootstrap);
    assert_eq!(fingerprint(&server.public("host")), bootstrap, "only the file beside it is of before");
}

#[test]
fn a_host_that_cannot_leaves_its_key_alone() {
    let server = server();
    let before = fs::read(server.path("host")).unwrap();
    let session = server.connect();
    let mut notes = Notes::of(&server, None);
    let error = rotation::exchange(&session, &server.fingerprint(), "/no/such/key", &mut notes).unwrap_err();
    assert!(matches!(error, RotationError::Failed { doing: "make", .. }), "{error:?}");
    assert_eq!(fs::read(server.path("host")).unwrap(), before);
}
