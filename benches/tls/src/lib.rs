//! What the server and its askers share: providers by name, one certificate, one body.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Result, bail};
use bytes::Bytes;
use quinn::crypto::rustls::QuicClientConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ServerConfig;
use rustls::{CipherSuite, ClientConfig, RootCertStore};

/// What is served: as large as a usual variant.
pub const BODY_BYTES: usize = 30 * 1024;

/// A path that is answered without a body, for what is about handshakes.
pub const EMPTY: &str = "/empty";

/// The name in the certificates.
pub const NAME: &str = "localhost";

/// The body, of bytes that are not all the same.
pub fn body() -> Bytes {
    (0..BODY_BYTES).map(|at| (at % 251) as u8).collect()
}

/// `ring`, `aws-lc`, or `aws-lc-pq`, which prefers X25519MLKEM768, with one suite of TLS 1.3: `aes-128`, `aes-256` or `chacha20`.
pub fn provider(name: &str, suite: &str) -> Result<CryptoProvider> {
    let mut provider = match name {
        "ring" => CryptoProvider { kx_groups: vec![ring::kx_group::X25519], ..ring::default_provider() },
        "aws-lc" => CryptoProvider { kx_groups: vec![aws_lc_rs::kx_group::X25519], ..aws_lc_rs::default_provider() },
        "aws-lc-pq" => CryptoProvider {
            kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768, aws_lc_rs::kx_group::X25519],
            ..aws_lc_rs::default_provider()
        },
        _ => bail!("no provider {name}"),
    };
    let wanted = match suite {
        "aes-128" => CipherSuite::TLS13_AES_128_GCM_SHA256,
        "aes-256" => CipherSuite::TLS13_AES_256_GCM_SHA384,
        "chacha20" => CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        _ => bail!("no suite {suite}"),
    };
    provider.cipher_suites.retain(|suite| suite.suite() == wanted);
    Ok(provider)
}

/// A server's configuration with tickets, from PEM files, without protocols.
pub fn server_config(name: &str, suite: &str, certificate: &str, key: &str) -> Result<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider(name, suite)?))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    config.ticketer = match name {
        "ring" => ring::Ticketer::new()?,
        _ => aws_lc_rs::Ticketer::new()?,
    };
    Ok(config)
}

/// A client's configuration that trusts the one certificate, for a server with that provider: it is by aws-lc-rs in any case, so
/// that servers alone differ.
pub fn client_config(server: &str, suite: &str, certificate: &str) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let provider = provider(if server == "aws-lc-pq" { server } else { "aws-lc" }, suite)?;
    Ok(ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// What connects to the server's UDP port.
pub fn quic_endpoint(mut tls: ClientConfig) -> Result<quinn::Endpoint> {
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let mut endpoint = quinn::Endpoint::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?)));
    Ok(endpoint)
}
