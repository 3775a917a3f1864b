//! `chat-deploy` on this machine, as a user runs it: the program itself, real processes, a real server's protocol.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may fail as loudly as the test"
)]

mod building;
mod home;
mod trouble;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use home::{Home, files_below, free_port};

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
}

fn wait_for(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "{what} does not come");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn from_nothing_to_a_server_and_back_to_nothing() {
    let (home, port) = (Home::new(), free_port());
    let server = home.server("good");
    let mut command = home.command(&["up", "-i", "myserver", "--provider", "local", "--yes", "--port"]);
    command.arg(port.to_string()).arg("--binary").arg(&server);
    let up =
        home::Run::from(command.env("CHAT_PORT", "1").env("SOME_SECRET", "x").output().unwrap()).expect(0);
    let environment = fs::read_to_string(format!("/proc/{}/environ", home.servers()[0])).unwrap();
    assert!(!environment.contains("CHAT_PORT") && !environment.contains("SOME_SECRET"), "{environment}");
    assert_eq!(up.out, format!("chat-client connect 127.0.0.1 {port}\n"));
    let status = home.status();
    assert_eq!((&status["server"], &status["build"]), (&"healthy".into(), &"same".into()));
    assert_eq!((&status["identity_pinned"], &status["release_confirmed"]), (&true.into(), &true.into()));
    let pins = fs::read_to_string(home.path().join(".config/chat-client/known_servers")).unwrap();
    assert_eq!(pins, format!("127.0.0.1:{port} {}\n", status["identity"].as_str().unwrap()));

    let again = home.up(&server, port).expect(0).says("nothing to do");
    assert_eq!(again.out, up.out);
    assert_eq!(home.status()["pid"], status["pid"]);
    home.of_server("plan", &["--binary", server.to_str().unwrap(), "--detailed-exitcode"]).expect(0);
    let list = home.run(&["status"]).expect(0).out;
    assert!(list.contains("myserver") && list.contains("healthy"), "{list}");

    home.of_server("down", &["--yes"]).expect(0);
    let left = files_below(&home.state());
    assert!(
        matches!(left.as_slice(), [backup] if backup.extension().is_some_and(|e| e == "tar")),
        "{left:?}"
    );
    assert_eq!(fs::read_to_string(home.path().join(".config/chat-client/known_servers")).unwrap(), "");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    home.of_server("status", &[]).expect(1).says("there is no instance myserver");
    home.of_server("down", &["--yes"]).expect(1).says("there is no instance myserver");
}

#[test]
fn a_new_release_replaces_the_old_one_and_can_be_taken_back() {
    let (home, port) = (Home::new(), free_port());
    home.up(&home.server("one"), port).expect(0);
    let first = home.status();
    // The port stays what it is when nothing is said of it.
    let two = home.server("two");
    home.of_server("plan", &["--binary", two.to_str().unwrap(), "--detailed-exitcode"]).expect(3);
    home.of_server("up", &["--yes", "--binary", two.to_str().unwrap()]).expect(0);
    let second = home.status();
    assert_ne!(first["release"], second["release"]);
    assert_ne!(first["pid"], second["pid"]);
    assert_eq!((&first["port"], &first["identity"]), (&second["port"], &second["identity"]));
    home.of_server("rollback", &[]).expect(2).says("--yes");
    home.of_server("rollback", &["--yes"]).expect(0);
    assert_eq!(home.status()["release"], first["release"]);
    home.of_server("rollback", &["--yes"]).expect(1).says("no release older");
    home.of_server("rollback", &["--yes", second["release"].as_str().unwrap()]).expect(0);
    assert_eq!(home.servers().len(), 1);
    assert_eq!(home.of_server("releases", &[]).expect(0).out.lines().count(), 2);
}

#[test]
fn only_the_last_releases_are_kept() {
    let (home, port) = (Home::new(), free_port());
    for behaviour in ["a", "b", "c", "d"] {
        let (server, port) = (home.server(behaviour), port.to_string());
        let arguments =
            ["--yes", "--port", &port, "--keep-releases", "3", "--binary", server.to_str().unwrap()];
        home.of_server("up", &arguments).expect(0);
    }
    let releases = home.of_server("releases", &[]).expect(0).out;
    assert_eq!(releases.lines().count(), 3, "{releases}");
    assert!(releases.starts_with('*'), "{releases}");
}

