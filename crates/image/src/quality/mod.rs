//! Quality that is even: `aim` is the way in. `features` looks at a picture, `content` tells what kind it is, `way` how that is
//! best kept; `predict` foretells the setting for a score, `measure` scores what came of it, and `correct` tells the next one.
//! `specimen` opens all that for calibrating.

mod aim;
mod content;
mod correct;
mod features;
pub(crate) mod measure;
mod predict;
pub mod specimen;
mod way;

pub use aim::Measured;
pub(crate) use aim::{Aim, Order, aim};
pub use content::Content;
pub use correct::TOLERANCE;
pub use predict::INPUTS;

/// The score that is aimed at where nobody says another.
pub const DEFAULT_TARGET: u8 = 72;
