use std::future::poll_fn;
use std::time::Duration;

use tempfile::NamedTempFile;
use tokio::time::{Instant, sleep};

use super::*;
use crate::children::tests::watched;
use crate::connection::wire::{Reader, put_number, put_string};
use crate::connection::{Connection, Sink};

const WINDOW: u32 = 2 << 20;

/// What a client hears about a channel.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Out(Vec<u8>),
    Error(Vec<u8>),
    Answer(bool),
    Status(u32),
    Signal(String),
    Eof,
    Close,
}

/// All of a session, once it is over.
#[derive(Debug, Default)]
struct Outcome {
    out: String,
    errors: String,
    /// What came but output.
    events: Vec<Event>,
}

/// A client without transport. Its channels have the same number on both sides.
struct Client {
    connection: Connection,
    context: Arc<Context>,
    received: Vec<Vec<u8>>,
}

impl Sink for Vec<Vec<u8>> {
    fn has_room(&mut self) -> bool {
        self.len() < 10_000
    }

    fn packet(&mut self, write: &mut dyn FnMut(&mut Vec<u8>)) {
        let mut packet = Vec::new();
        write(&mut packet);
        if !packet.is_empty() {
            self.push(packet);
        }
    }
}

impl Client {
    fn new() -> Self {
        Self::of(Context::example())
    }

    fn of(context: Context) -> Self {
        let context = Arc::new(Context { children: watched(), ..context });
        let connection = Connection::new(Arc::clone(&context), context.log.clone());
        Self { connection, context, received: Vec::new() }
    }

    fn send(&mut self, number: u8, channel: u32, rest: &[u8]) {
        let mut packet = vec![number];
        put_number(&mut packet, channel);
        packet.extend_from_slice(rest);
        self.connection.message(&packet).unwrap();
    }

    fn open(&mut self, channel: u32, window: u32) {
        let mut packet = vec![90];
        put_string(&mut packet, b"session");
        for number in [channel, window, 32768] {
            put_number(&mut packet, number);
        }
        self.connection.message(&packet).unwrap();
    }

    fn request(&mut self, channel: u32, name: &str, strings: &[&[u8]]) {
        let mut rest = Vec::new();
        put_string(&mut rest, name.as_bytes());
        rest.push(1);
        for string in strings {
            put_string(&mut rest, string);
        }
        self.send(98, channel, &rest);
    }

    fn exec(&mut self, channel: u32, command: &str) {
        self.request(channel, "exec", &[command.as_bytes()]);
    }

    /// Asks for a terminal of 80 by 24.
    fn terminal(&mut self, channel: u32) {
        let mut rest = Vec::new();
        put_string(&mut rest, b"pty-req");
        rest.push(1);
        put_string(&mut rest, b"vt220");
        for number in [80, 24, 0, 0] {
            put_number(&mut rest, number);
        }
        put_string(&mut rest, &[0]);
        self.send(98, channel, &rest);
    }

    fn resize(&mut self, channel: u32, columns: u32, rows: u32) {
        let mut rest = Vec::new();
        put_string(&mut rest, b"window-change");
        rest.push(0);
        for number in [columns, rows, 0, 0] {
            put_number(&mut rest, number);
        }
        self.send(98, channel, &rest);
    }

    fn data(&mut self, channel: u32, data: &[u8]) {
        let mut rest = Vec::new();
        put_string(&mut rest, data);
        self.send(94, channel, &rest);
    }

    fn eof(&mut self, channel: u32) {
        self.send(96, channel, &[]);
    }

    /// What is heard next about `channel`; about others it is kept.
    async fn event(&mut self, channel: u32) -> Event {
        loop {
            let mine = |packet: &Vec<u8>| packet[1..5] == channel.to_be_bytes();
            if let Some(position) = self.received.iter().position(mine) {
                if let Some(event) = event(&self.received.remove(position)) {
                    return event;
                }
                continue;
            }
            poll_fn(|context| self.connection.poll_write(context)).await;
            self.connection.write(&mut self.received);
        }
    }

