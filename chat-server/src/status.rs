//! What can be told about a running server, in words and as JSON. Counting is done in `hub`.

use std::fmt;

/// Who is there at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Connections without encryption.
    pub plain: usize,
    /// Connections with the original's encryption.
    pub classic: usize,
    /// Connections with modern encryption.
    pub noise: usize,
    /// Clients that have joined the room.
    pub joined: usize,
    /// Clients that are logged in.
    pub logged_in: usize,
}

impl Census {
    /// Returns the number of connections of all kinds.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.plain + self.classic + self.noise
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connections = self.connections();
        let s = if connections == 1 { "" } else { "s" };
        write!(f, "{connections} connection{s}, {} joined, {} logged in", self.joined, self.logged_in)
    }
}
