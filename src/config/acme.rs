//! `[edge.tls.acme]`: certificates that are ordered when they are wanted.

use std::{fmt, fs, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use instant_acme::ExternalAccountKey;
use serde::{Deserialize, Serialize};
use url::Url;

use super::site::{Refusal, refuse};

/// `[edge.tls.acme]`
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Acme {
    /// Whether the operator accepts the CA's terms of service; nothing is ordered otherwise.
    #[serde(default)]
    pub accept_terms: bool,
    /// The CA.
    #[serde(default = "lets_encrypt")]
    pub directory: Url,
    /// The address that the CA may write to.
    #[serde(default)]
    pub contact: Option<String>,
    /// What the CA may ask for, the one that is tried first before.
    #[serde(default = "all_challenges")]
    pub challenges: Vec<ChallengeKind>,
    /// Who is asked about names that sites serve by a pattern only.
    #[serde(default)]
    pub ask: Option<Url>,
    /// The directory that certificates are kept in; `certificates` below the data directory if left out.
    #[serde(default)]
    pub storage: Option<PathBuf>,
    /// The certificate that the CA's own is checked by, where that is not one that the system trusts.
    #[serde(default)]
    pub ca_root: Option<PathBuf>,
    /// The name by which the CA knows its customer otherwise.
    #[serde(default)]
    pub eab_key_id: Option<String>,
    /// The key that goes with it, in base64url; never printed.
    #[serde(default, skip_serializing)]
    pub eab_hmac_key: Option<String>,
    /// A file that holds that key.
    #[serde(default)]
    pub eab_hmac_key_file: Option<PathBuf>,
}

/// How a CA sees that a name leads here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub enum ChallengeKind {
    /// By a handshake at port 443 (RFC 8737).
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// By a request in the clear at port 80 (RFC 8555, 8.3).
    #[serde(rename = "http-01")]
    Http01,
}

/// Why an external account cannot be named.
#[derive(Debug, thiserror::Error)]
pub enum ExternalAccountError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// It is no key.
    #[error("it is not base64url: {0}")]
    Encoding(#[from] base64::DecodeError),
}

impl Acme {
    /// The external account that the CA is told of, if it is to be told of one.
    ///
    /// # Errors
    /// [`ExternalAccountError`]
    pub fn external_account(&self) -> Result<Option<ExternalAccountKey>, ExternalAccountError> {
        let Some(id) = &self.eab_key_id else { return Ok(None) };
        let text = match (&self.eab_hmac_key, &self.eab_hmac_key_file) {
            (Some(key), _) => key.clone(),
            (None, Some(path)) => fs::read_to_string(path)
                .map_err(|cause| ExternalAccountError::Unreadable { path: path.clone(), cause })?,
            (None, None) => return Ok(None),
        };
        let key = URL_SAFE_NO_PAD.decode(text.trim().trim_end_matches('='))?;
        Ok(Some(ExternalAccountKey::new(id.clone(), &key)))
    }
}

/// Whether certificates can be ordered as it says.
pub(super) fn check_acme(acme: &Acme) -> Result<(), Refusal> {
    let key = |name: &str| format!("edge.tls.acme.{name}");
    if !acme.accept_terms {
        let problem =
            "read the certificate authority's terms of service, then set it to true; nothing is ordered otherwise";
        return refuse(key("accept_terms"), problem);
    }
    if acme.directory.scheme() != "https" || acme.directory.host().is_none() {
        return refuse(key("directory"), "expected an https URL");
    }
    if acme.challenges.is_empty() {
        return refuse(key("challenges"), "needs at least one of \"tls-alpn-01\" and \"http-01\"");
    }
    if acme.challenges.len() > all_challenges().len() || has_twice(&acme.challenges) {
        return refuse(key("challenges"), "each once");
    }
    if let Some(contact) = &acme.contact
        && (!contact.contains('@') || contact.contains([' ', ':', ',', '?']))
    {
        return refuse(key("contact"), "expected an e-mail address, such as \"ops@shop.example\"");
    }
    if let Some(ask) = &acme.ask
        && (!matches!(ask.scheme(), "http" | "https") || ask.host().is_none())
    {
        return refuse(key("ask"), "expected an http or https URL");
    }
    if let Some(file) = &acme.ca_root
        && let Err(error) = fs::metadata(file)
    {
        return refuse(key("ca_root"), format!("{}: cannot be read: {error}", file.display()));
    }
    check_external_account(acme, key)
}

