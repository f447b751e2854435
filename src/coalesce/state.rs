//! What becomes of one key that many ask for at once: who fetches, who waits, who goes alone. Pure: each event is a function
//! from one state to the next, and time is passed in.
//!
//! ```text
//!            arrives: Lead            shared
//!   Idle ───────────────────▶ Led ───────────▶ Idle         what came is in the cache
//!    ▲                         │ │ └─ apart ─▶ Apart        what came is for one visitor: everybody asks for himself
//!    │ its time is over        │ └─── failed ▶ Resting      nobody asks until then
//!    └── Apart, Resting        └───── lost ──▶ Vacant       its leader died: the next one leads, once
//! ```
//!
//! Who arrives while it is led follows. A purge lets it go on for those who wait, keeps its result out of the cache, and begins
//! anew for who arrives after it.

use std::time::Duration;

use crate::http::time::UnixSeconds;

/// The longest rest after failures in a row.
const MAX_REST: Duration = Duration::from_secs(10);

/// Where a key stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    /// Nobody is at it.
    #[default]
    Idle,
    /// One is at it; the others wait.
    Led {
        /// Whether somebody before was lost over it.
        handed_over: bool,
        /// How often in a row it failed before.
        failures: u32,
    },
    /// The one who was at it is gone without a word: the next one who asks takes over.
    Vacant {
        /// As in [`State::Led`].
        failures: u32,
    },
    /// What came could not be shared: until then everybody asks for himself, without waiting for others.
    Apart {
        /// From then on it is tried anew to share.
        until: UnixSeconds,
    },
    /// It failed: until then it is not tried again.
    Resting {
        /// From then on one tries again.
        until: UnixSeconds,
        /// How often in a row it failed.
        failures: u32,
    },
}

/// What one who asks does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// He does it for all.
    Lead,
    /// He waits for the one who does.
    Follow,
    /// He does it for himself.
    GoAlone,
    /// He does without: it failed a moment ago.
    Rest,
}

impl State {
    /// Somebody asks.
    #[must_use]
    pub fn arrive(self, now: UnixSeconds) -> (Self, Turn) {
        match self {
            Self::Led { .. } => (self, Turn::Follow),
            Self::Apart { until } if now < until => (self, Turn::GoAlone),
            Self::Resting { until, .. } if now < until => (self, Turn::Rest),
            Self::Idle | Self::Apart { .. } => (led(false, 0), Turn::Lead),
            Self::Resting { failures, .. } => (led(false, failures), Turn::Lead),
            Self::Vacant { failures } => (led(true, failures), Turn::Lead),
        }
    }

    /// It is done, and all had it.
    #[must_use]
    pub const fn shared(self) -> Self {
        Self::Idle
    }

    /// What came may not be shared.
    #[must_use]
    pub const fn apart(self, now: UnixSeconds, span: Duration) -> Self {
        Self::Apart { until: now.plus(span) }
    }

    /// It failed: it rests, each time in a row twice as long as the time before, at least a second.
    #[must_use]
    pub fn failed(self, now: UnixSeconds, span: Duration) -> Self {
        let before = match self {
            Self::Led { failures, .. } | Self::Vacant { failures } | Self::Resting { failures, .. } => failures,
            Self::Idle | Self::Apart { .. } => 0,
        };
        let failures = before.saturating_add(1);
        Self::Resting { until: now.plus(rest_after(failures, span)), failures }
    }

    /// Who was at it is gone: somebody else may take over, once.
    #[must_use]
    pub fn lost(self, now: UnixSeconds, span: Duration) -> Self {
        match self {
            Self::Led { handed_over: false, failures } => Self::Vacant { failures },
            Self::Led { handed_over: true, .. } => self.failed(now, span),
            other => other,
        }
    }

    /// It is purged: what is remembered is forgotten, and who is at it has lost the key. What he brings is for those who wait.
    #[must_use]
    pub const fn purged(self) -> Self {
        Self::Idle
    }
}

const fn led(handed_over: bool, failures: u32) -> State {
    State::Led { handed_over, failures }
}

