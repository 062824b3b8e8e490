//! HTTP checks: requests, verdicts, answers, redirects (contract, section 6).

use std::io::Write;
use std::time::Duration;

use crate::run::{Run, own_address, run};
use crate::server::{ClosedPort, answering, recording, request, send, serve, stalling_after};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn get(port: u16, uri: &str) -> Run {
    run(&[format!("-port={port}"), format!("-uri={uri}"), "-timeout=5s".to_owned()])
}

/// The first line and the rest of the request for `uri`.
fn requested(uri: &str) -> (String, String) {
    let (port, requests) = recording(OK);
    get(port, uri).passes();
    let request = requests.recv_timeout(Duration::from_secs(5)).unwrap();
    let (line, rest) = request.split_once("\r\n").unwrap();
    (line.to_owned(), rest.replace(&port.to_string(), "PORT"))
}

#[test]
fn the_request_has_a_host_and_the_two_headers_that_apps_look_at() {
    let (line, rest) = requested("/ping?x=%zz#f");
    assert_eq!(line, "GET /ping?x=%zz HTTP/1.1");
    let host = own_address();
    let expected = format!(
        "Host: {host}:PORT\r\nUser-Agent: diego-healthcheck\r\nX-Forwarded-Proto: https\r\n\r\n"
    );
    assert_eq!(rest, expected);
}

#[test]
fn the_target_is_the_uri() {
    for (uri, target) in [
        ("/a/../b//c", "/a/../b//c"),
        ("?x=1", "/?x=1"),
        ("#", "/"),
        ("/a b?c d", "/a%20b?c d"),
        ("/%e9%2F", "/%e9%2F"),
        ("/\u{e9}", "/%C3%A9"),
    ] {
        assert_eq!(requested(uri).0, format!("GET {target} HTTP/1.1"), "{uri}");
    }
}

#[test]
fn the_network_flag_is_not_read() {
    let port = answering(OK);
    run(&[format!("-port={port}"), "-uri=/".to_owned(), "-network=bogus".to_owned()]).passes();
}

#[test]
fn what_makes_no_url_is_status_6_and_sends_nothing() {
    let (port, requests) = recording(OK);
    for uri in ["ok", "@localhost:80/x", "/%zz", "/ok%2", "/ok#%zz", "/a\tb", "/\u{7f}"] {
        let sentence = format!("failed to create an HTTP request to '{uri}' on port {port}");
        get(port, uri).says(6, &sentence);
    }
    // A newline is repeated as it is, like everything of the URI.
    let output = crate::run::command(&crate::run::program())
        .args([format!("-port={port}"), "-uri=/a\nb".to_owned()])
        .output()
        .unwrap();
    let sentence = format!("failed to create an HTTP request to '/a\nb' on port {port}\n");
    assert_eq!(
        (output.status.code(), String::from_utf8(output.stderr).unwrap()),
        (Some(6), sentence)
    );
    for port in ["-1", "http", "+80"] {
        let sentence = format!("failed to create an HTTP request to '/' on port {port}");
        run(&["-port", port, "-uri=/"]).says(6, &sentence);
    }
    assert!(requests.try_recv().is_err());
}

#[test]
fn only_200_passes() {
    for (status, passes) in [
        ("200 OK", true),
        ("200", true),
        ("201 Created", false),
        ("204 No Content", false),
        ("000 x", false),
        ("099 x", false),
        ("300 Multiple Choices\r\nLocation: /", false),
        ("304 Not Modified\r\nLocation: /", false),
        ("302 Found", false),
        ("302 Found\r\nLocation:", false),
        ("404 Not Found", false),
        ("500 Internal Server Error", false),
        ("999 x", false),
    ] {
        let port = answering(format!("HTTP/1.1 {status}\r\n\r\n"));
        let run = get(port, "/x");
        if passes {
            run.passes();
            continue;
        }
        let number: u16 = status[..3].parse().unwrap();
        let start = format!(
            "failed to make HTTP request to '/x' on port {port}: received status code {number} in "
        );
        let rest = run.line.strip_prefix(&start).unwrap_or_else(|| panic!("{status}: {run:?}"));
        let milliseconds = rest.split_once("ms").unwrap().0;
        assert!(milliseconds.parse::<u32>().is_ok(), "{run:?}");
        run.says(6, &format!("{start}{milliseconds}ms"));
    }
}

#[test]
fn the_milliseconds_are_those_until_the_header() {
    let port = serve(|mut stream| {
        request(&mut stream);
        std::thread::sleep(Duration::from_millis(300));
        send(&mut stream, b"HTTP/1.1 500 x\r\nContent-Length: 2\r\n\r\n");
        std::thread::sleep(Duration::from_secs(1));
        send(&mut stream, b"ok");
    });
    let run = get(port, "/");
    let number = run.line.split(" in ").nth(1).unwrap().split("ms").next().unwrap();
    let number: u32 = number.parse().unwrap();
    assert!((300..1300).contains(&number), "{run:?}");
    assert!(run.took > Duration::from_millis(1250), "the body is read before the verdict: {run:?}");
}

