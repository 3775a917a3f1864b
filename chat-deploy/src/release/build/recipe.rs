//! Chooses how cargo compiles the server for a machine.
//!
//! For another machine the program must be static, so that it does not matter which C library is there, or how old. The
//! target `*-linux-musl` is the way to that from any system: Rust brings the C library and the linker along. Without it,
//! Linux compiles for Linux on the same processor with its own glibc, linked statically.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::BuildError;
use crate::interrupt::Interrupt;
use crate::release::ask;
use crate::release::elf::Processor;
use crate::release::target::Target;

/// How cargo is to compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// As cargo does by itself.
    Plain,
    /// Static, with the C library that Rust brings along.
    Musl(Processor),
    /// Static, with this machine's C library.
    StaticGlibc(Processor),
}

/// What of cargo's surroundings bears on a recipe.
#[derive(Clone, Debug, Default)]
pub(super) struct Surroundings {
    /// `RUSTFLAGS`.
    pub(super) rustflags: Option<OsString>,
    /// `CARGO_ENCODED_RUSTFLAGS`.
    pub(super) encoded_rustflags: Option<OsString>,
    /// `CARGO_TARGET_<target>_RUSTFLAGS`.
    pub(super) target_rustflags: Option<OsString>,
    /// `CARGO_TARGET_<target>_LINKER`.
    pub(super) linker: Option<OsString>,
}

/// What the compiler said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Toolchain {
    /// The triple it runs on: `aarch64-apple-darwin`.
    host: String,
    /// Whether it can compile for the musl target that was asked about.
    has_musl: bool,
}

/// The profile for a program that goes to another machine. For this one the usual profile shares what is compiled already.
const PROFILE: &str = "dist";

impl Recipe {
    /// Chooses the recipe for a target; asks the compiler what it can do where that matters.
    ///
    /// # Errors
    ///
    /// [`BuildError::NoTarget`] if there is no way, [`BuildError::NoCargo`] if there is no compiler.
    pub fn find(target: Target, interrupt: &Interrupt) -> Result<Self, BuildError> {
        match target {
            Target::Here => Ok(Self::Plain),
            Target::Linux { processor, .. } => choose(processor, &ask_compiler(processor, interrupt)?),
        }
    }

    /// Returns the target as cargo names it; `None` is its own.
    #[must_use]
    pub fn triple(self) -> Option<String> {
        match self {
            Self::Plain => None,
            Self::Musl(processor) => Some(musl(processor)),
            Self::StaticGlibc(processor) => Some(gnu(processor)),
        }
    }

    /// Returns where in its target directory cargo puts what this makes.
    pub(super) fn subdirectory(self) -> PathBuf {
        self.triple().map_or_else(|| PathBuf::from("release"), |triple| Path::new(&triple).join(PROFILE))
    }

    /// Returns the arguments and variables that cargo needs. What the person has set stays, and ours is added.
    pub(super) fn ingredients(self, around: &Surroundings) -> (Vec<String>, Vec<(String, OsString)>) {
        const STATIC: [&str; 2] = ["-C", "target-feature=+crt-static"];
        let Some(triple) = self.triple() else { return (vec!["--release".to_owned()], Vec::new()) };
        let variables = match self {
            Self::Plain => Vec::new(),
            // Static is this target's own way, so no flags. A linker of the person's choice is as good as ours.
            Self::Musl(_) if around.linker.is_some() => Vec::new(),
            Self::Musl(_) => vec![(variable(&triple, "LINKER"), OsString::from("rust-lld"))],
            // cargo takes the first of these that is set and none of the others.
            Self::StaticGlibc(_) => vec![match (&around.encoded_rustflags, &around.rustflags) {
                (Some(flags), _) => ("CARGO_ENCODED_RUSTFLAGS".to_owned(), join(flags, "\x1f", &STATIC)),
                (None, Some(flags)) => ("RUSTFLAGS".to_owned(), join(flags, " ", &STATIC)),
                (None, None) => {
                    let flags = around.target_rustflags.clone().unwrap_or_default();
                    (variable(&triple, "RUSTFLAGS"), join(&flags, " ", &STATIC))
                }
            }],
        };
        // Always a target, even if it is this machine's: otherwise cargo uses the flags for what it runs itself as well.
        (["--profile", PROFILE, "--target", &triple].map(str::to_owned).to_vec(), variables)
    }

    /// Looks around for a recipe.
    pub(super) fn surroundings(self) -> Surroundings {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let of_target = |what| set(&variable(&self.triple()?, what));
        Surroundings {
            rustflags: set("RUSTFLAGS"),
            encoded_rustflags: set("CARGO_ENCODED_RUSTFLAGS"),
            target_rustflags: of_target("RUSTFLAGS"),
            linker: of_target("LINKER"),
        }
    }
}

/// Returns the target to install for a processor.
#[must_use]
pub fn musl(processor: Processor) -> String {
    format!("{processor}-unknown-linux-musl")
}

fn gnu(processor: Processor) -> String {
    format!("{processor}-unknown-linux-gnu")
}

fn choose(processor: Processor, toolchain: &Toolchain) -> Result<Recipe, BuildError> {
    if toolchain.has_musl {
        Ok(Recipe::Musl(processor))
    } else if toolchain.host == gnu(processor) {
        Ok(Recipe::StaticGlibc(processor))
    } else {
        Err(BuildError::NoTarget { host: toolchain.host.clone(), target: musl(processor) })
    }
}

