//! `[edge.tls]`: where https is served, and with what certificates.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    acme::{Acme, ChallengeKind, check_acme},
    schema::{Edge, as_list, one_or_many},
    site::{Refusal, refuse},
};
use crate::tls::certificate::{Certificate, CertificateError};

/// The port of https URLs that name none.
const HTTPS_PORT: u16 = 443;

/// `[edge.tls]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Where HTTP/1.1 and HTTP/2 over TLS are served; nowhere if empty.
    #[serde(deserialize_with = "one_or_many", serialize_with = "as_list")]
    pub https: Vec<SocketAddr>,
    /// The port by which visitors reach it, where that is another than the first of `https`.
    pub public_port: Option<u16>,
    /// The oldest version spoken.
    pub min_version: TlsVersion,
    /// Certificates out of files.
    #[serde(rename = "certificate")]
    pub certificates: Vec<CertificateFiles>,
    /// Certificates on demand, where they are.
    pub acme: Option<Acme>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum TlsVersion {
    /// RFC 5246.
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    Tls13,
}

/// `[[edge.tls.certificate]]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// The file of the chain, the server's own certificate first.
    pub chain: PathBuf,
    /// The file of its key.
    pub key: PathBuf,
}

/// Why a certificate's files are refused.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFileError {
    /// One of them could not be read.
    #[error("{}: cannot be read: {cause}", path.display())]
    Unreadable {
        /// Which key of the configuration names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// One of them does not hold what it should.
    #[error("{}: {cause}", path.display())]
    Refused {
        /// Which key of the configuration names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: CertificateError,
    },
}

impl Tls {
    /// The port of the https URLs that visitors are sent to. Where https is not served here, a proxy before this server does
    /// it at the usual one.
    #[must_use]
    pub fn visible_port(&self) -> u16 {
        self.public_port.or_else(|| self.https.first().map(SocketAddr::port)).unwrap_or(HTTPS_PORT)
    }
}

impl CertificateFiles {
    /// The certificate, read anew.
    ///
    /// # Errors
    /// [`CertificateFileError`], naming the file.
    pub fn read(&self) -> Result<Certificate, CertificateFileError> {
        let chain = read("chain", &self.chain)?;
        let key = read("key", &self.key)?;
        Certificate::from_pem(&chain, &key).map_err(|cause| {
            let (key, path) = match cause {
                CertificateError::NoKey | CertificateError::UnreadableKey(_) | CertificateError::KeyMismatch => {
                    ("key", &self.key)
                }
                _ => ("chain", &self.chain),
            };
            CertificateFileError::Refused { key, path: path.clone(), cause }
        })
    }
}

impl CertificateFileError {
    const fn key(&self) -> &'static str {
        match self {
            Self::Unreadable { key, .. } | Self::Refused { key, .. } => key,
        }
    }
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, CertificateFileError> {
    fs::read(path).map_err(|cause| CertificateFileError::Unreadable { key, path: path.to_owned(), cause })
}

/// Whether visitors can be served where the configuration says.
pub(super) fn check_listeners(edge: &Edge) -> Result<(), Refusal> {
    let tls = &edge.tls;
    if edge.http.is_empty() && tls.https.is_empty() {
        return refuse("edge.http", "needs at least one address, such as \"127.0.0.1:8080\"");
    }
    // Each keeps room for the connection that it waits for.
    let listeners = edge.http.len() + tls.https.len();
    if edge.max_connections < listeners {
        return refuse("edge.max_connections", format!("must be at least {listeners}: one for each address"));
    }
    if tls.public_port == Some(0) {
        return refuse("edge.tls.public_port", "must be from 1 to 65535");
    }
    if let Some(acme) = &tls.acme {
        check_acme(acme)?;
        if tls.https.is_empty() {
            return refuse("edge.tls.acme", "there is nowhere to show certificates: add edge.tls.https");
        }
        if edge.http.is_empty() && acme.challenges == [ChallengeKind::Http01] {
            return refuse("edge.tls.acme.challenges", "http-01 is asked for in the clear: add edge.http");
        }
    }
    if !tls.https.is_empty() && tls.certificates.is_empty() && tls.acme.is_none() {
        let problem = "there is nothing to show: add [[edge.tls.certificate]] with chain and key, or [edge.tls.acme]";
        return refuse("edge.tls.https", problem);
    }
    for (position, files) in tls.certificates.iter().enumerate() {
        if let Err(error) = files.read() {
            return refuse(format!("edge.tls.certificate[{position}].{}", error.key()), error.to_string());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::certificate::tests::pem;

    fn refused(keys: &str) -> Refusal {
        check_listeners(&toml::from_str(keys).unwrap()).unwrap_err()
    }

    #[test]
    fn one_address_is_enough_and_https_needs_a_certificate() {
        assert_eq!(refused("http = []").key, "edge.http");
        let refusal = refused("http = []\n[tls]\nhttps = '127.0.0.1:443'");
        assert!(refusal.key == "edge.tls.https" && refusal.problem.contains("[[edge.tls.certificate]]"), "{refusal}");
        assert_eq!(refused("max_connections = 1\n[tls]\nhttps = '127.0.0.1:443'").key, "edge.max_connections");
        assert_eq!(refused("[tls]\npublic_port = 0").key, "edge.tls.public_port");
    }

    #[test]
    fn a_certificate_that_cannot_be_shown_is_refused_with_its_file() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name).display().to_string();
        let (chain, key) = pem(&["a.example"], 2030);
        fs::write(path("chain.pem"), &chain).unwrap();
        fs::write(path("key.pem"), &key).unwrap();
        fs::write(path("other.pem"), pem(&["a.example"], 2030).1).unwrap();
        let keys = |chain: &str, key: &str| {
            let (chain, key) = (path(chain), path(key));
            format!("[tls]\nhttps = '127.0.0.1:443'\n[[tls.certificate]]\nchain = '{chain}'\nkey = '{key}'")
        };
        let edge: Edge = toml::from_str(&keys("chain.pem", "key.pem")).unwrap();
        assert_eq!(check_listeners(&edge), Ok(()));
        for (chain, key, place, parts) in [
            ("nowhere.pem", "key.pem", "chain", ["nowhere.pem: ", "cannot be read"]),
            ("chain.pem", "nowhere.pem", "key", ["nowhere.pem: ", "cannot be read"]),
            ("key.pem", "key.pem", "chain", ["key.pem: ", "BEGIN CERTIFICATE"]),
            ("chain.pem", "chain.pem", "key", ["chain.pem: ", "BEGIN PRIVATE KEY"]),
            ("chain.pem", "other.pem", "key", ["other.pem: ", "does not match"]),
        ] {
            let refusal = refused(&keys(chain, key));
            assert_eq!(refusal.key, format!("edge.tls.certificate[0].{place}"), "{chain} {key}");
            assert!(parts.iter().all(|part| refusal.problem.contains(part)), "{refusal}");
        }
    }

    #[test]
    fn visitors_are_sent_to_the_port_that_they_reach() {
        let port = |keys: &str| toml::from_str::<Tls>(keys).unwrap().visible_port();
        assert_eq!(port(""), 443);
        assert_eq!(port("https = ['0.0.0.0:8443', '[::]:9443']"), 8443);
        assert_eq!(port("https = '0.0.0.0:8443'\npublic_port = 443"), 443);
    }
}
