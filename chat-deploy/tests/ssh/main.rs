//! The SSH transport against real OpenSSH servers, which the tests start on this machine: connecting and every way in which
//! that fails, keys, commands, and the exchange of a host key.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers of a test may fail as loudly as the test"
)]

mod commands;
mod connecting;
mod logging_in;
mod rotation;
mod sshd;
