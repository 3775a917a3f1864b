//! The commands, one file each, and what they share.

mod connect;
mod doctor;
mod down;
mod init;
mod list;
mod logs;
#[cfg(feature = "ec2")]
mod machine;
mod place;
mod plan;
mod policy;
mod releases;
#[cfg(feature = "ssh")]
mod remote;
mod rollback;
mod server;
mod session;
mod ssh;
mod start;
mod status;
mod stop;
mod up;

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::{Cli, Command, Deployment, MachineFlags};
use crate::clock::SystemClock;
use crate::environment::Environment;
use crate::error::Error;
use crate::host::local::{StateRoot, launch};
use crate::interrupt::Interrupt;
use crate::settings::{Flags, Settings};
use crate::ui::Ui;

/// What a command works with.
pub struct Context<'a> {
    /// What the person wants.
    pub settings: Settings,
    /// What is around.
    pub environment: Environment,
    /// Where the instances of this machine are.
    pub root: StateRoot,
    /// This very program, which starts servers.
    pub program: PathBuf,
    /// Time.
    pub clock: SystemClock,
    /// Ctrl-C.
    pub interrupt: Interrupt,
    /// What people and programs see.
    pub ui: &'a Ui,
}

/// How a command ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did what was asked.
    Done,
    /// There are changes, and the person wanted to know by the exit code.
    ChangesPending,
}

/// Runs a command.
///
/// # Errors
///
/// [`Error`], with what to do about it.
pub fn run(cli: Cli, ui: &Ui) -> Result<Outcome, Error> {
    match cli.command {
        // These run without settings: a shell asks for its completions anywhere, a launcher has its orders, and the settings
        // file is yet to be written.
        Command::Completions { shell } => {
            return print_completions(shell);
        }
        Command::Init => return init::run(cli.global.config.as_deref(), ui),
        Command::Policy => return policy::run(ui),
        Command::Launch { dir, release } => return Err(launch::become_server(dir, &release).into()),
        _ => {}
    }
    let environment = Environment::read().map_err(Error::Setup)?;
    let (deployment, machine) = wanted(&cli.command);
    let flags = Flags { global: &cli.global, deployment: &deployment, machine: &machine };
    let context = Context {
        settings: Settings::resolve(&flags, &environment)?,
        environment,
        root: StateRoot::of_user()?,
        program: own_program()?,
        clock: SystemClock::start(),
        interrupt: Interrupt::listen().map_err(Error::Setup)?,
        ui,
    };
    let ended = dispatch(&context, &cli.command);
    if context.interrupt.is_set() { ended.map_err(Error::cut_short) } else { ended }
}

/// Returns what a command's own flags say of what should be deployed, and of its machine.
fn wanted(command: &Command) -> (Deployment, MachineFlags) {
    match command {
        Command::Up(args) => (args.deployment.clone(), args.machine.clone()),
        Command::Plan(args) => (args.deployment.clone(), args.machine.clone()),
        Command::Status(args) => (args.deployment.clone(), args.machine.clone()),
        Command::Doctor(args) => (args.deployment.clone(), args.machine.clone()),
        _ => Default::default(),
    }
}

fn dispatch(context: &Context<'_>, command: &Command) -> Result<Outcome, Error> {
    match command {
        Command::Up(args) => up::run(context, args),
        Command::Plan(args) => plan::run(context, args),
        Command::Status(_) if context.settings.instance.is_none() => list::run(context),
        Command::Status(_) => status::run(context),
        Command::Logs(args) => logs::run(context, args),
        Command::Ssh(args) => ssh::run(context, args),
        Command::Rollback(args) => rollback::run(context, args),
        Command::Releases => releases::run(context),
        Command::Start => start::run(context),
        Command::Stop => stop::run(context),
        Command::Down(args) => down::run(context, args),
        Command::Doctor(_) => doctor::run(context),
        // Done with before there were settings.
        Command::Completions { .. } | Command::Init | Command::Launch { .. } | Command::Policy => {
            Ok(Outcome::Done)
        }
    }
}

fn print_completions(shell: Shell) -> Result<Outcome, Error> {
    // Into memory first: clap panics when its output cannot be written, as when `head` has seen enough.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "chat-deploy", &mut script);
    io::stdout().write_all(&script).map_err(Error::Output)?;
    Ok(Outcome::Done)
}

/// Names this program for another start of it. On Linux by what the system runs, which stays the same when `cargo build`
/// replaces the file meanwhile.
fn own_program() -> Result<PathBuf, Error> {
    if cfg!(target_os = "linux") {
        Ok(PathBuf::from("/proc/self/exe"))
    } else {
        std::env::current_exe().map_err(Error::Setup)
    }
}
