//! A buildpack's git repository: cloned shallow, whole where only that can work, and by commit id
//! where the fragment is one. git's own output is kept for the case that it fails.

mod refs;
mod verdict;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use lifecycle::report::system_words;
use lifecycle::url::mask_passwords;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use walkdir::WalkDir;

use super::{FetchError, Job};
use verdict::{ENDED_BY, Verdict};

/// Transports of git that run a command or read a descriptor instead of asking a server.
const REFUSED_SCHEMES: [&str; 2] = ["ext", "fd"];
/// Set for git unless the user did: no questions, and the words that [`Verdict`] knows.
const DEFAULTS: [(&str, &str); 3] = [
    ("GIT_TERMINAL_PROMPT", "0"),
    // A server that sends nothing for two minutes is not waited for any longer.
    ("GIT_HTTP_LOW_SPEED_LIMIT", "1"),
    ("GIT_HTTP_LOW_SPEED_TIME", "120"),
];
/// How often a running git is looked at.
const POLL: Duration = Duration::from_millis(10);
/// At most this much of the end of git's output is kept, in bytes.
const KEPT_OUTPUT: u64 = 16 << 10;
/// Lengths of commit ids, SHA-1 and SHA-256.
const COMMIT_ID_LENGTHS: [usize; 2] = [40, 64];
/// The shortest abbreviation of a commit id that git makes by itself.
const SHORTEST_COMMIT_ID: usize = 7;

/// What git said, and what to make of it.
#[derive(Debug)]
pub struct CloneFailure {
    /// The attempts in order: what was tried and git's output, masked.
    attempts: Vec<(String, String)>,
    /// One line.
    verdict: Option<String>,
}

impl CloneFailure {
    /// The attempts' output and the verdict, one line each.
    pub(super) fn lines(&self) -> Vec<String> {
        let attempts = self.attempts.iter().flat_map(|(what, output)| {
            let said = output.lines().map(|line| format!("  {line}"));
            std::iter::once(format!("{what}:")).chain(said)
        });
        attempts.chain(self.verdict.clone()).collect()
    }
}

/// Clones; gives the bytes of all files.
pub(super) fn fetch(job: &Job<'_>) -> Result<u64, FetchError> {
    let clone = Clone::new(job);
    if REFUSED_SCHEMES.contains(&job.url.scheme()) {
        let scheme = job.url.scheme();
        let verdict =
            format!("`{scheme}:` is refused: it would not ask a server but run a command");
        return Err(clone.failed(Vec::new(), Some(verdict)));
    }
    clone.run()?;
    Ok(size(job.destination))
}

/// The bytes of all files in a tree; what cannot be read counts nothing.
fn size(tree: &Path) -> u64 {
    let files = WalkDir::new(tree).into_iter().flatten().filter_map(|entry| entry.metadata().ok());
    files.filter(fs::Metadata::is_file).map(|file| file.len()).sum()
}

/// One repository to clone.
struct Clone<'a> {
    job: &'a Job<'a>,
    /// The URL for git: without fragment, with the password.
    url: String,
}

