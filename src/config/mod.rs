//! Typed, validated configuration. `load` reads a TOML file and the environment into [`Config`]; `schema` says what may
//! stand in it, with every default; `quality` how its keys on quality add up; `site` what a site must be, `plans` where the plan catalogue comes from; `tls` is `[edge.tls]`; `units` reads sizes
//! and durations. A value that passed [`load`] is trusted from there on.

mod load;
mod plans;
mod quality;
mod schema;
mod site;
mod tls;
pub mod units;

pub use load::{ConfigError, from_file, from_origin};
pub use plans::PlansError;
pub use quality::{DefaultQuality, Qualities, TARGETS};
pub use schema::{
    AccountConfig, Admin, Billing, Cache, Config, Dev, Edge, Essential, EssentialDelivery, FirstView, HttpsUse, Images,
    Log, LogFormat, Origin, Passthrough, Plans, SiteConfig, Storage, Tariff,
};
pub use site::{Cause, MAX_BYTES_PER_CREDIT, Refusal, Taken, check_site};
pub use tls::{CertificateFileError, CertificateFiles, Tls, TlsVersion};
pub use units::{ByteSize, Span};