#[test]
fn answers_are_read_with_gos_tolerance() {
    for answer in [
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/3.0 200 OK\n\n",
        "HTTP/1.1 200 OK\r\nX Y: a\r\n b\r\nZ: \u{e9}\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        // Errors in the body are no errors.
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: x\r\n\r\n0\r\n\r\n",
    ] {
        get(answering(answer), "/").passes();
    }
}

#[test]
fn what_is_no_answer_is_status_5_with_the_fixed_words_and_the_cause() {
    let two = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n";
    for (answer, cause) in [
        ("", "the app closed the connection without an answer"),
        (
            "HTTP/1.1 200 OK\r\nX: y",
            "the app closed the connection in the middle of the answer's header",
        ),
        ("SSH-2.0-x\r\n", "the app's answer is not HTTP: it does not begin with a status line"),
        (
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
            "the app's answer is not HTTP: it does not begin with a status line",
        ),
        (
            "http/1.1 200 OK\r\n\r\n",
            "the app's answer is not HTTP: it does not begin with a status line",
        ),
        (
            "HTTP/1.10 200 OK\r\n\r\n",
            "the app's answer is not HTTP: it does not begin with a status line",
        ),
        (
            "HTTP/1.1 0200 OK\r\n\r\n",
            "the app's answer is not HTTP: it does not begin with a status line",
        ),
        (
            "HTTP/1.1 200 OK\r\nX\r\n\r\n",
            "the app's answer is not HTTP: a header line has no colon",
        ),
        (
            "HTTP/1.1 200 OK\r\n: y\r\n\r\n",
            "the app's answer is not HTTP: a header line has no name",
        ),
        (
            "HTTP/1.1 200 OK\r\n X: y\r\n\r\n",
            "the app's answer is not HTTP: its first header line begins with a blank",
        ),
        (
            "HTTP/1.1 200 OK\r\nX: \0\r\n\r\n",
            "the app's answer is not HTTP: its header holds a NUL byte",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "the app's answer is not HTTP: its Content-Length is not a number",
        ),
        (two, "the app's answer is not HTTP: it has two different Content-Lengths"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "the app's answer is not HTTP: its Transfer-Encoding is not chunked",
        ),
    ] {
        let port = answering(answer);
        let sentence = format!(
            "failed to make HTTP request to '/' on port {port}: connection refused ({cause}"
        );
        let run = get(port, "/");
        assert!(run.line.starts_with(&sentence), "{run:?}\nexpected: {sentence}");
        assert_eq!(run.status, Some(5));
    }
}

#[test]
fn an_app_that_speaks_another_protocol_and_closes_is_said_to() {
    for (answer, cause) in [
        // The begin of a TLS alert: the app expects https.
        ("\x15\x03\x01\0\x02", " (the app's answer is not HTTP: it does not begin with"),
        ("HTT", " (the app closed the connection in the middle of the answer's header"),
    ] {
        let run = get(answering(answer), "/");
        assert!(run.line.contains(cause), "{run:?}");
    }
}

#[test]
fn a_refused_connection_and_a_port_too_large_are_status_5() {
    let closed = ClosedPort::new();
    let sentence =
        |port| format!("failed to make HTTP request to '/ping' on port {port}: connection refused");
    get(closed.number, "/ping").says(5, &sentence(u32::from(closed.number)));
    let run = run(&["-port=65536", "-uri=/ping"]);
    run.says(5, &sentence(65536));
    assert!(run.line.contains(" (there is no such port"), "{run:?}");
}

#[test]
fn without_timeout_an_answer_may_take_its_time() {
    let port = serve(|mut stream| {
        request(&mut stream);
        std::thread::sleep(Duration::from_millis(1200));
        send(&mut stream, OK.as_bytes());
    });
    for timeout in ["-timeout=0", "-timeout=-1s"] {
        run(&[format!("-port={port}"), "-uri=/".to_owned(), timeout.to_owned()]).passes();
    }
}

#[test]
fn chunked_answers_on_a_connection_that_stays_open_end_at_their_end() {
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n";
    for answer in [OK, chunks, "HTTP/1.1 204 x\r\n\r\n"] {
        let run = get(stalling_after(answer), "/");
        assert!(run.took < Duration::from_secs(3), "{run:?}");
    }
}

