//! Answers as hosts gave them, and what a host that is not well could say.

use super::*;
use crate::release::digest;

const IDENTITY: &str = "SHA256:s+KZBGeWPCloQPu8uOGM2TpF5tgoFE5ATUqWaoW7dCM";
const DIGEST: &str = "5686817c0a04d825a5e0928f15aa85d27e84e112f503ca1eb68f012d491370a2";

const RUNNING: &str = "\
service MainPID=1126
service Result=success
service ExecMainStartTimestamp=Sun 2026-11-22 14:48:20 UTC
service ExecMainCode=0
service ExecMainStatus=0
service ActiveState=active
service SubState=running
program /opt/chat/releases/0.1.0-5686817c0a04/chat-server
started 1795358900
identity SHA256:s+KZBGeWPCloQPu8uOGM2TpF5tgoFE5ATUqWaoW7dCM
";

fn id() -> ReleaseId {
    "0.1.0-5686817c0a04".parse().unwrap()
}

fn record(size_bytes: u64) -> String {
    let release = Release {
        id: id(),
        digest: DIGEST.parse().unwrap(),
        size_bytes,
        deployed_at: 0,
        origin: "/build/chat-server".into(),
    };
    STANDARD.encode(serde_json::to_string(&release).unwrap())
}

fn read(text: &str) -> Result<Seen, String> {
    state(text, &digest::of_bytes(b"foundation")).map_err(|error| error.to_string())
}

#[test]
fn a_bare_machine_has_nothing() {
    let seen = read(
        "architecture x86_64\nlibc glibc 2.36\nfree 73023016960\nsystemd 252\nfoundation missing\n\
         listening 00000000:0016\nlistening 00000000000000000000000000000000:0016\n\
         service MainPID=0\nservice Result=success\nservice ExecMainCode=0\nservice ExecMainStatus=0\nend\n",
    )
    .unwrap();
    assert!(seen.state.facts.systemd == Some(252) && !seen.socket && seen.state.is_empty());
    assert_eq!(seen.state.foundation, Foundation::Missing);
    assert_eq!(seen.state.facts.architecture.as_deref(), Some("x86_64"));
    assert_eq!(seen.state.facts.libc.as_deref(), Some("glibc 2.36"));
    assert_eq!(seen.state.facts.free_bytes, Some(73_023_016_960));
    assert_eq!(seen.listening, ["0.0.0.0:22".parse().unwrap(), "[::]:22".parse().unwrap()]);
}

#[test]
fn a_running_server_is_read_whole() {
    let config = STANDARD.encode("host = \"0.0.0.0\"\nport = 12345\n");
    let (foundation, record) = (digest::of_bytes(b"foundation"), record(6_310_264));
    let seen = read(&format!(
        "free 1\nsystemd 252\nfoundation {foundation}\nfiles yes\ndata yes\ninstance myserver\n\
         release 6310264 1770000000 {record}\ncurrent 0.1.0-5686817c0a04\nconfig {config}\nunconfirmed none\n\
         socket yes\nlistening 0100007F:3039\n{RUNNING}end\n"
    ))
    .unwrap();
    assert!(seen.socket);
    assert_eq!(seen.instance.as_deref(), Some("myserver"));
    assert_eq!(seen.listening, ["127.0.0.1:12345".parse().unwrap()]);
    let state = seen.state;
    assert_eq!(state.foundation, Foundation::Ready);
    assert!(state.has_data && state.has_files);
    assert_eq!(state.current, Some(id()));
    assert_eq!(state.releases.iter().map(|r| r.deployed_at).collect::<Vec<_>>(), [1_770_000_000]);
    assert_eq!(state.config.unwrap().listen, "0.0.0.0:12345".parse().unwrap());
    assert_eq!(state.unconfirmed, Some(Unconfirmed { former: None }));
    assert_eq!(state.identity, Some(IDENTITY.parse().unwrap()));
    let process = Process { pid: 1126, release: Some(id()), started_at: 1_795_358_900 };
    assert_eq!(state.process, Some(process));
}

#[test]
fn what_is_not_whole_is_no_release() {
    for entry in [
        format!("10 0 {}", record(11)),
        format!("10 0 {}", STANDARD.encode("{}")),
        format!("0 0 {}", STANDARD.encode("not json")),
    ] {
        assert_eq!(read(&format!("release {entry}\nend\n")).unwrap().state.releases, []);
    }
}

#[test]
fn how_a_server_ended_is_said_where_it_is_known() {
    let check = |properties: &str, expected: Option<&str>| {
        let text = properties.split(' ').map(|p| format!("service {p}\n")).collect::<String>() + "end\n";
        let how = expected.map(str::to_owned);
        assert_eq!(look("proof", &text).unwrap().server(), Server::Stopped { how }, "{properties}");
    };
    check("MainPID=0 Result=success ExecMainCode=0 ExecMainStatus=0", None);
    check("MainPID=0 Result=exit-code ExecMainCode=1 ExecMainStatus=3", Some("exit status: 3"));
    check("MainPID=0 Result=core-dump ExecMainCode=3 ExecMainStatus=11", Some("signal: 11"));
    check("MainPID=0 Result=resources ExecMainCode=0 ExecMainStatus=0", Some("resources"));
    check("MainPID=0", None);
}

#[test]
fn programs_belong_to_releases_or_to_nobody() {
    let check =
        |program: &str, expected: Option<ReleaseId>| assert_eq!(release_of(program), expected, "{program}");
    check("/opt/chat/releases/0.1.0-5686817c0a04/chat-server", Some(id()));
    check("/opt/chat/releases/0.1.0-5686817c0a04/chat-server (deleted)", Some(id()));
    check("/opt/chat/releases/else/chat-server", None);
    check("/usr/lib/systemd/systemd", None);
}

#[test]
fn a_proof_has_what_was_seen_at_that_moment() {
    let why = STANDARD.encode("it did not start (exit status 3)\n");
    let text =
        format!("makes-data yes\n{RUNNING}setback 2-000000000000 1770000001 {why}\ndigest {DIGEST}\nend\n");
    let look = look("activate", &text).unwrap();
    assert!(look.makes_data);
    let proof = look.proof();
    assert_eq!(proof.digest, Some(DIGEST.parse().unwrap()));
    let expected = Setback {
        release: "2-000000000000".parse().unwrap(),
        at: 1_770_000_001,
        why: "it did not start (exit status 3)".to_owned(),
    };
    assert_eq!(proof.setback, Some(expected));
}

#[test]
fn anything_else_is_an_error_that_names_the_line() {
    let check = |text: &str, line: &str| {
        let expected = format!("the host answered state with {line:?}, which means nothing here");
        assert_eq!(read(text), Err(expected));
    };
    check("", "");
    check("files yes\n", "files yes");
    check("bookend\n", "bookend");
    check("Welcome to my machine!\nfiles yes\nend\n", "Welcome to my machine!");
    for line in [
        "free much",
        "foundation gone",
        "release 1",
        "release x 0 e30=",
        "config \u{e9}",
        "listening 7F:1",
        "listening 0100007F:123456",
        "listening \u{e9}\u{e9}\u{e9}\u{e9}:1",
        "service MainPID",
        "started soon",
        "identity SHA256:x",
        "digest 12",
        "setback 1 2 3",
        "runs away",
    ] {
        check(&format!("{line}\nend\n"), line);
    }
}

#[test]
fn whoever_listens_is_named() {
    assert_eq!(holder("holder \"sshd\",pid=42\nend\n").as_deref(), Some("sshd (pid 42)"));
    assert_eq!(holder("end\n"), None);
}
