//! Between sRGB's levels and linear light (IEC 61966-2-1). Averaging is only right in light: levels are spaced by how eyes
//! see, and mixing them darkens every edge. Light is a number from 0 to 1; both ways are tables.

use std::sync::LazyLock;

/// What each of the 256 levels is in light.
pub(crate) static LIGHT: LazyLock<[f32; 256]> =
    LazyLock::new(|| std::array::from_fn(|level| light(level as f64 / 255.0)));

/// Light of a level from 0 to 255, without a table, so that many levels can be computed side by side: the curve is a polynomial,
/// which is nowhere farther from it than 0.012 of a level. `multiply_add` is `a × b + c`.
#[inline(always)]
pub(crate) fn light_of(level: f32, multiply_add: impl Fn(f32, f32, f32) -> f32) -> f32 {
    const POWERS: [f32; 6] = [0.085_596_68, -0.303_310_62, 0.663_707_8, 0.520_614_15, 0.032_572_25, 0.000_924_207_1];
    let part = level * (1.0 / 255.0);
    let curve = POWERS[1..].iter().fold(POWERS[0], |sum, power| multiply_add(sum, part, *power));
    let line = part * (1.0 / 12.92);
    if part <= 0.040_45 { line } else { curve }
}

/// Steps of the ways back: of the light's square root, which spreads the dark end, where levels lie close together. No step is
/// wider than a tenth of a level.
const STEPS: usize = 4_096;

/// The same for 16 bits: no step is wider than two of 65,536 levels.
const FINE_STEPS: usize = 65_536;

static LEVELS: LazyLock<Box<[u8; STEPS]>> = LazyLock::new(|| table(f64::from(u8::MAX)));

static FINE_LEVELS: LazyLock<Box<[u16; FINE_STEPS]>> = LazyLock::new(|| table(f64::from(u16::MAX)));

/// A table of levels up to `highest`, by the square root of light.
fn table<T: TryFrom<u32> + Copy + Default, const N: usize>(highest: f64) -> Box<[T; N]> {
    let mut levels = Box::new([T::default(); N]);
    for (step, level) in levels.iter_mut().enumerate() {
        let root = step as f64 / (N - 1) as f64;
        // Between 0 and `highest`, which the type holds.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let rounded = (level_of(root * root) * highest).round() as u32;
        *level = T::try_from(rounded).unwrap_or_default();
    }
    levels
}

/// A level, from 0 to 1, in light.
fn light(level: f64) -> f32 {
    let light = if level <= 0.040_45 { level / 12.92 } else { ((level + 0.055) / 1.055).powf(2.4) };
    // What is lost is far below a level.
    #[expect(clippy::cast_possible_truncation)]
    let light = light as f32;
    light
}

/// Light as a level from 0 to 1.
fn level_of(light: f64) -> f64 {
    if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 }
}

/// The ways from light to levels, taken out of their cells once for many pixels.
#[derive(Clone, Copy)]
pub(crate) struct Levels(&'static [u8; STEPS]);

impl Levels {
    pub(crate) fn get() -> Self {
        Self(&LEVELS)
    }

    /// The nearest level to the light at a step.
    #[inline(always)]
    pub(crate) fn at(self, step: u32) -> u8 {
        self.0[step as usize % STEPS]
    }
}

/// Which step of [`Levels`] light is at; what is outside 0 to 1 is cut.
#[inline(always)]
pub(crate) fn step(light: f32) -> u32 {
    step_of(light, STEPS)
}

/// The same in 16 bits.
#[derive(Clone, Copy)]
pub(crate) struct FineLevels(&'static [u16; FINE_STEPS]);

impl FineLevels {
    pub(crate) fn get() -> Self {
        Self(&FINE_LEVELS)
    }

    /// The nearest of 65,536 levels; light outside 0 to 1 is cut.
    #[inline(always)]
    pub(crate) fn of(self, light: f32) -> u16 {
        self.0[step_of(light, FINE_STEPS) as usize % FINE_STEPS]
    }
}

#[inline(always)]
fn step_of(light: f32, steps: usize) -> u32 {
    // In floating point up to here, the last bits of a number are its whole part: it is rounded and read without a conversion
    // that would have to look at each number's range.
    const WHOLE: f32 = (1u32 << 23) as f32;
    // `max` first: it makes 0 of what is not a number.
    #[expect(clippy::manual_clamp, reason = "clamp keeps what is not a number")]
    let root = light.max(0.0).min(1.0).sqrt();
    // Exact: steps are far fewer than 2^23.
    #[expect(clippy::cast_precision_loss)]
    let last = (steps - 1) as f32;
    (root * last + WHOLE).to_bits() & 0x007F_FFFF
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_comes_back_from_light() {
        let levels = Levels::get();
        let fine = FineLevels::get();
        for level in 0..=u8::MAX {
            let light = LIGHT[usize::from(level)];
            assert_eq!(levels.at(step(light)), level);
            assert!(fine.of(light).abs_diff(u16::from(level) * 257) <= 1, "{level}");
        }
    }

    #[test]
    fn the_polynomial_is_the_curve() {
        for level in 0..=u8::MAX {
            let is = light_of(f32::from(level), |a, b, c| a * b + c);
            let wanted = LIGHT[usize::from(level)];
            let next = LIGHT.get(usize::from(level) + 1).map_or(wanted * 1.01, |next| *next);
            assert!((is - wanted).abs() < (next - wanted) * 0.02, "{level}: {is} {wanted}");
        }
    }

    #[test]
    fn light_between_two_levels_becomes_the_nearer_one() {
        let levels = Levels::get();
        for level in 0..u8::MAX {
            let between = |part: f64| light((f64::from(level) + part) / 255.0);
            assert_eq!(levels.at(step(between(0.4))), level);
            assert_eq!(levels.at(step(between(0.6))), level + 1);
        }
    }

    #[test]
    fn what_is_no_light_is_cut() {
        let levels = Levels::get();
        assert_eq!([-1.0, f32::NAN, 7.0, f32::INFINITY].map(|light| levels.at(step(light))), [0, 0, 255, 255]);
    }
}
