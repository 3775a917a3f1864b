//! OpenSSH's own client for what a person does on the host, held to the same host key.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use super::Session;
use crate::host::ssh::known_hosts::pin_name;

impl Session {
    /// Returns the command that opens a shell on the host for a person, or runs `words` there. It accepts the host keys that
    /// we accept and no others, and offers the key that let us in.
    #[must_use]
    pub fn openssh_command(&self, words: &[OsString]) -> Command {
        let target = &self.target;
        let trust = &target.trust;
        let mut command = Command::new("ssh");
        command.arg("-p").arg(target.port.to_string());
        // A file name in an option may hold blanks, between quotes, and '%' means something else there.
        let pins = trust.pins.path().display().to_string().replace('%', "%%");
        for option in [
            format!("UserKnownHostsFile=\"{pins}\""),
            "GlobalKnownHostsFile=/dev/null".to_owned(),
            format!("HostKeyAlias={}", pin_name(&trust.name(&target.host, target.port))),
            "StrictHostKeyChecking=yes".to_owned(),
            // Whatever the person's own settings say of other hosts.
            "KnownHostsCommand=none".to_owned(),
            "ForwardAgent=no".to_owned(),
            "ForwardX11=no".to_owned(),
            // It would write what the host says its keys are into our pins.
            "UpdateHostKeys=no".to_owned(),
        ] {
            command.arg("-o").arg(option);
        }
        if let Some(key) = self.key_file() {
            command.args(["-o", "IdentitiesOnly=yes", "-i"]).arg(key);
        }
        command.arg("-l").arg(&target.user).arg("--").arg(&target.host);
        command.args(words.iter().map(OsString::as_os_str).collect::<Vec<&OsStr>>());
        command
    }
}
