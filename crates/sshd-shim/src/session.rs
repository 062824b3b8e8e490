//! A session channel: its requests collect what a program is to be started with, one of them starts
//! it, and its end is the session's (contract sshd 9).

mod app;
mod environment;
mod preparation;
mod program;
mod relay;
mod running;

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;

use crate::blocking::{self, Failed};
use crate::connection::channel::{Channel, Input, Output, Requests, Stream};
use crate::context::Context;
use crate::log::Log;
use crate::process::{self, Process, StartError};
use crate::pty::Pty;
use crate::{scp, sftp};

use self::preparation::{Preparation, Work};
use self::program::Plan;
use self::running::Running;

/// The exit status where there was no program that could have had one.
const NOT_STARTED: u32 = 255;

/// Serves `channel` until its program has ended or the client is gone.
pub async fn serve(channel: Channel, context: Arc<Context>) {
    let log = context.log.session("session-channel");
    log.info("starting", &[]);
    let Channel { mut requests, input, output } = channel;
    let mut preparation = Preparation::default();
    if let Some(work) = preparation.next_work(&mut requests, &log).await {
        let client = Client { requests, input, output, log: log.clone() };
        match work {
            Work::Sftp => client.serve_sftp().await,
            Work::Program(Some(command)) if scp::is_scp(&command) => {
                client.serve_scp(command).await;
            }
            Work::Program(command) => client.run(preparation, command, &context).await,
        }
    }
    log.info("finished", &[]);
}

/// The client, with all that goes to and fro.
struct Client {
    requests: Requests,
    input: Input,
    output: Output,
    log: Log,
}

impl Client {
    /// Runs a shell, for `command` if there is one.
    async fn run(self, preparation: Preparation, command: Option<Vec<u8>>, context: &Context) {
        let has_terminal = preparation.terminal.is_some();
        let plan = Plan::new(&preparation, command.as_deref(), &context.config);
        drop(command);
        if let Some(warning) = &plan.warning {
            self.say(has_terminal, warning).await;
        }
        match start(plan, preparation, context) {
            Ok(process) => Running::new(process, has_terminal).serve(self).await,
            Err(error) => {
                let text = error.to_string();
                self.log.error("failed-to-start", &[("error", text.as_str().into())]);
                self.say(has_terminal, &text).await;
                end(&self.output, NOT_STARTED);
            }
        }
    }

    /// Tells the person at the other end. A client that asked for a terminal prints lines as they are.
    async fn say(&self, has_terminal: bool, text: &str) {
        let end = if has_terminal { "\r\n" } else { "\n" };
        let line = format!("diego-sshd: {text}{end}");
        let _gone = self.output.write(Stream::Error, Bytes::from(line)).await;
    }

    async fn serve_sftp(self) {
        self.serve_blocking("sftp", |input, output, errors| match sftp::serve(input, output) {
            Ok(()) => 0,
            Err(error) => {
                let _gone = writeln!(errors, "diego-sshd: sftp: {error}");
                1
            }
        })
        .await;
    }

    async fn serve_scp(self, command: Vec<u8>) {
        let text = String::from_utf8_lossy(&command).into_owned();
        let data = [("Command", text.as_str().into())];
        self.log.info("handle-exec-request.handling-scp-command", &data);
        self.serve_blocking("scp", move |input, output, errors| {
            scp::run(&command, input, output, errors).into()
        })
        .await;
    }

    /// Runs `service`, which gives an exit status, while the client is there.
    async fn serve_blocking(
        mut self,
        name: &str,
        service: impl FnOnce(&mut blocking::Reader, &mut blocking::Writer, &mut blocking::Writer) -> u32
        + Send
        + 'static,
    ) {
        let output = self.output.clone();
        let outcome = tokio::select! {
            outcome = blocking::serve(name, self.input, self.output, service) => outcome,
            () = running::answer(&mut self.requests, None) => return,
        };
        let status = match outcome {
            Ok(status) => status,
            Err(failed) => {
                let line = format!("diego-sshd: {name} {}\n", words(&failed));
                self.log.error("failed", &[("error", line.as_str().into())]);
                let _gone = output.write(Stream::Error, Bytes::from(line)).await;
                NOT_STARTED
            }
        };
        end(&output, status);
    }
}

/// The failure with its cause.
fn words(failed: &Failed) -> String {
    lifecycle::report::chain(failed)
}

/// Takes what it is given, megabytes maybe, so that nothing of it is kept while the program runs.
fn start(plan: Plan, preparation: Preparation, context: &Context) -> Result<Process, StartError> {
    let Plan { program, environment, .. } = plan;
    match preparation.terminal {
        None => process::start(&program, &environment, &context.children),
        Some(terminal) => {
            let pty = Pty::open(terminal.size, &terminal.modes)?;
            process::start_on_terminal(&program, &environment, pty, &context.children)
        }
    }
}

/// Ends the session in the order that every client understands (contract sshd 9.2).
fn end(output: &Output, status: u32) {
    output.exit_status(status);
    output.eof();
    output.close();
}

#[cfg(test)]
mod tests;
