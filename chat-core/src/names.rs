//! Names: what a user may be called, and what clients are called before they log in.

use std::fmt;
use std::sync::Arc;

/// Most bytes of a user name. The user list repeats every name to everyone, so names are kept short.
pub const MAX_NAME_BYTES: usize = 64;

/// The number of a connection, counted from 1 and never reused while a server runs; shown as `Client-<number>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client-{}", self.0)
    }
}

/// A valid user name; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Username(Arc<str>);

/// Hashes and compares as its text does.
impl std::borrow::Borrow<str> for Username {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Why a text cannot be a user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It is empty.
    #[error("a name cannot be empty")]
    Empty,
    /// It is longer than [`MAX_NAME_BYTES`].
    #[error("a name has at most {MAX_NAME_BYTES} bytes")]
    TooLong,
    /// It contains `:`, which separates names in the user list.
    #[error("a name cannot contain ':'")]
    Colon,
    /// It contains a control character, a line break, an invisible or direction-changing character, or a noncharacter.
    #[error("a name cannot contain control, invisible or direction-changing characters")]
    Control,
    /// It begins or ends with white space, where nobody would see it.
    #[error("a name cannot begin or end with white space")]
    OuterSpace,
    /// It is `Server` or `Client-<number>`, which the server uses itself, or begins lines of the client's own.
    #[error("the name is reserved for lines of the programs' own")]
    Reserved,
}

impl Username {
    /// Takes a text as a name. Names are case sensitive and kept as they are.
    ///
    /// # Errors
    ///
    /// [`NameError`], the first rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > MAX_NAME_BYTES {
            return Err(NameError::TooLong);
        }
        if text.contains(':') {
            return Err(NameError::Colon);
        }
        if text.chars().any(|c| is_unprintable(c) || is_invisible(c)) {
            return Err(NameError::Control);
        }
        if text.trim() != text {
            return Err(NameError::OuterSpace);
        }
        if is_reserved(text) {
            return Err(NameError::Reserved);
        }
        Ok(Self(text.into()))
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tells whether a character could change how a line is shown without showing itself: controls, line and paragraph
/// separators, zero-width and bidirectional formatting characters.
///
/// # Source
///
/// Unicode general categories Cc, Zl and Zp, the bidirectional controls of UAX #9, and the zero-width characters.
#[must_use]
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Tells whether a character shows nothing where it stands, so that names with and without it would look alike. Unlike what
/// [`is_unprintable`] tells, such characters belong in texts: emoji and several scripts are written with them.
///
/// # Source
///
/// The property Default_Ignorable_Code_Point in Unicode's `DerivedCoreProperties.txt`, U+2800 (the Braille pattern of no
/// dots), and the noncharacters of the Unicode standard, section 23.7.
fn is_invisible(c: char) -> bool {
    let last_of_plane = u32::from(c) & 0xfffe == 0xfffe;
    last_of_plane
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fdd0}'..='\u{fdef}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// `Server` begins the server's own lines and `Client-<number>` its nameless clients, in any case of letters and the digits
/// of any script: a reader would not see the difference.
fn is_reserved(text: &str) -> bool {
    let lower = text.to_lowercase();
    let number = lower.strip_prefix("client-");
    // A client writes its own remarks as `* ...`, `error: ...` and `hint: ...` among the messages.
    matches!(lower.as_str(), "server" | "error" | "hint")
        || lower.starts_with('*')
        || number.is_some_and(|rest| !rest.is_empty() && rest.chars().all(char::is_numeric))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(), NameError>) {
        assert_eq!(Username::parse(text).map(|_| ()), expected, "{text:?}");
    }

    #[test]
    fn ordinary_names_are_taken_as_they_are() {
        for name in
            ["alice", "Zoë", "名前", "two words", "Client-", "Client-x", "Client-1x", "servers", "a", "🙂"]
        {
            check(name, Ok(()));
        }
        assert_eq!(Username::parse("Zoë").unwrap().as_str(), "Zoë");
    }

    #[test]
    fn dangerous_names_are_refused_with_the_reason() {
        check("", Err(NameError::Empty));
        check(&"x".repeat(65), Err(NameError::TooLong));
        check(&"x".repeat(64), Ok(()));
        check("a:b", Err(NameError::Colon));
        for name in ["a\nb", "\u{1b}[2J", "a\u{202e}b", "a\u{200b}", "a\u{0}", "\u{85}"] {
            check(name, Err(NameError::Control));
        }
        check(" alice", Err(NameError::OuterSpace));
        check("alice\u{3000}", Err(NameError::OuterSpace));
        for name in [
            "error",
            "Hint",
            "*",
            "* bob",
            "Server",
            "server",
            "SERVER",
            "Client-1",
            "client-42",
            "Client-0",
            "Client-\u{661}",
            "Client-\u{ff11}2",
        ] {
            check(name, Err(NameError::Reserved));
        }
    }

    #[test]
    fn no_name_has_invisible_characters() {
        let ranges = [
            "\u{ad}\u{ad}",
            "\u{34f}\u{34f}",
            "\u{115f}\u{1160}",
            "\u{17b4}\u{17b5}",
            "\u{180b}\u{180f}",
            "\u{200b}\u{200f}",
            "\u{2060}\u{206f}",
            "\u{2800}\u{2800}",
            "\u{3164}\u{3164}",
            "\u{fdd0}\u{fdef}",
            "\u{fe00}\u{fe0f}",
            "\u{feff}\u{feff}",
            "\u{ffa0}\u{ffa0}",
            "\u{fff0}\u{fff8}",
            "\u{fffe}\u{ffff}",
            "\u{1bca0}\u{1bca3}",
            "\u{1d173}\u{1d17a}",
            "\u{1fffe}\u{1ffff}",
            "\u{e0000}\u{e0fff}",
            "\u{e0100}\u{e01ef}",
            "\u{10fffe}\u{10ffff}",
        ];
        for range in ranges {
            let (first, last) = (range.chars().next().unwrap(), range.chars().next_back().unwrap());
            for c in first..=last {
                check(&format!("alice{c}"), Err(NameError::Control));
            }
        }
    }

    #[test]
    fn texts_keep_what_emoji_are_written_with() {
        assert!(!"\u{2764}\u{fe0f}\u{1f468}\u{1f3fd}\u{20e3}".chars().any(is_unprintable));
    }

    #[test]
    fn nameless_clients_are_numbered() {
        assert_eq!(ClientId(12).to_string(), "Client-12");
    }
}
