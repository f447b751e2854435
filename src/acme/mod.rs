//! Certificates on demand (ACME, RFC 8555): the first handshake for a name that a site lists orders one, and it is renewed as
//! long as the site lists the name. `issuer` is what handshakes ask; `eligible` says which names may be ordered for, `ask` asks
//! where that is somebody else's to say, `schedule` when something is done, `table` what is under way; `order` is one
//! order, `account` who orders, `store` and `posted` what nodes that share a directory find in it.

pub mod account;
pub mod ask;
pub mod blocking;
pub mod eligible;
pub mod issuer;
pub mod name;
pub mod order;
pub mod posted;
pub mod proof;
pub mod schedule;
pub mod store;
pub mod table;
