//! Cuts a part out of a picture and brings it to its size while its rows come: Lanczos in linear light and premultiplied
//! alpha. What is held is a few rows of sums and the result, however large the source: each row is added at once to the
//! results that it takes part in (`axis`), and a result that has all its rows is finished across.

mod axis;
mod kernels;

use self::{
    axis::Axis,
    kernels::{BATCH, Kernels, LANES, Pair, Share},
};
use crate::{
    color::Converter,
    geometry::Crop,
    light::Levels,
    picture::{Channels, Picture, byte_count},
};

/// A picture on its way to its size.
pub(crate) struct Resample {
    channels: Channels,
    across: Axis,
    down: Axis,
    /// The part of a source row that is used, in samples.
    used: std::ops::Range<usize>,
    /// Source rows seen.
    seen: usize,
    /// Results finished.
    finished: usize,
    /// The sums of results that are not finished, in turn.
    sums: Vec<Vec<f32>>,
    /// Rows in light, gathered to be added together.
    batch: [Vec<f32>; BATCH],
    batched: usize,
    shares: Vec<Share>,
    /// Two rows of finished sums, and what they become across.
    pixels: Vec<Pair>,
    results: Vec<Pair>,
    /// One row of these.
    result: Vec<[f32; 4]>,
    steps: Vec<[u32; 4]>,
    made: Vec<u8>,
    finish: Finish,
    kernels: Kernels,
}

/// What becomes of a finished row.
enum Finish {
    /// It is sRGB.
    Srgb(Levels),
    /// Its colours are converted.
    Converted(Box<Converter>),
}

/// Whether more rows are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Yes.
    More,
    /// The result is complete.
    Nothing,
}

impl Resample {
    /// `source` is the size of what comes, `crop` lies in its pixels. `converter` makes sRGB of colours that are not.
    pub(crate) fn new(
        source: (u32, u32),
        channels: Channels,
        crop: Crop,
        size: (u32, u32),
        converter: Option<Converter>,
    ) -> Self {
        let across = Axis::new(source.0 as usize, crop.left, crop.width, size.0 as usize);
        let down = Axis::new(source.1 as usize, crop.top, crop.height, size.1 as usize);
        let (first, end) = across.span();
        let count = channels.count();
        let samples = ((end - first) * count).next_multiple_of(LANES);
        Self {
            channels,
            used: first * count..end * count,
            seen: 0,
            finished: 0,
            // One more: results are finished in pairs, so one may wait for the next.
            sums: vec![vec![0.0; samples]; down.overlap(BATCH) + 1],
            batch: std::array::from_fn(|_| vec![0.0; samples]),
            batched: 0,
            shares: Vec::new(),
            pixels: vec![[0.0; 8]; end - first],
            results: vec![[0.0; 8]; size.0 as usize],
            result: vec![[0.0; 4]; size.0 as usize],
            steps: vec![[0; 4]; size.0 as usize],
            made: Vec::with_capacity(byte_count(size.0, size.1, count)),
            finish: converter.map_or(Finish::Srgb(Levels::get()), |converter| Finish::Converted(Box::new(converter))),
            kernels: Kernels::new(),
            across: across.shifted(first),
            down,
        }
    }

    /// Takes the next row of the source: levels, not premultiplied.
    pub(crate) fn push(&mut self, row: &[u8]) -> Needs {
        let at = self.seen;
        self.seen += 1;
        let (first, end) = self.down.span();
        if at >= end {
            return Needs::Nothing;
        }
        if at < first {
            return Needs::More;
        }
        let used = row.get(self.used.clone()).unwrap_or_default();
        let light = &mut self.batch[self.batched];
        match self.channels {
            Channels::Rgb => self.kernels.opaque_light(used, light),
            Channels::Rgba => self.kernels.premultiplied_light(used, light),
        }
        self.batched += 1;
        if self.batched == BATCH || self.seen == end {
            self.add_batch();
        }
        if self.seen == end { Needs::Nothing } else { Needs::More }
    }

    /// Adds the rows that have been gathered to all results that they take part in, and finishes those that are complete.
    fn add_batch(&mut self) {
        let start = self.seen - self.batched;
        self.shares.clear();
        for result in self.finished..self.down.len() {
            let (first, weights) = self.down.at(result);
            if first >= self.seen {
                break;
            }
            if first + weights.len() <= start {
                // It waits to be finished.
                continue;
            }
            let weight = |row: usize| (start + row).checked_sub(first).and_then(|tap| weights.get(tap));
            self.shares.push(Share {
                sum: result % self.sums.len(),
                // What is left of the batch before has no weight.
                weights: std::array::from_fn(|row| if row < self.batched { *weight(row).unwrap_or(&0.0) } else { 0.0 }),
                begins: first >= start,
            });
        }
        self.kernels.add_rows(&self.batch, &self.shares, &mut self.sums);
        self.batched = 0;
        loop {
            match self.complete() {
                0 => return,
                1 if self.finished + 1 < self.down.len() => return,
                complete => self.finish(complete),
            }
        }
    }

