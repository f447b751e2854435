//! Where codec work runs: threads of its own, as many as cores and at a lower priority than the network's, under a memory
//! budget that admits a job by what it will cost before anything is decoded. The line is bounded: beyond it the answer is no.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::coalesce::budget::Budget;
use crate::image::Cancel;

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
    /// The sign of the work that was let in last because nobody else was there.
    gives_way: Mutex<Cancel>,
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

/// A job's place: its memory and a core, each until dropped.
#[derive(Debug)]
pub struct Admission {
    /// Its memory.
    pub memory: OwnedSemaphorePermit,
    /// Where it runs.
    pub slot: Slot,
}

/// One core or more.
#[derive(Debug)]
pub struct Slot(OwnedSemaphorePermit);

impl Slot {
    /// How many threads may run in it.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.0.num_permits()
    }
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
            gives_way: Mutex::default(),
        })
    }

    /// How many jobs run at once.
    #[must_use]
    pub const fn threads(&self) -> usize {
        self.slot_count
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
        self.make_way();
        let memory = self.jobs.reserve(cost_bytes).await.ok_or(NotAdmitted::TooLarge)?;
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| NotAdmitted::Busy)?;
        Ok(Admission { memory, slot: Slot(slot) })
    }

    /// Takes a core and memory only if both are free and nobody waits: for work that can be put off, and that gives way when
    /// its sign is set, because somebody has come who cannot wait.
    #[must_use]
    pub fn admit_if_idle(&self, cost_bytes: u64) -> Option<(Admission, Cancel)> {
        if !self.is_idle() {
            return None;
        }
        let memory = self.jobs.try_reserve(cost_bytes)?;
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        let cancel = Cancel::default();
        self.gives_way.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&cancel);
        Some((Admission { memory, slot: Slot(slot) }, cancel))
    }

    /// Waits for a core for work whose memory is admitted already. Nobody who has one waits for memory, so it comes.
    ///
    /// # Errors
    /// [`NotAdmitted::Busy`] where the pool is gone.
    pub async fn slot(&self) -> Result<Slot, NotAdmitted> {
        Ok(Slot(Arc::clone(&self.slots).acquire_owned().await.map_err(|_| NotAdmitted::Busy)?))
    }

    /// Adds cores that nobody uses or waits for, until there are `threads`.
    pub fn widen(&self, slot: &mut Slot, threads: usize) {
        while slot.threads() < threads && self.waiting() == 0 {
            let Ok(one_more) = Arc::clone(&self.slots).try_acquire_owned() else { return };
            slot.0.merge(one_more);
        }
    }

    /// Whether so many bytes could ever be admitted.
    #[must_use]
    pub fn could_hold(&self, cost_bytes: u64) -> bool {
        self.jobs.could_hold(cost_bytes)
    }

    /// Runs `work` on a codec thread; a panic in it is caught. The slot is given back at its end, unless `work` returns it.
    ///
    /// # Errors
    /// [`Panicked`]
    pub async fn run<T: Send + 'static>(
        &self,
        slot: Slot,
        work: impl FnOnce(Slot) -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let (sender, receiver) = oneshot::channel();
        self.threads.spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(|| work(slot))).map_err(|_| Panicked);
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

    /// Stops work that can be put off.
    fn make_way(&self) {
        self.gives_way.lock().unwrap_or_else(PoisonError::into_inner).cancel();
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
    async fn work_that_can_be_put_off_gives_way() {
        let pool = Pool::start(2, 4 * MIB, 4).unwrap();
        let (_refining, cancel) = pool.admit_if_idle(MIB).unwrap();
        assert!(!cancel.is_cancelled());
        let _visitor = pool.admit(MIB).await.unwrap();
        assert!(cancel.is_cancelled());
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_gives_its_place_back() {
        let pool = Pool::start(1, MIB, 1).unwrap();
        let admission = pool.admit(MIB).await.unwrap();
        assert_eq!(pool.run(admission.slot, |_| panic!("codec")).await, Err::<(), _>(Panicked));
        drop(admission.memory);
        let admission = pool.admit(MIB).await.unwrap();
        assert_eq!(pool.run(admission.slot, |_| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn cores_that_nobody_needs_are_added_to_a_slot() {
        let pool = Pool::start(3, MIB, 1).unwrap();
        let other = pool.admit(0).await.unwrap();
        let mut wide = pool.admit(0).await.unwrap().slot;
        pool.widen(&mut wide, 8);
        assert_eq!(wide.threads(), 2);
        drop(other);
        pool.widen(&mut wide, 8);
        assert_eq!(wide.threads(), 3);
        drop(wide);
        assert!(pool.is_idle());
    }
}
