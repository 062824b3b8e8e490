//! The legacy copy protocol, in process, so that `scp -O` works in images without scp. Serves one command
//! over blocking streams: `-f` sends files (`source`), `-t` receives them (`sink`).
//! Contract sshd 10, with the defects B6 and B11 to B13 done as OpenSSH does.

pub mod expansion;
pub mod glob;
pub mod options;
pub mod peer;
pub mod record;
mod sink;
mod source;
pub mod words;

use std::env;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::blocking::Source;
use crate::secrets::is_secret;

use options::{Direction, Options, UsageError};
use peer::{Fatal, Peer};

/// Whether `command` is served here instead of by a shell: its text is `scp`, alone or with blanks
/// around it. `/usr/bin/scp` is the shell's (contract sshd 10).
pub fn is_scp(command: &[u8]) -> bool {
    let is_blank = |byte: &u8| matches!(byte, b'\t' | b'\n' | 0x0c | b'\r' | b' ');
    let start = command.iter().position(|byte| !is_blank(byte)).unwrap_or(command.len());
    command[start..].strip_prefix(b"scp").is_some_and(|rest| rest.first().is_none_or(is_blank))
}

/// Serves `command`; returns the exit status, 0 or 1.
///
/// `errors` gets usage errors, and warnings with which the client answers. All else is told within the
/// protocol, and shown by the client.
pub fn run(
    command: &[u8],
    input: &mut impl Source,
    output: &mut impl Write,
    errors: &mut impl Write,
) -> u8 {
    let options = match parse(command, &variable) {
        Ok(options) => options,
        Err(usage) => {
            let _closed = writeln!(errors, "scp: {usage}").and_then(|()| errors.flush());
            return 1;
        }
    };
    let mut peer = Peer::new(input, output, errors);
    let done = match options.direction {
        Direction::Source => source::send(&mut peer, &options),
        Direction::Sink => sink::receive(&mut peer, &options),
    };
    match done {
        Ok(()) => u8::from(peer.has_failed()),
        Err(fatal) => {
            // Nobody is left to be told when the streams are what failed.
            if !matches!(fatal, Fatal::Stream(_)) {
                let _closed = peer.warn(&fatal);
            }
            1
        }
    }
}

/// The options and paths of `command`, whose variables are looked up by `variable`.
pub fn parse(
    command: &[u8],
    variable: &dyn Fn(&[u8]) -> Option<Vec<u8>>,
) -> Result<Options, UsageError> {
    Options::parse(expansion::expand(words::split(command)?, variable)?)
}

/// A variable of the server's environment.
fn variable(name: &[u8]) -> Option<Vec<u8>> {
    let name = OsStr::from_bytes(name);
    env::var_os(name).filter(|_| !is_secret(name)).map(OsStringExt::into_vec)
}

#[cfg(test)]
mod tests;
