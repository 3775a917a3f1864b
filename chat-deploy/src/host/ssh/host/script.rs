//! The script that does what has to be done as root on a host (`templates/chat-host.sh`), and how it gets there.
//!
//! It comes over standard input with every call, ahead of the data: as an argument it would fill the host's log with
//! itself, since sudo writes every command down, and nothing has to be installed for looking at a host.

use std::io::Write as _;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::host::HostError;
use crate::host::ssh::remote::quoted;
use crate::release::{Digest, digest};

const SCRIPT: &str = include_str!("../../../../../templates/chat-host.sh");

/// What `prepare` puts on a host, by name. Their digest, in this order, tells whether it is there and current.
const FOUNDATION: [(&str, &str); 4] = [
    ("chat-host", SCRIPT),
    ("chat-server.service", include_str!("../../../../../templates/chat-server.service")),
    ("chat-server.socket", include_str!("../../../../../templates/chat-server.socket")),
    ("chat-guard.service", include_str!("../../../../../templates/chat-guard.service")),
];

/// Reads the script off the first line of standard input, byte by byte as a shell has to, so that what follows stays for
/// the script.
const LOADER: &str = r#"IFS= read -r s && eval "$(printf %s "$s" | base64 -d | gzip -d)""#;

/// Where the lock is.
const LOCK_FILE: &str = "/run/chat-deploy.lock";
/// How long it is held without a word, in seconds.
const LOCK_SECONDS: u32 = 1800;

/// Holds the lock for as long as somebody holds standard input open, but not for ever: after a while of silence there, it
/// lets go. The file stays when nobody has the lock any more; it is empty talk then, and gone after a restart of the machine.
const LOCK: &str = r#"umask 077; exec 9>>"$1"
if flock -w 3 9; then
    printf '%s\n' "$3" >"$1"; echo locked
    while word=$(timeout "$2" head -n 1) && [ -n "$word" ]; do echo locked; done
else
    printf 'held %s\n' "$(head -c 200 "$1" | tr -cd '[:print:]')"
fi"#;

/// The data as `host/backup.rs` has it; the server's control socket is none.
const BACKUP: &str = r#"set -e
[ "$(systemctl show -p MainPID --value chat-server.service)" = 0 ] || { echo 'the server runs' >&2; exit 1; }
exec tar -cf - -C /var/lib/chat --exclude=./control.sock --transform='s,^\.,data,' ."#;

/// Returns the command for a call of the script; its input begins with [`line`].
pub(super) fn command(verb: &str, arguments: &[&str]) -> String {
    as_root(&[&["sh", "-c", LOADER, "chat-host", verb], arguments].concat())
}

/// Returns the command that takes the lock in the name of `holder`: it answers `locked` or `held`, and by whom.
pub(super) fn lock_command(holder: &str) -> String {
    as_root(&["sh", "-c", LOCK, "chat-host", LOCK_FILE, &LOCK_SECONDS.to_string(), holder])
}

/// Returns the command that writes the data to its output, as a tar file.
pub(super) fn backup_command() -> String {
    as_root(&["sh", "-c", BACKUP])
}

/// Returns the command that writes the last lines of the server's log and goes on with what is appended.
pub(super) fn follow_command(lines: usize) -> String {
    let lines = lines.to_string();
    as_root(&["journalctl", "-q", "-u", "chat-server.service", "-n", &lines, "-f", "-o", "cat"])
}

/// Returns the script as one line, without what only people need.
pub(super) fn line() -> Result<&'static str, HostError> {
    static LINE: OnceLock<String> = OnceLock::new();
    if let Some(line) = LINE.get() {
        return Ok(line);
    }
    let is_code = |line: &&str| !line.trim_start().starts_with('#') && !line.trim().is_empty();
    let code: String = SCRIPT.lines().filter(is_code).flat_map(|line| [line, "\n"]).collect();
    let packed = || {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(code.as_bytes())?;
        gzip.finish()
    };
    let packed = packed().map_err(|source| HostError::File {
        doing: "compress",
        path: "templates/chat-host.sh".into(),
        source,
    })?;
    Ok(LINE.get_or_init(|| STANDARD.encode(packed) + "\n"))
}

