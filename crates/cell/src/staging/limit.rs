//! How long a builder may take: then it is ended as the platform ends it.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::instance::GRACE;
use crate::process::{Exit, Process};

/// Waits for `process`; `None` if it took longer than `limit`, and was ended.
pub(super) fn wait(process: Process, limit: Duration) -> io::Result<Option<Exit>> {
    let reach = process.reach();
    let (ended, end) = mpsc::channel::<()>();
    let timer = thread::spawn(move || {
        let is_late = end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
        if is_late {
            reach.terminate();
            if end.recv_timeout(GRACE) == Err(RecvTimeoutError::Timeout) {
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
    use std::process::{Command, Stdio};

    fn waited(script: &str, limit: Duration) -> Option<Exit> {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        wait(Process::start(command, "STG/0", &Said::kept()).unwrap(), limit).unwrap()
    }

    #[test]
    fn what_takes_too_long_is_ended() {
        let exit = waited("exit 3", Duration::from_mins(10));
        assert_eq!(exit, Some(Exit { status: 3, out_of_memory: false }));
        assert_eq!(waited("exec sleep 600", Duration::from_millis(10)), None);
    }
}
