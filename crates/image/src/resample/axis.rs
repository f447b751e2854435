//! Which pixels of a source make a pixel of the result, along one axis: Lanczos with three lobes, widened when reducing so
//! that nothing is skipped.

/// Lobes of the filter on each side.
const LOBES: f64 = 3.0;

/// The weights of an axis. Every result has as many, zeroes behind its last where the edge cuts it short.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    /// Where the source pixels of each result begin; never falling.
    pub(super) starts: Vec<usize>,
    /// Weights of a result.
    pub(super) taps: usize,
    /// `taps` for each result.
    weights: Vec<f32>,
}

impl Axis {
    /// The weights that bring `kept` of `source` pixels, from `start` on (both may lie between two), to `size`.
    pub(super) fn new(source: usize, start: f64, kept: f64, size: usize) -> Self {
        let scale = kept / size as f64;
        let stretch = scale.max(1.0);
        let reach = LOBES * stretch;
        // Bounded by the number of source pixels, one below by the integer part of a positive number.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let taps = ((reach * 2.0).ceil() as usize + 1).clamp(1, source.max(1));
        let mut axis = Self { starts: Vec::with_capacity(size), taps, weights: vec![0.0; size * taps] };
        for (at, weights) in axis.weights.chunks_exact_mut(taps).enumerate() {
            let center = start + (at as f64 + 0.5) * scale;
            // At least 0 by `max`, and at most `source - taps` by `min`.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let first = ((center - reach).ceil().max(0.0) as usize).min(source - taps);
            let exact: Vec<f64> =
                (0..taps).map(|tap| lanczos(((first + tap) as f64 + 0.5 - center) / stretch)).collect();
            let sum: f64 = exact.iter().sum();
            for (weight, exact) in weights.iter_mut().zip(exact) {
                // What is lost is far below a level.
                #[expect(clippy::cast_possible_truncation)]
                let share = (exact / sum) as f32;
                *weight = share;
            }
            axis.starts.push(first);
        }
        axis
    }

    /// How many results there are.
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// A result's weights, and the first source pixel that they are for.
    pub(super) fn at(&self, result: usize) -> (usize, &[f32]) {
        (self.starts[result], &self.weights[result * self.taps..(result + 1) * self.taps])
    }

    /// The source pixels that are used at all: the first, and the one behind the last.
    pub(super) fn span(&self) -> (usize, usize) {
        let first = self.starts.first().copied().unwrap_or(0);
        let last = self.starts.last().copied().unwrap_or(0);
        (first, last + self.taps)
    }

    /// Moves all to where the source begins `pixels` later.
    pub(super) fn shifted(mut self, pixels: usize) -> Self {
        self.starts.iter_mut().for_each(|start| *start -= pixels);
        self
    }

    /// The most results that any `batch` source pixels in a row take part in.
    pub(super) fn overlap(&self, batch: usize) -> usize {
        let mut begun = 0;
        let mut most = 1;
        for (ended, start) in self.starts.iter().enumerate() {
            while self.starts.get(begun).is_some_and(|next| *next < start + self.taps + batch - 1) {
                begun += 1;
            }
            most = most.max(begun - ended);
        }
        most
    }
}

/// The filter at `x`, in its own pixels.
fn lanczos(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    if x.abs() >= LOBES {
        return 0.0;
    }
    let angle = x * std::f64::consts::PI;
    LOBES * angle.sin() * (angle / LOBES).sin() / (angle * angle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_same_size_takes_each_pixel_as_it_is() {
        let axis = Axis::new(50, 0.0, 50.0, 50);
        for result in 0..50 {
            let (start, weights) = axis.at(result);
            let own = weights[result - start];
            assert!((own - 1.0).abs() < 1e-6, "{result}: {own}");
        }
    }

    #[test]
    fn a_quarter_looks_at_twenty_four_pixels() {
        let axis = Axis::new(400, 0.0, 400.0, 100);
        // Seven at once, and two more at the edges, where windows are pushed inside.
        assert_eq!((axis.taps, axis.overlap(1)), (25, 9));
        assert_eq!(axis.span(), (0, 400));
    }

    #[test]
    fn a_cut_uses_little_more_than_itself() {
        let axis = Axis::new(1_000, 500.0, 100.0, 50);
        let (first, end) = axis.span();
        assert!((493..=496).contains(&first) && (604..=608).contains(&end), "{first} {end}");
    }

    proptest! {
        #[test]
        fn weights_sum_to_one_and_stay_inside(
            source in 1usize..700, size in 1usize..700, cut in 0.0..0.9f64, part in 0.05..1.0f64,
        ) {
            let start = source as f64 * cut;
            let kept = (source as f64 - start) * part;
            let axis = Axis::new(source, start, kept, size);
            prop_assert_eq!(axis.len(), size);
            prop_assert!(axis.starts.is_sorted());
            for result in 0..size {
                let (start, weights) = axis.at(result);
                prop_assert!(start + weights.len() <= source);
                let sum: f32 = weights.iter().sum();
                prop_assert!((sum - 1.0).abs() < 1e-4, "{}", sum);
            }
            let (first, end) = axis.span();
            prop_assert!(first < end && end <= source);
            prop_assert!(axis.overlap(4) >= axis.overlap(1) && axis.overlap(4) <= size);
        }
    }
}
