//! The SFTP server on stdin and stdout, to be tried without SSH: `sftp -D target/debug/examples/sftp-server`.
use std::io::{self, BufReader};

fn main() -> io::Result<()> {
    let mut input = BufReader::with_capacity(256 * 1024, io::stdin());
    sshd_shim::sftp::serve(&mut input, &mut io::stdout().lock())
}
