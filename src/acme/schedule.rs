//! When a certificate is renewed, and when something that failed is tried again: functions of a given time.

use std::time::Duration;

use crate::http::time::UnixSeconds;

/// Of a certificate's lifetime, the part that is left when it is renewed.
const RENEWAL_PART: u64 = 3;

/// Of a certificate's lifetime, the part by which its renewal may come earlier than that, so that certificates that were
/// issued together are not renewed together; and the longest wait between two attempts, so that the last third has room for
/// ten.
const JITTER_PART: u64 = 30;

/// How long is waited after one failure, after two in a row, and so on; the last one repeats. Weighted to the front: a fault
/// of the moment has passed at the second attempt, anything else takes people or DNS some time.
/// A CA's own limits (five failed validations of a name an hour, say) may be met before; then it refuses, and that is a
/// failure like any other.
const WAITS_MINUTES: [u64; 12] = [1, 2, 2, 5, 10, 20, 20, 30, 30, 60, 180, 360];

/// How long a certificate is valid, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From when on.
    pub not_before: UnixSeconds,
    /// Until when.
    pub not_after: UnixSeconds,
}

impl Validity {
    fn lifetime_seconds(self) -> u64 {
        self.not_after.since(self.not_before)
    }

    /// When it is to be renewed: when a third of its lifetime is left, or up to a thirtieth earlier, by `random`.
    #[must_use]
    pub fn renew_at(self, random: u64) -> UnixSeconds {
        let lifetime = self.lifetime_seconds();
        let jitter = random % (lifetime / JITTER_PART + 1);
        self.not_after.minus(Duration::from_secs(lifetime / RENEWAL_PART + jitter))
    }

    /// The longest wait between two attempts to renew it, and the shortest between two orders that were fulfilled: a clock that
    /// is wrong makes no order follow the other.
    fn longest_wait(self) -> Duration {
        Duration::from_secs((self.lifetime_seconds() / JITTER_PART).max(1))
    }
}

/// When the next order may follow one that brought this certificate.
#[must_use]
pub fn next_order(now: UnixSeconds, brought: Validity) -> UnixSeconds {
    now.plus(brought.longest_wait())
}

/// When the next attempt is made, after `failures` in a row (at least one). A certificate that is there and short-lived is
/// tried for more often.
#[must_use]
pub fn next_attempt(now: UnixSeconds, failures: usize, held: Option<Validity>) -> UnixSeconds {
    let position = failures.clamp(1, WAITS_MINUTES.len()) - 1;
    let wait = Duration::from_secs(WAITS_MINUTES[position] * 60);
    now.plus(held.map_or(wait, |held| wait.min(held.longest_wait())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: u64 = 86_400;

    fn validity(lifetime: u64) -> Validity {
        Validity { not_before: UnixSeconds(1_000), not_after: UnixSeconds(1_000 + lifetime) }
    }

    #[test]
    fn a_certificate_is_renewed_when_a_third_is_left_or_a_little_earlier() {
        for (days, random, day) in [(90, 0, 60), (90, 3 * DAY, 57), (90, 3 * DAY + 1, 60), (6, 0, 4)] {
            assert_eq!(validity(days * DAY).renew_at(random), UnixSeconds(1_000 + day * DAY), "{days} {random}");
        }
        assert_eq!(validity(15).renew_at(7), UnixSeconds(1_010), "too short for an earlier one");
    }

    #[test]
    fn failures_in_a_row_are_waited_for_longer_and_longer_up_to_six_hours() {
        let minutes = |failures| (next_attempt(UnixSeconds(60), failures, None).0 - 60) / 60;
        let waited: Vec<_> = (1..=14).map(minutes).collect();
        assert_eq!(waited, [1, 2, 2, 5, 10, 20, 20, 30, 30, 60, 180, 360, 360, 360]);
    }

    #[test]
    fn what_expires_soon_is_tried_for_more_often() {
        let seconds = |lifetime| next_attempt(UnixSeconds(0), 12, Some(validity(lifetime))).0;
        assert_eq!(seconds(90 * DAY), 6 * 3_600);
        assert_eq!(seconds(6 * DAY), 17_280);
        assert_eq!(seconds(3_600), 120);
        assert_eq!(seconds(20), 1);
        assert_eq!(seconds(0), 1);
    }

    proptest! {
        #[test]
        fn renewal_lies_within_the_lifetime_with_room_for_ten_attempts(lifetime in 0..400 * DAY, random: u64) {
            let validity = validity(lifetime);
            let renewal = validity.renew_at(random);
            prop_assert!(renewal >= validity.not_before && renewal <= validity.not_after);
            prop_assert!(validity.not_after.since(renewal) >= lifetime / 3);
            prop_assert!(lifetime < 30 || validity.longest_wait().as_secs() * 10 <= validity.not_after.since(renewal));
        }

        #[test]
        fn no_time_makes_it_panic(before: u64, after: u64, now: u64, failures: usize, random: u64) {
            let validity = Validity { not_before: UnixSeconds(before), not_after: UnixSeconds(after) };
            let _ = validity.renew_at(random);
            prop_assert!(next_attempt(UnixSeconds(now), failures, Some(validity)) > UnixSeconds(now) || now == u64::MAX);
        }
    }
}
