//! Lightmeter's image engine: bytes in, bytes out, no I/O and no clock but for telling how long its stages took. `probe` reads a
//! header before anything is allocated, `geometry` decides sizes and cuts, `cost` what a job will take, and `develop` runs
//! the stages: `decode`, `resize`, `orientation`, `color`, `encode`. `format` tells what bytes are and what can be made of
//! them, `animation` does it for pictures that move, `why_original` why something is left as it is.

mod adjust;
mod analysis;
mod animation;
#[cfg(feature = "libaom")]
mod aom;
mod cancel;
mod color;
pub mod cost;
mod decode;
mod develop;
mod encode;
mod error;
mod exif;
pub mod format;
pub mod geometry;
mod ground;
mod light;
pub mod metadata;
pub mod options;
pub mod orientation;
mod overlay;
mod picture;
mod probe;
pub mod quality;
mod render;
mod resample;
mod riff;
mod settings;
mod steps;
#[cfg(test)]
mod tests;
pub mod transform;
pub mod why_original;

pub use analysis::{Analysis, needs_analysis};
pub use animation::moves;
pub use cancel::Cancel;
pub use cost::{Cost, cost};
pub use develop::{Developed, StageTimes, develop, finish, refine, useful_threads};
pub use error::ImageError;
pub use probe::{Probe, probe};
pub use render::{Rendered, render, render_one};
pub use settings::{AvifEncoder, Effort, Limits, Settings};
pub use steps::Extras;
pub use transform::Transform;
