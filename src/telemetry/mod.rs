//! What an operator sees: `metrics` for Prometheus, `log` for lines, `outcome` for what became of each request,
//! `refusals` for what was refused of clients that took too much.

pub mod acme;
pub mod billing;
pub mod log;
pub mod metrics;
pub mod outcome;
pub mod refusals;
pub mod tls;
