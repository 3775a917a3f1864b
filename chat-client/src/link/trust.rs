//! Whom to trust: what a server must prove before anything is sent to it, and when no encryption will do.
//!
//! The decisions are here; the pins are read and written through `pins`, the proof itself is `chat_core::noise`.

use chat_core::hello::Hello;
use chat_core::known_servers::ServerAddress;
use chat_core::noise::Fingerprint;

use super::error::LinkError;
use crate::pins::{Pinned, Pins};

/// How a connection is to be encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// Modern with our servers; with an original server the opening fails, so that a person can choose.
    #[default]
    Auto,
    /// Modern or not at all.
    Noise,
    /// The original's cipher, a toy.
    Classic,
    /// None.
    Off,
}

/// Which revision of the original protocol to speak. Servers of ours speak both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// That of October 2025; if the server does not answer at all, perhaps that of January 2026.
    #[default]
    Auto,
    /// That of October 2025, and what servers of ours add to it.
    October,
    /// That of January 2026.
    January,
}

/// What kind of server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// One of ours, and what it says of itself.
    Ours(Hello),
    /// An original server: only the original's packets may be sent to it.
    Original,
    /// A server that was spoken to as one of the original's January 2026 revision.
    January,
}

/// Where the knowledge comes from that a server is the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Its identity was pinned before.
    Pinned,
    /// Nothing was known of it; its identity is pinned from now on.
    FirstContact,
    /// Its identity was demanded for this connection.
    Demanded,
    /// Nothing: no pins are kept and nothing was demanded.
    Unverified,
}

/// Whom to trust at one address.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The pins to compare with and to add to; none for a client that keeps no memory of servers.
    pub pins: Option<Pins>,
    /// The only identity to accept on this connection, whatever the pins say.
    pub demanded: Option<Fingerprint>,
}

/// What to do once the kind of server is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    Noise,
    Classic,
    Plain,
}

impl Trust {
    /// Decides how to go on with a server, before anything but the greeting has been exchanged.
    ///
    /// # Errors
    ///
    /// [`LinkError::Stripped`] if somebody is expected here who would show HELLO and Noise, [`LinkError::Unprovable`] if
    /// an identity is demanded and encryption not wanted that proves one, [`LinkError::Original`], [`LinkError::January`]
    /// and [`LinkError::NoNoise`] if modern encryption is wanted and not offered, [`LinkError::AlwaysEncrypts`] if none is
    /// wanted of a server that always does, [`LinkError::Pins`].
    pub(super) fn plan(
        &self,
        address: &ServerAddress,
        wanted: Encryption,
        peer: &Peer,
    ) -> Result<Plan, LinkError> {
        let offers_noise = matches!(peer, Peer::Ours(hello) if hello.caps.noise);
        // Even a person who wants no encryption has pinned who should be here.
        if !offers_noise && let Some(pinned) = self.expected(address)? {
            return Err(LinkError::Stripped { address: address.clone(), pinned });
        }
        if let (Encryption::Off | Encryption::Classic, Some(demanded)) = (wanted, self.demanded) {
            return Err(LinkError::Unprovable(demanded));
        }
        match (wanted, peer) {
            (Encryption::Off, Peer::January) => Err(LinkError::AlwaysEncrypts(address.clone())),
            (Encryption::Auto | Encryption::Noise, Peer::January) => Err(LinkError::January(address.clone())),
            (Encryption::Off, _) => Ok(Plan::Plain),
            (Encryption::Classic, _) => Ok(Plan::Classic),
            (Encryption::Auto | Encryption::Noise, _) if offers_noise => Ok(Plan::Noise),
            (Encryption::Auto | Encryption::Noise, Peer::Original) => {
                Err(LinkError::Original(address.clone()))
            }
            (Encryption::Auto | Encryption::Noise, Peer::Ours(_)) => Err(LinkError::NoNoise(address.clone())),
        }
    }

