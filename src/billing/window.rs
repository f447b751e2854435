//! The windows of the `variants` tariff (`billing.md` rules 3 and 4): an image size's window opens with its first charge and
//! lasts 30 × 24 hours; each of its components is charged once in it.

use jiff::{SignedDuration, Timestamp};

use super::tariff::Component;

/// How long a window lasts.
pub const WINDOW: SignedDuration = SignedDuration::from_hours(30 * 24);

/// When a window that opened at `opened` ends: from then on the next view opens the next.
#[must_use]
pub fn end(opened: Timestamp) -> Timestamp {
    opened.saturating_add(WINDOW).unwrap_or(Timestamp::MAX)
}

/// Whether a window that opened at `opened` lasts at `now`. Where the clock has gone back behind its opening it does: nobody
/// is charged again for that.
#[must_use]
pub fn lasts(opened: Timestamp, now: Timestamp) -> bool {
    now < end(opened)
}

/// The components of a delivery that its window has no charge for yet, in order.
pub fn uncharged(delivered: &[Component], charged: &[Component]) -> Vec<Component> {
    delivered.iter().copied().filter(|component| !charged.contains(component)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_lasts_thirty_days_to_the_second() {
        let opened: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        assert!(lasts(opened, opened));
        assert!(lasts(opened, "2026-03-02T11:59:59Z".parse().unwrap()));
        assert!(!lasts(opened, "2026-03-02T12:00:00Z".parse().unwrap()));
    }

    #[test]
    fn a_clock_that_goes_back_opens_no_window() {
        let opened: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        assert!(lasts(opened, "2020-01-01T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn each_component_is_charged_once_in_a_window() {
        use Component::{Avif, Size, Webp};
        assert_eq!(uncharged(&[Size, Avif], &[]), [Size, Avif]);
        assert_eq!(uncharged(&[Size, Webp], &[Size, Avif]), [Webp]);
        assert_eq!(uncharged(&[Size], &[Size, Avif, Webp]), []);
    }
}
