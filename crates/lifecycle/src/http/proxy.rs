//! Which proxy a request goes through: `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`, upper case before
//! lower case, never for this machine itself (contract, section 3.5).

use std::ffi::OsStr;
use std::fmt;
use std::net::IpAddr;

use super::Reason;
use crate::environment::Environment;
use crate::url::Url;

/// The proxy settings of an environment.
#[derive(Default)]
pub(super) struct Proxies {
    http: Option<String>,
    https: Option<String>,
    exceptions: Vec<String>,
}

/// Says no addresses: they may hold passwords.
impl fmt::Debug for Proxies {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Proxies").finish_non_exhaustive()
    }
}

/// How a request gets to its server.
#[derive(Debug)]
pub(super) enum Route {
    Direct,
    /// By `CONNECT` or SOCKS: the proxy sees bytes only.
    Tunnel(ureq::Proxy),
    /// Plain http: the proxy itself is asked for the whole URL.
    Forward(Box<Url>),
}

impl Route {
    /// Who is connected to, for error texts.
    pub(super) fn peer(&self, url: &Url) -> String {
        match self {
            Self::Direct => url.host(),
            Self::Tunnel(proxy) => format!("proxy {}:{}", proxy.host(), proxy.port()),
            Self::Forward(proxy) => format!("proxy {}", proxy.host()),
        }
    }

    /// Whether the proxy itself is reached over TLS.
    pub(super) fn is_over_tls(&self) -> bool {
        match self {
            Self::Direct => false,
            Self::Tunnel(proxy) => proxy.protocol() == ureq::ProxyProtocol::Https,
            Self::Forward(proxy) => proxy.scheme() == "https",
        }
    }
}

impl Proxies {
    pub(super) fn of(environment: &Environment) -> Self {
        let first = |names: [&str; 2]| {
            let mut values = names.into_iter().filter_map(|name| environment.get(name));
            Some(values.find(|value| !value.is_empty()).map(OsStr::to_string_lossy)?.into_owned())
        };
        let exceptions = first(["NO_PROXY", "no_proxy"]).unwrap_or_default();
        Self {
            http: first(["HTTP_PROXY", "http_proxy"]),
            https: first(["HTTPS_PROXY", "https_proxy"]),
            exceptions: exceptions.split(',').map(|entry| entry.trim().to_lowercase()).collect(),
        }
    }

    pub(super) fn route(&self, url: &Url) -> Result<Route, Reason> {
        let (setting, port) = match url.scheme() {
            "https" => (&self.https, "443"),
            _ => (&self.http, "80"),
        };
        let Some(setting) = setting else { return Ok(Route::Direct) };
        let authority = url.host().to_lowercase();
        let (host, port) = split_port(&authority, port);
        if is_this_machine(host) || self.exceptions.iter().any(|entry| covers(entry, host, port)) {
            return Ok(Route::Direct);
        }
        let bad_setting = || Reason::BadProxy(crate::url::mask_url(setting));
        let proxy = proxy_url(setting).ok_or_else(bad_setting)?;
        if url.scheme() == "http" && matches!(proxy.scheme(), "http" | "https") {
            return Ok(Route::Forward(Box::new(proxy)));
        }
        // Names are the proxy's to look up, as with Go: ureq would do it here for `socks5`.
        let scheme = if proxy.scheme() == "socks5" { "socks5h" } else { proxy.scheme() }.to_owned();
        let address = proxy.with_path("/").with_scheme(&scheme).to_string();
        ureq::Proxy::new(&address).map(Route::Tunnel).map_err(|_| bad_setting())
    }
}

/// `host:port` alone means http.
fn proxy_url(setting: &str) -> Option<Url> {
    let is_complete = |url: &Url| !url.scheme().is_empty() && !url.host().is_empty();
    let url = Url::parse(setting).ok().filter(is_complete);
    let url = url.or_else(|| Url::parse(&format!("http://{setting}")).ok().filter(is_complete))?;
    matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h").then_some(url)
}