/// How long it rests after so many failures in a row: `span`, doubled with each, from one second to ten unless `span` is
/// longer itself.
#[must_use]
pub fn rest_after(failures: u32, span: Duration) -> Duration {
    let span = span.max(Duration::from_secs(1));
    let doubled = span.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(MAX_REST.max(span))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: UnixSeconds = UnixSeconds(1_000);
    const SPAN: Duration = Duration::from_secs(2);

    fn later(seconds: u64) -> UnixSeconds {
        UnixSeconds(NOW.0 + seconds)
    }

    #[test]
    fn the_first_leads_and_the_others_follow_until_it_is_shared() {
        let (state, turn) = State::Idle.arrive(NOW);
        assert_eq!(turn, Turn::Lead);
        assert_eq!(state.arrive(NOW), (state, Turn::Follow));
        assert_eq!(state.shared().arrive(NOW).1, Turn::Lead);
    }

    #[test]
    fn what_cannot_be_shared_is_asked_for_by_everybody_and_one_day_shared_again() {
        let state = State::Idle.arrive(NOW).0.apart(NOW, SPAN);
        assert_eq!(state.arrive(later(1)), (state, Turn::GoAlone));
        assert_eq!(state.arrive(later(2)).1, Turn::Lead);
    }

    #[test]
    fn failures_in_a_row_rest_longer_and_a_success_forgets_them() {
        let mut state = State::Idle;
        for (failures, rest) in [(1, 2), (2, 4), (3, 8), (4, 10), (5, 10)] {
            state = state.arrive(later(100)).0.failed(NOW, SPAN);
            assert_eq!(state, State::Resting { until: later(rest), failures });
            assert_eq!(state.arrive(later(rest - 1)).1, Turn::Rest);
        }
        let (state, turn) = state.arrive(later(100));
        assert_eq!(turn, Turn::Lead);
        assert_eq!(state.shared().arrive(NOW).0.failed(NOW, SPAN), State::Resting { until: later(2), failures: 1 });
    }

    #[test]
    fn a_lost_leader_is_replaced_once() {
        let state = State::Idle.arrive(NOW).0.lost(NOW, SPAN);
        let (state, turn) = state.arrive(NOW);
        assert_eq!(turn, Turn::Lead);
        let state = state.lost(NOW, SPAN);
        assert_eq!(state, State::Resting { until: later(2), failures: 1 });
    }

    #[test]
    fn after_a_purge_it_begins_anew() {
        assert_eq!(State::Idle.arrive(NOW).0.purged().arrive(NOW).1, Turn::Lead);
        assert_eq!(State::Idle.apart(NOW, SPAN).purged(), State::Idle);
        assert_eq!(State::Idle.failed(NOW, SPAN).purged(), State::Idle);
    }

    #[derive(Debug, Clone, Copy)]
    enum Event {
        Arrive,
        Shared,
        Apart,
        Failed,
        Lost,
        Purged,
    }

    proptest! {
        /// However events fall: there is at most one leader, nobody is turned away for ever, and a purged result is not kept.
        #[test]
        fn at_most_one_leads_and_nobody_waits_for_nobody(
            events in prop::collection::vec((prop_oneof![
                4 => Just(Event::Arrive), 1 => Just(Event::Shared), 1 => Just(Event::Apart), 1 => Just(Event::Failed),
                1 => Just(Event::Lost), 1 => Just(Event::Purged),
            ], 0_u64..5), 0..80)
        ) {
            let (mut state, mut now, mut is_led) = (State::Idle, NOW, false);
            for (event, passes) in events {
                now = UnixSeconds(now.0 + passes);
                match event {
                    Event::Arrive => {
                        let (next, turn) = state.arrive(now);
                        prop_assert!(turn != Turn::Lead || !is_led, "two lead");
                        prop_assert!(turn != Turn::Follow || is_led, "somebody follows nobody");
                        is_led |= turn == Turn::Lead;
                        state = next;
                    }
                    // Who led leads no more: his result is kept by nobody.
                    Event::Purged => (state, is_led) = (state.purged(), false),
                    // The others happen to a leader only.
                    _ if !is_led => {}
                    Event::Shared => (state, is_led) = (state.shared(), false),
                    Event::Apart => (state, is_led) = (state.apart(now, SPAN), false),
                    Event::Failed => (state, is_led) = (state.failed(now, SPAN), false),
                    Event::Lost => (state, is_led) = (state.lost(now, SPAN), false),
                }
                prop_assert_eq!(matches!(state, State::Led { .. }), is_led);
                let in_the_end = state.arrive(now.plus(MAX_REST)).1;
                prop_assert!(matches!(in_the_end, Turn::Lead | Turn::Follow), "{:?} turns away for ever", state);
            }
        }
    }
}
