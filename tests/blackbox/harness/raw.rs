//! A client that writes bytes as they are, for what no ordinary client sends, and that can go away at any moment.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::wait::DEADLINE;

/// A connection. Dropping it closes it.
pub(crate) struct Raw<S = TcpStream>(S);

/// What a connection runs over: plain or TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Raw {
    /// Connects and sends `bytes`.
    pub(crate) async fn send(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Self {
        let mut raw = Self(TcpStream::connect(address).await.unwrap());
        raw.write(bytes).await;
        raw
    }

    /// Likewise; `None` where nobody listens or the connection breaks at once.
    pub(crate) async fn try_send(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Option<Self> {
        let mut raw = Self(TcpStream::connect(address).await.ok()?);
        raw.0.write_all(bytes.as_ref()).await.ok()?;
        Some(raw)
    }

    /// Goes away without a goodbye: the other side finds the connection reset.
    pub(crate) fn reset(self) {
        self.0.set_zero_linger().unwrap();
    }

    /// Reads what has been sent already: until nothing more comes, from a side that cannot send.
    pub(crate) async fn take_what_is_there(&mut self) -> u64 {
        let (mut taken, mut buffer) = (0, vec![0; 256 * 1024]);
        while let Ok(Ok(read @ 1..)) = timeout(Duration::from_millis(200), self.0.read(&mut buffer)).await {
            taken += read as u64;
        }
        taken
    }
}

/// Writes all, and has TLS keep nothing of it.
pub(crate) async fn sent(stream: &mut (impl Stream + ?Sized), bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

impl<S: Stream> Raw<S> {
    /// A connection that is there.
    pub(crate) fn over(stream: S) -> Self {
        Self(stream)
    }

    /// Reads what comes next, at the most `most` bytes; 0 at the end.
    pub(crate) async fn read_some(&mut self, most: usize) -> usize {
        let mut buffer = vec![0; most];
        timeout(DEADLINE, self.0.read(&mut buffer)).await.expect("nothing came").unwrap_or(0)
    }

    /// Sends more. That the other side has closed already is no matter.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = timeout(DEADLINE, sent(&mut self.0, bytes.as_ref())).await.expect("nobody reads");
    }

    /// Reads until `enough` or the end, and gives what came.
    pub(crate) async fn read_until(&mut self, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let mut received = Vec::new();
        while !enough(&received) {
            let read = timeout(DEADLINE, self.0.read_buf(&mut received)).await.expect("nothing came");
            if !matches!(read, Ok(1..)) {
                break;
            }
        }
        received
    }

    /// Reads a response's head and what came with it.
    pub(crate) async fn head(&mut self) -> String {
        let received = self.read_until(|bytes| bytes.windows(4).any(|window| window == b"\r\n\r\n")).await;
        String::from_utf8_lossy(&received).into_owned()
    }

    /// The status of the response; 0 where the connection was closed without one.
    pub(crate) async fn status(&mut self) -> u16 {
        let head = self.head().await;
        head.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok()).unwrap_or(0)
    }

    /// Reads to the end of the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        self.read_until(|_| false).await
    }

    /// Whether the other side has closed, or closes within `span`.
    pub(crate) async fn is_closed_within(&mut self, span: Duration) -> bool {
        let mut sink = [0; 1024];
        loop {
            match timeout(span, self.0.read(&mut sink)).await {
                Err(_) => return false,
                Ok(Ok(1..)) => {}
                Ok(_) => return true,
            }
        }
    }
}
