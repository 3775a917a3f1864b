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
/// How much of the end of a log is read at least, and for every line that is wanted on top: lines are shorter by far.
const READ_BYTES: u64 = 1 << 20;
const LINE_BYTES: u64 = 1 << 10;
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Opens the log for a server that is about to start.
pub(super) fn open_for_server(layout: &Layout) -> Result<File, HostError> {
    let path = layout.log();
    if path.metadata().is_ok_and(|log| log.len() > MAX_LOG_BYTES) {
        fs::rename(&path, layout.former_log()).map_err(failed("rename", &path))?;
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(failed("write", &path))
}

/// Reads the last lines behind byte `from`. Of a log so long that they must be near its end, only the end is read.
pub(super) fn tail(layout: &Layout, from: u64, lines: usize) -> Result<Vec<String>, HostError> {
    let path = layout.log();
    let read = || -> io::Result<Vec<String>> {
        let mut file = File::open(&path)?;
        let end = file.metadata()?.len();
        let near = end.saturating_sub(READ_BYTES.saturating_add(LINE_BYTES.saturating_mul(lines as u64)));
        // A log that was put aside meanwhile is shorter than the run that began in it.
        let from = if from > end { 0 } else { from };
        // One byte early, so that a line that begins right there counts as whole.
        let start = if near > from { near - 1 } else { from };
        file.seek(SeekFrom::Start(start))?;
        let mut last = VecDeque::new();
        for line in BufReader::new(file).split(b'\n').skip(usize::from(near > from)) {
            last.push_back(printable(&line?));
            if last.len() > lines {
                last.pop_front();
            }
        }
        Ok(last.into())
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(failed("read", &path)),
    }
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
            // A log that appears now is new from its first line on, and what was begun in the former stays unfinished.
            line.clear();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(dir: &tempfile::TempDir) -> Layout {
        Layout::at(dir.path().to_owned())
    }

    #[test]
    fn the_last_lines_of_a_log() {
        let dir = tempfile::tempdir().unwrap();
        let layout = layout(&dir);
        assert_eq!(tail(&layout, 0, 5).unwrap(), [""; 0]);
        fs::write(layout.log(), b"one\ntwo\n\x1b[31mthree\xff").unwrap();
        assert_eq!(tail(&layout, 0, 2).unwrap(), ["two", "\u{fffd}[31mthree\u{fffd}"]);
        assert_eq!(tail(&layout, 4, 9).unwrap().len(), 2);
        assert_eq!(tail(&layout, 99, 9).unwrap().len(), 3);
        assert_eq!(tail(&layout, 0, 0).unwrap(), [""; 0]);
    }

    #[test]
    fn the_last_lines_of_a_long_log() {
        let dir = tempfile::tempdir().unwrap();
        let layout = layout(&dir);
        let lines: Vec<String> = (0..300_000).map(|n| format!("line {n}")).collect();
        fs::write(layout.log(), lines.join("\n") + "\n").unwrap();
        assert_eq!(tail(&layout, 0, 3).unwrap(), lines[299_997..]);
        assert_eq!(tail(&layout, 0, 300_000).unwrap(), lines);
    }

    #[test]
    fn a_long_log_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let layout = layout(&dir);
        fs::write(layout.log(), "short\n").unwrap();
        open_for_server(&layout).unwrap();
        assert!(!layout.former_log().exists());
        File::options().write(true).open(layout.log()).unwrap().set_len(MAX_LOG_BYTES + 1).unwrap();
        assert_eq!(open_for_server(&layout).unwrap().metadata().unwrap().len(), 0);
        assert_eq!(layout.former_log().metadata().unwrap().len(), MAX_LOG_BYTES + 1);
    }

    #[test]
    fn what_is_appended_is_passed_on_also_to_a_new_log() {
        let dir = tempfile::tempdir().unwrap();
        let layout = layout(&dir);
        fs::write(layout.log(), "old\n").unwrap();
        let (writer, interrupt) = (layout.clone(), Interrupt::default());
        let stop = interrupt.clone();
        let (sender, receiver) = std::sync::mpsc::channel();
        let writing = thread::spawn(move || {
            use io::Write as _;
            thread::sleep(LOOK_EVERY / 2);
            write!(File::options().append(true).open(writer.log()).unwrap(), "new\nhal").unwrap();
            assert_eq!(receiver.recv(), Ok("new".to_owned()));
            fs::rename(writer.log(), writer.former_log()).unwrap();
            fs::write(writer.log(), "first\n").unwrap();
            assert_eq!(receiver.recv(), Ok("first".to_owned()));
            stop.set();
        });
        let mut sink = |line: &str| sender.send(line.to_owned()).map_err(io::Error::other);
        follow(&layout, &interrupt, &mut sink).unwrap();
        writing.join().unwrap();
    }
}
