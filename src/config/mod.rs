//! Typed, validated configuration. `load` reads a TOML file and the environment into [`Config`]; `schema` says what may
//! stand in it, with every default; `quality` how its keys on quality add up; `site` what a site must be, `signing` what its URLs are
//! signed with, `plans` where the plan catalogue comes from; `tls` is `[edge.tls]`, `acme` `[edge.tls.acme]`; `units` reads sizes
//! and durations. A value that passed [`load`] is trusted from there on.

mod acme;
mod load;
mod networks;
mod plans;
mod quality;
mod schema;
mod signing;
mod site;
mod tls;
pub mod units;

pub use acme::{Acme, ChallengeKind, ExternalAccountError};
pub use load::{ConfigError, from_file, from_origin};
pub use networks::Networks;
pub use plans::PlansError;
pub use quality::{DefaultQuality, Qualities, TARGETS};
pub use schema::{
    AccountConfig, Admin, Billing, Cache, Config, Dev, Edge, Essential, EssentialDelivery, FirstView, HttpsUse, Images,
    Log, LogFormat, Origin, Passthrough, Plans, RequestLimits, SiteConfig, Storage, Tariff,
};
pub use signing::{MAX_SIGNING_KEYS, SigningKey};
pub use site::{Cause, MAX_BYTES_PER_CREDIT, Refusal, Taken, check_site};
pub use tls::{CertificateFileError, CertificateFiles, Tls, TlsVersion};
pub use units::{ByteSize, Span};
