//! Whether a host is the one we mean: its host key against everything that says which one it should have. Never "whatever
//! it shows".

use std::path::PathBuf;

use ssh_key::{Algorithm, EcdsaCurve, HashAlg, PublicKey};

use super::known_hosts::{self, Known, PinnedHosts, PinnedHostsError, same_key};
use super::store;

/// What says which host key is right.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The name the host is pinned under in `pins`; without one, its address as `known_hosts` has it.
    pub pinned_as: Option<String>,
    /// Fingerprints, `SHA256:...`, that the cloud vouches for.
    pub vouched: Vec<String>,
    /// The fingerprint that the person gave, who knows best: it outweighs pins.
    pub given: Option<String>,
    /// Our own pins.
    pub pins: PinnedHosts,
    /// Files of OpenSSH's, the user's and the system's, that may know the host under its address.
    pub known_hosts: Vec<PathBuf>,
}

/// Returns a key's fingerprint, `SHA256:...`.
#[must_use]
pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// Everything known about a host's key.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    given: Option<String>,
    vouched: Vec<String>,
    pinned: Known,
    elsewhere: Known,
}

/// What is to be thought of a host key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is right.
    Right,
    /// It must never be accepted.
    Revoked,
    /// It should be one of these, as fingerprints.
    Wrong(Vec<String>),
    /// Nothing is known of the host.
    Unknown,
}

impl Trust {
    /// The name in our own pins.
    pub(super) fn name(&self, host: &str, port: u16) -> String {
        self.pinned_as.clone().unwrap_or_else(|| known_hosts::host_name(host, port))
    }

    /// Collects what is known. Files of OpenSSH's that cannot be read say nothing; ours has to be readable.
    pub(super) fn evidence(&self, host: &str, port: u16) -> Result<Evidence, PinnedHostsError> {
        let address = known_hosts::host_name(host, port);
        let mut elsewhere = Known::default();
        for text in self.known_hosts.iter().filter_map(|path| store::read(path).ok().flatten()) {
            let known = known_hosts::look_up(&text, &address);
            elsewhere.keys.extend(known.keys);
            elsewhere.revoked.extend(known.revoked);
        }
        let pinned = self.pins.known(&self.name(host, port))?;
        Ok(Evidence { given: self.given.clone(), vouched: self.vouched.clone(), pinned, elsewhere })
    }

    /// Remembers a key that was found right. One that the person gave takes the place of those before.
    pub(super) fn remember(&self, host: &str, port: u16, key: &PublicKey) -> Result<(), PinnedHostsError> {
        let name = self.name(host, port);
        if self.given.is_some() { self.pins.replace(&name, key) } else { self.pins.add(&name, key) }
    }
}

impl Evidence {
    /// Judges a key. What the person gave decides alone; then what the cloud vouches for and what is pinned; the files of
    /// OpenSSH's count only if there is none of that. A revoked key is never right.
    pub(super) fn judge(&self, shown: &PublicKey) -> Verdict {
        let is_in = |keys: &[PublicKey]| keys.iter().any(|key| same_key(key, shown));
        if is_in(&self.pinned.revoked) || is_in(&self.elsewhere.revoked) {
            return Verdict::Revoked;
        }
        let expected: Vec<String> = if let Some(given) = &self.given {
            vec![given.clone()]
        } else if self.vouched.is_empty() && self.pinned.keys.is_empty() {
            self.elsewhere.keys.iter().map(fingerprint).collect()
        } else {
            // What is pinned is mostly what is vouched for, and is named once.
            let pinned = self.pinned.keys.iter().map(fingerprint);
            let more = pinned.filter(|pinned| !self.vouched.contains(pinned));
            self.vouched.iter().cloned().chain(more).collect()
        };
        if expected.is_empty() {
            Verdict::Unknown
        } else if expected.contains(&fingerprint(shown)) {
            Verdict::Right
        } else {
            Verdict::Wrong(expected)
        }
    }

    /// The kinds of host key to ask for, in the order of preference, as libssh2 takes them: first those of the keys we
    /// know, so that a host with several keys shows one that can be compared.
    pub(super) fn preference(&self) -> String {
        let known =
            self.pinned.keys.iter().chain(&self.elsewhere.keys).filter_map(|key| methods(&key.algorithm()));
        let mut order: Vec<&str> = Vec::new();
        for methods in known.chain(ALL_METHODS) {
            if !order.contains(&methods) {
                order.push(methods);
            }
        }
        order.join(",")
    }

