//! What a person can do about a host that cannot be reached by SSH.

use crate::host::ssh::keys::KeyError;
use crate::host::ssh::remote::RemoteError;

const AGAIN: &str = "run the same command again: it goes on from what is there";

/// Says what to do about it.
pub(super) fn hints(error: &RemoteError) -> Vec<String> {
    let hint = match error {
        RemoteError::Unknown { .. } => "look at the spelling of --host",
        RemoteError::Filtered { .. } => {
            "on EC2, `chat-deploy up` opens port 22 for your address, which may have changed: --ssh-from says for whom; `chat-deploy doctor` looks at the whole way"
        }
        RemoteError::Refused { .. } => {
            "a machine that is just starting takes a moment; else start its SSH server"
        }
        RemoteError::Unreachable { .. } => "look at the network, and at the address",
        RemoteError::NotSsh { .. } | RemoteError::Silent { .. } | RemoteError::HungUp { .. } => {
            "a machine that is just starting takes a moment; else look at the port: is that an SSH server's? With --provider ssh, --host user@address:port names another"
        }
        RemoteError::Handshake { .. } | RemoteError::Broken { .. } | RemoteError::Slow { .. } => AGAIN,
        RemoteError::WrongHostKey { .. } => {
            "either the machine was made anew, or somebody is in between; find out on its console which key it has, and only then give that with --host-key"
        }
        RemoteError::UnknownHostKey { .. } => {
            "find out on the machine's console which key it has (`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`), and give that with --host-key"
        }
        RemoteError::Denied { .. } => {
            "name the key that it knows with --key FILE, or add it to ssh-agent; --user is who to log in as"
        }
        RemoteError::Key(error) => return key_hints(error),
        RemoteError::Ended { .. } => "`chat-deploy ssh` opens a session to look around in",
        _ => AGAIN,
    };
    vec![hint.to_owned()]
}

/// Says what to do about a key.
pub(super) fn key_hints(error: &KeyError) -> Vec<String> {
    let hint = match error {
        KeyError::Exposed { path, .. } => format!("`chmod 600 {}` keeps it to yourself", path.display()),
        KeyError::NoPublicHalf { path, beside } => {
            format!("`ssh-keygen -y -f {} > {}` writes it", path.display(), beside.display())
        }
        KeyError::Locked { .. } => {
            "add it to ssh-agent with `ssh-add`, or name another with --key FILE".to_owned()
        }
        KeyError::Write { .. } => "make the directory writable, or set XDG_STATE_HOME to another".to_owned(),
        _ => "name another with --key FILE".to_owned(),
    };
    vec![hint]
}
