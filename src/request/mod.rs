//! What a visitor asks for, as pure functions: `target` reads path and query, `options` the transform vocabulary,
//! `negotiate` the `Accept` header; `transform` is the canonical result, `key` names what is cached.

pub mod key;
pub mod negotiate;
pub mod target;

pub use negotiate::{Candidate, Candidates, negotiate};
pub use target::{ImageRequest, SourceRef, Target, parse};

pub use crate::image::{
    Transform,
    options::{self, FormatChoice, OptionError},
    transform,
};
