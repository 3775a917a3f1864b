//! Deploys the chat server and looks after it: what should be is compared with what there is, the difference is shown as
//! a plan, and the plan is carried out step by step.
//!
//! - [`cli`], [`settings`]: what the person typed, and what it means with environment, file and defaults;
//! - [`desired`], [`observe`], [`diff`], [`plan`]: deciding, pure but for looking;
//! - [`apply`], [`steps`]: doing, each step such that it may be done again;
//! - [`host`]: the machine that runs the server; [`release`]: what runs on it;
//! - [`commands`]: one file per command; [`ui`]: what people and programs see.
//!
//! [`machine`] does the same for a machine on EC2 and what belongs to it, over a [`cloud`]; another cloud would be one more
//! [`cloud::Cloud`], another kind of host one more [`host::Host`].

pub mod apply;
pub mod cli;
pub mod clock;
pub mod cloud;
pub mod commands;
pub mod config;
pub mod desired;
pub mod diff;
pub mod environment;
pub mod error;
pub mod health;
pub mod host;
pub mod instance;
pub mod interrupt;
pub mod machine;
pub mod observe;
pub mod outline;
pub mod pins;
pub mod plan;
pub mod release;
pub mod report;
pub mod run_lock;
pub mod settings;
pub mod steps;
pub mod ui;
