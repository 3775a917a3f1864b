//! Finds the checkout and builds the server from it with cargo, beside whatever else is going on.
//!
//! `build/recipe.rs` chooses how, `build/cargo.rs` runs cargo and `build/output.rs` reads what it says.

mod cargo;
mod output;
pub mod recipe;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::elf::Processor;
use super::target::{Glibc, Target};
use super::{Release, SERVER};
use crate::interrupt::Interrupt;
use crate::report::{Event, Report};

pub use recipe::Recipe;

/// How often whoever waits looks for Ctrl-C and for progress.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Why there is no server binary to deploy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Neither the working directory nor any above it is a checkout.
    #[error("the source of {SERVER} was not found in {} or above it", from.display())]
    NoCheckout {
        /// Where the search began.
        from: PathBuf,
    },
    /// `--source` names something else.
    #[error("{} is not a checkout with {SERVER} in it", path.display())]
    NotACheckout {
        /// What was named.
        path: PathBuf,
    },
    /// There is no cargo.
    #[error("cargo was not found, and {SERVER} is built with it")]
    NoCargo,
    /// cargo could not be started or listened to.
    #[error("cargo could not be run")]
    Cargo(#[source] io::Error),
    /// cargo ran and failed.
    #[error("building {SERVER} failed ({status})")]
    Failed {
        /// How cargo ended.
        status: ExitStatus,
        /// Its own last lines.
        lines: Vec<String>,
        /// What it built for.
        recipe: Recipe,
    },
    /// The compiler does not say what it can do.
    #[error("the Rust compiler does not answer")]
    Compiler {
        /// What it says instead.
        said: Vec<String>,
    },
    /// There is no server for such a machine.
    #[error("there is no {SERVER} for the processor {name:?}")]
    UnknownProcessor {
        /// As the machine names it.
        name: String,
    },
    /// The toolchain cannot compile for the machine.
    #[error("the Rust here is for {host} and cannot build for {target}")]
    NoTarget {
        /// What it is for.
        host: String,
        /// What is not installed.
        target: String,
    },
    /// cargo succeeded, but did not say what it made.
    #[error("cargo did not name the {SERVER} it built")]
    NoArtifact,
    /// Ctrl-C.
    #[error("the build was interrupted")]
    Interrupted,
    /// The binary cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The binary.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The binary's path cannot be written down.
    #[error("the path {path:?} is not in UTF-8")]
    NotUtf8 {
        /// The binary.
        path: PathBuf,
    },
    /// The file is no program, or not one of this kind of system.
    #[error("{} is not a program that {whose} can run", path.display())]
    NotAProgram {
        /// The file.
        path: PathBuf,
        /// The machine, in words.
        whose: &'static str,
    },
    /// The program is for another processor.
    #[error("{} is for {processor}, and {whose} is {wanted}", path.display())]
    WrongProcessor {
        /// The file.
        path: PathBuf,
        /// Its processor.
        processor: Processor,
        /// The machine's.
        wanted: Processor,
        /// The machine, in words.
        whose: &'static str,
    },
    /// The program is for macOS, and the host has Linux.
    #[error("{} is a macOS program, and the host has Linux", path.display())]
    ForMacOs {
        /// The file.
        path: PathBuf,
    },
    /// The program is not static, and is not for glibc.
    #[error("{} is not static and starts with {loader}, which the host does not have", path.display())]
    ForeignLoader {
        /// The file.
        path: PathBuf,
        /// What it asks for.
        loader: String,
        /// Its processor.
        processor: Processor,
    },
    /// The program is not static, and was built on a newer system than the host's.
    #[error("{} is not static and needs glibc {needed}, and the host has {has}", path.display())]
    GlibcTooNew {
        /// The file.
        path: PathBuf,
        /// What it asks for.
        needed: Glibc,
        /// What there is.
        has: Glibc,
        /// Its processor.
        processor: Processor,
    },
    /// The program does not say that it is the server.
    #[error("{} does not answer --version as {SERVER} does", path.display())]
    NotAServer {
        /// The file.
        path: PathBuf,
    },
}

