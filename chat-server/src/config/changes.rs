//! What is otherwise in settings that were read again, and what of it a running server can take over.

use super::Settings;
use super::table::{Given, KEYS};

/// A setting that is otherwise than the one in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Its name, such as `limits.max_connections`.
    pub(crate) name: &'static str,
    /// What is in force, as the file has it.
    pub(crate) from: String,
    /// What was read.
    pub(crate) to: String,
    /// Whether it can be taken over without a restart.
    pub(crate) live: bool,
}

impl Settings {
    /// Takes over from `new` what a running server can, and returns everything that was otherwise, in the order of the file.
    pub(crate) fn take_over(&mut self, new: &Self) -> Vec<Change> {
        let mut new = new.clone();
        let mut changes = Vec::new();
        for key in KEYS {
            let (from, to) = (key.value(self), key.value(&mut new));
            if from == to {
                continue;
            }
            let (name, live) = (key.name, key.live);
            // What one setting has held, the same one of others can hold.
            let taken = live && key.set(self, &Given::Value(to.clone())).is_ok();
            changes.push(Change { name, from: from.to_string(), to: to.to_string(), live: taken });
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_taken_over_is_and_all_is_told() {
        let mut settings = Settings::default();
        let mut new = Settings { port: 4000, ..Settings::default() };
        new.limits.messages_per_second = 5;
        new.limits.exempt.clear();
        new.log.level = "debug".to_owned();
        new.accounts.memory_kib = 64;
        let changes = settings.take_over(&new);
        let told: Vec<_> = changes
            .iter()
            .map(|change| format!("{} {} {} {}", change.name, change.from, change.to, change.live))
            .collect();
        let expected = [
            "port 12345 4000 false",
            "log.level \"info\" \"debug\" true",
            "limits.exempt [\"127.0.0.0/8\", \"::1/128\"] [] true",
            "limits.messages_per_second 20 5 true",
            "accounts.memory_kib 19456 64 false",
        ];
        assert_eq!(told, expected);
        assert_eq!(settings.limits, new.limits);
        assert_eq!((settings.port, settings.accounts.memory_kib), (12345, 19 * 1024));
        assert_eq!(settings.take_over(&new).len(), 2, "what needs a restart is told again");
    }

    /// The list in docs/operations.md is made of this one.
    #[test]
    fn what_needs_a_restart_is_known() {
        let names: Vec<_> = KEYS.iter().filter(|key| !key.live).map(|key| key.name).collect();
        let expected = [
            "host",
            "port",
            "data",
            "packet_log",
            "log.format",
            "metrics.address",
            "accounts.memory_kib",
            "accounts.iterations",
            "accounts.lanes",
            "accounts.parallel_hashes",
            "accounts.hash_queue",
            "accounts.logins_per_address",
            "keys.pairs",
            "keys.modulus_bits",
        ];
        assert_eq!(names, expected);
        let documented = include_str!("../../../docs/operations.md");
        for name in expected {
            assert!(documented.contains(&format!("`{name}`")), "docs/operations.md does not name {name}");
        }
    }
}
