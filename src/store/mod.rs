//! The ledger's store: SQLite in WAL mode. What [`crate::billing`] decides is kept here, every change in one
//! transaction: accounts, sites, balances and transfers, what was counted and charged, who may ask, and who did what. One
//! writer at a time, many readers.

mod accounts;
mod allocations;
mod audit;
mod books;
mod charges;
mod counted;
mod counters;
mod error;
#[cfg(test)]
mod fixture;
mod grants;
mod keys;
mod leases;
mod once;
mod open;
mod payer;
mod payers;
mod periods;
mod sites;
#[cfg(test)]
mod tests;
mod transfers;
mod usage;
mod verify;
mod views;
mod windows;

pub use audit::{AuditEvent, AuditFilter, AuditView, MAX_AGE, MAX_EVENTS};
pub use charges::{Charged, VariantCharge, price};
pub use counters::{Counted, Posted};
pub use error::LedgerError;
pub use grants::Grant;
pub use keys::{ApiKey, KeyHash};
pub use once::Once;
pub use open::{Durability, Ledger};
pub use sites::NewSite;
pub use transfers::TransferFilter;
pub use usage::{Step, Usage, UsagePoint};
pub use verify::{Disagreement, Verification};
pub use views::{AccountView, Page, SiteView, TransferView};
