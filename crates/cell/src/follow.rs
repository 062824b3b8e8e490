//! An app's log on the terminal: what there is, and what comes. `cell logs` is no more than that.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use lifecycle::file;

use crate::command_line::Logs;
use crate::error::CellError;
use crate::push::Context;
use crate::screen::Screen;

/// How often the log is looked at.
const PAUSE: Duration = Duration::from_millis(50);

/// `cell logs`.
pub(crate) fn logs(flags: &Logs, context: &Context) -> Result<(), CellError> {
    let path = context.state.app(&flags.name)?.place("log");
    let interrupt = context.interrupt.attend().map_err(CellError::on("signals"))?;
    let mut follower = Follower::at_start(&path, &context.screen);
    let printed = follower.follow(|_| flags.recent || interrupt.ends_reading());
    printed.map_err(CellError::on(path.display().to_string()))
}

/// A reader of a log that may be replaced by a new one while it is read.
#[derive(Debug)]
pub(crate) struct Follower {
    path: PathBuf,
    reader: Option<BufReader<File>>,
    partial: Vec<u8>,
    screen: Screen,
    /// The last line that was printed.
    last: String,
}

impl Follower {
    /// From the log's end as it is now.
    pub(crate) fn at_end(path: &Path, screen: &Screen) -> io::Result<Self> {
        let mut follower = Self::at_start(path, screen);
        follower.open()?;
        if let Some(reader) = &mut follower.reader {
            reader.seek(SeekFrom::End(0))?;
        }
        Ok(follower)
    }

    /// From the log's start.
    pub(crate) fn at_start(path: &Path, screen: &Screen) -> Self {
        let screen = screen.clone();
        Self {
            path: path.to_owned(),
            reader: None,
            partial: Vec::new(),
            screen,
            last: String::new(),
        }
    }

    /// Prints what is new.
    pub(crate) fn print(&mut self) -> io::Result<()> {
        loop {
            self.open()?;
            let Some(reader) = &mut self.reader else { return Ok(()) };
            while reader.read_until(b'\n', &mut self.partial)? > 0 && self.partial.ends_with(b"\n")
            {
                let line = String::from_utf8_lossy(&self.partial);
                line.trim_end_matches('\n').clone_into(&mut self.last);
                self.screen.log(&self.last);
                self.partial.clear();
            }
            // Another one may have its name by now.
            if file::is_at(reader.get_ref(), &self.path) {
                return Ok(());
            }
            self.reader = None;
        }
    }

    /// Prints what comes until `is_over`, which is told the last line.
    pub(crate) fn follow(&mut self, mut is_over: impl FnMut(&str) -> bool) -> io::Result<()> {
        loop {
            // Asked first: what was written before the end is still printed.
            let over = is_over(&self.last);
            self.print()?;
            if over {
                return Ok(());
            }
            thread::sleep(PAUSE);
        }
    }

    fn open(&mut self) -> io::Result<()> {
        if self.reader.is_none() {
            match File::open(&self.path) {
                Ok(file) => self.reader = Some(BufReader::new(file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
