//! Downloads over bad lines: broken, resumed, refused, damaged.

use std::ffi::OsStr;
use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

use suite::{tool, wait_for};
use tempfile::TempDir;

use crate::program::{Cell, FileServer, failed, lines, noise, succeeded};
use crate::scripted::{Scripted, Then, bare, rest, whole, with};
use crate::web::Web;

/// Waits until `length` bytes of a download have come.
fn wait_for_part(cell: &Cell, length: u64) {
    wait_for("the download to begin", || {
        cell.part().filter(|part| part.metadata().is_ok_and(|part| part.len() >= length))
    });
}

fn start(cell: &Cell, url: &str) -> Child {
    cell.command("archive", &[url]).spawn().unwrap()
}

#[test]
fn a_download_that_breaks_off_is_continued_where_it_broke() {
    let body = noise(300_000);
    let server = Scripted::answering(vec![
        (whole(&body, "\"one\"", 100_000), Then::Close),
        (rest(&body, 100_000), Then::Close),
    ]);
    let cell = Cell::new();
    assert_eq!(cell.archive(&[&server.url("/f")]), ("downloaded".to_owned(), body));
    let asked = server.asked();
    assert!(asked[1].contains("\r\nrange: bytes=100000-\r\n"), "{}", asked[1]);
    assert!(asked[1].contains("\r\nif-range: \"one\"\r\n"), "{}", asked[1]);
}

#[test]
fn a_killed_download_is_continued_by_the_next_process() {
    let body = noise(300_000);
    let server = Scripted::answering(vec![
        (whole(&body, "\"one\"", 200_000), Then::Stall),
        (rest(&body, 200_000), Then::Close),
    ]);
    let (cell, url) = (Cell::new(), server.url("/f"));
    let mut child = start(&cell, &url);
    wait_for_part(&cell, 200_000);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(cell.archive(&[&url]), ("downloaded".to_owned(), body));
    assert!(server.asked()[1].contains("\r\nrange: bytes=200000-\r\nif-range: \"one\"\r\n"));
    assert_eq!(cell.part(), None);
}

#[test]
fn a_killed_download_begins_anew_where_the_file_is_another_one_now() {
    let (old, new) = (noise(300_000), noise(200_000));
    let server = Scripted::answering(vec![
        (whole(&old, "\"one\"", 200_000), Then::Stall),
        // If-Range does not hold: the server sends the whole other file.
        (whole(&new, "\"two\"", new.len()), Then::Close),
    ]);
    let (cell, url) = (Cell::new(), server.url("/f"));
    let mut child = start(&cell, &url);
    wait_for_part(&cell, 200_000);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(cell.archive(&[&url]), ("downloaded".to_owned(), new));
    drop(server.asked());
}

#[test]
fn a_remainder_that_does_not_fit_is_noticed_by_its_checksum_and_fetched_anew() {
    let dir = TempDir::new().unwrap();
    let body = noise(300_000);
    fs::write(dir.path().join("f"), &body).unwrap();
    let sum = tool("sha256sum", [dir.path().join("f")]);
    // A server that gives another file's end under the same tag.
    let mut other_end = rest(&body, 200_000);
    *other_end.last_mut().unwrap() ^= 1;
    let server = Scripted::answering(vec![
        (whole(&body, "\"one\"", 200_000), Then::Stall),
        (other_end, Then::Close),
        (whole(&body, "\"one\"", body.len()), Then::Close),
    ]);
    let (cell, url) = (Cell::new(), server.url("/f"));
    let mut child = start(&cell, &url);
    wait_for_part(&cell, 200_000);
    child.kill().unwrap();
    child.wait().unwrap();
    let got = cell.archive(&[&url, "sha256", &sum[..64]]);
    assert_eq!(got, ("downloaded".to_owned(), body));
    assert!(!server.asked()[2].contains("range"));
}

#[test]
fn nginx_that_is_killed_on_the_way_is_waited_for() {
    let mut web = Web::start("limit_rate 150k;");
    let (cell, body) = (Cell::new(), noise(600_000));
    web.put("f", &body);
    let child = start(&cell, &web.url("f"));
    wait_for_part(&cell, 50_000);
    web.replace("");
    let (how, path) = succeeded(&child.wait_with_output().unwrap());
    assert!(how == "downloaded" && fs::read(path).unwrap() == body);
    assert_eq!(web.statuses().last().map(String::as_str), Some("206"));
}

