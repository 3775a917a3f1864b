//! `ssh`: a session on the host, with the host key that is pinned for it.
//!
//! The session is OpenSSH's; our own connection beforehand has made sure that the key it will insist on is the right one.

#[cfg(feature = "ssh")]
use std::os::unix::process::CommandExt as _;

use super::{Context, Outcome};
use crate::cli;
use crate::error::Error;

#[cfg(feature = "ssh")]
pub(super) fn run(context: &Context<'_>, args: &cli::Ssh) -> Result<Outcome, Error> {
    // On success there is no way back from here: this process becomes that one.
    Err(Error::NoOpenSsh(super::remote::openssh(context, args)?.exec()))
}

#[cfg(not(feature = "ssh"))]
pub(super) fn run(_: &Context<'_>, _: &cli::Ssh) -> Result<Outcome, Error> {
    Err(Error::NoProvider { provider: crate::cli::Provider::Ssh })
}
