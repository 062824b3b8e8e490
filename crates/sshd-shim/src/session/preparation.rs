//! What a client says about a program before it asks for it.

use bytes::Bytes;
use lifecycle::sys::WindowSize;

use crate::connection::channel::Requests;
use crate::connection::messages::{RequestKind, TerminalRequest};
use crate::log::Log;

/// So many variables of a client are kept, and so many bytes of them: what no program could be given
/// anyway, or nobody sends, must not take memory.
const MOST_VARIABLES: usize = 1024;
const MOST_BYTES: usize = 2 << 20;

/// The terminal that a client wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Terminal {
    /// Its size so far.
    pub(super) size: WindowSize,
    /// Its modes, encoded.
    pub(super) modes: Bytes,
}

/// What a program is to be started with, as told so far.
#[derive(Debug, Default)]
pub(super) struct Preparation {
    /// Names and values in the order they came; the last one of a name counts.
    pub(super) variables: Vec<(Vec<u8>, Vec<u8>)>,
    bytes: usize,
    /// The terminal, if one is wanted.
    pub(super) terminal: Option<Terminal>,
}

/// What a session is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// A shell, for this command if there is one.
    Program(Option<Vec<u8>>),
    /// The subsystem.
    Sftp,
}

/// What a request leads to.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Done,
    Refused,
    Begin(Work),
}

impl Preparation {
    /// Answers requests up to the one that says what is to be done, that included. `None` if the
    /// client goes before.
    pub(super) async fn next_work(&mut self, requests: &mut Requests, log: &Log) -> Option<Work> {
        while let Some(request) = requests.next().await {
            log.info("received-request", &[("type", type_of(&request.kind).into())]);
            match self.take(request.kind) {
                Step::Done => request.reply.succeed(),
                Step::Refused => request.reply.fail(),
                Step::Begin(work) => {
                    request.reply.succeed();
                    return Some(work);
                }
            }
        }
        None
    }

    fn take(&mut self, request: RequestKind) -> Step {
        match request {
            RequestKind::Environment { name, value } => return self.add(name, value),
            RequestKind::Terminal(terminal) => return self.set_terminal(terminal),
            RequestKind::WindowChange { columns, rows, width, height } => {
                if let Some(terminal) = &mut self.terminal {
                    terminal.size = window_size(columns, rows, width, height);
                }
            }
            // There is nothing yet that could be sent one.
            RequestKind::Signal(_) => {}
            RequestKind::Exec(command) => return Step::Begin(Work::Program(Some(command))),
            RequestKind::Shell => return Step::Begin(Work::Program(None)),
            RequestKind::Subsystem(name) if name == "sftp" => return Step::Begin(Work::Sftp),
            RequestKind::Subsystem(_) => return Step::Refused,
        }
        Step::Done
    }

    fn add(&mut self, name: Vec<u8>, value: Vec<u8>) -> Step {
        let bytes = self.bytes + name.len() + value.len();
        if self.variables.len() >= MOST_VARIABLES || bytes > MOST_BYTES {
            return Step::Refused;
        }
        self.bytes = bytes;
        self.variables.push((name, value));
        Step::Done
    }

    fn set_terminal(&mut self, request: TerminalRequest) -> Step {
        let TerminalRequest { term, columns, rows, width, height, modes } = request;
        self.terminal = Some(Terminal { size: window_size(columns, rows, width, height), modes });
        self.add(b"TERM".into(), term)
    }
}

/// The lower 16 bits of each, as the kernel has room for (contract sshd 9.3).
pub(super) fn window_size(columns: u32, rows: u32, width: u32, height: u32) -> WindowSize {
    let low = |number: u32| {
        let [_, _, high, low] = number.to_be_bytes();
        u16::from_be_bytes([high, low])
    };
    WindowSize { columns: low(columns), rows: low(rows), width: low(width), height: low(height) }
}

/// The request's name in the protocol.
fn type_of(request: &RequestKind) -> &'static str {
    match request {
        RequestKind::Environment { .. } => "env",
        RequestKind::Terminal(_) => "pty-req",
        RequestKind::WindowChange { .. } => "window-change",
        RequestKind::Signal(_) => "signal",
        RequestKind::Exec(_) => "exec",
        RequestKind::Shell => "shell",
        RequestKind::Subsystem(_) => "subsystem",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, length: usize) -> RequestKind {
        RequestKind::Environment { name: name.into(), value: vec![b'x'; length] }
    }

    fn terminal(columns: u32) -> RequestKind {
        let (rows, width, height) = (24, 0x1_0280, 480);
        let term = b"xterm".to_vec();
        let modes = Bytes::from_static(&[0]);
        RequestKind::Terminal(TerminalRequest { term, columns, rows, width, height, modes })
    }

    #[test]
    fn a_program_begins_with_what_was_told_before() {
        let mut preparation = Preparation::default();
        assert_eq!(preparation.take(variable("A", 1)), Step::Done);
        assert_eq!(preparation.take(RequestKind::Signal("KILL".into())), Step::Done);
        assert_eq!(preparation.take(RequestKind::Subsystem("nonsense".into())), Step::Refused);
        assert_eq!(
            preparation.take(RequestKind::Exec(b"ls".into())),
            Step::Begin(Work::Program(Some(b"ls".into())))
        );
        assert_eq!(preparation.take(RequestKind::Shell), Step::Begin(Work::Program(None)));
        assert_eq!(
            preparation.take(RequestKind::Subsystem("sftp".into())),
            Step::Begin(Work::Sftp)
        );
        assert_eq!(preparation.variables, [(b"A".to_vec(), b"x".to_vec())]);
    }

    #[test]
    fn a_terminal_has_a_name_and_the_size_told_last_in_16_bits() {
        let change =
            || RequestKind::WindowChange { columns: 0x1_0050, rows: 50, width: 1, height: 2 };
        let mut preparation = Preparation::default();
        // Of no terminal yet.
        assert_eq!(preparation.take(change()), Step::Done);
        assert_eq!(preparation.terminal, None);
        assert_eq!(preparation.take(terminal(0)), Step::Done);
        let size = preparation.terminal.as_ref().unwrap().size;
        assert_eq!(size, WindowSize { columns: 0, rows: 24, width: 0x280, height: 480 });
        preparation.take(change());
        let size = preparation.terminal.as_ref().unwrap().size;
        assert_eq!(size, WindowSize { columns: 80, rows: 50, width: 1, height: 2 });
        assert_eq!(preparation.variables, [(b"TERM".to_vec(), b"xterm".to_vec())]);
    }

    #[test]
    fn variables_have_bounds_in_number_and_size() {
        let mut preparation = Preparation::default();
        for number in 0..MOST_VARIABLES {
            assert_eq!(preparation.take(variable(&number.to_string(), 0)), Step::Done);
        }
        assert_eq!(preparation.take(variable("A", 1)), Step::Refused);
        let mut preparation = Preparation::default();
        assert_eq!(preparation.take(variable("A", MOST_BYTES - 1)), Step::Done);
        assert_eq!(preparation.take(variable("B", 0)), Step::Refused);
    }
}