#[test]
fn our_server_that_is_killed_leaves_what_another_one_continues() {
    // Tags are the same after a start, so what has come is of use.
    let dir = TempDir::new().unwrap();
    let body = noise(50_000_000);
    fs::write(dir.path().join("f"), &body).unwrap();
    let first = FileServer::of(dir.path());
    let answer = tool("curl", ["-sI", &first.url("f")]);
    let tag = answer.lines().find_map(|line| line.strip_prefix("Etag: ")).unwrap().to_owned();
    drop(first);
    let second = FileServer::of(dir.path());
    let condition = format!("If-Range: {tag}");
    let words = ["-sI", "-X", "GET", "-r", "49999990-", "-H", &condition, &second.url("f")];
    assert!(tool("curl", words).starts_with("HTTP/1.1 206 "));
}

#[test]
fn another_checksum_is_final_and_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("f"), "content").unwrap();
    let server = FileServer::of(dir.path());
    let (cell, url) = (Cell::new(), server.url("f"));
    for (algorithm, digits, actual) in [
        ("md5", 32, "9a0364b9e99bb480dd25e1f0284c8555"),
        ("sha1", 40, "040f06fd774092478d450774f5ba30c5da78acc8"),
        ("sha256", 64, "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"),
    ] {
        let wrong = "0".repeat(digits);
        let began = Instant::now();
        assert_eq!(
            cell.failure("archive", &[&url, algorithm, &wrong]),
            format!(
                "cannot download {url}: its {algorithm} is {actual}, not {wrong}: the server has \
                 another file than was asked for, or it was damaged there"
            )
        );
        assert!(began.elapsed() < Duration::from_millis(450), "it was tried again");
        assert!(cell.is_empty());
        let (how, content) = cell.archive(&[&url, algorithm, actual]);
        assert_eq!((how.as_str(), content.as_slice()), ("downloaded", b"content".as_slice()));
        fs::remove_dir_all(cell.cache()).unwrap();
    }
}

#[test]
fn what_is_cached_must_have_the_checksum_that_is_asked_for_now() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("f"), "content").unwrap();
    let server = FileServer::of(dir.path());
    let (cell, url) = (Cell::new(), server.url("f"));
    let sum = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73";
    assert_eq!(cell.archive(&[&url]).0, "downloaded");
    assert_eq!(cell.archive(&[&url, "sha256", sum]).0, "cached");
    // Not known yet, so it is fetched to be verified.
    assert_eq!(cell.archive(&[&url, "md5", "9a0364b9e99bb480dd25e1f0284c8555"]).0, "downloaded");
    assert_eq!(cell.archive(&[&url, "md5", "9a0364b9e99bb480dd25e1f0284c8555"]).0, "cached");
    assert!(cell.failure("archive", &[&url, "sha1", &"0".repeat(40)]).contains("its sha1 is 040f"));
}

#[test]
fn failures_say_what_where_and_what_to_do() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("page.html"), "<html>Login please</html>").unwrap();
    let server = FileServer::of(dir.path());
    let cell = Cell::new();
    let forbidden = Scripted::answering(vec![(bare("403 Forbidden", ""), Then::Close)]);
    let host = |url: &str| url.split('/').nth(2).unwrap().to_owned();
    let gone = Web::start("").url("f");
    for (url, sentence) in [
        (server.url("nothing.tgz"), "the server answered 404: check the path against what is in the file server's directory".to_owned()),
        (forbidden.url("/f").replace("//", "//user:secret@"), "the server answered 403: check user and password of the URL, and the file's permissions".to_owned()),
        (server.url("page.html"), "it cannot be unpacked: unknown archive format: it begins with `<html>Login please</html>`; tar, tar.gz and zip are known".to_owned()),
        (gone.clone(), format!("{}: connection refused (4 attempts): check that the file server runs and can be reached from here", host(&gone))),
        ("ftp://x/y".to_owned(), "unsupported protocol scheme \"ftp\"".to_owned()),
    ] {
        let shown = url.replace("secret", "***");
        assert_eq!(cell.failure("directory", &[&url]), format!("cannot download {shown}: {sentence}"));
        assert!(cell.is_empty(), "{url}");
    }
}

