//! `cell`: stages, runs, checks and opens apps on one machine, as the platform does it.
//!
//! `push` is the story: `definition` says what the app is to be (`manifest`, flags), `stacks` and `buildpacks`
//! what it is made of, `warehouse` and `bundle` bring that through a file server, `staging` runs the builder in a
//! `container`, and `run` leaves a `supervisor` behind that keeps each `instance`. `recipe` has the platform's
//! argument lists, `state` this machine's apps.

pub mod app;
pub mod buildpacks;
pub mod builtin;
pub mod bundle;
pub mod cgroup;
pub mod command_line;
pub mod container;
pub mod control;
pub mod definition;
pub mod emulator;
pub mod error;
pub mod fields;
pub mod follow;
pub mod health;
pub mod inspect;
pub mod instance;
pub mod interrupt;
pub mod isolation;
pub mod keys;
pub mod log;
pub mod manifest;
pub mod package;
pub mod pause;
pub mod port;
pub mod process;
pub mod progress;
pub mod push;
pub mod recipe;
pub mod remains;
pub mod restart;
pub mod roots;
pub mod run;
pub mod screen;
pub mod stacks;
pub mod staging;
pub mod state;
pub mod stopper;
pub mod subordinates;
pub mod supervisor;
pub mod warehouse;

use std::ffi::OsString;

use clap::Parser;
use clap::error::ErrorKind;
use file_server::FileServer;
use lifecycle::environment::Environment;
use lifecycle::report::say;

use crate::command_line::{Command, CommandLine, Serve};
use crate::error::CellError;
use crate::interrupt::Interrupt;
use crate::push::Context;
use crate::screen::Screen;
use crate::state::State;

/// Does what `arguments` (program name included) say.
pub fn run(arguments: impl Iterator<Item = OsString>) -> Result<(), CellError> {
    let line = match CommandLine::try_parse_from(arguments) {
        Ok(line) => line,
        Err(help) if matches!(help.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            say(&help.to_string());
            return Ok(());
        }
        Err(error) => return Err(CellError::CommandLine(error.to_string().trim_end().to_owned())),
    };
    if matches!(line.command, Command::Pause) {
        return pause::pause();
    }
    let environment = Environment::inherited();
    let state = State::open(&environment)?;
    let screen = Screen::new(line.json, &environment);
    let interrupt = Interrupt::default();
    let context = Context { environment, state, screen, interrupt };
    match line.command {
        Command::Push(flags) => push::push(&flags, &context),
        Command::Stage(flags) => push::stage(&flags, &context),
        Command::Run(flags) => run::run_droplet(&flags, &context),
        Command::Ssh(flags) => run::ssh(&flags, &context),
        Command::Logs(flags) => run::logs(&flags, &context),
        Command::Ps => run::list(&context),
        Command::Stop(flags) => run::stop(&flags.name, &context),
        Command::Inspect(flags) => inspect::inspect(&flags, &context),
        Command::Serve(flags) => serve(&flags),
        Command::Pause => pause::pause(),
        Command::Supervise { name, bundle } => run::supervise(&name, bundle.as_deref(), &context),
    }
}

fn serve(flags: &Serve) -> Result<(), CellError> {
    let server = FileServer::bind(flags.address, &flags.directory)?;
    say(&server.url());
    Ok(server.run()?)
}
