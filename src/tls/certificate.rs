//! A certificate with its key, as it is shown in handshakes: the names that it is for, and when.

use std::{fmt, net::IpAddr, sync::Arc};

use rustls::{
    Error, InconsistentKeys,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    sign::CertifiedKey,
};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _, time::ASN1Time};

use super::provider;
use crate::http::time::UnixSeconds;

/// A certificate chain and the key of its first certificate.
#[derive(Clone)]
pub struct Certificate {
    /// What is shown.
    pub key: Arc<CertifiedKey>,
    /// What it is for: DNS names in lower case, `*.example.com` among them, and addresses.
    pub names: Vec<Box<str>>,
    /// From when on it is valid.
    pub not_before: UnixSeconds,
    /// The last second that it is valid.
    pub not_after: UnixSeconds,
}

/// Why something is no certificate that can be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The chain is empty.
    #[error("there is no certificate in it: expected PEM with BEGIN CERTIFICATE, the server's own first")]
    NoCertificate,
    /// There is no key.
    #[error("there is no private key in it: expected PEM with BEGIN PRIVATE KEY, without a passphrase")]
    NoKey,
    /// The chain cannot be read.
    #[error("the certificate cannot be read: {0}")]
    UnreadableCertificate(String),
    /// The key cannot be read, or is of a kind that is not supported.
    #[error("the private key cannot be read: {0}")]
    UnreadableKey(String),
    /// The key is another certificate's.
    #[error("the key does not match the certificate: the chain must begin with the certificate that the key is for")]
    KeyMismatch,
    /// Nobody could be shown it.
    #[error("the certificate is for no name: expected a subjectAltName with DNS names")]
    NoNames,
}

impl Certificate {
    /// A certificate out of PEM: the chain, the server's own certificate first, and its key.
    ///
    /// # Errors
    /// [`CertificateError`]
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        Self::from_der(read_chain(chain)?, read_key(key)?)
    }

    /// A certificate out of DER.
    ///
    /// # Errors
    /// [`CertificateError`]
    pub fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, CertificateError> {
        let first = chain.first().ok_or(CertificateError::NoCertificate)?;
        let Facts { names, not_before, not_after } = Facts::of(first)?;
        let key = provider().key_provider.load_private_key(key);
        let key = CertifiedKey::new(chain, key.map_err(|error| CertificateError::UnreadableKey(error.to_string()))?);
        match key.keys_match() {
            // A key that does not know its public half is believed.
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(Error::InconsistentKeys(_)) => return Err(CertificateError::KeyMismatch),
            Err(error) => return Err(CertificateError::UnreadableCertificate(error.to_string())),
        }
        Ok(Self { key: Arc::new(key), names, not_before, not_after })
    }

    /// Whether it is for a name (lower case, no trailing dot): one of its own, or one label below one of its wildcards
    /// (RFC 9525, 6.3).
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        let wildcard = wildcard_of(name);
        self.names.iter().any(|own| **own == *name || wildcard.as_deref() == Some(&**own))
    }

    /// Whether it may be shown at this time.
    #[must_use]
    pub fn is_valid_at(&self, now: UnixSeconds) -> bool {
        self.not_before <= now && now <= self.not_after
    }
}

/// The wildcard that a name is one label below of, if it is below any: `*.b.example` of `a.b.example`.
pub(super) fn wildcard_of(name: &str) -> Option<String> {
    let (label, parent) = name.split_once('.')?;
    // A wildcard for a whole top-level domain is nobody's.
    (!label.is_empty() && parent.contains('.') && name.parse::<IpAddr>().is_err()).then(|| format!("*.{parent}"))
}

fn read_chain(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    chain.map_err(|error| CertificateError::UnreadableCertificate(error.to_string()))
}

fn read_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, CertificateError> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        pem::Error::NoItemsFound => CertificateError::NoKey,
        error => CertificateError::UnreadableKey(error.to_string()),
    })
}

/// What a certificate says of itself.
struct Facts {
    names: Vec<Box<str>>,
    not_before: UnixSeconds,
    not_after: UnixSeconds,
}

