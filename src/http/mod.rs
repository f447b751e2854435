//! The rules of HTTP that the edge follows, as pure functions: `cache_control` and `freshness` (RFC 9111), `conditional` and
//! `range` (RFC 9110), `cache_status` (RFC 9211), `forwarding` (hop-by-hop fields, `Via`, `CDN-Loop`), `check` (what a
//! request must be to be looked at). `save_data` is a client's wish for fewer bytes,
//! `time` the clock's value.

pub mod cache_control;
pub mod cache_status;
pub mod check;
pub mod conditional;
pub mod forwarding;
pub mod freshness;
pub mod range;
pub mod save_data;
pub mod time;
