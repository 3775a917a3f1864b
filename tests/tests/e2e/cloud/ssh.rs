//! A machine that is no cloud's: anything with Linux and sshd.

use std::process::Command;

use serde_json::json;

use super::pretend::{PretendCloud, cloud};
use super::servers::{changed_server, misfit, server};
use crate::programs::{Home, PipedClient, Said, await_that, finish, program};

/// A machine with sshd, and a laptop whose key it lets in. It goes when it is dropped.
struct Machine {
    cloud: &'static PretendCloud,
    home: Home,
    address: String,
}

const NAME: &str = "box";

impl Machine {
    fn new() -> Self {
        let (cloud, home) = (cloud(), Home::new());
        let key = home.path().join("key");
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
        assert!(made.unwrap().success(), "ssh-keygen makes a key");
        let public_key = std::fs::read_to_string(key.with_extension("pub")).unwrap();
        let address = cloud.ask("make_machine", &json!({"name": NAME, "public_key": public_key.trim_end()}));
        let new = Self { cloud, home, address: address.as_str().unwrap().to_owned() };
        await_that("the machine is up", || {
            new.try_run("systemctl is-active ssh && ls /home/ec2-user/.ssh").is_some()
        });
        new
    }

    /// Runs a shell command in it as root, and returns what it wrote if it succeeded.
    fn try_run(&self, script: &str) -> Option<String> {
        let answer = self.cloud.ask("run", &json!({"name": NAME, "command": ["sh", "-c", script]}));
        (answer["code"] == 0).then(|| answer["out"].as_str().unwrap().to_owned())
    }

    /// Runs `chat-deploy` to its end, with the host key that the machine really has.
    fn deploy(&self, arguments: &[&str], host_key: &str) -> Said {
        let host = format!("ec2-user@{}", self.address);
        let mut command = self.home.command(program("chat-deploy"));
        command
            .args(arguments)
            .args([
                "--instance",
                "test",
                "--provider",
                "ssh",
                "--host",
                &host,
                "--host-key",
                host_key,
                "--key",
            ])
            .arg(self.home.path().join("key"))
            .env_remove("SSH_AUTH_SOCK");
        finish(&mut command, "")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // A panic would hide the report of the one before.
        let _ = self.cloud.try_ask("remove_machine", &json!({"name": NAME}));
    }
}

#[test]
fn a_machine_of_ones_own_is_deployed_to_and_left_as_it_was() {
    let machine = Machine::new();
    let host_key = machine.try_run("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").unwrap();
    let host_key = host_key.split(' ').nth(1).unwrap();
    let before = machine.try_run("ls /etc/systemd/system /opt; getent passwd").unwrap();
    let deploy = |arguments: &[&str]| machine.deploy(arguments, host_key);
    let up = |server: &std::path::Path| {
        deploy(&["up", "--yes", "--start-timeout", "5", "--binary", server.to_str().unwrap()])
    };
    let chat = || {
        let mut chatter = PipedClient::connect(&machine.home, &machine.address, 12345, &[]);
        chatter.type_line("/join");
        chatter.type_line("hello");
        chatter.await_line_like(": hello");
    };

    let stranger = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let said =
        machine.deploy(&["up", "--yes", "--binary", server().to_str().unwrap()], stranger).ended_with(1);
    let _ = said.complains(&[host_key]);

    let _ = up(&server()).ended_with(0);
    chat();
    let status = deploy(&["status"]).ended_with(0);
    assert!(status.out.contains(&format!("host key  {host_key}")), "{status:?}");
    let _ = up(&server()).ended_with(0);
    let _ = up(&misfit(&machine.home, "silent")).ended_with(1);
    chat();
    let _ = up(&changed_server(&machine.home, "changed")).ended_with(0);
    chat();
    let _ = deploy(&["down", "--yes"]).ended_with(0);
    assert_eq!(machine.try_run("ls /etc/systemd/system /opt; getent passwd").unwrap(), before);
    assert!(machine.try_run("ls -d /etc/chat /var/lib/chat").is_none());
}