    /// Decides whether a proved identity is the right one; pins it if nothing is known of the address.
    ///
    /// # Errors
    ///
    /// [`LinkError::NotDemanded`], [`LinkError::ChangedIdentity`] and [`LinkError::Pins`].
    pub(super) fn judge(&self, address: &ServerAddress, offered: Fingerprint) -> Result<Basis, LinkError> {
        if let Some(demanded) = self.demanded
            && demanded != offered
        {
            return Err(LinkError::NotDemanded { demanded, offered });
        }
        let Some(pins) = &self.pins else {
            return Ok(if self.demanded.is_some() { Basis::Demanded } else { Basis::Unverified });
        };
        match pins.check(address, offered) {
            Ok(Pinned::Other(pinned)) => {
                Err(LinkError::ChangedIdentity { address: address.clone(), pinned, offered })
            }
            Ok(_) if self.demanded.is_some() => Ok(Basis::Demanded),
            Ok(Pinned::Same) => Ok(Basis::Pinned),
            Ok(Pinned::FirstContact) => Ok(Basis::FirstContact),
            // Who is demanded is known without the file; only remembering fails.
            Err(error) if self.demanded.is_some() => {
                tracing::warn!(%error, "the server's identity could not be pinned");
                Ok(Basis::Demanded)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Returns who must be at an address, if anybody is expected there.
    ///
    /// # Errors
    ///
    /// [`LinkError::Pins`].
    pub(super) fn expected(&self, address: &ServerAddress) -> Result<Option<Fingerprint>, LinkError> {
        match (&self.pins, self.demanded) {
            (_, Some(demanded)) => Ok(Some(demanded)),
            (Some(pins), None) => Ok(pins.lookup(address)?),
            (None, None) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use chat_core::hello::Caps;

    use super::*;

    fn fingerprint(byte: u8) -> Fingerprint {
        Fingerprint::of(&[byte; 32])
    }

    fn home() -> ServerAddress {
        ServerAddress::new("home", 1)
    }

    struct Scratch {
        _directory: tempfile::TempDir,
        pins: Pins,
    }

    impl Scratch {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            Self { pins: Pins::at(directory.path().join("known_servers")), _directory: directory }
        }

        fn trust(&self, demanded: Option<Fingerprint>) -> Trust {
            Trust { pins: Some(self.pins.clone()), demanded }
        }
    }

    fn ours(noise: bool) -> Peer {
        let hello = Hello::new("chat-server/0.1.0");
        Peer::Ours(Hello { caps: Caps { noise, ..hello.caps }, ..hello })
    }

    /// Names the outcome, so that a table can list it.
    fn outcome<T: std::fmt::Debug>(result: Result<T, LinkError>) -> String {
        match result {
            Ok(value) => format!("{value:?}"),
            Err(error) => {
                let shown = format!("{error:?}");
                shown.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
            }
        }
    }

    #[test]
    fn without_a_pin_the_wish_and_the_server_decide() {
        let scratch = Scratch::new();
        let check = |wanted, peer: &Peer, expected: &str| {
            assert_eq!(
                outcome(scratch.trust(None).plan(&home(), wanted, peer)),
                expected,
                "{wanted:?} {peer:?}"
            );
        };
        for (wanted, with_ours, without_noise, with_original, with_january) in [
            (Encryption::Auto, "Noise", "NoNoise", "Original", "January"),
            (Encryption::Noise, "Noise", "NoNoise", "Original", "January"),
            (Encryption::Classic, "Classic", "Classic", "Classic", "Classic"),
            (Encryption::Off, "Plain", "Plain", "Plain", "AlwaysEncrypts"),
        ] {
            check(wanted, &ours(true), with_ours);
            check(wanted, &ours(false), without_noise);
            check(wanted, &Peer::Original, with_original);
            check(wanted, &Peer::January, with_january);
        }
    }

    #[test]
    fn a_pinned_server_that_hides_its_encryption_is_refused_whatever_the_wish() {
        let scratch = Scratch::new();
        scratch.pins.pin(&home(), fingerprint(1)).unwrap();
        for wanted in [Encryption::Auto, Encryption::Noise, Encryption::Classic, Encryption::Off] {
            for peer in [Peer::Original, Peer::January, ours(false)] {
                assert_eq!(outcome(scratch.trust(None).plan(&home(), wanted, &peer)), "Stripped");
            }
            assert!(scratch.trust(None).plan(&home(), wanted, &ours(true)).is_ok());
        }
        let demanding = Trust { pins: None, demanded: Some(fingerprint(1)) };
        assert_eq!(outcome(demanding.plan(&home(), Encryption::Off, &Peer::Original)), "Stripped");
        assert_eq!(outcome(demanding.plan(&home(), Encryption::Classic, &ours(true))), "Unprovable");
    }

    #[test]
    fn the_demanded_and_the_pinned_identity_must_both_fit() {
        let scratch = Scratch::new();
        let judge = |demanded, offered| outcome(scratch.trust(demanded).judge(&home(), fingerprint(offered)));
        assert_eq!(judge(Some(fingerprint(1)), 2), "NotDemanded");
        assert_eq!(scratch.pins.lookup(&home()).unwrap(), None, "a refused identity is not pinned");
        assert_eq!(judge(None, 1), "FirstContact");
        assert_eq!(judge(None, 1), "Pinned");
        assert_eq!(judge(Some(fingerprint(1)), 1), "Demanded");
        assert_eq!(judge(None, 2), "ChangedIdentity");
        assert_eq!(judge(Some(fingerprint(2)), 2), "ChangedIdentity");
    }

    #[test]
    fn a_damaged_file_stops_all_but_a_demand() {
        let scratch = Scratch::new();
        std::fs::write(scratch.pins.path(), "nonsense").unwrap();
        assert_eq!(outcome(scratch.trust(None).judge(&home(), fingerprint(1))), "Pins");
        assert_eq!(outcome(scratch.trust(None).plan(&home(), Encryption::Off, &Peer::Original)), "Pins");
        assert_eq!(outcome(scratch.trust(Some(fingerprint(1))).judge(&home(), fingerprint(1))), "Demanded");
    }

    #[test]
    fn without_pins_or_demand_nothing_is_verified() {
        let trust = Trust { pins: None, demanded: None };
        assert_eq!(trust.judge(&home(), fingerprint(1)).unwrap(), Basis::Unverified);
    }
}