    /// The kinds of host key to ask for one by one, if the one shown is wrong: a fingerprint does not say of which kind its
    /// key is. A key does, and then there are none.
    pub(super) fn other_kinds(&self) -> &'static [&'static str] {
        let is_by_fingerprint =
            self.given.is_some() || (!self.vouched.is_empty() && self.pinned.keys.is_empty());
        if is_by_fingerprint { &OTHER_KINDS } else { &[] }
    }
}

/// What a host with several keys shows if it is not asked for ed25519.
const OTHER_KINDS: [&str; 2] = ["ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521", RSA_METHODS];

const RSA_METHODS: &str = "rsa-sha2-512,rsa-sha2-256";
const ALL_METHODS: [&str; 5] =
    ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", RSA_METHODS];

fn methods(algorithm: &Algorithm) -> Option<&'static str> {
    match algorithm {
        Algorithm::Ed25519 => Some("ssh-ed25519"),
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 } => Some("ecdsa-sha2-nistp256"),
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 } => Some("ecdsa-sha2-nistp384"),
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 } => Some("ecdsa-sha2-nistp521"),
        Algorithm::Rsa { .. } => Some(RSA_METHODS),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::ssh::keys;

    fn key() -> PublicKey {
        keys::generate("").unwrap().public
    }

    #[test]
    fn what_counts_is_what_was_said_then_what_is_vouched_for_then_what_openssh_knows() {
        let (right, other) = (key(), key());
        let print = fingerprint(&other);
        let good = || Some(fingerprint(&right));
        let bad = || Some(print.clone());
        let check = |given: Option<String>,
                     vouched: Option<String>,
                     pinned: &[&PublicKey],
                     elsewhere: &[&PublicKey],
                     expected: &Verdict| {
            let known = |keys: &[&PublicKey]| Known {
                keys: keys.iter().map(|&k| k.clone()).collect(),
                revoked: vec![],
            };
            let evidence = Evidence {
                given: given.clone(),
                vouched: vouched.clone().into_iter().collect(),
                pinned: known(pinned),
                elsewhere: known(elsewhere),
            };
            let label = format!("{given:?} {vouched:?} {} {}", pinned.len(), elsewhere.len());
            assert_eq!(evidence.judge(&right), *expected, "{label}");
        };
        let wrong = Verdict::Wrong(vec![print.clone()]);
        check(None, None, &[], &[], &Verdict::Unknown);
        // One source alone.
        check(good(), None, &[], &[], &Verdict::Right);
        check(bad(), None, &[], &[], &wrong);
        check(None, good(), &[], &[], &Verdict::Right);
        check(None, bad(), &[], &[], &wrong);
        check(None, None, &[&right], &[], &Verdict::Right);
        check(None, None, &[&other], &[], &wrong);
        check(None, None, &[], &[&right], &Verdict::Right);
        check(None, None, &[], &[&other], &wrong);
        // Several keys of one host, as while one is exchanged for another.
        check(None, None, &[&other, &right], &[], &Verdict::Right);
        check(None, bad(), &[&right], &[], &Verdict::Right);
        check(None, good(), &[&other], &[], &Verdict::Right);
        // Known from both, and named once.
        check(None, bad(), &[&other], &[], &wrong);
        // The person is right against all others.
        check(good(), bad(), &[&other], &[&other], &Verdict::Right);
        check(bad(), good(), &[&right], &[&right], &wrong);
        // OpenSSH's files do not count against the cloud and the pins, neither way.
        check(None, good(), &[], &[&other], &Verdict::Right);
        check(None, None, &[&other], &[&right], &wrong);
        check(None, bad(), &[], &[&right], &wrong);
    }

    #[test]
    fn what_is_revoked_is_never_right() {
        let right = key();
        let revoked = Known { keys: vec![right.clone()], revoked: vec![right.clone()] };
        let by_us = Evidence { pinned: revoked.clone(), ..Evidence::default() };
        let elsewhere =
            Evidence { given: Some(fingerprint(&right)), elsewhere: revoked, ..Evidence::default() };
        assert_eq!(by_us.judge(&right), Verdict::Revoked);
        assert_eq!(elsewhere.judge(&right), Verdict::Revoked);
    }

    #[test]
    fn the_kind_of_a_known_key_is_asked_for_first() {
        let none = Evidence::default();
        assert!(none.preference().starts_with("ssh-ed25519,ecdsa-sha2-nistp256,"));
        assert!(none.other_kinds().is_empty());
        let known = Known { keys: vec![key()], revoked: Vec::new() };
        let vouched = vec!["SHA256:x".to_owned()];
        let by_tag = Evidence { vouched: vouched.clone(), ..Evidence::default() };
        let by_both = Evidence { vouched, pinned: known, ..Evidence::default() };
        assert_eq!((by_tag.other_kinds().len(), by_both.other_kinds().len()), (2, 0));
    }
}