    /// All that comes until the channel is closed.
    async fn outcome(&mut self, channel: u32) -> Outcome {
        let mut outcome = Outcome::default();
        loop {
            match self.event(channel).await {
                Event::Out(data) => outcome.out += &String::from_utf8(data).unwrap(),
                Event::Error(data) => outcome.errors += &String::from_utf8(data).unwrap(),
                Event::Close => return outcome,
                event => outcome.events.push(event),
            }
        }
    }

    /// Waits for output that contains `text`.
    async fn wait_for(&mut self, channel: u32, text: &str) {
        let mut out = String::new();
        while !out.contains(text) {
            match self.event(channel).await {
                Event::Out(data) => out += &String::from_utf8(data).unwrap(),
                Event::Answer(true) => {}
                event => panic!("{event:?} after {out}"),
            }
        }
    }

    async fn run(&mut self, command: &str) -> Outcome {
        self.open(0, WINDOW);
        self.exec(0, command);
        self.outcome(0).await
    }
}

fn event(packet: &[u8]) -> Option<Event> {
    let mut reader = Reader::new(&packet[5..]);
    Some(match packet[0] {
        94 => Event::Out(reader.string().unwrap().into()),
        95 => {
            assert_eq!(reader.number(), Some(1));
            Event::Error(reader.string().unwrap().into())
        }
        96 => Event::Eof,
        97 => Event::Close,
        98 => match (reader.text().unwrap().as_str(), reader.boolean()) {
            ("exit-status", Some(false)) => Event::Status(reader.number().unwrap()),
            ("exit-signal", Some(false)) => Event::Signal(reader.text().unwrap()),
            other => panic!("{other:?}"),
        },
        99 => Event::Answer(true),
        100 => Event::Answer(false),
        // The channel is open, its window is wider.
        91 | 93 => return None,
        other => panic!("message {other}"),
    })
}

#[tokio::test]
async fn output_comes_first_then_the_status_then_the_end() {
    let outcome = Client::new().run("seq 100000; echo bad >&2; exit 3").await;
    assert_eq!(outcome.out.lines().count(), 100_000);
    assert_eq!(outcome.errors, "bad\n");
    assert_eq!(outcome.events, [Event::Answer(true), Event::Status(3), Event::Eof]);
}

#[tokio::test]
async fn a_signals_name_takes_the_place_of_the_status() {
    let outcome = Client::new().run("kill -BUS $$").await;
    assert_eq!(outcome.events[1..], [Event::Signal("BUS".into()), Event::Eof]);
}

#[tokio::test(start_paused = true)]
async fn a_background_child_that_holds_the_pipes_open_is_waited_for_a_few_seconds() {
    let mut client = Client::new();
    let begin = Instant::now();
    let outcome = client.run("sleep 1000 & echo done; exit 4").await;
    let took = begin.elapsed();
    assert_eq!(
        (outcome.out.as_str(), &outcome.events[1..]),
        ("done\n", &[Event::Status(4), Event::Eof][..])
    );
    assert!(took >= Duration::from_secs(3) && took <= Duration::from_secs(5), "{took:?}");
}

// It ends its pause again and again, which must not begin the wait anew each time.
#[tokio::test]
async fn a_background_child_that_writes_now_and_then_does_not_prolong_the_wait() {
    let begin = Instant::now();
    let outcome = Client::new().run("(while sleep 0.5; do echo x || exit; done) & exit 0").await;
    let took = begin.elapsed();
    assert_eq!(outcome.events[1..], [Event::Status(0), Event::Eof]);
    assert!(outcome.out.lines().count() >= 3, "{outcome:?}");
    assert!(took <= Duration::from_secs(8), "{took:?}");
}