#[test]
fn every_check_has_a_connection_of_its_own() {
    let (port, requests) = recording(OK);
    let arguments =
        [format!("-port={port}"), "-uri=/".to_owned(), "-liveness-interval=10ms".to_owned()];
    let mut child = crate::run::start(&arguments);
    // `recording` answers one request a connection.
    for _ in 0..3 {
        requests.recv_timeout(Duration::from_secs(5)).unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A server that redirects `/0` to `/1` and so on up to `/last`, which is answered with 200.
fn redirecting(last: u32, status: u16) -> (u16, std::sync::mpsc::Receiver<String>) {
    let (sender, requests) = std::sync::mpsc::channel();
    let port = serve(move |mut stream| {
        let request = request(&mut stream);
        let path = request.split(' ').nth(1).unwrap_or_default();
        let number: u32 = path.trim_start_matches('/').parse().unwrap_or_default();
        let _nobody_listens = sender.send(request);
        if number < last {
            let answer = format!("HTTP/1.1 {status} x\r\nLocation: /{}\r\n\r\n", number + 1);
            send(&mut stream, answer.as_bytes());
        } else {
            send(&mut stream, OK.as_bytes());
        }
    });
    (port, requests)
}

#[test]
fn nine_redirects_are_followed_and_the_tenth_is_status_5() {
    for status in [301, 302, 303, 307, 308] {
        get(redirecting(1, status).0, "/0").passes();
    }
    let (port, requests) = redirecting(9, 302);
    get(port, "/0").passes();
    assert_eq!(requests.try_iter().count(), 10);
    let (port, requests) = redirecting(10, 302);
    let run = get(port, "/0");
    run.says(5, &format!("failed to make HTTP request to '/0' on port {port}: connection refused"));
    assert!(run.line.contains("(gave up after 9 redirects"), "{run:?}");
    assert_eq!(requests.try_iter().count(), 10);
}

#[test]
fn a_redirected_request_names_where_it_comes_from() {
    let (port, requests) = redirecting(1, 302);
    get(port, "/0?q").passes();
    let second = requests.try_iter().nth(1).unwrap();
    let referer = format!("\r\nReferer: http://{}:{port}/0?q\r\n", own_address());
    assert!(second.contains(&referer), "{second}");
    assert!(
        second.contains("\r\nUser-Agent: diego-healthcheck\r\nX-Forwarded-Proto: https\r\n"),
        "{second}"
    );
}

#[test]
fn the_body_of_a_redirect_is_read_before_it_is_followed() {
    // The connection was closed after the header: the app saw its own answer fail.
    let (sender, sent) = std::sync::mpsc::channel();
    let port = serve(move |mut stream| {
        if request(&mut stream).starts_with("GET /last ") {
            return send(&mut stream, OK.as_bytes());
        }
        send(&mut stream, b"HTTP/1.1 302 x\r\nLocation: /last\r\nContent-Length: 4\r\n\r\n");
        std::thread::sleep(Duration::from_millis(50));
        send(&mut stream, b"bo");
        std::thread::sleep(Duration::from_millis(50));
        sender.send(stream.write_all(b"dy").is_ok()).unwrap();
    });
    get(port, "/").passes();
    assert!(sent.recv_timeout(Duration::from_secs(5)).unwrap());
}

#[test]
fn redirects_to_another_port_of_the_app_are_followed() {
    let other = answering(OK);
    for location in
        [format!("http://{}:{other}/x", own_address()), format!("//{}:{other}", own_address())]
    {
        let port = answering(format!("HTTP/1.1 302 x\r\nLocation: {location}\r\n\r\n"));
        get(port, "/").passes();
    }
    let missing = answering("HTTP/1.1 404 x\r\n\r\n");
    let location = format!("http://{}:{missing}/x", own_address());
    let port = answering(format!("HTTP/1.1 302 x\r\nLocation: {location}\r\n\r\n"));
    // The texts keep the first port and URI.
    let start =
        format!("failed to make HTTP request to '/y' on port {port}: received status code 404 in ");
    assert!(get(port, "/y").line.starts_with(&start));
}

#[test]
fn a_redirect_with_credentials_has_them_sent() {
    let (other, requests) = recording(OK);
    let location = format!("http://user:word@{}:{other}/x", own_address());
    let port = answering(format!("HTTP/1.1 302 x\r\nLocation: {location}\r\n\r\n"));
    get(port, "/").passes();
    let request = requests.recv_timeout(Duration::from_secs(5)).unwrap();
    assert!(request.contains("\r\nAuthorization: Basic dXNlcjp3b3Jk\r\n"), "{request}");
}

#[test]
fn redirects_elsewhere_are_status_5_with_the_reason() {
    let own = own_address();
    for (location, reason) in [
        (
            format!("https://{own}/x?secret"),
            format!("redirected to https://{own}/x: https is not followed"),
        ),
        (
            "http://example.com/".to_owned(),
            "redirected to http://example.com/: another host is not followed".to_owned(),
        ),
        (
            "http://127.0.0.1/".to_owned(),
            "redirected to http://127.0.0.1/: another host is not followed".to_owned(),
        ),
        ("ftp://x/".to_owned(), "redirected to ftp://x/: not an http URL".to_owned()),
        ("/%zz".to_owned(), "redirected to /%zz: not a URL".to_owned()),
    ] {
        let port = answering(format!("HTTP/1.1 302 x\r\nLocation: {location}\r\n\r\n"));
        let run = get(port, "/");
        let sentence = format!(
            "failed to make HTTP request to '/' on port {port}: connection refused ({reason}"
        );
        assert!(run.line.starts_with(&sentence), "{run:?}\nexpected: {sentence}");
        assert_eq!(run.status, Some(5));
    }
}
