//! Why connections are refused and end, packets are dropped, and accounts say no: what counters are told apart by.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::Labels;

/// One of a few values of a label.
pub(super) trait Reason: Copy + 'static {
    /// All of them.
    const ALL: &'static [Self];

    /// Returns the label with this value.
    fn labels(self) -> Labels<1>;
}

/// Makes counters that all say zero: one that appears only when it first counts shows no increase.
pub(super) fn from_zero<R: Reason>() -> Family<Labels<1>, Counter> {
    let family = Family::<Labels<1>, Counter>::default();
    for reason in R::ALL {
        drop(family.get_or_create(&reason.labels()));
    }
    family
}

/// An enum with the word for each variant in one place.
macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident as $label:literal { $($(#[$its_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name {
            $($(#[$its_doc])* $variant,)*
        }

        impl Reason for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),*];

            fn labels(self) -> Labels<1> {
                [($label, match self { $(Self::$variant => $word),* })]
            }
        }
    };
}

reasons! {
    /// Why a connection was not taken.
    Refused as "reason" {
        /// There are as many as the server takes.
        Full = "full",
        /// There are as many from its address as one may have.
        AddressFull = "address_full",
        /// Its address opens them too fast.
        TooFast = "too_fast",
        /// The system could not watch it.
        System = "system",
    }
}

reasons! {
    /// Why a connection ended.
    Closed as "reason" {
        /// The client said goodbye.
        Goodbye = "goodbye",
        /// The client closed it.
        Eof = "eof",
        /// It broke.
        Lost = "lost",
        /// What came was no packets, or not what was agreed on.
        Malformed = "malformed",
        /// What came in a SECURE packet did not verify.
        Insecure = "insecure",
        /// Too much waited for it.
        QueueFull = "queue_full",
        /// Too much waited for all slow readers together, and most for this one.
        AllQueuesFull = "all_queues_full",
        /// Too many packets were begun and not finished, by all together, and the longest by this one.
        InboxFull = "inbox_full",
        /// It never sent a packet.
        HandshakeTimeout = "handshake_timeout",
        /// A packet took too long.
        PacketTimeout = "packet_timeout",
        /// It gave no sign of life.
        IdleTimeout = "idle_timeout",
        /// Whoever runs the server ended it.
        Kicked = "kicked",
    }
}

reasons! {
    /// Why nothing was done about a packet.
    Dropped as "reason" {
        /// It could not be read.
        Malformed = "malformed",
        /// It could not be decrypted.
        Cipher = "cipher",
        /// The key in it cannot be used.
        Key = "key",
        /// The message in it was too long.
        TooLong = "too_long",
    }
}

reasons! {
    /// What became of settings that were read again.
    Reloaded as "result" {
        /// They are in force, as far as they can be.
        Done = "done",
        /// They have mistakes, and those in force have stayed.
        Refused = "refused",
    }
}

reasons! {
    /// What a login was answered.
    LoginResult as "result" {
        /// The name is theirs.
        Accepted = "accepted",
        /// Name and password do not belong together.
        Refused = "refused",
        /// They do, but somebody is logged in by that name.
        InUse = "in_use",
        /// Too many are waiting.
        Busy = "busy",
        /// The accounts cannot be used.
        Failed = "failed",
    }
}

reasons! {
    /// What a registration was answered.
    RegistrationResult as "result" {
        /// The account exists.
        Registered = "registered",
        /// The name belongs to somebody.
        Taken = "taken",
        /// The name cannot be used.
        BadName = "bad_name",
        /// The password cannot be used.
        BadPassword = "bad_password",
        /// There are as many accounts as there may be.
        Full = "full",
        /// The address has registered as many names as it may for now.
        RateLimited = "rate_limited",
        /// Too many are waiting.
        Busy = "busy",
        /// The accounts cannot be used.
        Failed = "failed",
    }
}
