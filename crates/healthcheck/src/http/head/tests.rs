//! Answers, whole and byte by byte: both ways must agree.

use super::*;

type Parsed = Result<Option<(Head, usize)>, Malformed>;

/// The head of `answer`, read at once; checks that reading byte by byte gives the same.
fn read(answer: &[u8]) -> Parsed {
    let parsed = HeadParser::default().push(answer);
    check_piecewise(answer, &parsed);
    parsed
}

fn check_piecewise(answer: &[u8], expected: &Parsed) {
    let mut parser = HeadParser::default();
    let mut parsed = Ok(None);
    for (index, byte) in answer.iter().enumerate() {
        parsed = parser.push(&[*byte]).map(|head| head.map(|(head, used)| (head, index + used)));
        if !matches!(parsed, Ok(None)) {
            break;
        }
    }
    assert_eq!(parsed, *expected, "{:?}", String::from_utf8_lossy(answer));
}

fn head(answer: &str) -> Head {
    read(answer.as_bytes()).unwrap().expect("a whole header").0
}

fn reason(answer: &str) -> &'static str {
    read(answer.as_bytes()).unwrap_err().0
}

#[test]
fn any_version_and_any_three_digits_are_a_status_line() {
    for (line, status) in [
        ("HTTP/1.1 200 OK", 200),
        ("HTTP/1.0 200 OK", 200),
        ("HTTP/1.2 204", 204),
        ("HTTP/2.0 404 ", 404),
        ("HTTP/3.0 500 Some long reason", 500),
        ("HTTP/1.1   200 OK", 200),
        ("HTTP/1.1 000 x", 0),
        ("HTTP/1.1 099 x", 99),
        ("HTTP/1.1 999 x", 999),
    ] {
        assert_eq!(head(&format!("{line}\r\n\r\n")).status, status, "{line}");
        assert_eq!(head(&format!("{line}\n\n")).status, status, "{line} with bare newlines");
    }
}

#[test]
fn what_only_looks_like_a_status_line_is_malformed() {
    for line in [
        "",
        "HTTP/1.10 200 OK",
        "http/1.1 200 OK",
        "HTTP/1.1 200OK",
        "HTTP/1.1 20",
        "HTTP/1.1 0200",
        "HTTP/1.1 -20",
        "HTTP/1.1",
        "HTTP/1.1200 OK",
        "HTTP/1.1 \t200 OK",
        "HTTP/x.1 200 OK",
        "SSH-2.0-OpenSSH_9.2",
        "\u{16}\u{3}\u{1}",
    ] {
        let answer = format!("{line}\r\n\r\n");
        assert_eq!(reason(&answer), "it does not begin with a status line", "{line}");
    }
}

#[test]
fn header_lines_are_read_with_tolerance() {
    for lines in [
        "X: y\r\n",
        "X:\r\n",
        "X: a\r\n b\r\n\tc\r\n",
        "X Y: z\r\n",
        "X: \u{e9}\r\n",
        "X: y\nZ: y\n",
        "X: a\rb\r\n",
    ] {
        assert_eq!(head(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n")).status, 200, "{lines:?}");
    }
    for (lines, expected) in [
        ("X\r\n", "a header line has no colon"),
        (": y\r\n", "a header line has no name"),
        (" X: y\r\n", "its first header line begins with a blank"),
        ("X: a\0b\r\n", "its header holds a NUL byte"),
    ] {
        assert_eq!(reason(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n")), expected, "{lines:?}");
    }
}

#[test]
fn the_body_is_framed_as_the_header_says() {
    for (lines, framing) in [
        ("", Framing::UntilClose),
        ("Content-Length: 5\r\n", Framing::Length(5)),
        ("content-length:5\r\n", Framing::Length(5)),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", Framing::Length(5)),
        ("Content-Length:\r\n 5\r\n", Framing::Length(5)),
        ("Transfer-Encoding: chunked\r\n", Framing::Chunked),
        ("Transfer-Encoding: Chunked\r\nContent-Length: x\r\n", Framing::Chunked),
        ("Content-Length: 9223372036854775807\r\n", Framing::Length(i64::MAX as u64)),
    ] {
        assert_eq!(head(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n")).framing, framing, "{lines:?}");
    }
    let old = head("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(old.framing, Framing::UntilClose, "HTTP/1.0 knows no chunks");
    for status in ["100", "204", "304"] {
        let head = head(&format!("HTTP/1.1 {status} x\r\nContent-Length: 5\r\n\r\n"));
        assert_eq!(head.framing, Framing::Length(0), "{status}");
    }
}

#[test]
fn bad_framing_is_malformed() {
    for lines in
        ["Content-Length: -1", "Content-Length: x", "Content-Length:", "Content-Length: +5"]
    {
        let answer = format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n");
        assert_eq!(reason(&answer), "its Content-Length is not a number", "{lines}");
    }
    let two = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n";
    assert_eq!(reason(two), "it has two different Content-Lengths");
    for lines in
        ["Transfer-Encoding: gzip", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"]
    {
        let answer = format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n");
        assert_eq!(reason(&answer), "its Transfer-Encoding is not chunked", "{lines}");
    }
    let large = "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n";
    assert_eq!(reason(large), "its Content-Length is not a number");
}

#[test]
fn the_first_location_counts_and_what_follows_the_header_is_left() {
    let answer = b"HTTP/1.1 302 Found\r\nlocation:  /a \r\nLocation: /b\r\n\r\nbody";
    let (head, used) = read(answer).unwrap().unwrap();
    assert_eq!((head.location.as_slice(), used), (&b"/a"[..], answer.len() - 4));
}

#[test]
fn long_lines_are_skipped_unless_they_matter() {
    let long = "x".repeat(100_000);
    assert_eq!(head(&format!("HTTP/1.1 200 {long}\r\nX: {long}\r\n {long}\r\n\r\n")).status, 200);
    let location = format!("HTTP/1.1 302 Found\r\nLocation: /{long}\r\n\r\n");
    assert_eq!(reason(&location), "a header line is longer than 8 KiB");
    let location = format!("HTTP/1.1 302 Found\r\nLocation: /\r\n {long}\r\n\r\n");
    assert_eq!(reason(&location), "a header line is longer than 8 KiB");
}

#[test]
fn a_long_line_keeps_no_more_than_its_limit() {
    let mut parser = HeadParser::default();
    assert_eq!(parser.push(b"HTTP/1.1 200 OK\r\nX: "), Ok(None));
    for _ in 0..1000 {
        assert_eq!(parser.push(&[b'x'; 1000]), Ok(None));
    }
    assert!(parser.line.capacity() <= 2 * LINE_LIMIT, "{}", parser.line.capacity());
}

#[test]
fn a_header_of_more_than_ten_mebibytes_is_malformed() {
    let mut parser = HeadParser::default();
    assert_eq!(parser.push(b"HTTP/1.1 200 OK\r\n"), Ok(None));
    let line = [b"X: ".as_slice(), &[b'x'; 8000], b"\r\n"].concat();
    let outcome = (0..2000).map(|_| parser.push(&line)).find(|outcome| *outcome != Ok(None));
    assert_eq!(outcome, Some(Err(Malformed("its header is longer than 10 MiB"))));
    let mut parser = HeadParser::default();
    let outcome =
        (0..2000).map(|_| parser.push(&[b'x'; 8000])).find(|outcome| *outcome != Ok(None));
    assert_eq!(outcome, Some(Err(Malformed("its header is longer than 10 MiB"))), "status line");
}
