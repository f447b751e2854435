//! The clients that keep the connections to origins.

use std::time::Duration;

use reqwest::{ClientBuilder, redirect::Policy};

use super::resolve::VettingResolver;

/// Connections of one scheme, host and port that stay open with nothing to do, and how long. How many hosts there are is not
/// bounded, where visitors may name them: what is idle at the most is what was asked for in that time. A page's pictures come
/// within it, and origins close what is idle after 5 to 75 s themselves.
const MAX_IDLE_PER_HOST: usize = 32;
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// What every client towards origins keeps to. A connection is made within `connect_timeout`, and is closed when it has been
/// idle for `idle_timeout`.
pub(super) fn builder(resolver: VettingResolver, connect_timeout: Duration, idle_timeout: Duration) -> ClientBuilder {
    ClientBuilder::new()
        .redirect(Policy::none())
        .referer(false)
        // A proxy named by the environment would connect to addresses that nobody vetted.
        .no_proxy()
        .connect_timeout(connect_timeout)
        .dns_resolver(resolver)
        // HTTP/2 has one connection a host, whose window is given back as bodies are read: a few visitors who read slowly would
        // hold up all that is fetched from there (docs/decisions/http-1-to-origins.md).
        .http1_only()
        .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
        .pool_idle_timeout(idle_timeout)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{CertificateParams, KeyPair};
    use rustls::{ServerConfig, pki_types::PrivateKeyDer};
    use tokio::{
        io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        time::timeout,
    };
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::origin::{
        address::AddressPolicy,
        lookups::Lookups,
        own::OwnListeners,
        resolve::{Purpose, connecting_for},
    };

    const DEADLINE: Duration = Duration::from_secs(30);
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    fn builder_here(idle_timeout: Duration) -> ClientBuilder {
        crate::tls::install_provider();
        let own = OwnListeners::default();
        let resolver = VettingResolver::new(AddressPolicy::PrivateAllowed, own, DEADLINE, Lookups::by_system());
        builder(resolver, DEADLINE, idle_timeout)
    }

    /// Speaks both protocols, and would rather speak HTTP/2.
    fn acceptor() -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let mut config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            assert!(stream.read_buf(&mut head).await.unwrap() > 0, "no whole head: {}", head.escape_ascii());
        }
        head
    }

    #[tokio::test]
    async fn an_origin_that_would_rather_speak_http_2_is_spoken_to_in_http_1_1() {
        let client = builder_here(IDLE_TIMEOUT).tls_danger_accept_invalid_certs(true).build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = format!("https://localhost:{port}/a.jpg");
        let served = async {
            let mut stream = acceptor().accept(listener.accept().await.unwrap().0).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
            let head = read_head(&mut stream).await;
            assert!(head.starts_with(b"GET /a.jpg HTTP/1.1\r\n"), "{}", head.escape_ascii());
            stream.write_all(ANSWER).await.unwrap();
        };
        let purpose = Purpose { site: "shop".into(), port };
        let asked = connecting_for(purpose, client.get(url).send());
        let (response, ()) = timeout(DEADLINE, async { tokio::join!(asked, served) }).await.unwrap();
        assert_eq!(response.unwrap().version(), http::Version::HTTP_11);
    }

    #[tokio::test]
    async fn a_connection_that_stays_idle_is_closed() {
        let client = builder_here(Duration::from_millis(1)).build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let served = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await;
            stream.write_all(ANSWER).await.unwrap();
            stream.read_to_end(&mut Vec::new()).await.unwrap()
        };
        let asked = async { client.get(url).send().await.unwrap().text().await.unwrap() };
        let (answer, further) = timeout(DEADLINE, async { tokio::join!(asked, served) }).await.unwrap();
        assert_eq!((answer.as_str(), further), ("ok", 0));
    }
}
