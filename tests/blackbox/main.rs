//! The running program as visitors, origins and operators meet it: each test starts it with a configuration of its own,
//! between real clients and a real origin, over real sockets. A module a topic; `harness` is what they are made with.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, also in what it shares with others"
)]

mod harness;

mod account_life;
mod admin;
mod bad_answers;
mod cache_lifetime;
mod cache_status;
mod checklist;
mod client_limits;
mod coalescing;
mod coalescing_faults;
mod crash;
mod demo;
mod disk;
mod egress;
mod essential;
mod failures;
mod fairness;
mod first_view;
mod followers;
mod formats;
mod forwarding;
mod freshness;
mod h2_floods;
mod h2_frames;
mod h2_smuggling;
mod hostile;
mod https;
mod invalidation;
mod kills;
mod ledger_faults;
mod memory;
mod operations;
mod operations_on_pictures;
mod optimize;
mod options;
mod passthrough;
mod presets;
mod proxies;
mod purge;
mod ranges;
mod rebinding;
mod refinement;
mod relayed;
mod requests;
mod responses;
mod rfc5861;
mod rfc9111_lifetimes;
mod rfc9111_reuse;
mod rfc9111_storage;
mod routing;
mod sharing;
mod signed_urls;
mod silent_names;
mod slow_clients;
mod smuggling;
mod sources;
mod ssrf;
mod stale;
mod targeted;
mod tls;
mod validation;
mod variant_charges;
mod vary;
