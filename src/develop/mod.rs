//! Step 6 of the request's way: from an original to a variant, once for all who want it. `sources` gets originals (`intake`
//! takes one in, `direct` is one that may not be kept, `facts` what its fields say, `remembered` that there is none), `pool`
//! runs the codecs, `line` says whose turn it is there, `renders` decodes once for all who want something of a source at the same moment, `sizes` bounds how many there are of one, `variants`
//! decides what is made and stores it, `refine` makes it again, smaller, when the machine is idle.

pub mod direct;
mod facts;
mod intake;
mod line;
pub mod pool;
pub mod refine;
pub mod remembered;
pub mod renders;
pub mod sizes;
pub mod sources;
pub mod variants;

pub use intake::read_head;
pub use sources::{Obtained, SourceFill, SourceSpec, Sources, StoredSource};
pub use variants::{Developed, Developer, Job, Origination};
