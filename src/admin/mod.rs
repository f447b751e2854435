//! The side that the operator sees: `/metrics` for Prometheus, `/healthz` while the process lives, `/readyz` while it takes
//! requests. It has a listener of its own.

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
    telemetry::metrics::{Metrics, Readings},
};

/// What is looked at.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// What is stored.
    pub cache: Arc<Cache>,
    /// Originals on their way in.
    pub sources: Arc<Sources>,
    /// Codec work.
    pub pool: Arc<Pool>,
    /// True once the process stops.
    pub stop: watch::Receiver<bool>,
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
        Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .with_state(self)
    }

    fn readings(&self) -> Readings {
        let (memory, disk) = (self.cache.memory_usage(), self.cache.disk_usage());
        Readings {
            memory: (memory.entries, memory.bytes),
            disk: (disk.entries, disk.bytes),
            disk_evictions: disk.evictions,
            disk_corrupt: disk.corrupt,
            queue_depth: self.pool.waiting(),
            codec_bytes: self.pool.memory_in_use(),
            original_bytes: self.sources.buffers_in_use(),
        }
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    match admin.metrics.render(admin.readings()) {
        Ok(text) => ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn ready(State(admin): State<Admin>) -> Response {
    if *admin.stop.borrow() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response()
    } else {
        "ready\n".into_response()
    }
}
