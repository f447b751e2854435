//! Asks somebody else whether a certificate may be ordered for a name that sites serve by a pattern only.

use std::time::Duration;

use moka::sync::Cache;
use reqwest::redirect::Policy;
use tokio::sync::Semaphore;
use url::Url;

use super::name::DnsName;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Questions under way at once; a further one is not asked.
const MAX_QUESTIONS: usize = 16;

/// How long a no is remembered, and how many of them; the rest is asked again.
const REMEMBERED: Duration = Duration::from_secs(30);
const MAX_REMEMBERED: u64 = 10_000;

/// Who is asked.
#[derive(Debug)]
pub struct Ask {
    url: Url,
    client: reqwest::Client,
    permits: Semaphore,
    refused: Cache<DnsName, ()>,
}

/// What is no yes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// It was answered so, now or a moment ago.
    #[error("who is asked at {at} does not allow it")]
    Refused {
        /// The host that is asked: its URL may hold a secret.
        at: String,
    },
    /// Too much is being asked already.
    #[error("{MAX_QUESTIONS} other names are being asked for")]
    Busy,
}

impl Ask {
    /// Who is at `url`.
    ///
    /// # Errors
    /// Where the system gives no certificates to know it by.
    pub fn new(url: Url) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().timeout(PATIENCE).redirect(Policy::none()).build()?;
        let refused = Cache::builder().max_capacity(MAX_REMEMBERED).time_to_live(REMEMBERED).build();
        Ok(Self { url, client, permits: Semaphore::new(MAX_QUESTIONS), refused })
    }

    /// Asks `GET URL?domain=NAME`: 2xx is a yes, all else a no.
    ///
    /// # Errors
    /// [`NotAllowed`]
    pub async fn allows(&self, name: &DnsName) -> Result<(), NotAllowed> {
        if self.refused.contains_key(name) {
            return Err(self.refusal());
        }
        let _permit = self.permits.try_acquire().map_err(|_| NotAllowed::Busy)?;
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("domain", name.as_str());
        match self.client.get(url).send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => tracing::debug!(%name, status = answer.status().as_u16(), "no certificate is allowed"),
            Err(error) => {
                let error = error.without_url();
                tracing::warn!(%name, at = self.host(), %error, "it cannot be asked whether a certificate is allowed");
            }
        }
        self.refused.insert(name.clone(), ());
        Err(self.refusal())
    }

    fn refusal(&self) -> NotAllowed {
        NotAllowed::Refused { at: self.host() }
    }

    fn host(&self) -> String {
        self.url.host_str().unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use axum::{Router, extract::RawQuery, http::StatusCode, routing::get};

    use super::*;

    /// Somebody who allows `good.example` alone, and how often he was asked.
    async fn somebody() -> (Ask, Arc<AtomicUsize>) {
        crate::tls::install_provider();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let answer = move |RawQuery(query): RawQuery| async move {
            count.fetch_add(1, Ordering::SeqCst);
            match query.as_deref() {
                Some("key=1&domain=good.example") => StatusCode::NO_CONTENT,
                Some("key=1&domain=moved.example") => StatusCode::FOUND,
                _ => StatusCode::FORBIDDEN,
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/ask?key=1", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(axum::serve(listener, Router::new().route("/ask", get(answer))).into_future());
        (Ask::new(url).unwrap(), asked)
    }

    fn dns(name: &str) -> DnsName {
        DnsName::parse(name).unwrap()
    }

    #[tokio::test]
    async fn only_a_yes_is_one_and_a_no_is_remembered() {
        let (ask, asked) = somebody().await;
        assert_eq!(ask.allows(&dns("good.example")).await, Ok(()));
        for _ in 0..3 {
            assert!(matches!(ask.allows(&dns("bad.example")).await, Err(NotAllowed::Refused { .. })));
        }
        assert!(ask.allows(&dns("moved.example")).await.is_err());
        assert_eq!(asked.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn nobody_there_is_a_no() {
        crate::tls::install_provider();
        let ask = Ask::new("http://127.0.0.1:9/".parse().unwrap()).unwrap();
        assert!(ask.allows(&dns("good.example")).await.is_err());
    }

    #[tokio::test]
    async fn beyond_the_bound_nothing_more_is_asked() {
        let (ask, asked) = somebody().await;
        let _held = ask.permits.acquire_many(16).await.unwrap();
        assert_eq!(ask.allows(&dns("good.example")).await, Err(NotAllowed::Busy));
        assert_eq!(asked.load(Ordering::SeqCst), 0);
    }
}
