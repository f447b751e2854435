//! The least that must move while one side waits for the other: a span begins with the first wait, and ends well when enough
//! has moved, or all there was. Who takes or gives a byte now and then does not get further than that.

use std::time::{Duration, Instant};

/// What must move in which time.
#[derive(Debug, Clone, Copy)]
pub(in crate::edge) struct Pace {
    span: Duration,
    least: usize,
    /// When the first wait of this span began, and what has moved since.
    waiting: Option<(Instant, usize)>,
}

impl Pace {
    /// At least `least` bytes, or all there is, in each `span` of waiting.
    pub(in crate::edge) const fn new(least: usize, span: Duration) -> Self {
        Self { span, least, waiting: None }
    }

    /// Nothing can move now. When it is too late for it.
    pub(in crate::edge) fn waits(&mut self, now: Instant) -> Instant {
        let (since, _) = *self.waiting.get_or_insert((now, 0));
        since + self.span
    }

    /// Bytes moved; whether they were all there was.
    pub(in crate::edge) fn moved(&mut self, bytes: usize, what: Moved) {
        if let Some((_, moved)) = &mut self.waiting {
            *moved = moved.saturating_add(bytes);
            if what == Moved::All || *moved >= self.least {
                self.waiting = None;
            }
        }
    }
}

/// How much moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::edge) enum Moved {
    /// All that there was to move.
    All,
    /// A part of it.
    Part,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(30);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_byte_now_and_then_buys_no_time() {
        let (start, mut pace) = (Instant::now(), Pace::new(1_000, SPAN));
        for second in 0..29 {
            assert_eq!(pace.waits(start + SECOND * second), start + SPAN);
            pace.moved(1, Moved::Part);
        }
    }

    #[test]
    fn enough_or_all_there_was_does() {
        let (start, mut pace) = (Instant::now(), Pace::new(1_000, SPAN));
        pace.waits(start);
        pace.moved(999, Moved::Part);
        assert_eq!(pace.waits(start + SECOND), start + SPAN);
        pace.moved(1, Moved::Part);
        assert_eq!(pace.waits(start + SECOND * 2), start + SECOND * 2 + SPAN);
        pace.moved(1, Moved::All);
        assert_eq!(pace.waits(start + SECOND * 3), start + SECOND * 3 + SPAN);
    }

    #[test]
    fn what_moves_without_a_wait_begins_no_span() {
        let (start, mut pace) = (Instant::now(), Pace::new(1_000, SPAN));
        pace.moved(1, Moved::Part);
        assert_eq!(pace.waits(start + SPAN * 9), start + SPAN * 10);
    }
}
