// piecrust: this file is not of the release.
//! A server session whose connection protocol (RFC 4254) is not this crate's but the handler's: after
//! authentication every message from 80 up goes to it, and it is asked for messages to send whenever
//! there is room. Reading and writing do not wait for each other.

use std::future::poll_fn;

use tokio::io::ReadBuf;

use super::*;

/// Output is asked for until so many bytes wait to be written.
const HIGH_WATER: usize = 128 << 10;
/// While more than this waits, which only answers of the transport itself can amount to, nothing is read.
const BACKLOG: usize = 1 << 20;
/// The same before authentication.
const STRANGERS_BACKLOG: usize = 64 << 10;
/// The buffer for reading is of this size at first...
const SMALL_READ: usize = 4 << 10;
/// ... and of this size when more comes than fits.
const LARGE_READ: usize = 128 << 10;
/// The longest packet before authentication (RFC 4253 6.1): a stranger's memory is not its own.
const STRANGERS_PACKET: usize = 35_000;
/// So many bytes a client may send, other than for the key exchange, while it does not answer to our
/// KEXINIT: what was on its way, with room to spare.
const MAX_IN_FLIGHT: u32 = 16 << 20;
/// How long a client that is told goodbye may take to read it.
const GOODBYE: std::time::Duration = std::time::Duration::from_secs(1);

/// Why a server disconnects (RFC 4253 11.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goodbye {
    /// The reason code.
    pub reason: u32,
    /// For people.
    pub description: String,
}

/// A handler that has a connection protocol of its own.
pub trait Connection: Handler {
    /// Takes a message numbered 80 or above; `false` if it does not know it.
    fn message(&mut self, payload: &[u8]) -> Result<bool, Self::Error>;
    /// The client sent something.
    fn heard(&mut self);
    /// Whether more messages should be read now.
    fn takes_messages(&self) -> bool;
    /// Whether so much waits for the client that one that goes on asking, while it owes us its part of a key
    /// exchange, is cut off: nothing can be sent until then, and reading has to go on.
    fn is_flooded(&self) -> bool;
    /// Puts messages into `packets` while it has room.
    fn write(&mut self, packets: &mut Packets<'_>);
    /// Ready when [`Self::write`] has something to put.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()>;
    /// Ready when the connection is to end; also polled before authentication.
    fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<Goodbye>;
    /// What to tell the client when `error` ends the connection.
    fn goodbye(&self, error: &Self::Error) -> Option<Goodbye>;
    /// Whether large buffers should be given back, as nothing happened for long.
    fn is_idle(&self) -> bool;
}

/// Where a [`Connection`] puts its messages.
#[derive(Debug)]
pub struct Packets<'a>(&'a mut PacketWriter);

impl Packets<'_> {
    /// Whether more should be put.
    pub fn has_room(&mut self) -> bool {
        self.0.buffer().buffer.len() < HIGH_WATER
    }

    /// Puts the message that `write` appends, which is sealed in place; none if it appends nothing.
    pub fn packet(&mut self, write: &mut dyn FnMut(&mut Vec<u8>)) {
        // Nothing in it can fail, without compression.
        let _ = self.0.write_packet(|buffer| {
            write(buffer);
            Ok(())
        });
    }
}

/// Serves one client to the end of its connection.
pub async fn run_connection<H, R>(
    config: Arc<Config>,
    mut stream: R,
    handler: &mut H,
) -> Result<(), H::Error>
where
    H: Connection + Send,
    R: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut write_buffer = SSHBuffer::new();
    write_buffer.send_ssh_id(&config.as_ref().server_id);
    map_err!(stream.write_all(&write_buffer.buffer[..]).await)?;

    let mut stream = SshRead::new(stream);
    // The channels of the library's own connection protocol are not used.
    let (priority_sender, priority_receiver) = tokio::sync::mpsc::unbounded_channel();
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let common = match read_ssh_id(config, &mut stream).await {
        Err(error @ Error::Version) => {
            // As OpenSSH says it: there is no packet yet to say it in.
            let _ = stream.write_all(b"Invalid SSH identification string.\r\n").await;
            return Err(error.into());
        }
        read => read?,
    };
    let mut session = Session {
        target_window_size: common.config.window_size,
        common,
        priority_receiver,
        receiver,
        sender: server::session::Handle {
            priority_sender,
            sender,
            channel_buffer_size: 1,
        },
        pending_reads: Vec::new(),
        pending_len: 0,
        channels: HashMap::new(),
        open_global_requests: VecDeque::new(),
        kex: SessionKexState::Idle,
    };
    session.begin_rekey()?;

    let mut transport = Transport::new(stream);
    let outcome = session.exchange(&mut transport, handler).await;
    if let Err(error) = &outcome
        && let Some(goodbye) = handler.goodbye(error)
    {
        session.say(&goodbye)?;
    }
    let leaving = transport.leave(&mut session.common.packet_writer);
    let _ = tokio::time::timeout(GOODBYE, leaving).await;
    outcome
}

