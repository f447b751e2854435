//! Bodies, polled by hand as a connection polls them, and by a real one that breaks.

use std::{
    convert::Infallible,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Wake, Waker},
    thread,
};

use bytes::Buf as _;
use futures_util::{
    future::poll_fn,
    stream::{iter, poll_fn as poll_stream},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    task::yield_now,
};

use super::*;

#[derive(Debug, Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A body and whoever polls it.
struct Polled {
    body: EdgeBody,
    woken: Arc<Woken>,
    waker: Waker,
}

impl Polled {
    fn new(body: EdgeBody) -> Self {
        let woken = Arc::new(Woken::default());
        Self { body, waker: Arc::clone(&woken).into(), woken }
    }

    fn poll(&mut self) -> Poll<Option<Piece>> {
        let mut context = Context::from_waker(&self.waker);
        Pin::new(&mut self.body).poll_frame(&mut context).map(|frame| Some(frame?.unwrap().into_data().unwrap()))
    }

    fn piece(&mut self) -> Piece {
        let Poll::Ready(Some(piece)) = self.poll() else { panic!("no piece came") };
        piece
    }

    fn woken(&self) -> usize {
        self.woken.0.load(Ordering::SeqCst)
    }
}

fn whole(len: usize) -> EdgeBody {
    EdgeBody::whole(vec![7; len].into())
}

/// A body whose pieces come with these lengths, all at once.
fn streamed(lengths: &[usize], announced: Option<u64>) -> EdgeBody {
    let pieces: Vec<_> = lengths.iter().map(|len| Ok(Bytes::from(vec![7; *len]))).collect();
    EdgeBody::pieces(Box::pin(iter(pieces)), announced)
}

fn meter() -> Arc<SiteMeter> {
    Arc::new(SiteMeter::unbacked("shop".parse().unwrap()))
}

#[test]
fn the_second_piece_waits_until_the_first_is_dropped() {
    for body in [whole(PIECE_BYTES + 1), streamed(&[PIECE_BYTES + 1], None)] {
        let mut polled = Polled::new(body);
        let first = polled.piece();
        assert_eq!(first.remaining(), PIECE_BYTES);
        assert!(polled.poll().is_pending());
        assert_eq!(polled.woken(), 0);
        drop(first);
        assert_eq!(polled.woken(), 1);
        assert_eq!(polled.piece().remaining(), 1);
        assert!(matches!(polled.poll(), Poll::Ready(None)));
    }
}

#[test]
fn a_piece_is_taken_when_it_was_read_to_the_end_and_not_before() {
    let mut polled = Polled::new(whole(2 * PIECE_BYTES));
    let mut first = polled.piece();
    first.advance(PIECE_BYTES - 1);
    assert!(polled.poll().is_pending());
    first.advance(1);
    assert_eq!(polled.woken(), 1);
    let mut second = polled.piece();
    drop(first);
    assert_eq!(polled.woken(), 1, "it was taken already");
    assert_eq!(second.copy_to_bytes(10).len(), 10);
    assert_eq!(second.chunk().len(), PIECE_BYTES - 10);
    assert!(matches!(polled.poll(), Poll::Ready(None)), "the end waits for nothing");
}

#[test]
fn a_piece_taken_as_bytes_is_taken() {
    let mut polled = Polled::new(whole(2 * PIECE_BYTES));
    let mut first = polled.piece();
    assert!(polled.poll().is_pending());
    let bytes = first.copy_to_bytes(PIECE_BYTES);
    assert_eq!(polled.woken(), 1);
    assert_eq!(polled.piece().remaining(), bytes.len());
}

#[test]
fn a_body_of_one_piece_is_handed_over_unwatched() {
    let announced = Some(PIECE_BYTES as u64);
    for body in [whole(PIECE_BYTES), streamed(&[PIECE_BYTES], announced), streamed(&[10, PIECE_BYTES - 10], announced)]
    {
        let mut polled = Polled::new(body);
        let mut pieces = Vec::new();
        while let Poll::Ready(Some(piece)) = polled.poll() {
            pieces.push(piece);
        }
        assert!(polled.body.handover.is_none());
        assert_eq!(pieces.iter().map(Piece::remaining).sum::<usize>(), PIECE_BYTES);
        assert!(matches!(polled.poll(), Poll::Ready(None)));
    }
}

#[test]
fn small_pieces_are_held_together_up_to_the_length_of_one() {
    let mut polled = Polled::new(streamed(&[30_000, 30_000, 30_000], None));
    let (first, second) = (polled.piece(), polled.piece());
    assert!(polled.poll().is_pending());
    drop(first);
    let third = polled.piece();
    assert_eq!((second.remaining(), third.remaining()), (30_000, 30_000));
}

#[test]
fn what_comes_later_is_waited_for_while_a_piece_is_held() {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Bytes>(2);
    let pieces = poll_stream(move |context| receiver.poll_recv(context).map(|piece| piece.map(Ok)));
    let mut polled = Polled::new(EdgeBody::pieces(Box::pin(pieces), None));
    sender.try_send(vec![7; PIECE_BYTES].into()).unwrap();
    let first = polled.piece();
    assert!(polled.poll().is_pending());
    sender.try_send(vec![7; 5].into()).unwrap();
    assert_eq!(polled.woken(), 1);
    assert!(polled.poll().is_pending());
    drop(first);
    assert_eq!(polled.woken(), 2);
    assert_eq!(polled.piece().remaining(), 5);
}

