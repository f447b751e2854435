//! What a visitor asks for, as pure functions: `signature` lets signed URLs pass, `target` reads path and query, `options` the
//! transform vocabulary, `presets` the site's own names for it, `negotiate` the `Accept` header; `transform` is the canonical
//! result, `key` names what is cached.

pub mod key;
pub mod negotiate;
pub mod presets;
pub mod signature;
pub mod target;

pub use negotiate::{Candidate, Candidates, negotiate};
pub use presets::{OptionsRefused, Presets};
pub use target::{ImageRequest, SourceRef, Target, parse};

pub use crate::image::{
    Transform,
    options::{self, FormatChoice, OptionError},
    transform,
};
