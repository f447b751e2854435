//! Certificates on demand, with a real certificate authority (Debian's pebble) and real handshakes, on loopback. Ignored where
//! all tests are run, as pebble may not be there; `make acme` installs it and runs them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod authority;
#[path = "../blackbox/harness/mod.rs"]
#[allow(dead_code, unused_imports, reason = "other tests use the rest of it")]
mod harness;
mod visitor;
mod world;

mod challenges;
mod names;
mod nodes;
mod renewal;
mod trouble;
