//! What the server is to run on, as far as its program has to suit that. `elf.rs` compares a program with it,
//! `build/recipe.rs` compiles one for it.

use std::fmt;
use std::str::FromStr;

use super::BuildError;
use super::elf::Processor;

/// Where the server is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// This machine.
    Here,
    /// Another machine, with Linux.
    Linux {
        /// Its processor.
        processor: Processor,
        /// Its C library, which a program that is not static needs; `None` if that is not known.
        glibc: Option<Glibc>,
    },
}

impl Target {
    /// Takes a machine's processor as `uname -m` or EC2 names it, and its C library as `getconf GNU_LIBC_VERSION` does.
    ///
    /// # Errors
    ///
    /// [`BuildError::UnknownProcessor`] if there is no server for it.
    pub fn linux(processor: &str, libc: Option<&str>) -> Result<Self, BuildError> {
        let processor = match processor {
            "x86_64" => Processor::X86_64,
            "aarch64" | "arm64" => Processor::Aarch64,
            other => return Err(BuildError::UnknownProcessor { name: other.to_owned() }),
        };
        let glibc = libc.and_then(|libc| libc.strip_prefix("glibc ")?.trim().parse().ok());
        Ok(Self::Linux { processor, glibc })
    }

    /// Names it in a sentence.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Here => "this machine",
            Self::Linux { .. } => "the host",
        }
    }
}

/// A version of the C library of most Linux systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glibc {
    /// 2, and has been since 1997.
    pub major: u32,
    /// What counts.
    pub minor: u32,
}

impl Glibc {
    /// That of Amazon Linux 2023.
    pub const AMAZON_LINUX_2023: Self = Self { major: 2, minor: 34 };
}

impl fmt::Display for Glibc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A text that is no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a version of glibc is written as 2.34")]
pub struct GlibcError;

impl FromStr for Glibc {
    type Err = GlibcError;

    /// Reads `2.34`, and `2.2.5` as 2.2.
    fn from_str(text: &str) -> Result<Self, GlibcError> {
        let mut numbers = text.split('.').map(|number| number.parse().map_err(|_| GlibcError));
        let mut next = || numbers.next().unwrap_or(Err(GlibcError));
        Ok(Self { major: next()?, minor: next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_as_they_name_themselves() {
        let check = |processor, libc, expected: Option<(Processor, Option<(u32, u32)>)>| {
            let expected = expected.map(|(processor, glibc)| Target::Linux {
                processor,
                glibc: glibc.map(|(major, minor)| Glibc { major, minor }),
            });
            assert_eq!(Target::linux(processor, libc).ok(), expected, "{processor} {libc:?}");
        };
        check("x86_64", Some("glibc 2.34\n"), Some((Processor::X86_64, Some((2, 34)))));
        check("arm64", None, Some((Processor::Aarch64, None)));
        check("aarch64", Some("musl"), Some((Processor::Aarch64, None)));
        check("i686", None, None);
        check("", None, None);
    }

    #[test]
    fn versions_are_compared_by_number() {
        let glibc = |text: &str| text.parse::<Glibc>();
        assert!(glibc("2.9").unwrap() < Glibc::AMAZON_LINUX_2023);
        assert_eq!(glibc("2.2.5").map(|version| version.to_string()), Ok("2.2".to_owned()));
        for bad in ["", "2", "2.", "2.x", "PRIVATE"] {
            assert_eq!(glibc(bad), Err(GlibcError), "{bad}");
        }
    }
}
