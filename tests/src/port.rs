//! Ports for servers that are told theirs beforehand.

use std::net::{Ipv4Addr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// A TCP port nobody listens on, and that nobody is given meanwhile: a port just given back by `bind(0)` is soon
/// another connection's, so these are below the range that systems give from (32768 on Linux).
pub fn free_port() -> u16 {
    static DRAWN: AtomicU32 = AtomicU32::new(0);
    // Test programs that run at once begin at different places.
    let begin = process::id().wrapping_mul(101);
    let mut ports = (0..FREE.end - FREE.start).map(|_| {
        let drawn = begin.wrapping_add(DRAWN.fetch_add(1, Ordering::Relaxed));
        u16::try_from(FREE.start + drawn % (FREE.end - FREE.start)).unwrap()
    });
    ports.find(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok()).unwrap()
}

const FREE: std::ops::Range<u32> = 10_000..32_000;
