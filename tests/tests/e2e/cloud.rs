//! Deployments to the pretend cloud of `tests/cloud`, and to a machine that no cloud knows: what a person with an account
//! and a laptop would do, and what can go wrong while they do it.
//!
//! Needs root, since real machines boot in containers. Every test has a region of its own, and so a cloud of its own.

mod account;
mod adopt;
mod commands;
mod faults;
mod life;
mod pretend;
mod releases;
mod servers;
mod ssh;
