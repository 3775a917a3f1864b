//! What can be told about a running server, in words and as JSON. Counting is done in `hub`.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// How a server is. Displayed, it is a few lines for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The version of the program.
    pub version: String,
    /// The number of its process.
    pub pid: u32,
    /// How long it has been serving, in seconds.
    pub uptime_seconds: u64,
    /// In how many seconds it stops at the latest, if it takes nobody new and only waits for everybody to leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drained_in_seconds: Option<u64>,
    /// The address that clients connect to.
    pub address: SocketAddr,
    /// The fingerprint of the server's identity, `SHA256:...`.
    pub identity: String,
    /// Who is there.
    #[serde(flatten)]
    pub census: Census,
    /// How many accounts there are; nothing if the database cannot be read.
    pub users: Option<u64>,
}

/// Who is there at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// The open connections.
    pub connections: Connections,
    /// Clients that have joined the room.
    pub joined: usize,
    /// Clients that are logged in.
    pub logged_in: usize,
}

/// The open connections, in all and by encryption.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// All of them.
    pub total: usize,
    /// Those without encryption.
    pub plain: usize,
    /// Those with the original's encryption.
    pub classic: usize,
    /// Those with modern encryption.
    pub noise: usize,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, pid, uptime_seconds, drained_in_seconds, address, identity, census, users } =
            self;
        let Census { connections: Connections { total, plain, classic, noise }, joined, logged_in } = census;
        let up = Uptime(*uptime_seconds);
        writeln!(f, "chat-server {version}, process {pid}, up {up}")?;
        if let Some(seconds) = drained_in_seconds {
            let left = Uptime(*seconds);
            writeln!(
                f,
                "draining     takes nobody new and stops when all have left, in {left} at the latest"
            )?;
        }
        writeln!(f, "address      {address}")?;
        writeln!(f, "identity     {identity}")?;
        writeln!(f, "connections  {total} ({plain} plain, {classic} classic, {noise} noise)")?;
        writeln!(f, "joined       {joined}")?;
        writeln!(f, "logged in    {logged_in}")?;
        match users {
            Some(users) => writeln!(f, "users        {users}"),
            None => writeln!(f, "users        unknown: the database cannot be read"),
        }
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.connections.total;
        let s = if total == 1 { "" } else { "s" };
        write!(f, "{total} connection{s}, {} joined, {} logged in", self.joined, self.logged_in)
    }
}

/// A time in seconds, in its two largest units.
struct Uptime(u64);

impl fmt::Display for Uptime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0;
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
        if days > 0 {
            write!(f, "{days} d {} h", hours % 24)
        } else if hours > 0 {
            write!(f, "{hours} h {} min", minutes % 60)
        } else if minutes > 0 {
            write!(f, "{minutes} min {} s", seconds % 60)
        } else {
            write!(f, "{seconds} s")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Status {
        Status {
            version: "0.1.0".into(),
            pid: 4711,
            uptime_seconds: 93_784,
            drained_in_seconds: None,
            address: "[::1]:12345".parse().unwrap(),
            identity: "SHA256:abc".into(),
            census: Census {
                connections: Connections { total: 6, plain: 1, classic: 2, noise: 3 },
                joined: 4,
                logged_in: 2,
            },
            users: Some(17),
        }
    }

    #[test]
    fn for_people_it_is_a_few_lines() {
        let expected = "chat-server 0.1.0, process 4711, up 1 d 2 h\n\
                        address      [::1]:12345\n\
                        identity     SHA256:abc\n\
                        connections  6 (1 plain, 2 classic, 3 noise)\n\
                        joined       4\n\
                        logged in    2\n\
                        users        17\n";
        assert_eq!(example().to_string(), expected);
        let unreadable = Status { users: None, ..example() }.to_string();
        assert!(unreadable.ends_with("users        unknown: the database cannot be read\n"), "{unreadable}");
    }

    #[test]
    fn for_programs_it_is_json_that_reads_back() {
        let json = serde_json::to_string(&example()).unwrap();
        let expected = r#"{"version":"0.1.0","pid":4711,"uptime_seconds":93784,"address":"[::1]:12345","#
            .to_owned()
            + r#""identity":"SHA256:abc","connections":{"total":6,"plain":1,"classic":2,"noise":3},"#
            + r#""joined":4,"logged_in":2,"users":17}"#;
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), example());
    }

    #[test]
    fn times_are_told_in_two_units() {
        let check = |seconds, expected: &str| assert_eq!(Uptime(seconds).to_string(), expected);
        check(0, "0 s");
        check(59, "59 s");
        check(60, "1 min 0 s");
        check(3599, "59 min 59 s");
        check(3600, "1 h 0 min");
        check(86_399, "23 h 59 min");
        check(86_400, "1 d 0 h");
        check(40_000_000, "462 d 23 h");
    }
}
