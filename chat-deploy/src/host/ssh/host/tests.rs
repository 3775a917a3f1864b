//! The host over a connection that says what it is told to.

use std::collections::VecDeque;

use super::*;
use crate::host::ssh::remote::Answer;
use crate::release::digest;

/// Answers in turn, and remembers the script's arguments and data.
#[derive(Default)]
struct Scripted {
    answers: RefCell<VecDeque<Answer>>,
    calls: RefCell<Vec<(String, Vec<u8>)>>,
    renewed: Cell<usize>,
}

impl Scripted {
    fn of(answers: &[(i32, &str)]) -> Self {
        let answer = |(code, out): &(i32, &str)| Answer {
            code: Some(*code),
            out: (*out).to_owned(),
            err: "last words\n".to_owned(),
        };
        Self { answers: RefCell::new(answers.iter().map(answer).collect()), ..Self::default() }
    }

    fn host(&self) -> SshHost<'_> {
        let surroundings = Surroundings {
            address: "203.0.113.7".to_owned(),
            place: "ec2-user@203.0.113.7".to_owned(),
            backups: "/nowhere".into(),
            holder: "you@laptop, pid 1".to_owned(),
            start_timeout: Duration::from_secs(20),
        };
        SshHost::new("myserver".parse().unwrap(), Box::new(self), surroundings)
    }

    fn verbs(&self) -> Vec<String> {
        self.calls.borrow().iter().map(|(arguments, _)| arguments.clone()).collect()
    }
}

impl Remote for &Scripted {
    fn peer(&self) -> String {
        "ec2-user@203.0.113.7".to_owned()
    }

    fn run(&self, call: Call<'_>) -> Result<Answer, RemoteError> {
        let mut input = Vec::new();
        call.input.read_to_end(&mut input).unwrap();
        let data = input.strip_prefix(script::line().unwrap().as_bytes()).unwrap().to_vec();
        let arguments = call.command.split_once("'chat-host' ").unwrap().1.replace('\'', "");
        self.calls.borrow_mut().push((arguments, data));
        Ok(self.answers.borrow_mut().pop_front().unwrap())
    }

    fn hold(&self, _: &str, _: Duration) -> Result<(String, Box<dyn Held + '_>), RemoteError> {
        struct Free;
        impl Held for Free {
            fn keep(&self) -> Result<(), HostError> {
                Err(RemoteError::Refused { peer: "host".to_owned() }.into())
            }
        }
        Ok((self.answers.borrow_mut().pop_front().unwrap().out, Box::new(Free)))
    }

    fn follow(&self, _: &str, _: &mut dyn FnMut(&str) -> io::Result<()>) -> Result<(), RemoteError> {
        Err(RemoteError::Interrupted)
    }

    fn receive(&self, call: Call<'_>, _: u64, sink: &mut dyn io::Write) -> Result<Answer, RemoteError> {
        let answer = if call.command.contains("'chat-host'") {
            self.run(call)?
        } else {
            self.answers.borrow_mut().pop_front().unwrap()
        };
        sink.write_all(answer.out.as_bytes()).unwrap();
        Ok(answer)
    }

    fn renew(&self) -> Result<(), RemoteError> {
        self.renewed.set(self.renewed.get() + 1);
        Ok(())
    }

    fn host_key_now(&self) -> Result<String, RemoteError> {
        Ok(String::new())
    }

    fn host_key(&self) -> String {
        String::new()
    }
}

fn id() -> ReleaseId {
    "0.1.0-5686817c0a04".parse().unwrap()
}

fn config() -> ServerConfig {
    ServerConfig::parse("host = \"0.0.0.0\"\nport = 12345\n".to_owned()).unwrap()
}

/// The error that a refusal comes out as, in words.
fn refused(said: &str) -> String {
    refusal("verb", &format!("said before\n{said}\n")).to_string()
}