#[test]
fn a_server_that_is_busy_is_asked_again() {
    let body = noise(1000);
    let server = Scripted::answering(vec![
        (bare("503 Service Unavailable", ""), Then::Close),
        (bare("500 Internal Server Error", ""), Then::Close),
        (whole(&body, "\"one\"", body.len()), Then::Close),
    ]);
    let cell = Cell::new();
    assert_eq!(cell.archive(&[&server.url("/f")]), ("downloaded".to_owned(), body));
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn redirects_and_file_names_of_the_server_mean_nothing_to_the_cache() {
    let body = noise(1000);
    let disposition = "Content-Disposition: attachment; filename=\"../../evil\"\r\n";
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\n{disposition}Content-Length: {length}\r\n\r\n");
    let answer = [head.as_bytes(), &body].concat();
    let server = Scripted::answering(vec![(answer, Then::Close)]);
    let target = server.url("/..%2f..%2fevil");
    let location = format!("Location: {target}\r\n");
    let first = Scripted::answering(vec![(bare("302 Found", &location), Then::Close)]);
    let cell = Cell::new();
    let (how, path) = succeeded(&cell.command("archive", &[&first.url("/f")]).output().unwrap());
    assert_eq!(how, "downloaded");
    assert!(path.starts_with(fs::canonicalize(cell.cache()).unwrap()), "{}", path.display());
    let beside: Vec<_> = fs::read_dir(cell.dir.path()).unwrap().collect();
    assert_eq!(beside.len(), 1);
    drop((first.asked(), server.asked()));
}

#[test]
fn a_full_disk_as_root_is_named_and_left_as_it_was() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("small"), noise(300_000)).unwrap();
    fs::write(dir.path().join("middle"), noise(800_000)).unwrap();
    fs::write(dir.path().join("large"), noise(5_000_000)).unwrap();
    let pack = "tar -czf small.tgz small && tar -czf middle.tgz middle && head -c 5000000 /dev/zero >zeros \
                && tar -czf zeros.tgz zeros";
    tool("sh", ["-c", &format!("cd {} && {pack}", dir.path().display())]);
    let server = FileServer::of(dir.path());
    let cell = Cell::new();
    fs::create_dir(cell.cache()).unwrap();
    let run = |form: &str, name: &str| {
        let command = cell.command(form, &[&server.url(name)]);
        let variable = |(name, value): (&OsStr, Option<&OsStr>)| {
            format!("{}='{}'", name.display(), value.unwrap().display())
        };
        let variables: Vec<String> = command.get_envs().map(variable).collect();
        let words: Vec<_> = command.get_args().map(|word| word.to_str().unwrap()).collect();
        let program = command.get_program().display();
        format!("{} '{program}' {}", variables.join(" "), words.join(" "))
    };
    let (cache, left) = (cell.cache(), "echo '@' $(find . -type f ! -name '*.lock' | wc -l)");
    let script = format!(
        "mount -t tmpfs -o size=2m none {cache} && cd {cache}
         {large}; echo '@ status' $?; {left}
         {zeros}; echo '@ status' $?; {left}
         {small} && {left}
         {middle} && {left}
         {middle_again} && {left}",
        cache = cache.display(),
        large = run("archive", "large"),
        zeros = run("directory", "zeros.tgz"),
        small = run("archive", "small"),
        middle = run("archive", "middle"),
        // Packed and unpacked it does not fit beside the others: they have to go.
        middle_again = run("directory", "middle.tgz"),
    );
    let output = std::process::Command::new("unshare").args(["-m", "sh", "-c", &script]).output();
    let output = output.unwrap();
    let (said, errors) = (lines(&output.stdout), lines(&output.stderr));
    let said: Vec<_> = said.iter().filter(|line| !line.starts_with("downloaded")).collect();
    assert_eq!(said, ["status 101", "0", "status 101", "0", "3", "6", "3"], "{errors:?}");
    let advice = "no space left on device: free some space there, or give the cache a lower limit";
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].ends_with(advice), "{errors:?}");
    assert!(errors[1].contains("entry `zeros`: no space left on device"), "{errors:?}");
}

