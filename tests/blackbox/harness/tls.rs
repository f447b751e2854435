//! A certificate authority of a test's own, the certificates that it signs, and clients that believe it.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName},
    version::{TLS12, TLS13},
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Edge, Setup, request::builder};

/// Both versions.
pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// A certificate authority, and the directory of the certificates that it has signed.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "The tests' own authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, directory: tempfile::tempdir().unwrap() }
    }

    /// Signs a certificate for `names` and writes it and its key into the files of this stem, in the place of what is there.
    pub(crate) fn sign(&self, stem: &str, names: &[&str]) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        fs::write(self.chain(stem), certificate.pem()).unwrap();
        fs::write(self.key(stem), key.serialize_pem()).unwrap();
    }

    pub(crate) fn chain(&self, stem: &str) -> PathBuf {
        self.directory.path().join(format!("{stem}.pem"))
    }

    pub(crate) fn key(&self, stem: &str) -> PathBuf {
        self.directory.path().join(format!("{stem}.key"))
    }

    /// `setup` with https, and a certificate for `names`.
    pub(crate) fn secure(&self, setup: Setup, names: &[&str]) -> Setup {
        self.sign("site", names);
        setup.certificate(&self.chain("site"), &self.key("site"))
    }

    /// A client's configuration that believes this authority alone.
    pub(crate) fn client_config(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&str],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_protocol_versions(versions).unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config
    }

    /// An ordinary client that believes this authority alone and finds `host` at the edge; it speaks one of `protocols`.
    pub(crate) fn client(&self, edge: &Edge, host: &str, protocols: &[&str]) -> reqwest::Client {
        let config = self.client_config(&VERSIONS, protocols);
        builder().tls_backend_preconfigured(config).resolve(host, edge.https).build().unwrap()
    }

    /// A connection on which nothing has been asked yet.
    pub(crate) async fn connect(&self, edge: &Edge, name: &str) -> io::Result<TlsStream<TcpStream>> {
        self.connect_for(edge, name, "http/1.1").await
    }

    /// Likewise, for a protocol (RFC 7301).
    pub(crate) async fn connect_for(
        &self,
        edge: &Edge,
        name: &str,
        protocol: &str,
    ) -> io::Result<TlsStream<TcpStream>> {
        connect(edge.https, &Arc::new(self.client_config(&VERSIONS, &[protocol])), name).await
    }
}

/// A handshake for a name, or for no name where it is an address.
pub(crate) async fn connect(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    name: &str,
) -> io::Result<TlsStream<TcpStream>> {
    connect_over(TcpStream::connect(address).await?, config, name).await
}

/// Likewise, on a connection that is there.
pub(crate) async fn connect_over(
    stream: TcpStream,
    config: &Arc<ClientConfig>,
    name: &str,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::clone(config)).connect(name, stream).await
}

/// The certificate that a server has shown.
pub(crate) fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

/// The first certificate of a file.
pub(crate) fn certificate_of(chain: &Path) -> CertificateDer<'static> {
    rustls::pki_types::pem::PemObject::from_pem_file(chain).unwrap()
}
