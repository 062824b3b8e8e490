//! What the cache keeps, for how long, and how it comes through a kill.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use file_server::Serving;
use lifecycle::download::{Asset, Cache, Held};
use lifecycle::environment::Environment;
use lifecycle::http::{Client, transfer::TIMEOUTS};
use lifecycle::size::Size;
use lifecycle::url::Url;
use suite::{tool, wait_for};
use tempfile::TempDir;

use crate::program::{Cell, FileServer, noise, succeeded};
use crate::scripted::{Scripted, Then, bare, whole};

fn serve(directory: &Path) -> Serving {
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    file_server::FileServer::bind(address, directory).unwrap().start().unwrap()
}

fn open(directory: &Path, limit: u64) -> Cache {
    let client = Client::new(&Environment::default(), TIMEOUTS);
    Cache::open(directory, Size(limit), client).unwrap()
}

fn asset(url: &str, name: &str) -> Asset {
    Asset { url: Url::parse(&format!("{url}{name}")).unwrap(), checksum: None }
}

fn read(held: &Held, name: &str) -> String {
    fs::read_to_string(held.path().join(name)).unwrap()
}

/// Packs `content` as `name` into `<directory>/<archive>`.
fn pack(directory: &Path, archive: &str, name: &str, content: &str) {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join(name), content).unwrap();
    let archive = directory.join(archive);
    let from = dir.path();
    tool(
        "tar",
        ["-czf".as_ref(), archive.as_os_str(), "-C".as_ref(), from.as_ref(), name.as_ref()],
    );
}

#[test]
fn a_new_version_gets_a_new_directory_and_the_old_one_stays_while_it_is_held() {
    // What containers have mounted must not change under them (platform, section 1.4).
    let dir = TempDir::new().unwrap();
    pack(dir.path(), "bundle.tgz", "launcher", "one");
    let serving = serve(dir.path());
    let cell = TempDir::new().unwrap();
    let cache = open(cell.path(), 1 << 30);
    let bundle = asset(serving.url(), "bundle.tgz");
    let first = cache.directory(&bundle).unwrap();
    let again = cache.directory(&bundle).unwrap();
    assert!(!first.was_cached() && again.was_cached());
    assert_eq!(first.path(), again.path());
    pack(dir.path(), "bundle.tgz", "launcher", "two");
    let second = cache.directory(&bundle).unwrap();
    assert!(!second.was_cached());
    assert_eq!((read(&first, "launcher"), read(&second, "launcher")), ("one".into(), "two".into()));
    // Room for nothing: the one that is not held goes, the other stays.
    let old = first.path().to_owned();
    drop((first, again));
    let third = open(cell.path(), 0).directory(&bundle).unwrap();
    assert!(third.was_cached() && third.path() == second.path() && !old.exists());
}

#[test]
fn the_longest_unused_goes_first() {
    let dir = TempDir::new().unwrap();
    for name in ["a", "b", "c"] {
        fs::write(dir.path().join(name), [name.as_bytes(), &noise(100_000)].concat()).unwrap();
    }
    let serving = serve(dir.path());
    let cell = TempDir::new().unwrap();
    let cache = open(cell.path(), 250_000);
    let get = |name| cache.archive(&asset(serving.url(), name)).unwrap();
    let (a, b) = (get("a").path().to_owned(), get("b").path().to_owned());
    assert!(get("a").was_cached());
    drop(get("c"));
    assert!(a.exists() && !b.exists(), "b was unused for longest");
    assert!(get("a").was_cached() && !get("b").was_cached());
}

#[test]
fn what_is_held_stays_even_beyond_the_limit() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("a"), noise(100_000)).unwrap();
    fs::write(dir.path().join("b"), noise(100_001)).unwrap();
    let serving = serve(dir.path());
    let cell = TempDir::new().unwrap();
    let cache = open(cell.path(), 10);
    let a = cache.archive(&asset(serving.url(), "a")).unwrap();
    let b = cache.archive(&asset(serving.url(), "b")).unwrap();
    assert!(a.path().exists() && b.path().exists());
    assert_eq!(b.size(), Size(100_001));
}

