//! The money rules (`billing.md`), pure: what usage costs, which credits pay for it, when they come and when they end, and
//! what a site may do with what is left. No clock, no store, nothing of the rest of the program: [`crate::store`] keeps what
//! these rules decide, [`crate::meter`] brings them the usage.

pub mod allocation;
pub mod amount;
pub mod entitlement;
pub mod id;
pub mod lease;
pub mod ledger;
pub mod period;
pub mod plan;
pub mod tariff;
pub mod window;

pub use allocation::{Allocation, NotFree};
pub use amount::{AmountError, Microcredits};
pub use entitlement::Entitlement;
pub use id::{AccountId, MAX_ID_BYTES, SiteId};
pub use ledger::{Balance, Kind, LedgerAccount, Reason, Shortfall, Transfer};
pub use period::Period;
pub use plan::{Catalogue, Plan};
pub use tariff::{BytesPerCredit, Component, Tariff};
