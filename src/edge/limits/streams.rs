//! Streams of HTTP/2 while they are answered: each is a task of its own, and one that stands still for too long, or takes
//! too long in all, is dropped, which resets it (RFC 9113, 5.4.2). A client that opens no window for what it asked for would
//! hold it, and a place at the origin, for as long as it answers pings.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use prometheus::IntCounter;
use tokio::time::{Sleep, sleep, sleep_until};

/// What is written on an idle connection in the time after which it is closed: pings, and what TLS adds to them.
const IDLE_BYTES: u64 = 1024;

/// How long a stream may take.
#[derive(Debug, Clone, Copy)]
pub(in crate::edge) struct StreamTimes {
    /// Without going on: neither side could do anything.
    pub(in crate::edge) still: Duration,
    /// In all.
    pub(in crate::edge) whole: Duration,
}

/// The streams of one connection, as the executor of their tasks.
#[derive(Debug, Clone)]
pub(in crate::edge) struct Streams(Arc<State>);

#[derive(Debug)]
struct State {
    times: StreamTimes,
    begun: AtomicU64,
    ended: AtomicU64,
    /// Bytes written to the connection.
    written: Arc<AtomicU64>,
    stalled: IntCounter,
}

impl Streams {
    /// None yet; `stalled` counts those that are reset because they took too long, `written` is what the connection has
    /// been written.
    pub(in crate::edge) fn new(times: StreamTimes, stalled: IntCounter, written: Arc<AtomicU64>) -> Self {
        Self(Arc::new(State { times, begun: AtomicU64::new(0), ended: AtomicU64::new(0), written, stalled }))
    }

    /// Waits until there was no stream for at least `span`, and at the most twice that. What streams left behind to be sent
    /// when they ended counts as one, as long as it goes.
    pub(in crate::edge) async fn are_idle_for(&self, span: Duration) {
        loop {
            let before = self.seen();
            sleep(span).await;
            if self.seen().was_idle_since(before) {
                return;
            }
        }
    }

    fn seen(&self) -> Seen {
        let state = &self.0;
        // Those that ended first: what begins meanwhile is never taken for ended.
        let ended = state.ended.load(Ordering::SeqCst);
        let begun = state.begun.load(Ordering::SeqCst);
        Seen { begun, ended, written: state.written.load(Ordering::Relaxed) }
    }
}

/// What a connection has come to at some moment.
#[derive(Debug, Clone, Copy)]
struct Seen {
    begun: u64,
    ended: u64,
    written: u64,
}

impl Seen {
    fn was_idle_since(self, before: Self) -> bool {
        let has_no_stream = self.begun == self.ended && self.begun == before.begun && before.begun == before.ended;
        has_no_stream && self.written - before.written <= IDLE_BYTES
    }
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let state = Arc::clone(&self.0);
        state.begun.fetch_add(1, Ordering::SeqCst);
        let under_way = UnderWay(state);
        // Pinned here, it has one place in the task; pinned in there, it would have two, and it is large.
        let mut stream = Box::pin(stream);
        tokio::spawn(async move {
            let mut watch = Watch::new(under_way.0.times, Instant::now());
            if poll_fn(|context| watch.poll(stream.as_mut(), context)).await == Ended::TooLate {
                under_way.0.stalled.inc();
            }
        });
    }
}

/// Counts a stream as ended when it is, however.
struct UnderWay(Arc<State>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    ByItself,
    TooLate,
}

/// Watches one stream.
struct Watch {
    times: StreamTimes,
    begun: Instant,
    /// When something other than the alarm last woke it.
    went_on: Instant,
    /// Made when the stream first waits.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Watch {
    const fn new(times: StreamTimes, now: Instant) -> Self {
        Self { times, begun: now, went_on: now, alarm: None }
    }

    fn too_late(&self) -> Instant {
        (self.went_on + self.times.still).min(self.begun + self.times.whole)
    }

