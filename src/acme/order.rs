//! One order: the CA says what is to be shown, asks for it, and signs a new key (RFC 8555, 7.4).

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use instant_acme::{
    Account, ChallengeHandle, ChallengeType, Identifier, KeyAuthorization, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::{
    account::{AccountError, Accounts},
    blocking::{self, BlockingError},
    name::DnsName,
    posted::{Posted, Token},
    proof::{Proof, ProofError},
    store::Store,
};
use crate::{
    config::ChallengeKind,
    tls::{
        certificate::{Certificate, CertificateError},
        challenge::{Answered, Challenges, TooManyChallenges},
    },
};

/// How long an order may take, all its challenges together.
const DEADLINE: Duration = Duration::from_secs(120);

/// How the CA is asked whether it is done: soon at first, for a visitor waits.
const POLLING: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(100)).backoff(1.5).timeout(Duration::from_secs(60));

const UNKNOWN_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

/// Makes orders.
#[derive(Debug)]
pub struct Orders {
    accounts: Accounts,
    store: Arc<Store>,
    challenges: Arc<Challenges>,
    kinds: Vec<ChallengeKind>,
    /// Which of them is tried first: the one that worked last.
    first: AtomicUsize,
}

/// What an order brings.
#[derive(Debug)]
pub struct Issued {
    /// It, as it is shown.
    pub certificate: Certificate,
    /// Its chain, as PEM.
    pub chain: String,
    /// Its key, as PEM.
    pub key: String,
}