impl Facts {
    fn of(certificate: &CertificateDer<'_>) -> Result<Self, CertificateError> {
        let unreadable = |error: &dyn fmt::Display| CertificateError::UnreadableCertificate(error.to_string());
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| unreadable(&error))?;
        let alternatives = parsed.subject_alternative_name().map_err(|error| unreadable(&error))?;
        let general = alternatives.iter().flat_map(|extension| &extension.value.general_names);
        let names: Vec<_> = general.filter_map(name_of).collect();
        if names.is_empty() {
            return Err(CertificateError::NoNames);
        }
        let validity = parsed.validity();
        Ok(Self { names, not_before: seconds(validity.not_before), not_after: seconds(validity.not_after) })
    }
}

fn name_of(name: &GeneralName<'_>) -> Option<Box<str>> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase().into()),
        GeneralName::IPAddress(octets) => {
            let address = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
            let address = address.or_else(|_| <[u8; 16]>::try_from(*octets).map(IpAddr::from)).ok()?;
            Some(address.to_string().into())
        }
        _ => None,
    }
}

/// A time before 1970 is 1970.
fn seconds(time: ASN1Time) -> UnixSeconds {
    UnixSeconds(u64::try_from(time.timestamp()).unwrap_or(0))
}

impl fmt::Debug for Certificate {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("names", &self.names)
            .field("not_before", &self.not_before)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    /// 2020-01-01, when certificates here become valid, and a time at which they are.
    const BEGIN: u64 = 1_577_836_800;
    pub(crate) const NOW: UnixSeconds = UnixSeconds(BEGIN + 86_400);

    /// A certificate for `names` from 2020 to the beginning of `end`, and its key, as PEM.
    pub(crate) fn pem(names: &[&str], end: i32) -> (String, String) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(end, 1, 1));
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    /// Likewise, read.
    pub(crate) fn certificate(names: &[&str], end: i32) -> Arc<Certificate> {
        let (chain, key) = pem(names, end);
        Arc::new(Certificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap())
    }

    fn refused(chain: &str, key: &str) -> CertificateError {
        Certificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err()
    }

    #[test]
    fn names_and_times_are_read() {
        let certificate = certificate(&["A.example", "*.b.example", "192.0.2.1"], 2021);
        assert_eq!(certificate.names, ["a.example".into(), "*.b.example".into(), "192.0.2.1".into()] as [Box<str>; 3]);
        assert_eq!(certificate.not_before, UnixSeconds(BEGIN));
        for (time, is_valid) in [(BEGIN - 1, false), (BEGIN, true), (BEGIN + 366 * 86_400 + 1, false)] {
            assert_eq!(certificate.is_valid_at(UnixSeconds(time)), is_valid, "{time}");
        }
    }

    #[test]
    fn a_wildcard_is_for_one_label() {
        let certificate = certificate(&["a.example", "*.b.example"], 2021);
        for (name, covered) in [
            ("a.example", true),
            ("x.a.example", false),
            ("x.b.example", true),
            ("x.y.b.example", false),
            ("b.example", false),
            (".b.example", false),
            ("xb.example", false),
            ("", false),
        ] {
            assert_eq!(certificate.covers(name), covered, "{name:?}");
        }
    }

    #[test]
    fn a_wildcard_for_a_whole_top_level_domain_is_for_nobody() {
        assert!(!certificate(&["*.example"], 2021).covers("a.example"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let (chain, key) = pem(&["a.example"], 2021);
        let (_, other) = pem(&["a.example"], 2021);
        assert_eq!(refused("", &key), CertificateError::NoCertificate);
        assert_eq!(refused(&key, &key), CertificateError::NoCertificate);
        assert_eq!(refused(&chain, ""), CertificateError::NoKey);
        assert_eq!(refused(&chain, &chain), CertificateError::NoKey);
        assert_eq!(refused(&chain, &other), CertificateError::KeyMismatch);
        assert_eq!(refused(&pem(&[], 2021).0, &key), CertificateError::NoNames);
        let cut = &chain[..chain.len() / 2];
        assert!(matches!(refused(cut, &key), CertificateError::UnreadableCertificate(_)));
        assert!(matches!(refused(&chain, &key[..key.len() / 2]), CertificateError::UnreadableKey(_)));
        let noise = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
        assert!(matches!(refused(noise, &key), CertificateError::UnreadableCertificate(_)));
        let noise = "-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----\n";
        assert!(matches!(refused(&chain, noise), CertificateError::UnreadableKey(_)));
    }

    #[test]
    fn the_key_is_never_printed() {
        let (chain, key) = pem(&["a.example"], 2021);
        let printed = format!("{:?}", Certificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap());
        assert!(printed.contains("a.example") && !printed.contains("key"), "{printed}");
    }
}
