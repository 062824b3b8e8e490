//! Signals: those that end it, and those that do not.

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::daemon::Daemon;

#[test]
fn signals_that_would_end_any_other_program_do_not_end_it() {
    // SIGXFSZ is what a client's write beyond the limit of file sizes makes the system send.
    let daemon = Daemon::open::<&str>(&[]);
    let id = Pid::from_raw(i32::try_from(daemon.id()).unwrap());
    for signal in [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGALRM, Signal::SIGXFSZ] {
        kill(id, signal).unwrap();
        let mut banner = [0; 8];
        TcpStream::connect(daemon.address).unwrap().read_exact(&mut banner).unwrap();
        assert_eq!(&banner, b"SSH-2.0-", "after {signal}");
    }
}

#[test]
fn a_client_that_says_nothing_does_not_hold_up_the_end() {
    // The server waited for what it speaks until its own deadline, a second before the platform kills.
    let mut daemon = Daemon::open::<&str>(&[]);
    let mut silent = TcpStream::connect(daemon.address).unwrap();
    let mut banner = [0; 8];
    silent.read_exact(&mut banner).unwrap();
    let start = Instant::now();
    assert_eq!(daemon.stop(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
}
