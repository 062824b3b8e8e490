use lifecycle::environment::Environment;
use lifecycle::exec::Program;
use lifecycle::sys::WindowSize;
use nix::errno::Errno;
use nix::sys::wait::waitpid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::process::{Process, start, start_on_terminal};
use crate::pty::Pty;

/// No programs yet, and somebody who waits for their ends.
pub(crate) fn watched() -> Arc<Children> {
    let children = Arc::new(Children::default());
    children.watch().unwrap();
    children
}

fn program(script: &str) -> Program {
    let arguments = vec!["-c".into(), script.into()];
    Program { file: "/bin/sh".into(), name: "sh".into(), arguments }
}

/// `script` as run by sh; what it reads and writes stays open as long as the value lives.
fn sh(script: &str, children: &Arc<Children>) -> Process {
    start(&program(script), &Environment::inherited(), children).unwrap()
}

/// `script`, once it has written a line.
async fn ready(script: &str, children: &Arc<Children>) -> Process {
    let mut process = sh(script, children);
    process.stdout.read_u8().await.unwrap();
    process
}

/// Waits until `pid` is nobody's process, not even a dead one.
async fn vanished(pid: Pid) {
    while kill(pid, None) != Err(Errno::ESRCH) {
        sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until the last process of the group, background children too, is nobody's.
async fn group_vanished(group: Pid) {
    while killpg(group, None) != Err(Errno::ESRCH) {
        sleep(Duration::from_millis(5)).await;
    }
}

async fn none_left(children: &Children) {
    timeout(Duration::from_secs(5), children.gone()).await.unwrap();
}

#[tokio::test]
async fn statuses_come_as_they_are() {
    let children = watched();
    assert_eq!(sh("exit 7", &children).child.wait().await.code(), Some(7));
    assert_eq!(sh("kill -BUS $$", &children).child.wait().await.signal(), Some(7));
    // nix's waitpid takes the status of such a process and gives an error.
    assert_eq!(sh("kill -40 $$", &children).child.wait().await.signal(), Some(40));
    none_left(&children).await;
}

#[tokio::test]
async fn a_hundred_that_end_at_once_are_all_told() {
    let children = watched();
    let mut all: Vec<_> = (0..100).map(|n| sh(&format!("read x; exit {n}"), &children)).collect();
    for process in &mut all {
        process.stdin.write_all(b"\n").await.unwrap();
    }
    for (n, process) in all.iter_mut().enumerate() {
        assert_eq!(process.child.wait().await.code(), Some(i32::try_from(n).unwrap()));
    }
    none_left(&children).await;
}

#[tokio::test]
async fn a_program_that_is_dropped_ends_with_its_group_and_is_reaped() {
    let children = watched();
    let process = ready("sleep 1000 & echo; wait", &children).await;
    let pid = process.child.group().leader();
    drop(process);
    vanished(pid).await;
    group_vanished(pid).await;
    none_left(&children).await;
    assert_eq!(waitpid(pid, None), Err(Errno::ECHILD));
}

// Once its terminal was closed, the group that had been in its foreground was looked for only when it was killed, by a
// number that could be another's by then.
#[tokio::test]
async fn groups_of_a_program_that_was_hung_up_on_are_looked_for_each_second() {
    let now = Instant::now();
    let (leader, kill_at) = (Some(Pid::this()), now + HANG_UP_GRACE);
    let mut one =
        Abandoned { leader, groups: Vec::new(), kill_at, is_killed: false, terminal: None };
    assert_eq!(one.check_at(now), now + GROUP_CHECK);
    one.kill_at = now;
    assert_eq!(one.check_at(now), now);
    one.is_killed = true;
    assert_eq!(one.check_at(now), now + GROUP_CHECK);
}

// A panic in a session's task, which drops it, closed the terminal at once.
#[tokio::test]
async fn a_program_that_is_dropped_keeps_its_terminal_to_clean_up() {
    let children = watched();
    let file = tempfile::NamedTempFile::new().unwrap();
    let script = format!(
        "trap 'sleep 0.5; echo >/dev/tty && echo cleaned up >{}; exit' HUP; echo; while :; do sleep 0.02; done",
        file.path().display()
    );
    let pty = Pty::open(WindowSize::default(), &[]).unwrap();
    let process = start_on_terminal(&program(&script), &Environment::inherited(), pty, &children);
    let Process { mut child, mut stdout, .. } = process.unwrap();
    stdout.read_u8().await.unwrap();
    child.keep(Arc::new(stdout));
    drop(child);
    while children.count() > 0 {
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "cleaned up\n");
}

#[tokio::test]
async fn a_stopped_program_hears_the_hang_up() {
    let children = watched();
    let process = ready("echo; kill -STOP $$; sleep 1000", &children).await;
    let pid = process.child.group().leader();
    drop(process);
    vanished(pid).await;
    none_left(&children).await;
}

#[tokio::test(start_paused = true)]
async fn what_ignores_the_hang_up_is_killed_ten_seconds_later() {
    let children = watched();
    let process = ready("trap '' HUP; echo; while :; do sleep 1000; done", &children).await;
    let pid = process.child.group().leader();
    let begin = Instant::now();
    drop(process);
    vanished(pid).await;
    // The clock is virtual and runs as fast as it can.
    assert!(begin.elapsed() >= HANG_UP_GRACE);
    none_left(&children).await;
}

#[tokio::test(start_paused = true)]
async fn a_group_is_killed_although_its_first_process_has_ended() {
    let children = watched();
    let process = ready("(trap '' HUP; echo; exec sleep 1000) & wait", &children).await;
    let (pid, begin) = (process.child.group().leader(), Instant::now());
    drop(process);
    group_vanished(pid).await;
    assert!(begin.elapsed() >= HANG_UP_GRACE);
    none_left(&children).await;
}

#[tokio::test]
async fn at_the_end_of_the_server_all_are_told_and_the_deaf_killed() {
    let children = watched();
    let mut told = ready("echo; sleep 1000", &children).await;
    let mut deaf = ready("trap '' HUP; echo; while :; do sleep 1000; done", &children).await;
    children.end_all(Duration::from_millis(100)).await;
    assert_eq!(told.child.wait().await.signal(), Some(Signal::SIGHUP as i32));
    assert_eq!(deaf.child.wait().await.signal(), Some(Signal::SIGKILL as i32));
    assert_eq!(children.count(), 0);
}

// It was told by nobody, and the end of the server took as long as it may.
#[tokio::test]
async fn a_program_that_starts_at_the_end_of_the_server_is_told_too() {
    let children = watched();
    let _ends_by_itself = ready("trap '' HUP; echo; exec sleep 0.3", &children).await;
    let late = async { sh("exec sleep 1000", &children).child.wait().await };
    let ((), status) = tokio::join!(children.end_all(Duration::from_mins(1)), late);
    assert_eq!(status.signal(), Some(Signal::SIGHUP as i32));
}

/// A program that has ended, with a process left in its group.
async fn with_one_left(script: &str, children: &Arc<Children>) -> Process {
    let mut process = ready(script, children).await;
    assert!(process.child.wait().await.success());
    process
}

#[tokio::test(start_paused = true)]
async fn what_a_program_left_behind_is_hung_up_on_when_its_client_goes() {
    // Nobody told it: the group counted as gone with its first process.
    let children = watched();
    for (script, patience) in [
        ("sleep 1000 & echo", Duration::ZERO),
        ("(trap '' HUP; echo; exec sleep 1000) & read x", HANG_UP_GRACE),
    ] {
        let mut process = ready(script, &children).await;
        let _unread = process.stdin.write_all(b"\n").await;
        assert_eq!(process.child.wait().await.code(), Some(0));
        let (pid, begin) = (process.child.group().leader(), Instant::now());
        assert!(exists(pid));
        drop(process);
        group_vanished(pid).await;
        assert!(begin.elapsed() >= patience);
        none_left(&children).await;
    }
}

#[tokio::test]
async fn what_a_program_left_behind_ends_with_the_server() {
    let children = watched();
    let process = with_one_left("sleep 1000 & echo", &children).await;
    let pid = process.child.group().leader();
    children.end_all(Duration::from_secs(30)).await;
    group_vanished(pid).await;
    let children = watched();
    let process = with_one_left("(trap '' HUP; echo; exec sleep 1000) &", &children).await;
    let pid = process.child.group().leader();
    children.end_all(Duration::from_millis(100)).await;
    group_vanished(pid).await;
}

#[tokio::test]
async fn what_goes_on_after_an_orderly_end_is_left_alone() {
    let children = watched();
    let process = with_one_left("sleep 1000 & echo", &children).await;
    let pid = process.child.group().leader();
    process.child.leave();
    none_left(&children).await;
    assert!(exists(pid));
    killpg(pid, Signal::SIGKILL).unwrap();
    group_vanished(pid).await;
}