#[tokio::test]
async fn a_background_child_that_writes_all_the_time_does_not_prolong_the_wait() {
    // Only time without output counted: a client waited twelve seconds.
    let mut client = Client::new();
    client.open(0, WINDOW);
    client.exec(0, "cat /dev/zero & exit 3");
    let begin = Instant::now();
    let mut events = Vec::new();
    while begin.elapsed() < Duration::from_secs(20) {
        match client.event(0).await {
            Event::Out(data) => {
                client.send(93, 0, &u32::try_from(data.len()).unwrap().to_be_bytes());
            }
            Event::Close => break,
            event => events.push(event),
        }
    }
    let took = begin.elapsed();
    assert_eq!(events[1..], [Event::Status(3), Event::Eof]);
    assert!(took <= Duration::from_secs(8), "{took:?}");
}

#[tokio::test]
async fn what_a_client_does_not_read_in_time_is_not_lost_with_the_programs_end() {
    let ended = NamedTempFile::new().unwrap();
    let mut client = Client::new();
    client.open(0, 10);
    // The first line fills what waits for the client, the next is in hand, the last in the pipe.
    let script = "head -c 140000 /dev/zero; sleep 0.3; echo next; sleep 0.3; echo last; echo >";
    client.exec(0, &format!("{script}{}; sleep 1000 & exit 0", ended.path().display()));
    while ended.as_file().metadata().unwrap().len() == 0 {
        sleep(Duration::from_millis(20)).await;
    }
    sleep(Duration::from_millis(200)).await;
    // Longer than a background child is waited for.
    tokio::time::pause();
    tokio::time::advance(Duration::from_mins(1)).await;
    tokio::time::resume();
    client.send(93, 0, &WINDOW.to_be_bytes());
    let outcome = client.outcome(0).await;
    assert!(outcome.out.ends_with("next\nlast\n"), "{}", outcome.out.len());
}

#[tokio::test]
async fn a_second_command_is_refused_and_the_first_goes_on() {
    let mut client = Client::new();
    client.open(0, WINDOW);
    client.exec(0, "read line; echo $line");
    client.exec(0, "echo second");
    client.request(0, "shell", &[]);
    client.request(0, "subsystem", &[b"sftp"]);
    client.request(0, "env", &[b"A", b"1"]);
    client.data(0, b"first\n");
    let outcome = client.outcome(0).await;
    assert_eq!(outcome.out, "first\n");
    let answers = [true, false, false, false, true].map(Event::Answer);
    assert_eq!(outcome.events[..5], answers);
    assert_eq!(outcome.events[5..], [Event::Status(0), Event::Eof]);
}

#[tokio::test]
async fn a_signal_reaches_the_whole_process_group_and_unknown_ones_nobody() {
    let mut client = Client::new();
    client.open(0, WINDOW);
    let child = "trap 'echo child; exit' USR1; echo ready; while :; do sleep 0.01; done";
    client.exec(0, &format!("trap 'echo parent' USR1; sh -c \"{child}\" & wait; wait"));
    client.wait_for(0, "ready").await;
    client.request(0, "signal", &[b"NONSENSE"]);
    client.request(0, "signal", &[b"USR1"]);
    let outcome = client.outcome(0).await;
    assert!(outcome.out.contains("child") && outcome.out.contains("parent"), "{outcome:?}");
    assert_eq!(outcome.events[..2], [Event::Answer(true), Event::Answer(true)]);
}

// The predecessor ended with a panic when a signal followed a command that had not started.
#[tokio::test]
async fn what_cannot_be_started_is_255_and_explained() {
    let mut client = Client::new();
    client.open(0, WINDOW);
    client.request(0, "env", &[b"BAD", b"a\0b"]);
    client.exec(0, "true");
    client.request(0, "signal", &[b"TERM"]);
    let outcome = client.outcome(0).await;
    assert_eq!(
        outcome.errors,
        "diego-sshd: the environment variable BAD contains a zero byte, which no program can be given: leave it out\n"
    );
    assert!(outcome.events.contains(&Event::Status(255)), "{outcome:?}");
    assert_eq!(client.context.children.count(), 0);
}

