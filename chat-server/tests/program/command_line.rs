//! The command line: what is printed where, and with which exit code.

use std::fs;
use std::process::Stdio;

use crate::process::{finished, program, run};

#[test]
fn every_mistake_in_the_settings_is_told_at_once_and_exits_with_2() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("server.toml"), "[limits]\nmax_conections = 3\n").unwrap();
    let (code, out, said) = run(
        home.path(),
        &["check-config", "--config", "server.toml", "--host", "localhost", "--port", "http"],
    );
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(
        said.starts_with(
            "error: 3 mistakes in the settings:\n  limits.max_conections in server.toml: no such"
        )
    );
    assert!(said.contains("\n  --host localhost: must be a literal address such as 127.0.0.1"), "{said}");
    assert!(said.contains("\n  --port http: must be a whole number from 0 to 65535\n"), "{said}");
    assert_eq!(run(home.path(), &["--port", "http"]).0, 2);
    assert_eq!(run(home.path(), &["--nonsense"]).0, 2);
}

#[test]
fn check_config_prints_a_file_that_it_accepts() {
    let home = tempfile::tempdir().unwrap();
    let (code, printed, said) = run(home.path(), &["check-config", "--port", "5000"]);
    assert_eq!((code, said.as_str()), (0, ""));
    let state = home.path().join(".local/state/chat-server");
    assert!(printed.contains("port = 5000\n") && printed.contains(state.to_str().unwrap()), "{printed}");
    fs::write(home.path().join("server.toml"), &printed).unwrap();
    assert_eq!(run(home.path(), &["check-config", "--config", "server.toml"]), (0, printed, String::new()));
}

#[test]
fn the_environment_names_the_file_and_sets_what_the_file_does_not() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("server.toml"), "port = 1\n[keys]\npairs = 2\n").unwrap();
    let variables = [("CHAT_CONFIG", "server.toml"), ("CHAT_PORT", "2"), ("CHAT_LIMITS_EXEMPT", "")];
    let output = program(home.path()).arg("check-config").envs(variables).output().unwrap();
    let (code, printed, _) = finished(output);
    assert_eq!(code, 0);
    assert!(printed.contains("port = 2\n") && printed.contains("pairs = 2\n"), "{printed}");
    assert!(printed.contains("exempt = []\n"), "{printed}");
    let empty = program(home.path()).arg("check-config").env("CHAT_CONFIG", "").output().unwrap();
    assert_eq!(finished(empty).0, 0);
}

#[test]
fn identity_makes_one_and_says_so_and_then_repeats_it() {
    let home = tempfile::tempdir().unwrap();
    let (code, fingerprint, said) = run(home.path(), &["identity", "--data", "data"]);
    assert_eq!((code, said.as_str()), (0, "made a new identity in data\n"));
    assert!(fingerprint.starts_with("SHA256:") && fingerprint.len() == 51, "{fingerprint}");
    assert_eq!(run(home.path(), &["identity", "--data", "data"]), (0, fingerprint, String::new()));
}

#[test]
fn keygen_writes_the_originals_files_and_overwrites_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (code, out, said) = run(home.path(), &["keygen", "--pairs", "3", "--min", "1e3", "--max", "2000"]);
    assert_eq!((code, said.as_str()), (0, ""));
    assert_eq!(out, "Created key pair in ./publickey.txt and ./privatekey.txt\n");
    let public = fs::read_to_string(home.path().join("publickey.txt")).unwrap();
    assert_eq!(public.lines().count(), 3);
    assert!(public.lines().all(|line| line.starts_with("n=") && line.contains(" e=")), "{public}");
    let (code, _, said) = run(home.path(), &["keygen"]);
    assert_eq!(code, 1);
    assert!(said.contains("publickey.txt") && said.contains("hint: move it away"), "{said}");
    assert_eq!(fs::read_to_string(home.path().join("publickey.txt")).unwrap(), public);
    for wrong in [["--bits", "3"], ["--pairs", "0"], ["--max", "many"], ["--min", "3"]] {
        assert_eq!(run(home.path(), &["keygen", "other", wrong[0], wrong[1]]).0, 2, "{wrong:?}");
    }
    let (code, _, said) = run(home.path(), &["keygen", "other", "--min", "10", "--max", "20"]);
    assert_eq!(code, 1);
    assert!(said.contains("different moduli"), "{said}");
}

#[test]
fn users_of_the_original_are_imported() {
    let home = tempfile::tempdir().unwrap();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/users-protocol-4.pickle");
    let (code, out, said) = run(home.path(), &["import-users", file, "--data", "data"]);
    assert_eq!((code, said.as_str()), (0, ""));
    assert!(out.ends_with("\n5 added, 0 kept, 7 refused\n"), "{out}");
    fs::write(home.path().join("evil.pickle"), "cos\nsystem\n(Vtouch evil\ntR.").unwrap();
    let (code, out, said) = run(home.path(), &["import-users", "evil.pickle", "--data", "data"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(said.contains("  because: instruction GLOBAL at byte 0 asks for \"os.system\""), "{said}");
    assert!(!home.path().join("evil").exists());
}

#[test]
fn help_and_version_go_to_standard_output() {
    let home = tempfile::tempdir().unwrap();
    let (code, help, said) = run(home.path(), &["--help"]);
    assert_eq!((code, said.as_str()), (0, ""));
    for word in ["check-config", "identity", "import-users", "keygen", "--host", "CHAT_HOST", "Examples:"] {
        assert!(help.contains(word), "{word}");
    }
    assert_eq!(run(home.path(), &["--version"]).1, format!("chat-server {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_reader_who_has_seen_enough_is_no_failure() {
    let home = tempfile::tempdir().unwrap();
    let mut child = program(home.path()).arg("check-config").stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
