//! Reads a program far enough to tell whether a machine can run it.
//!
//! ELF, as Linux has it: which processor, which dynamic loader if any, and how new a C library. A Mach-O program is
//! recognised and left to macOS to judge.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::BuildError;
use super::target::{Glibc, Target};

/// Enough for the header and the program headers of any linker's output.
const HEAD_BYTES: u64 = 16 * 1024;
/// The most program headers looked at; linkers write about ten.
const MAX_PROGRAM_HEADERS: u16 = 128;
const PT_INTERP: u32 = 3;

/// A processor, as ELF numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processor {
    /// 64-bit Intel and AMD.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
    /// Any other, by its number.
    Other(u16),
}

impl Processor {
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

impl std::fmt::Display for Processor {
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
        processor: Processor,
        /// The dynamic loader it asks for; none if it is static.
        loader: Option<String>,
    },
    /// A macOS program.
    MachO,
}

impl Program {
    /// Tells whether this machine can run it, as far as can be seen.
    #[must_use]
    pub fn runs_here(&self) -> bool {
        match self {
            Self::MachO => cfg!(target_os = "macos"),
            Self::Elf { processor, loader } => {
                let has_loader = || loader.as_ref().is_none_or(|loader| Path::new(loader).exists());
                cfg!(target_os = "linux") && Processor::here() == Some(*processor) && has_loader()
            }
        }
    }
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

/// Checks that a file is a program that a machine can run.
///
/// # Errors
///
/// [`BuildError`], which says what is in the way.
pub fn check(path: &Path, target: Target) -> Result<Program, BuildError> {
    let mut head = Vec::new();
    let unreadable = |source| BuildError::Unreadable { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(unreadable)?;
    (&mut file).take(HEAD_BYTES).read_to_end(&mut head).map_err(unreadable)?;
    let not_a_program = |whose| BuildError::NotAProgram { path: path.to_owned(), whose };
    let program = parse(&head).ok_or_else(|| not_a_program(target.in_words()))?;
    match (target, &program) {
        (Target::Here, program) => check_here(path, program)?,
        (Target::Linux { .. }, Program::MachO) => return Err(BuildError::ForMacOs { path: path.to_owned() }),
        (Target::Linux { processor, glibc }, Program::Elf { processor: own, loader }) => {
            check_processor(path, *own, processor, target.in_words())?;
            if let Some(loader) = loader {
                let needed = newest_glibc(&mut head.as_slice().chain(file)).map_err(unreadable)?;
                check_libraries(path, processor, loader, needed, glibc)?;
            }
        }
    }
    Ok(program)
}

fn check_here(path: &Path, program: &Program) -> Result<(), BuildError> {
    match (program, cfg!(target_os = "macos"), Processor::here()) {
        (Program::MachO, true, _) | (Program::Elf { .. }, false, None) => Ok(()),
        (Program::Elf { processor, .. }, false, Some(here)) => {
            check_processor(path, *processor, here, Target::Here.in_words())
        }
        _ => Err(BuildError::NotAProgram { path: path.to_owned(), whose: Target::Here.in_words() }),
    }
}

fn check_processor(
    path: &Path,
    processor: Processor,
    wanted: Processor,
    whose: &'static str,
) -> Result<(), BuildError> {
    if processor == wanted {
        return Ok(());
    }
    Err(BuildError::WrongProcessor { path: path.to_owned(), processor, wanted, whose })
}

/// Checks a program that is not static: the loader it asks for is the one that every system with glibc has, and its glibc is
/// not newer than the host's.
fn check_libraries(
    path: &Path,
    processor: Processor,
    loader: &str,
    needed: Option<Glibc>,
    has: Option<Glibc>,
) -> Result<(), BuildError> {
    let usual = match processor {
        Processor::X86_64 => "/lib64/ld-linux-x86-64.so.2",
        Processor::Aarch64 => "/lib/ld-linux-aarch64.so.1",
        // None that there is a build for.
        Processor::Other(_) => loader,
    };
    if loader != usual {
        let (path, loader) = (path.to_owned(), loader.to_owned());
        return Err(BuildError::ForeignLoader { path, loader, processor });
    }
    match (needed, has) {
        (Some(needed), Some(has)) if needed > has => {
            Err(BuildError::GlibcTooNew { path: path.to_owned(), needed, has, processor })
        }
        _ => Ok(()),
    }
}

/// Finds the newest version of glibc among those that a program asks for. The loader finds them through four tables; a search
/// for their names finds the same, for they are in the file as they are.
fn newest_glibc(program: &mut impl Read) -> io::Result<Option<Glibc>> {
    const NAME: &[u8] = b"GLIBC_";
    const LONGEST: usize = 16;
    let mut bytes = Vec::new();
    program.read_to_end(&mut bytes)?;
    let versions =
        bytes.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME).filter_map(|(at, _)| {
            let rest = bytes.get(at + NAME.len()..)?;
            let end = rest.iter().take(LONGEST).position(|byte| *byte == 0)?;
            std::str::from_utf8(rest.get(..end)?).ok()?.parse().ok()
        });
    Ok(versions.max())
}

fn parse_elf(head: &[u8]) -> Option<Program> {
    const CLASS_64: u8 = 2;
    const LITTLE_ENDIAN: u8 = 1;
    if *head.get(4)? != CLASS_64 || *head.get(5)? != LITTLE_ENDIAN {
        return None;
    }
    let processor = match read_u16(head, 18)? {
        62 => Processor::X86_64,
        183 => Processor::Aarch64,
        other => Processor::Other(other),
    };
    Some(Program::Elf { processor, loader: find_loader(head) })
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
            Some(Program::Elf { processor: Processor::X86_64, loader: Some(loader.to_owned()) }),
        );
        check(&elf(183, 1, b""), Some(Program::Elf { processor: Processor::Aarch64, loader: None }));
        check(&elf(243, 1, b""), Some(Program::Elf { processor: Processor::Other(243), loader: None }));
        check(&[0xcf, 0xfa, 0xed, 0xfe, 0, 0], Some(Program::MachO));
        check(b"#!/bin/sh\n", None);
        check(b"\x7fELF", None);
        check(b"", None);
    }

    #[test]
    fn this_test_runs_here_and_a_script_does_not() {
        check(&std::env::current_exe().unwrap(), Target::Here).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("script");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        assert!(matches!(check(&script, Target::Here), Err(BuildError::NotAProgram { .. })));
        std::fs::write(&script, elf(243, 1, b"")).unwrap();
        assert!(matches!(check(&script, Target::Here), Err(BuildError::WrongProcessor { .. })));
        assert!(matches!(check(dir.path(), Target::Here), Err(BuildError::Unreadable { .. })));
    }

    #[test]
    fn what_a_host_cannot_run_is_refused_and_why() {
        const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
        let host = Target::Linux { processor: Processor::X86_64, glibc: Some(Glibc::AMAZON_LINUX_2023) };
        let unknown = Target::Linux { processor: Processor::X86_64, glibc: None };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server");
        let answer = |program: &[u8], target: Target| {
            std::fs::write(&path, program).unwrap();
            match check(&path, target) {
                Ok(_) => "runs".to_owned(),
                Err(error) => error.to_string().replace(path.to_str().unwrap(), "server"),
            }
        };
        let dynamic = |loader: &str, versions: &str| {
            [elf(62, PT_INTERP, format!("{loader}\0").as_bytes()), versions.as_bytes().to_vec()].concat()
        };
        let said = [
            answer(&elf(62, 1, b"GLIBC_2.99\0"), host),
            answer(&elf(183, 1, b""), host),
            answer(&[0xcf, 0xfa, 0xed, 0xfe], host),
            answer(b"#!/bin/sh\n", host),
            answer(&dynamic(LOADER, "GLIBC_2.9\0GLIBC_2.34\0GLIBC_2.2.5\0GLIBC_PRIVATE\0"), host),
            answer(&dynamic(LOADER, "GLIBC_2.4\0GLIBC_2.39\0"), host),
            answer(&dynamic(LOADER, "GLIBC_2.39\0"), unknown),
            answer(&dynamic("/lib/ld-musl-x86_64.so.1", ""), unknown),
        ];
        insta::assert_snapshot!(said.join("\n"));
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