/// Ways to get at the files.
#[derive(Clone, Copy)]
enum Way<'a> {
    /// The newest commit of the branch or tag.
    Shallow,
    /// All of its history: servers without the smart protocol have no other.
    Whole,
    /// Only the commit of this id, which servers give unless they are told not to.
    Commit(&'a str),
    /// All history, then the commit of this id.
    WholeAt(&'a str),
}

/// A git that ended without success.
struct Failed {
    what: String,
    output: String,
}

/// Why git did not do what it was asked to.
enum Trouble {
    Failed(Failed),
    /// There is no git.
    Missing,
    /// An earlier buildpack failed.
    GivenUp,
}

impl<'a> Clone<'a> {
    fn new(job: &'a Job<'a>) -> Self {
        Self { job, url: job.url.clone().without_fragment().to_string() }
    }

    /// Shallow first, then whatever the failures call for.
    fn run(&self) -> Result<(), FetchError> {
        let mut failures = Vec::new();
        let mut way = Way::Shallow;
        loop {
            let failed = match self.go(way) {
                Ok(()) => return Ok(()),
                Err(Trouble::Missing) => return Err(FetchError::NoGit),
                Err(Trouble::GivenUp) => return Err(FetchError::GivenUp),
                Err(Trouble::Failed(failed)) => failed,
            };
            let verdict = Verdict::of(&failed.output);
            failures.push(failed);
            way = match self.next(way, &verdict) {
                Some(way) => way,
                None => return Err(self.judged(failures, &verdict)),
            };
        }
    }

    fn go(&self, way: Way<'_>) -> Result<(), Trouble> {
        match way {
            Way::Shallow => self.clone(Some("1"), self.job.url.fragment()),
            Way::Whole => self.clone(None, self.job.url.fragment()),
            Way::Commit(id) => self.fetch_commit(id),
            Way::WholeAt(id) => self.clone_whole_at(id),
        }
    }

    /// What may help after `way` failed. Where a whole clone would fail alike it is not tried.
    fn next(&self, way: Way<'_>, verdict: &Verdict) -> Option<Way<'_>> {
        match (way, verdict) {
            (Way::Shallow, Verdict::NoSuchRef) => self.commit_id().map(|id| {
                if COMMIT_ID_LENGTHS.contains(&id.len()) {
                    Way::Commit(id)
                } else {
                    Way::WholeAt(id)
                }
            }),
            (Way::Whole, Verdict::NoSuchRef) | (Way::Commit(_), _) => {
                self.commit_id().map(Way::WholeAt)
            }
            (Way::Shallow, verdict) if !verdict.is_final() => Some(Way::Whole),
            _ => None,
        }
    }

    /// `git clone [--depth 1] --recursive [-b ref] -- <url> <destination>`
    fn clone(&self, depth: Option<&str>, reference: &OsStr) -> Result<(), Trouble> {
        self.clear()?;
        let mut words: Vec<&OsStr> = vec!["clone".as_ref()];
        if let Some(depth) = depth {
            words.extend::<[&OsStr; 2]>(["--depth".as_ref(), depth.as_ref()]);
        }
        words.push("--recursive".as_ref());
        if !reference.is_empty() {
            words.extend::<[&OsStr; 2]>(["-b".as_ref(), reference]);
        }
        words.extend::<[&OsStr; 2]>(["--".as_ref(), self.url.as_ref()]);
        words.push(self.job.destination.as_ref());
        self.git(&words)
    }

    /// The fragment, where it may be the id of a commit.
    fn commit_id(&self) -> Option<&str> {
        let fragment = self.job.url.fragment().to_str()?;
        let is_hex = fragment.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_hex && fragment.len() >= SHORTEST_COMMIT_ID).then_some(fragment)
    }

    fn fetch_commit(&self, id: &str) -> Result<(), Trouble> {
        self.clear()?;
        let destination = self.job.destination.as_os_str();
        self.git(&["init".as_ref(), "--".as_ref(), destination])?;
        self.within(&["remote", "add", "origin", &self.url])?;
        self.within(&["fetch", "--depth", "1", "origin", id])?;
        self.check_out("FETCH_HEAD", &["--depth", "1"])
    }

    fn clone_whole_at(&self, id: &str) -> Result<(), Trouble> {
        self.clone(None, OsStr::new(""))?;
        self.check_out(id, &[])
    }

    fn check_out(&self, commit: &str, depth: &[&str]) -> Result<(), Trouble> {
        self.within(&["checkout", "--detach", commit, "--"])?;
        self.within(&[&["submodule", "update", "--init", "--recursive"], depth].concat())
    }

    /// Runs git in the destination.
    fn within(&self, words: &[&str]) -> Result<(), Trouble> {
        let mut all: Vec<&OsStr> = vec!["-C".as_ref(), self.job.destination.as_ref()];
        all.extend(words.iter().map(OsStr::new));
        self.git(&all)
    }

    /// Removes what an earlier attempt, or an earlier staging, left at the destination.
    fn clear(&self) -> Result<(), Trouble> {
        let destination = self.job.destination;
        match fs::remove_dir_all(destination) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let output = format!("{}: {}", destination.display(), system_words(&error));
                Err(Trouble::Failed(Failed { what: "rm -r".to_owned(), output }))
            }
            _ => Ok(()),
        }
    }

    /// Runs git to its end, or until this buildpack is given up.
    fn git(&self, words: &[&OsStr]) -> Result<(), Trouble> {
        let (success, output) = self.output(words).map_err(|error| match error {
            Ended::GivenUp => Trouble::GivenUp,
            Ended::System(error) if error.kind() == io::ErrorKind::NotFound => Trouble::Missing,
            Ended::System(error) => Trouble::Failed(failure(words, &system_words(&error))),
        })?;
        if success { Ok(()) } else { Err(Trouble::Failed(failure(words, &output))) }
    }

    /// Whether git succeeded, and all it said. It writes to a file, so that nobody waits for a
    /// credential daemon that git leaves behind with its streams open.
    fn output(&self, words: &[&OsStr]) -> Result<(bool, String), Ended> {
        let mut said = tempfile::tempfile_in(self.job.options.environment.temporary_directory())?;
        let mut command = Command::new("git");
        command.args(words).env_clear().envs(self.job.options.environment.iter());
        for (name, value) in DEFAULTS {
            if self.job.options.environment.get(name).is_none() {
                command.env(name, value);
            }
        }
        command
            .env("LC_ALL", "C")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said.try_clone()?);
        let status = self.wait(&mut command)?;
        let mut output = tail(&mut said)?;
        if let Some(signal) = status.signal() {
            let name = Signal::try_from(signal).map_or("a signal", Signal::as_str);
            output.extend([ENDED_BY, name, "\n"]);
        }
        Ok((status.success(), self.masked(&output)))
    }

    /// git's words without the password: not all of them quote the URL whole.
    fn masked(&self, output: &str) -> String {
        let user = self.url.split_once("://").and_then(|(_, rest)| rest.split_once('@'));
        match user.and_then(|(user, _)| user.split_once(':')) {
            Some((name, password)) => {
                output.replace(&format!("{name}:{password}@"), &format!("{name}:***@"))
            }
            None => output.to_owned(),
        }
    }

    fn wait(&self, command: &mut Command) -> Result<ExitStatus, Ended> {
        let mut git = self.job.options.cleanup.undisturbed(|| command.spawn())?;
        loop {
            if let Some(status) = git.try_wait()? {
                return Ok(status);
            }
            if self.job.is_given_up() {
                // Its process group: git has children of its own. It may just have ended.
                let _gone = killpg(Pid::from_raw(git.id().cast_signed()), Signal::SIGKILL);
                git.wait()?;
                return Err(Ended::GivenUp);
            }
            thread::sleep(POLL);
        }
    }

    /// The error with a verdict; for a missing ref the ones like it are asked for.
    fn judged(&self, failures: Vec<Failed>, verdict: &Verdict) -> FetchError {
        let wanted = self.job.url.fragment().to_string_lossy();
        let words = match verdict {
            Verdict::NoSuchRef => {
                let listed = self.output(&["ls-remote", "--", &self.url].map(OsStr::new));
                let listing = listed.ok().filter(|(success, _)| *success).map(|(_, said)| said);
                Some(refs::missing(&wanted, &listing.unwrap_or_default()))
            }
            verdict => verdict.words(),
        };
        self.failed(failures, words)
    }

    fn failed(&self, failures: Vec<Failed>, verdict: Option<String>) -> FetchError {
        let attempts = failures.into_iter().map(|it| (it.what, it.output)).collect();
        let url = mask_passwords(&self.url);
        FetchError::Clone { url, failure: CloneFailure { attempts, verdict } }
    }
}

/// With the passwords masked.
fn failure(words: &[&OsStr], output: &str) -> Failed {
    let command = words.join(OsStr::new(" "));
    let what = mask_passwords(&format!("git {}", command.display()));
    Failed { what, output: mask_passwords(output) }
}

/// Why there is no output of git to look at.
enum Ended {
    GivenUp,
    System(io::Error),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// The end of what git said.
fn tail(said: &mut File) -> io::Result<String> {
    let length = said.seek(SeekFrom::End(0))?;
    said.seek(SeekFrom::Start(length.saturating_sub(KEPT_OUTPUT)))?;
    let mut bytes = Vec::new();
    said.take(KEPT_OUTPUT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
