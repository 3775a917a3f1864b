//! The program and a real Secret Service: gnome-keyring on a session bus of its own, with data of its own.
//!
//! `.ci/run` installs both. Where they are missing, a developer is told that this was not checked.

use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use crate::world::{Home, PATIENCE, Server};

/// Unlocks a keyring and runs the client (the first argument) at a server (the next two) for what standard input has.
const SESSION: &str = r#"
printf unlocked | gnome-keyring-daemon --unlock --components=secrets >/dev/null
client() { "$program" connect "$host" "$port" "$@" 2>&1; }
program=$1 host=$2 port=$3
printf '/register bob two words\n/login bob --keep two words\n' | client
echo '--- by the option'
echo 'from the keyring' | client --user bob --password-keyring
echo '--- forgotten'
echo '/forget bob' | client
client --user bob --password-keyring </dev/null || echo "status $?"
"#;

fn is_there(program: &str) -> bool {
    let output = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    output.is_ok_and(|status| status.success())
}

/// Runs something in the home, with nothing of the environment but where programs are.
fn command(home: &Home, program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("HOME", home.path()).env("TZ", "UTC");
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("XDG_RUNTIME_DIR", home.path());
    command
}

fn connect(home: &Home, address: SocketAddr, bus: &str, options: &[&str]) -> (String, i32) {
    let mut command = command(home, env!("CARGO_BIN_EXE_chat-client"));
    command.args(["connect", &address.ip().to_string(), &address.port().to_string()]).args(options);
    command.env("DBUS_SESSION_BUS_ADDRESS", bus).stdin(Stdio::null());
    let Output { status, stderr, .. } = command.output().unwrap();
    (String::from_utf8(stderr).unwrap(), status.code().unwrap_or(-1))
}

#[test]
fn a_password_is_kept_found_and_forgotten() {
    if !is_there("dbus-run-session") || !is_there("gnome-keyring-daemon") {
        println!("NOT CHECKED: the keyring (no dbus-run-session or gnome-keyring-daemon here)");
        return;
    }
    let (server, home) = (Server::start(), Home::new());
    let address = server.address();
    let mut session = command(&home, "dbus-run-session");
    session.args(["--", "sh", "-c", SESSION, "sh", env!("CARGO_BIN_EXE_chat-client")]);
    session.args([address.ip().to_string(), address.port().to_string()]);
    let Output { stdout, stderr, .. } = session.output().unwrap();
    let (out, err) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    let parts: Vec<&str> = out.split("--- ").collect();
    let [kept, by_option, forgotten] = parts[..] else { panic!("{out}{err}") };
    assert!(kept.contains("* the keyring keeps the password of bob for 127.0.0.1:"), "{out}{err}");
    assert!(
        by_option.contains("logged in as bob") && by_option.ends_with("bob: from the keyring\n"),
        "{out}{err}"
    );
    assert!(forgotten.contains("* the keyring has forgotten the password of bob"), "{out}{err}");
    assert!(forgotten.contains("error: the keyring has no password of bob"), "{out}{err}");
    assert!(forgotten.ends_with("status 1\n") && !out.contains("two words"), "{out}{err}");
}

#[test]
fn a_keyring_that_is_absent_or_silent_stops_nobody() {
    let (server, home) = (Server::start(), Home::new());
    let options = ["--user", "bob", "--password-keyring", "--timeout", "1.5"];
    let nowhere = format!("unix:path={}", home.path().join("nobody").display());
    let (err, status) = connect(&home, server.address(), &nowhere, &options);
    assert_eq!(status, 1, "{err}");
    assert!(err.contains("error: not logged in: ") && err.contains("hint: "), "{err}");
    // It takes the connection and says nothing; nobody waits for it longer than for anything else.
    let socket = home.path().join("silent");
    let _silent = UnixListener::bind(&socket).unwrap();
    let started = Instant::now();
    let bus = format!("unix:path={}", socket.display());
    let (err, status) = connect(&home, server.address(), &bus, &options);
    assert_eq!(status, 4, "{err}");
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
}
