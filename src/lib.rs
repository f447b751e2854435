//! Lightmeter: a self-hosted real-time image-optimization CDN edge proxy.
//!
//! `ARCHITECTURE.md` shows the house in one page; `edge::handler` is the function to read first. The rules are pure: `http`,
//! `request` and `image` do no I/O and read no clock, and `config` reads only the files that it is made of. Around them, `edge`
//! serves visitors, `develop` turns originals into variants, `relay` caches what passes through, `coalesce` does once what many
//! want at the same moment, `origin` fetches, `cache` stores, `tls` has the certificates, `acme` orders them, `admin` and
//! `telemetry` show what goes on. `clock` tells all of them the time. `app` puts the parts together, `cli` starts them.

pub mod acme;
pub mod admin;
pub mod app;
pub mod billing;
pub mod cache;
pub mod cli;
pub mod clock;
pub mod coalesce;
pub mod config;
pub mod develop;
pub mod directory;
pub mod edge;
pub mod http;
pub mod meter;
pub mod origin;
pub mod relay;
pub mod request;
pub mod store;
pub mod telemetry;
pub mod tls;

pub use lightmeter_image as image;
