//! Ports of instances: chosen before anybody listens on them.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use rand::RngExt;

/// Below those that systems give to connections (on Linux from 32768), one of which could take it meanwhile.
const PORTS: std::ops::Range<u16> = 10_000..32_000;
/// So many are tried.
const ATTEMPTS: usize = 100;

/// Two ports of 127.0.0.1 that are free now.
pub(crate) fn two_free() -> io::Result<[u16; 2]> {
    // Held at the same time, for they have to differ.
    let (one, other) = (free()?, free()?);
    Ok([one.local_addr()?.port(), other.local_addr()?.port()])
}

fn free() -> io::Result<TcpListener> {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, rand::rng().random_range(PORTS)));
    (1..ATTEMPTS).find_map(|_| listen().ok()).map_or_else(listen, Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_differ_and_are_none_that_connections_are_given() {
        for _ in 0..100 {
            let [one, other] = two_free().unwrap();
            assert_ne!(one, other);
            assert!(PORTS.contains(&one) && PORTS.contains(&other), "{one} {other}");
        }
    }
}
