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
    challenge::{self, Answered, Challenges},
    hello::{self, Wish, normalized},
    provider,
    shelf::Shelf,
    ticketer,
};
use crate::{
    acme::issuer::Issuer,
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
    issuer: Option<Arc<Issuer>>,
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
    /// An acceptor of what stands on `shelf`, and of what `issuer` brings there when it is asked for.
    ///
    /// # Errors
    /// Where the system has no randomness to give, or the provider cannot do these versions.
    pub fn new(
        shelf: Arc<Shelf>,
        challenges: Arc<Challenges>,
        issuer: Option<Arc<Issuer>>,
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
        Ok(Self { shelf, challenges, issuer, visits, challenged, patience, clock })
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
        // What is shown is shown until the handshake is over.
        let (config, server_name, _shown) = match self.answer(Wish::of(&accepted.client_hello())).await {
            Answer::Visit(server_name) => (&self.visits, server_name, None),
            Answer::Challenge(shown) => (&self.challenged, None, shown),
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
            Wish::Challenge(name) => self.challenge(&name).await,
            Wish::Name(_) => Answer::Refusal(AlertDescription::UnrecognisedName),
            // Who needs a name says so with this one (RFC 8446, 9.2).
            Wish::AnyName => Answer::Refusal(AlertDescription::MissingExtension),
        }
    }

    /// The certificate for a name. What has to be waited for is waited for here: the handshake goes on behind it, and finds
    /// the certificate on the shelf.
    async fn certificate(&self, name: &str) -> Option<Arc<Certificate>> {
        let now = self.clock.now();
        let found = self.shelf.find(name, now);
        let Some(issuer) = &self.issuer else { return found };
        if found.as_ref().is_some_and(|found| found.is_valid_at(now)) {
            return found;
        }
        let obtained = issuer.obtain(name).await.ok();
        // One may have come meanwhile by another way. One that has expired is shown where there is no other: what becomes of
        // that is the client's to say.
        obtained.or_else(|| self.shelf.find(name, self.clock.now())).or(found)
    }

    /// What a certificate authority gets: what an order of this node shows, or of another one.
    async fn challenge(&self, name: &str) -> Answer {
        if self.challenges.certificate(name).is_some() {
            return Answer::Challenge(None);
        }
        let posted = match &self.issuer {
            Some(issuer) => issuer.posted_proof(name).await,
            None => None,
        };
        match posted.map(|posted| self.challenges.show(name, posted)) {
            Some(Ok(shown)) => Answer::Challenge(Some(shown)),
            Some(Err(_)) | None => Answer::Refusal(AlertDescription::UnrecognisedName),
        }
    }
}

/// What a client gets.
enum Answer {
    Visit(Option<Box<str>>),
    Challenge(Option<Answered>),
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

#[cfg(test)]
mod tests {
    use rustls::{
        ClientConfig, ClientConnection, Error, RootCertStore,
        pki_types::{CertificateDer, ServerName},
    };
    use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::{
        telemetry::metrics::Metrics,
        tls::certificate::tests::{NOW, certificate},
    };

    struct Server {
        acceptor: Arc<Acceptor>,
        challenges: Arc<Challenges>,
        metrics: Arc<Metrics>,
    }

    impl Server {
        fn showing(certificates: Vec<Arc<Certificate>>) -> Self {
            Self::waiting(Duration::from_secs(60), certificates)
        }

        /// Shows these certificates, and waits so long for who stays silent.
        fn waiting(patience: Duration, certificates: Vec<Arc<Certificate>>) -> Self {
            let (shelf, challenges) = (Arc::new(Shelf::default()), Arc::new(Challenges::default()));
            shelf.set_files(certificates);
            let (version, clock) = (TlsVersion::Tls12, Clock::standing_at(NOW));
            let acceptor = Acceptor::new(shelf, Arc::clone(&challenges), None, version, patience, clock).unwrap();
            Self { acceptor: Arc::new(acceptor), challenges, metrics: Arc::new(Metrics::new().unwrap()) }
        }

        /// The name that was asked for, where a handshake came to its end.
        async fn accept(&self, stream: DuplexStream) -> Option<Option<Box<str>>> {
            let greeted = self.acceptor.greet(stream, &self.metrics.tls).await?;
            let secured = self.acceptor.accept(greeted, &self.metrics.tls).await?;
            Some(secured.server_name)
        }

        fn count(&self, result: HandshakeResult) -> u64 {
            self.metrics.tls.count(result)
        }

        /// What a client and the server make of their handshake: the client what it speaks, or why it does not.
        async fn meet(
            &self,
            client: ClientConfig,
            name: &str,
        ) -> (Result<Option<Vec<u8>>, Error>, Option<Option<Box<str>>>) {
            let (near, far) = duplex(4_096);
            let name = ServerName::try_from(name.to_owned()).unwrap();
            let visit = async {
                let mut stream = TlsConnector::from(Arc::new(client))
                    .connect(name, near)
                    .await
                    .map_err(|error| error.into_inner().unwrap().downcast::<Error>().map(|error| *error).unwrap())?;
                let protocol = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
                // Its tickets, or its goodbye.
                let _ = stream.read(&mut [0]).await;
                Ok(protocol)
            };
            tokio::join!(visit, self.accept(far))
        }
    }

