//! The client against servers on the loopback.

use std::io::Write;
use std::net::TcpListener;

use super::test_server::{Authority, Key, answer, serve, serve_tls};
use super::*;

const PATIENCE: Timeouts = Timeouts {
    connect: Duration::from_secs(10),
    idle: Duration::from_secs(10),
    total: Duration::from_secs(30),
};

fn ok(body: &str) -> Vec<u8> {
    answer(200, body)
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn client() -> Client {
    Client::new(&Environment::default(), PATIENCE)
}

fn get(client: &Client, url: &str) -> Result<(u16, String), HttpError> {
    let url = Url::parse(url).unwrap();
    let response = client.send(&Request::get(&url))?;
    let status = response.status();
    let mut text = String::new();
    response.into_body().read_to_string(&mut text).unwrap();
    Ok((status, text))
}

#[test]
fn a_request_looks_like_the_predecessors() {
    let (port, asked) = serve(vec![ok("hello")]);
    let url = format!("http://us%40er:p%3Aw@127.0.0.1:{port}/a b?x=é y#frag");
    assert_eq!(get(&client(), &url).unwrap(), (200, "hello".to_owned()));
    let asked = asked.join().unwrap().remove(0).to_lowercase();
    let mut lines: Vec<_> = asked.trim_end().lines().collect();
    assert_eq!(lines.remove(0), "get /a%20b?x=%c3%a9%20y http/1.1");
    lines.sort_unstable();
    let expected = [
        "accept-encoding: gzip".to_owned(),
        // us@er:p:w
        "authorization: basic dxnazxi6cdp3".to_owned(),
        "connection: close".to_owned(),
        format!("host: 127.0.0.1:{port}"),
        "user-agent: go-http-client/1.1".to_owned(),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn other_statuses_are_answers_too() {
    let (port, _) = serve(vec![b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone".into()]);
    let answer = get(&client(), &format!("http://127.0.0.1:{port}/")).unwrap();
    assert_eq!(answer, (404, "gone".to_owned()));
}

#[test]
fn gzip_is_decoded_and_then_has_no_length() {
    // `printf hello | gzip -n`
    let packed =
        b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcb\x48\xcd\xc9\xc9\x07\0\x86\xa6\x10\x36\x05\0\0\0";
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        packed.len()
    );
    let (port, _) = serve(vec![[head.as_bytes(), packed].concat()]);
    let url = Url::parse(&format!("http://127.0.0.1:{port}/")).unwrap();
    let response = client().send(&Request::get(&url)).unwrap();
    assert_eq!(response.content_length(), None);
    let mut text = String::new();
    response.into_body().read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
}

#[test]
fn a_post_becomes_a_get_after_302_but_not_after_307() {
    for (status, body_is_sent_again) in [(302, false), (307, true)] {
        let redirect =
            format!("HTTP/1.1 {status} x\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n");
        let (port, asked) = serve(vec![redirect.into_bytes(), ok("done")]);
        let url = Url::parse(&format!("http://u:p@127.0.0.1:{port}/here")).unwrap();
        let request = Request::post(&url, b"the body").header("Content-Type", "text/plain");
        assert_eq!(client().send(&request).unwrap().status(), 200);
        let asked = asked.join().unwrap();
        assert!(asked[0].starts_with("POST /here ") && asked[0].ends_with("the body"));
        let verb = if body_is_sent_again { "POST" } else { "GET" };
        assert!(asked[1].starts_with(&format!("{verb} /there ")), "{}", asked[1]);
        assert_eq!(asked[1].ends_with("the body"), body_is_sent_again);
        assert!(asked[1].contains("uthorization"), "the same server gets the password");
    }
}

#[test]
fn an_absolute_redirect_gets_no_password() {
    let redirect =
        "HTTP/1.1 301 x\r\nLocation: http://127.0.0.1:PORT/\r\nContent-Length: 0\r\n\r\n";
    let (port, asked) = serve(vec![redirect.into(), ok("done")]);
    assert_eq!(get(&client(), &format!("http://u:p@127.0.0.1:{port}/")).unwrap().0, 200);
    let asked = asked.join().unwrap();
    assert!(asked[0].contains("uthorization") && !asked[1].contains("uthorization"));
}

#[test]
fn the_eleventh_redirect_is_too_much() {
    let redirect = "HTTP/1.1 301 x\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n";
    let (port, _) = serve(vec![redirect.into(); 11]);
    let error = get(&client(), &format!("http://u:p@127.0.0.1:{port}/")).unwrap_err();
    let sentence = format!("Get \"http://u:***@127.0.0.1:{port}/\": stopped after 10 redirects");
    assert_eq!(error.to_string(), sentence);
    assert!(!error.reason().is_passing());
}

#[test]
fn a_body_that_breaks_off_says_so_and_may_be_resumed() {
    let (port, _) = serve(vec![b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello".into()]);
    let url = Url::parse(&format!("http://127.0.0.1:{port}/")).unwrap();
    let response = client().send(&Request::get(&url)).unwrap();
    assert_eq!(response.content_length(), Some(10));
    let mut text = Vec::new();
    let error = response.into_body().read_to_end(&mut text).unwrap_err();
    assert_eq!(text, b"hello");
    assert_eq!(error.to_string(), format!("127.0.0.1:{port}: unexpected EOF"));
    assert!(Reason::of(&error).unwrap().is_passing());

    let (port, asked) = serve(vec![b"HTTP/1.1 206 x\r\nContent-Length: 5\r\n\r\nworld".into()]);
    let url = Url::parse(&format!("http://127.0.0.1:{port}/")).unwrap();
    let request =
        Request::get(&url).header("Range", "bytes=5-").header("Accept-Encoding", "identity");
    assert_eq!(client().send(&request).unwrap().status(), 206);
    let asked = asked.join().unwrap().remove(0).to_lowercase();
    assert!(asked.contains("range: bytes=5-\r\n") && !asked.contains("gzip"), "{asked}");
}

#[test]
fn failures_are_told_apart() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = get(&client(), &format!("http://{closed}/")).unwrap_err();
    let sentence = format!("Get \"http://{closed}/\": {closed}: connection refused");
    assert_eq!(error.to_string(), sentence);
    assert!(error.reason().is_passing());

    let error = get(&client(), "http://no-such-host.invalid/").unwrap_err();
    assert!(error.to_string().contains("lookup no-such-host.invalid: no such host ("), "{error}");

    let error = get(&client(), "ftp://h/").unwrap_err();
    assert_eq!(error.to_string(), "Get \"ftp://h/\": unsupported protocol scheme \"ftp\"");
    let error = get(&client(), "http:///x").unwrap_err();
    assert_eq!(error.to_string(), "Get \"http:///x\": http: no Host in request URL");
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = listener.local_addr().unwrap();
    let idle = Timeouts { idle: Duration::from_millis(50), ..PATIENCE };
    let error = get(&Client::new(&Environment::default(), idle), &format!("http://{peer}/"));
    let sentence = format!("Get \"http://{peer}/\": {peer}: i/o timeout (waiting for data)");
    assert_eq!(error.unwrap_err().to_string(), sentence);
}

#[test]
fn a_proxy_is_asked_for_the_whole_url() {
    let (port, asked) = serve(vec![ok("by proxy")]);
    let proxy = format!("http://pu:pp@127.0.0.1:{port}");
    let client = Client::new(&environment(&[("http_proxy", &proxy)]), PATIENCE);
    let answer = get(&client, "http://u:p@server.invalid:8080/a?b").unwrap();
    assert_eq!(answer, (200, "by proxy".to_owned()));
    let asked = asked.join().unwrap().remove(0);
    assert!(asked.starts_with("GET http://server.invalid:8080/a?b HTTP/1.1\r\n"), "{asked}");
    // pu:pp
    assert!(asked.contains("\r\nProxy-Authorization: Basic cHU6cHA=\r\n"), "{asked}");
    assert!(asked.to_lowercase().contains("\r\nhost: server.invalid:8080\r\n"), "{asked}");
}

#[test]
fn a_proxy_is_asked_for_a_tunnel_to_https_servers() {
    let (port, asked) = serve(vec![b"HTTP/1.1 403 Forbidden\r\n\r\n".into()]);
    let proxy = format!("127.0.0.1:{port}");
    let client = Client::new(&environment(&[("HTTPS_PROXY", &proxy)]), PATIENCE);
    let error = get(&client, "https://server.invalid/").unwrap_err();
    assert!(
        error.to_string().contains(&format!("proxy {proxy}: proxy server responded 403")),
        "{error}"
    );
    let asked = asked.join().unwrap().remove(0);
    assert!(asked.starts_with("CONNECT server.invalid:443 HTTP/1.1\r\n"), "{asked}");
}

#[test]
fn the_roots_of_ssl_cert_file_and_ssl_cert_dir_are_trusted() {
    let authority = Authority::new();
    authority.issue("server", Key::EcPkcs8, "IP:127.0.0.1,DNS:localhost", 2);
    let file = authority.path("ca.crt");
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(&file, folder.path().join("any.name")).unwrap();
    let file = ("SSL_CERT_FILE", file.to_str().unwrap());
    let folders = format!("/nope:{}", folder.path().display());
    for variables in [vec![file], vec![("SSL_CERT_DIR", &folders)]] {
        let (port, _) = serve_tls(authority.server("server", false), vec![ok("secret"); 2]);
        let client = Client::new(&environment(&variables), PATIENCE);
        for host in ["127.0.0.1", "localhost"] {
            let answer = get(&client, &format!("https://{host}:{port}/")).unwrap();
            assert_eq!(answer, (200, "secret".to_owned()), "{variables:?}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_certificate_is_said() {
    let authority = Authority::new();
    let file = authority.path("ca.crt");
    let trusting = environment(&[("SSL_CERT_FILE", file.to_str().unwrap())]);
    authority.issue("good", Key::EcPkcs8, "IP:127.0.0.1", 2);
    authority.issue("other", Key::EcPkcs8, "IP:127.0.0.2,DNS:h.example", 2);
    authority.issue("old", Key::EcPkcs8, "IP:127.0.0.1", -1);
    let table = [
        ("good", &Environment::default(), "certificate signed by unknown authority"),
        ("other", &trusting, "certificate is valid for "),
        ("old", &trusting, "certificate has expired or is not yet valid"),
    ];
    for (name, environment, words) in table {
        let (port, _) = serve_tls(authority.server(name, false), vec![ok("secret"); 2]);
        let url = format!("https://127.0.0.1:{port}/");
        let error = get(&Client::new(environment, PATIENCE), &url).unwrap_err();
        let start = format!("Get \"{url}\": tls: failed to verify certificate: x509: {words}");
        assert!(error.to_string().starts_with(&start), "{error}");
        assert!(!error.reason().is_passing());
        let careless = Client::new(environment, PATIENCE).without_verification();
        assert_eq!(get(&careless, &url).unwrap(), (200, "secret".to_owned()), "{name}");
    }
}

#[test]
fn a_wrong_name_is_told_with_the_right_ones() {
    let authority = Authority::new();
    authority.issue("other", Key::EcPkcs8, "IP:127.0.0.2,DNS:h.example", 2);
    let (port, _) = serve_tls(authority.server("other", false), vec![ok("secret")]);
    let file = authority.path("ca.crt");
    let trusting = environment(&[("SSL_CERT_FILE", file.to_str().unwrap())]);
    let error = get(&Client::new(&trusting, PATIENCE), &format!("https://127.0.0.1:{port}/"));
    let error = error.unwrap_err().to_string();
    assert!(
        error.ends_with("certificate is valid for 127.0.0.2, h.example, not 127.0.0.1"),
        "{error}"
    );
}

#[test]
fn https_goes_through_a_tunnel() {
    let authority = Authority::new();
    authority.issue("server", Key::EcPkcs8, "DNS:server.invalid", 2);
    let (port, _) = serve_tls(authority.server("server", false), vec![ok("through")]);
    // A proxy that connects every tunnel to that server.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = listener.local_addr().unwrap().to_string();
    let tunnel = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let mut server = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut client_out, mut server_in) =
            (client.try_clone().unwrap(), server.try_clone().unwrap());
        let back = std::thread::spawn(move || io::copy(&mut server_in, &mut client_out));
        let _closed = io::copy(&mut client, &mut server);
        let _closed = server.shutdown(std::net::Shutdown::Write);
        let _closed = back.join().unwrap();
        String::from_utf8(head).unwrap()
    });
    let file = authority.path("ca.crt");
    let variables = [
        ("SSL_CERT_FILE", file.to_str().unwrap()),
        ("HTTPS_PROXY", &format!("http://u%40:p@{proxy}")),
    ];
    let client = Client::new(&environment(&variables), PATIENCE);
    let answer = get(&client, "https://server.invalid/").unwrap();
    assert_eq!(answer, (200, "through".to_owned()));
    let head = tunnel.join().unwrap();
    assert!(head.starts_with("CONNECT server.invalid:443 HTTP/1.1\r\n"), "{head}");
    // u@:p
    assert!(head.contains("Proxy-Authorization: Basic dUA6cA==\r\n"), "{head}");
}

#[test]
fn socks5_proxies_look_the_name_up_themselves() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("socks5://{}", listener.local_addr().unwrap());
    let proxying = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut hello = [0; 3];
        client.read_exact(&mut hello).unwrap();
        // Version 5, no authentication.
        client.write_all(&[5, 0]).unwrap();
        // Version, connect, reserved, a name, its length, the name, the port.
        let mut request = [0; 5 + 14 + 2];
        client.read_exact(&mut request).unwrap();
        client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
        client.write_all(&ok("by socks")).unwrap();
        request
    });
    let client = Client::new(&environment(&[("http_proxy", &proxy)]), PATIENCE);
    let answer = get(&client, "http://server.invalid:258/").unwrap();
    assert_eq!(answer, (200, "by socks".to_owned()));
    let asked = proxying.join().unwrap();
    assert_eq!(asked, *b"\x05\x01\0\x03\x0eserver.invalid\x01\x02");
}

#[test]
fn a_self_signed_certificate_among_the_roots_is_believed_for_its_names_and_days() {
    let authority = Authority::new();
    authority.self_sign("good", "IP:127.0.0.1", 2);
    authority.self_sign("other", "DNS:h.example", 2);
    authority.self_sign("old", "IP:127.0.0.1", -1);
    let table = [
        ("good", None),
        ("other", Some("x509: certificate is valid for h.example, not 127.0.0.1")),
        ("old", Some("x509: certificate has expired or is not yet valid")),
    ];
    for (name, refusal) in table {
        let file = authority.path(&format!("{name}.crt"));
        let trusting = environment(&[("SSL_CERT_FILE", file.to_str().unwrap())]);
        let (port, _) = serve_tls(authority.server(name, false), vec![ok("secret"); 2]);
        let url = format!("https://127.0.0.1:{port}/");
        let answer = get(&Client::new(&trusting, PATIENCE), &url);
        match refusal {
            None => assert_eq!(answer.unwrap().0, 200),
            Some(words) => assert!(answer.unwrap_err().to_string().contains(words), "{words}"),
        }
        // Others do not believe it.
        let answer = get(&client(), &url).unwrap_err().to_string();
        assert!(answer.ends_with("x509: certificate signed by unknown authority"), "{answer}");
    }
}
