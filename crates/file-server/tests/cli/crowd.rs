//! Many at once: clients of one server, and processes of one cache.

use std::fs;
use std::process::Child;
use std::sync::Barrier;
use std::thread;

use tempfile::TempDir;

use crate::program::{Cell, FileServer, noise, succeeded};
use crate::web::Web;

const CLIENTS: usize = 150;

#[test]
fn many_clients_get_the_same_file_at_once() {
    let dir = TempDir::new().unwrap();
    let content = noise(400_000);
    fs::write(dir.path().join("file"), &content).unwrap();
    let server = FileServer::of(dir.path());
    let start = Barrier::new(CLIENTS);
    let get = || {
        start.wait();
        let request = "GET /v1/static/file HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let mut stream = std::net::TcpStream::connect(server.authority()).unwrap();
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut answer).unwrap();
        assert!(answer.ends_with(&content), "{} bytes came", answer.len());
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(get)).collect();
        for client in clients {
            client.join().unwrap();
        }
    });
}

#[test]
fn processes_that_want_the_same_download_it_once() {
    // Slow enough for all of them to come while the first one is at it.
    let web = Web::start("limit_rate 250k;");
    let (content, cell) = (noise(500_000), Cell::new());
    web.put("file", &content);
    let url = web.url("file");
    let started: Vec<Child> =
        (0..8).map(|_| cell.command("archive", &[&url]).spawn().unwrap()).collect();
    let outcomes = started.into_iter().map(|child| succeeded(&child.wait_with_output().unwrap()));
    let outcomes: Vec<_> = outcomes.collect();
    assert_eq!(outcomes.iter().filter(|(how, _)| how == "downloaded").count(), 1);
    for (_, path) in &outcomes {
        assert!(fs::read(path).unwrap() == content);
    }
    let statuses = web.statuses();
    assert_eq!(statuses.iter().filter(|status| *status == "200").count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| *status == "304").count(), 7, "{statuses:?}");
}

#[test]
fn processes_that_need_each_others_room_all_get_what_they_asked_for() {
    // Room for about two of the files: every process evicts what the others have just put there.
    let dir = TempDir::new().unwrap();
    let cell = Cell::with_limit(250_000);
    for name in ["a", "b", "c", "d"] {
        fs::write(dir.path().join(name), [name.as_bytes(), &noise(100_000)].concat()).unwrap();
    }
    let server = FileServer::of(dir.path());
    let names: Vec<&str> = (0..24).map(|number| ["a", "b", "c", "d"][number % 4]).collect();
    thread::scope(|scope| {
        for name in names {
            let (cell, url) = (&cell, server.url(name));
            scope.spawn(move || {
                // Printed and gone: the file may be evicted as soon as the process has ended.
                let done = cell.command("archive", &[&url]).output().unwrap();
                succeeded(&done);
            });
        }
    });
    let left: u64 = cell.files().iter().map(|path| path.metadata().unwrap().len()).sum();
    // The last ones to finish cannot evict one another while they work.
    assert!(left < 500_000, "{left} bytes are left of a limit of 250,000");
    cell.archive(&[&server.url("a")]);
    let left: u64 = cell.files().iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!(left < 260_000, "{left} bytes are left of a limit of 250,000");
}
