//! A server built from a checkout, by the cargo that built the tests.

use std::fs;
use std::path::Path;

use super::home::{Home, Run, free_port};

/// Makes a checkout whose server is small, and runs a command in it.
fn in_checkout(home: &Home, main: &str, arguments: &[&str]) -> Run {
    let checkout = home.path().join("checkout");
    fs::create_dir_all(checkout.join("chat-server/src")).unwrap();
    let manifest = "[package]\nname = 'chat-server'\nversion = '1.2.3'\n";
    fs::write(checkout.join("Cargo.toml"), "[workspace]\nmembers = ['chat-server']\nresolver = '3'\n")
        .unwrap();
    fs::write(checkout.join("chat-server/Cargo.toml"), manifest).unwrap();
    fs::write(checkout.join("chat-server/src/main.rs"), main).unwrap();
    let cargo = Path::new(env!("CARGO"));
    let path =
        std::env::join_paths([cargo.parent().unwrap(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
    let mut command = home.command(arguments);
    command.current_dir(&checkout).env("CARGO", cargo).env("PATH", path).output().unwrap().into()
}

#[test]
fn a_checkout_is_built_and_named_by_its_version() {
    let home = Home::new();
    let port = free_port().to_string();
    let plan = ["plan", "-i", "myserver", "--provider", "local", "--port", &port];
    let run = in_checkout(&home, "fn main() {}", &plan).expect(0).says("build ");
    assert!(run.out.contains("1.2.3-"), "{}", run.out);
    in_checkout(&home, "fn main() { missing }", &plan).expect(1).says("error[E0425]").says("--release");
}