    /// The picture; `None` where rows are missing.
    pub(crate) fn picture(self) -> Option<Picture> {
        let size = (u32::try_from(self.across.len()).ok()?, u32::try_from(self.down.len()).ok()?);
        Picture::new(size.0, size.1, self.channels, self.made)
    }

    /// How many of the next two results have all their rows.
    fn complete(&self) -> usize {
        let next = self.down.starts[self.finished..].iter().take(2);
        next.take_while(|start| **start + self.down.taps <= self.seen).count()
    }

    /// Finishes two results, or the last one alone.
    fn finish(&mut self, count: usize) {
        let turn = |result: usize| &self.sums[result % self.sums.len()];
        let (upper, lower) = (turn(self.finished), turn(self.finished + count - 1));
        match self.channels {
            Channels::Rgb => {
                let rows = upper.as_chunks::<3>().0.iter().zip(lower.as_chunks::<3>().0);
                for (pair, ([r, g, b], [s, h, c])) in self.pixels.iter_mut().zip(rows) {
                    *pair = [*r, *g, *b, 1.0, *s, *h, *c, 1.0];
                }
            }
            Channels::Rgba => {
                let rows = upper.as_chunks::<4>().0.iter().zip(lower.as_chunks::<4>().0);
                for (pair, ([r, g, b, a], [s, h, c, d])) in self.pixels.iter_mut().zip(rows) {
                    *pair = [*r, *g, *b, *a, *s, *h, *c, *d];
                }
            }
        }
        self.kernels.across(&self.pixels, &self.across, &mut self.results);
        for row in 0..count {
            for (result, pair) in self.result.iter_mut().zip(&self.results) {
                *result = pair.as_chunks().0[row];
            }
            self.write_result();
        }
        self.finished += count;
    }

    fn write_result(&mut self) {
        if self.channels == Channels::Rgba {
            self.result.iter_mut().for_each(unpremultiply);
        }
        match &mut self.finish {
            Finish::Srgb(levels) => {
                self.kernels.steps(&self.result, &mut self.steps);
                write_levels(&self.steps, &self.result, self.channels, *levels, &mut self.made);
            }
            Finish::Converted(converter) => converter.convert(&self.result, self.channels, &mut self.made),
        }
    }
}

/// Gives a colour back what its alpha had hidden of it.
fn unpremultiply(pixel: &mut [f32; 4]) {
    // The filter's lobes may leave the range.
    let alpha = pixel[3].clamp(0.0, 1.0);
    let whole = if alpha > 0.0 { alpha.recip() } else { 0.0 };
    *pixel = [pixel[0] * whole, pixel[1] * whole, pixel[2] * whole, alpha];
}

fn write_levels(steps: &[[u32; 4]], pixels: &[[f32; 4]], channels: Channels, levels: Levels, made: &mut Vec<u8>) {
    let color = |[red, green, blue, _]: &[u32; 4]| [levels.at(*red), levels.at(*green), levels.at(*blue)];
    match channels {
        Channels::Rgb => made.extend(steps.iter().flat_map(color)),
        Channels::Rgba => {
            for (steps, [_, _, _, alpha]) in steps.iter().zip(pixels) {
                let [red, green, blue] = color(steps);
                made.extend([red, green, blue, alpha_level(*alpha)]);
            }
        }
    }
}

/// Alpha from 0 to 1 as a level.
pub(crate) fn alpha_level(alpha: f32) -> u8 {
    // Between 0 and 255 by `clamp`.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let level = (alpha.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
    level
}

/// Cuts and resizes a picture that is there as a whole.
#[cfg(test)]
pub(crate) fn resample(picture: &Picture, crop: Crop, size: (u32, u32)) -> Option<Picture> {
    let mut rows = Resample::new((picture.width, picture.height), picture.channels, crop, size, None);
    for row in picture.pixels.chunks_exact(picture.width as usize * picture.channels.count()) {
        if rows.push(row) == Needs::Nothing {
            break;
        }
    }
    rows.picture()
}

#[cfg(test)]
mod tests;
