//! What long work shows of itself on a terminal: what has come of a download, what a staging is at.

use std::fs;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use lifecycle::size::Size;

use crate::log::Line;
use crate::push::Context;

/// How often it is looked at.
const PAUSE: Duration = Duration::from_millis(100);

/// Does `fetch`, with the size of what has come of it on a terminal.
pub(crate) fn downloading<T: Send>(
    what: &str,
    context: &Context,
    fetch: impl FnOnce() -> T + Send,
) -> T {
    let text = format!("Downloading and unpacking {what}");
    let activity = context.screen.begin(text.as_str());
    if !context.screen.is_drawn() {
        return fetch();
    }
    thread::scope(|scope| {
        let (working, ended) = mpsc::channel::<()>();
        let fetching = scope.spawn(move || {
            let _until_the_end = working;
            fetch()
        });
        let downloads = context.state.place("downloads");
        while ended.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
            if let Some(size) = arrived(&downloads) {
                activity.is(format!("{text} ({size})"));
            }
        }
        fetching.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// How much has come of the download that something came of last.
fn arrived(downloads: &Path) -> Option<Size> {
    let entries = fs::read_dir(downloads).ok()?.flatten();
    let parts = entries.filter_map(|it| fs::metadata(it.path().join("part")).ok());
    let latest = parts.max_by_key(|it| it.modified().ok())?;
    Some(Size(latest.len())).filter(|size| size.0 > 0)
}

/// What a staging in `container` is at, seen by the droplet that grows, or by the `last` line of its log.
pub(crate) fn phase(container: &Path, last: &str) -> String {
    let entries = fs::read_dir(container.join("tmp")).into_iter().flatten().flatten();
    let is_partial = |name: &str| name.starts_with("droplet.") && name.ends_with(".partial");
    let mut partial = entries.filter(|it| it.file_name().to_str().is_some_and(is_partial));
    if let Some(size) = partial.find_map(|it| it.metadata().ok()).map(|it| it.len()) {
        return format!("Packing the droplet ({})", Size(size));
    }
    let text = Line::parse(last).map_or("", |line| line.text);
    match text.strip_prefix("-----> ") {
        Some(step) => format!("Staging: {step}"),
        None => "Staging".to_owned(),
    }
}
