//! `cell stop`: ends what runs of an app, and removes what a supervisor that was killed left.

use std::thread;
use std::time::{Duration, Instant};

use crate::control::{self, Question};
use crate::error::CellError;
use crate::push::Context;
use crate::screen::Event;
use crate::state::{AppDirectory, StateError, Work};

/// How often is looked whether the supervisor is gone.
const PAUSE: Duration = Duration::from_millis(25);
/// How long it may take to answer while it is being started, and to go once it has answered.
const PATIENCE: Duration = Duration::from_mins(1);

/// `cell stop`.
pub(crate) fn stop(name: &str, context: &Context) -> Result<(), CellError> {
    let directory = context.state.app(name)?;
    if stop_if_running(&directory, context)? {
        context.screen.tell(&Event::Stopped { app: name });
        Ok(())
    } else {
        Err(CellError::NotRunning(name.to_owned()))
    }
}

/// Stops what runs of the app, and removes what a killed supervisor left; whether there was something.
pub(crate) fn stop_if_running(
    directory: &AppDirectory,
    context: &Context,
) -> Result<bool, CellError> {
    let mut stopped = false;
    let mut deadline = Instant::now() + PATIENCE;
    loop {
        // Again and again: an app that is being started does not listen yet.
        if !stopped && control::ask(&directory.path, &Question::Stop).is_ok() {
            stopped = true;
            // What it took to stop the instances does not count.
            deadline = Instant::now() + PATIENCE;
        }
        match directory.lock(Work::Running) {
            Ok(lock) => {
                let cleaned = directory.clean_up(Work::Running, &lock)?;
                if cleaned && !stopped {
                    tell_remains(&directory.name, "is removed", context);
                }
                return Ok(cleaned || stopped);
            }
            Err(StateError::Running(name)) if Instant::now() > deadline => {
                return Err(StateError::Busy(name).into());
            }
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// Says what became of what a killed supervisor left.
pub(crate) fn tell_remains(name: &str, fate: &str, context: &Context) {
    let text = format!("What '{name}' left when the process that kept it was killed {fate}");
    context.screen.tell(&Event::Warning { text: &text });
}
