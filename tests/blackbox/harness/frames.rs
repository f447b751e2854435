//! HTTP/2 frame by frame (RFC 9113, 4): a client that sends any frame at any time, and sees each that comes.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{
    raw::{Stream, sent},
    setup::HOST,
    wait::DEADLINE,
};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// Codes of errors (RFC 9113, 7).
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const FLOW_CONTROL_ERROR: u32 = 3;
pub(crate) const STREAM_CLOSED: u32 = 5;
pub(crate) const FRAME_SIZE_ERROR: u32 = 6;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const COMPRESSION_ERROR: u32 = 9;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The code that a RST_STREAM or GOAWAY carries.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    /// Whether it is the head of a 400: `:status: 400` of the static table (RFC 7541, Appendix A).
    pub(crate) fn is_bad_request(&self) -> bool {
        self.kind == HEADERS && self.payload[0] == 0x80 | 12
    }

    /// Whether it is the head of a 431. No table has that, so its digits stand behind the name's number, as they are or packed
    /// (RFC 7541, Appendix B).
    pub(crate) fn is_too_large(&self) -> bool {
        let digits = self.payload.get(1..).unwrap_or_default();
        self.kind == HEADERS && (digits.starts_with(b"\x03431") || digits.starts_with(b"\x83\x69\x90\xff"))
    }

    pub(crate) fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }
}

/// A frame's bytes.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

pub(crate) fn rst_stream(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

pub(crate) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

/// Settings as pairs of identifier and value (RFC 9113, 6.5.2).
pub(crate) fn settings(pairs: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> =
        pairs.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
    frame(SETTINGS, 0, 0, &payload)
}

/// A field as HPACK writes it without any table (RFC 7541, 6.2.2); short ones only.
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        string(&mut bytes, text);
    }
    bytes
}

fn string(bytes: &mut Vec<u8>, text: &str) {
    // An integer with a prefix of 7 bits (RFC 7541, 5.1).
    match text.len() {
        len @ 0..127 => bytes.push(u8::try_from(len).unwrap()),
        len => {
            bytes.push(127);
            let mut rest = len - 127;
            while rest >= 128 {
                bytes.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            bytes.push(u8::try_from(rest).unwrap());
        }
    }
    bytes.extend(text.as_bytes());
}

/// The fields of a request.
pub(crate) fn request_fields(method: &str, path: &str) -> Vec<u8> {
    [field(":method", method), field(":scheme", "http"), field(":path", path), field(":authority", HOST)].concat()
}

/// A GET.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &request_fields("GET", path))
}

/// A POST whose body follows.
pub(crate) fn post(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &request_fields("POST", path))
}

/// A connection.
pub(crate) struct Frames {
    stream: Box<dyn Stream>,
    received: Vec<u8>,
}

impl Frames {
    /// Connects and says the preface with no settings.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &[]).await
    }

    /// Likewise, with settings.
    pub(crate) async fn connect_with(address: SocketAddr, pairs: &[(u16, u32)]) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap(), pairs).await
    }

    /// Likewise, on a connection that is there.
    pub(crate) async fn over(stream: impl Stream + 'static, pairs: &[(u16, u32)]) -> Self {
        let mut frames = Self { stream: Box::new(stream), received: Vec::new() };
        frames.send(PREFACE).await;
        frames.send(settings(pairs)).await;
        frames
    }

    /// Sends bytes; whether the other side still takes them.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let sent = timeout_at(Instant::now() + DEADLINE, sent(&mut *self.stream, bytes.as_ref())).await;
        sent.expect("nobody reads").is_ok()
    }

    /// Sends as much as the other side takes without waiting for longer than `patience`; whether it has closed.
    pub(crate) async fn flood(&mut self, bytes: &[u8], patience: Duration) -> bool {
        matches!(timeout_at(Instant::now() + patience, self.stream.write_all(bytes)).await, Ok(Err(_)))
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        self.next_within(DEADLINE).await.expect("no frame came")
    }

    /// Likewise; an error where none comes within `span`.
    pub(crate) async fn next_within(&mut self, span: Duration) -> Result<Option<Frame>, ()> {
        let until = Instant::now() + span;
        loop {
            if let Some(frame) = self.take() {
                return Ok(Some(frame));
            }
            match timeout_at(until, self.stream.read_buf(&mut self.received)).await {
                Err(_) => return Err(()),
                Ok(Ok(1..)) => {}
                Ok(_) => return Ok(None),
            }
        }
    }

    fn take(&mut self) -> Option<Frame> {
        let head: [u8; 9] = self.received.get(..9)?.try_into().unwrap();
        let len = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let payload = self.received.get(9..9 + len)?.to_vec();
        self.received.drain(..9 + len);
        let stream = u32::from_be_bytes(head[5..].try_into().unwrap()) & 0x7fff_ffff;
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// Reads until a frame that `wanted` holds for; `None` where the connection ends before.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Option<Frame> {
        while let Some(frame) = self.next().await {
            if wanted(&frame) {
                return Some(frame);
            }
        }
        None
    }

    /// The code of the GOAWAY that ends the connection; `None` where it ends without one.
    pub(crate) async fn goaway(&mut self) -> Option<u32> {
        let goaway = self.until(|frame| frame.kind == GOAWAY).await?;
        Some(goaway.code())
    }

    /// The code that a stream is reset with; `None` where the connection ends before.
    pub(crate) async fn reset(&mut self, stream: u32) -> Option<u32> {
        let reset = self.until(|frame| frame.kind == RST_STREAM && frame.stream == stream).await?;
        Some(reset.code())
    }

    /// The bytes of a response's body, read to its end.
    pub(crate) async fn body(&mut self, stream: u32) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let frame = self.until(|frame| frame.stream == stream).await.expect("the connection ended");
            if frame.kind == DATA {
                body.extend(&frame.payload);
            }
            assert_ne!(frame.kind, RST_STREAM, "stream {stream} was reset: {}", frame.code());
            if frame.ends_stream() {
                return body;
            }
        }
    }

    /// Whether it still answers a ping.
    pub(crate) async fn is_alive(&mut self) -> bool {
        let is_answer = |frame: &Frame| frame.kind == PING && frame.flags & ACK != 0 && frame.payload == *b"is alive";
        self.send(frame(PING, 0, 0, b"is alive")).await && self.until(is_answer).await.is_some()
    }
}