/// What may happen next on a connection.
enum Event {
    /// Something arrived, or the client closed.
    Read(usize),
    /// Something was written, or can be.
    Write,
    /// The handler wants to end.
    Goodbye(Goodbye),
}

impl Session {
    /// Reads and writes until one side ends the connection.
    async fn exchange<H, R>(
        &mut self,
        transport: &mut Transport<R>,
        handler: &mut H,
    ) -> Result<(), H::Error>
    where
        H: Connection + Send,
        R: AsyncRead + AsyncWrite + Unpin + Send,
    {
        loop {
            self.flush()?;
            if self.common.disconnected {
                return Ok(());
            }
            if self.is_authenticated() && !self.kex.active() && self.common.packet_writer.is_empty() {
                handler.write(&mut Packets(&mut self.common.packet_writer));
            }
            match poll_fn(|cx| self.poll_event(cx, transport, handler)).await? {
                Event::Read(0) => return Ok(()),
                Event::Read(_) => {
                    handler.heard();
                    if self.process(transport, handler).await? {
                        return Ok(());
                    }
                    // Whoever waits for what was read shall run before more is.
                    yield_once().await;
                }
                Event::Write => {}
                Event::Goodbye(goodbye) => {
                    self.say(&goodbye)?;
                    return Ok(());
                }
            }
        }
    }

    fn poll_event<H, R>(
        &mut self,
        cx: &mut Context<'_>,
        transport: &mut Transport<R>,
        handler: &mut H,
    ) -> Poll<Result<Event, Error>>
    where
        H: Connection,
        R: AsyncRead + AsyncWrite + Unpin,
    {
        if let Poll::Ready(goodbye) = handler.poll_goodbye(cx) {
            return Poll::Ready(Ok(Event::Goodbye(goodbye)));
        }
        let wrote = transport.poll_write(cx, &mut self.common.packet_writer)?.is_ready();
        let has_output = self.is_authenticated()
            && !self.kex.active()
            && self.common.packet_writer.is_empty()
            && handler.poll_write(cx).is_ready();
        // A client that does not read its answers may not ask for more; but keys must be exchanged.
        let backlog = if transport.is_trusted { BACKLOG } else { STRANGERS_BACKLOG };
        if self.common.packet_writer.len() < backlog
            && (self.kex.active() || handler.takes_messages())
            && let Poll::Ready(read) = transport.poll_read(cx)?
        {
            return Poll::Ready(Ok(Event::Read(read)));
        }
        if wrote || has_output {
            return Poll::Ready(Ok(Event::Write));
        }
        if handler.is_idle() {
            transport.shrink();
            self.common.packet_writer.shrink();
        }
        Poll::Pending
    }

