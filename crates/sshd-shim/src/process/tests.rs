use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use lifecycle::sys::WindowSize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::children::tests::watched;
use crate::pty;

fn sh(script: &str) -> Program {
    Program {
        file: "/bin/sh".into(),
        name: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
    }
}

/// What a terminal gives until its programs have closed it, which reading tells as an error.
async fn all_of(terminal: &mut Receiver) -> String {
    let mut text = Vec::new();
    let end = terminal.read_to_end(&mut text).await;
    assert_eq!(end.unwrap_err().raw_os_error(), Some(Errno::EIO as i32));
    String::from_utf8(text).unwrap()
}

async fn output(script: &str) -> (String, String, ExitStatus) {
    let children = watched();
    let mut process = start(&sh(script), &Environment::inherited(), &children).unwrap();
    drop(process.stdin);
    let (mut stdout, mut stderr) = (String::new(), String::new());
    process.stdout.read_to_string(&mut stdout).await.unwrap();
    process.stderr.unwrap().read_to_string(&mut stderr).await.unwrap();
    (stdout, stderr, process.child.wait().await)
}

async fn output_on_terminal(script: &str, size: WindowSize, modes: &[u8]) -> String {
    let children = watched();
    let pty = Pty::open(size, modes).unwrap();
    let process = start_on_terminal(&sh(script), &Environment::inherited(), pty, &children);
    let mut process = process.unwrap();
    let text = all_of(&mut process.stdout).await;
    process.child.wait().await;
    text
}

#[tokio::test]
async fn the_streams_are_apart_and_the_group_is_its_own() {
    let (stdout, stderr, status) =
        output("echo $$ $(ps -o pgid= -p $$); echo bad >&2; exit 3").await;
    let mut numbers = stdout.split_whitespace();
    assert_eq!(numbers.next(), numbers.next());
    assert_eq!((stderr.as_str(), status.code()), ("bad\n", Some(3)));
}

#[tokio::test]
async fn nothing_of_ours_is_inherited_but_three_descriptors() {
    // As a server with many connections has them.
    let _ours: Vec<_> = (0..50).map(|_| fs::File::open("/dev/null").unwrap()).collect();
    let (stdout, ..) = output("exec ls /proc/self/fd").await;
    // The fourth is the directory that ls reads.
    assert_eq!(stdout, "0\n1\n2\n3\n");
}

#[tokio::test]
async fn signals_are_as_by_default_and_none_is_blocked() {
    // Rust's programs ignore SIGPIPE; `yes` ends only because its children do not.
    let (_, stderr, status) = output("yes | head -1 >/dev/null; kill -PIPE $$").await;
    assert_eq!((stderr.as_str(), status.signal()), ("", Some(13)));
    let (stdout, ..) = output("grep -E '^Sig(Blk|Ign)' /proc/self/status").await;
    for line in stdout.lines() {
        let signals = u64::from_str_radix(line.split_once('\t').unwrap().1, 16).unwrap();
        // glibc has 32 and 33 for itself, and leaves them ignored in what it spawns.
        assert_eq!(signals & !(0b11 << 31), 0, "{line}");
    }
}

#[tokio::test]
async fn a_terminal_is_the_controlling_one_of_a_session_of_its_own() {
    let script = "tty; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo $$ $(ps -o sid=,tpgid= -p $$) && : >/dev/tty && echo ok";
    let text = output_on_terminal(script, WindowSize::default(), &[]).await;
    let mut lines = text.lines();
    assert!(lines.next().unwrap().starts_with("/dev/pts/"), "{text}");
    let numbers: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert!(numbers.iter().all(|number| *number == numbers[0]) && numbers.len() == 3, "{text}");
    assert_eq!(lines.next(), Some("ok"));
}

#[tokio::test]
async fn size_and_modes_are_set_before_the_program_runs() {
    let size = WindowSize { columns: 132, rows: 50, width: 1320, height: 1000 };
    let modes = [53, 0, 0, 0, 0, 42, 0, 0, 0, 1, 72, 0, 0, 0, 0, 0];
    let script = "stty size; stty -a | tr ' ' '\\n' | grep -E '^-?(echo|iutf8|onlcr);?$'";
    let text = output_on_terminal(script, size, &modes).await;
    let mut words: Vec<&str> = text.split_whitespace().collect();
    words.sort_unstable();
    assert_eq!(words, ["-echo", "-onlcr", "132", "50", "iutf8"]);
    // 0 by 0 is a size like any other.
    assert_eq!(output_on_terminal("stty size", WindowSize::default(), &[]).await, "0 0\r\n");
}

#[tokio::test]
async fn what_was_written_last_is_not_lost_at_the_end() {
    let text =
        output_on_terminal("seq 20000; sleep 1000 & exit 0", WindowSize::default(), &[]).await;
    assert!(text.ends_with("20000\r\n"), "{}", text.len());
}

#[tokio::test]
async fn the_foreground_group_and_the_end_of_input_are_known() {
    let children = watched();
    let terminal = Pty::open(WindowSize::default(), &[5, 0, 0, 0, 25, 0]).unwrap();
    let mut process =
        start_on_terminal(&sh("cat"), &Environment::inherited(), terminal, &children).unwrap();
    let group = pty::foreground(&process.stdout).unwrap();
    assert!(group == process.child.group().leader());
    let end = pty::end_of_input(&process.stdout);
    assert_eq!(end, 25);
    process.stdin.write_all(&[b'x', b'\n', end]).await.unwrap();
    assert_eq!(all_of(&mut process.stdout).await, "x\r\nx\r\n");
    assert_eq!(process.child.wait().await.code(), Some(0));
}

#[tokio::test]
async fn what_does_not_start_is_explained() {
    let children = watched();
    let why = |program: &Program, environment: &[(&str, &str)]| {
        let environment =
            environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
        start(program, &environment, &children).unwrap_err().to_string()
    };
    let missing = Program { file: "/no/such".into(), ..sh(":") };
    assert_eq!(why(&missing, &[]), "/no/such cannot be started: no such file or directory");
    assert_eq!(
        why(&sh(":"), &[("A\x1b", "x\0")]),
        "the environment variable A\\x1b contains a zero byte, which no program can be given: leave it out"
    );
    assert_eq!(
        why(&sh("x\0"), &[]),
        "the command contains a zero byte, which no program can be given: leave it out"
    );
    let large = "x".repeat(200_000);
    let text = why(&sh(":"), &[("BIG", &large)]);
    assert_eq!(
        text,
        "the variable BIG is too large for the kernel: 200005 bytes, at most 131072 are possible"
    );
    assert!(
        why(&sh(&large), &[]).starts_with("the command is too large for the kernel: 200001 bytes")
    );
    assert_eq!(children.count(), 0);
}
