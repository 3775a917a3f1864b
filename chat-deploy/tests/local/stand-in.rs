//! The server that the tests deploy: the real one's library behind the command line that `chat-deploy` uses.
//!
//! How it behaves is written behind its last byte, so that every way to behave is a release of its own:
//! `stand-in: crash` ends at once, `stand-in: brief` serves for half a second, `stand-in: silent` listens and answers
//! nothing, `stand-in: stubborn` ignores SIGTERM, and `stand-in: hang--version` hangs when it is asked that.

use std::error::Error;
use std::ffi::OsString;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use chat_server::config::Layers;
use chat_server::{Clock, Server, Settings};
use signal_hook::consts::SIGTERM;
use tokio::signal::unix::{SignalKind, signal};

/// Far more than the words behind the last byte.
const TAIL_BYTES: usize = 64;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    if words.first().is_some_and(|word| behaviour().is_ok_and(|behaviour| behaviour == format!("hang{word}")))
    {
        loop {
            std::thread::park();
        }
    }
    match words.as_slice() {
        ["--version"] => writeln!(std::io::stdout(), "chat-server 0.1.0")?,
        ["check-config", "--config", file] => drop(settings(file)?),
        ["serve", "--config", file] => return serve(settings(file)?),
        _ => return Err(format!("chat-deploy does not start a server like this: {words:?}").into()),
    }
    Ok(ExitCode::SUCCESS)
}

fn settings(file: &str) -> Result<Settings, Box<dyn Error>> {
    let layers = Layers { file: Some(file.into()), ..Layers::default() };
    Ok(layers.resolve()?)
}

fn serve(settings: Settings) -> Result<ExitCode, Box<dyn Error>> {
    let mut err = std::io::stderr();
    writeln!(err, "stand-in: starting")?;
    match behaviour()?.as_str() {
        "crash" => {
            writeln!(err, "stand-in: these are my last words")?;
            Ok(ExitCode::from(3))
        }
        "silent" => {
            let _listener = TcpListener::bind(SocketAddr::new(settings.host, settings.port))?;
            loop {
                std::thread::park();
            }
        }
        "brief" => {
            run(settings, async { tokio::time::sleep(Duration::from_millis(500)).await })?;
            Ok(ExitCode::from(4))
        }
        "stubborn" => {
            signal_hook::flag::register(SIGTERM, Arc::new(AtomicBool::new(false)))?;
            run(settings, std::future::pending())
        }
        _ => run(settings, async {
            if let Ok(mut terminated) = signal(SignalKind::terminate()) {
                terminated.recv().await;
            }
        }),
    }
}

fn run(settings: Settings, shutdown: impl Future<Output = ()>) -> Result<ExitCode, Box<dyn Error>> {
    Server::bind(settings, Clock::system())?.run(shutdown)?;
    Ok(ExitCode::SUCCESS)
}

/// Reads what is written behind the last byte of this program.
fn behaviour() -> Result<String, Box<dyn Error>> {
    let program = std::fs::read(std::env::current_exe()?)?;
    let tail = program.get(program.len().saturating_sub(TAIL_BYTES)..).unwrap_or_default();
    let tail = String::from_utf8_lossy(tail).into_owned();
    Ok(tail.rsplit_once("stand-in: ").map(|(_, word)| word.trim().to_owned()).unwrap_or_default())
}