#[test]
fn an_archive_and_its_directory_are_two_things() {
    let dir = TempDir::new().unwrap();
    pack(dir.path(), "bundle.tgz", "launcher", "one");
    let serving = serve(dir.path());
    let cell = TempDir::new().unwrap();
    let cache = open(cell.path(), 1 << 30);
    let bundle = asset(serving.url(), "bundle.tgz");
    let (directory, archive) = (cache.directory(&bundle).unwrap(), cache.archive(&bundle).unwrap());
    assert!(directory.path().is_dir() && archive.path().is_file());
    let mode = archive.path().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600, "droplets are nobody else's business");
}

#[test]
fn without_validators_it_is_downloaded_each_time() {
    // The predecessor refuses directories of this kind altogether.
    let dir = TempDir::new().unwrap();
    pack(dir.path(), "bundle.tgz", "launcher", "one");
    let content = fs::read(dir.path().join("bundle.tgz")).unwrap();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len());
    let answer = [head.as_bytes(), &content].concat();
    let server = Scripted::answering(vec![(answer.clone(), Then::Close), (answer, Then::Close)]);
    let (cell, url) = (Cell::new(), server.url("/bundle.tgz"));
    let first = cell.directory(&[&url]);
    let second = cell.directory(&[&url]);
    assert_eq!((first.0.as_str(), second.0.as_str()), ("downloaded", "downloaded"));
    // The same content is the same version.
    assert_eq!(first.1, second.1);
    assert!(server.asked().iter().all(|head| !head.contains("if-")));
}

#[test]
fn a_version_is_asked_for_by_tag_and_date() {
    let body = noise(1000);
    let dated = String::from_utf8_lossy(&whole(&body, "\"one\"", 0))
        .replace("\r\n\r\n", "\r\nLast-Modified: Sun, 09 Sep 2001 01:46:40 GMT\r\n\r\n");
    let server = Scripted::answering(vec![
        ([dated.as_bytes(), &body].concat(), Then::Close),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec(), Then::Close),
        (bare("404 Not Found", ""), Then::Close),
    ]);
    let (cell, url) = (Cell::new(), server.url("/f"));
    assert_eq!(cell.archive(&[&url]).0, "downloaded");
    assert_eq!(cell.archive(&[&url]), ("cached".to_owned(), body));
    // What the server has no more is not given out either.
    assert!(cell.failure("archive", &[&url]).contains("the server answered 404"));
    let asked = server.asked();
    assert!(asked[1].contains("\r\nif-none-match: \"one\"\r\n"), "{}", asked[1]);
    let date = "\r\nif-modified-since: sun, 09 sep 2001 01:46:40 gmt\r\n";
    assert!(asked[1].contains(date), "{}", asked[1]);
}

#[test]
fn kills_at_any_moment_leave_a_cache_that_works() {
    let dir = TempDir::new().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir(&tree).unwrap();
    for number in 0..400 {
        fs::write(tree.join(number.to_string()), noise(5000 + number)).unwrap();
    }
    let archive = dir.path().join("tree.tgz");
    tool("tar", ["-czf", archive.to_str().unwrap(), "-C", tree.to_str().unwrap(), "."]);
    let server = FileServer::of(dir.path());
    let (cell, url) = (Cell::new(), server.url("tree.tgz"));
    let began = Instant::now();
    cell.directory(&[&url]);
    let takes = began.elapsed();
    fs::remove_dir_all(cell.cache()).unwrap();
    let mut killed = 0;
    for step in 0..40 {
        let mut child = cell.command("directory", &[&url]).spawn().unwrap();
        // Later each time, four times over: before, while and after it downloads and unpacks.
        thread::sleep(takes * (step % 10) / 8);
        child.kill().unwrap();
        killed += u32::from(!child.wait().unwrap().success());
        if step % 10 == 9 {
            let (_, path) = cell.directory(&[&url]);
            tool("diff", ["-r", tree.to_str().unwrap(), path.to_str().unwrap()]);
            let left = tool(
                "find",
                [cell.cache().to_str().unwrap(), "-name", "*.new", "-o", "-name", "*.gone"],
            );
            assert_eq!(left, "", "after {step}");
            fs::remove_dir_all(cell.cache()).unwrap();
        }
    }
    assert!(killed > 10, "only {killed} were killed on the way");
}

