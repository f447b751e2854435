//! What a client may take: of time while bytes move (`pace`, kept to on a socket by `paced_io`, and of HTTP/2's streams by
//! `streams`, for which `watched_io` counts; `alarm` wakes who waits too long), of connections (`address_connections`), of
//! requests (`rate` is the rule, `buckets` what is remembered); `network` says who counts as one client, and `proxy_protocol`
//! whose a connection is that somebody passed on. `framing` tells requests whose length can be read in two ways.

pub(super) mod address_connections;
pub(super) mod alarm;
pub mod buckets;
pub(super) mod framing;
mod network;
pub(super) mod pace;
pub(super) mod paced_io;
pub mod proxy_protocol;
mod rate;
pub(super) mod streams;
pub(super) mod watched_io;

use std::time::{Duration, Instant};

use self::buckets::AddressBuckets;
use super::{handler::Edge, peer::Peer, problem::Problem, sites::Site};
use crate::{coalesce::budget::Budget, config, telemetry::refusals::Refused};

/// Bodies of requests that are read before their origin is asked, together.
const UPLOAD_BYTES: u64 = 64 * 1024 * 1024;

/// What holds for all requests together.
#[derive(Debug)]
pub struct Limits {
    /// How often each client may ask; none for no bound.
    pub(super) addresses: Option<AddressBuckets>,
    /// Memory of bodies that are read before their origin is asked. At the bound less is read.
    pub(super) uploads: Budget,
    /// A whole request, from its head to the end of its response.
    pub(super) request_timeout: Duration,
}

impl Limits {
    /// As configured.
    #[must_use]
    pub fn new(edge: &config::Edge) -> Self {
        let requests = edge.limits;
        Self {
            addresses: AddressBuckets::new(requests.requests_per_second_per_address, requests.burst_per_address),
            uploads: Budget::new(UPLOAD_BYTES),
            request_timeout: edge.request_timeout.0,
        }
    }
}

/// Whether a client may ask, as often as it does.
pub(super) fn admit_client(edge: &Edge, peer: &Peer, now: Instant) -> Result<(), Problem> {
    let Some(addresses) = &edge.limits.addresses else { return Ok(()) };
    addresses.take(peer.ip(), now).map_err(|wait| too_many(edge, Refused::AddressRate, wait))
}

/// Whether a site may be asked. Who is refused is not the site's: nothing is counted that somebody pays for.
pub(super) fn admit_to_site(edge: &Edge, site: &Site, now: Instant) -> Result<(), Problem> {
    let Some(requests) = &site.requests else { return Ok(()) };
    requests.take(now).map_err(|wait| too_many(edge, Refused::SiteRate, wait))
}

fn too_many(edge: &Edge, reason: Refused, wait: Duration) -> Problem {
    edge.metrics.refusals.of(reason).inc();
    Problem::TooManyRequests { wait }
}