/// Returns the digest of the foundation as this program would put it on a host.
pub(super) fn foundation_digest() -> Digest {
    digest::of_bytes(FOUNDATION.map(|(_, text)| text).concat().as_bytes())
}

/// Returns the foundation as a tar file.
pub(super) fn foundation() -> Result<Vec<u8>, HostError> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut pack = || {
        for (name, text) in FOUNDATION {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o600);
            tar.append_data(&mut header, name, text.as_bytes())?;
        }
        tar.finish()
    };
    let packed = pack();
    let bytes = packed.and_then(|()| tar.into_inner());
    bytes.map_err(|source| HostError::File { doing: "pack", path: "templates".into(), source })
}

/// The command for root: as it is if we are, else by sudo, which must not ask for a password.
fn as_root(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!(r#"[ "$(id -u)" = 0 ] || set -- sudo -n --; exec "$@" {}"#, words.join(" "))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn words_reach_the_script_as_they_are() {
        let expected = r#"[ "$(id -u)" = 0 ] || set -- sudo -n --; exec "$@" 'sh' '-c' 'IFS= read -r s && eval "$(printf %s "$s" | base64 -d | gzip -d)"' 'chat-host' 'install' 'it'\''s $HOME'"#;
        assert_eq!(command("install", &["it's $HOME"]), expected);
    }

    #[test]
    fn every_shell_can_read_the_script() {
        for shell in ["sh", "bash"] {
            let checked = Command::new(shell).args(["-n", "-c", SCRIPT]).output().unwrap();
            assert!(checked.status.success(), "{shell}: {}", String::from_utf8_lossy(&checked.stderr));
            for part in [LOCK, BACKUP, LOADER] {
                assert!(Command::new(shell).args(["-n", "-c", part]).status().unwrap().success());
            }
        }
    }

    #[test]
    fn the_lock_ends_with_its_holder_or_after_a_silence() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lock");
        let hold = |seconds: &str, who: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", LOCK, "chat-host"]).arg(&file).args([seconds, who]);
            let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let mut answers = BufReader::new(holder.stdout.take().unwrap()).lines().map(Result::unwrap);
            let first = answers.next();
            (holder, answers, first)
        };
        let (mut first, mut answers, said) = hold("60", "me");
        assert_eq!(said.as_deref(), Some("locked"));
        writeln!(first.stdin.as_ref().unwrap(), "?").unwrap();
        assert_eq!(answers.next().as_deref(), Some("locked"));
        assert_eq!(hold("60", "you").2.as_deref(), Some("held me"));
        drop(first.stdin.take());
        first.wait().unwrap();

        let (mut second, mut answers, said) = hold("1", "you");
        assert_eq!(said.as_deref(), Some("locked"));
        // A word is worth another second.
        thread::sleep(Duration::from_millis(700));
        writeln!(second.stdin.as_ref().unwrap(), "?").unwrap();
        assert_eq!(answers.next().as_deref(), Some("locked"));
        assert_eq!(answers.next(), None);
        second.wait().unwrap();
        let (mut third, _, said) = hold("60", "them");
        assert_eq!(said.as_deref(), Some("locked"));
        drop(third.stdin.take());
        third.wait().unwrap();
    }

    #[test]
    fn the_line_unpacks_to_the_script() {
        let line = line().unwrap();
        assert!(line.ends_with('\n') && line.len() < 10_000, "{}", line.len());
        let mut code = String::new();
        let packed = STANDARD.decode(line.trim_end()).unwrap();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(packed.as_slice()), &mut code)
            .unwrap();
        assert!(code.starts_with("set -eu\n") && code.ends_with("esac\n"));
        assert!(!code.contains("\n#"));
    }

    #[test]
    fn the_foundation_is_in_the_tar_in_the_order_of_its_digest() {
        let bytes = foundation().unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut all = Vec::new();
        for entry in archive.entries().unwrap() {
            std::io::Read::read_to_end(&mut entry.unwrap(), &mut all).unwrap();
        }
        assert_eq!(digest::of_bytes(&all), foundation_digest());
    }
}