#[test]
fn lengths_and_ends_are_told_as_before() {
    let mut polled = Polled::new(whole(PIECE_BYTES + 1));
    assert_eq!(polled.body.size_hint().exact(), Some(PIECE_BYTES as u64 + 1));
    drop(polled.piece());
    assert_eq!(polled.body.size_hint().exact(), Some(1));
    assert!(!polled.body.is_end_stream());
    drop(polled.piece());
    assert!(polled.body.is_end_stream());

    let mut empty = Polled::new(EdgeBody::empty());
    assert!(empty.body.is_end_stream());
    assert!(matches!(empty.poll(), Poll::Ready(None)));

    let mut unknown = Polled::new(streamed(&[5], None));
    assert_eq!(unknown.body.size_hint().exact(), None);
    drop(unknown.piece());
    assert!(!unknown.body.is_end_stream());
    assert!(matches!(unknown.poll(), Poll::Ready(None)));
}

#[test]
fn a_piece_counts_when_it_was_taken_and_as_much_as_was() {
    let meter = meter();
    let mut polled = Polled::new(whole(2 * PIECE_BYTES + 10).metered(Some(Arc::clone(&meter))));
    let mut first = polled.piece();
    first.advance(PIECE_BYTES - 1);
    assert!(polled.poll().is_pending());
    assert_eq!(meter.counted().egress_bytes, 0, "it is still in hand");
    first.advance(1);
    assert_eq!(meter.counted().egress_bytes, PIECE_BYTES as u64);
    drop(first);
    drop(polled.piece());
    assert_eq!(meter.counted().egress_bytes, PIECE_BYTES as u64, "it took nothing of the second");
    let mut last = polled.piece();
    let _ = last.copy_to_bytes(3);
    drop(last);
    assert_eq!(meter.counted().egress_bytes, PIECE_BYTES as u64 + 3);
}

#[test]
fn a_body_without_bytes_counts_nothing() {
    let meter = meter();
    let mut polled = Polled::new(EdgeBody::empty().metered(Some(Arc::clone(&meter))));
    assert!(matches!(polled.poll(), Poll::Ready(None)));
    assert_eq!(meter.counted().egress_bytes, 0);
}

#[tokio::test]
async fn no_wake_is_lost_when_pieces_are_taken_on_another_thread() {
    const PIECES: usize = 20_000;
    let pieces = std::iter::repeat_n(Bytes::from_static(&[7; PIECE_BYTES]), PIECES);
    let mut body = EdgeBody::pieces(Box::pin(iter(pieces.map(Ok))), None);
    let (sender, receiver) = mpsc::channel::<Piece>();
    let taker = thread::spawn(move || receiver.into_iter().map(|piece| piece.remaining()).sum::<usize>());
    let handing_over = async {
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            sender.send(frame.unwrap().into_data().unwrap()).unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(120), handing_over).await.expect("a wake was lost");
    drop(sender);
    assert_eq!(taker.join().unwrap(), PIECES * PIECE_BYTES);
}

/// One HTTP/1 connection, which answers with `len` bytes that are counted by `meter`.
async fn serve(stream: UnixStream, len: usize, meter: Arc<SiteMeter>) {
    let service = service_fn(move |_: http::Request<Incoming>| {
        let body = whole(len).metered(Some(Arc::clone(&meter)));
        async move { Ok::<_, Infallible>(http::Response::new(body)) }
    });
    let mut connections = http1::Builder::new();
    connections.max_buf_size(PIECE_BYTES);
    let _ = connections.serve_connection(TokioIo::new(stream), service).await;
}

#[tokio::test]
async fn a_connection_that_breaks_was_counted_to_the_byte() {
    const LEN: usize = 64 << 20;
    let meter = meter();
    let (mut client, server) = UnixStream::pair().unwrap();
    let serving = tokio::spawn(serve(server, LEN, Arc::clone(&meter)));
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    // It reads a while, and then nothing until the connection can write no more.
    let mut received = vec![0; 1 << 20];
    client.read_exact(&mut received).await.unwrap();
    for _ in 0..1000 {
        yield_now().await;
    }
    serving.abort();
    let _ = serving.await;
    client.read_to_end(&mut received).await.unwrap();

    let head = received.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    let (got, counted) = ((received.len() - head) as u64, meter.counted().egress_bytes);
    assert!(got < LEN as u64, "it broke before the end");
    assert_eq!(got, counted);
}

#[tokio::test]
async fn a_connection_that_does_not_break_gets_all_that_was_counted() {
    const LEN: usize = (8 << 20) + 5;
    let meter = meter();
    let (mut client, server) = UnixStream::pair().unwrap();
    let serving = tokio::spawn(serve(server, LEN, Arc::clone(&meter)));
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut received = Vec::new();
    let reading = client.read_to_end(&mut received);
    tokio::time::timeout(Duration::from_secs(60), reading).await.expect("the connection stalled").unwrap();
    serving.await.unwrap();
    let head = received.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(received.len() - head, LEN);
    assert_eq!(meter.counted().egress_bytes, LEN as u64);
}