#[test]
fn a_release_that_crashes_gives_way_to_the_former() {
    let (home, port) = (Home::new(), free_port());
    home.up(&home.server("good"), port).expect(0);
    let before = home.status();
    let run = home.up(&home.server("crash"), port).expect(1);
    run.says("exit status: 3").says("these are my last words").says("rolled back:").says("hint:");
    let after = home.status();
    assert_eq!((&after["server"], &after["release"]), (&"healthy".into(), &before["release"]));
    assert_eq!(after["release_confirmed"], true);
    assert_eq!(home.of_server("releases", &[]).out.lines().count(), 1);
}

#[test]
fn a_release_that_serves_only_briefly_gives_way_to_the_former() {
    let (home, port) = (Home::new(), free_port());
    home.up(&home.server("good"), port).expect(0);
    let before = home.status();
    let brief = home.server("brief");
    let arguments = ["--yes", "--settling-time", "2", "--binary", brief.to_str().unwrap()];
    let start = Instant::now();
    home.of_server("up", &arguments).expect(1).says("exit status: 4").says("rolled back:");
    // The former has to settle as well.
    assert!(start.elapsed() >= Duration::from_millis(2_400));
    let after = home.status();
    assert_eq!((&after["server"], &after["release"]), (&"healthy".into(), &before["release"]));
    let start = Instant::now();
    let arguments = ["--yes", "--settling-time", "60", "--binary"];
    let good = home.server("good");
    home.of_server("up", &[&arguments[..], &[good.to_str().unwrap()]].concat())
        .expect(0)
        .says("nothing to do");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_release_that_answers_nothing_gives_way_to_the_former() {
    let (home, port) = (Home::new(), free_port());
    home.up(&home.server("good"), port).expect(0);
    let silent = home.server("silent");
    let arguments = ["--yes", "--start-timeout", "1", "--binary", silent.to_str().unwrap()];
    home.of_server("up", &arguments).expect(1).says("did not answer within 1 s").says("rolled back:");
    assert_eq!(home.status()["server"], "healthy");
    assert_eq!(home.servers().len(), 1);
}

#[test]
fn a_first_release_that_crashes_leaves_nothing() {
    let home = Home::new();
    let run = home.up(&home.server("crash"), free_port()).expect(1);
    run.says("these are my last words").says("nothing to roll back to");
    assert!(!home.path().join(".local/state").join("chat-deploy").exists());
}

#[test]
fn a_server_that_was_killed_is_started_again() {
    let (home, port) = (Home::new(), free_port());
    let server = home.server("good");
    home.up(&server, port).expect(0);
    signal(home.servers()[0], Signal::KILL);
    wait_for("the end", || home.status()["server"] == "stopped");
    home.up(&server, port).expect(0).says("activate");
    assert_eq!(home.status()["server"], "healthy");
}

#[test]
fn stop_and_start() {
    let (home, port) = (Home::new(), free_port());
    home.up(&home.server("good"), port).expect(0);
    let identity = home.status()["identity"].clone();
    home.of_server("stop", &[]).expect(0);
    assert_eq!(home.status()["server"], "stopped");
    assert_eq!(home.servers(), [0; 0]);
    home.of_server("stop", &[]).expect(0).says("does not run");
    home.of_server("start", &[]).expect(0);
    home.of_server("start", &[]).expect(0).says("runs already");
    assert_eq!((&home.status()["server"], &home.status()["identity"]), (&"healthy".into(), &identity));
}

#[test]
fn another_port_is_taken_only_if_it_is_free() {
    let (home, port) = (Home::new(), free_port());
    let server = home.server("good");
    home.up(&server, port).expect(0);
    let before = home.status();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken_port = taken.local_addr().unwrap().port();
    let holder = format!("(pid {})", std::process::id());
    home.up(&server, taken_port).expect(1).says("is taken by").says(&holder).says("--port");
    assert_eq!(home.status()["pid"], before["pid"]);
    drop(taken);
    home.up(&server, taken_port).expect(0);
    assert_eq!(home.status()["port"], taken_port);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    let pins = fs::read_to_string(home.path().join(".config/chat-client/known_servers")).unwrap();
    assert_eq!(pins.lines().count(), 1, "the pin moved with the port: {pins}");
}

#[test]
fn a_taken_port_leaves_nothing_behind() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    home.up(&home.server("good"), taken.local_addr().unwrap().port()).expect(1).says("is taken by");
    assert!(!home.state().exists());
}