#[test]
fn what_was_damaged_on_the_disk_is_downloaded_again() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("f"), "content").unwrap();
    let server = FileServer::of(dir.path());
    let (cell, url) = (Cell::new(), server.url("f"));
    cell.archive(&[&url]);
    let kept = |ending: &str| cell.files().into_iter().find(|path| path.ends_with(ending)).unwrap();
    for (name, content) in [("archive", "cont"), ("record.json", "{\"url\":"), ("use", "")] {
        fs::write(kept(name), content).unwrap();
        assert_eq!(cell.archive(&[&url]).1, b"content", "{name}");
        assert_eq!(fs::read(kept("archive")).unwrap(), b"content", "{name}");
    }
    fs::remove_file(kept("use")).unwrap();
    assert_eq!(cell.archive(&[&url]).1, b"content");
}

#[test]
fn an_abandoned_part_goes_when_room_is_needed() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("f"), noise(1000)).unwrap();
    let server = FileServer::of(dir.path());
    let body = noise(300_000);
    let stalled = Scripted::answering(vec![(whole(&body, "\"one\"", 200_000), Then::Stall)]);
    let cell = Cell::with_limit(100_000);
    let mut child = cell.command("archive", &[&stalled.url("/f")]).spawn().unwrap();
    wait_for("the part", || cell.part().filter(|it| it.metadata().unwrap().len() >= 200_000));
    // While somebody works on it, it stays.
    cell.archive(&[&server.url("f")]);
    assert!(cell.part().is_some());
    child.kill().unwrap();
    child.wait().unwrap();
    drop(stalled.asked());
    cell.archive(&[&server.url("f")]);
    assert_eq!(cell.part(), None);
}

#[test]
fn locks_of_assets_that_are_gone_go_too() {
    let dir = TempDir::new().unwrap();
    for number in 0..10 {
        fs::write(dir.path().join(number.to_string()), noise(1000 + number)).unwrap();
    }
    let server = FileServer::of(dir.path());
    let cell = Cell::with_limit(3000);
    for number in 0..10 {
        cell.archive(&[&server.url(&number.to_string())]);
    }
    let locks = fs::read_dir(cell.cache()).unwrap().count();
    assert!(locks <= 6, "{locks} entries for two assets");
}

/// The command as somebody who may not do everything.
fn as_a_user(command: &Command) -> Command {
    let mut as_user = Command::new("setpriv");
    as_user.args(["--reuid=2000", "--regid=2000", "--clear-groups", "--"]);
    as_user.arg(command.get_program()).args(command.get_args());
    as_user.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    as_user.stdout(Stdio::piped()).stderr(Stdio::piped());
    as_user
}

/// Directories that their owner may not write to stayed on the disk when room was made, uncounted; left
/// half done by a kill, they stood in the way of every later download.
#[test]
fn read_only_directories_are_removed_too_by_an_ordinary_user() {
    let dir = TempDir::new().unwrap();
    fs::create_dir_all(dir.path().join("tree/closed")).unwrap();
    fs::write(dir.path().join("tree/closed/file"), noise(5000)).unwrap();
    let pack = "chmod 555 tree/closed && tar -czf one.tgz tree && cp one.tgz two.tgz";
    tool("sh", ["-euc", &format!("cd '{}' && {pack}", dir.path().display())]);
    let server = FileServer::of(dir.path());
    let cell = Cell::with_limit(1000);
    fs::set_permissions(cell.dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let get = |name| {
        let command = cell.command("directory", &[&server.url(name)]);
        succeeded(&as_a_user(&command).output().unwrap()).1
    };
    get("one.tgz");
    let two = get("two.tgz");
    let files = || cell.files().into_iter().filter(|path| path.ends_with("closed/file"));
    assert_eq!(files().collect::<Vec<_>>(), [two.join("tree/closed/file")]);
    let version = two.parent().unwrap();
    fs::rename(version, version.with_extension("new")).unwrap();
    assert_eq!(get("two.tgz"), two);
    assert_eq!(files().collect::<Vec<_>>(), [two.join("tree/closed/file")]);
}
