//! What the server answers, asked by curl, wget and bare sockets.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use suite::{DEADLINE, tool, wait_for};
use tempfile::TempDir;

use crate::program::{FileServer, noise};

/// SHA-256 of `0123456789`.
const TAG: &str = "\"84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882\"";
const DATE: &str = "Sun, 09 Sep 2001 01:46:40 GMT";
const EARLIER: &str = "Sun, 09 Sep 2001 01:46:39 GMT";

/// `bundle/ten.txt` with ten digits, from the year 2001, and `big.bin` with noise.
fn scene() -> (TempDir, FileServer) {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("bundle")).unwrap();
    fs::write(dir.path().join("bundle/ten.txt"), "0123456789").unwrap();
    tool("touch", ["-d", "@1000000000", &dir.path().join("bundle/ten.txt").to_string_lossy()]);
    fs::write(dir.path().join("big.bin"), noise(3_000_000)).unwrap();
    let server = FileServer::of(dir.path());
    (dir, server)
}

/// Status, headers and body as curl gets them.
fn ask(words: &[&str]) -> (String, String, String) {
    let answer = tool("curl", ["-si", "--path-as-is", "--max-time", "30"].iter().chain(words));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().to_owned();
    (status, head.to_owned(), body.to_owned())
}

#[test]
fn a_file_comes_with_its_content_hash_its_date_and_its_length() {
    let (dir, server) = scene();
    let url = server.url("bundle/ten.txt");
    let (status, head, body) = ask(&[&url]);
    assert_eq!((status.as_str(), body.as_str()), ("200", "0123456789"));
    let headers = [
        format!("Etag: {TAG}"),
        format!("Last-Modified: {DATE}"),
        "Content-Length: 10".to_owned(),
        "Accept-Ranges: bytes".to_owned(),
        "Content-Type: text/plain; charset=utf-8".to_owned(),
    ];
    for line in &headers {
        assert!(head.lines().any(|found| found == line), "no `{line}` in {head}");
    }
    let head_only = tool("curl", ["-sI", &url]);
    for line in &headers {
        assert!(head_only.lines().any(|found| found == line), "no `{line}` in {head_only}");
    }
    // The same after another start.
    let again = FileServer::of(dir.path());
    assert!(ask(&[&again.url("bundle/ten.txt")]).1.contains(TAG));
}

