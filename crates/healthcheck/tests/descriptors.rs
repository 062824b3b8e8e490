//! A process that has no descriptor left. Alone in its file: the limit is the whole process's.

use std::ffi::OsString;

use lifecycle::report::Failure;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

#[test]
fn without_a_descriptor_the_interfaces_cannot_be_read_and_that_is_status_1() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let words = ["healthcheck", "-port=1", "-until-ready-interval=1s"].map(OsString::from);
    setrlimit(Resource::RLIMIT_NOFILE, 0, hard).unwrap();
    let error = healthcheck::run(words.into_iter()).unwrap_err();
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    assert_eq!(error.to_string(), "Failed to get interfaces: too many open files");
    assert_eq!(error.status(), 1);
}
