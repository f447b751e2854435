//! What an operator sees: `metrics` for Prometheus, `log` for lines, `outcome` for what became of each request.

pub mod billing;
pub mod log;
pub mod metrics;
pub mod outcome;
pub mod tls;
