//! `cell`: stages, runs, checks and opens apps on one machine, as the platform does it.
//!
//! `push` is the story: `definition` says what the app is to be (`manifest`, flags), `stacks` and `buildpacks`
//! what it is made of, `warehouse` and `bundle` bring that through a file server, `staging` runs the builder in a
//! `container`, and `run` leaves a `supervisor` behind that keeps each `instance`. `recipe` has the platform's
//! argument lists, `state` this machine's apps. `droplet`, `ssh`, `follow`, `list` and `stop` are the commands for an
//! app that is there.

mod app;
mod buildpacks;
mod builtin;
mod bundle;
mod cgroup;
mod command_line;
mod container;
mod control;
mod definition;
mod droplet;
mod emulator;
mod error;
mod fields;
mod follow;
mod health;
mod inspect;
mod instance;
mod interrupt;
mod isolation;
mod keys;
mod list;
mod log;
mod manifest;
mod package;
mod pause;
mod port;
mod process;
mod progress;
mod push;
mod recipe;
mod remains;
mod restart;
mod roots;
mod run;
mod screen;
mod shell_words;
mod ssh;
mod stacks;
mod staging;
mod state;
mod stop;
mod stopper;
mod subordinates;
mod supervisor;
mod warehouse;

use std::ffi::OsString;

use clap::Parser;
use clap::error::ErrorKind;
use file_server::FileServer;
use lifecycle::environment::Environment;
use lifecycle::report::say;
use nix::sys::stat::{Mode, umask};

use crate::command_line::{Command, CommandLine, Serve};
pub use crate::error::CellError;
use crate::interrupt::Interrupt;
use crate::push::Context;
use crate::screen::{Event, Screen};
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
    // The platform's (its contract, 7): a narrower one would close a container's own directories to its user. What is
    // secret is made so, whatever it is.
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let environment = Environment::inherited();
    let screen = Screen::new(line.json, &environment);
    let context = || {
        let state = State::open(&environment)?;
        let (screen, interrupt) = (screen.clone(), Interrupt::default());
        Ok::<_, CellError>(Context { environment, state, screen, interrupt })
    };
    match line.command {
        Command::Push(flags) => push::push(&flags, &context()?),
        Command::Stage(flags) => push::stage(&flags, &context()?),
        Command::Run(flags) => droplet::run(&flags, &context()?),
        Command::Ssh(flags) => ssh::ssh(&flags, &context()?),
        Command::Logs(flags) => follow::logs(&flags, &context()?),
        Command::Ps => list::list(&context()?),
        Command::Stop(flags) => stop::stop(&flags.name, &context()?),
        Command::Inspect(flags) => inspect::inspect(&flags, &context()?),
        // It keeps nothing.
        Command::Serve(flags) => serve(&flags, &screen),
        Command::Pause => pause::pause(),
        Command::Supervise { name, bundle } => {
            supervisor::supervise(&name, bundle.as_deref(), &context()?)
        }
    }
}

fn serve(flags: &Serve, screen: &Screen) -> Result<(), CellError> {
    let server = FileServer::bind(flags.address, &flags.directory)?;
    screen.tell(&Event::Serving { url: &server.url() });
    Ok(server.run()?)
}
