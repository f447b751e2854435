//! The loops that touch every sample, compiled for the widest vectors that the processor has. They multiply and add in two
//! steps, never fused, so that every machine makes the same bytes.

use pulp::{Arch, NullaryFnOnce};

use super::axis::Axis;
use crate::light::{LIGHT, step};

/// How many rows are added at once: each sum is fetched and put back once for all of them.
pub(super) const BATCH: usize = 4;

/// What a batch of rows gives to one sum.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    /// Which.
    pub(super) sum: usize,
    /// How much of each row.
    pub(super) weights: [f32; BATCH],
    /// Whether there was nothing in it before.
    pub(super) begins: bool,
}

/// The loops, for this processor.
#[derive(Clone, Copy)]
pub(super) struct Kernels(Arch);

impl Kernels {
    pub(super) fn new() -> Self {
        Self(Arch::new())
    }

    /// Levels to light, sample by sample.
    pub(super) fn opaque_light(self, levels: &[u8], light: &mut [f32]) {
        let table = &*LIGHT;
        for (light, level) in light.iter_mut().zip(levels) {
            *light = table[usize::from(*level)];
        }
    }

    /// Levels with alpha to light, each colour as much as its alpha shows of it.
    pub(super) fn premultiplied_light(self, levels: &[u8], light: &mut [f32]) {
        let table = &*LIGHT;
        let (levels, light) = (levels.as_chunks::<4>().0, light.as_chunks_mut::<4>().0);
        for (light, level) in light.iter_mut().zip(levels) {
            let alpha = f32::from(level[3]) / 255.0;
            let [red, green, blue] = [level[0], level[1], level[2]].map(|level| table[usize::from(level)] * alpha);
            *light = [red, green, blue, alpha];
        }
    }

    /// Adds what some rows have to give to sums.
    pub(super) fn add_rows(self, rows: &[Vec<f32>; BATCH], shares: &[Share], sums: &mut [Vec<f32>]) {
        self.0.dispatch(AddRows { rows, shares, sums });
    }

    /// Which steps light is at.
    pub(super) fn steps(self, light: &[[f32; 4]], steps: &mut [[u32; 4]]) {
        self.0.dispatch(Steps { light, steps });
    }

    /// A row of sums to a row of results.
    pub(super) fn across(self, pixels: &[[f32; 4]], axis: &Axis, results: &mut [[f32; 4]]) {
        self.0.dispatch(Across { pixels, axis, results });
    }
}

/// Samples that are added side by side; rows and sums are multiples of it long.
pub(super) const LANES: usize = 8;

/// How many times [`LANES`] samples of the rows are gone over at once: what the cache nearest to the processor holds.
const BLOCK: usize = 128;

struct AddRows<'a> {
    rows: &'a [Vec<f32>; BATCH],
    shares: &'a [Share],
    sums: &'a mut [Vec<f32>],
}

impl NullaryFnOnce for AddRows<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let [a, b, c, d] = self.rows.each_ref().map(|row| row.as_chunks::<LANES>().0);
        for start in (0..a.len()).step_by(BLOCK) {
            let end = (start + BLOCK).min(a.len());
            let (a, b, c, d) = (&a[start..end], &b[start..end], &c[start..end], &d[start..end]);
            for share in self.shares {
                let sums = &mut self.sums[share.sum].as_chunks_mut::<LANES>().0[start..end];
                for ((((sums, a), b), c), d) in sums.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                    let added = share.of(a, b, c, d);
                    if share.begins {
                        *sums = added;
                    } else {
                        for lane in 0..LANES {
                            sums[lane] += added[lane];
                        }
                    }
                }
            }
        }
    }
}

impl Share {
    #[inline(always)]
    fn of(&self, a: &[f32; LANES], b: &[f32; LANES], c: &[f32; LANES], d: &[f32; LANES]) -> [f32; LANES] {
        let [of_a, of_b, of_c, of_d] = self.weights;
        let mut added = [0.0; LANES];
        for lane in 0..LANES {
            added[lane] = (a[lane] * of_a + b[lane] * of_b) + (c[lane] * of_c + d[lane] * of_d);
        }
        added
    }
}

struct Across<'a> {
    pixels: &'a [[f32; 4]],
    axis: &'a Axis,
    results: &'a mut [[f32; 4]],
}

impl NullaryFnOnce for Across<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (at, result) in self.results.iter_mut().enumerate() {
            let (start, weights) = self.axis.at(at);
            let pixels = &self.pixels[start..start + weights.len()];
            // Two sums, so that one addition need not wait for the other.
            let mut sums = [[0.0f32; 4]; 2];
            let (pixel_pairs, pixel_rest) = pixels.as_chunks::<2>();
            let (weight_pairs, weight_rest) = weights.as_chunks::<2>();
            for (pixels, weights) in pixel_pairs.iter().zip(weight_pairs) {
                for half in 0..2 {
                    for channel in 0..4 {
                        sums[half][channel] += pixels[half][channel] * weights[half];
                    }
                }
            }
            if let ([pixel], [weight]) = (pixel_rest, weight_rest) {
                for channel in 0..4 {
                    sums[0][channel] += pixel[channel] * weight;
                }
            }
            for channel in 0..4 {
                result[channel] = sums[0][channel] + sums[1][channel];
            }
        }
    }
}

struct Steps<'a> {
    light: &'a [[f32; 4]],
    steps: &'a mut [[u32; 4]],
}

impl NullaryFnOnce for Steps<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (steps, light) in self.steps.iter_mut().zip(self.light) {
            for channel in 0..4 {
                steps[channel] = step(light[channel]);
            }
        }
    }
}