/// Host without brackets, and port.
fn split_port<'a>(authority: &'a str, default: &'a str) -> (&'a str, &'a str) {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, default),
    };
    let port = if port.is_empty() { default } else { port };
    (host.trim_start_matches('[').trim_end_matches(']'), port)
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether an entry of `NO_PROXY` covers the host: `*`, a name with its subdomains, `.name` or
/// `*.name` for subdomains only, an address, a network `a.b.c.d/n`; name and address may have a port.
fn covers(entry: &str, host: &str, port: &str) -> bool {
    if entry == "*" {
        return true;
    }
    let address = host.parse::<IpAddr>().ok();
    if let Some((network, bits)) = entry.split_once('/') {
        let network = network.parse::<IpAddr>().ok().zip(bits.parse::<u32>().ok());
        return address
            .zip(network)
            .is_some_and(|(address, (network, bits))| is_in_network(address, network, bits));
    }
    let (name, wanted_port) =
        if entry.parse::<IpAddr>().is_ok() { (entry, "") } else { split_port(entry, "") };
    if name.is_empty() || !(wanted_port.is_empty() || wanted_port == port) {
        return false;
    }
    if let Ok(wanted) = name.parse::<IpAddr>() {
        return address == Some(wanted);
    }
    let suffix = name.strip_prefix('*').unwrap_or(name);
    match host.strip_suffix(suffix) {
        Some("") => !suffix.starts_with('.'),
        Some(rest) => suffix.starts_with('.') || rest.ends_with('.'),
        None => false,
    }
}

fn is_in_network(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let first_bits_agree = |a: u128, b: u128, width: u32| {
        bits <= width && (bits == 0 || (a ^ b) >> (width - bits) == 0)
    };
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => {
            first_bits_agree(a.to_bits().into(), n.to_bits().into(), 32)
        }
        (IpAddr::V6(a), IpAddr::V6(n)) => first_bits_agree(a.to_bits(), n.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Proxies::of(&variables.collect())
    }

    fn peer(proxies: &Proxies, url: &str) -> String {
        let url = Url::parse(url).unwrap();
        let route = proxies.route(&url).unwrap();
        format!(
            "{}{}",
            if matches!(route, Route::Forward(_)) { "asks " } else { "" },
            route.peer(&url)
        )
    }

    #[test]
    fn each_scheme_has_its_proxy_and_upper_case_wins() {
        let proxies = proxies(&[
            ("http_proxy", "lower:1"),
            ("HTTP_PROXY", "http://u:p@upper:2"),
            ("HTTPS_PROXY", ""),
            ("https_proxy", "https://secure:3/path"),
        ]);
        assert_eq!(peer(&proxies, "http://h/x"), "asks proxy upper:2");
        assert_eq!(peer(&proxies, "https://h/x"), "proxy secure:3");
    }

    #[test]
    fn https_does_not_use_the_proxy_for_http() {
        let proxies = proxies(&[("HTTP_PROXY", "p:1")]);
        assert_eq!(peer(&proxies, "https://h/x"), "h");
    }

    #[test]
    fn socks_proxies_tunnel_plain_http_too() {
        let proxies = proxies(&[("http_proxy", "socks5://s:9")]);
        assert_eq!(peer(&proxies, "http://h/x"), "proxy s:9");
        let Route::Tunnel(proxy) = proxies.route(&Url::parse("http://h").unwrap()).unwrap() else {
            panic!("a tunnel")
        };
        assert!(!proxy.resolve_target(), "the proxy looks the name up");
    }

    #[test]
    fn this_machine_is_never_asked_through_a_proxy() {
        let proxies = proxies(&[("http_proxy", "p:1")]);
        for host in ["localhost", "127.0.0.1", "127.9.9.9:80", "[::1]", "[::1]:8080"] {
            assert_eq!(peer(&proxies, &format!("http://{host}/")), host);
        }
    }

    #[test]
    fn no_proxy_knows_names_ports_addresses_and_networks() {
        let table = [
            ("*", "h", true),
            ("example.com", "example.com", true),
            ("example.com", "EXAMPLE.com", true),
            ("example.com", "a.example.com", true),
            ("example.com", "anexample.com", false),
            (".example.com", "example.com", false),
            (".example.com", "a.example.com", true),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "example.com", false),
            ("example.com:8080", "example.com:8080", true),
            ("example.com:8080", "example.com", false),
            ("example.com:80", "example.com", true),
            ("a, b ,c", "b", true),
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.0/8", "10.9.9.9", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "11.0.0.1", true),
            ("fd00::/8", "[fd12::1]:90", true),
            ("fd00::1", "[fd00::1]", true),
            ("10.0.0.0/99", "10.0.0.1", false),
            ("", "h", false),
        ];
        for (exceptions, host, direct) in table {
            let proxies = proxies(&[("http_proxy", "p:1"), ("no_proxy", exceptions)]);
            let asked = peer(&proxies, &format!("http://{host}/"));
            assert_eq!(asked == host, direct, "{exceptions} {host}");
        }
    }

    #[test]
    fn a_useless_proxy_setting_is_an_error_without_its_password() {
        let proxies = proxies(&[("http_proxy", "ftp://u:secret@p")]);
        let error = proxies.route(&Url::parse("http://h").unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "invalid proxy address \"ftp://u:***@p\"");
    }
}