#[test]
fn a_state_directory_that_cannot_be_written_is_named() {
    let home = Home::new();
    fs::create_dir_all(home.path().join(".local")).unwrap();
    // Root may write anywhere, but not into a file as if it were a directory.
    fs::write(home.path().join(".local/state"), "").unwrap();
    home.up(&home.server("good"), free_port()).expect(1).says(".local/state").says("XDG_STATE_HOME");
}

#[test]
fn what_is_not_confirmed_is_not_done() {
    let home = Home::new();
    let server = home.server("good");
    let port = free_port().to_string();
    home.of_server("up", &["--port", &port, "--binary", server.to_str().unwrap()]).expect(2).says("--yes");
    assert!(!home.state().exists());
}

#[test]
fn what_is_no_server_is_refused() {
    let home = Home::new();
    let script = home.path().join("script");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    home.up(&script, free_port()).expect(1).says("is not a program").says("--binary");
    home.up("/bin/true".as_ref(), free_port()).expect(1).says("does not answer --version");
    home.up("/no/such/file".as_ref(), free_port()).expect(1).says("/no/such/file cannot be read");
    assert!(!home.state().exists());
}

#[test]
fn the_server_judges_its_settings_before_anything_stops() {
    let (home, port) = (Home::new(), free_port());
    let server = home.server("good");
    home.up(&server, port).expect(0);
    let pid = home.status()["pid"].clone();
    fs::write(home.path().join("chat-deploy.toml"), "[server.limits]\nmax_conections = 7\n").unwrap();
    home.up(&server, port).expect(1).says("refuses its configuration").says("max_conections");
    assert_eq!(home.status()["pid"], pid);
    fs::write(home.path().join("chat-deploy.toml"), "[server.limits]\nmax_connections = 7\n").unwrap();
    home.up(&server, port).expect(0);
    assert_ne!(home.status()["pid"], pid);
    fs::write(home.path().join("chat-deploy.toml"), "prot = 1\nkeep_releases = 1\n").unwrap();
    home.up(&server, port).expect(2).says("2 mistakes").says("line 1: unknown key 'prot'").says("line 2:");
    fs::remove_file(home.path().join("chat-deploy.toml")).unwrap();
}

