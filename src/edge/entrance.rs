//! Whose connections are let in: so many of each client, and where a proxy passes them on, those alone that say whose they are.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::net::TcpStream;

use super::{
    handler::Edge,
    limits::{
        address_connections::{AddressConnections, Place},
        proxy_protocol::{self, ProxyError},
    },
};
use crate::{
    config::{self, Networks},
    telemetry::refusals::Refused,
};

/// Whose connections are let in.
#[derive(Debug)]
pub(super) struct Entrance {
    edge: Arc<Edge>,
    addresses: Arc<AddressConnections>,
    trusted_proxies: Networks,
    /// Whether each connection begins with who its client is, and how long that may take.
    header: Option<Duration>,
}

/// Why one was not.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotLetIn {
    #[error("its client has as many connections as it may (edge.max_connections_per_address)")]
    TooMany,
    #[error("only edge.trusted_proxies may connect where edge.proxy_protocol is on")]
    NoProxy,
    #[error(transparent)]
    Header(#[from] ProxyError),
}

impl Entrance {
    pub(super) fn new(edge: Arc<Edge>, limits: &config::Edge) -> Self {
        Self {
            edge,
            addresses: Arc::new(AddressConnections::new(limits.max_connections_per_address)),
            trusted_proxies: limits.trusted_proxies.clone(),
            header: limits.proxy_protocol.then_some(limits.header_timeout.0),
        }
    }

    /// A place for a connection from an address; proxies that are trusted need none.
    pub(super) fn place_on_arrival(&self, client: SocketAddr) -> Result<Option<Place>, NotLetIn> {
        if self.trusted_proxies.contain(client.ip()) {
            return Ok(None);
        }
        if self.header.is_some() {
            return Err(self.refuse(Refused::ProxyHeader, NotLetIn::NoProxy));
        }
        self.place(client).map(Some)
    }

    /// Who the client of a connection is, by its PROXY protocol header where it has one, and that client's place.
    pub(super) async fn told_client(
        &self,
        stream: &mut TcpStream,
        proxy: SocketAddr,
        place: Option<Place>,
    ) -> Result<(SocketAddr, Option<Place>), NotLetIn> {
        let Some(within) = self.header else { return Ok((proxy, place)) };
        match proxy_protocol::read_header(stream, within).await {
            Ok(None) => Ok((proxy, None)),
            Ok(Some(client)) if self.trusted_proxies.contain(client.ip()) => Ok((client, None)),
            Ok(Some(client)) => Ok((client, Some(self.place(client)?))),
            Err(error) => Err(self.refuse(Refused::ProxyHeader, error.into())),
        }
    }

    fn place(&self, client: SocketAddr) -> Result<Place, NotLetIn> {
        let place = self.addresses.enter(client.ip());
        place.ok_or_else(|| self.refuse(Refused::AddressConnections, NotLetIn::TooMany))
    }

    fn refuse(&self, reason: Refused, why: NotLetIn) -> NotLetIn {
        self.edge.metrics.refusals.of(reason).inc();
        why
    }
}
