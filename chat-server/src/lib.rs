//! The chat server: one room, spoken to in the original's wire protocol and in this project's extensions of it.

pub mod accounts;
mod admin;
mod admission;
pub mod clock;
pub mod config;
mod connection;
pub mod control;
pub mod data;
mod delivery;
mod hub;
pub mod import;
mod listener;
mod metrics;
mod packet_log;
mod presence;
mod private_file;
mod rate;
mod reactor;
mod reload;
mod room;
mod server;
mod service_manager;
pub mod status;
mod tables;

pub use clock::Clock;
pub use config::Settings;
pub use reload::{Reload, ReloadRequests};
pub use server::{Running, Server, ServerError, spawn};
pub use service_manager::{NotifyError, ServiceManager};
