//! Where codec work runs: threads of its own, as many as cores and at a lower priority than the network's, under a memory
//! budget that admits a job by what it will cost before anything is decoded. Who is next is for [`Line`] to say: sites take
//! turns. The line is bounded: beyond it the answer is no.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::line::{Line, Ticket, Want};
use crate::image::Cancel;

pub use super::line::NotAdmitted;

/// How much lower codec threads stand than the network's (see `nice(2)`).
const CODEC_NICENESS: i32 = 5;

/// The threads and the budget.
#[derive(Debug)]
pub struct Pool {
    threads: rayon::ThreadPool,
    thread_count: usize,
    desk: Arc<Desk>,
    /// The sign of the work that was let in last because nobody else was there.
    gives_way: Mutex<Cancel>,
}

/// Where the line is kept. Whoever changes it lets go on whom that allows to.
#[derive(Debug)]
struct Desk(Mutex<Line<oneshot::Sender<Admission>>>);

/// A job's place: its memory and a core, each until dropped.
#[derive(Debug)]
pub struct Admission {
    /// Its memory.
    pub memory: Memory,
    /// Where it runs.
    pub slot: Slot,
}

/// Memory of the budget.
#[derive(Debug)]
pub struct Memory {
    desk: Arc<Desk>,
    bytes: u64,
}

/// One core or more.
#[derive(Debug)]
pub struct Slot {
    desk: Arc<Desk>,
    site: Arc<str>,
    cores: usize,
}

impl Slot {
    /// How many threads may run in it.
    #[must_use]
    pub const fn threads(&self) -> usize {
        self.cores
    }
}

/// How a job ended where it gave no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a codec failed in a way that it should not")]
pub struct Panicked;

impl Pool {
    /// Starts the threads: `threads` of them, or one a core for 0. At most `max_waiting` jobs wait, a quarter of them of one
    /// site.
    ///
    /// # Errors
    /// What the system says where it gives no threads.
    pub fn start(threads: usize, memory_bytes: u64, max_waiting: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let thread_count = if threads == 0 { cores } else { threads };
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(thread_count)
            .thread_name(|number| format!("codec-{number}"))
            .start_handler(|_| {
                // Best effort: where the system does not allow it, hits only wait a little longer.
                let _ = rustix::process::nice(CODEC_NICENESS);
            })
            .build()?;
        let line = Line::new(thread_count, memory_bytes, max_waiting);
        Ok(Self { threads, thread_count, desk: Arc::new(Desk(Mutex::new(line))), gives_way: Mutex::default() })
    }

    /// How many jobs run at once.
    #[must_use]
    pub const fn threads(&self) -> usize {
        self.thread_count
    }

    /// Waits in line for a core and `cost_bytes` of memory, on behalf of a site.
    ///
    /// # Errors
    /// [`NotAdmitted`], at once.
    pub async fn admit(&self, site: &Arc<str>, cost_bytes: u64) -> Result<Admission, NotAdmitted> {
        let waiting = self.desk.stand(site, Want::Admission { bytes: cost_bytes })?;
        self.make_way();
        waiting.admitted().await
    }

    /// Takes a core and memory only if nothing works and nobody waits: for work that can be put off, and that gives way when
    /// its sign is set, because somebody has come who cannot wait.
    #[must_use]
    pub fn admit_if_idle(&self, site: &Arc<str>, cost_bytes: u64) -> Option<(Admission, Cancel)> {
        let cancel = Cancel::default();
        // Its sign is up before anybody can come after it.
        let mut gives_way = self.gives_way.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.desk.line().take_if_idle(site, cost_bytes) {
            return None;
        }
        gives_way.clone_from(&cancel);
        Some((self.desk.admission(Arc::clone(site), cost_bytes), cancel))
    }

    /// Waits for a core for work whose memory is admitted already. Nobody who has one waits for memory, so it comes.
    ///
    /// # Errors
    /// [`NotAdmitted::Busy`] where the pool is gone.
    pub async fn slot(&self, site: &Arc<str>) -> Result<Slot, NotAdmitted> {
        Ok(self.desk.stand(site, Want::Core)?.admitted().await?.slot)
    }

    /// Adds cores that nobody uses or waits for, until there are `threads`.
    pub fn widen(&self, slot: &mut Slot, threads: usize) {
        let missing = threads.saturating_sub(slot.cores);
        slot.cores += self.desk.line().take_more_cores(&slot.site, missing);
    }

    /// Whether so many bytes could ever be admitted.
    #[must_use]
    pub fn could_hold(&self, cost_bytes: u64) -> bool {
        self.desk.line().could_hold(cost_bytes)
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

    /// Whether one more job of a site would find a place in the line.
    #[must_use]
    pub fn has_room(&self, site: &str) -> bool {
        self.desk.line().has_room(site)
    }

    /// Whether no job runs or waits.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.desk.line().is_idle()
    }

    /// Jobs in line.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.desk.line().waiting()
    }

    /// Sites of which jobs are in line.
    #[must_use]
    pub fn waiting_sites(&self) -> usize {
        self.desk.line().waiting_sites()
    }

    /// Memory admitted, in bytes.
    #[must_use]
    pub fn memory_in_use(&self) -> u64 {
        self.desk.line().bytes_in_use()
    }

    /// Stops work that can be put off.
    fn make_way(&self) {
        self.gives_way.lock().unwrap_or_else(PoisonError::into_inner).cancel();
    }
}

