//! Step 7 of the request's way: from an original to a variant, once for all who want it. `sources` gets originals (`fill` is
//! one on its way in, `direct` one that may not be kept), `flights` lets many wait for one piece of work, `pool` runs the
//! codecs under their budget, `variants` decides what is made and stores it, `refine` makes it again, smaller, when the
//! machine is idle.

pub mod direct;
pub mod fill;
pub mod flights;
pub mod pool;
pub mod refine;
pub mod sources;
pub mod variants;

pub use sources::{Obtained, SourceSpec, Sources, StoredSource};
pub use variants::{Developed, Developer, Job, Origination};
