//! The debug listener of `-debugAddr`: HTTP, and nothing but `PUT /log-level` (contract sshd, section
//! 14). The predecessor's profiler pages are about its own runtime.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::address::{self, ListenError};
use crate::log::{Level, Log};

/// What a request may take: nobody else is served meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest request, in bytes: head and body.
const REQUEST_LIMIT: usize = 8 * 1024;

/// Serves in a task of its own from now on.
pub fn start(address: &str, log: &Log) -> Result<(), DebugServerError> {
    let listener = TcpListener::from_std(address::listen(address)?)?;
    tokio::spawn(serve(listener, log.clone()));
    Ok(())
}

/// Why the debug server does not listen.
#[derive(Debug, thiserror::Error)]
pub enum DebugServerError {
    /// The address is no good, or taken.
    #[error("debug-server exited with error: {0}")]
    Listen(#[from] ListenError),
    /// The runtime cannot watch the listener.
    #[error("debug-server exited with error: {0}")]
    Watch(#[from] io::Error),
}

async fn serve(listener: TcpListener, log: Log) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _given_up = timeout(PATIENCE, answer(stream, &log)).await;
            }
            // Out of descriptors, say.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn answer(mut stream: TcpStream, log: &Log) -> io::Result<()> {
    let mut request = Vec::new();
    let (found, level) = loop {
        match read(&request) {
            Request::Cut if request.len() >= REQUEST_LIMIT => break (false, None),
            Request::Cut => {
                let mut chunk = (&mut stream).take(1024);
                if chunk.read_buf(&mut request).await? == 0 {
                    return Ok(());
                }
            }
            Request::Level(level) => break (true, level),
            Request::Other => break (false, None),
        }
    };
    if let Some(level) = level {
        log.set_level(level);
    }
    let status = if found { "200 OK" } else { "404 Not Found" };
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

#[derive(Debug, PartialEq, Eq)]
enum Request {
    /// There is more to come.
    Cut,
    /// Of the log level; `None` if its body names none.
    Level(Option<Level>),
    /// Anything else.
    Other,
}

fn read(request: &[u8]) -> Request {
    let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Request::Cut;
    };
    let head = String::from_utf8_lossy(&request[..end]);
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some("PUT" | "POST"), Some("/log-level")) = (words.next(), words.next()) else {
        return Request::Other;
    };
    let length = lines.filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let (body, length) = (&request[end + 4..], length.unwrap_or(0));
    if body.len() < length {
        return Request::Cut;
    }
    Request::Level(level(&String::from_utf8_lossy(&body[..length])))
}

fn level(body: &str) -> Option<Level> {
    Some(match body.trim().to_ascii_lowercase().as_str() {
        "debug" | "d" | "0" => Level::Debug,
        "info" | "i" | "1" => Level::Info,
        "error" | "e" | "2" => Level::Error,
        "fatal" | "f" | "3" => Level::Fatal,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_log_level_can_be_put() {
        for (request, expected) in [
            (
                "PUT /log-level HTTP/1.1\r\nContent-Length: 5\r\n\r\ndebug",
                Request::Level(Some(Level::Debug)),
            ),
            (
                "POST /log-level HTTP/1.1\r\ncontent-length:1\r\n\r\n3",
                Request::Level(Some(Level::Fatal)),
            ),
            (
                "PUT /log-level HTTP/1.1\r\nContent-Length: 6\r\n\r\nERROR\n",
                Request::Level(Some(Level::Error)),
            ),
            ("PUT /log-level HTTP/1.1\r\nContent-Length: 4\r\n\r\nwarn", Request::Level(None)),
            ("PUT /log-level HTTP/1.1\r\n\r\n", Request::Level(None)),
            ("PUT /log-level HTTP/1.1\r\nContent-Length: 5\r\n\r\nde", Request::Cut),
            ("PUT /log-level HTTP/1.1\r\n", Request::Cut),
            ("", Request::Cut),
            ("GET /log-level HTTP/1.1\r\n\r\n", Request::Other),
            ("GET /debug/pprof/ HTTP/1.1\r\n\r\n", Request::Other),
            ("\r\n\r\n", Request::Other),
        ] {
            assert_eq!(read(request.as_bytes()), expected, "{request}");
        }
    }
}
