//! The socket of an app's supervisor: one line of JSON asks, one answers.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::instance::status::Status;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Question {
    /// How are the instances?
    Status,
    /// Stop them all; answered once they are gone.
    Stop,
}

/// An instance, and how it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// `web`.
    pub(crate) process: String,
    /// From 0.
    pub(crate) index: u32,
    /// Whether it listens to its port.
    pub(crate) listens: bool,
    /// How it is.
    pub(crate) status: Status,
}

impl Report {
    /// Where the instance answers, if it does.
    pub(crate) fn url(&self) -> Option<String> {
        self.listens.then(|| format!("http://{}:{}", Ipv4Addr::LOCALHOST, self.status.port))
    }
}

/// A question is no longer than this, in bytes.
const LONGEST: u64 = 1 << 10;
/// Who asks says so at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// Listens in the app's directory; what was left there by a supervisor that is no more is replaced.
pub(crate) fn listen(directory: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(directory.join("control")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (_open, path) = short(directory)?;
    UnixListener::bind(path)
}

/// Asks the supervisor of the app in `directory`.
pub(crate) fn ask(directory: &Path, question: &Question) -> io::Result<Vec<Report>> {
    let (_open, path) = short(directory)?;
    let mut stream = UnixStream::connect(path)?;
    serde_json::to_writer(&stream, question)?;
    stream.write_all(b"\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}

/// The question on a connection.
pub(crate) fn question(stream: &UnixStream) -> io::Result<Question> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST)).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

/// Answers it.
pub(crate) fn answer(stream: &UnixStream, reports: &[Report]) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(serde_json::to_writer(stream, reports)?)
}

/// A socket's path holds 107 bytes, a state directory may be longer: the way by an open directory is short.
fn short(directory: &Path) -> io::Result<(File, PathBuf)> {
    let open = File::open(directory)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/control", open.as_raw_fd()));
    Ok((open, path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn questions_are_answered_whatever_the_length_of_the_path() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("d".repeat(120));
        fs::create_dir(&deep).unwrap();
        // A supervisor that was killed left its socket.
        drop(listen(&deep).unwrap());
        let listener = listen(&deep).unwrap();
        let supervisor = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            assert_eq!(question(&stream).unwrap(), Question::Stop);
            answer(&stream, &[]).unwrap();
        });
        assert_eq!(ask(&deep, &Question::Stop).unwrap(), []);
        supervisor.join().unwrap();
        assert!(ask(&deep, &Question::Status).is_err());
    }
}
