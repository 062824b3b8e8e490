//! Networks and containers of a test's own. They need root, `ip` and `mount`.

use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;

use nix::sched::{CloneFlags, unshare};

/// Runs `test` in a thread with a network of its own: `lo` is up, and `commands` of `ip` were given.
/// Programs and servers that it starts are in that network too.
pub(crate) fn in_network(commands: &[&str], test: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("this test needs root");
            ip("link set lo up");
            for command in commands {
                ip(command);
            }
            test();
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// `ip` with these arguments.
pub(crate) fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

/// As [`in_network`], and with processes and mounts of its own too: `/proc` shows only what `test`
/// starts, and the shell that is process 1. No threads can be started in it.
pub(crate) fn in_container(commands: &[&str], test: impl FnOnce() + Send) {
    in_network(commands, || {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        mount("--make-rprivate /");
        unshare(CloneFlags::CLONE_NEWPID).unwrap();
        let mut init = Command::new("sh")
            .args(["-c", "mount -t proc proc /proc && echo && read line"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        init.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        test();
        // The end of its input is the end of process 1, and of all others with it.
        drop(init.stdin.take());
        init.wait().unwrap();
    });
}

/// `mount` with these arguments.
pub(crate) fn mount(arguments: &str) {
    let status = Command::new("mount").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "mount {arguments}");
}
