//! Rates of requests as token buckets, in the form of the generic cell rate algorithm: what is remembered of a client is one
//! number, the time at which its next request would be due if it kept to the rate. It may come earlier by the time of a burst.

use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

/// A rate. Times are nanoseconds since any moment in the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::edge) struct Rate {
    /// Between two requests.
    interval: u64,
    /// How much earlier than due a request may come.
    tolerance: u64,
}

impl Rate {
    /// So many requests a second in the long run, and `burst` at once, a second's worth where that is 0; `None` for no bound.
    pub(in crate::edge) fn new(per_second: u32, burst: u32) -> Option<Self> {
        if per_second == 0 {
            return None;
        }
        let interval = SECOND / u64::from(per_second);
        let burst = if burst == 0 { per_second } else { burst };
        Some(Self { interval, tolerance: interval.saturating_mul(u64::from(burst) - 1) })
    }

    /// A request at `now` of a client whose next one was due at `due`: when it is due after that one, or how long it had
    /// better wait.
    ///
    /// # Errors
    /// Where it comes too early.
    pub(in crate::edge) fn admit(self, due: u64, now: u64) -> Result<u64, Duration> {
        let earliest = due.saturating_sub(self.tolerance);
        if now < earliest {
            return Err(Duration::from_nanos(earliest - now));
        }
        Ok(due.max(now).saturating_add(self.interval))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How many of the requests at these times are admitted.
    fn admitted(rate: Rate, times: &[u64]) -> usize {
        let mut due = 0;
        times.iter().filter(|now| rate.admit(due, **now).map(|next| due = next).is_ok()).count()
    }

    #[test]
    fn nothing_is_no_bound() {
        assert_eq!(Rate::new(0, 5), None);
    }

    #[test]
    fn a_burst_is_admitted_and_then_the_rate() {
        let rate = Rate::new(10, 5).unwrap();
        assert_eq!(admitted(rate, &[SECOND; 20]), 5);
        assert_eq!(admitted(Rate::new(10, 0).unwrap(), &[SECOND; 20]), 10);
        assert_eq!(admitted(Rate::new(1, 1).unwrap(), &[SECOND, SECOND, 2 * SECOND]), 2);
    }

    #[test]
    fn who_is_refused_is_told_when_he_would_not_be() {
        let rate = Rate::new(2, 1).unwrap();
        let due = rate.admit(0, SECOND).unwrap();
        let wait = rate.admit(due, SECOND + SECOND / 4).unwrap_err();
        assert_eq!(wait, Duration::from_millis(250));
        assert!(rate.admit(due, SECOND + SECOND / 2).is_ok());
    }

    proptest! {
        #[test]
        fn no_span_sees_more_than_its_rate_and_a_burst(
            per_second in 1..1_000u32,
            burst in 1..100u32,
            gaps in prop::collection::vec(0..SECOND / 10, 1..300),
        ) {
            let rate = Rate::new(per_second, burst).unwrap();
            let (mut now, mut due, mut admitted) = (0, 0, Vec::new());
            for gap in gaps {
                now += gap;
                if let Ok(next) = rate.admit(due, now) {
                    due = next;
                    admitted.push(now);
                }
            }
            for (first, from) in admitted.iter().enumerate() {
                for (last, to) in admitted.iter().enumerate().skip(first) {
                    let most = (to - from) / rate.interval + u64::from(burst);
                    prop_assert!((last - first) as u64 <= most);
                }
            }
        }

        #[test]
        fn who_keeps_to_the_rate_is_never_refused(per_second in 1..1_000u32, spread in 0..1_000u64) {
            let rate = Rate::new(per_second, 1).unwrap();
            let times: Vec<u64> = (0..100).map(|number| number * (rate.interval + spread)).collect();
            prop_assert_eq!(admitted(rate, &times), times.len());
        }

        #[test]
        fn any_numbers_are_survived(per_second: u32, burst: u32, due: u64, now: u64) {
            if let Some(rate) = Rate::new(per_second, burst) {
                let _ = rate.admit(due, now);
            }
        }
    }
}
