//! The client over real sockets: against our own server, a stand-in for an original one, and an attacker in between.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail loudly, like the tests themselves"
)]

mod january;
mod keyring;
mod link;
mod original;
mod pipe;
mod proxy;
mod world;
