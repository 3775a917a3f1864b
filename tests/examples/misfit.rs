//! A server that nobody wants deployed: it answers `chat-deploy` like a real one, starts, and is of no use.
//!
//! What is wrong with it is written behind its last byte, so that every misfit is a release of its own: `misfit: crashes`
//! ends at once; `misfit: silent` tells systemd that it is ready and then never says a word to anybody. It uses nothing but
//! the standard library, so that it is built in a moment for any target.

#![expect(clippy::print_stdout, reason = "what it is asked for goes to standard output")]

use std::env;
use std::fs;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::process::ExitCode;
use std::thread;

/// Far more than the words behind the last byte.
const TAIL_BYTES: usize = 64;

fn main() -> io::Result<ExitCode> {
    match env::args().nth(1).as_deref() {
        Some("--version") => println!("chat-server 0.1.0"),
        Some("check-config") => {}
        _ if fault()? == "silent" => {
            let _ready = report_ready();
            loop {
                thread::park();
            }
        }
        _ => return Ok(ExitCode::from(3)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads what is written behind the last byte of this program.
fn fault() -> io::Result<String> {
    let program = fs::read(env::current_exe()?)?;
    let tail = program.get(program.len().saturating_sub(TAIL_BYTES)..).unwrap_or_default();
    let tail = String::from_utf8_lossy(tail).into_owned();
    Ok(tail.rsplit_once("misfit: ").map(|(_, fault)| fault.trim().to_owned()).unwrap_or_default())
}

/// Tells systemd that it is ready, if it asks.
fn report_ready() -> io::Result<()> {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    UnixDatagram::unbound()?.send_to(b"READY=1", path).map(drop)
}