/// How far a build is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildProgress {
    /// How many of its units are compiled, and of how many; unknown until cargo has planned.
    pub units: Option<(u64, u64)>,
    /// What cargo says it is doing.
    pub note: String,
}

/// Finds the checkout: the one named, or the working directory or the nearest above it, or where cargo runs us from.
///
/// # Errors
///
/// [`BuildError::NotACheckout`] for a named one, else [`BuildError::NoCheckout`].
pub fn find_checkout(
    named: Option<&Path>,
    working_directory: &Path,
    manifest_dir: Option<&Path>,
) -> Result<PathBuf, BuildError> {
    if let Some(path) = named {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        return if is_checkout(&absolute) {
            Ok(absolute)
        } else {
            Err(BuildError::NotACheckout { path: absolute })
        };
    }
    let starts = [Some(working_directory), manifest_dir];
    let mut candidates = starts.into_iter().flatten().flat_map(Path::ancestors);
    candidates
        .find(|path| is_checkout(path))
        .map(Path::to_owned)
        .ok_or_else(|| BuildError::NoCheckout { from: working_directory.to_owned() })
}

/// Returns where the server is that was built last in a checkout for a machine, if it was. Whether it still is what the
/// checkout says, only cargo knows.
#[must_use]
pub fn last_built(checkout: &Path, target: Target, interrupt: &Interrupt) -> Option<PathBuf> {
    let recipe = Recipe::find(target, interrupt).ok()?;
    Some(cargo::target_dir(checkout).join(recipe.subdirectory()).join(SERVER))
}

/// A build under way, on a thread of its own. Dropping it ends cargo.
#[derive(Debug)]
pub struct Building {
    progress: Arc<Mutex<BuildProgress>>,
    /// Ends this build and nothing else.
    stop: Interrupt,
    done: Receiver<Built>,
    thread: Option<JoinHandle<()>>,
}

/// What came of a build, and how long it took.
type Built = (Result<Release, BuildError>, Duration);

/// Begins to build the server in a checkout, optimised, for a machine. When nothing changed, cargo says so at once.
#[must_use]
pub fn spawn(checkout: PathBuf, target: Target) -> Building {
    let (progress, stop) = (Arc::<Mutex<BuildProgress>>::default(), Interrupt::default());
    let (sender, done) = mpsc::sync_channel(1);
    let (shown, stopped) = (Arc::clone(&progress), stop.clone());
    let thread = thread::spawn(move || {
        let start = Instant::now();
        let mut note = |new: &BuildProgress| {
            new.clone_into(&mut shown.lock().unwrap_or_else(PoisonError::into_inner));
        };
        let built = build(&checkout, target, &stopped, &mut note);
        // Nobody waits for it any more if the run has failed elsewhere.
        let _ = sender.send((built, start.elapsed()));
    });
    Building { progress, stop, done, thread: Some(thread) }
}

