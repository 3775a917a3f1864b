//! ROSTER: how the user list has changed, for peers that keep one themselves.
//!
//! In place of the whole list at every change, such a peer is sent the list once (USERLIST, see `text`) and from then on lines
//! of `+name` and `-name`, in the order of the changes.

use std::collections::BTreeMap;
use std::fmt;

/// Most names on a list that is kept by changes; further ones are left out. No server of ours has so many clients.
pub const MOST_NAMES: usize = 100_000;

/// One line of a ROSTER body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// The name is on the list from now on.
    Added(&'a str),
    /// The name is on the list no more.
    Removed(&'a str),
}

/// Reads a body. Lines that are no changes are passed over.
pub fn changes(body: &str) -> impl Iterator<Item = Change<'_>> {
    body.lines().filter_map(|line| match line.split_at_checked(1)? {
        (_, "") => None,
        ("+", name) => Some(Change::Added(name)),
        ("-", name) => Some(Change::Removed(name)),
        _ => None,
    })
}

/// Makes the changes of a body to a list in code point order, without repetitions, and keeps it so. It grows up to
/// [`MOST_NAMES`]. All changes are made at once: however many there are, the list is gone through a fixed number of times.
pub fn apply(body: &str, names: &mut Vec<String>) {
    // The last change of a name is what counts.
    let there: BTreeMap<&str, bool> = changes(body)
        .map(|change| match change {
            Change::Added(name) => (name, true),
            Change::Removed(name) => (name, false),
        })
        .collect();
    // What is added anew is taken off and put back, in its place, as is what was there already.
    names.retain(|name| !there.contains_key(name.as_str()));
    let added = there.into_iter().filter(|(_, there)| *there).map(|(name, _)| name.to_owned());
    let room = MOST_NAMES.saturating_sub(names.len());
    names.extend(added.take(room));
    // Two runs that are in order each: sorting merges them.
    names.sort();
}

impl fmt::Display for Change<'_> {
    /// Writes the line, with its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added(name) => writeln!(f, "+{name}"),
            Self::Removed(name) => writeln!(f, "-{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let written = [Change::Removed("Client-2"), Change::Added("zoë smith"), Change::Added("+-")];
        let body: String = written.iter().map(ToString::to_string).collect();
        assert_eq!(body, "-Client-2\n+zoë smith\n++-\n");
        assert_eq!(changes(&body).collect::<Vec<_>>(), written);
    }

    #[test]
    fn what_is_no_change_is_passed_over() {
        assert_eq!(changes("").count(), 0);
        assert_eq!(changes("+\n-\n\n?what\nüber\n+a").collect::<Vec<_>>(), [Change::Added("a")]);
    }

    #[test]
    fn a_list_stays_in_order_and_without_repetitions() {
        let mut names = ["AA", "Client-10", "Client-2"].map(str::to_owned).to_vec();
        apply("+alice\n-Client-2\n+BB\n+AA\n-nobody\n", &mut names);
        assert_eq!(names, ["AA", "BB", "Client-10", "alice"]);
        apply("-AA\n+AA\n-BB\n", &mut names);
        assert_eq!(names, ["AA", "Client-10", "alice"]);
    }
    #[test]
    fn many_changes_of_a_long_list_are_made_in_one_go() {
        let begun = Instant::now();
        let mut names: Vec<String> = (0..MOST_NAMES).map(|i| format!("n{i:06}")).collect();
        apply(&"+!\n-!\n".repeat(175_000), &mut names);
        assert_eq!(names.len(), MOST_NAMES);
        let body: String = (0..MOST_NAMES).map(|i| format!("-n{i:06}\n+a{i:06}\n")).collect();
        apply(&body, &mut names);
        assert_eq!((names.len(), names.first().map(String::as_str)), (MOST_NAMES, Some("a000000")));
        apply("+one too many\n", &mut names);
        assert_eq!(names.len(), MOST_NAMES);
        // Change by change it took minutes.
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}
