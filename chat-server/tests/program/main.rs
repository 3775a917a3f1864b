//! Tests of the built program as a whole: its command line, its first start, its end, and what survives `kill -9`.

// Says to clippy what cargo knows: that helpers, too, are tests.
#![cfg(test)]

mod activation;
mod administration;
mod command_line;
mod kill_nine;
mod log;
mod metrics;
mod notify;
mod process;
mod reload;
mod start_and_stop;
mod status;
mod time;
mod unheard;
