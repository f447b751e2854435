//! Where codec work runs: threads of its own, as many as cores and at a lower priority than the network's, under a memory
//! budget that admits a job by what it will cost before anything is decoded. The line is bounded: beyond it the answer is no.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::budget::Budget;

/// How much lower codec threads stand than the network's (see `nice(2)`).
const CODEC_NICENESS: i32 = 5;

/// The threads and the budget.
#[derive(Debug)]
pub struct Pool {
    threads: rayon::ThreadPool,
    slots: Arc<Semaphore>,
    slot_count: usize,
    jobs: Budget,
    waiting: Arc<AtomicUsize>,
    max_waiting: usize,
}

/// Why work is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// It would not fit even alone.
    #[error("larger than the whole budget")]
    TooLarge,
    /// The line is full.
    #[error("too much is waiting")]
    Busy,
}

/// A job's place: a core and its memory, until dropped.
#[derive(Debug)]
pub struct Admission {
    _memory: OwnedSemaphorePermit,
    _slot: OwnedSemaphorePermit,
}

/// How a job ended where it gave no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a codec failed in a way that it should not")]
pub struct Panicked;

impl Pool {
    /// Starts the threads: `threads` of them, or one a core for 0.
    ///
    /// # Errors
    /// What the system says where it gives no threads.
    pub fn start(threads: usize, memory_bytes: u64, max_waiting: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let slot_count = if threads == 0 { cores } else { threads };
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(slot_count)
            .thread_name(|number| format!("codec-{number}"))
            .start_handler(|_| {
                // Best effort: where the system does not allow it, hits only wait a little longer.
                let _ = rustix::process::nice(CODEC_NICENESS);
            })
            .build()?;
        Ok(Self {
            threads,
            slots: Arc::new(Semaphore::new(slot_count)),
            slot_count,
            jobs: Budget::new(memory_bytes),
            waiting: Arc::default(),
            max_waiting,
        })
    }

    /// Waits in line for a core and `cost_bytes` of memory.
    ///
    /// # Errors
    /// [`NotAdmitted`], at once.
    pub async fn admit(&self, cost_bytes: u64) -> Result<Admission, NotAdmitted> {
        if !self.jobs.could_hold(cost_bytes) {
            return Err(NotAdmitted::TooLarge);
        }
        let _in_line = self.stand_in_line()?;
        let memory = self.jobs.reserve(cost_bytes).await.ok_or(NotAdmitted::TooLarge)?;
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| NotAdmitted::Busy)?;
        Ok(Admission { _memory: memory, _slot: slot })
    }

    /// Takes a core and memory only if both are free and nobody waits: for work that can be put off.
    #[must_use]
    pub fn admit_if_idle(&self, cost_bytes: u64) -> Option<Admission> {
        if !self.is_idle() {
            return None;
        }
        let memory = self.jobs.try_reserve(cost_bytes)?;
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        Some(Admission { _memory: memory, _slot: slot })
    }

    /// Runs `work` on a codec thread; a panic in it is caught.
    ///
    /// # Errors
    /// [`Panicked`]
    pub async fn run<T: Send + 'static>(
        &self,
        admission: Admission,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let (sender, receiver) = oneshot::channel();
        self.threads.spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(work)).map_err(|_| Panicked);
            drop(admission);
            // Nobody may wait any more: the result is not needed then.
            let _ = sender.send(result);
        });
        receiver.await.unwrap_or(Err(Panicked))
    }

    /// Whether one more job would find a place in the line.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.slots.available_permits() > 0 || self.waiting() < self.max_waiting
    }

    /// Whether no job runs or waits.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting() == 0 && self.slots.available_permits() == self.slot_count
    }

    /// Jobs in line.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Memory admitted, in bytes.
    #[must_use]
    pub fn memory_in_use(&self) -> u64 {
        self.jobs.in_use()
    }

    fn stand_in_line(&self) -> Result<InLine, NotAdmitted> {
        let free_now = self.slots.available_permits();
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let in_line = InLine(Arc::clone(&self.waiting));
        if before >= self.max_waiting.max(free_now) { Err(NotAdmitted::Busy) } else { Ok(in_line) }
    }
}

/// A place in line, given up when dropped.
struct InLine(Arc<AtomicUsize>);

impl Drop for InLine {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[tokio::test]
    async fn a_job_larger_than_the_budget_is_refused_at_once() {
        let pool = Pool::start(1, MIB, 4).unwrap();
        assert_eq!(pool.admit(2 * MIB).await.unwrap_err(), NotAdmitted::TooLarge);
    }

    #[tokio::test]
    async fn memory_is_taken_while_a_job_has_its_place_and_no_longer() {
        let pool = Pool::start(2, 4 * MIB, 4).unwrap();
        let first = pool.admit(3 * MIB).await.unwrap();
        assert_eq!(pool.memory_in_use(), 3 * MIB);
        let blocked = tokio::time::timeout(std::time::Duration::from_millis(20), pool.admit(2 * MIB)).await;
        assert!(blocked.is_err(), "admitted beyond the budget");
        assert_eq!(pool.waiting(), 0, "one who went away still stands in line");
        drop(first);
        assert!(pool.admit(2 * MIB).await.is_ok());
        assert!(pool.is_idle());
    }

    #[tokio::test]
    async fn a_full_line_says_no() {
        let pool = Arc::new(Pool::start(1, 4 * MIB, 1).unwrap());
        let running = pool.admit(MIB).await.unwrap();
        let second = Arc::clone(&pool);
        let waiting = tokio::spawn(async move { second.admit(MIB).await });
        while pool.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(!pool.has_room());
        assert_eq!(pool.admit(MIB).await.unwrap_err(), NotAdmitted::Busy);
        assert!(pool.admit_if_idle(MIB).is_none());
        drop(running);
        assert!(waiting.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_gives_its_place_back() {
        let pool = Pool::start(1, MIB, 1).unwrap();
        let admission = pool.admit(MIB).await.unwrap();
        assert_eq!(pool.run(admission, || panic!("codec")).await, Err::<(), _>(Panicked));
        let admission = pool.admit(MIB).await.unwrap();
        assert_eq!(pool.run(admission, || 7).await, Ok(7));
    }
}
