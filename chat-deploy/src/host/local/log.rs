//! The server's log: one file, and the one before it.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
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
    tail_until(layout, from, u64::MAX, lines)
}

/// The same, of what comes before byte `until`.
fn tail_until(layout: &Layout, from: u64, until: u64, lines: usize) -> Result<Vec<String>, HostError> {
    let path = layout.log();
    let read = || -> io::Result<Vec<String>> {
        let mut file = File::open(&path)?;
        let end = file.metadata()?.len().min(until);
        let near = end.saturating_sub(READ_BYTES.saturating_add(LINE_BYTES.saturating_mul(lines as u64)));
        // A log that was put aside meanwhile is shorter than the run that began in it.
        let from = if from > end { 0 } else { from };
        // One byte early, so that a line that begins right there counts as whole.
        let start = if near > from { near - 1 } else { from };
        file.seek(SeekFrom::Start(start))?;
        let mut last = VecDeque::new();
        let text = BufReader::new(file.take(end.saturating_sub(start)));
        for line in text.split(b'\n').skip(usize::from(near > from)) {
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

/// Passes on the last lines, and then what is appended.
pub(super) fn follow(
    layout: &Layout,
    lines: usize,
    interrupt: &Interrupt,
    sink: &mut dyn FnMut(&str) -> io::Result<()>,
) -> Result<(), HostError> {
    let path = layout.log();
    let mut file = open_at_end(layout)?;
    // Up to where the file is read on from, so that nothing falls in between.
    let until = file.as_mut().map_or(Ok(0), |file| file.stream_position()).map_err(failed("read", &path))?;
    for line in tail_until(layout, 0, until, lines)? {
        sink(&line).map_err(failed("pass on", &path))?;
    }
    let mut line = Vec::new();
    while !interrupt.is_set() {
        if let Some(file) = &mut file {
            pass_on(file, &path, &mut line, interrupt, sink)?;
        }
        thread::sleep(LOOK_EVERY);
        let Some(open) = &mut file else {
            file = File::open(&path).ok().map(BufReader::new);
            continue;
        };
        match change(open, layout).map_err(failed("read", &path))? {
            Change::None => {}
            Change::Truncated => {
                line.clear();
                open.rewind().map_err(failed("read", &path))?;
            }
            Change::Replaced => {
                // The rest of the former one, and what was begun there stays unfinished.
                pass_on(open, &path, &mut line, interrupt, sink)?;
                line.clear();
                file = File::open(&path).ok().map(BufReader::new);
            }
        }
    }
    Ok(())
}

/// Passes on the whole lines there are; what is begun of another one stays in `line`.
fn pass_on(
    file: &mut BufReader<File>,
    path: &Path,
    line: &mut Vec<u8>,
    interrupt: &Interrupt,
    sink: &mut dyn FnMut(&str) -> io::Result<()>,
) -> Result<(), HostError> {
    while !interrupt.is_set() && file.read_until(b'\n', line).map_err(failed("read", path))? > 0 {
        if line.pop_if(|last| *last == b'\n').is_some() {
            sink(&printable(line)).map_err(failed("pass on", path))?;
            line.clear();
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

/// What happened to a log that is being read.
enum Change {
    None,
    /// It begins anew, as after `truncate`.
    Truncated,
    /// Another file has its name.
    Replaced,
}

fn change(file: &mut BufReader<File>, layout: &Layout) -> io::Result<Change> {
    let open = file.get_ref().metadata()?;
    Ok(match layout.log().metadata() {
        Ok(there) if there.ino() != open.ino() => Change::Replaced,
        _ if open.len() < file.stream_position()? => Change::Truncated,
        _ => Change::None,
    })
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
        const PATIENCE: Duration = Duration::from_secs(20);
        let writing = thread::spawn(move || {
            use io::Write as _;
            thread::sleep(LOOK_EVERY / 2);
            write!(File::options().append(true).open(writer.log()).unwrap(), "new\nhal").unwrap();
            assert_eq!(receiver.recv_timeout(PATIENCE), Ok("new".to_owned()));
            let mut former = File::options().append(true).open(writer.log()).unwrap();
            former.set_len(0).unwrap();
            thread::sleep(LOOK_EVERY * 2);
            writeln!(former, "anew").unwrap();
            assert_eq!(receiver.recv_timeout(PATIENCE), Ok("anew".to_owned()));
            // Just read to its end, it is not looked at again for a while.
            thread::sleep(LOOK_EVERY / 4);
            writeln!(former, "last").unwrap();
            fs::rename(writer.log(), writer.former_log()).unwrap();
            fs::write(writer.log(), "first\n").unwrap();
            assert_eq!(receiver.recv_timeout(PATIENCE), Ok("last".to_owned()));
            assert_eq!(receiver.recv_timeout(PATIENCE), Ok("first".to_owned()));
            stop.set();
        });
        let mut sink = |line: &str| sender.send(line.to_owned()).map_err(io::Error::other);
        follow(&layout, 0, &interrupt, &mut sink).unwrap();
        writing.join().unwrap();
    }
}