// In the predecessor all sessions of all clients shared one environment.
#[tokio::test]
async fn sessions_do_not_see_each_others_variables() {
    let mut client = Client::new();
    for channel in [0, 1] {
        client.open(channel, WINDOW);
    }
    client.request(0, "env", &[b"A", b"mine"]);
    client.request(0, "env", &[b"A\xff", b"\xfe"]);
    for channel in [0, 1] {
        client.exec(channel, "echo [$A]; env | grep -ac '^A'");
    }
    assert_eq!(client.outcome(0).await.out, "[mine]\n2\n");
    assert_eq!(client.outcome(1).await.out, "[]\n0\n");
}

#[tokio::test]
async fn a_terminal_has_name_and_size_and_is_told_of_changes() {
    let mut client = Client::new();
    client.open(0, WINDOW);
    client.terminal(0);
    client.exec(0, "stty -echo; trap 'stty size; exit' WINCH; echo $TERM; stty size; while :; do sleep 0.01; done");
    client.wait_for(0, "vt220\r\n24 80\r\n").await;
    client.resize(0, 100, 50);
    let outcome = client.outcome(0).await;
    assert_eq!(outcome.out, "50 100\r\n");
    assert_eq!(outcome.events, [Event::Status(0), Event::Eof]);
}

// The predecessor did nothing at the client's end of input, so this never ended.
#[tokio::test]
async fn the_clients_end_of_input_ends_what_reads_from_a_terminal() {
    for command in ["cat", "cat; cat", "stty raw; sleep 0.3; stty -raw; cat"] {
        let mut client = Client::new();
        client.open(0, WINDOW);
        client.terminal(0);
        client.exec(0, command);
        client.data(0, b"unfinished");
        client.eof(0);
        let outcome = client.outcome(0).await;
        assert!(outcome.out.contains("unfinished"), "{outcome:?}");
        assert_eq!(outcome.events.last(), Some(&Event::Eof), "{command}");
    }
}

#[tokio::test]
async fn a_client_that_goes_takes_its_programs_along() {
    for has_terminal in [false, true] {
        let mut client = Client::new();
        client.open(0, WINDOW);
        if has_terminal {
            client.terminal(0);
        }
        client.exec(0, "sleep 1000 & echo ready; sleep 1000");
        client.wait_for(0, "ready").await;
        client.connection.end().await;
        client.context.children.end_all(Duration::from_secs(5)).await;
        assert_eq!(client.context.children.count(), 0);
    }
}

/// Runs `script` on a terminal until it has written "ready", loses the client, and waits for the script's end.
/// What it has written to the file that it knows as `$file`.
async fn after_the_loss_of_the_client(script: &str) -> String {
    let file = NamedTempFile::new().unwrap();
    let mut client = Client::new();
    client.open(0, WINDOW);
    client.terminal(0);
    client.exec(0, &format!("file={}; {script}", file.path().display()));
    client.wait_for(0, "ready").await;
    client.connection.end().await;
    while client.context.children.count() > 0 {
        sleep(Duration::from_millis(5)).await;
    }
    std::fs::read_to_string(file.path()).unwrap()
}

// The terminal was closed at once: bash that found it closed before it had acted on SIGHUP ended like at the end of
// its input, and its jobs lived on. Then SIGHUP came each second, which ended what cleaned up.
#[tokio::test]
async fn a_program_on_a_terminal_is_told_once_and_keeps_it_to_clean_up() {
    let script = "trap 'echo told >>$file; sleep 2 && echo >/dev/tty && echo cleaned up >>$file; exit' HUP; \
                  echo ready; while :; do sleep 0.02; done";
    assert_eq!(after_the_loss_of_the_client(script).await, "told\ncleaned up\n");
}

// With nobody who read, it waited until the terminal was closed.
#[tokio::test]
async fn a_program_on_a_terminal_may_write_much_to_it_as_it_cleans_up() {
    let script = "trap 'head -c 65536 /dev/zero && echo written >>$file; exit' HUP; \
                  echo ready; while :; do sleep 0.02; done";
    assert_eq!(after_the_loss_of_the_client(script).await, "written\n");
}

