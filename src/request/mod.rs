//! What a visitor asks for, as pure functions: `target` reads path and query, `options` the transform vocabulary,
//! `negotiate` the `Accept` header; `transform` is the canonical result, `key` names what is cached.

pub mod key;
pub mod negotiate;
pub mod options;
pub mod target;
pub mod transform;

pub use negotiate::{Candidate, Candidates, FormatChoice, negotiate};
pub use options::OptionError;
pub use target::{ImageRequest, SourceRef, Target, parse};
pub use transform::Transform;
