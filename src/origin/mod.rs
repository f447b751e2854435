//! Where originals come from. `fetch` asks origins, one hop at a time, through `client`; `url_guard` says which URLs it may ask
//! for, `address` which addresses it may connect to, `own` which of them are the edge itself, and `resolve` holds every connection
//! to that; `lookups` bounds what names may take, `places` the requests under way; `error` is why there was no answer.

pub mod address;
mod client;
pub mod error;
pub mod fetch;
pub mod lookups;
pub mod own;
pub mod places;
pub mod resolve;
mod upload;
pub mod url_guard;
