//! Several buildpacks at a time.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Barrier};
use std::thread;

use super::scripted::{Server, answer, ok};
use super::*;

#[test]
fn buildpacks_are_fetched_side_by_side_and_reported_in_order() {
    // Each server answers only when the others have been asked too.
    let barrier = Arc::new(Barrier::new(3));
    let zip = zip_of(1000);
    let place = Place::new();
    let downloads: Vec<Download> = ["a", "b", "c"]
        .into_iter()
        .map(|name| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let (barrier, zip) = (Arc::clone(&barrier), zip.clone());
            thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                barrier.wait();
                stream.write_all(&ok(&zip)).unwrap();
            });
            place.download(&format!("http://127.0.0.1:{port}/{name}.zip"), name)
        })
        .collect();
    let fetched = place.fetch_all(&downloads).unwrap();
    let urls: Vec<String> = fetched.iter().map(|it| it.url.to_string()).collect();
    let expected: Vec<String> = downloads.iter().map(|it| it.url.to_string()).collect();
    assert_eq!(urls, expected);
    assert!(["a", "b", "c"].iter().all(|name| place.path(name).join("bin/detect").exists()));
}

#[test]
fn the_first_buildpack_in_order_that_fails_is_reported() {
    let place = Place::new();
    // The first one fails after a retry, the second at once, the third never comes.
    let busy = answer("503 Busy", "Content-Length: 0\r\n", b"");
    let slow = Server::answering(vec![busy, answer("404 No", "", b"")]);
    let fast = Server::answering(vec![answer("403 No", "", b"")]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let downloads = [
        place.download(&slow.url("/slow.zip"), "slow"),
        place.download(&fast.url("/fast.zip"), "fast"),
        place.download(&format!("http://{}/never.git", silent.local_addr().unwrap()), "never"),
    ];
    let started = Instant::now();
    let error = place.fetch_all(&downloads).unwrap_err();
    assert!(chain(&error).ends_with("slow.zip': Download failed: Status code 404"), "{error:?}");
    assert!(started.elapsed().as_secs() < 8, "the third was waited for");
    assert!(["slow", "fast", "never"].iter().all(|name| !place.path(name).exists()));
}

#[test]
fn the_same_buildpack_twice_is_fetched_once() {
    let place = Place::new();
    let server = Server::answering(vec![ok(&zip_of(1000))]);
    let download = place.download(&server.url("/bp.zip"), "bp");
    let fetched = place.fetch_all(&[download.clone(), download]).unwrap();
    assert_eq!(fetched.len(), 2);
    assert_eq!(server.asked().len(), 1);
}
