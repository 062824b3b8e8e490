//! Zips by HTTP: resumed, retried and explained.

use std::net::TcpListener;

use super::scripted::{Server, answer, broken, ok, rest};
use super::web::Web;
use super::*;

#[test]
fn a_zip_becomes_a_directory() {
    let place = Place::new();
    let zip = zip_of(10_000);
    let server = Server::answering(vec![ok(&zip)]);
    let fetched = place.fetch(&server.url("/path/bp.zip?a=b#c")).unwrap();
    assert_eq!(fetched.bytes, zip.len() as u64);
    assert_eq!(place.read("bin/detect"), "#!/bin/sh\n");
    let asked = server.asked().remove(0);
    assert!(asked.starts_with("get /path/bp.zip?a=b http/1.1\r\n"), "{asked}");
}

#[test]
fn the_line_has_the_size_and_not_the_password() {
    let url = Url::parse("https://u:secret@h/bp.zip?a#b").unwrap();
    let fetched = Fetched { url, bytes: 1270, elapsed: Duration::from_millis(500) };
    let line = "Downloaded buildpack `https://u:***@h/bp.zip?a#b` (1.2K)";
    assert_eq!(fetched.line(), line);
}

#[test]
fn a_broken_download_continues_where_it_broke() {
    let place = Place::new();
    let zip = zip_of(300_000);
    let server = Server::answering(vec![broken(&zip, "\"v1\"", 200_000), rest(&zip, 200_000)]);
    place.fetch(&server.url("/bp.zip")).unwrap();
    assert_eq!(place.read("bin/detect"), "#!/bin/sh\n");
    let asked = server.asked().remove(1);
    for header in ["range: bytes=200000-", "if-range: \"v1\"", "accept-encoding: identity"] {
        assert!(asked.contains(&format!("\r\n{header}\r\n")), "{asked}");
    }
}

#[test]
fn a_download_starts_again_where_it_cannot_continue() {
    let zip = zip_of(300_000);
    let half = zip.len() / 2;
    let wrong = answer("206 Partial Content", "Content-Range: bytes 5-9/10\r\n", b"wrong");
    let chunked = answer("200 OK", "Transfer-Encoding: chunked\r\n", b"5\r\nPK\x03\x04?\r\n");
    for (first, then) in [
        // The file has changed meanwhile: a whole new one comes.
        (broken(&[b'x'; 9000], "\"old\"", 500), vec![ok(&zip)]),
        // A weak validator does not tell whether it is the same file.
        (broken(&zip, "W/\"v1\"", half), vec![ok(&zip)]),
        // A part that was not asked for.
        (broken(&zip, "\"v1\"", half), vec![wrong, ok(&zip)]),
        (broken(&zip, "\"v1\"", half), vec![answer("416 No", "", b""), ok(&zip)]),
        // Without a length nobody knows what is missing.
        (chunked, vec![ok(&zip)]),
    ] {
        let place = Place::new();
        let answers: Vec<_> = std::iter::once(first).chain(then).collect();
        let count = answers.len();
        let server = Server::answering(answers);
        place.fetch(&server.url("/bp.zip")).unwrap();
        assert_eq!(place.read("bin/detect"), "#!/bin/sh\n");
        let asked = server.asked();
        assert_eq!(asked.len(), count);
        assert!(!asked[count - 1].contains("\r\nrange: ") || count == 2, "{asked:?}");
    }
}

#[test]
fn a_length_that_does_not_hold_is_an_error() {
    let place = Place::new();
    let zip = zip_of(1000);
    let longer = format!("Content-Length: {}\r\n", zip.len() + 1000);
    let server = Server::answering(vec![answer("200 OK", &longer, &zip); 4]);
    let (sentence, lines) = place.failure(&server.url("/bp.zip"));
    let (got, of) = (Size(zip.len() as u64), Size(zip.len() as u64 + 1000));
    assert!(sentence.ends_with(&format!("unexpected EOF after {got} of {of}")), "{sentence}");
    assert_eq!(lines, ["Gave up after 4 attempts"]);
    assert_eq!(server.asked().len(), 4);
}

#[test]
fn hopeless_answers_are_not_asked_for_again() {
    for status in [401, 403, 404, 410, 304] {
        let place = Place::new();
        let server = Server::answering(vec![answer(&format!("{status} No"), "", b"")]);
        let url = server.url("/bp.zip").replace("//", "//me:secret@");
        let (sentence, lines) = place.failure(&url);
        assert_eq!(
            sentence,
            format!(
                "Failed to download buildpack '{}': Download failed: Status code {status}",
                url.replace("secret", "***")
            )
        );
        assert!(lines.is_empty());
        // me:secret
        assert!(server.asked()[0].contains("\r\nauthorization: basic bwu6c2vjcmv0\r\n"));
    }
}

