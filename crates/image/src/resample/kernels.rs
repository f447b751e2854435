//! The loops that touch every sample, compiled for the widest vectors that the processor has. Where it multiplies and adds in
//! one step they do too: the last bit of a sum may differ from one kind of machine to another, a level hardly ever.

use pulp::{Arch, NullaryFnOnce};

use super::axis::Axis;
use crate::light::{LIGHT, light_of, step};

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

/// Two pixels above each other: they are gone over together.
pub(super) type Pair = [f32; 8];

/// The loops, for this processor.
#[derive(Clone, Copy)]
pub(super) struct Kernels {
    arch: Arch,
    /// Whether it multiplies and adds in one step.
    fused: bool,
}

impl Kernels {
    pub(super) fn new() -> Self {
        #[cfg(target_arch = "x86_64")]
        let fused = std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma");
        #[cfg(not(target_arch = "x86_64"))]
        let fused = cfg!(target_arch = "aarch64");
        Self { arch: Arch::new(), fused }
    }

    /// Levels to light, sample by sample.
    pub(super) fn opaque_light(self, levels: &[u8], light: &mut [f32]) {
        if self.fused {
            self.arch.dispatch(OpaqueLight::<true> { levels, light });
        } else {
            self.arch.dispatch(OpaqueLight::<false> { levels, light });
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
        if self.fused {
            self.arch.dispatch(AddRows::<true> { rows, shares, sums });
        } else {
            self.arch.dispatch(AddRows::<false> { rows, shares, sums });
        }
    }

    /// Two rows of sums to two rows of results.
    pub(super) fn across(self, pixels: &[Pair], axis: &Axis, results: &mut [Pair]) {
        if self.fused {
            self.arch.dispatch(Across::<true> { pixels, axis, results });
        } else {
            self.arch.dispatch(Across::<false> { pixels, axis, results });
        }
    }

    /// Which steps light is at.
    pub(super) fn steps(self, light: &[[f32; 4]], steps: &mut [[u32; 4]]) {
        self.arch.dispatch(Steps { light, steps });
    }
}

/// `a × b + c`.
#[inline(always)]
fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

struct OpaqueLight<'a, const FUSED: bool> {
    levels: &'a [u8],
    light: &'a mut [f32],
}

impl<const FUSED: bool> NullaryFnOnce for OpaqueLight<'_, FUSED> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (light, level) in self.light.iter_mut().zip(self.levels) {
            *light = light_of(f32::from(*level), multiply_add::<FUSED>);
        }
    }
}

/// Samples that are added side by side; rows and sums are multiples of it long.
pub(super) const LANES: usize = 8;

/// How many times [`LANES`] samples of the rows are gone over at once: what the cache nearest to the processor holds.
const BLOCK: usize = 128;

struct AddRows<'a, const FUSED: bool> {
    rows: &'a [Vec<f32>; BATCH],
    shares: &'a [Share],
    sums: &'a mut [Vec<f32>],
}

impl<const FUSED: bool> NullaryFnOnce for AddRows<'_, FUSED> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let [a, b, c, d] = self.rows.each_ref().map(|row| row.as_chunks::<LANES>().0);
        for start in (0..a.len()).step_by(BLOCK) {
            let end = (start + BLOCK).min(a.len());
            let (a, b, c, d) = (&a[start..end], &b[start..end], &c[start..end], &d[start..end]);
            for share in self.shares {
                let sums = &mut self.sums[share.sum].as_chunks_mut::<LANES>().0[start..end];
                let rows = sums.iter_mut().zip(a).zip(b).zip(c).zip(d);
                if share.begins {
                    rows.for_each(|((((sums, a), b), c), d)| *sums = share.added::<FUSED>([0.0; LANES], [a, b, c, d]));
                } else {
                    rows.for_each(|((((sums, a), b), c), d)| *sums = share.added::<FUSED>(*sums, [a, b, c, d]));
                }
            }
        }
    }
}

impl Share {
    #[inline(always)]
    fn added<const FUSED: bool>(&self, mut sums: [f32; LANES], rows: [&[f32; LANES]; BATCH]) -> [f32; LANES] {
        for (row, weight) in rows.into_iter().zip(self.weights) {
            for lane in 0..LANES {
                sums[lane] = multiply_add::<FUSED>(row[lane], weight, sums[lane]);
            }
        }
        sums
    }
}

struct Across<'a, const FUSED: bool> {
    pixels: &'a [Pair],
    axis: &'a Axis,
    results: &'a mut [Pair],
}

impl<const FUSED: bool> NullaryFnOnce for Across<'_, FUSED> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (at, result) in self.results.iter_mut().enumerate() {
            let (start, weights) = self.axis.at(at);
            let pixels = &self.pixels[start..start + weights.len()];
            // Two sums, so that one addition need not wait for the other.
            let mut sums = [[0.0f32; 8]; 2];
            let (pixel_twos, pixel_rest) = pixels.as_chunks::<2>();
            let (weight_twos, weight_rest) = weights.as_chunks::<2>();
            for (pixels, weights) in pixel_twos.iter().zip(weight_twos) {
                for half in 0..2 {
                    for channel in 0..8 {
                        sums[half][channel] =
                            multiply_add::<FUSED>(pixels[half][channel], weights[half], sums[half][channel]);
                    }
                }
            }
            if let ([pixel], [weight]) = (pixel_rest, weight_rest) {
                for channel in 0..8 {
                    sums[0][channel] = multiply_add::<FUSED>(pixel[channel], *weight, sums[0][channel]);
                }
            }
            for channel in 0..8 {
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
