//! A disk that is full or broken: it is let alone for a moment, longer each time, and where it is full the tier keeps to
//! less than its limit until there is room again. It recovers by itself. Pure: time comes in.

use std::{
    io,
    time::{Duration, Instant},
};

use rustix::io::Errno;

const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How often the limit is raised again, and by which part of it.
const RAISE_EVERY: Duration = Duration::from_secs(1);
const RAISE_PART: u64 = 512;

/// Which part of what the tier takes makes way where the file system is full.
const YIELD_PART: u64 = 32;

/// What writing has lately met with.
#[derive(Debug)]
pub(super) struct Pressure {
    max_blocks: u64,
    limit_blocks: u64,
    pause: Duration,
    quiet_until: Option<Instant>,
    /// When the limit was lowered or raised, last.
    moved: Option<Instant>,
}

/// What a failed write says of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The file system, or a quota, has no room, although the tier is below its limit.
    Full,
    /// It cannot be written at all.
    Broken,
}

impl Trouble {
    /// `None` where only the one entry is concerned.
    pub(super) fn of(error: &io::Error) -> Option<Self> {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(Self::Full),
            io::ErrorKind::ReadOnlyFilesystem => Some(Self::Broken),
            _ if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => Some(Self::Broken),
            _ => None,
        }
    }
}

impl Pressure {
    pub(super) fn new(max_blocks: u64) -> Self {
        Self { max_blocks, limit_blocks: max_blocks, pause: Duration::ZERO, quiet_until: None, moved: None }
    }

    /// What the tier may take. A limit that was lowered comes back with time, whether or not anything could be written
    /// meanwhile: it may have become too small for that.
    pub(super) fn limit_blocks(&mut self, now: Instant) -> u64 {
        if self.limit_blocks < self.max_blocks
            && let Some(moved) = self.moved
        {
            let steps = now.duration_since(moved).as_secs() / RAISE_EVERY.as_secs();
            if steps > 0 {
                let raised = steps.saturating_mul(self.max_blocks.div_ceil(RAISE_PART));
                self.limit_blocks = self.limit_blocks.saturating_add(raised).min(self.max_blocks);
                self.moved = Some(now);
            }
        }
        self.limit_blocks
    }

    /// Whether the disk is let alone.
    pub(super) fn is_quiet(&self, now: Instant) -> bool {
        self.quiet_until.is_some_and(|until| now < until)
    }

    /// A write failed while the tier took `taken_blocks`. Says how long the disk is let alone; `None` where it is already, and
    /// this write had begun before.
    pub(super) fn failed(&mut self, trouble: Trouble, taken_blocks: u64, now: Instant) -> Option<Duration> {
        if self.is_quiet(now) {
            return None;
        }
        self.pause = (self.pause * 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        self.quiet_until = Some(now + self.pause);
        self.moved = Some(now);
        if trouble == Trouble::Full {
            let less = taken_blocks - taken_blocks.div_ceil(YIELD_PART).min(taken_blocks);
            self.limit_blocks = self.limit_blocks.min(less).max(1);
        }
        Some(self.pause)
    }

    /// A write succeeded.
    pub(super) fn succeeded(&mut self, now: Instant) {
        if self.is_quiet(now) {
            return;
        }
        self.pause = Duration::ZERO;
        self.quiet_until = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_full_disk_is_let_alone_longer_each_time_until_a_write_succeeds() {
        let (mut pressure, start) = (Pressure::new(1_000), Instant::now());
        let mut now = start;
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(pressure.failed(Trouble::Full, 640, now), Some(SECOND * seconds));
            assert!(pressure.is_quiet(now) && !pressure.is_quiet(now + SECOND * seconds));
            now += SECOND * seconds;
        }
        pressure.succeeded(now);
        assert_eq!(pressure.failed(Trouble::Full, 640, now), Some(SECOND));
    }

    #[test]
    fn writes_that_fail_together_count_once() {
        let (mut pressure, now) = (Pressure::new(1_000), Instant::now());
        assert!(pressure.failed(Trouble::Full, 640, now).is_some());
        assert_eq!(pressure.failed(Trouble::Full, 640, now), None);
        pressure.succeeded(now);
        assert!(pressure.is_quiet(now), "one that had begun before says nothing of what comes");
        assert_eq!(pressure.limit_blocks(now), 620);
    }

    #[test]
    fn a_full_disk_makes_the_tier_smaller_and_a_broken_one_does_not() {
        let (mut pressure, now) = (Pressure::new(1_000), Instant::now());
        pressure.failed(Trouble::Broken, 640, now);
        assert_eq!(pressure.limit_blocks(now), 1_000);
        pressure.failed(Trouble::Full, 640, now + SECOND);
        assert_eq!(pressure.limit_blocks(now), 620);
        for taken in [1, 0] {
            let mut pressure = Pressure::new(1_000);
            pressure.failed(Trouble::Full, taken, now);
            assert_eq!(pressure.limit_blocks(now), 1, "something must be tried again");
        }
    }

    #[test]
    fn the_limit_comes_back_step_by_step_with_time() {
        let (mut pressure, now) = (Pressure::new(1_000), Instant::now());
        pressure.failed(Trouble::Full, 1_000, now);
        for (seconds, limit) in [(0, 968), (1, 970), (2, 972), (10, 988), (20, 1_000), (100, 1_000)] {
            assert_eq!(pressure.limit_blocks(now + SECOND * seconds), limit, "after {seconds} s");
        }
        pressure.failed(Trouble::Full, 10, now + SECOND * 200);
        assert_eq!(pressure.limit_blocks(now + SECOND * 230), 9 + 30 * 2);
    }

    #[test]
    fn what_concerns_one_entry_says_nothing_of_the_disk() {
        for (errno, trouble) in [
            (Errno::NOSPC, Some(Trouble::Full)),
            (Errno::DQUOT, Some(Trouble::Full)),
            (Errno::IO, Some(Trouble::Broken)),
            (Errno::ROFS, Some(Trouble::Broken)),
            (Errno::NOTDIR, None),
            (Errno::MFILE, None),
        ] {
            assert_eq!(Trouble::of(&errno.into()), trouble, "{errno}");
        }
    }
}