    fn poll<F: Future>(&mut self, stream: Pin<&mut F>, context: &mut Context<'_>) -> Poll<Ended> {
        let rung = self.alarm.as_mut().is_some_and(|alarm| alarm.as_mut().poll(context).is_ready());
        if rung && Instant::now() >= self.too_late() {
            return Poll::Ready(Ended::TooLate);
        }
        if stream.poll(context).is_ready() {
            return Poll::Ready(Ended::ByItself);
        }
        if !rung {
            self.went_on = Instant::now();
        }
        if rung || self.alarm.is_none() {
            self.set_alarm(context);
        }
        Poll::Pending
    }

    /// It may ring too early, when the stream has gone on since: then it is set again.
    fn set_alarm(&mut self, context: &mut Context<'_>) {
        let late = self.too_late().into();
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(late)));
        alarm.as_mut().reset(late);
        if alarm.as_mut().poll(context).is_ready() {
            context.waker().wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::task::noop_waker_ref;
    use hyper::rt::Executor as _;
    use tokio::sync::oneshot;

    use super::*;

    const LONG: Duration = Duration::from_secs(600);
    const SHORT: Duration = Duration::from_millis(30);

    fn streams(still: Duration, whole: Duration) -> (Streams, IntCounter) {
        let stalled = IntCounter::new("stalled", "stalled").unwrap();
        (Streams::new(StreamTimes { still, whole }, stalled.clone(), Arc::default()), stalled)
    }

    /// Runs until `sender`'s other side, which the stream holds, is dropped.
    async fn ended(mut sender: oneshot::Sender<()>) {
        tokio::time::timeout(Duration::from_secs(30), sender.closed()).await.expect("it was not dropped");
    }

    #[tokio::test]
    async fn a_stream_that_nothing_moves_is_dropped() {
        let (streams, stalled) = streams(SHORT, LONG);
        let (sender, held) = oneshot::channel();
        streams.execute(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        ended(sender).await;
        streams.are_idle_for(SHORT).await;
        assert_eq!(stalled.get(), 1);
    }

    #[tokio::test]
    async fn a_stream_that_goes_on_for_ever_is_dropped_too() {
        let (streams, stalled) = streams(LONG, SHORT);
        let (sender, held) = oneshot::channel();
        streams.execute(async move {
            let _held = held;
            loop {
                sleep(SHORT / 10).await;
            }
        });
        ended(sender).await;
        streams.are_idle_for(SHORT).await;
        assert_eq!(stalled.get(), 1);
    }

    #[test]
    fn what_goes_on_is_late_only_when_it_stops() {
        let start = Instant::now();
        let mut watch = Watch::new(StreamTimes { still: LONG, whole: LONG * 10 }, start);
        watch.went_on = start + LONG;
        assert_eq!(watch.too_late(), start + LONG * 2);
        watch.went_on = start + LONG * 10;
        assert_eq!(watch.too_late(), start + LONG * 10);
    }

    #[test]
    fn nothing_is_idle_that_has_streams_begins_some_or_sends_what_they_left() {
        let before = Seen { begun: 5, ended: 5, written: 9_000 };
        for (now, is_idle) in [
            (before, true),
            (Seen { written: 9_100, ..before }, true),
            (Seen { written: 9_000 + IDLE_BYTES + 1, ..before }, false),
            (Seen { begun: 6, ..before }, false),
            (Seen { begun: 6, ended: 6, ..before }, false),
        ] {
            assert_eq!(now.was_idle_since(before), is_idle, "{now:?}");
        }
        let busy = Seen { ended: 4, ..before };
        assert!(!busy.was_idle_since(busy));
    }

    #[tokio::test]
    async fn a_stream_that_ends_at_once_needs_no_alarm() {
        let mut watch = Watch::new(StreamTimes { still: LONG, whole: LONG }, Instant::now());
        let mut context = Context::from_waker(noop_waker_ref());
        assert_eq!(watch.poll(pin!(async {}), &mut context), Poll::Ready(Ended::ByItself));
        assert!(watch.alarm.is_none());
    }
}