impl Building {
    /// Returns how far it is.
    #[must_use]
    pub fn progress(&self) -> BuildProgress {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the end and shows the step meanwhile; its time is that of the whole build. Ctrl-C ends cargo.
    ///
    /// # Errors
    ///
    /// [`BuildError`]; a failed build carries cargo's last lines.
    pub fn finish(self, report: &dyn Report, interrupt: &Interrupt) -> Result<Release, BuildError> {
        const STEP: &str = "build";
        report.event(&Event::Started { step: STEP, what: SERVER });
        let (built, elapsed) = self.wait(interrupt, &mut |progress| {
            report.event(&Event::Progress { units: progress.units, note: &progress.note });
        });
        match &built {
            Ok(release) => {
                let what = format!("{SERVER} {}", release.id);
                report.event(&Event::Finished { step: STEP, what: &what, elapsed });
            }
            Err(_) => report.event(&Event::Failed { step: STEP, what: SERVER, elapsed }),
        }
        built
    }

    fn wait(&self, interrupt: &Interrupt, show: &mut dyn FnMut(&BuildProgress)) -> Built {
        let mut shown = BuildProgress::default();
        loop {
            match self.done.recv_timeout(LOOK_EVERY) {
                // Ctrl-C on a terminal reaches cargo as well, which then fails as if by itself.
                Ok((Err(_), elapsed)) if interrupt.is_set() => {
                    return (Err(BuildError::Interrupted), elapsed);
                }
                Ok(built) => return built,
                // The thread panicked, and has said why.
                Err(RecvTimeoutError::Disconnected) => return (Err(BuildError::NoArtifact), Duration::ZERO),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if interrupt.is_set() {
                self.stop.set();
            }
            let progress = self.progress();
            if progress != shown {
                show(&progress);
                shown = progress;
            }
        }
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        self.stop.set();
        if let Some(thread) = self.thread.take() {
            // A panic has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

/// Builds and looks at what came out.
fn build(
    checkout: &Path,
    target: Target,
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(&BuildProgress),
) -> Result<Release, BuildError> {
    let recipe = Recipe::find(target, interrupt)?;
    let artifact = cargo::run(checkout, recipe, interrupt, progress)?;
    super::inspect(&artifact.executable, Some(&artifact.version), target, interrupt)
}

fn is_checkout(path: &Path) -> bool {
    path.join("Cargo.toml").is_file() && path.join(SERVER).join("Cargo.toml").is_file()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn checkout_at(path: &Path) {
        std::fs::create_dir_all(path.join(SERVER)).unwrap();
        std::fs::write(path.join("Cargo.toml"), "[workspace]\n").unwrap();
        std::fs::write(path.join(SERVER).join("Cargo.toml"), "[package]\n").unwrap();
    }

    /// Notes which events come.
    #[derive(Default)]
    struct Notes(RefCell<Vec<String>>);

    impl Report for Notes {
        fn event(&self, event: &Event<'_>) {
            let note = match event {
                Event::Started { what, .. } => format!("started {what}"),
                Event::Finished { what, .. } => format!("finished {what}"),
                Event::Failed { what, .. } => format!("failed {what}"),
                Event::Progress { .. } | Event::Note(_) => return,
            };
            self.0.borrow_mut().push(note);
        }
    }

    #[test]
    fn a_build_that_fails_says_what_cargo_said() {
        let (dir, notes) = (tempfile::tempdir().unwrap(), Notes::default());
        checkout_at(dir.path());
        let building = spawn(dir.path().to_owned(), Target::Here);
        let error = building.finish(&notes, &Interrupt::default()).unwrap_err();
        let BuildError::Failed { lines, .. } = error else { panic!("{error}") };
        assert!(lines.iter().any(|line| line.contains(SERVER)), "{lines:?}");
        assert_eq!(*notes.0.borrow(), ["started chat-server", "failed chat-server"]);
    }

    #[test]
    fn a_build_that_is_interrupted_says_that() {
        let dir = tempfile::tempdir().unwrap();
        checkout_at(dir.path());
        let interrupt = Interrupt::default();
        interrupt.set();
        let building = spawn(dir.path().to_owned(), Target::Here);
        let error = building.finish(&Notes::default(), &interrupt).unwrap_err();
        assert!(matches!(error, BuildError::Interrupted), "{error}");
    }

    #[test]
    fn the_nearest_checkout_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let (here, other) = (dir.path().join("chat"), dir.path().join("other"));
        checkout_at(&here);
        checkout_at(&other);
        let deep = here.join("chat-core/src");
        std::fs::create_dir_all(&deep).unwrap();
        assert_eq!(find_checkout(None, &deep, None).unwrap(), here);
        assert_eq!(find_checkout(None, dir.path(), Some(&other.join("chat-deploy"))).unwrap(), other);
        assert_eq!(find_checkout(Some(&other), &deep, None).unwrap(), other);
        assert!(matches!(find_checkout(Some(dir.path()), &deep, None), Err(BuildError::NotACheckout { .. })));
        assert!(matches!(find_checkout(None, dir.path(), None), Err(BuildError::NoCheckout { .. })));
    }
}