// Bash lost a SIGHUP that came just before it waited for a key.
#[tokio::test]
async fn a_program_on_a_terminal_is_woken_after_it_was_hung_up_on() {
    let script = "trap '' HUP; trap 'echo woken >>$file; exit' WINCH; echo ready; while :; do sleep 0.02; done";
    assert_eq!(after_the_loss_of_the_client(script).await, "woken\n");
}

// Only the terminal's first process was told.
#[tokio::test]
async fn at_the_end_of_the_server_the_foreground_of_a_terminal_is_told() {
    let file = NamedTempFile::new().unwrap();
    let path = file.path().display();
    let job =
        format!("trap 'echo told >>{path}; exit' HUP; echo ready; while :; do sleep 0.02; done");
    let mut client = Client::new();
    client.open(0, WINDOW);
    client.terminal(0);
    client.exec(0, &format!("set -m; trap : HUP; sh -c \"{job}\""));
    client.wait_for(0, "ready").await;
    let children = Arc::clone(&client.context.children);
    tokio::join!(children.end_all(Duration::from_mins(1)), client.connection.end());
    assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "told\n");
}

#[tokio::test]
async fn a_terminal_is_closed_under_a_program_that_ignores_the_hang_up() {
    let begin = Instant::now();
    let script = "trap '' HUP; echo ready; cat; echo closed >>$file";
    // It was not killed.
    assert_eq!(after_the_loss_of_the_client(script).await, "closed\n");
    // Every other time it was told of an end of input, too, which a lost client never sent.
    assert!(begin.elapsed() >= Duration::from_secs(4));
}

#[tokio::test]
async fn a_client_that_closes_the_channel_ends_the_program() {
    let mut client = Client::new();
    client.open(0, WINDOW);
    client.exec(0, "echo ready; sleep 1000");
    client.wait_for(0, "ready").await;
    client.send(97, 0, &[]);
    assert_eq!(client.outcome(0).await.events, []);
    while client.context.children.count() > 0 {
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_program_that_does_not_read_its_input_does_not_hold_up_the_client() {
    let mut client = Client::new();
    client.open(0, WINDOW);
    client.exec(0, "exec <&-; echo ready; sleep 0.2; exit 6");
    client.wait_for(0, "ready").await;
    // More than the window: it is opened again only if somebody takes the data.
    for _ in 0..100 {
        client.data(0, &vec![0; 30_000]);
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(client.outcome(0).await.events, [Event::Status(6), Event::Eof]);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_its_program_only() {
    let mut client = Client::new();
    client.open(0, 0);
    client.exec(0, "yes");
    client.open(1, WINDOW);
    client.exec(1, "echo other");
    let outcome = client.outcome(1).await;
    assert_eq!(outcome.out, "other\n");
}

#[tokio::test]
async fn sftp_and_scp_end_with_a_status() {
    let mut client = Client::new();
    client.open(0, WINDOW);
    client.request(0, "subsystem", &[b"sftp"]);
    client.data(0, &[0, 0, 0, 5, 1, 0, 0, 0, 3]);
    client.eof(0);
    let mut events = Vec::new();
    loop {
        match client.event(0).await {
            Event::Out(data) => assert_eq!(data[4..9], [2, 0, 0, 0, 3]),
            Event::Close => break,
            event => events.push(event),
        }
    }
    assert_eq!(events, [Event::Answer(true), Event::Status(0), Event::Eof]);
    client.open(1, WINDOW);
    client.exec(1, "scp -x");
    let outcome = client.outcome(1).await;
    assert_eq!(outcome.events, [Event::Answer(true), Event::Status(1), Event::Eof]);
    assert!(outcome.errors.starts_with("scp: "), "{outcome:?}");
}

#[tokio::test]
async fn without_the_apps_environment_a_session_says_so_and_is_a_plain_one() {
    let mut context = Context::example();
    context.config.app_env = true;
    let outcome = Client::of(context).run("echo ok").await;
    assert_eq!(outcome.out, "ok\n");
    let (start, end) =
        ("diego-sshd: the app's environment is not there: ", "has the plain environment\n");
    assert!(outcome.errors.starts_with(start) && outcome.errors.ends_with(end), "{outcome:?}");
}
