//! Git repositories, by the smart protocol, the dumb one and `git daemon`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::web::Web;
use super::*;

/// Runs git where the repositories are made; gives what it said.
fn git(directory: &Path, words: &[&str]) -> String {
    let output = Command::new("git")
        .args(words)
        .current_dir(directory)
        .env("HOME", directory)
        .envs(["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"].map(|name| (name, "someone")))
        .envs(["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"].map(|name| (name, "s@example.com")))
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// Commits `version` as the file `VERSION`; gives the commit's id.
fn commit(repository: &Path, version: &str) -> String {
    fs::write(repository.join("VERSION"), version).unwrap();
    git(repository, &["add", "."]);
    git(repository, &["commit", "-qm", version]);
    git(repository, &["rev-parse", "HEAD"])
}

/// `bp.git` with two commits on `main`, one on `next`, a tag `v1.7.3` on the first, and a submodule.
/// Gives the ids of the commits on `main`.
fn repository(web: &Web) -> [String; 2] {
    let root = web.root();
    git(&root, &["init", "-qb", "main", "part.git"]);
    commit(&root.join("part.git"), "part");
    git(&root, &["init", "-qb", "main", "bp.git"]);
    let bp = root.join("bp.git");
    let part = root.join("part.git");
    let allow = ["-c", "protocol.file.allow=always"];
    let add = ["submodule", "--quiet", "add", "--name", "part", part.to_str().unwrap(), "vendor"];
    git(&bp, &[&allow[..], &add[..]].concat());
    // Relative, as in real life: to the repository's own URL.
    git(&bp, &["config", "-f", ".gitmodules", "submodule.part.url", "../part.git"]);
    let first = commit(&bp, "first");
    git(&bp, &["tag", "-am", "release", "v1.7.3"]);
    let second = commit(&bp, "second");
    git(&bp, &["checkout", "-qb", "next"]);
    commit(&bp, "next");
    git(&bp, &["checkout", "-q", "main"]);
    for name in ["bp.git", "part.git"] {
        let info = root.join(name).join(".git");
        git(&info, &["update-server-info"]);
        fs::rename(&info, root.join("bare")).unwrap();
        fs::remove_dir_all(root.join(name)).unwrap();
        fs::rename(root.join("bare"), root.join(name)).unwrap();
    }
    [first, second]
}

fn is_shallow(repository: &Path) -> bool {
    repository.join(".git/shallow").exists()
}

#[test]
fn branches_tags_and_commits_are_cloned_shallow_with_submodules() {
    let web = Web::start();
    let [first, _] = repository(&web);
    let url = web.url("/smart/bp.git");
    for (fragment, version) in [
        (String::new(), "second"),
        ("#next".to_owned(), "next"),
        ("#v1.7.3".to_owned(), "first"),
        (format!("#{first}"), "first"),
    ] {
        let place = Place::new();
        let fetched = place.fetch(&format!("{url}{fragment}")).unwrap();
        assert_eq!(place.read("VERSION"), version);
        assert_eq!(place.read("vendor/VERSION"), "part");
        assert!(is_shallow(&place.path("bp")), "{fragment}");
        assert!(fetched.bytes > 1000, "{}", fetched.bytes);
    }
}

#[test]
fn abbreviated_commits_are_found_in_a_whole_clone() {
    let web = Web::start();
    let [first, _] = repository(&web);
    let place = Place::new();
    place.fetch(&web.url(&format!("/smart/bp.git#{}", &first[..8]))).unwrap();
    assert_eq!(place.read("VERSION"), "first");
    assert_eq!(place.read("vendor/VERSION"), "part");
}

#[test]
fn servers_without_the_smart_protocol_are_cloned_whole() {
    let web = Web::start();
    let [first, _] = repository(&web);
    for fragment in ["#v1.7.3", &format!("#{first}")] {
        let place = Place::new();
        place.fetch(&web.url(&format!("/bp.git{fragment}"))).unwrap();
        assert_eq!(place.read("VERSION"), "first");
        assert!(!is_shallow(&place.path("bp")));
    }
}

#[test]
fn what_stands_at_the_destination_is_replaced() {
    let web = Web::start();
    repository(&web);
    let place = Place::new();
    fs::create_dir_all(place.path("bp/old")).unwrap();
    place.fetch(&web.url("/smart/bp.git")).unwrap();
    assert!(!place.path("bp/old").exists());
}

#[test]
fn a_missing_ref_is_explained_by_those_near_it() {
    let web = Web::start();
    repository(&web);
    let url = web.url("/smart/bp.git").replace("//", "//me:secret@");
    let (sentence, lines) = Place::new().failure(&format!("{url}#v1.7.4"));
    let masked = url.replace("secret", "***");
    assert_eq!(sentence, format!("Failed to clone git repository at {masked}"));
    let all = lines.join("\n");
    assert!(!all.contains("secret"), "{all}");
    let command = format!("git clone --depth 1 --recursive -b v1.7.4 -- {masked} ");
    assert!(lines[0].starts_with(&command), "{all}");
    assert!(
        all.contains("\n  fatal: Remote branch v1.7.4 not found in upstream origin\n"),
        "{all}"
    );
    let verdict = "The repository has no branch, tag or commit `v1.7.4`; near it: `v1.7.3`";
    assert_eq!(lines.last().unwrap(), verdict);
    let clones = lines.iter().filter(|line| line.starts_with("git clone ")).count();
    assert_eq!(clones, 1, "a whole clone would not find it either");
}

#[test]
fn failures_are_explained_and_not_repeated() {
    let web = Web::start();
    for (url, verdict) in [
        (
            "http://nowhere.invalid/bp.git".to_owned(),
            "The host name `nowhere.invalid` was not found: check the URL and the DNS servers",
        ),
        (
            "http://127.0.0.1:1/bp.git".to_owned(),
            "Nobody answers at that address: check host and port",
        ),
        ("git://127.0.0.1:1/bp".to_owned(), "Nobody answers at that address: check host and port"),
        (
            web.tls_url("/bp.git"),
            "The server's certificate has an unknown issuer: install the issuer's certificate in \
             the container, or name its file in GIT_SSL_CAINFO",
        ),
        (
            web.url("/401/bp.git"),
            "The server wants a user and password (401): check those in the URL",
        ),
        (
            web.url("/401/bp.git").replace("//", "//me:wrong@"),
            "The server wants a user and password (401): check those in the URL",
        ),
        (web.url("/403/bp.git"), "The server forbids it to this user (403)"),
        (
            web.url("/nothing.git"),
            "There is no git repository at that URL, or it is not shown to this user",
        ),
        (
            "foo://h/bp.git".to_owned(),
            "git cannot fetch from `foo:` URLs here: use https, ssh or git",
        ),
        (
            "ext::sh -c touch% /tmp/owned".to_owned(),
            "`ext:` is refused: it would not ask a server but run a command",
        ),
    ] {
        let (sentence, lines) = Place::new().failure(&url);
        let shown = Url::parse(&url).unwrap().masked();
        assert_eq!(sentence, format!("Failed to clone git repository at {shown}"));
        assert_eq!(lines.last().unwrap(), verdict, "{lines:#?}");
        let attempts = lines.iter().filter(|line| line.starts_with("git clone")).count();
        assert!(attempts <= 1, "{lines:#?}");
        assert!(!lines.join("").contains("wrong"), "{lines:#?}");
    }
}

#[test]
fn a_proxy_that_wants_a_password_is_named() {
    let refusal =
        b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n";
    let server = scripted::Server::answering(vec![refusal.to_vec()]);
    let place = Place::new().with("http_proxy", server.url(""));
    let (_, lines) = place.failure("http://buildpacks.invalid/bp.git");
    assert_eq!(
        lines.last().unwrap(),
        "The proxy wants a user and password (407): put them in the proxy's variable",
        "{lines:#?}"
    );
    server.asked();
}

/// A place where git is this script.
fn place_with_git(script: &str) -> Place {
    let place = Place::new();
    let git = place.dir.path().join("git");
    fs::write(&git, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).unwrap();
    let path = place.dir.path().to_owned();
    place.with("PATH", path)
}

#[test]
fn both_attempts_are_shown_where_a_whole_clone_was_tried() {
    let place = place_with_git("echo \"said $# to https://u:secret@h/\"; echo err >&2; exit 3");
    let (sentence, lines) = place.failure("HTTPS://u:secret@h/a b.git#v%31");
    assert_eq!(sentence, "Failed to clone git repository at https://u:***@h/a%20b.git");
    let destination = place.path("bp");
    let destination = destination.display();
    let url = "https://u:***@h/a%20b.git";
    assert_eq!(
        lines,
        [
            &format!("git clone --depth 1 --recursive -b v1 -- {url} {destination}:"),
            "  said 9 to https://u:***@h/",
            "  err",
            &format!("git clone --recursive -b v1 -- {url} {destination}:"),
            "  said 7 to https://u:***@h/",
            "  err",
        ]
    );
}

#[test]
fn git_may_quote_the_password_outside_of_a_url() {
    // What it says of git:// URLs.
    let place = place_with_git("echo 'fatal: unable to look up u:p%40w@h (port 9418)'; exit 3");
    let (sentence, lines) = place.failure("git://u:p@w@h/x");
    let said = format!("{sentence} {}", lines.join(" "));
    assert!(said.contains("unable to look up u:***@h (port"), "{said}");
    assert!(!said.contains("p%40w"), "{said}");
}

#[test]
fn a_missing_git_is_named() {
    let place = Place::new().with("PATH", "/nowhere");
    let (sentence, lines) = place.failure("https://h/bp.git");
    assert_eq!(sentence, "exec: \"git\": executable file not found in $PATH");
    assert!(lines.is_empty());
}

#[test]
fn git_gets_no_input_and_asks_nobody() {
    let script = "/bin/cat; echo \"prompt=$GIT_TERMINAL_PROMPT\" >&2; exit 1";
    let (_, lines) = place_with_git(script).failure("https://h/bp.git");
    assert_eq!(lines[1], "  prompt=0");
    let place = place_with_git(script).with("GIT_TERMINAL_PROMPT", "1");
    assert_eq!(place.failure("https://h/bp.git").1[1], "  prompt=1");
}

#[test]
fn nobody_waits_for_what_git_leaves_behind() {
    // A credential daemon, say: it holds git's streams open.
    let place = place_with_git("/bin/sleep 20 & echo failed; exit 1");
    let started = Instant::now();
    place.failure("https://h/bp.git");
    assert!(started.elapsed().as_secs() < 10);
}

#[test]
fn a_git_that_was_killed_is_not_started_again() {
    let (_, lines) = place_with_git("kill -KILL $$").failure("https://h/bp.git");
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[1], "  git was ended by SIGKILL");
    assert_eq!(lines[2], "git was killed, most often that is for want of memory");
}
