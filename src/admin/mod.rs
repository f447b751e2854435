//! The side that the operator sees: `/metrics` for Prometheus, `/healthz` while the process lives, `/readyz` while it takes
//! requests, and the API under `/api/v1`, the only one of them that asks for a token. It has a listener of its own.
//!
//! `api` lists the API's routes; the handlers of a route stand in the file of its name. `auth` says who asks, `input` and
//! `idempotency` read what is asked, `problem` answers what is refused, `openapi` describes it all.

mod accounts;
mod allocations;
mod api;
mod audit;
mod auth;
mod clock;
mod credits;
mod estimate;
mod idempotency;
mod input;
mod keys;
mod openapi;
mod plans;
mod problem;
mod purge;
mod settings;
mod shapes;
mod sites;
mod transfers;
mod usage;

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{net::TcpListener, sync::watch};

use crate::{
    cache::tiers::Cache,
    develop::{Sources, pool::Pool},
    meter::Meter,
    relay::Relay,
    telemetry::metrics::{Metrics, Readings},
    tls::shelf::Shelf,
};

pub use api::Api;
pub use auth::{OperatorToken, TokenError};

/// What is looked at, and worked on.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// What is stored.
    pub cache: Arc<Cache>,
    /// Originals on their way in.
    pub sources: Arc<Sources>,
    /// What passes through, on its way in.
    pub relay: Arc<Relay>,
    /// Codec work.
    pub pool: Arc<Pool>,
    /// Metering.
    pub meter: Arc<Meter>,
    /// Certificates.
    pub shelf: Arc<Shelf>,
    /// True once the process stops.
    pub stop: watch::Receiver<bool>,
    /// What the API works on.
    pub api: Api,
}

impl Admin {
    /// Serves as long as it is polled: while the edge drains, readiness and metrics are looked at most.
    ///
    /// # Errors
    /// What the system says where the listener fails.
    pub async fn run(self, listener: TcpListener) -> std::io::Result<()> {
        axum::serve(listener, self.router()).await
    }

    fn router(self) -> Router {
        let api = self.api.clone().router();
        Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .with_state(self)
            .merge(api)
            .method_not_allowed_fallback(problem::no_such_method)
    }

    fn readings(&self) -> Readings {
        let (memory, disk) = (self.cache.memory_usage(), self.cache.disk_usage());
        Readings {
            memory: (memory.entries, memory.bytes),
            disk: (disk.entries, disk.bytes),
            disk_evictions: disk.evictions,
            disk_corrupt: disk.corrupt,
            disk_refused: self.cache.disk_refused(),
            is_disk_known: self.cache.is_disk_known(),
            queue_depth: self.pool.waiting(),
            queue_sites: self.pool.waiting_sites(),
            codec_bytes: self.pool.memory_in_use(),
            original_bytes: self.sources.buffers_in_use(),
            passing_bytes: self.relay.buffers_in_use(),
            meter: self.meter.readings(),
            certificates: self.shelf.expiries(),
        }
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    match admin.metrics.render(&admin.readings()) {
        Ok(text) => ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn ready(State(admin): State<Admin>) -> Response {
    if *admin.stop.borrow() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response()
    } else if admin.meter.posting.is_failing() {
        let problem = "the ledger cannot be used: images are served, usage is kept and posted later\n";
        (StatusCode::SERVICE_UNAVAILABLE, problem).into_response()
    } else {
        "ready\n".into_response()
    }
}

#[cfg(test)]
mod tests;
