//! Who is at the other end of a connection, as far as the connection tells.

use std::net::{IpAddr, SocketAddr};

use crate::http::scheme::Scheme;

/// The client of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// What its TLS handshake said; none in the clear.
    pub tls: Option<Handshake>,
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
        Self { address, tls: None }
    }

    /// A client over TLS.
    #[must_use]
    pub const fn secured(address: SocketAddr, server_name: Option<Box<str>>) -> Self {
        Self { address, tls: Some(Handshake { server_name }) }
    }

    /// Its address, without the port.
    #[must_use]
    pub const fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    /// The scheme that it uses.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::Https } else { Scheme::Http }
    }
}
