//! An origin that answers with bytes as they are, for what no server's library would send.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::{Setup, ports::free_address, setup::HOST, until_some};

/// A listening port. After each answer the connection is closed.
pub(crate) struct Wire {
    url: String,
    state: Arc<State>,
    serving: JoinHandle<()>,
}

struct State {
    answer: Mutex<Bytes>,
    asked: AtomicUsize,
}

impl Wire {
    /// Starts with an answer for whatever is asked.
    pub(crate) async fn with(answer: impl Into<Bytes>) -> Self {
        let address = free_address();
        let listener = until_some("the port is free", async || TcpListener::bind(address).await.ok()).await;
        let state = Arc::new(State { answer: Mutex::new(answer.into()), asked: AtomicUsize::new(0) });
        let serving = tokio::spawn(serve(listener, Arc::clone(&state)));
        Self { url: format!("http://{address}"), state, serving }
    }

    /// An edge's configuration with a site in front of it.
    pub(crate) fn setup(&self) -> Setup {
        Setup::empty().with_site("shop", &[HOST], &self.url)
    }

    /// Answers otherwise from now on.
    pub(crate) fn set(&self, answer: impl Into<Bytes>) {
        *self.state.answer.lock().unwrap() = answer.into();
    }

    /// How often it was asked.
    pub(crate) fn count(&self) -> usize {
        self.state.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, Arc::clone(&state)));
    }
}

async fn answer(mut stream: TcpStream, state: Arc<State>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if !matches!(stream.read_buf(&mut head).await, Ok(1..)) {
            return;
        }
    }
    state.asked.fetch_add(1, Ordering::SeqCst);
    let bytes = state.answer.lock().unwrap().clone();
    // The other side may have read enough.
    let _ = stream.write_all(&bytes).await;
    let _ = stream.shutdown().await;
    // Closing with something unread would reset the connection, and what was sent would be lost.
    let _ = stream.read_to_end(&mut head).await;
}
