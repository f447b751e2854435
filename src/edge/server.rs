//! Accepting: connections are taken up to a limit, from any number of listeners, and let finish their work when the server
//! stops. What becomes of one is `connection`'s.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};

use super::{
    connection::{Connection, Connections},
    entrance::Entrance,
    handler::Edge,
    limits::address_connections::Place,
    peer::Peer,
};
use crate::{
    config,
    http::scheme::Scheme,
    telemetry::tls::TlsMetrics,
    tls::acceptor::{Acceptor, Secured},
};

/// How long accepting pauses when the system has no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the system holds of a response that it has not sent yet. More would only say later that a client takes nothing.
const UNSENT_BYTES: u32 = 64 * 1024;

/// Where visitors come in.
#[derive(Debug)]
pub struct Listener {
    /// The socket, bound.
    pub socket: TcpListener,
    /// What is spoken there.
    pub scheme: Scheme,
}

/// Serves connections from any number of listeners, bounded together.
#[derive(Debug)]
pub struct Server {
    edge: Arc<Edge>,
    connections: Connections,
    tls: Arc<Acceptor>,
    permits: Arc<Semaphore>,
    entrance: Arc<Entrance>,
    stop: watch::Receiver<bool>,
}

impl Server {
    /// A server that accepts until `stop` becomes true.
    #[must_use]
    pub fn new(edge: Arc<Edge>, tls: Arc<Acceptor>, limits: &config::Edge, stop: watch::Receiver<bool>) -> Self {
        let connections = Connections::new(Arc::clone(&edge), limits);
        let entrance = Arc::new(Entrance::new(Arc::clone(&edge), limits));
        let permits = Arc::new(Semaphore::new(limits.max_connections));
        Self { edge, connections, tls, permits, entrance, stop }
    }

    /// Accepts on `listeners` until told to stop, then lets the connections finish for `drain_timeout` at the most.
    pub async fn run(self, listeners: Vec<Listener>, drain_timeout: Duration) {
        let accepting = listeners.iter().map(|listener| self.accept_all(listener));
        let mut stop = self.stop.clone();
        tokio::select! {
            _ = futures_util::future::join_all(accepting) => {}
            _ = stop.wait_for(|stopped| *stopped) => {}
        }
        // Closed first: who comes now is refused at once and can go elsewhere.
        drop(listeners);
        tracing::info!(connections = self.connections.count(), "draining");
        if tokio::time::timeout(drain_timeout, self.connections.drain()).await.is_err() {
            tracing::warn!("connections were cut off that did not finish in time");
        }
    }

    async fn accept_all(&self, listener: &Listener) {
        loop {
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else { return };
            match listener.socket.accept().await {
                Ok((stream, client)) => self.serve(stream, client, listener.scheme, permit),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, client: SocketAddr, scheme: Scheme, permit: OwnedSemaphorePermit) {
        // Closed at once where there are too many of this client, before anything is set up.
        let Ok(place) = self.entrance.place_on_arrival(client) else { return };
        prepare(&stream);
        let arrived = Arrived { stream, client, scheme, place };
        let (connection, entrance) = (self.connections.open(), Arc::clone(&self.entrance));
        let (edge, tls, stop) = (Arc::clone(&self.edge), Arc::clone(&self.tls), self.stop.clone());
        edge.metrics.connections.inc();
        tokio::spawn(async move {
            arrived.serve(connection, &entrance, &tls, &edge.metrics.tls, stop).await;
            edge.metrics.connections.dec();
            drop(permit);
        });
    }
}

/// A connection that was accepted.
struct Arrived {
    stream: TcpStream,
    client: SocketAddr,
    scheme: Scheme,
    place: Option<Place>,
}

impl Arrived {
    async fn serve(
        self,
        connection: Connection,
        entrance: &Entrance,
        tls: &Acceptor,
        metrics: &TlsMetrics,
        mut stop: watch::Receiver<bool>,
    ) {
        let Self { mut stream, client, scheme, place } = self;
        let told = tokio::select! {
            told = entrance.told_client(&mut stream, client, place) => told,
            _ = stop.wait_for(|stopped| *stopped) => return,
        };
        let (client, _place) = match told {
            Ok(told) => told,
            Err(refused) => return tracing::debug!(%client, %refused, "a connection was refused"),
        };
        let stream = connection.paced(stream);
        match scheme {
            Scheme::Http => connection.serve(stream, Peer::plain(client)).await,
            Scheme::Https => secured(connection, stream, client, tls, metrics, stop).await,
        }
    }
}

fn prepare(stream: &TcpStream) {
    // Heads and bodies are written together: waiting for more to send would only delay the last piece.
    let _ = stream.set_nodelay(true);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES);
}

/// Serves a connection over TLS. A stop waits for no client that has not begun its handshake.
async fn secured<S>(
    connection: Connection,
    stream: S,
    client: SocketAddr,
    tls: &Acceptor,
    metrics: &TlsMetrics,
    mut stop: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let greeted = tokio::select! {
        greeted = tls.greet(stream, metrics) => greeted,
        _ = stop.wait_for(|stopped| *stopped) => None,
    };
    let Some(greeted) = greeted else { return };
    if let Some(Secured { stream, server_name }) = tls.accept(greeted, metrics).await {
        connection.serve(stream, Peer::secured(client, server_name)).await;
    }
}