/// Why an order brings nothing.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// There is nobody to order.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The CA says no, or cannot be reached.
    #[error("{0}")]
    Acme(#[from] instant_acme::Error),
    /// The CA did not see what it wanted to see.
    #[error("{kind}: {why}")]
    NotValidated {
        /// What it asked for.
        kind: ChallengeKind,
        /// What it said of it.
        why: String,
    },
    /// Too much is being shown to CAs.
    #[error(transparent)]
    TooMany(#[from] TooManyChallenges),
    /// A challenge's certificate could not be made.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// What is to be shown could not be put where other nodes see it.
    #[error(transparent)]
    Store(#[from] BlockingError),
    /// The key could not be made.
    #[error("a new key could not be made: {0}")]
    Key(#[from] rcgen::Error),
    /// What the CA sent is not what was ordered.
    #[error("what the CA sent cannot be shown: {0}")]
    Unusable(#[from] CertificateError),
    /// Likewise.
    #[error("what the CA sent is not for this name")]
    OtherName,
    /// It took too long.
    #[error("it was not done within {DEADLINE:?}")]
    TimedOut,
}

/// A challenge that is shown, here and by other nodes, until this is dropped.
struct Shown {
    _here: Answered,
    _elsewhere: Posted,
}

impl Orders {
    /// Orders of an account.
    #[must_use]
    pub fn new(accounts: Accounts, store: Arc<Store>, challenges: Arc<Challenges>, kinds: Vec<ChallengeKind>) -> Self {
        Self { accounts, store, challenges, kinds, first: AtomicUsize::new(0) }
    }

    /// Orders a certificate for one name. Where the CA does not see one kind of challenge, the next one is tried.
    ///
    /// # Errors
    /// [`OrderError`], of the last attempt.
    pub async fn order(&self, name: &DnsName) -> Result<Issued, OrderError> {
        // Boxed: it is large, and only few are under way.
        let attempts = Box::pin(self.try_kinds(name));
        tokio::time::timeout(DEADLINE, attempts).await.unwrap_or(Err(OrderError::TimedOut))
    }

    async fn try_kinds(&self, name: &DnsName) -> Result<Issued, OrderError> {
        let first = self.first.load(Ordering::Relaxed);
        let mut failed = OrderError::TimedOut;
        for step in 0..self.kinds.len() {
            let position = (first + step) % self.kinds.len();
            match self.try_kind(name, self.kinds[position]).await {
                Ok(issued) => {
                    self.first.store(position, Ordering::Relaxed);
                    return Ok(issued);
                }
                Err(error @ OrderError::NotValidated { .. }) => {
                    tracing::warn!(%name, %error, "the certificate authority did not see its challenge");
                    failed = error;
                }
                Err(error) => return Err(error),
            }
        }
        Err(failed)
    }

    /// An account that the CA has lost is made again, once.
    async fn try_kind(&self, name: &DnsName, kind: ChallengeKind) -> Result<Issued, OrderError> {
        let account = self.accounts.get().await?;
        match self.order_as(&account, name, kind).await {
            Err(OrderError::Acme(error)) if is_about_unknown_account(&error) => {
                tracing::warn!(account = account.id(), "the certificate authority does not know the account any more");
                self.accounts.forget(account.id()).await?;
                self.order_as(&self.accounts.get().await?, name, kind).await
            }
            result => result,
        }
    }

    async fn order_as(&self, account: &Account, name: &DnsName, kind: ChallengeKind) -> Result<Issued, OrderError> {
        let identifiers = [Identifier::Dns(name.as_str().to_owned())];
        let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
        let shown = self.show(&mut order, name, kind).await?;
        let not_validated = |why: String| OrderError::NotValidated { kind, why };
        match order.poll_ready(&POLLING).await {
            Ok(OrderStatus::Ready) => {}
            Ok(_) => return Err(not_validated(reason(&mut order).await)),
            Err(instant_acme::Error::Api(problem)) => return Err(not_validated(problem.to_string())),
            Err(error) => return Err(error.into()),
        }
        drop(shown);
        finish(&mut order, name).await
    }

    /// Shows what the CA wants to see and tells it so; nothing where it has seen it before and remembers.
    async fn show(&self, order: &mut Order, name: &DnsName, kind: ChallengeKind) -> Result<Option<Shown>, OrderError> {
        let mut shown = None;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status != instant_acme::AuthorizationStatus::Pending {
                continue;
            }
            let Some(mut challenge) = authorization.challenge(acme_type(kind)) else {
                return Err(OrderError::NotValidated { kind, why: "the CA does not offer it".to_owned() });
            };
            shown = Some(self.show_one(&challenge, name, kind).await?);
            challenge.set_ready().await?;
        }
        Ok(shown)
    }

    async fn show_one(
        &self,
        challenge: &ChallengeHandle<'_>,
        name: &DnsName,
        kind: ChallengeKind,
    ) -> Result<Shown, OrderError> {
        let authorization = challenge.key_authorization();
        let store = Arc::clone(&self.store);
        match kind {
            ChallengeKind::Http01 => {
                let token = challenge.token.clone();
                let here = self.challenges.answer(&token, authorization.as_str())?;
                let text = authorization.as_str().to_owned();
                let elsewhere = blocking::run(move || match Token::parse(&token) {
                    Some(token) => store.post_answer(&token, &text).map(Some),
                    None => Ok(None),
                });
                let unfit = || OrderError::NotValidated { kind, why: "the CA's token is none".to_owned() };
                Ok(Shown { _here: here, _elsewhere: elsewhere.await?.ok_or_else(unfit)? })
            }
            ChallengeKind::TlsAlpn01 => {
                let proof = Proof::new(name, &digest(&authorization))?;
                let here = self.challenges.show(name.as_str(), Arc::clone(&proof.key))?;
                let name = name.clone();
                let elsewhere = blocking::run(move || store.post_proof(&name, &proof)).await?;
                Ok(Shown { _here: here, _elsewhere: elsewhere })
            }
        }
    }
}

/// Has a new key signed.
async fn finish(order: &mut Order, name: &DnsName) -> Result<Issued, OrderError> {
    let mut params = CertificateParams::new([name.as_str().to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    // ECDSA over P-256: what all browsers know, and cheap to sign with.
    let key = KeyPair::generate()?;
    let request = params.serialize_request(&key)?;
    order.finalize_csr(request.der()).await?;
    let chain = order.poll_certificate(&POLLING).await?;
    let key = key.serialize_pem();
    let certificate = Certificate::from_pem(chain.as_bytes(), key.as_bytes())?;
    if !certificate.covers(name.as_str()) {
        return Err(OrderError::OtherName);
    }
    Ok(Issued { certificate, chain, key })
}

fn acme_type(kind: ChallengeKind) -> ChallengeType {
    match kind {
        ChallengeKind::Http01 => ChallengeType::Http01,
        ChallengeKind::TlsAlpn01 => ChallengeType::TlsAlpn01,
    }
}

/// What the CA said of the challenge that it did not see.
async fn reason(order: &mut Order) -> String {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if let Ok(state) = authorization.refresh().await
            && let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref())
        {
            return problem.to_string();
        }
    }
    "the CA gives no reason".to_owned()
}

fn digest(authorization: &KeyAuthorization) -> [u8; 32] {
    let digest = authorization.digest();
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(digest.as_ref()).for_each(|(byte, of)| *byte = *of);
    bytes
}

fn is_about_unknown_account(error: &instant_acme::Error) -> bool {
    matches!(error, instant_acme::Error::Api(problem) if problem.r#type.as_deref() == Some(UNKNOWN_ACCOUNT))
}