fn check_external_account(acme: &Acme, key: impl Fn(&str) -> String) -> Result<(), Refusal> {
    match (&acme.eab_key_id, &acme.eab_hmac_key, &acme.eab_hmac_key_file) {
        (_, Some(_), Some(_)) => {
            refuse(key("eab_hmac_key_file"), "give either eab_hmac_key or eab_hmac_key_file, not both")
        }
        (None, Some(_), None) | (None, None, Some(_)) => refuse(key("eab_key_id"), "is missing: it goes with the key"),
        (Some(_), None, None) => {
            refuse(key("eab_hmac_key"), "is missing, or eab_hmac_key_file: it goes with eab_key_id")
        }
        _ => match acme.external_account() {
            Ok(_) => Ok(()),
            Err(error) => refuse(key("eab_hmac_key"), error.to_string()),
        },
    }
}

fn has_twice(kinds: &[ChallengeKind]) -> bool {
    kinds.iter().enumerate().any(|(position, kind)| kinds[..position].contains(kind))
}

#[expect(clippy::expect_used, reason = "a constant")]
fn lets_encrypt() -> Url {
    Url::parse("https://acme-v02.api.letsencrypt.org/directory").expect("this is a URL")
}

fn all_challenges() -> Vec<ChallengeKind> {
    vec![ChallengeKind::TlsAlpn01, ChallengeKind::Http01]
}

impl fmt::Display for ChallengeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Http01 => "http-01",
        })
    }
}

impl fmt::Debug for Acme {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acme").field("directory", &self.directory).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acme(keys: &str) -> Acme {
        toml::from_str(keys).unwrap()
    }

    #[test]
    fn what_is_left_out_is_lets_encrypt_and_both_challenges() {
        let acme = acme("accept_terms = true");
        assert_eq!(check_acme(&acme), Ok(()));
        assert_eq!(acme.directory.host_str(), Some("acme-v02.api.letsencrypt.org"));
        assert_eq!(acme.challenges, [ChallengeKind::TlsAlpn01, ChallengeKind::Http01]);
        assert!(acme.external_account().unwrap().is_none());
    }

    #[test]
    fn a_refusal_names_the_key_and_the_remedy() {
        for (keys, key, remedy) in [
            ("accept_terms = false", "accept_terms", "terms of service"),
            ("directory = 'http://ca.example/'", "directory", "https"),
            ("challenges = []", "challenges", "tls-alpn-01"),
            ("challenges = ['http-01', 'http-01']", "challenges", "once"),
            ("contact = 'mailto:ops@shop.example'", "contact", "ops@shop.example"),
            ("contact = 'ops'", "contact", "ops@shop.example"),
            ("ask = 'ftp://a.example'", "ask", "http or https"),
            ("ca_root = '/nowhere/ca.pem'", "ca_root", "/nowhere/ca.pem"),
            ("eab_key_id = 'k'", "eab_hmac_key", "goes with eab_key_id"),
            ("eab_hmac_key = 'aGVsbG8'", "eab_key_id", "missing"),
            ("eab_key_id = 'k'\neab_hmac_key = 'no key!'", "eab_hmac_key", "base64url"),
            ("eab_key_id = 'k'\neab_hmac_key = 'aGVsbG8'\neab_hmac_key_file = '/x'", "eab_hmac_key_file", "not both"),
            ("eab_key_id = 'k'\neab_hmac_key_file = '/nowhere/key'", "eab_hmac_key", "/nowhere/key"),
        ] {
            let terms = if keys.contains("accept_terms") { "" } else { "accept_terms = true\n" };
            let refusal = check_acme(&acme(&format!("{terms}{keys}"))).unwrap_err();
            assert_eq!(refusal.key, format!("edge.tls.acme.{key}"), "{keys}");
            assert!(refusal.problem.contains(remedy), "{refusal}");
        }
    }

    #[test]
    fn the_external_accounts_key_may_stand_in_a_file_and_is_never_printed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "aGVsbG8=\n").unwrap();
        let acme =
            acme(&format!("accept_terms = true\neab_key_id = 'k'\neab_hmac_key_file = '{}'", file.path().display()));
        assert_eq!(check_acme(&acme), Ok(()));
        assert!(acme.external_account().unwrap().is_some());
        let given = super::tests::acme("eab_key_id = 'k'\neab_hmac_key = 'aGVsbG8'");
        let printed = format!("{given:?}{}", toml::to_string(&given).unwrap());
        assert!(!printed.contains("aGVsbG8"), "{printed}");
    }
}
