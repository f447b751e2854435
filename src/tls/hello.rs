//! The first message of a handshake: read within a bound, and what is decided by it.

use std::io;

use rustls::{
    AlertDescription,
    server::{Accepted, Acceptor, ClientHello},
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::challenge;

/// The most that is read before the ClientHello must be whole. Browsers send one or two kilobytes.
pub(super) const MAX_HELLO_BYTES: usize = 16 * 1024;

/// What is read at a time.
const READ_BYTES: usize = 2 * 1024;

/// A record that says why there is no handshake: plaintext, as nothing has been agreed on (RFC 8446, 6).
const fn alert(description: u8) -> [u8; 7] {
    const ALERT: u8 = 21;
    const FATAL: u8 = 2;
    [ALERT, 3, 3, 0, 2, FATAL, description]
}

/// Why there is no ClientHello.
#[derive(Debug, thiserror::Error)]
pub(super) enum HelloError {
    /// The client went away.
    #[error("the client went away")]
    Gone,
    /// The system says so.
    #[error(transparent)]
    Broken(#[from] io::Error),
    /// It has no end.
    #[error("the ClientHello is longer than {MAX_HELLO_BYTES} bytes")]
    TooLong,
    /// It is none.
    #[error(transparent)]
    Refused(#[from] rustls::Error),
}

/// Reads a ClientHello. Whoever sends something else is told so.
pub(super) async fn read<S>(stream: &mut S) -> Result<Accepted, HelloError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut acceptor = Acceptor::default();
    let mut buffer = [0; READ_BYTES];
    let mut left = MAX_HELLO_BYTES;
    while left > 0 {
        let room = left.min(READ_BYTES);
        let read = stream.read(&mut buffer[..room]).await?;
        if read == 0 {
            return Err(HelloError::Gone);
        }
        left -= read;
        let mut bytes = &buffer[..read];
        while !bytes.is_empty() {
            acceptor.read_tls(&mut bytes)?;
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(accepted),
            Ok(None) => {}
            Err((error, mut alert)) => {
                let mut record = Vec::new();
                alert.write_all(&mut record)?;
                say(stream, &record).await;
                return Err(error.into());
            }
        }
    }
    refuse(stream, AlertDescription::DecodeError).await;
    Err(HelloError::TooLong)
}

/// Tells the client why there is no handshake, and closes.
pub(super) async fn refuse<S>(stream: &mut S, why: AlertDescription)
where
    S: AsyncWrite + Unpin,
{
    say(stream, &alert(u8::from(why))).await;
}

async fn say<S>(stream: &mut S, record: &[u8])
where
    S: AsyncWrite + Unpin,
{
    // Whether it hears that is its own affair.
    let _ = stream.write_all(record).await;
    let _ = stream.shutdown().await;
}

/// What a client wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// To speak with the server of this name (SNI, RFC 6066, 3).
    Name(Box<str>),
    /// With a server that it does not name.
    AnyName,
    /// To see the certificate of a challenge for this name (RFC 8737, 3).
    Challenge(Box<str>),
}

impl Wish {
    pub(super) fn of(hello: &ClientHello<'_>) -> Self {
        let Some(name) = hello.server_name() else { return Self::AnyName };
        let name = normalized(name);
        let mut protocols = hello.alpn().into_iter().flatten();
        let is_challenge = protocols.next() == Some(challenge::ALPN) && protocols.next().is_none();
        if is_challenge { Self::Challenge(name) } else { Self::Name(name) }
    }
}

/// A server name in lower case, without a trailing dot.
pub(super) fn normalized(name: &str) -> Box<str> {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase().into()
}
