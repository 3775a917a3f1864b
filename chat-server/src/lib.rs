//! The chat server: one room, spoken to in the original's wire protocol and in this project's extensions of it.

pub mod accounts;
pub mod clock;
pub mod config;
pub mod data;
mod private_file;
