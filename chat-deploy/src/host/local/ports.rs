//! Whether a port is free, and if not, whose it is.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use super::layout::Layout;
use crate::host::{HostError, proc_net};

/// Checks that a server could listen there.
pub(super) fn check(listen: SocketAddr, layout: &Layout) -> Result<(), HostError> {
    match TcpListener::bind(listen) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Err(HostError::PortTaken { listen, holder: holder(listen, layout) })
        }
        Err(source) => Err(HostError::PortRefused { listen, source }),
    }
}

/// Finds who is in the way of a socket that would listen there, as far as the system lets us see.
fn holder(listen: SocketAddr, layout: &Layout) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let sockets: Vec<String> = tables
        .iter()
        .flat_map(|table| inodes_in_the_way(table, listen))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.into_iter().find(|pid| has_socket(*pid, &sockets)).map(|pid| describe(pid, layout))
}

/// Reads the sockets that listen where `listen` would out of a table such as `/proc/net/tcp`.
fn inodes_in_the_way(table: &str, listen: SocketAddr) -> Vec<u64> {
    const LISTENING: &str = "0A";
    let inode = |line: &str| {
        let mut fields = line.split_whitespace();
        let address = proc_net::address(fields.nth(1)?)?;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?.parse().ok()?;
        (proc_net::collide(address, listen) && state == LISTENING).then_some(inode)
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
    fn sockets_in_the_way_are_found_in_the_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            \x20  0: 0100007F:3039 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 x\n\
            \x20  1: 0100007F:3039 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 x\n\
            \x20  2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 x\n\
            \x20  3: 04BF577F:3039 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4714 1 x\n";
        let in_the_way = |table, listen: &str| inodes_in_the_way(table, listen.parse().unwrap());
        assert_eq!(in_the_way(table, "127.0.0.1:12345"), [4711]);
        assert_eq!(in_the_way(table, "127.87.191.4:12345"), [4714]);
        assert_eq!(in_the_way(table, "0.0.0.0:12345"), [4711, 4714]);
        assert_eq!(in_the_way(table, "192.0.2.1:22"), [4713]);
        assert_eq!(in_the_way("", "127.0.0.1:22"), [0; 0]);
        assert_eq!(in_the_way("x\n1 2 3\n", "127.0.0.1:22"), [0; 0]);
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
