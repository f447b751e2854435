//! Who is at the other end of a connection, as far as the connection tells.

use std::net::{IpAddr, SocketAddr};

use crate::http::{forwarded::Claim, scheme::Scheme};

/// The client of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// What its TLS handshake said; none in the clear.
    pub tls: Option<Handshake>,
    /// The scheme that the client used towards a trusted proxy, where that says so.
    pub claimed_scheme: Option<Scheme>,
}

/// What is known of a TLS handshake.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// The server name that was asked for (SNI, RFC 6066, 3): lower case, no trailing dot.
    pub server_name: Option<Box<str>>,
}

impl Peer {
    /// A client in the clear.
    #[must_use]
    pub const fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None, claimed_scheme: None }
    }

    /// A client over TLS.
    #[must_use]
    pub const fn secured(address: SocketAddr, server_name: Option<Box<str>>) -> Self {
        Self { address, tls: Some(Handshake { server_name }), claimed_scheme: None }
    }

    /// Its address, without the port.
    #[must_use]
    pub const fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    /// The scheme that it uses.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        match self.claimed_scheme {
            Some(scheme) => scheme,
            None if self.tls.is_some() => Scheme::Https,
            None => Scheme::Http,
        }
    }

    /// The client behind this one, a proxy that is believed. No port of it is known.
    #[must_use]
    pub fn speaking_for(&self, claim: Claim) -> Self {
        let port = if claim.address == self.ip() { self.address.port() } else { 0 };
        let address = SocketAddr::new(claim.address, port);
        Self { address, tls: self.tls.clone(), claimed_scheme: claim.scheme.or(self.claimed_scheme) }
    }
}