#[test]
fn an_endless_stall_ends_the_attempt() {
    // Ten seconds without a byte: the connection is given up, and the rest is asked for.
    let body = noise(300_000);
    let server = Scripted::answering(vec![
        (whole(&body, "\"one\"", 200_000), Then::Stall),
        (rest(&body, 200_000), Then::Close),
    ]);
    let cell = Cell::new();
    assert_eq!(cell.archive(&[&server.url("/f")]), ("downloaded".to_owned(), body));
    drop(server.asked());
}

#[test]
fn a_download_without_a_way_to_continue_says_how_far_it_came() {
    let body = noise(300_000);
    let broken = || (whole(&body, "W/\"weak\"", 100_000), Then::Close);
    let server = Scripted::answering(vec![broken(), broken(), broken(), broken()]);
    let cell = Cell::new();
    let url = server.url("/f");
    let said = failed(&cell.command("archive", &[&url]).output().unwrap());
    assert!(said.ends_with("after 97.7K of 293K (4 attempts)"), "{said}");
    assert!(server.asked().iter().all(|head| !head.contains("range:")));
}

/// Without a checksum, the end of another file was put behind the beginning of the one that broke off.
#[test]
fn the_rest_of_another_version_is_not_taken() {
    let (old, mut new) = (noise(300_000), noise(300_000));
    new.reverse();
    let server = Scripted::answering(vec![
        (whole(&old, "\"one\"", 100_000), Then::Close),
        // A server that does not know If-Range.
        (with("ETag: \"two\"", &rest(&new, 100_000)), Then::Close),
        (whole(&new, "\"two\"", new.len()), Then::Close),
    ]);
    let cell = Cell::new();
    assert_eq!(cell.archive(&[&server.url("/f")]), ("downloaded".to_owned(), new));
    assert!(!server.asked()[2].contains("range"));
}

/// Only those with a checksum were: lifecycle bundles have none, and failed once.
#[test]
fn a_remainder_that_does_not_fit_is_noticed_by_unpacking_and_fetched_anew() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("f"), noise(300_000)).unwrap();
    let archive = dir.path().join("f.tgz");
    tool("tar", ["-czf", archive.to_str().unwrap(), "-C", dir.path().to_str().unwrap(), "f"]);
    let body = fs::read(archive).unwrap();
    let mut other_end = rest(&body, 200_000);
    *other_end.last_mut().unwrap() ^= 1;
    let server = Scripted::answering(vec![
        (whole(&body, "\"one\"", 200_000), Then::Stall),
        (other_end, Then::Close),
        (whole(&body, "\"one\"", body.len()), Then::Close),
    ]);
    let (cell, url) = (Cell::new(), server.url("/f.tgz"));
    let mut child = cell.command("directory", &[&url]).spawn().unwrap();
    wait_for_part(&cell, 200_000);
    child.kill().unwrap();
    child.wait().unwrap();
    let (_, path) = cell.directory(&[&url]);
    assert_eq!(fs::read(path.join("f")).unwrap(), noise(300_000));
    drop(server.asked());
}

/// The sentence ended with the entry's name.
#[test]
fn a_zip_that_cannot_be_unpacked_says_what_is_wrong_with_which_entry() {
    let dir = TempDir::new().unwrap();
    let zip = dir.path().join("a.zip");
    fs::write(dir.path().join("f"), "content").unwrap();
    tool("zip", ["-q", "-0", "-j", zip.to_str().unwrap(), dir.path().join("f").to_str().unwrap()]);
    let mut bytes = fs::read(&zip).unwrap();
    let at = bytes.windows(7).position(|window| window == b"content").unwrap();
    bytes[at] = b'C';
    fs::write(&zip, bytes).unwrap();
    let server = FileServer::of(dir.path());
    let sentence = Cell::new().failure("directory", &[&server.url("a.zip")]);
    let end = "it cannot be unpacked: zip: entry `f`: its checksum does not match";
    assert!(sentence.ends_with(end), "{sentence}");
}
