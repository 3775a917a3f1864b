//! The server programs that are deployed: the real one, versions of it, and misfits.
//!
//! All are linked statically, since a machine in the cloud has a C library of its own.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use crate::programs::Home;

const STATIC: [&str; 4] = ["-C", "target-feature=+crt-static", "-C", "strip=symbols"];

static DIRECTORY: LazyLock<PathBuf> = LazyLock::new(build);

/// Returns the real server.
pub(crate) fn server() -> PathBuf {
    DIRECTORY.join("chat-server")
}

/// Makes a server that differs from the real one only behind its last byte, and so in its release.
pub(crate) fn changed_server(home: &Home, change: &str) -> PathBuf {
    copy_and_append(&server(), home, change)
}

/// Makes a server that is of no use: `tests/examples/misfit.rs` says which faults there are.
pub(crate) fn misfit(home: &Home, fault: &str) -> PathBuf {
    copy_and_append(&DIRECTORY.join("misfit"), home, &format!("misfit: {fault}"))
}

fn copy_and_append(program: &Path, home: &Home, words: &str) -> PathBuf {
    let path = home.path().join(words.replace(": ", "-"));
    fs::copy(program, &path).unwrap();
    OpenOptions::new().append(true).open(&path).unwrap().write_all(words.as_bytes()).unwrap();
    path
}

fn build() -> PathBuf {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    // This test is in target/debug/deps.
    let directory = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join(&target).join("debug");
    run(Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "chat-server", "--bin", "chat-server", "--target", &target])
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", STATIC.join(" ")));
    // It has no dependencies, so it needs no cargo.
    run(Command::new("rustc")
        .args(["--edition", "2024", "--target", &target, "--out-dir"])
        .arg(&directory)
        .args(STATIC)
        .arg("examples/misfit.rs"));
    directory
}

fn run(builder: &mut Command) {
    let status = builder.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap();
    assert!(status.success(), "{builder:?}: {status}");
}