#[test]
fn without_an_account_ec2_says_so_at_once() {
    let home = Home::new();
    let start = Instant::now();
    let mut command = home.command(&["up", "--instance", "myserver"]);
    let run = command.env("AWS_EC2_METADATA_DISABLED", "true").output().unwrap();
    home::Run::from(run).expect(2).says("--provider local");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn two_at_once_do_not_mix() {
    let (home, port) = (Home::new(), free_port());
    let silent = home.server("silent");
    let mut first = home.begin_up(&silent, port);
    wait_for("the server", || !home.servers().is_empty());
    let holder = format!("pid {}", first.id());
    home.up(&home.server("good"), port).expect(1).says("another chat-deploy works on myserver").says(&holder);
    // The lock dies with its holder, and what that left unconfirmed gives way.
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(home.instance().join("activation.json").exists());
    home.up(&home.server("good"), port).expect(0);
    assert_eq!(home.status()["server"], "healthy");
    assert_eq!(home.servers().len(), 1);
}

#[test]
fn ctrl_c_stops_cleanly_and_says_how_to_go_on() {
    let (home, port) = (Home::new(), free_port());
    home.up(&home.server("good"), port).expect(0);
    let child = home.begin_up(&home.server("silent"), port);
    wait_for("the new server", || {
        home.servers().len() == 1 && home.instance().join("activation.json").exists()
    });
    thread::sleep(Duration::from_millis(200));
    signal(child.id(), Signal::INT);
    let run = home::Run::from(child.wait_with_output().unwrap());
    run.expect(130).says("interrupted").says("run the same command again");
    home.of_server("rollback", &["--yes"]).expect(0);
    assert_eq!(home.status()["server"], "healthy");
}

#[test]
fn a_deployer_killed_at_any_moment_leaves_what_the_next_one_can_finish() {
    let (home, port) = (Home::new(), free_port());
    let servers = [home.server("one"), home.server("two")];
    for round in 0..24_u64 {
        let server = &servers[usize::from(round % 2 == 0)];
        let mut child = home.begin_up(server, port);
        thread::sleep(Duration::from_millis(round * 12));
        // It may be done already; then there is nothing to kill.
        let _ = child.kill();
        child.wait().unwrap();
        assert!(home.servers().len() <= 1, "in round {round}");
        if round % 8 == 7 {
            home.up(server, port).expect(0);
            assert_eq!(home.servers().len(), 1, "in round {round}");
            let status = home.status();
            assert_eq!((&status["server"], &status["release_confirmed"]), (&"healthy".into(), &true.into()));
        }
    }
    let mut child = home.begin_up(&servers[1], port);
    thread::sleep(Duration::from_millis(60));
    child.kill().unwrap();
    child.wait().unwrap();
    home.of_server("down", &["--yes", "--no-backup"]).expect(0);
    assert_eq!(home.servers(), [0; 0]);
    assert!(!home.state().exists(), "{:?}", files_below(&home.state()));
}

#[test]
fn a_process_that_is_not_ours_is_never_stopped() {
    let (home, port) = (Home::new(), free_port());
    home.up(&home.server("good"), port).expect(0);
    let record = home.instance().join("process.json");
    let text = fs::read_to_string(&record).unwrap();
    let mut claim: Value = serde_json::from_str(&text).unwrap();
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let ticks = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap();
    claim["pid"] = std::process::id().into();
    claim["start_ticks"] = ticks.parse::<u64>().unwrap().into();
    fs::write(&record, claim.to_string()).unwrap();
    home.of_server("stop", &[]).expect(1).says("not ours to stop");
    // A process id that was given away again, with the same record otherwise.
    claim["start_ticks"] = 1.into();
    fs::write(&record, claim.to_string()).unwrap();
    home.of_server("stop", &[]).expect(1).says("nothing tells which process").says("fuser");
    fs::write(&record, text).unwrap();
    home.of_server("stop", &[]).expect(0);
}

#[test]
fn the_log_is_shown_and_followed() {
    let (home, port) = (Home::new(), free_port());
    home.up(&home.server("good"), port).expect(0);
    let log = home.of_server("logs", &["-n", "3"]).expect(0).out;
    assert!((1..=3).contains(&log.lines().count()), "{log}");
    let mut follower =
        home.command(&["logs", "--follow", "-i", "myserver"]).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    home.of_server("stop", &[]).expect(0);
    home.of_server("start", &[]).expect(0);
    assert!(lines.any(|line| line.unwrap().contains("stand-in: starting")));
    signal(follower.id(), Signal::INT);
    assert_eq!(follower.wait().unwrap().code(), Some(0));
}

#[test]
fn what_is_only_printed_takes_no_settings() {
    let home = Home::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = home.run(&["completions", shell]).expect(0).out;
        assert!(script.contains("chat-deploy") && script.contains("ssh-from"), "{shell}: {script}");
    }
    let policy: Value = serde_json::from_str(&home.run(&["policy"]).expect(0).out).unwrap();
    assert!(policy["Statement"].is_array(), "{policy:#}");
    home.run(&["init"]).expect(0);
    home.run(&["init"]).expect(1).says("chat-deploy.toml is there already");
    // What it writes is what is read.
    home.of_server("status", &[]).expect(1).says("there is no instance myserver");
    fs::remove_file(home.path().join("chat-deploy.toml")).unwrap();
}

#[test]
fn programs_get_json_lines() {
    let (home, port) = (Home::new(), free_port());
    let server = home.server("good");
    let (port, server) = (port.to_string(), server.to_str().unwrap());
    let events = |run: home::Run| -> Vec<Value> {
        assert_eq!(run.err, "");
        run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let up =
        events(home.of_server("up", &["--json", "--yes", "--port", &port, "--binary", server]).expect(0));
    let named = |name: &str| up.iter().filter(|event| event["event"] == name).count();
    assert_eq!((named("plan"), named("ready"), named("error")), (1, 1, 0));
    assert_eq!(named("started"), named("finished"));
    let down = events(home.of_server("down", &["--json"]).expect(2));
    let error = down.last().unwrap();
    assert_eq!((&error["event"], &error["exit_code"]), (&"error".into(), &2.into()));
    assert!(error["hints"][0].as_str().unwrap().contains("--yes"));
}
