//! The messages of the connection protocol (RFC 4254) as values: parsing what clients send.
//!
//! No I/O, no state, no panic: [`parse`] takes any bytes. What is malformed inside of a request is a
//! request that fails, since the session must stay usable; only a broken frame is an error.

use std::borrow::Cow;

use bytes::Bytes;

use super::wire::Reader;

/// A client's message, borrowed from its packet.
#[derive(Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Something about the connection as a whole.
    GlobalRequest {
        /// What is asked; `None` if unknown or malformed.
        kind: Option<GlobalRequest>,
        /// Whether the client waits for an answer.
        want_reply: bool,
    },
    /// An answer to a global request of ours; we send none, but a keep-alive's answer may look like it.
    GlobalReply,
    /// The client wants a channel.
    Open(Open),
    /// The client agrees to a channel of ours.
    OpenConfirmation {
        /// Our number of the channel.
        channel: u32,
        /// The client's side of it.
        peer: Peer,
    },
    /// The client refuses a channel of ours.
    OpenFailure {
        /// Our number of the channel.
        channel: u32,
        /// RFC 4254 5.1.
        reason: u32,
    },
    /// The client reads: so many bytes more.
    WindowAdjust {
        /// Our number of the channel.
        channel: u32,
        /// Bytes.
        bytes: u32,
    },
    /// Data for the channel's program.
    Data {
        /// Our number of the channel.
        channel: u32,
        /// The bytes.
        data: &'a [u8],
    },
    /// Data beside the stream, which a server has no use for.
    ExtendedData {
        /// Our number of the channel.
        channel: u32,
        /// The bytes.
        data: &'a [u8],
    },
    /// No more data will come on the channel.
    Eof {
        /// Our number of the channel.
        channel: u32,
    },
    /// The channel is over.
    Close {
        /// Our number of the channel.
        channel: u32,
    },
    /// Something about one channel.
    ChannelRequest {
        /// Our number of the channel.
        channel: u32,
        /// What is asked; `None` if unknown or malformed.
        kind: Option<RequestKind>,
        /// Whether the client waits for an answer.
        want_reply: bool,
    },
    /// An answer to a channel request of ours.
    ChannelReply,
}

/// The client's side of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The client's number of the channel.
    pub channel: u32,
    /// Bytes the client is ready to take.
    pub window: u32,
    /// The most bytes it takes in one message.
    pub max_packet: u32,
}

/// A channel that a client wants.
#[derive(Debug, PartialEq, Eq)]
pub struct Open {
    /// The client's side.
    pub peer: Peer,
    /// What the channel is for.
    pub kind: OpenKind,
}

/// What a channel is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenKind {
    /// A command, a shell, a subsystem.
    Session,
    /// A TCP connection from here (`ssh -L`, `-D`, `-W`).
    DirectTcp(DirectTcp),
    /// A connection to a unix socket here; the path.
    DirectStreamLocal(Vec<u8>),
    /// A type that is known, with a payload that does not parse.
    Malformed,
    /// Any other type, by its name.
    Unknown(Vec<u8>),
}

impl OpenKind {
    /// The type for people.
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Session => "session".into(),
            Self::DirectTcp(_) => "direct-tcpip".into(),
            Self::DirectStreamLocal(_) => "direct-streamlocal@openssh.com".into(),
            Self::Malformed => "malformed".into(),
            Self::Unknown(name) => String::from_utf8_lossy(name),
        }
    }
}

/// The target of a `direct-tcpip` channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectTcp {
    /// Name or address to connect to.
    pub host: Vec<u8>,
    /// Its port; numbers above 65535 come as they are.
    pub port: u32,
    /// Where the client says the connection came from.
    pub origin_host: Vec<u8>,
    /// The port of that.
    pub origin_port: u32,
}

/// A request about the connection that is known and well formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GlobalRequest {
    /// `tcpip-forward`: listen here (`ssh -R`).
    TcpForward {
        /// The address as the client wrote it.
        address: Vec<u8>,
        /// 0 for a port of our choice.
        port: u32,
    },
    /// `cancel-tcpip-forward`.
    CancelTcpForward {
        /// The address as the client wrote it.
        address: Vec<u8>,
        /// The port that was listened on.
        port: u32,
    },
    /// `streamlocal-forward@openssh.com`: listen on a unix socket; the path.
    StreamLocalForward(Vec<u8>),
    /// `cancel-streamlocal-forward@openssh.com`; the path.
    CancelStreamLocalForward(Vec<u8>),
}

/// A request about a session channel that is known and well formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// `env`.
    Environment {
        /// The variable.
        name: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// `pty-req`.
    Terminal(TerminalRequest),
    /// `window-change`.
    WindowChange {
        /// Characters.
        columns: u32,
        /// Characters.
        rows: u32,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
    /// `signal`: a name without `SIG`.
    Signal(String),
    /// `exec`: a command line.
    Exec(Vec<u8>),
    /// `shell`.
    Shell,
    /// `subsystem`: its name.
    Subsystem(String),
}

/// What a client tells of its terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TerminalRequest {
    /// The value for `TERM`.
    pub term: Vec<u8>,
    /// Characters.
    pub columns: u32,
    /// Characters.
    pub rows: u32,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Encoded terminal modes, RFC 4254 8, as they came.
    pub modes: Bytes,
}

/// A message that breaks the protocol: the frame itself cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed message {0}")]
pub struct Malformed(
    /// The message's number; 0 for an empty packet.
    pub u8,
);