/// Names one of cargo's variables for a target.
fn variable(triple: &str, what: &str) -> String {
    format!("CARGO_TARGET_{}_{what}", triple.replace('-', "_").to_uppercase())
}

fn join(flags: &OsString, separator: &str, more: &[&str]) -> OsString {
    let mut joined = flags.clone();
    for flag in more {
        if !joined.is_empty() {
            joined.push(separator);
        }
        joined.push(flag);
    }
    joined
}

fn ask_compiler(processor: Processor, interrupt: &Interrupt) -> Result<Toolchain, BuildError> {
    let mut command = Command::new(compiler());
    command.args(["--print", "host-tuple", "--print", "target-libdir", "--target", &musl(processor)]);
    let answer = ask::ask_tool(&mut command, interrupt).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => BuildError::NoCargo,
        io::ErrorKind::Interrupted => BuildError::Interrupted,
        _ => BuildError::Cargo(error),
    })?;
    let mut lines = answer.out.lines();
    match (lines.next(), lines.next()) {
        (Some(host), Some(libdir)) => {
            Ok(Toolchain { host: host.to_owned(), has_musl: Path::new(libdir).is_dir() })
        }
        _ => Err(BuildError::Compiler { said: answer.err.lines().map(str::to_owned).collect() }),
    }
}

/// Finds the compiler that cargo will use.
fn compiler() -> PathBuf {
    let beside_cargo = || Some(PathBuf::from(std::env::var_os("CARGO")?).with_file_name("rustc"));
    std::env::var_os("RUSTC")
        .map(PathBuf::from)
        .or_else(|| beside_cargo().filter(|rustc| rustc.is_file()))
        .unwrap_or_else(|| PathBuf::from("rustc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipe_suits_the_toolchain() {
        use Processor::{Aarch64, X86_64};
        let check = |processor, host: &str, has_musl, expected: Option<Recipe>| {
            let toolchain = Toolchain { host: host.to_owned(), has_musl };
            assert_eq!(choose(processor, &toolchain).ok(), expected, "{processor} {toolchain:?}");
        };
        check(X86_64, "x86_64-unknown-linux-gnu", true, Some(Recipe::Musl(X86_64)));
        check(X86_64, "x86_64-unknown-linux-gnu", false, Some(Recipe::StaticGlibc(X86_64)));
        check(Aarch64, "x86_64-unknown-linux-gnu", false, None);
        check(Aarch64, "x86_64-unknown-linux-gnu", true, Some(Recipe::Musl(Aarch64)));
        check(X86_64, "aarch64-apple-darwin", true, Some(Recipe::Musl(X86_64)));
        check(X86_64, "x86_64-apple-darwin", false, None);
        let error = choose(Aarch64, &Toolchain { host: "x86_64-apple-darwin".to_owned(), has_musl: false });
        assert_eq!(
            error.unwrap_err().to_string(),
            "the Rust here is for x86_64-apple-darwin and cannot build for aarch64-unknown-linux-musl"
        );
    }

    #[test]
    fn what_the_person_set_stays() {
        let check = |recipe: Recipe, around: Surroundings, expected: &[(&str, &str)]| {
            let (_, variables) = recipe.ingredients(&around);
            let expected: Vec<(String, OsString)> =
                expected.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
            assert_eq!(variables, expected);
        };
        let set = |text: &str| Some(OsString::from(text));
        let (plain, glibc) = (Surroundings::default(), Recipe::StaticGlibc(Processor::X86_64));
        let musl = Recipe::Musl(Processor::Aarch64);
        check(Recipe::Plain, plain.clone(), &[]);
        check(musl, plain.clone(), &[("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER", "rust-lld")]);
        check(musl, Surroundings { linker: set("musl-gcc"), ..plain.clone() }, &[]);
        let own = "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS";
        check(glibc, plain.clone(), &[(own, "-C target-feature=+crt-static")]);
        let around = Surroundings { target_rustflags: set("-g"), ..plain.clone() };
        check(glibc, around.clone(), &[(own, "-g -C target-feature=+crt-static")]);
        let around = Surroundings { rustflags: set("-O"), ..around };
        check(glibc, around.clone(), &[("RUSTFLAGS", "-O -C target-feature=+crt-static")]);
        let around = Surroundings { encoded_rustflags: set("-C\x1fx=a b"), ..around };
        check(
            glibc,
            around,
            &[("CARGO_ENCODED_RUSTFLAGS", "-C\x1fx=a b\x1f-C\x1ftarget-feature=+crt-static")],
        );
        let (arguments, _) = glibc.ingredients(&plain);
        assert_eq!(arguments, ["--profile", "dist", "--target", "x86_64-unknown-linux-gnu"]);
        assert_eq!(Recipe::Plain.ingredients(&plain).0, ["--release"]);
    }

    #[test]
    fn the_compiler_here_answers() {
        let Some(here) = Processor::here() else { return };
        let toolchain = ask_compiler(here, &Interrupt::default()).unwrap();
        assert!(toolchain.host.starts_with(&here.to_string()), "{toolchain:?}");
    }
}
