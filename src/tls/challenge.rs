//! What is shown to a certificate authority that asks whether a name leads here: answers over HTTP (HTTP-01, RFC 8555, 8.3)
//! and certificates in a handshake (TLS-ALPN-01, RFC 8737). Each is there as long as its order holds on to it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustls::sign::CertifiedKey;

/// The most challenges that are answered at a time; an order beyond waits or fails.
pub const MAX_CHALLENGES: usize = 256;

/// What a handshake that only asks for a challenge's certificate speaks (RFC 8737, 3).
pub const ALPN: &[u8] = b"acme-tls/1";

/// Where the answers over HTTP are looked for.
pub const PATH_PREFIX: &str = "/.well-known/acme-challenge/";

/// All that are under way.
#[derive(Debug, Default)]
pub struct Challenges(Mutex<Table>);

/// The lock is held for a look-up only.
#[derive(Debug, Default)]
struct Table {
    answers: HashMap<Box<str>, Box<str>>,
    certificates: HashMap<Box<str>, Arc<CertifiedKey>>,
}

/// Too many are under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_CHALLENGES} challenges are under way already")]
pub struct TooManyChallenges;

/// A challenge that is answered until this is dropped.
#[derive(Debug)]
#[must_use = "it is answered only as long as this is held"]
pub struct Answered {
    challenges: Arc<Challenges>,
    what: What,
}

#[derive(Debug)]
enum What {
    Token(Box<str>),
    Certificate(Box<str>, Arc<CertifiedKey>),
}

impl Challenges {
    /// Answers `GET /.well-known/acme-challenge/{token}` with the key authorization.
    ///
    /// # Errors
    /// [`TooManyChallenges`]
    pub fn answer(self: &Arc<Self>, token: &str, authorization: &str) -> Result<Answered, TooManyChallenges> {
        let mut table = self.table();
        table.refuse_more()?;
        table.answers.insert(token.into(), authorization.into());
        Ok(Answered { challenges: Arc::clone(self), what: What::Token(token.into()) })
    }

    /// Shows a certificate to who names `name` and speaks [`ALPN`] only.
    ///
    /// # Errors
    /// [`TooManyChallenges`]
    pub fn show(self: &Arc<Self>, name: &str, key: Arc<CertifiedKey>) -> Result<Answered, TooManyChallenges> {
        let mut table = self.table();
        table.refuse_more()?;
        table.certificates.insert(name.into(), Arc::clone(&key));
        Ok(Answered { challenges: Arc::clone(self), what: What::Certificate(name.into(), key) })
    }

    /// The key authorization of a token.
    #[must_use]
    pub fn authorization(&self, token: &str) -> Option<Box<str>> {
        self.table().answers.get(token).cloned()
    }

    /// The certificate to show for a name.
    #[must_use]
    pub fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.table().certificates.get(name).cloned()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Whoever panicked left whole entries behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn refuse_more(&self) -> Result<(), TooManyChallenges> {
        if self.answers.len() + self.certificates.len() < MAX_CHALLENGES { Ok(()) } else { Err(TooManyChallenges) }
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        let mut table = self.challenges.table();
        match &self.what {
            What::Token(token) => {
                table.answers.remove(token);
            }
            // A later order's for the same name stays.
            What::Certificate(name, key) => {
                if table.certificates.get(name).is_some_and(|shown| Arc::ptr_eq(shown, key)) {
                    table.certificates.remove(name);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::certificate::tests::certificate;

    #[test]
    fn a_challenge_is_answered_as_long_as_it_is_held() {
        let challenges = Arc::new(Challenges::default());
        let key = Arc::clone(&certificate(&["a.example"], 2021).key);
        let answered = challenges.answer("token", "token.thumbprint").unwrap();
        let shown = challenges.show("a.example", key).unwrap();
        assert_eq!(challenges.authorization("token").as_deref(), Some("token.thumbprint"));
        assert!(challenges.certificate("a.example").is_some() && challenges.certificate("b.example").is_none());
        drop((answered, shown));
        assert!(challenges.authorization("token").is_none() && challenges.certificate("a.example").is_none());
    }

    #[test]
    fn an_earlier_order_takes_nothing_from_a_later_one() {
        let challenges = Arc::new(Challenges::default());
        let key = || Arc::clone(&certificate(&["a.example"], 2021).key);
        let earlier = challenges.show("a.example", key()).unwrap();
        let later = challenges.show("a.example", key()).unwrap();
        drop(earlier);
        assert!(challenges.certificate("a.example").is_some());
        drop(later);
        assert!(challenges.certificate("a.example").is_none());
    }

    #[test]
    fn their_number_is_bounded() {
        let challenges = Arc::new(Challenges::default());
        let answer = |n: usize| challenges.answer(&n.to_string(), "x");
        let mut held: Vec<_> = (0..MAX_CHALLENGES).map(|n| answer(n).unwrap()).collect();
        assert_eq!(answer(MAX_CHALLENGES).unwrap_err(), TooManyChallenges);
        held.pop();
        assert!(answer(MAX_CHALLENGES).is_ok());
    }
}
