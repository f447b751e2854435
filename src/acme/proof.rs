//! The certificate that proves to a CA, in a handshake, that a name leads here (TLS-ALPN-01, RFC 8737).

use std::sync::Arc;

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::{
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    sign::CertifiedKey,
};

use super::name::DnsName;
use crate::tls::provider;

/// It, and how other nodes read it.
#[derive(Debug)]
pub struct Proof {
    /// What is shown.
    pub key: Arc<CertifiedKey>,
    pub(super) pem: String,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// It could not be made.
    #[error("a challenge's certificate could not be made: {0}")]
    NotMade(#[from] rcgen::Error),
    /// It could not be read.
    #[error("a challenge's certificate could not be read: {0}")]
    Unreadable(#[from] pem::Error),
    /// Its key cannot be used.
    #[error("a challenge's key cannot be used: {0}")]
    Key(#[from] rustls::Error),
}

impl Proof {
    /// The proof for a name, with the SHA-256 digest of the key authorization (RFC 8737, 3).
    ///
    /// # Errors
    /// [`ProofError`]
    pub fn new(name: &DnsName, digest: &[u8; 32]) -> Result<Self, ProofError> {
        let mut params = CertificateParams::new([name.as_str().to_owned()])?;
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Self::from_pem(format!("{}\n{}", certificate.pem(), key.serialize_pem()))
    }

    /// A proof that another node has made. A certificate for visitors is read elsewhere: it may have no critical extension
    /// that nobody knows, as this one does.
    pub(super) fn from_pem(pem: String) -> Result<Self, ProofError> {
        let chain = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())?;
        let key = provider().key_provider.load_private_key(key)?;
        Ok(Self { key: Arc::new(CertifiedKey::new(chain, key)), pem })
    }
}
