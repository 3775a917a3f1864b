//! The programs themselves, run as a person runs them: deployed, killed, piped and typed into.
//!
//! `deploy` is the life of a deployed server on this machine (what can go wrong with one is tested in chat-deploy), `cloud`
//! the same on EC2 and on machines reached by SSH, `pipe` two clients in pipes, `screen` a client on a terminal.
//! How programs are found and run is `programs`, the terminal `tmux`. Needs tmux, what `tests/cloud/setup` asks for, and the
//! feature `e2e`.

// Says to clippy that all of this is test code, helpers too.
#![cfg(test)]

mod cloud;
mod deploy;
mod pipe;
mod programs;
mod screen;
mod tmux;
