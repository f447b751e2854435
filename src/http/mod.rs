//! The rules of HTTP that the edge follows, as pure functions. Caching (RFC 9111): `cache_control`, `targeted` and `surrogate` (what
//! the origin says, to all or to caches like this one), `request_directives` (what the visitor says), `storability` (what is
//! kept), `freshness` (for how long), `vary` (for whom), `update` (which fields, and what a 304 changes), `invalidation`
//! (what a change drops), `cache_status` (what was done, RFC 9211), `curtail` (where the URL itself ends). Beside it `conditional` and `range` (RFC 9110),
//! `forwarding` (hop-by-hop fields, `Via`, `CDN-Loop`) and `check` (what a request must be to be looked at). `scheme` is how a visitor
//! came, `forwarded` who it is by the word of proxies, `save_data` is a client's wish for fewer bytes; `list`, `date` and `time` are what fields are made of.

pub mod cache_control;
pub mod cache_status;
pub mod check;
pub mod conditional;
pub mod curtail;
pub mod date;
pub mod forwarded;
pub mod forwarding;
pub mod freshness;
pub mod invalidation;
mod list;
pub mod range;
pub mod request_directives;
pub mod save_data;
pub mod scheme;
pub mod storability;
pub mod surrogate;
pub mod targeted;
pub mod time;
pub mod update;
pub mod vary;
