//! Turns at the disk. Reads, pieces of large bodies and writes have some each, so that a disk that is slow or hangs holds on
//! to so many threads and no more: the rest of the blocking threads stays free for what else needs one, names of origins
//! among it. Whoever waits for a turn, or for what he does with it, waits for so long and no longer: what was to be read is a
//! miss then, what was to be written is not.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Who may be at the disk at once.
const READS: usize = 24;
const PIECES: usize = 16;
const WRITES: usize = 8;

/// Blocking threads that the disk may hold on to.
pub const DISK_THREADS: usize = READS + PIECES + WRITES;

/// A visitor waits so long for a turn to read, and then for the entry: fetching it anew takes as long.
const READ_TURN_WAIT: Duration = Duration::from_millis(100);
const READ_WAIT: Duration = Duration::from_secs(2);

/// Nobody waits for a write but a task that holds the bytes.
const WRITE_TURN_WAIT: Duration = Duration::from_secs(2);
const WRITE_WAIT: Duration = Duration::from_secs(10);

/// A visitor waits so long for the next piece of a body that has begun, which cannot be had elsewhere.
const PIECE_WAIT: Duration = Duration::from_secs(30);

/// The turns, and what was refused for want of one.
#[derive(Debug)]
pub(super) struct Turns {
    reads: Queue,
    writes: Queue,
    pieces: Arc<PieceTurns>,
}

/// Turns of one kind.
#[derive(Debug)]
struct Queue {
    turns: Arc<Semaphore>,
    /// All turns are taken by work that did not end in time: nobody waits behind it until some does.
    is_stuck: Arc<AtomicBool>,
    turn_wait: Duration,
    wait: Duration,
    refused: AtomicU64,
}

/// Turns to read pieces of large bodies.
#[derive(Debug)]
pub(super) struct PieceTurns(Arc<Semaphore>);

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            reads: Queue::new(READS, READ_TURN_WAIT, READ_WAIT),
            writes: Queue::new(WRITES, WRITE_TURN_WAIT, WRITE_WAIT),
            pieces: Arc::new(PieceTurns(Arc::new(Semaphore::new(PIECES)))),
        }
    }

    /// Reads off the async threads; `None` where that takes too long.
    pub(super) async fn read<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        self.reads.run(work).await
    }

    /// Writes likewise. What was begun goes on, though nobody waits for it any more.
    pub(super) async fn write<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        self.writes.run(work).await
    }

    /// For bodies that are read as they are sent.
    pub(super) fn pieces(&self) -> Arc<PieceTurns> {
        Arc::clone(&self.pieces)
    }

    /// Reads and writes given up so far because the disk did not keep up.
    pub(super) fn refused(&self) -> (u64, u64) {
        (self.reads.refused.load(Ordering::Relaxed), self.writes.refused.load(Ordering::Relaxed))
    }

    /// Counts a write that was not even asked for.
    pub(super) fn count_refused_write(&self) {
        self.writes.refused.fetch_add(1, Ordering::Relaxed);
    }
}

impl Queue {
    fn new(turns: usize, turn_wait: Duration, wait: Duration) -> Self {
        let turns = Arc::new(Semaphore::new(turns));
        Self { turns, is_stuck: Arc::default(), turn_wait, wait, refused: AtomicU64::new(0) }
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let done = match self.turn().await {
            Some(turn) => self.take(turn, work).await,
            None => None,
        };
        if done.is_none() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        done
    }

    async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        let turns = Arc::clone(&self.turns);
        match Arc::clone(&turns).try_acquire_owned() {
            Ok(turn) => Some(turn),
            Err(_) if self.is_stuck.load(Ordering::Relaxed) => None,
            Err(_) => timeout(self.turn_wait, turns.acquire_owned()).await.ok()?.ok(),
        }
    }

    async fn take<T: Send + 'static>(
        &self,
        turn: OwnedSemaphorePermit,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let is_stuck = Arc::clone(&self.is_stuck);
        let working = tokio::task::spawn_blocking(move || {
            let done = work();
            is_stuck.store(false, Ordering::Relaxed);
            drop(turn);
            done
        });
        if let Ok(done) = timeout(self.wait, working).await {
            // None where the runtime is shutting down.
            done.ok()
        } else {
            self.is_stuck.store(true, Ordering::Relaxed);
            None
        }
    }
}

impl PieceTurns {
    /// Reads a piece off the async threads.
    ///
    /// # Errors
    /// What `work` says; [`io::ErrorKind::TimedOut`] where it takes too long.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let turns = Arc::clone(&self.0);
        let reading = async {
            let turn = turns.acquire_owned().await.map_err(io::Error::other)?;
            let working = tokio::task::spawn_blocking(move || {
                let done = work();
                drop(turn);
                done
            });
            working.await.map_err(io::Error::other)?
        };
        timeout(PIECE_WAIT, reading).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, time::Instant};

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(60);

    /// Takes a turn and hangs until the sender is dropped.
    fn hang(queue: &Arc<Queue>) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Option<()>>) {
        let (release, released) = mpsc::channel::<()>();
        let queue = Arc::clone(queue);
        let hanging = tokio::spawn(async move {
            queue
                .run(move || {
                    let _ = released.recv();
                })
                .await
        });
        (release, hanging)
    }

    #[tokio::test]
    async fn work_is_done_and_its_result_given() {
        let turns = Turns::new();
        assert_eq!((turns.read(|| 1).await, turns.write(|| 2).await), (Some(1), Some(2)));
        assert_eq!(turns.pieces().read(|| Ok(3)).await.unwrap(), 3);
        assert_eq!(turns.refused(), (0, 0));
    }

    #[tokio::test]
    async fn what_takes_too_long_is_given_up_and_who_comes_later_does_not_wait_behind_it() {
        let queue = Arc::new(Queue::new(1, LONG, SHORT));
        let (release, hanging) = hang(&queue);
        assert_eq!(hanging.await.unwrap(), None);
        let asked = Instant::now();
        assert_eq!(queue.run(|| ()).await, None);
        assert!(asked.elapsed() < LONG / 2, "it waited for a turn");
        assert_eq!(queue.refused.load(Ordering::Relaxed), 2);
        drop(release);
        while queue.run(|| ()).await.is_none() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_turn_is_waited_for_while_work_ends_in_time() {
        let queue = Arc::new(Queue::new(1, LONG, LONG));
        let (release, hanging) = hang(&queue);
        while queue.turns.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let waiting = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { queue.run(|| 7).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(release);
        assert_eq!((hanging.await.unwrap(), waiting.await.unwrap()), (Some(()), Some(7)));
        let queue = Arc::new(Queue::new(1, SHORT, LONG));
        let (_release, _hanging) = hang(&queue);
        while queue.turns.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(queue.run(|| ()).await, None, "there was no turn for so long");
    }
}
