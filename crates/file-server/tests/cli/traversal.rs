//! Nothing outside the served directory is ever given, however it is asked for.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use crate::program::FileServer;

/// The whole answer to a request line as it stands.
fn raw(server: &FileServer, target: &str) -> String {
    let mut stream = TcpStream::connect(server.authority()).unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Paths below `/v1/static/` that lead out, or to what is hidden.
const REFUSED: [&str; 37] = [
    "../secret",
    "sub/../../secret",
    "..%2fsecret",
    "%2e%2e/secret",
    "%2E%2E%2Fsecret",
    "sub/..%2f..%2fsecret",
    ".%2e/secret",
    "..%5csecret",
    "sub\\..\\..\\secret",
    "....//secret",
    "%252e%252e/secret",
    "..;/secret",
    "/etc/passwd",
    "//etc/passwd",
    "%2fetc%2fpasswd",
    "out",
    "absolute",
    "up/secret",
    "up/served/../secret",
    "sub/up",
    "twice",
    "hidden",
    "loop",
    "prefix",
    ".env",
    "sub/.git/config",
    "%2eenv",
    "sub//.git/config",
    "./.env",
    "..",
    "../",
    "sub/..",
    "..%00/secret",
    "secret%00",
    "%c0%ae%c0%ae/secret",
    "..%c0%afsecret",
    "%uff0e/x",
];

#[test]
fn no_path_leads_out_of_the_directory() {
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("served");
    fs::create_dir_all(root.join("sub/.git")).unwrap();
    fs::write(dir.path().join("secret"), "SECRET").unwrap();
    fs::write(dir.path().join("served-too"), "SECRET").unwrap();
    fs::write(root.join(".env"), "SECRET").unwrap();
    fs::write(root.join("sub/.git/config"), "SECRET").unwrap();
    fs::write(root.join("sub/file"), "content").unwrap();
    for (link, target) in [
        ("out", "../secret"),
        ("absolute", dir.path().join("secret").to_str().unwrap()),
        ("up", ".."),
        ("sub/up", "../../secret"),
        ("twice", "out"),
        ("hidden", ".env"),
        ("loop", "loop"),
        ("prefix", "../served-too"),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
    symlink("sub/file", root.join("inside")).unwrap();
    symlink(root.join("sub"), root.join("inside-absolute")).unwrap();
    let server = FileServer::of(&root);
    for path in REFUSED {
        let answer = raw(&server, &format!("/v1/static/{path}"));
        let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
        assert!(!answer.contains("SECRET") && !answer.contains("root:"), "{path}: {answer}");
        assert!(["400", "401", "404"].contains(&status.as_str()), "{path}: {answer}");
    }
    for target in ["/v1/static/../../secret", "/v1/../secret", "/../secret", "secret", "*"] {
        let answer = raw(&server, target);
        assert!(!answer.contains("SECRET") && !answer.contains(" 200 "), "{target}: {answer}");
    }
    for path in
        ["sub/file", "inside", "inside-absolute/file", "sub/./file", "sub//file", "%73ub/file"]
    {
        let answer = raw(&server, &format!("/v1/static/{path}"));
        assert!(answer.ends_with("\r\n\r\ncontent"), "{path}: {answer}");
    }
    // A proxy's way of asking names the same file.
    let whole = raw(&server, &server.url("sub/file"));
    assert!(whole.ends_with("\r\n\r\ncontent"), "{whole}");
}

#[test]
fn a_directory_that_is_a_link_itself_is_served() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("packages-1")).unwrap();
    fs::write(dir.path().join("packages-1/file"), "content").unwrap();
    symlink("packages-1", dir.path().join("packages")).unwrap();
    let server = FileServer::of(&dir.path().join("packages"));
    assert!(raw(&server, "/v1/static/file").ends_with("\r\n\r\ncontent"));
}