    /// Takes all packets that have arrived whole; `true` if the client said goodbye.
    async fn process<H, R>(
        &mut self,
        transport: &mut Transport<R>,
        handler: &mut H,
    ) -> Result<bool, H::Error>
    where
        H: Connection + Send,
    {
        loop {
            transport.is_trusted = self.is_authenticated();
            let Some(range) = transport.next_packet(&mut *self.common.remote_to_local)? else { break };
            let payload = transport.buffer.get(range).unwrap_or_default();
            let Some(&number) = payload.first() else { continue };
            if number == msg::DISCONNECT {
                return Ok(true);
            }
            if self.is_authenticated() && number >= msg::GLOBAL_REQUEST {
                self.check_in_flight(payload.len(), handler.is_flooded())?;
                if !handler.message(payload)? {
                    self.extension_message(payload, transport.seqn)?;
                }
            } else {
                if msg::is_kex_msg(number) && number != msg::KEXINIT && !self.kex.active() {
                    return Err(Error::Inconsistent.into());
                }
                let mut packet = IncomingSshPacket {
                    buffer: payload.to_vec(),
                    seqn: transport.seqn,
                };
                reply(self, handler, &mut packet).await?;
                transport.seqn = packet.seqn;
                if self.common.disconnected {
                    break;
                }
            }
            self.count_for_rekey(transport);
        }
        Ok(false)
    }

    /// Authentication is over; delayed compression, which begins here, is not offered.
    fn is_authenticated(&mut self) -> bool {
        match self.common.encrypted.as_mut().map(|enc| &mut enc.state) {
            Some(state @ EncryptedState::InitCompression) => {
                *state = EncryptedState::Authenticated;
                true
            }
            Some(EncryptedState::Authenticated) => true,
            _ => false,
        }
    }

    /// RFC 4253 7.1: between its KEXINIT and its NEWKEYS a client may send nothing else. What was on its
    /// way when ours went out is welcome, to a limit.
    fn check_in_flight(&mut self, length: usize, is_flooded: bool) -> Result<(), Error> {
        if let SessionKexState::InProgress(kex) = &self.kex {
            if kex.peer_kexinit_received() {
                return Err(Error::Inconsistent);
            }
            self.pending_len = self.pending_len.saturating_add(length as u32);
            if self.pending_len > MAX_IN_FLIGHT || is_flooded {
                return Err(Error::Pending);
            }
        }
        Ok(())
    }

    /// `ping@openssh.com` is answered; what nobody knows is said to be unknown (RFC 4253 11.4).
    fn extension_message(&mut self, payload: &[u8], seqn: Wrapping<u32>) -> Result<(), Error> {
        const PING: u8 = 192;
        const PONG: u8 = 193;
        let Some(enc) = self.common.encrypted.as_mut() else {
            return Err(Error::Inconsistent);
        };
        push_packet!(enc.write, {
            if let Some((&PING, data)) = payload.split_first() {
                enc.write.push(PONG);
                enc.write.extend_from_slice(data);
            } else {
                enc.write.push(msg::UNIMPLEMENTED);
                // The number was counted up when the packet was opened.
                enc.write.extend_from_slice(&(seqn - Wrapping(1)).0.to_be_bytes());
            }
        });
        Ok(())
    }

    fn count_for_rekey<R>(&mut self, transport: &mut Transport<R>) {
        if self.kex.active() {
            transport.bytes = 0;
        } else if transport.bytes >= self.common.config.limits.rekey_read_limit
            && let Some(enc) = self.common.encrypted.as_mut()
        {
            transport.bytes = 0;
            enc.rekey_wanted = true;
        }
    }

    /// Tells the client why the connection ends.
    fn say(&mut self, goodbye: &Goodbye) -> Result<(), Error> {
        self.common.packet_writer.write_packet(|packet| {
            packet.push(msg::DISCONNECT);
            goodbye.reason.encode(packet)?;
            goodbye.description.encode(packet)?;
            "en".encode(packet)?;
            Ok(())
        })
    }
}

/// The byte stream of a connection with what was read but not processed and written but not sent.
struct Transport<R> {
    stream: SshRead<R>,
    buffer: Vec<u8>,
    /// Where the next packet begins in `buffer`, and where what was read ends.
    start: usize,
    end: usize,
    /// The whole length of the next packet, once known.
    packet_len: Option<usize>,
    seqn: Wrapping<u32>,
    /// Payload read since the last key exchange.
    bytes: usize,
    /// How much of the packet writer's buffer was sent.
    written: usize,
    /// Whether the client is authenticated, and may have large buffers.
    is_trusted: bool,
}

impl<R> Transport<R> {
    fn new(stream: SshRead<R>) -> Self {
        Self {
            stream,
            buffer: vec![0; SMALL_READ],
            start: 0,
            end: 0,
            packet_len: None,
            seqn: Wrapping(0),
            bytes: 0,
            written: 0,
            is_trusted: false,
        }
    }

