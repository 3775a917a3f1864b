//! Reads the head of a program far enough to tell whether a machine can run it.
//!
//! ELF, as Linux has it: which processor, and which dynamic loader if any. A Mach-O program is recognised and left to
//! macOS to judge.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::BuildError;

/// Enough for the header and the program headers of any linker's output.
const HEAD_BYTES: u64 = 16 * 1024;
/// The most program headers looked at; linkers write about ten.
const MAX_PROGRAM_HEADERS: u16 = 128;
const PT_INTERP: u32 = 3;

/// A processor, as ELF numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// 64-bit Intel and AMD.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
    /// Any other, by its number.
    Other(u16),
}

impl Machine {
    /// Returns the processor this program was compiled for.
    #[must_use]
    pub fn here() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::X86_64),
            "aarch64" => Some(Self::Aarch64),
            _ => None,
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::X86_64 => f.write_str("x86_64"),
            Self::Aarch64 => f.write_str("aarch64"),
            Self::Other(number) => write!(f, "processor {number}"),
        }
    }
}

/// What a program needs to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// A 64-bit Linux program.
    Elf {
        /// Its processor.
        machine: Machine,
        /// The dynamic loader it asks for; none if it is static.
        loader: Option<String>,
    },
    /// A macOS program.
    MachO,
}

/// Reads the head of a program; `None` if it is none, or not a 64-bit one.
#[must_use]
pub fn parse(head: &[u8]) -> Option<Program> {
    match head.get(..4)? {
        [0x7f, b'E', b'L', b'F'] => parse_elf(head),
        [0xcf, 0xfa, 0xed, 0xfe] | [0xca, 0xfe, 0xba, 0xbe] => Some(Program::MachO),
        _ => None,
    }
}

/// Checks that a file is a program this machine can run.
///
/// # Errors
///
/// [`BuildError::Unreadable`], [`BuildError::NotAProgram`] or [`BuildError::WrongMachine`].
pub fn check_runs_here(path: &Path) -> Result<(), BuildError> {
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut head))
        .map_err(|source| BuildError::Unreadable { path: path.to_owned(), source })?;
    match (parse(&head), cfg!(target_os = "macos")) {
        (Some(Program::MachO), true) => Ok(()),
        (Some(Program::Elf { machine, .. }), false) => match Machine::here() {
            Some(here) if here != machine => {
                Err(BuildError::WrongMachine { path: path.to_owned(), machine, here })
            }
            _ => Ok(()),
        },
        _ => Err(BuildError::NotAProgram { path: path.to_owned() }),
    }
}

fn parse_elf(head: &[u8]) -> Option<Program> {
    const CLASS_64: u8 = 2;
    const LITTLE_ENDIAN: u8 = 1;
    if *head.get(4)? != CLASS_64 || *head.get(5)? != LITTLE_ENDIAN {
        return None;
    }
    let machine = match read_u16(head, 18)? {
        62 => Machine::X86_64,
        183 => Machine::Aarch64,
        other => Machine::Other(other),
    };
    Some(Program::Elf { machine, loader: find_loader(head) })
}

/// Finds the text of the PT_INTERP segment.
fn find_loader(head: &[u8]) -> Option<String> {
    let table = usize::try_from(read_u64(head, 32)?).ok()?;
    let entry_bytes = usize::from(read_u16(head, 54)?);
    let count = read_u16(head, 56)?.min(MAX_PROGRAM_HEADERS);
    let entries =
        (0..usize::from(count)).filter_map(|index| table.checked_add(index.checked_mul(entry_bytes)?));
    for entry in entries {
        if read_u32(head, entry) == Some(PT_INTERP) {
            let start = usize::try_from(read_u64(head, entry.checked_add(8)?)?).ok()?;
            let len = usize::try_from(read_u64(head, entry.checked_add(32)?)?).ok()?;
            let text = head.get(start..start.checked_add(len)?)?;
            return Some(String::from_utf8_lossy(text).trim_end_matches('\0').to_owned());
        }
    }
    None
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn read_u64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An ELF head with one program header of the given type, whose segment is `text`.
    fn elf(machine: u16, segment: u32, text: &[u8]) -> Vec<u8> {
        let mut head = vec![0; 64 + 56];
        head[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        head[18..20].copy_from_slice(&machine.to_le_bytes());
        head[32..40].copy_from_slice(&64_u64.to_le_bytes());
        head[54..56].copy_from_slice(&56_u16.to_le_bytes());
        head[56..58].copy_from_slice(&1_u16.to_le_bytes());
        head[64..68].copy_from_slice(&segment.to_le_bytes());
        head[72..80].copy_from_slice(&120_u64.to_le_bytes());
        head[96..104].copy_from_slice(&(text.len() as u64).to_le_bytes());
        head.extend_from_slice(text);
        head
    }

    #[test]
    fn programs_are_told_apart() {
        let check = |head: &[u8], expected: Option<Program>| assert_eq!(parse(head), expected);
        let loader = "/lib64/ld-linux-x86-64.so.2";
        check(
            &elf(62, PT_INTERP, format!("{loader}\0").as_bytes()),
            Some(Program::Elf { machine: Machine::X86_64, loader: Some(loader.to_owned()) }),
        );
        check(&elf(183, 1, b""), Some(Program::Elf { machine: Machine::Aarch64, loader: None }));
        check(&elf(243, 1, b""), Some(Program::Elf { machine: Machine::Other(243), loader: None }));
        check(&[0xcf, 0xfa, 0xed, 0xfe, 0, 0], Some(Program::MachO));
        check(b"#!/bin/sh\n", None);
        check(b"\x7fELF", None);
        check(b"", None);
    }

    #[test]
    fn this_test_runs_here_and_a_script_does_not() {
        check_runs_here(&std::env::current_exe().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("script");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        assert!(matches!(check_runs_here(&script), Err(BuildError::NotAProgram { .. })));
        std::fs::write(&script, elf(243, 1, b"")).unwrap();
        assert!(matches!(check_runs_here(&script), Err(BuildError::WrongMachine { .. })));
        assert!(matches!(check_runs_here(dir.path()), Err(BuildError::Unreadable { .. })));
    }

    proptest! {
        #[test]
        fn damaged_heads_never_panic(mut head in Just(elf(62, PT_INTERP, b"/lib/ld\0")), at in 0_usize..120, value: u8) {
            head[at] = value;
            let _ = parse(&head);
            let _ = parse(&head[..at]);
        }
    }
}
