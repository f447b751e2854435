//! From what was measured to the next setting to try.

/// So near the target nothing is corrected, in points of the score.
pub const TOLERANCE: f32 = 1.5;
/// How often a picture is encoded at most.
pub(crate) const MAX_TRIES: usize = 4;
/// The most that one correction goes away from what is known, in points of the score.
const MAX_STEP_POINTS: f32 = 25.0;

/// A setting that was tried, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Try {
    pub(crate) setting: f32,
    pub(crate) score: f32,
}

/// How an encoder's settings run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    /// The setting that keeps least, and that which keeps most.
    pub(crate) worst: f32,
    pub(crate) best: f32,
    /// Settings are multiples of it.
    pub(crate) grain: f32,
    /// How far the setting goes for a point of the score, where nothing better is known; its sign is that of better.
    pub(crate) per_point: f32,
}

impl Scale {
    /// The nearest setting that there is.
    pub(crate) fn clamped(&self, setting: f32) -> f32 {
        let (low, high) = (self.worst.min(self.best), self.worst.max(self.best));
        ((setting / self.grain).round() * self.grain).clamp(low, high)
    }
}

/// The next setting to try, after those in `tries`, in their order; `None` where the target is met as well as it can be.
pub(crate) fn next(target: f32, tries: &[Try], scale: &Scale) -> Option<f32> {
    let last = tries.last()?;
    if tries.len() >= MAX_TRIES || tries.iter().any(|tried| (tried.score - target).abs() <= TOLERANCE) {
        return None;
    }
    // The last try is to be on the safe side.
    let aim = if tries.len() + 1 == MAX_TRIES { target + TOLERANCE / 2.0 } else { target };
    let per_point = match nearest_two(aim, tries) {
        Some((one, other)) => secant(one, other, scale),
        None => scale.per_point,
    };
    let from = nearest(aim, tries).unwrap_or(last);
    let points = (aim - from.score).clamp(-MAX_STEP_POINTS, MAX_STEP_POINTS);
    let setting = scale.clamped(from.setting + points * per_point);
    let was_tried = |setting: f32| tries.iter().any(|tried| (tried.setting - setting).abs() < scale.grain / 2.0);
    if !was_tried(setting) {
        return Some(setting);
    }
    // Between two steps of the encoder: the better one will do, if it is not known already.
    let better = scale.clamped(from.setting + scale.grain * scale.per_point.signum());
    (from.score < target && !was_tried(better)).then_some(better)
}

/// Which try to keep: of those that are not clearly below the target the one with the fewest bytes, which is the lowest
/// score; where all are below it, the best.
pub(crate) fn chosen(target: f32, tries: &[Try]) -> Option<usize> {
    let meets = |tried: &Try| tried.score >= target - TOLERANCE;
    let indexed = || tries.iter().enumerate();
    let by_score = |one: &(usize, &Try), other: &(usize, &Try)| one.1.score.total_cmp(&other.1.score);
    let lowest = indexed().filter(|(_, tried)| meets(tried)).min_by(by_score);
    lowest.or_else(|| indexed().max_by(by_score)).map(|(index, _)| index)
}

fn nearest(target: f32, tries: &[Try]) -> Option<&Try> {
    let off = |tried: &&Try| (tried.score - target).abs();
    tries.iter().min_by(|one, other| off(one).total_cmp(&off(other)))
}

/// The nearest try above the target and the nearest below it; the two nearest where all are on one side.
fn nearest_two(target: f32, tries: &[Try]) -> Option<(&Try, &Try)> {
    let mut by_distance: Vec<&Try> = tries.iter().collect();
    by_distance.sort_by(|one, other| (one.score - target).abs().total_cmp(&(other.score - target).abs()));
    let first = by_distance.first()?;
    let across = by_distance.iter().find(|other| (other.score < target) != (first.score < target));
    Some((first, across.or_else(|| by_distance.get(1))?))
}

