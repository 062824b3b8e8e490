//! How long a builder may take: then it is ended as the platform ends it.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::process::{Exit, Process};

/// Waits for `process`; `None` if it took longer than `limit`, and was ended: by SIGTERM, and by SIGKILL after `grace`.
pub(super) fn wait(process: Process, limit: Duration, grace: Duration) -> io::Result<Option<Exit>> {
    let reach = process.reach();
    let (ended, end) = mpsc::channel::<()>();
    let timer = thread::spawn(move || {
        let is_late = end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
        if is_late {
            reach.terminate();
            if end.recv_timeout(grace) == Err(RecvTimeoutError::Timeout) {
                reach.kill();
            }
        }
        is_late
    });
    let exit = process.wait();
    drop(ended);
    let is_late = timer.join().unwrap_or_default();
    Ok(if is_late { None } else { Some(exit?) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Said;
    use std::fs;
    use std::process::{Command, Stdio};

    const NEVER: Duration = Duration::from_mins(10);
    const SOON: Duration = Duration::from_millis(10);

    fn started(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        Process::start(command, "STG/0", &Said::kept()).unwrap()
    }

    #[test]
    fn what_takes_too_long_is_ended() {
        let exit = wait(started("exit 3"), NEVER, NEVER).unwrap();
        assert_eq!(exit, Some(Exit { status: 3, out_of_memory: false }));
        assert_eq!(wait(started("exec sleep 600"), SOON, NEVER).unwrap(), None);
    }

    #[test]
    fn what_is_deaf_when_its_time_is_over_is_killed_with_its_children() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("child");
        let script = "trap '' TERM; sleep 600 & echo $! >FILE.new; mv FILE.new FILE; wait";
        let process = started(&script.replace("FILE", file.to_str().unwrap()));
        let child = suite::wait_for("it is deaf", || fs::read_to_string(&file).ok());
        assert_eq!(wait(process, SOON, SOON).unwrap(), None);
        suite::wait_for("its child is gone", || (!suite::is_alive(&child)).then_some(()));
    }
}
