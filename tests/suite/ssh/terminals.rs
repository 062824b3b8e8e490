//! Sessions in terminals: OpenSSH's client in a pty of its own, and without one.
use nix::sys::signal::Signal;
use suite::ssh::{Client, HOST, SshServer, Terminal, run};
use suite::{is_alive, wait_for};

use super::putty;

fn shell(server: &SshServer, settings: &[&str]) -> Terminal {
    let mut command = server.openssh("ssh", ["-tt", HOST, "exec bash --norc -i"]);
    command.env("TERM", "screen-256color");
    let mut terminal = Terminal::start(&command, settings);
    // What the shell prints, not the echo of what was typed, has the sum in it.
    terminal.types("PS1=; echo ready $((40+2))\r");
    terminal.shows("ready 42");
    terminal
}

/// Types a command that prints `what is`, a process id and a line's end, and gives the id.
fn pid_of(terminal: &mut Terminal, what: &str, command: &str) -> String {
    terminal.types(command);
    let marker = format!("{what} is ");
    let pid = |screen: String| {
        let after = screen.rsplit_once(&marker)?.1.split_once('\r')?.0.to_owned();
        after.bytes().all(|byte| byte.is_ascii_digit()).then_some(after)
    };
    wait_for("a process id", || pid(terminal.screen()))
}

#[test]
fn a_terminal_has_the_clients_type_size_and_settings() {
    let server = SshServer::start();
    let mut terminal =
        shell(&server, &["intr", "^X", "erase", "^H", "-ixon", "iutf8", "susp", "undef"]);
    terminal.types("stty -a; echo $TERM; tty; echo end $((1+1))\r");
    let screen = terminal.shows("end 2");
    for part in
        ["rows 24", "columns 80", "intr = ^X", "erase = ^H", "susp = <undef>", "-ixon", " iutf8"]
    {
        assert!(screen.contains(part), "{part}: {screen}");
    }
    assert!(screen.contains("screen-256color\r\n/dev/pts/"), "{screen}");
    terminal.types("exit 9\r");
    assert_eq!(terminal.wait(), 9, "{}", terminal.screen());
}

#[test]
fn a_terminal_follows_the_clients_window() {
    let server = SshServer::start();
    let mut terminal = shell(&server, &[]);
    for (lines, columns) in [(50, 132), (10, 20), (1000, 999)] {
        terminal.resize(lines, columns);
        // News of a window may come after the next keys.
        terminal.shows_after("echo now $(stty size)\r", &format!("now {lines} {columns}"));
    }
    terminal.types("exit\r");
    assert_eq!(terminal.wait(), 0);
}

#[test]
fn keys_interrupt_suspend_and_end() {
    let server = SshServer::start();
    let mut terminal = shell(&server, &[]);
    assert!(!terminal.screen().contains("no job control"), "{}", terminal.screen());
    // One program says it and sleeps: between two of them, keys would be the shell's.
    terminal.types("sh -c 'echo sleeps $((2+3)); exec sleep 300'; echo never $((2+5))\r");
    terminal.shows("sleeps 5");
    terminal.types("\x03");
    terminal.shows("^C");
    terminal.types("echo after $((2+4))\r");
    assert!(!terminal.shows("after 6").contains("never 7"));
    terminal.types("sh -c 'echo again $((2+6)); exec sleep 300'\r");
    terminal.shows("again 8");
    terminal.types("\x1a");
    terminal.shows("Stopped");
    terminal.types("kill %1; echo then $((2+7))\r");
    terminal.shows("then 9");
    terminal.types("echo cats $((2+8)); cat\r");
    terminal.shows("cats 10");
    terminal.types("typed line\r");
    terminal.shows("typed line\r\ntyped line\r\n");
    terminal.types("\x04");
    terminal.types("echo ended $((3+4))\r");
    terminal.shows("ended 7");
    terminal.types("\x04");
    assert_eq!(terminal.wait(), 0, "{}", terminal.screen());
}

#[test]
fn output_is_whole_when_the_shell_ends() {
    let server = SshServer::start();
    let words = ["-tt", HOST, "seq 1 200000; exit 6"];
    let outcome = run(&mut server.openssh("ssh", words), b"").ends_with(6);
    let lines: Vec<&str> = outcome.stdout.lines().map(|line| line.trim_end_matches('\r')).collect();
    assert_eq!((lines.len(), lines.last()), (200_000, Some(&"200000")));
}

#[test]
fn the_end_of_piped_input_reaches_a_program_in_a_terminal() {
    // The predecessor told such a program nothing: `ssh -tt host cat` never ended.
    let server = SshServer::start();
    let outcome = run(&mut server.openssh("ssh", ["-tt", HOST, "cat; echo end"]), b"one\ntwo\n");
    let outcome = outcome.succeeds();
    assert!(outcome.stdout.ends_with("one\r\ntwo\r\nend\r\n"), "{outcome}");
}

#[test]
fn a_lost_client_hangs_up_the_terminal() {
    let server = SshServer::start();
    let mut terminal = shell(&server, &[]);
    let shell_pid = pid_of(&mut terminal, "shell", "echo \"shell is $$\"\r");
    let job = pid_of(&mut terminal, "job", "sleep 300 & echo \"job is $!\"\r");
    assert_ne!(shell_pid, job);
    assert!(is_alive(&shell_pid) && is_alive(&job));
    drop(terminal);
    wait_for("the shell's end", || (!is_alive(&shell_pid) && !is_alive(&job)).then_some(()));
    wait_for("no child", || server.children().is_empty().then_some(()));
}

#[test]
fn the_clients_own_disconnect_hangs_up_the_terminal() {
    let server = SshServer::start();
    let mut terminal = shell(&server, &[]);
    let pid = pid_of(&mut terminal, "shell", "echo \"shell is $$\"\r");
    terminal.types("\r~.");
    assert_eq!(terminal.wait(), 255);
    wait_for("the shell's end", || (!is_alive(&pid)).then_some(()));
}

#[test]
fn a_terminal_is_given_back_when_its_session_ends() {
    let server = SshServer::start();
    let before = server.descriptors();
    for _ in 0..20 {
        let outcome = run(&mut server.openssh("ssh", ["-tt", HOST, "tty"]), b"").succeeds();
        assert!(outcome.stdout.starts_with("/dev/pts/"), "{outcome}");
    }
    wait_for("descriptors as before", || (server.descriptors() <= before).then_some(()));
}

#[test]
fn plink_has_a_terminal_too() {
    let server = SshServer::start();
    let mut command = putty(&server, "plink", ["-t", "root@127.0.0.1"]);
    let mut client = Client::start(command.env("TERM", "xterm"));
    client.write("tty; echo $TERM; exit 3\n");
    let outcome = client.finish().ends_with(3);
    assert!(
        outcome.stdout.contains("/dev/pts/") && outcome.stdout.contains("xterm\r\n"),
        "{outcome}"
    );
}

#[test]
fn a_terminated_client_leaves_no_process() {
    let server = SshServer::start();
    let words = ["-tt", HOST, "echo pid $$; trap '' TERM; while :; do sleep 1; done"];
    let mut client = Client::start(&mut server.openssh("ssh", words));
    let printed = client.wait_for_output("\r\n");
    let pid = printed.trim().trim_start_matches("pid ").to_owned();
    client.signal(Signal::SIGTERM);
    assert_ne!(client.finish().status, 0);
    wait_for("the program's end", || (!is_alive(&pid)).then_some(()));
}