/// The setting's way for a point between two tries. Where they say that worse settings look better, or hardly differ, what
/// is known of the encoder counts, and a secant is never taken for more than thrice or less than a third of that.
fn secant(one: &Try, other: &Try, scale: &Scale) -> f32 {
    let (points, way) = (other.score - one.score, other.setting - one.setting);
    let ratio = way / points / scale.per_point;
    if points.abs() < 0.2 || !ratio.is_finite() || ratio <= 0.0 {
        return scale.per_point;
    }
    scale.per_point * ratio.clamp(1.0 / 3.0, 3.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const QUALITY: Scale = Scale { worst: 1.0, best: 100.0, grain: 1.0, per_point: 2.0 };
    const QUANTIZER: Scale = Scale { worst: 63.0, best: 0.0, grain: 1.0, per_point: -1.0 };

    fn tried(setting: f32, score: f32) -> Try {
        Try { setting, score }
    }

    #[test]
    fn what_is_near_enough_is_not_corrected() {
        assert_eq!(next(72.0, &[tried(70.0, 70.6)], &QUALITY), None);
        assert_eq!(next(72.0, &[tried(70.0, 73.4)], &QUALITY), None);
        assert_eq!(next(72.0, &[], &QUALITY), None);
    }

    #[test]
    fn corrections_follow_what_is_known_and_then_what_was_seen() {
        assert_eq!(next(72.0, &[tried(60.0, 67.0)], &QUALITY), Some(70.0));
        assert_eq!(next(72.0, &[tried(30.0, 67.0)], &QUANTIZER), Some(25.0));
        assert_eq!(next(72.0, &[tried(20.0, 82.0)], &QUANTIZER), Some(30.0));
        // Ten steps gave two points: three more need fifteen.
        assert_eq!(next(72.0, &[tried(60.0, 67.0), tried(70.0, 69.0)], &QUALITY), Some(85.0));
        // Between two.
        assert_eq!(next(72.0, &[tried(60.0, 67.0), tried(80.0, 77.0)], &QUALITY), Some(70.0));
    }

    #[test]
    fn between_two_steps_of_the_encoder_the_better_is_kept() {
        let tries = [tried(30.0, 69.0), tried(29.0, 75.0)];
        assert_eq!(next(72.0, &tries, &QUANTIZER), None);
        assert_eq!(chosen(72.0, &tries), Some(1));
        assert_eq!(next(72.0, &tries[..1], &Scale { per_point: -0.1, ..QUANTIZER }), Some(29.0));
    }

    #[test]
    fn at_the_end_of_the_scale_there_is_nothing_to_try() {
        assert_eq!(next(90.0, &[tried(100.0, 80.0)], &QUALITY), None);
        assert_eq!(next(20.0, &[tried(63.0, 40.0)], &QUANTIZER), None);
    }

    #[test]
    fn the_lowest_that_meets_the_target_is_kept_and_else_the_best() {
        let tries = [tried(1.0, 60.0), tried(2.0, 71.0), tried(3.0, 80.0)];
        assert_eq!(chosen(72.0, &tries), Some(1));
        assert_eq!(chosen(90.0, &tries), Some(2));
        assert_eq!(chosen(50.0, &tries), Some(0));
        assert_eq!(chosen(50.0, &[]), None);
    }

    proptest! {
        /// An encoder with a straight or bent scale, not too far from what is known of it.
        #[test]
        fn a_few_tries_are_enough(
            target in 45.0f32..88.0,
            start in 20.0f32..85.0,
            slope in 0.25f32..0.9,
            bend in -0.004f32..0.004,
            level in 50.0f32..75.0,
        ) {
            let score = |setting: f32| level + slope * (setting - 50.0) + bend * (setting - 50.0) * (setting - 50.0).abs();
            let mut tries = vec![tried(start.round(), score(start.round()))];
            while let Some(setting) = next(target, &tries, &QUALITY) {
                tries.push(tried(setting, score(setting)));
            }
            prop_assert!(tries.len() <= MAX_TRIES);
            let kept = tries[chosen(target, &tries).unwrap()];
            let best = score(100.0).max(score(1.0));
            prop_assert!(kept.score >= (target - 3.0).min(best - 0.1), "{kept:?} of {tries:?}");
        }

        #[test]
        fn no_measurement_leads_out_of_the_scale(
            scores in prop::collection::vec((0.0f32..64.0, -50.0f32..100.0), 1..4),
            target in 1.0f32..100.0,
        ) {
            let tries: Vec<Try> = scores.iter().map(|(setting, score)| tried(setting.round(), *score)).collect();
            if let Some(setting) = next(target, &tries, &QUANTIZER) {
                prop_assert!((0.0..=63.0).contains(&setting) && setting.fract() == 0.0);
            }
        }
    }
}
