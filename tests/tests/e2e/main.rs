//! The programs themselves, run as a person runs them: deployed, killed, piped and typed into.
//!
//! `deploy` is the life of a deployed server (what can go wrong with one is tested in chat-deploy), `pipe` two clients in pipes, `screen` a client on a terminal (tmux). How
//! programs are found and run is `programs`. Needs tmux, and the feature `e2e`.

// Says to clippy that all of this is test code, helpers too.
#![cfg(test)]

mod deploy;
mod pipe;
mod programs;
mod screen;
