//! What is done to a picture that has its size: `tone` changes light and colours, `blur` and `sharpen` its sharpness. Each
//! works on sRGB's levels, as the filters of CSS and of image editors do.

mod blur;
mod sharpen;
mod tone;

pub(super) use blur::blur;
pub(super) use sharpen::sharpen;
pub(super) use tone::tone;
