//! Handshakes: who names a host for which there is a certificate gets through, with HTTP/2 or HTTP/1.1 by ALPN; who names
//! another one is told so before anything is done for him.

use std::{sync::Arc, time::Duration};

use rustls::{
    AlertDescription, HandshakeKind, ServerConfig,
    server::{Accepted, ClientHello, ResolvesServerCert, ServerSessionMemoryCache},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};
use tokio_rustls::{StartHandshake, server::TlsStream};

use super::{
    certificate::Certificate,
    challenge::{self, Challenges},
    hello::{self, Wish, normalized},
    provider,
    shelf::Shelf,
    ticketer,
};
use crate::{
    clock::Clock,
    config::TlsVersion,
    telemetry::tls::{HandshakeResult, TlsMetrics},
};

/// What is spoken inside, best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Sessions remembered for clients that take no tickets; the oldest go first. A session is a few hundred bytes.
const MAX_SESSIONS: usize = 4_096;

/// Accepts handshakes.
#[derive(Debug)]
pub struct Acceptor {
    shelf: Arc<Shelf>,
    challenges: Arc<Challenges>,
    /// For visitors.
    visits: Arc<ServerConfig>,
    /// For certificate authorities.
    challenged: Arc<ServerConfig>,
    /// How long the ClientHello may take, and after it the rest.
    patience: Duration,
    clock: Clock,
}

/// A handshake that came to its end.
#[derive(Debug)]
pub struct Secured<S> {
    /// What is spoken over it.
    pub stream: TlsStream<S>,
    /// The name that was asked for: lower case, no trailing dot.
    pub server_name: Option<Box<str>>,
}

/// Where a handshake has come to.
#[derive(Debug)]
pub struct Greeted<S> {
    accepted: Accepted,
    stream: S,
}

impl Acceptor {
    /// An acceptor of what stands on `shelf`.
    ///
    /// # Errors
    /// Where the system has no randomness to give, or the provider cannot do these versions.
    pub fn new(
        shelf: Arc<Shelf>,
        challenges: Arc<Challenges>,
        min_version: TlsVersion,
        patience: Duration,
        clock: Clock,
    ) -> Result<Self, rustls::Error> {
        let visits = Visits { shelf: Arc::clone(&shelf), clock: clock.clone() };
        let mut visits = server_config(min_version, Arc::new(visits))?;
        visits.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        visits.ticketer = ticketer()?;
        visits.session_storage = ServerSessionMemoryCache::new(MAX_SESSIONS);
        let mut challenged = server_config(TlsVersion::Tls12, Arc::new(Challenged(Arc::clone(&challenges))))?;
        challenged.alpn_protocols = vec![challenge::ALPN.to_vec()];
        let (visits, challenged) = (Arc::new(visits), Arc::new(challenged));
        Ok(Self { shelf, challenges, visits, challenged, patience, clock })
    }

    /// Reads what a client begins with. Nothing if it begins with something else, or with nothing for too long.
    pub async fn greet<S>(&self, mut stream: S, metrics: &TlsMetrics) -> Option<Greeted<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match timeout(self.patience, hello::read(&mut stream)).await {
            Ok(Ok(accepted)) => return Some(Greeted { accepted, stream }),
            Ok(Err(error)) => {
                tracing::debug!(%error, "no TLS handshake began");
                metrics.observe(HandshakeResult::Failed);
            }
            Err(_) => metrics.observe(HandshakeResult::TimedOut),
        }
        None
    }

    /// Does the rest. Nothing if it fails, or if it only was to answer a challenge.
    pub async fn accept<S>(&self, greeted: Greeted<S>, metrics: &TlsMetrics) -> Option<Secured<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Greeted { accepted, mut stream } = greeted;
        let (config, server_name) = match self.answer(Wish::of(&accepted.client_hello())).await {
            Answer::Visit(server_name) => (&self.visits, server_name),
            Answer::Challenge => (&self.challenged, None),
            Answer::Refusal(why) => {
                metrics.observe(HandshakeResult::UnknownName);
                // It is no more than a few bytes: they are taken, or the client is no matter.
                let _ = timeout(self.patience, hello::refuse(&mut stream, why)).await;
                return None;
            }
        };
        let handshake = StartHandshake::from_parts(accepted, stream).into_stream(Arc::clone(config));
        let mut stream = match timeout(self.patience, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                metrics.observe(HandshakeResult::Failed);
                return None;
            }
            Err(_) => {
                metrics.observe(HandshakeResult::TimedOut);
                return None;
            }
        };
        if Arc::ptr_eq(config, &self.challenged) {
            metrics.observe(HandshakeResult::Challenge);
            let _ = timeout(self.patience, stream.shutdown()).await;
            return None;
        }
        metrics.observe(match stream.get_ref().1.handshake_kind() {
            Some(HandshakeKind::Resumed) => HandshakeResult::Resumed,
            _ => HandshakeResult::Full,
        });
        Some(Secured { stream, server_name })
    }

    /// What a client gets, before anything is done that costs something.
    async fn answer(&self, wish: Wish) -> Answer {
        match wish {
            Wish::Name(name) if self.certificate(&name).await.is_some() => Answer::Visit(Some(name)),
            Wish::AnyName if self.shelf.default_certificate().is_some() => Answer::Visit(None),
            Wish::Challenge(name) if self.challenges.certificate(&name).is_some() => Answer::Challenge,
            Wish::Name(_) | Wish::Challenge(_) => Answer::Refusal(AlertDescription::UnrecognisedName),
            // Who needs a name says so with this one (RFC 8446, 9.2).
            Wish::AnyName => Answer::Refusal(AlertDescription::MissingExtension),
        }
    }

    /// The certificate for a name. What has to be waited for is waited for here: the handshake goes on behind it, and finds
    /// the certificate on the shelf.
    #[expect(clippy::unused_async, reason = "a certificate may have to be waited for")]
    async fn certificate(&self, name: &str) -> Option<Arc<Certificate>> {
        self.shelf.find(name, self.clock.now())
    }
}

/// What a client gets.
enum Answer {
    Visit(Option<Box<str>>),
    Challenge,
    Refusal(AlertDescription),
}

/// Early data is never taken: whoever recorded it could send it again (RFC 8446, 8).
fn server_config(min: TlsVersion, resolver: Arc<dyn ResolvesServerCert>) -> Result<ServerConfig, rustls::Error> {
    let versions = match min {
        TlsVersion::Tls12 => &[&TLS13, &TLS12][..],
        TlsVersion::Tls13 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions)?;
    Ok(builder.with_no_client_auth().with_cert_resolver(resolver))
}

/// Shows visitors what stands on the shelf.
#[derive(Debug)]
struct Visits {
    shelf: Arc<Shelf>,
    clock: Clock,
}

impl ResolvesServerCert for Visits {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let certificate = match hello.server_name() {
            Some(name) => self.shelf.find(&normalized(name), self.clock.now()),
            None => self.shelf.default_certificate(),
        };
        certificate.map(|certificate| Arc::clone(&certificate.key))
    }
}

/// Shows certificate authorities what they ask for.
#[derive(Debug)]
struct Challenged(Arc<Challenges>);

impl ResolvesServerCert for Challenged {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.certificate(&normalized(hello.server_name()?))
    }
}
