//! `cell ps`: the apps and their instances.

use crate::control::{self, Question, Report};
use crate::error::CellError;
use crate::instance::status::State;
use crate::push::Context;
use crate::screen::Event;
use crate::shell_words::typed;
use crate::state::{AppDirectory, Work};
use crate::stop::tell_remains;

/// `cell ps`.
pub(crate) fn list(context: &Context) -> Result<(), CellError> {
    let was_staged = |it: &AppDirectory| it.place("app.json").exists();
    for directory in context.state.apps()?.into_iter().filter(was_staged) {
        let reports = control::ask(&directory.path, &Question::Status).unwrap_or_default();
        if reports.is_empty() {
            let left = directory.place(Work::Running.containers()).exists();
            if left && !directory.is_at(Work::Running) {
                let fate =
                    format!("is still there; to remove it: cell stop {}", typed(&directory.name));
                tell_remains(&directory.name, &fate, context);
            }
            tell_instance(&directory.name, None, context);
        }
        for report in &reports {
            tell_instance(&directory.name, Some(report), context);
        }
    }
    Ok(())
}

fn tell_instance(app: &str, report: Option<&Report>, context: &Context) {
    let url = report.and_then(Report::url);
    let state = report.map_or(State::Down, |report| report.status.state);
    context.screen.tell(&Event::Instance {
        app,
        process: report.map_or("web", |report| report.process.as_str()),
        index: report.map_or(0, |report| report.index),
        state: state.name(),
        ready: report.is_some_and(|report| report.status.ready),
        url: url.as_deref(),
        crashes: report.map_or(0, |report| report.status.crashes),
    });
}
