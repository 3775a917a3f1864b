//! Whether a port is free, and if not, whose it is.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use super::layout::Layout;
use crate::host::HostError;

/// Checks that a server could listen there.
pub(super) fn check(listen: SocketAddr, layout: &Layout) -> Result<(), HostError> {
    match TcpListener::bind(listen) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Err(HostError::PortTaken { listen, holder: holder(listen.port(), layout) })
        }
        Err(source) => Err(HostError::PortRefused { listen, source }),
    }
}

/// Finds who listens on a port, as far as the system lets us see.
fn holder(port: u16, layout: &Layout) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let sockets: Vec<String> = tables
        .iter()
        .flat_map(|table| listening_inodes(table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.into_iter().find(|pid| has_socket(*pid, &sockets)).map(|pid| describe(pid, layout))
}

/// Reads the sockets that listen on `port` out of a table such as `/proc/net/tcp`.
fn listening_inodes(table: &str, port: u16) -> Vec<u64> {
    const LISTENING: &str = "0A";
    let inode = |line: &str| {
        let mut fields = line.split_whitespace();
        let (_, local_port) = fields.nth(1)?.rsplit_once(':')?;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?.parse().ok()?;
        (u16::from_str_radix(local_port, 16) == Ok(port) && state == LISTENING).then_some(inode)
    };
    table.lines().skip(1).filter_map(inode).collect()
}

fn has_socket(pid: u32, sockets: &[String]) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    let links = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    links.into_iter().any(|link| sockets.iter().any(|socket| Path::new(socket) == link))
}

fn describe(pid: u32, layout: &Layout) -> String {
    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let siblings = layout.dir().parent().unwrap_or(layout.dir());
    if let Some(instance) = program.strip_prefix(siblings).ok().and_then(|path| path.iter().next()) {
        return format!("the instance {} (pid {pid})", instance.display());
    }
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    format!("{} (pid {pid})", name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_sockets_are_found_in_the_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            \x20  0: 0100007F:3039 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 x\n\
            \x20  1: 0100007F:3039 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 x\n\
            \x20  2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 x\n";
        assert_eq!(listening_inodes(table, 12345), [4711]);
        assert_eq!(listening_inodes(table, 22), [4713]);
        assert_eq!(listening_inodes("", 22), [0; 0]);
        assert_eq!(listening_inodes("x\n1 2 3\n", 22), [0; 0]);
    }

    #[test]
    fn a_taken_port_names_its_holder() {
        let layout = Layout::at("/nowhere/instances/x".into());
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let Err(HostError::PortTaken { holder, .. }) = check(taken.local_addr().unwrap(), &layout) else {
            panic!("the port is taken");
        };
        if cfg!(target_os = "linux") {
            assert!(holder.unwrap().ends_with(&format!("(pid {})", std::process::id())));
        }
        drop(taken);
        // Somebody else may take it at once, but not one after the other.
        let is_free = |_| {
            let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            check(free, &layout).is_ok()
        };
        assert!((0..10).any(is_free));
    }
}
