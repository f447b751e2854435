//! What is kept: `object` says what is cached of images and `response` of what passes through, `key` names it, `tiers` is the
//! cache as the edge sees it, memory over `disk`; `purge` is how what is cached is declared stale or gone.
//! Whatever goes wrong in here is a miss: nothing is served that is not what was stored, and nothing that is lost matters.

pub mod disk;
pub mod key;
pub mod object;
pub mod purge;
pub mod response;
#[cfg(test)]
mod small_disk;
pub mod tiers;
pub mod turns;
