//! What stands behind a command's name, read: each of these gives nothing if it is not as it should be.

use chat_core::known_servers::ServerAddress;
use chat_core::secret::Secret;

use super::{Account, Command, EncryptionChoice};
use crate::DEFAULT_PORT;

/// What has a password kept.
const KEEP: &str = "--keep";

/// Splits a line after its first word; white space between the two belongs to neither.
pub(super) fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}

pub(super) fn alone(rest: &str, command: Command) -> Option<Command> {
    rest.is_empty().then_some(command)
}

pub(super) fn read_word(rest: &str) -> Option<Option<String>> {
    match split_word(rest) {
        ("", _) => Some(None),
        (word, "") => Some(Some(word.to_owned())),
        _ => None,
    }
}

pub(super) fn read_text(rest: &str) -> Option<String> {
    let text = rest.trim_end();
    (!text.is_empty()).then(|| text.to_owned())
}

pub(super) fn read_address(rest: &str) -> Option<Option<ServerAddress>> {
    let (host, rest) = split_word(rest);
    let (port, rest) = split_word(rest);
    if host.is_empty() {
        return Some(None);
    }
    let port = if port.is_empty() { None } else { Some(port.parse().ok().filter(|port| *port > 0)?) };
    rest.is_empty().then(|| Some(ServerAddress::typed(host, port, DEFAULT_PORT)))
}

pub(super) fn read_encryption(rest: &str) -> Option<Option<EncryptionChoice>> {
    let words: Vec<&str> = rest.split_whitespace().collect();
    Some(Some(match words.as_slice() {
        [] => return Some(None),
        ["on"] => EncryptionChoice::On,
        ["noise"] | ["on", "noise"] => EncryptionChoice::Noise,
        ["classic"] | ["on", "classic"] => EncryptionChoice::Classic,
        ["off"] => EncryptionChoice::Off,
        _ => return None,
    }))
}

/// Takes the word off that has the password kept. A password that begins so has to be asked for.
pub(super) fn split_keep(rest: &str) -> (bool, &str) {
    match split_word(rest) {
        (KEEP, password) => (true, password),
        _ => (false, rest),
    }
}

pub(super) fn read_account(rest: &str) -> Option<Account> {
    let (user, rest) = split_word(rest);
    let (keep, password) = split_keep(rest);
    let password = (!password.is_empty()).then(|| Secret::new(password));
    (!user.is_empty()).then(|| Account { user: user.to_owned(), password, keep })
}
