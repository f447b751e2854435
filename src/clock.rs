//! The process's clock, handed to whoever needs the time: the system's, or one that stands where a test puts it
//! (`dev.test_clock`), so that freshness, periods and windows can be lived through without waiting. What measures how long
//! something took, and the times of files, are not its concern.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use jiff::Timestamp;

use crate::http::time::UnixSeconds;

/// Tells the time. Clones tell the same.
#[derive(Debug, Clone)]
pub struct Clock(Kind);

#[derive(Debug, Clone)]
enum Kind {
    System,
    Standing(Arc<AtomicU64>),
}

/// Why a clock was not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    /// It is the system's, which is not ours to set.
    #[error("this is the system's clock: only one that stands can be set (dev.test_clock = true)")]
    Running,
    /// A time that no calendar has.
    #[error("{0} seconds after 1970 are beyond the year 9999")]
    BeyondCalendar(u64),
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(Kind::System)
    }

    /// A clock that stands at `time` until it is set. Never for production.
    #[must_use]
    pub fn standing_at(time: UnixSeconds) -> Self {
        Self(Kind::Standing(Arc::new(AtomicU64::new(time.0))))
    }

    /// The time, for HTTP.
    #[must_use]
    pub fn now(&self) -> UnixSeconds {
        match &self.0 {
            Kind::System => UnixSeconds::now(),
            Kind::Standing(time) => UnixSeconds(time.load(Ordering::SeqCst)),
        }
    }

    /// The time, for billing.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        match &self.0 {
            Kind::System => Timestamp::now(),
            Kind::Standing(time) => calendar_time(time.load(Ordering::SeqCst)).unwrap_or(Timestamp::MAX),
        }
    }

    /// Puts a standing clock, and all its clones, to `time`: forward or back.
    ///
    /// # Errors
    /// [`ClockError`], and it stands where it stood.
    pub fn set(&self, time: UnixSeconds) -> Result<(), ClockError> {
        let Kind::Standing(standing) = &self.0 else { return Err(ClockError::Running) };
        calendar_time(time.0).ok_or(ClockError::BeyondCalendar(time.0))?;
        standing.store(time.0, Ordering::SeqCst);
        Ok(())
    }

    /// Whether it stands, and can be set.
    #[must_use]
    pub const fn is_standing(&self) -> bool {
        matches!(self.0, Kind::Standing(_))
    }
}

fn calendar_time(seconds: u64) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_clock_stands_until_it_is_set_and_its_clones_with_it() {
        let clock = Clock::standing_at(UnixSeconds(1_700_000_000));
        let clone = clock.clone();
        assert_eq!(clone.now(), UnixSeconds(1_700_000_000));
        clock.set(UnixSeconds(1_700_000_060)).unwrap();
        assert_eq!(clone.now(), UnixSeconds(1_700_000_060));
        assert_eq!(clone.timestamp(), "2023-11-14T22:14:20Z".parse().unwrap());
        clock.set(UnixSeconds(5)).unwrap();
        assert_eq!(clone.now(), UnixSeconds(5), "it can go back, too");
        assert!(clone.is_standing());
    }

    #[test]
    fn the_systems_clock_cannot_be_set() {
        let clock = Clock::system();
        assert_eq!(clock.set(UnixSeconds(5)), Err(ClockError::Running));
        assert!(clock.now() > UnixSeconds(1_700_000_000));
        assert!(clock.timestamp().as_second() > 1_700_000_000);
        assert!(!clock.is_standing());
    }

    #[test]
    fn a_clock_is_not_put_beyond_the_calendar() {
        let clock = Clock::standing_at(UnixSeconds(7));
        for beyond in [253_402_300_800, u64::MAX] {
            assert_eq!(clock.set(UnixSeconds(beyond)), Err(ClockError::BeyondCalendar(beyond)));
        }
        assert_eq!(clock.now(), UnixSeconds(7));
        assert_eq!(Clock::standing_at(UnixSeconds(u64::MAX)).timestamp(), Timestamp::MAX);
    }
}
