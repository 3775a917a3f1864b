//! `chat-server users`: administering the accounts of a running server.

use std::io::{self, BufRead as _};

use anyhow::Context as _;
use chat_core::secret::Secret;
use chat_server::config::Settings;
use chat_server::control;
use rand::rngs::{StdRng, SysRng};
use rand::{RngExt as _, SeedableRng as _};
use zeroize::Zeroizing;

use super::print;
use crate::Outcome;
use crate::cli::{ListUsersArgs, ResetPasswordArgs, UserArgs};

/// What passwords are made of: nothing that could be taken for something else.
const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";

/// A password is made of so many groups of so many letters: 99 bits of chance.
const GROUPS: usize = 4;
const GROUP_LETTERS: usize = 5;

pub(super) fn list(args: &ListUsersArgs, settings: &Settings) -> anyhow::Result<Outcome> {
    let mut text = String::new();
    for user in control::users(&settings.data)? {
        text += &if args.json { serde_json::to_string(&user)? } else { user.to_string() };
        text.push('\n');
    }
    print(&text)
}

pub(super) fn show(args: &UserArgs, settings: &Settings) -> anyhow::Result<Outcome> {
    let user = control::user(&settings.data, &args.name)?;
    print(&format!("{user}\n"))
}

pub(super) fn reset_password(args: &ResetPasswordArgs, settings: &Settings) -> anyhow::Result<Outcome> {
    let name = &args.user.name;
    if args.stdin {
        control::reset_password(&settings.data, name, &first_line()?)?;
        return Ok(Outcome::Done);
    }
    let password = make_up()?;
    control::reset_password(&settings.data, name, &password)?;
    print(&Zeroizing::new(format!("{}\n", password.expose())))
}

pub(super) fn remove(args: &UserArgs, settings: &Settings) -> anyhow::Result<Outcome> {
    control::remove_user(&settings.data, &args.name)?;
    Ok(Outcome::Done)
}

fn first_line() -> anyhow::Result<Secret> {
    let mut line = Zeroizing::new(String::new());
    io::stdin().lock().read_line(&mut line).context("cannot read a password from standard input")?;
    Ok(Secret::new(line.trim_end_matches(['\r', '\n'])))
}

/// Makes a password up.
fn make_up() -> anyhow::Result<Secret> {
    let mut random = StdRng::try_from_rng(&mut SysRng).context("the system has no randomness")?;
    // With the room known beforehand the text never moves, so that no copy of it stays behind.
    let mut password = Zeroizing::new(String::with_capacity(GROUPS * (GROUP_LETTERS + 1)));
    for position in 0..GROUPS * GROUP_LETTERS {
        if position > 0 && position.is_multiple_of(GROUP_LETTERS) {
            password.push('-');
        }
        let letter = LETTERS.get(random.random_range(0..LETTERS.len()));
        password.extend(letter.map(|&letter| char::from(letter)));
    }
    Ok(Secret::new(password.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_passwords_are_long_and_never_the_same() {
        let [a, b] = [make_up().unwrap(), make_up().unwrap()];
        assert_ne!(a.expose(), b.expose());
        assert_eq!(a.len(), 23);
        assert!(
            a.expose()
                .split('-')
                .all(|group| group.len() == 5 && group.bytes().all(|b| LETTERS.contains(&b)))
        );
    }
}