#[test]
fn passing_troubles_are_waited_out() {
    let place = Place::new();
    let busy = |status: &str| answer(status, "Content-Length: 0\r\n", b"");
    let server = Server::answering(vec![
        busy("503 Busy"),
        busy("429 Slow down"),
        // Hangs up without a word.
        Vec::new(),
        ok(&zip_of(1000)),
    ]);
    let started = Instant::now();
    place.fetch(&server.url("/bp.zip")).unwrap();
    assert!(started.elapsed().as_secs_f64() >= 3.5);
    assert_eq!(server.asked().len(), 4);
}

#[test]
fn a_closed_port_is_tried_four_times() {
    let place = Place::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (sentence, lines) = place.failure(&format!("http://{free}/bp.zip"));
    assert_eq!(
        sentence,
        format!(
            "Failed to download buildpack 'http://{free}/bp.zip': Get \"http://{free}/bp.zip\": \
             {free}: connection refused"
        )
    );
    assert_eq!(lines, ["Gave up after 4 attempts"]);
}

#[test]
fn an_unknown_scheme_is_refused_at_once() {
    let (sentence, lines) = Place::new().failure("ftp://h/bp.zip");
    assert_eq!(
        sentence,
        "Failed to download buildpack 'ftp://h/bp.zip': Get \"ftp://h/bp.zip\": unsupported \
         protocol scheme \"ftp\""
    );
    assert!(lines.is_empty());
}

#[test]
fn redirects_and_gzip_are_followed() {
    let place = Place::new();
    let zip = zip_of(1000);
    let mut packed = Vec::new();
    let mut gzip = Command::new("gzip")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    io::Write::write_all(&mut gzip.stdin.take().unwrap(), &zip).unwrap();
    io::Read::read_to_end(gzip.stdout.as_mut().unwrap(), &mut packed).unwrap();
    gzip.wait().unwrap();
    let server = Server::answering(vec![
        answer("302 Found", "Location: /elsewhere\r\nContent-Length: 0\r\n", b""),
        answer(
            "200 OK",
            &format!("Content-Encoding: gzip\r\nContent-Length: {}\r\n", packed.len()),
            &packed,
        ),
    ]);
    assert_eq!(place.fetch(&server.url("/bp.zip")).unwrap().bytes, zip.len() as u64);
    assert!(server.asked()[1].starts_with("get /elsewhere "));
}

#[test]
fn proxies_of_the_environment_are_used() {
    let server = Server::answering(vec![ok(&zip_of(1000))]);
    let place = Place::new().with("http_proxy", server.url(""));
    place.fetch("http://buildpacks.invalid/bp.zip").unwrap();
    assert!(server.asked()[0].starts_with("get http://buildpacks.invalid/bp.zip "));
}

#[test]
fn what_is_no_zip_is_shown_and_leaves_nothing() {
    let place = Place::new();
    let page = b"<html>\n<title>Sign in</title>";
    let server = Server::answering(vec![ok(page)]);
    let url = server.url("/my*bp.zip");
    let (sentence, _) = place.failure(&url);
    let file = place.dir.path().join("tmp/my");
    let beginning = format!("Failed to extract buildpack '{url}': {}", file.display());
    assert!(sentence.starts_with(&beginning), "{sentence}");
    assert!(
        sentence.ends_with("bp.zip is not a zip archive: it begins with `<html>`"),
        "{sentence}"
    );
}

#[test]
fn a_missing_temporary_directory_is_named() {
    let place = Place::new().with("TMPDIR", "/nowhere");
    let (sentence, _) = place.failure("http://h/bp.zip");
    assert_eq!(
        sentence,
        "Failed to download buildpack 'http://h/bp.zip': /nowhere: no such file or directory"
    );
}

#[test]
fn https_servers_must_be_known_unless_told_otherwise() {
    let web = Web::start();
    fs::write(web.root().join("bp.zip"), zip_of(1000)).unwrap();
    let url = web.tls_url("/bp.zip");
    let unknown = Place::new().failure(&url);
    let reason = "tls: failed to verify certificate: x509: certificate signed by unknown authority";
    let sentence = format!("Failed to download buildpack '{url}': Get \"{url}\": {reason}");
    // No lines below it: there was one attempt.
    assert_eq!(unknown, (sentence, Vec::new()));
    Place { skip_cert_verify: true, ..Place::new() }.fetch(&url).unwrap();
    let place = Place::new().with("SSL_CERT_FILE", web.authority());
    place.fetch(&url).unwrap();
    assert_eq!(place.read("bin/detect"), "#!/bin/sh\n");
}