    /// Opens the next packet if it has arrived whole: where its payload is.
    fn next_packet(&mut self, key: &mut (dyn OpeningKey + Send)) -> Result<Option<std::ops::Range<usize>>, Error> {
        let available = self.end - self.start;
        let length = match self.packet_len {
            Some(length) => length,
            None if available < key.packet_length_to_read_for_block_length() => return Ok(None),
            None => {
                #[allow(clippy::indexing_slicing)] // length checked
                let beginning = &self.buffer[self.start..self.start + key.packet_length_to_read_for_block_length()];
                let length = cipher::whole_packet_len(key, self.seqn.0, beginning)?;
                if length > STRANGERS_PACKET && !self.is_trusted {
                    return Err(Error::PacketSize(length));
                }
                *self.packet_len.insert(length)
            }
        };
        if available < length {
            return Ok(None);
        }
        #[allow(clippy::indexing_slicing)] // length checked
        let plaintext = key.open(self.seqn.0, &mut self.buffer[self.start..self.start + length])?;
        let padding_length = plaintext.first().copied().map_or(0, usize::from);
        let payload_len = plaintext
            .len()
            .checked_sub(padding_length + 1)
            .ok_or(Error::IndexOutOfBounds)?;
        let payload_start = self.start + cipher::PACKET_LENGTH_LEN + 1;
        self.seqn += Wrapping(1);
        self.bytes = self.bytes.saturating_add(payload_len);
        self.packet_len = None;
        self.start += length;
        Ok(Some(payload_start..payload_start + payload_len))
    }

    /// Makes room for at least what is missing of the next packet.
    fn make_room(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        let needed = self.packet_len.unwrap_or(0);
        if self.end == self.buffer.len() || self.start + needed > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if needed > self.buffer.len() || self.end == self.buffer.len() {
            let usual = if self.is_trusted { LARGE_READ } else { SMALL_READ };
            self.buffer.resize(needed.max(usual), 0);
        }
    }

    fn shrink(&mut self) {
        if self.start == self.end && self.buffer.len() > SMALL_READ {
            (self.start, self.end) = (0, 0);
            self.buffer = vec![0; SMALL_READ];
        }
    }
}

impl<R: AsyncRead + AsyncWrite + Unpin> Transport<R> {
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Error>> {
        self.make_room();
        #[allow(clippy::indexing_slicing)] // length checked
        let mut buffer = ReadBuf::new(&mut self.buffer[self.end..]);
        match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) => {
                let read = buffer.filled().len();
                self.end += read;
                if self.end == self.buffer.len() && self.buffer.len() < LARGE_READ && self.is_trusted {
                    self.buffer.resize(LARGE_READ, 0);
                }
                Poll::Ready(Ok(read))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Sends what `writer` has sealed; ready if anything could be sent.
    fn poll_write(&mut self, cx: &mut Context<'_>, writer: &mut PacketWriter) -> Poll<Result<(), Error>> {
        let sealed = &mut writer.buffer().buffer;
        let Some(rest) = sealed.get(self.written..).filter(|rest| !rest.is_empty()) else {
            return Poll::Pending;
        };
        match Pin::new(&mut self.stream).poll_write(cx, rest) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(std::io::Error::from(std::io::ErrorKind::WriteZero).into())),
            Poll::Ready(Ok(sent)) => {
                self.written += sent;
                if self.written == sealed.len() {
                    sealed.clear();
                    self.written = 0;
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Sends what is left and closes; a client that still sends would otherwise lose what it was told.
    async fn leave(&mut self, writer: &mut PacketWriter) {
        while !writer.is_empty() {
            if poll_fn(|cx| self.poll_write(cx, writer)).await.is_err() {
                return;
            }
        }
        if self.stream.shutdown().await.is_err() {
            return;
        }
        while let Ok(1..) = poll_fn(|cx| self.poll_read(cx)).await {
            (self.start, self.end, self.packet_len) = (0, 0, None);
        }
    }
}

/// Lets the other tasks run.
async fn yield_once() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
