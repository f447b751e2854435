//! Times on the command line.

use std::{fmt, str::FromStr};

use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// A time, or a date: its midnight in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct When(Timestamp);

impl When {
    /// The time.
    pub(super) const fn timestamp(self) -> Timestamp {
        self.0
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(time) = text.parse::<Timestamp>() {
            return Ok(Self(time));
        }
        // A time without an offset would read as a date too: nobody said whose time it is.
        let is_date = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        let date = text.parse::<Date>().ok().filter(|_| is_date);
        let midnight = date.and_then(|date| TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok());
        midnight.map(Self).ok_or_else(|| {
            "expected a time such as 2026-11-01T12:00:00Z, or a date such as 2026-11-01: midnight in UTC".to_owned()
        })
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_its_midnight_in_utc_and_a_time_is_itself() {
        for (text, time) in [
            ("2026-11-01", "2026-11-01T00:00:00Z"),
            ("2026-11-01T12:30:00Z", "2026-11-01T12:30:00Z"),
            ("2026-11-01T12:30:00+02:00", "2026-11-01T10:30:00Z"),
        ] {
            assert_eq!(text.parse::<When>().unwrap().to_string(), time);
        }
    }

    #[test]
    fn a_time_of_nobody_knows_where_is_refused() {
        for bad in ["", "yesterday", "2026-11-01T12:30:00", "2026-11-01 12:30", "2026-13-01", "2026-11-31", "1"] {
            assert!(bad.parse::<When>().is_err(), "{bad}");
        }
    }
}