#[test]
fn refusals_have_the_platforms_statuses_and_words() {
    let (dir, server) = scene();
    fs::create_dir(dir.path().join("empty")).unwrap();
    for (name, status, sentence) in [
        ("bundle/missing.tgz", "404", "File not found: missing.tgz"),
        ("missing/missing.tgz", "404", "File not found: missing.tgz"),
        ("bundle/ten.txt/", "404", "File not found: ten.txt"),
        ("bundle/ten.txt/more", "404", "File not found: more"),
        ("bundle", "401", "Unauthorized to list the directory"),
        ("bundle/", "401", "Unauthorized to list the directory"),
        ("", "401", "Unauthorized to list the directory"),
        ("../etc/passwd", "400", "invalid URL path"),
        ("bundle/%zz", "400", "invalid URL path"),
        ("bundle/%00", "400", "invalid URL path"),
    ] {
        let (found, _, body) = ask(&[&server.url(name)]);
        assert_eq!((found.as_str(), body.trim_end()), (status, sentence), "{name}");
    }
    let root = format!("http://{}", server.authority());
    for path in ["/", "/v1/static", "/v1/", "/v1/static../x", "/etc/passwd"] {
        let (status, _, body) = ask(&[&format!("{root}{path}")]);
        assert_eq!((status.as_str(), body.trim_end()), ("404", "404 page not found"), "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
        let (status, head, _) = ask(&["-X", method, &server.url("bundle/ten.txt")]);
        assert_eq!(status, "405", "{method}");
        assert!(head.contains("\nAllow: GET, HEAD\r"), "{head}");
    }
}

#[test]
fn conditions_spare_the_client_what_it_has() {
    let (_dir, server) = scene();
    let url = server.url("bundle/ten.txt");
    for (conditions, status) in [
        (vec![format!("If-None-Match: {TAG}")], "304"),
        (vec!["If-None-Match: \"other\"".to_owned()], "200"),
        (vec![format!("If-None-Match: \"other\", W/{TAG}")], "304"),
        (vec![format!("If-Modified-Since: {DATE}")], "304"),
        (vec![format!("If-Modified-Since: {EARLIER}")], "200"),
        (vec!["If-None-Match: \"other\"".to_owned(), format!("If-Modified-Since: {DATE}")], "200"),
        (vec![format!("If-Match: {TAG}")], "200"),
        (vec!["If-Match: \"other\"".to_owned()], "412"),
        (vec![format!("If-Unmodified-Since: {EARLIER}")], "412"),
        (vec![format!("If-Unmodified-Since: {DATE}")], "200"),
    ] {
        let mut words: Vec<&str> = conditions.iter().flat_map(|it| ["-H", it.as_str()]).collect();
        words.push(&url);
        let (found, head, body) = ask(&words);
        assert_eq!(found, status, "{conditions:?}");
        assert!(head.contains(TAG), "{head}");
        assert_eq!(body, if status == "200" { "0123456789" } else { "" }, "{conditions:?}");
    }
}

#[test]
fn ranges_are_parts_of_the_file_that_the_client_knows() {
    let (_dir, server) = scene();
    let url = server.url("bundle/ten.txt");
    let other = "If-Range: \"other\"".to_owned();
    for (range, if_range, status, content_range, body) in [
        ("2-4", None, "206", "bytes 2-4/10", "234"),
        ("7-", None, "206", "bytes 7-9/10", "789"),
        ("-2", None, "206", "bytes 8-9/10", "89"),
        ("0-99", None, "206", "bytes 0-9/10", "0123456789"),
        ("7-", Some(format!("If-Range: {TAG}")), "206", "bytes 7-9/10", "789"),
        ("7-", Some(format!("If-Range: {DATE}")), "206", "bytes 7-9/10", "789"),
        ("7-", Some(other), "200", "", "0123456789"),
        ("7-", Some(format!("If-Range: {EARLIER}")), "200", "", "0123456789"),
        ("0-1,4-5", None, "200", "", "0123456789"),
        ("10-", None, "416", "bytes */10", "invalid range: failed to overlap\n"),
    ] {
        let condition = if_range.clone().unwrap_or_else(|| "X-Nothing: here".to_owned());
        let (found, head, content) = ask(&["-r", range, "-H", &condition, &url]);
        assert_eq!((found.as_str(), content.as_str()), (status, body), "{range} {if_range:?}");
        let line = head.lines().find_map(|line| line.strip_prefix("Content-Range: "));
        assert_eq!(line.unwrap_or_default(), content_range, "{range}");
    }
    // Of a HEAD no part can be asked for.
    assert!(tool("curl", ["-sI", "-r", "2-4", &url]).starts_with("HTTP/1.1 200"));
}

#[test]
fn curl_and_wget_resume_what_broke_off() {
    let (dir, server) = scene();
    let whole = fs::read(dir.path().join("big.bin")).unwrap();
    let url = server.url("big.bin");
    for words in [["curl", "-s", "-C", "-", "-o"], ["wget", "-q", "-c", "--tries=1", "-O"]] {
        let begun = dir.path().join("begun");
        fs::write(&begun, &whole[..1_234_567]).unwrap();
        let begun_name = begun.to_str().unwrap();
        tool(words[0], words[1..].iter().copied().chain([begun_name, &url]));
        assert!(fs::read(&begun).unwrap() == whole, "{} made something else", words[0]);
    }
}

#[test]
fn a_changed_file_has_another_tag_at_once() {
    // The predecessor keeps the old tag until it is started again.
    let (dir, server) = scene();
    let url = server.url("bundle/ten.txt");
    assert!(ask(&[&url]).1.contains(TAG));
    let path = dir.path().join("bundle/ten.txt");
    fs::write(&path, "9876543210").unwrap();
    tool("touch", ["-d", "@1000000000", path.to_str().unwrap()]);
    let (status, head, body) = ask(&["-H", &format!("If-None-Match: {TAG}"), &url]);
    assert_eq!((status.as_str(), body.as_str()), ("200", "9876543210"));
    assert!(!head.contains(TAG), "{head}");
}

#[test]
fn unreadable_files_pipes_and_devices_are_no_content() {
    let (dir, server) = scene();
    nix::unistd::mkfifo(&dir.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (status, _, body) = ask(&[&server.url("pipe")]);
    assert_eq!((status.as_str(), body.as_str()), ("404", "File not found: pipe\n"));
    drop(server);
    // Root reads everything, so the server is started as another user.
    let secret = dir.path().join("secret");
    fs::write(&secret, "x").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=2000", "--regid=2000", "--clear-groups", "--"]);
    command.arg(suite::program("file-server")).args(["-address", "127.0.0.1:0"]);
    let mut child = command.arg(dir.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut url = [0; 64];
    let length = child.stdout.as_mut().unwrap().read(&mut url).unwrap();
    let url = String::from_utf8_lossy(&url[..length]).trim_end().to_owned();
    let (status, _, body) = ask(&[&format!("{url}secret")]);
    child.kill().unwrap();
    child.wait().unwrap();
    let sentence = "The file server is not allowed to read the file: secret\n";
    assert_eq!((status.as_str(), body.as_str()), ("403", sentence));
}

#[test]
fn heads_are_bounded() {
    let (_dir, server) = scene();
    let long = format!("X-Long: {}", "x".repeat(20_000));
    assert_eq!(ask(&["-H", &long, &server.url("bundle/ten.txt")]).0, "431");
    let many: Vec<String> = (0..100).map(|number| format!("X-{number}: x")).collect();
    let mut words: Vec<&str> = many.iter().flat_map(|line| ["-H", line.as_str()]).collect();
    let url = server.url("bundle/ten.txt");
    words.push(&url);
    assert_eq!(ask(&words).0, "431");
    let mut garbage = TcpStream::connect(server.authority()).unwrap();
    garbage.write_all(b"\x16\x03\x01 this is no HTTP\r\n\r\n").unwrap();
    let mut answer = String::new();
    garbage.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn a_connection_serves_many_requests() {
    let (_dir, server) = scene();
    let mut stream = TcpStream::connect(server.authority()).unwrap();
    let request = "GET /v1/static/bundle/ten.txt HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    // Pipelined, the last one with the order to close.
    stream.write_all([request, request, &last].concat().as_bytes()).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
    assert_eq!(answers.matches("\r\n\r\n0123456789").count(), 3, "{answers}");
}

#[test]
fn a_file_that_shrinks_on_its_way_cuts_the_connection() {
    let (dir, server) = scene();
    let path = dir.path().join("big.bin");
    fs::write(&path, noise(30_000_000)).unwrap();
    let mut stream = TcpStream::connect(server.authority()).unwrap();
    stream.write_all(b"GET /v1/static/big.bin HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut begun = [0; 1000];
    stream.read_exact(&mut begun).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_len(1000).unwrap();
    let mut rest = Vec::new();
    let _reset = stream.read_to_end(&mut rest);
    assert!(rest.len() < 29_000_000, "{} bytes came", rest.len());
}

#[test]
fn sigterm_lets_downloads_finish_and_takes_no_new_ones() {
    let (_dir, server) = scene();
    let mut stream = TcpStream::connect(server.authority()).unwrap();
    stream.write_all(b"GET /v1/static/big.bin HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut begun = [0; 1000];
    stream.read_exact(&mut begun).unwrap();
    let idle = TcpStream::connect(server.authority()).unwrap();
    let authority = server.authority().to_owned();
    server.signal(Signal::SIGTERM);
    wait_for("the server to refuse", || TcpStream::connect(&authority).err());
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    let head = begun.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(begun.len() - head + rest.len(), 3_000_000);
    let stopped = Instant::now();
    assert_eq!(server.wait(), Some(0));
    assert!(stopped.elapsed() < Duration::from_secs(8), "an idle connection held the server up");
    drop(idle);
}

#[test]
fn what_cannot_be_served_is_said_in_one_line() {
    let run = |words: &[&str]| {
        let output = Command::new(suite::program("file-server")).args(words).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let directory = dir.path().to_str().unwrap();
    let (status, said) = run(&["/no/such/directory"]);
    assert_eq!(said, "cannot serve /no/such/directory: no such file or directory\n");
    assert_eq!(status, Some(1));
    let (_, said) = run(&[file.to_str().unwrap()]);
    assert_eq!(said, format!("cannot serve {}: not a directory\n", file.display()));
    let (status, said) = run(&[]);
    let sentence = "no directory to serve was given: file-server [-address IP:PORT] DIRECTORY\n";
    assert_eq!((status, said.as_str()), (Some(2), sentence));
    let (status, said) = run(&["-address", "here", directory]);
    assert_eq!(status, Some(2));
    assert!(said.starts_with("invalid value \"here\" for flag -address: must be an IP"), "{said}");
    let server = FileServer::of(dir.path());
    let (status, said) = run(&["-address", server.authority(), directory]);
    assert_eq!(status, Some(1));
    assert_eq!(said, format!("cannot listen at {}: address already in use\n", server.authority()));
}

#[test]
fn clients_that_never_finish_a_request_are_cut() {
    let dir = TempDir::new().unwrap();
    let server = file_server::FileServer::bind("127.0.0.1:0".parse().unwrap(), dir.path()).unwrap();
    let serving = server.with_patience(Duration::from_millis(200)).start().unwrap();
    let authority = serving.url().strip_prefix("http://").unwrap().split('/').next().unwrap();
    for begun in ["", "GET /v1/st", "GET /v1/static/x HTTP/1.1\r\nHost: x\r\n"] {
        let mut stream = TcpStream::connect(authority).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(begun.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // Closed, with or without a word; not our time-out.
        let ended = stream.read_to_end(&mut answer);
        assert!(ended.map_or_else(|it| it.kind() == std::io::ErrorKind::ConnectionReset, |_| true));
    }
}