    /// A client that trusts these, at a time at which they are valid.
    fn client(trusted: &[CertificateDer<'static>], protocols: &[&[u8]]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        trusted.iter().for_each(|certificate| roots.add(certificate.clone()).unwrap());
        let time = rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(NOW.0));
        let builder = ClientConfig::builder_with_details(provider(), Arc::new(At(time)));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let mut client = builder.with_root_certificates(roots).with_no_client_auth();
        client.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        client
    }

    #[derive(Debug)]
    struct At(rustls::pki_types::UnixTime);

    impl rustls::time_provider::TimeProvider for At {
        fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
            Some(self.0)
        }
    }

    fn refused(why: AlertDescription) -> Result<Option<Vec<u8>>, Error> {
        Err(Error::AlertReceived(why))
    }

    #[tokio::test]
    async fn a_visitor_gets_the_best_protocol_that_both_speak() {
        let shown = certificate(&["a.example"], 2021);
        let server = Server::showing(vec![Arc::clone(&shown)]);
        for (offered, spoken) in [
            (&[&b"http/1.1"[..], b"h2"][..], Some(b"h2".to_vec())),
            (&[b"http/1.1"], Some(b"http/1.1".to_vec())),
            (&[], None),
            (&[challenge::ALPN, b"h2"], Some(b"h2".to_vec())),
        ] {
            let (client, named) = server.meet(client(&shown.key.cert, offered), "A.example").await;
            assert_eq!((client, named), (Ok(spoken), Some(Some("a.example".into()))));
        }
        let (client, named) = server.meet(client(&shown.key.cert, &[b"gopher"]), "a.example").await;
        assert_eq!((client, named), (refused(AlertDescription::NoApplicationProtocol), None));
        assert_eq!((server.count(HandshakeResult::Full), server.count(HandshakeResult::Failed)), (4, 1));
    }

    #[tokio::test]
    async fn who_names_a_host_without_a_certificate_is_told_so() {
        let server = Server::showing(vec![certificate(&["a.example"], 2021)]);
        let (client, named) = server.meet(client(&[], &[]), "b.example").await;
        assert_eq!((client, named), (refused(AlertDescription::UnrecognisedName), None));
        assert_eq!(server.count(HandshakeResult::UnknownName), 1);
    }

    #[tokio::test]
    async fn who_names_nobody_gets_the_first_certificate_if_there_is_one() {
        let shown = certificate(&["192.0.2.1"], 2021);
        let server = Server::showing(vec![Arc::clone(&shown)]);
        let (visit, named) = server.meet(client(&shown.key.cert, &[]), "192.0.2.1").await;
        assert_eq!((visit, named), (Ok(None), Some(None)));
        let (visit, named) = Server::showing(Vec::new()).meet(client(&[], &[]), "192.0.2.1").await;
        assert_eq!((visit, named), (refused(AlertDescription::MissingExtension), None));
    }

    #[tokio::test]
    async fn a_challenge_is_shown_its_certificate_and_nothing_more() {
        let visitors = certificate(&["a.example"], 2022);
        let server = Server::showing(vec![Arc::clone(&visitors)]);
        let ask = || client(&visitors.key.cert, &[challenge::ALPN]);
        let (answer, named) = server.meet(ask(), "a.example").await;
        assert_eq!((answer, named), (refused(AlertDescription::UnrecognisedName), None), "nothing is under way");
        let shown = certificate(&["a.example"], 2021);
        let _held = server.challenges.show("a.example", Arc::clone(&shown.key)).unwrap();
        let (answer, named) = server.meet(client(&shown.key.cert, &[challenge::ALPN]), "a.example").await;
        assert_eq!((answer, named), (Ok(Some(challenge::ALPN.to_vec())), None));
        assert_eq!(server.count(HandshakeResult::Challenge), 1);
        let (visit, named) = server.meet(client(&visitors.key.cert, &[]), "a.example").await;
        assert_eq!((visit, named), (Ok(None), Some(Some("a.example".into()))), "visitors see theirs");
    }

    #[tokio::test]
    async fn silence_is_not_waited_for_at_any_point() {
        let server = Server::waiting(Duration::from_millis(10), vec![certificate(&["a.example"], 2021)]);
        let name = ServerName::try_from("a.example").unwrap();
        let mut hello = Vec::new();
        ClientConnection::new(Arc::new(client(&[], &[])), name).unwrap().write_tls(&mut hello).unwrap();
        for beginning in [&[], &hello[..1], &hello[..hello.len() / 2], &hello[..]] {
            let (mut near, far) = duplex(4_096);
            near.write_all(beginning).await.unwrap();
            assert_eq!(server.accept(far).await, None);
        }
        assert_eq!(server.count(HandshakeResult::TimedOut), 4);
    }

    #[tokio::test]
    async fn what_is_no_hello_or_has_no_end_is_refused() {
        let server = Server::showing(vec![certificate(&["a.example"], 2021)]);
        // A handshake message of 65,535 bytes, in records of 16 KiB.
        let mut endless = vec![22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff];
        endless.resize(20_000, 0);
        for garbage in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0; 100], vec![22, 3, 1, 0, 5, 1, 0, 0, 1, 9], endless]
        {
            let (mut near, far) = duplex(64 * 1024);
            near.write_all(&garbage).await.unwrap();
            assert_eq!(server.accept(far).await, None);
            let mut said = Vec::new();
            near.read_to_end(&mut said).await.unwrap();
            assert_eq!((said.first(), said.len()), (Some(&21), 7), "{garbage:?}");
        }
        assert_eq!(server.count(HandshakeResult::Failed), 4);
    }
}
