//! Typed, validated configuration. `load` reads a TOML file and the environment into [`Config`]; `schema` says what may
//! stand in it, with every default; `units` reads sizes and durations. A value that passed [`load`] is trusted from there on.

mod load;
mod schema;
pub mod units;

pub use load::{ConfigError, from_file, from_origin};
pub use schema::{
    AccountConfig, Admin, AvifEncoder, Cache, Config, Dev, Edge, Essential, FirstView, Images, Log, LogFormat, Origin,
    SiteConfig, Storage, Tariff,
};
