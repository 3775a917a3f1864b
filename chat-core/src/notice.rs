//! NOTICE: the answer our servers give our clients where the original is silent.

/// Why a server sends a NOTICE, for programs; the text beside it is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoticeCode {
    /// The request could not be read.
    Malformed,
    /// The name cannot be used.
    BadName,
    /// The password cannot be used.
    BadPassword,
    /// The encryption key or handshake was refused.
    BadKey,
    /// The body could not be decrypted.
    BadCipher,
    /// The time zone is not known.
    BadZone,
    /// The client asked too often; what was asked was not done.
    RateLimited,
    /// The server cannot do it now (disk, overload, accounts full); the client may try again later.
    Unavailable,
    /// The client did not read fast enough and is disconnected.
    TooSlow,
    /// The connection was silent too long and is closed.
    Idle,
    /// No more connections are taken.
    Full,
    /// The server is stopping and will be back.
    Restart,
    /// Whoever runs the server has ended the connection.
    Kicked,
}

const WORDS: [(NoticeCode, &str); 13] = [
    (NoticeCode::Malformed, "malformed"),
    (NoticeCode::BadName, "bad-name"),
    (NoticeCode::BadPassword, "bad-password"),
    (NoticeCode::BadKey, "bad-key"),
    (NoticeCode::BadCipher, "bad-cipher"),
    (NoticeCode::BadZone, "bad-zone"),
    (NoticeCode::RateLimited, "rate-limited"),
    (NoticeCode::Unavailable, "unavailable"),
    (NoticeCode::TooSlow, "too-slow"),
    (NoticeCode::Idle, "idle"),
    (NoticeCode::Full, "full"),
    (NoticeCode::Restart, "restart"),
    (NoticeCode::Kicked, "kicked"),
];

impl NoticeCode {
    /// Returns the word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        WORDS.iter().find(|(code, _)| *code == self).map_or("malformed", |(_, word)| word)
    }

    /// Reads a word; `None` for one of a later version.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        WORDS.iter().find(|(_, known)| *known == word).map(|(code, _)| *code)
    }
}

/// A NOTICE as read: the word is kept as it came, since a later server may use new ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The code word.
    pub code: String,
    /// One line for a person, without control characters.
    pub text: String,
}

impl Notice {
    /// Reads a body of `code=` and `text=` lines; `None` if either is missing.
    #[must_use]
    pub fn parse(body: &str) -> Option<Self> {
        let value = |key: &str| {
            let line = body.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
            Some(line.chars().filter(|c| !c.is_control()).collect())
        };
        Some(Self { code: value("code")?, text: value("text")? })
    }
}

/// Writes a NOTICE body; line breaks in `text` become spaces, since it is one line.
#[must_use]
pub fn encode(code: NoticeCode, text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("code={}\ntext={text}\n", code.word())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_wire() {
        for (code, word) in WORDS {
            let notice = Notice::parse(&encode(code, "two\nlines = one")).unwrap();
            assert_eq!((notice.code.as_str(), notice.text.as_str()), (word, "two lines = one"));
            assert_eq!(NoticeCode::from_word(&notice.code), Some(code));
        }
    }

    #[test]
    fn both_lines_are_needed() {
        assert_eq!(Notice::parse("code=idle\n"), None);
        assert_eq!(Notice::parse("text=hello\n"), None);
        assert_eq!(Notice::parse("text=b\ncode=new-word\n").map(|n| n.code), Some("new-word".to_owned()));
    }
}
