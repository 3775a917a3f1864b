//! The server's log: one file, and the one before it.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::thread;
use std::time::Duration;

use super::files::failed;
use super::layout::Layout;
use crate::host::HostError;
use crate::interrupt::Interrupt;

/// A log longer than this is put aside when the server is started, and the one put aside before is removed.
const MAX_LOG_BYTES: u64 = 8 << 20;
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Opens the log for a server that is about to start.
pub(super) fn open_for_server(layout: &Layout) -> Result<File, HostError> {
    let path = layout.log();
    if path.metadata().is_ok_and(|log| log.len() > MAX_LOG_BYTES) {
        fs::rename(&path, layout.former_log()).map_err(failed("rename", &path))?;
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(failed("write", &path))
}

/// Reads the last lines behind byte `from`.
pub(super) fn tail(layout: &Layout, from: u64, lines: usize) -> Result<Vec<String>, HostError> {
    let path = layout.log();
    let mut last = VecDeque::new();
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("read", &path)(error)),
    };
    file.seek(SeekFrom::Start(from)).map_err(failed("read", &path))?;
    for line in BufReader::new(file).split(b'\n') {
        last.push_back(printable(&line.map_err(failed("read", &path))?));
        if last.len() > lines {
            last.pop_front();
        }
    }
    Ok(last.into())
}

/// Passes on what is appended from now on.
pub(super) fn follow(
    layout: &Layout,
    interrupt: &Interrupt,
    sink: &mut dyn FnMut(&str) -> io::Result<()>,
) -> Result<(), HostError> {
    let path = layout.log();
    let mut file = open_at_end(layout)?;
    let mut line = Vec::new();
    while !interrupt.is_set() {
        let more = match &mut file {
            Some(file) => file.read_until(b'\n', &mut line).map_err(failed("read", &path))? > 0,
            None => false,
        };
        if line.pop_if(|last| *last == b'\n').is_some() {
            sink(&printable(&line)).map_err(failed("pass on", &path))?;
            line.clear();
        }
        if more {
            continue;
        }
        thread::sleep(LOOK_EVERY);
        if file.as_ref().is_none_or(|file| is_replaced(file.get_ref(), layout)) {
            // A log that appears now is new from its first line on.
            file = File::open(&path).ok().map(BufReader::new);
        }
    }
    Ok(())
}

fn open_at_end(layout: &Layout) -> Result<Option<BufReader<File>>, HostError> {
    let path = layout.log();
    let Ok(mut file) = File::open(&path) else {
        return Ok(None);
    };
    file.seek(SeekFrom::End(0)).map_err(failed("read", &path))?;
    Ok(Some(BufReader::new(file)))
}

fn is_replaced(file: &File, layout: &Layout) -> bool {
    match (file.metadata(), layout.log().metadata()) {
        (Ok(open), Ok(there)) => open.ino() != there.ino(),
        _ => false,
    }
}

/// A log line as a terminal may have it: what strangers sent may be in it, and must not steer the terminal.
fn printable(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    let harmless = |c: char| c == '\t' || !c.is_control();
    line.chars().map(|c| if harmless(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}
