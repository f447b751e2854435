//! Billing periods (`billing.md` rule 7): calendar months from the subscription's start on, in UTC.

use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// From `start` on, up to but not including `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// Its first instant.
    pub start: Timestamp,
    /// The first instant of the next.
    pub end: Timestamp,
}

impl Period {
    /// The period at `at` of a subscription that began at `anchor`. Each begins on the anchor's day of the month and time of
    /// day, or on the month's last day where it has no such day: from the 31st of January to the 28th of February to the
    /// 31st of March. Before the anchor it is the first.
    #[must_use]
    pub fn at(anchor: Timestamp, at: Timestamp) -> Self {
        let date = |time: Timestamp| TimeZone::UTC.to_datetime(time);
        let month = |time: Timestamp| i32::from(date(time).year()) * 12 + i32::from(date(time).month());
        // The month's own beginning may lie before or behind `at`.
        let mut months = (month(at) - month(anchor)).max(0);
        if months > 0 && nth_start(anchor, months) > at {
            months -= 1;
        }
        Self { start: nth_start(anchor, months), end: nth_start(anchor, months + 1) }
    }

    /// Whether it is over: a clock that goes back does not bring an earlier one back.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.end
    }
}

/// Counted from the anchor each time: a short month does not move the ones behind it.
fn nth_start(anchor: Timestamp, months: i32) -> Timestamp {
    let start = TimeZone::UTC.to_datetime(anchor).checked_add(months.months());
    start.and_then(|start| TimeZone::UTC.to_timestamp(start)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn period(anchor: &str, at: &str) -> (String, String) {
        let period = Period::at(time(anchor), time(at));
        (period.start.to_string(), period.end.to_string())
    }

    #[test]
    fn a_period_is_a_calendar_month_from_the_subscriptions_start() {
        let anchor = "2026-01-15T10:30:00Z";
        let first = ("2026-01-15T10:30:00Z".to_owned(), "2026-02-15T10:30:00Z".to_owned());
        let second = ("2026-02-15T10:30:00Z".to_owned(), "2026-03-15T10:30:00Z".to_owned());
        assert_eq!(period(anchor, "2026-01-15T10:30:00Z"), first);
        assert_eq!(period(anchor, "2026-02-15T10:29:59Z"), first);
        assert_eq!(period(anchor, "2026-02-15T10:30:00Z"), second);
        assert_eq!(period(anchor, "2020-01-01T00:00:00Z"), first);
    }

    #[test]
    fn day_31_becomes_the_months_last_day_and_comes_back() {
        let anchor = "2024-01-31T00:00:00Z";
        assert_eq!(period(anchor, "2024-02-29T00:00:00Z").0, "2024-02-29T00:00:00Z");
        assert_eq!(period(anchor, "2024-03-30T23:59:59Z").1, "2024-03-31T00:00:00Z");
        assert_eq!(period(anchor, "2025-02-28T00:00:00Z").0, "2025-02-28T00:00:00Z");
        assert_eq!(period(anchor, "2025-04-30T12:00:00Z").0, "2025-04-30T00:00:00Z");
    }

    proptest! {
        #[test]
        fn periods_follow_each_other_without_gap_or_overlap(
            anchor in 0i64..4_000_000_000,
            later in 0i64..4_000_000_000,
        ) {
            let anchor = Timestamp::from_second(anchor).unwrap();
            let at = Timestamp::from_second(anchor.as_second() + later).unwrap();
            let period = Period::at(anchor, at);
            prop_assert!(period.start <= at && at < period.end);
            prop_assert_eq!(Period::at(anchor, period.start), period);
            prop_assert_eq!(Period::at(anchor, period.end).start, period.end);
        }
    }
}
