//! A session whose program runs.

use std::sync::Arc;

use lifecycle::sys::set_window_size;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::children::Group;
use crate::connection::channel::{Output, Requests, Stream};
use crate::connection::messages::RequestKind;
use crate::process::Process;
use crate::signals::{self, End};

use super::preparation::window_size;
use super::{Client, relay};

/// A program and what it runs on.
#[derive(Debug)]
pub(super) struct Running {
    process: Process,
    has_terminal: bool,
}

/// What requests may be about.
#[derive(Debug)]
pub(super) struct Target<'a> {
    group: Group,
    terminal: Option<&'a Receiver>,
}

impl Running {
    pub(super) fn new(process: Process, has_terminal: bool) -> Self {
        Self { process, has_terminal }
    }

    /// Relays until the program has ended and all it wrote is sent, or the client is gone. Whatever
    /// is left of the program then is hung up on.
    pub(super) async fn serve(self, client: Client) {
        let Process { mut child, stdin, stdout, stderr } = self.process;
        let Client { mut requests, mut input, output, log } = client;
        let stdout = Arc::new(stdout);
        if self.has_terminal {
            child.keep(Arc::clone(&stdout));
        }
        let target =
            Target { group: child.group(), terminal: self.has_terminal.then_some(&*stdout) };
        let (tell_end, ended) = watch::channel(None);
        let program = async {
            let status = child.wait().await;
            tell_end.send_replace(Some(Instant::now()));
            status
        };
        let errors = async {
            if let Some(stderr) = &stderr {
                relay::send(stderr, &output, Stream::Error, ended.clone()).await;
            }
        };
        let out = relay::send(&stdout, &output, Stream::Out, ended.clone());
        let input = async {
            relay::receive(&mut input, stdin, self.has_terminal).await;
            std::future::pending::<()>().await;
        };
        let status = tokio::select! {
            // First whether the client is gone, for that ends the input, too: the shell on a terminal would be told
            // of it, and leave its jobs behind in an orderly way.
            biased;
            () = answer(&mut requests, Some(&target)) => None,
            (status, (), ()) = async { tokio::join!(program, out, errors) } => Some(status),
            () = input => None,
        };
        if let Some(status) = status {
            tell(&output, End::from(status));
            // The session has ended in order: what went on in the background may stay.
            child.leave();
        } else {
            log.info("client-gone", &[]);
        }
    }
}

/// Tells how the program ended; then, that this was all.
fn tell(output: &Output, end: End) {
    match end {
        End::Status(status) => output.exit_status(status),
        End::Signal { name, core_dumped } => output.exit_signal(name, core_dumped),
    }
    output.eof();
    output.close();
}

/// Answers requests until the client is gone. Only windows and signals mean something now, and only
/// if there is a program.
pub(super) async fn answer(requests: &mut Requests, target: Option<&Target<'_>>) {
    while let Some(request) = requests.next().await {
        match &request.kind {
            RequestKind::Exec(_) | RequestKind::Shell | RequestKind::Subsystem(_) => {
                request.reply.fail();
                continue;
            }
            RequestKind::Environment { .. } | RequestKind::Terminal(_) => {}
            RequestKind::WindowChange { columns, rows, width, height } => {
                if let Some(terminal) = target.and_then(|target| target.terminal) {
                    let size = window_size(*columns, *rows, *width, *height);
                    let _stays_as_it_is = set_window_size(terminal, size);
                }
            }
            RequestKind::Signal(name) => {
                if let (Some(target), Some(signal)) = (target, signals::by_name(name)) {
                    target.group.signal(signal, target.terminal);
                }
            }
        }
        request.reply.succeed();
    }
}