/// Reads one packet; `Ok(None)` for message numbers that are not of the connection protocol.
pub fn parse(packet: &[u8]) -> Result<Option<Message<'_>>, Malformed> {
    let Some((&number, payload)) = packet.split_first() else { return Err(Malformed(0)) };
    if !is_known(number) {
        return Ok(None);
    }
    let mut reader = Reader::new(payload);
    body(number, &mut reader).map(Some).ok_or(Malformed(number))
}

fn is_known(number: u8) -> bool {
    matches!(number, 80..=82 | 90..=100)
}

fn body<'a>(number: u8, reader: &mut Reader<'a>) -> Option<Message<'a>> {
    match number {
        80 => global_request(reader),
        81 | 82 => Some(Message::GlobalReply),
        90 => open(reader),
        91 => Some(Message::OpenConfirmation { channel: reader.number()?, peer: peer(reader)? }),
        92 => Some(Message::OpenFailure { channel: reader.number()?, reason: reader.number()? }),
        93 => Some(Message::WindowAdjust { channel: reader.number()?, bytes: reader.number()? }),
        94 => Some(Message::Data { channel: reader.number()?, data: reader.string()? }),
        95 => {
            let (channel, _kind) = (reader.number()?, reader.number()?);
            Some(Message::ExtendedData { channel, data: reader.string()? })
        }
        96 => Some(Message::Eof { channel: reader.number()? }),
        97 => Some(Message::Close { channel: reader.number()? }),
        98 => channel_request(reader),
        _ => reader.number().map(|_channel| Message::ChannelReply),
    }
}

fn peer(reader: &mut Reader<'_>) -> Option<Peer> {
    Some(Peer { channel: reader.number()?, window: reader.number()?, max_packet: reader.number()? })
}

fn open<'a>(reader: &mut Reader<'a>) -> Option<Message<'a>> {
    let name = reader.string()?;
    let peer = peer(reader)?;
    let kind = match name {
        b"session" => Some(OpenKind::Session),
        b"direct-tcpip" => direct_tcp(reader),
        b"direct-streamlocal@openssh.com" => {
            reader.string().map(|path| OpenKind::DirectStreamLocal(path.into()))
        }
        other => Some(OpenKind::Unknown(other.into())),
    };
    Some(Message::Open(Open { peer, kind: kind.unwrap_or(OpenKind::Malformed) }))
}

fn direct_tcp(reader: &mut Reader<'_>) -> Option<OpenKind> {
    let (host, port) = (reader.string()?.into(), reader.number()?);
    let (origin_host, origin_port) = (reader.string()?.into(), reader.number()?);
    reader.end()?;
    Some(OpenKind::DirectTcp(DirectTcp { host, port, origin_host, origin_port }))
}

fn global_request<'a>(reader: &mut Reader<'a>) -> Option<Message<'a>> {
    let name = reader.string()?;
    let want_reply = reader.boolean()?;
    Some(Message::GlobalRequest { kind: global_kind(name, reader), want_reply })
}

fn global_kind(name: &[u8], reader: &mut Reader<'_>) -> Option<GlobalRequest> {
    let kind = match name {
        b"tcpip-forward" => {
            GlobalRequest::TcpForward { address: reader.string()?.into(), port: reader.number()? }
        }
        b"cancel-tcpip-forward" => GlobalRequest::CancelTcpForward {
            address: reader.string()?.into(),
            port: reader.number()?,
        },
        b"streamlocal-forward@openssh.com" => {
            GlobalRequest::StreamLocalForward(reader.string()?.into())
        }
        b"cancel-streamlocal-forward@openssh.com" => {
            GlobalRequest::CancelStreamLocalForward(reader.string()?.into())
        }
        _ => return None,
    };
    reader.end().map(|()| kind)
}

fn channel_request<'a>(reader: &mut Reader<'a>) -> Option<Message<'a>> {
    let (channel, name, want_reply) = (reader.number()?, reader.string()?, reader.boolean()?);
    Some(Message::ChannelRequest { channel, kind: request_kind(name, reader), want_reply })
}

fn request_kind(name: &[u8], reader: &mut Reader<'_>) -> Option<RequestKind> {
    let kind = match name {
        b"env" => RequestKind::Environment {
            name: reader.string()?.into(),
            value: reader.string()?.into(),
        },
        b"pty-req" => RequestKind::Terminal(terminal(reader)?),
        b"window-change" => RequestKind::WindowChange {
            columns: reader.number()?,
            rows: reader.number()?,
            width: reader.number()?,
            height: reader.number()?,
        },
        b"signal" => RequestKind::Signal(reader.text()?),
        b"exec" => RequestKind::Exec(reader.string()?.into()),
        b"shell" => RequestKind::Shell,
        b"subsystem" => RequestKind::Subsystem(reader.text()?),
        _ => return None,
    };
    // A shell's payload says nothing; the predecessor ignores what stands there.
    if kind != RequestKind::Shell {
        reader.end()?;
    }
    Some(kind)
}

fn terminal(reader: &mut Reader<'_>) -> Option<TerminalRequest> {
    Some(TerminalRequest {
        term: reader.string()?.into(),
        columns: reader.number()?,
        rows: reader.number()?,
        width: reader.number()?,
        height: reader.number()?,
        modes: Bytes::copy_from_slice(reader.string()?),
    })
}

#[cfg(test)]
mod tests;
