//! The client against servers on the loopback.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use super::*;

const PATIENCE: Timeouts = Timeouts {
    connect: Duration::from_secs(10),
    idle: Duration::from_secs(10),
    total: Duration::from_secs(30),
};

/// Answers one connection after the other with the next of `answers`, `PORT` replaced by its own
/// port; joining gives what was asked.
fn server(answers: Vec<Vec<u8>>) -> (u16, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answering = thread::spawn(move || {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            asked.push(read_request(&stream));
            let text = String::from_utf8(answer.clone())
                .map_or(answer, |text| text.replace("PORT", &port.to_string()).into_bytes());
            stream.write_all(&text).unwrap();
        }
        asked
    });
    (port, answering)
}

fn read_request(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    while reader.read_line(&mut request).unwrap() > 2 {}
    let length = request.to_lowercase();
    let length =
        length.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    request + std::str::from_utf8(&body).unwrap()
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
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
    let (port, asked) = server(vec![ok("hello")]);
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
    let (port, _) = server(vec![b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone".into()]);
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
    let (port, _) = server(vec![[head.as_bytes(), packed].concat()]);
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
        let (port, asked) = server(vec![redirect.into_bytes(), ok("done")]);
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
    let (port, asked) = server(vec![redirect.into(), ok("done")]);
    assert_eq!(get(&client(), &format!("http://u:p@127.0.0.1:{port}/")).unwrap().0, 200);
    let asked = asked.join().unwrap();
    assert!(asked[0].contains("uthorization") && !asked[1].contains("uthorization"));
}

#[test]
fn the_eleventh_redirect_is_too_much() {
    let redirect = "HTTP/1.1 301 x\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n";
    let (port, _) = server(vec![redirect.into(); 11]);
    let error = get(&client(), &format!("http://u:p@127.0.0.1:{port}/")).unwrap_err();
    let sentence = format!("Get \"http://u:***@127.0.0.1:{port}/\": stopped after 10 redirects");
    assert_eq!(error.to_string(), sentence);
    assert!(!error.reason().is_passing());
}

#[test]
fn a_body_that_breaks_off_says_so_and_may_be_resumed() {
    let (port, _) = server(vec![b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello".into()]);
    let url = Url::parse(&format!("http://127.0.0.1:{port}/")).unwrap();
    let response = client().send(&Request::get(&url)).unwrap();
    assert_eq!(response.content_length(), Some(10));
    let mut text = Vec::new();
    let error = response.into_body().read_to_end(&mut text).unwrap_err();
    assert_eq!(text, b"hello");
    assert_eq!(error.to_string(), format!("127.0.0.1:{port}: unexpected EOF"));
    assert!(Reason::of(&error).unwrap().is_passing());

    let (port, asked) = server(vec![b"HTTP/1.1 206 x\r\nContent-Length: 5\r\n\r\nworld".into()]);
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
    let (port, asked) = server(vec![ok("by proxy")]);
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
    let (port, asked) = server(vec![b"HTTP/1.1 403 Forbidden\r\n\r\n".into()]);
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
