//! The log: structured lines on standard error, without messages or secrets.

use std::io::{self, IsTerminal as _};

use chat_server::config::{LogFormat, LogSettings};
use tracing_subscriber::EnvFilter;

/// Starts logging for the rest of the process.
///
/// # Errors
///
/// If the filter cannot be parsed, which the settings have ruled out, or logging has been started before.
pub(crate) fn start(settings: &LogSettings) -> anyhow::Result<()> {
    let filter = EnvFilter::builder().parse(&settings.level)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    let started = match settings.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|error| anyhow::anyhow!(error))
}