#[test]
fn refusals_are_errors_of_their_own() {
    for (said, expected) in [
        ("refused no-tool gzip", "the host has no program gzip"),
        ("refused instance other", "the host runs the instance other already"),
        ("refused user", "the host has a user chat that chat-deploy has not made"),
        ("refused files /opt/chat", "the host has /opt/chat already, which chat-deploy has not made"),
        ("refused room 12000000 5000", "the host has 5.0 kB free, and the release needs 12.0 MB"),
        ("refused no-release 0.1.0-5686817c0a04", "release 0.1.0-5686817c0a04 is not installed"),
        ("refused has-data", "/var/lib/chat has data of a server already"),
        ("refused running 42", "the server (pid 42) still runs after SIGKILL"),
        (
            "refused went-back 0.1.0-5686817c0a04 aXQgZW5kZWQK",
            "the host has gone back from release 0.1.0-5686817c0a04: it ended",
        ),
        (
            "refused stuck",
            "the host failed to verb: chat-guard.service has not done its work within a minute",
        ),
        (
            "refused went-back x y",
            r#"the host answered verb with "refused went-back x y", which means nothing here"#,
        ),
        ("what", r#"the host answered verb with "what", which means nothing here"#),
    ] {
        assert_eq!(refused(said), expected, "{said}");
    }
}

#[test]
fn a_failure_carries_what_the_host_said() {
    let remote = Scripted::of(&[(1, "")]);
    let error = remote.host().stop().unwrap_err();
    assert_eq!(error.to_string(), "the host failed to stop: last words");
}

#[test]
fn the_lock_is_ours_or_somebody_is_named() {
    let remote = Scripted::of(&[(0, "locked"), (0, "held me@desk, pid 7"), (0, "held "), (0, "hello")]);
    let host = remote.host();
    let lost = host.lock().unwrap().keep().unwrap_err();
    assert_eq!(lost.to_string(), "the lock on myserver was lost; somebody else may have changed it since");
    let refused = || host.lock().map(drop).unwrap_err().to_string();
    assert_eq!(refused(), "another chat-deploy works on myserver (me@desk, pid 7)");
    assert_eq!(refused(), "another chat-deploy works on myserver");
    assert_eq!(refused(), r#"the host answered lock with "hello", which means nothing here"#);
}

#[test]
fn what_an_activation_says_answers_the_next_question() {
    let proof = "makes-data yes\nservice MainPID=0\nservice ExecMainCode=1\nservice ExecMainStatus=3\nend\n";
    let remote = Scripted::of(&[(0, proof), (0, "a line\n"), (0, "end\n"), (0, "end\n")]);
    let host = remote.host();
    host.activate(&id(), &config()).unwrap();
    assert_eq!(host.server().unwrap(), Server::Stopped { how: Some("exit status: 3".to_owned()) });
    // What the release said, and not the one that may run in its place by now.
    assert_eq!(host.log_tail(LogSpan::LastRun, 20).unwrap(), ["a line"]);
    assert_eq!(host.revert().unwrap(), None);
    assert_eq!(remote.verbs(), ["activate 0.1.0-5686817c0a04 50", "log tried 20", "revert yes"]);
    assert_eq!(remote.calls.borrow()[0].1, config().text.as_bytes());
    // Only the run that made the data may take it along.
    let remote = Scripted::of(&[(0, "runs 0.1.0-5686817c0a04\nend\n")]);
    assert_eq!(remote.host().revert().unwrap(), Some(id()));
    assert_eq!(remote.verbs(), ["revert no"]);
}

#[test]
fn a_confirmation_comes_over_a_new_connection() {
    let remote = Scripted::of(&[(0, ""), (0, "")]);
    let host = remote.host();
    host.confirm(&id(), &config(), Some(1_770_000_000)).unwrap();
    host.confirm(&id(), &config(), None).unwrap();
    let what = format!("confirm {} {}", id(), digest::of_bytes(config().text.as_bytes()));
    assert_eq!(remote.verbs(), [format!("{what} 1770000000"), format!("{what} -")]);
    assert_eq!(remote.renewed.get(), 2);
}

#[test]
fn a_release_is_sent_compressed_and_told_from_one_that_changed() {
    let dir = tempfile::tempdir().unwrap();
    let origin = dir.path().join("chat-server");
    let bytes = b"a program ".repeat(10_000);
    std::fs::write(&origin, &bytes).unwrap();
    let release = Release {
        id: id(),
        digest: digest::of_bytes(&bytes),
        size_bytes: bytes.len() as u64,
        deployed_at: 0,
        origin: origin.clone(),
    };
    let remote = Scripted::of(&[(0, ""), (10, "refused digest\n"), (10, "refused digest\n")]);
    let host = remote.host();
    let mut seen = 0;
    host.install(&release, &mut |done| seen = done).unwrap();
    assert_eq!(seen, release.size_bytes);
    let sent = remote.calls.borrow()[0].1.clone();
    assert!(sent.len() < bytes.len() / 10);
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(sent.as_slice()).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, bytes);

    let failed = |release: &Release| host.install(release, &mut |_| {}).unwrap_err().to_string();
    assert_eq!(failed(&release), "the host failed to install: what arrived is not what was sent");
    let changed = Release { digest: digest::of_bytes(b"another"), ..release };
    assert_eq!(failed(&changed), format!("{} changed while it was installed", origin.display()));
}

#[test]
fn a_configuration_is_judged_by_the_release() {
    let check = |answer: (i32, &str), expected: &str| {
        let remote = Scripted::of(&[answer]);
        let judged = remote.host().check_config(&id(), &config(), &Interrupt::default());
        assert_eq!(judged.map_or_else(|error| error.to_string(), |()| "fine".to_owned()), expected);
    };
    check((0, "checked 0\n"), "fine");
    check((0, "checked 2\n"), "the server refuses its configuration");
    check((0, "checked 124\n"), "release 0.1.0-5686817c0a04 could not check its configuration");
    check((0, "checked 126\n"), "release 0.1.0-5686817c0a04 could not check its configuration");
    check((0, ""), r#"the host answered check-config with "", which means nothing here"#);
}

#[test]
fn a_port_is_free_unless_somebody_else_has_it() {
    let state = "systemd 252\nlistening 00000000:0050\nlistening 0100007F:1F90\nend\n";
    let remote = Scripted::of(&[(0, state), (0, "holder \"nginx\",pid=42\nend\n"), (0, "end\n")]);
    let host = remote.host();
    host.state().unwrap();
    host.check_port(host.listen(12345)).unwrap();
    let taken = |port| host.check_port(host.listen(port)).unwrap_err().to_string();
    assert_eq!(taken(80), "0.0.0.0:80 is taken by nginx (pid 42)");
    assert_eq!(taken(8080), "0.0.0.0:8080 is taken");
}

#[test]
fn a_host_whose_systemd_is_too_old_can_be_looked_at_and_is_not_fit() {
    for (version, expected) in [("246", Some("the host has no systemd 247 or later, but 246")), ("247", None)]
    {
        let state = format!("systemd {version}\nend\n");
        let remote = Scripted::of(&[(0, &state)]);
        let error = remote.host().state().unwrap().facts.check().err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), expected, "{version}");
    }
}

#[test]
fn one_machine_holds_one_instance() {
    let remote = Scripted::of(&[(0, "systemd 252\ninstance other\nend\n"), (0, "systemd no\nend\n")]);
    let host = remote.host();
    assert_eq!(host.state().unwrap_err().to_string(), "the host runs the instance other already");
    assert_eq!(host.state().unwrap_err().to_string(), "the host has no systemd");
}

#[test]
fn a_backup_that_breaks_off_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let remote = Scripted::of(&[(1, "")]);
    let mut host = remote.host();
    host.surroundings.backups = dir.path().join("backups");
    assert_eq!(host.backup().unwrap_err().to_string(), "the host failed to backup: last words");
    assert_eq!(std::fs::read_dir(dir.path().join("backups")).unwrap().count(), 0);
}