impl Desk {
    fn line(&self) -> MutexGuard<'_, Line<oneshot::Sender<Admission>>> {
        // The line is whole between any two operations on it: a panic elsewhere does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stand(self: &Arc<Self>, site: &Arc<str>, want: Want) -> Result<Waiting, NotAdmitted> {
        let (sender, receiver) = oneshot::channel();
        let ticket = self.line().stand(site, want, sender)?;
        let in_line = InLine { desk: Arc::clone(self), site: Arc::clone(site), ticket };
        self.let_go_on();
        Ok(Waiting { receiver, in_line })
    }

    /// Lets go on whoever may. Nothing is sent or dropped while the line is held: what nobody takes comes back here.
    fn let_go_on(self: &Arc<Self>) {
        loop {
            let next = self.line().next();
            let Some(grant) = next else { return };
            // Who has gone away meanwhile gives back what he is sent, by not taking it.
            let _ = grant.waiter.send(self.admission(grant.site, grant.bytes));
        }
    }

    fn admission(self: &Arc<Self>, site: Arc<str>, bytes: u64) -> Admission {
        let memory = Memory { desk: Arc::clone(self), bytes };
        Admission { memory, slot: Slot { desk: Arc::clone(self), site, cores: 1 } }
    }
}

/// One who stands in line.
struct Waiting {
    receiver: oneshot::Receiver<Admission>,
    in_line: InLine,
}

impl Waiting {
    async fn admitted(self) -> Result<Admission, NotAdmitted> {
        let Self { receiver, in_line } = self;
        let admission = receiver.await.map_err(|_| NotAdmitted::Busy);
        drop(in_line);
        admission
    }
}

/// A place in line, given up when dropped.
struct InLine {
    desk: Arc<Desk>,
    site: Arc<str>,
    ticket: Ticket,
}

impl Drop for InLine {
    fn drop(&mut self) {
        self.desk.line().leave(&self.site, self.ticket);
        self.desk.let_go_on();
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.desk.line().give_back_bytes(self.bytes);
        self.desk.let_go_on();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.desk.line().give_back_cores(&self.site, self.cores);
        self.desk.let_go_on();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn site() -> Arc<str> {
        "shop".into()
    }

    #[tokio::test]
    async fn a_job_larger_than_the_budget_is_refused_at_once() {
        let pool = Pool::start(1, MIB, 4).unwrap();
        assert_eq!(pool.admit(&site(), 2 * MIB).await.unwrap_err(), NotAdmitted::TooLarge);
    }

    #[tokio::test]
    async fn memory_is_taken_while_a_job_has_its_place_and_no_longer() {
        let pool = Pool::start(2, 4 * MIB, 4).unwrap();
        let first = pool.admit(&site(), 3 * MIB).await.unwrap();
        assert_eq!(pool.memory_in_use(), 3 * MIB);
        let blocked = tokio::time::timeout(std::time::Duration::from_millis(20), pool.admit(&site(), 2 * MIB)).await;
        assert!(blocked.is_err(), "admitted beyond the budget");
        assert_eq!(pool.waiting(), 0, "one who went away still stands in line");
        drop(first);
        assert!(pool.admit(&site(), 2 * MIB).await.is_ok());
        assert!(pool.is_idle());
    }

    #[tokio::test]
    async fn a_full_line_says_no() {
        let pool = Arc::new(Pool::start(1, 4 * MIB, 1).unwrap());
        let running = pool.admit(&site(), MIB).await.unwrap();
        let second = Arc::clone(&pool);
        let waiting = tokio::spawn(async move { second.admit(&site(), MIB).await });
        while pool.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(!pool.has_room("shop"));
        assert_eq!(pool.admit(&site(), MIB).await.unwrap_err(), NotAdmitted::Busy);
        assert!(pool.admit_if_idle(&site(), MIB).is_none());
        drop(running);
        assert!(waiting.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn work_that_can_be_put_off_gives_way() {
        let pool = Pool::start(2, 4 * MIB, 4).unwrap();
        let (_refining, cancel) = pool.admit_if_idle(&site(), MIB).unwrap();
        assert!(!cancel.is_cancelled());
        let _visitor = pool.admit(&site(), MIB).await.unwrap();
        assert!(cancel.is_cancelled());
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_gives_its_place_back() {
        let pool = Pool::start(1, MIB, 1).unwrap();
        let admission = pool.admit(&site(), MIB).await.unwrap();
        assert_eq!(pool.run(admission.slot, |_| panic!("codec")).await, Err::<(), _>(Panicked));
        drop(admission.memory);
        let admission = pool.admit(&site(), MIB).await.unwrap();
        assert_eq!(pool.run(admission.slot, |_| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn cores_that_nobody_needs_are_added_to_a_slot() {
        let pool = Pool::start(3, MIB, 1).unwrap();
        let other = pool.admit(&site(), 0).await.unwrap();
        let mut wide = pool.admit(&site(), 0).await.unwrap().slot;
        pool.widen(&mut wide, 8);
        assert_eq!(wide.threads(), 2);
        drop(other);
        pool.widen(&mut wide, 8);
        assert_eq!(wide.threads(), 3);
        drop(wide);
        assert!(pool.is_idle());
    }
}
