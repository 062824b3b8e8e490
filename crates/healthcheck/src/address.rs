//! Which address of this network namespace is checked: never loopback, where an app may listen
//! that nobody can reach (contract, section 4).

use std::io;
use std::net::{IpAddr, Ipv6Addr};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

/// All addresses in the kernel's order: interfaces by index, primary addresses first.
pub fn all() -> io::Result<Vec<IpAddr>> {
    let interfaces = getifaddrs()?;
    Ok(interfaces.filter_map(|interface| address(&interface.address?)).collect())
}

fn address(storage: &SockaddrStorage) -> Option<IpAddr> {
    let four = storage.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    four.or_else(|| storage.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

/// The first IPv4 address outside 127.0.0.0/8, whatever its interface and that one's state;
/// without one the first global IPv6 address.
pub fn choose(addresses: &[IpAddr]) -> Option<IpAddr> {
    let four = addresses.iter().find(|address| address.is_ipv4() && !address.is_loopback());
    let six =
        || addresses.iter().find(|address| matches!(address, IpAddr::V6(six) if is_global(*six)));
    four.or_else(six).copied()
}

/// Reachable from other machines; container networks use unique local addresses too.
fn is_global(address: Ipv6Addr) -> bool {
    let is_narrow = address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unicast_link_local();
    !is_narrow && address.to_ipv4_mapped().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(addresses: &[&str]) -> Option<String> {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        choose(&addresses).map(|address| address.to_string())
    }

    #[test]
    fn the_first_ipv4_address_outside_loopback_is_chosen() {
        for (addresses, expected) in [
            (&["127.0.0.1", "10.0.0.5", "10.0.0.6"][..], Some("10.0.0.5")),
            // Loopback is judged by the address alone.
            (&["10.9.0.1", "10.0.0.5"], Some("10.9.0.1")),
            (&["127.5.0.1", "10.0.0.5"], Some("10.0.0.5")),
            (&["127.0.0.1", "169.254.1.1"], Some("169.254.1.1")),
            (&["fd00::2", "10.0.0.5"], Some("10.0.0.5")),
            (&["127.0.0.1", "::1"], None),
            (&[], None),
        ] {
            assert_eq!(chosen(addresses).as_deref(), expected, "{addresses:?}");
        }
    }

    #[test]
    fn without_ipv4_the_first_global_ipv6_address_is_chosen() {
        assert_eq!(
            chosen(&["127.0.0.1", "::1", "fe80::1", "fd00::2", "2001:db8::1"]).as_deref(),
            Some("fd00::2")
        );
        assert_eq!(chosen(&["::1", "fe80::1", "ff02::1", "::ffff:10.0.0.5", "::"]), None);
    }
}
