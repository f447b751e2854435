//! What handshakes ask for a certificate that is not there. Each name is worked at by one task, however many wait for it: it
//! looks into the store, then orders. The same tasks renew, in the background, as long as a site has the name.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::sign::CertifiedKey;
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

use super::{
    account::{Accounts, Terms},
    ask::{Ask, NotAllowed},
    blocking::{self, BlockingError},
    eligible::{Eligibility, Names},
    name::DnsName,
    order::{OrderError, Orders},
    posted::Token,
    schedule::Validity,
    store::{Store, StoreError},
    table::{Joined, NotObtained, Outcome, Table},
};
use crate::{
    clock::Clock,
    config::{Acme, ExternalAccountError},
    http::time::UnixSeconds,
    telemetry::{acme::OrderResult, metrics::Metrics},
    tls::{certificate::Certificate, challenge::Challenges, shelf::Shelf},
};

/// How long a handshake waits for a certificate. The order goes on: whoever comes again finds it.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(20);

/// Handshakes that wait at once; a further one is refused.
const MAX_WAITING: usize = 1_024;

/// Orders under way at once, renewals among them; further ones wait for their turn.
const MAX_ORDERS: usize = 16;

/// Renewals of those, so that visitors who wait have the rest.
const MAX_RENEWALS: usize = 8;

/// Certificates held, a few kilobytes each. Beyond it nothing is ordered that is not renewed.
const MAX_HELD: usize = 100_000;

/// Questions of certificate authorities that are looked up in the store at once; a further one is not answered.
const MAX_LOOK_UPS: usize = 32;

/// How often it is looked whether something is to be renewed, and how often the store is tidied.
const TICK: Duration = Duration::from_secs(1);
const TICKS_BETWEEN_TIDYING: u32 = 3_600;

/// Certificates that are read from the store before they are shown together.
const LOADED_AT_ONCE: usize = 256;

/// What certificates are issued by.
#[derive(Debug)]
pub struct Issuer {
    around: Surroundings,
    store: Arc<Store>,
    orders: Orders,
    ask: Option<Ask>,
    names: ArcSwap<Names>,
    table: Mutex<Table>,
    waiting: Semaphore,
    ordering: Semaphore,
    renewing: Arc<Semaphore>,
    looking_up: Semaphore,
}

/// What it is given of the rest.
#[derive(Debug)]
pub struct Surroundings {
    /// Where certificates are shown from.
    pub shelf: Arc<Shelf>,
    /// Where challenges are answered from.
    pub challenges: Arc<Challenges>,
    /// The time.
    pub clock: Clock,
    /// The counters.
    pub metrics: Arc<Metrics>,
}

/// Why nothing can be issued at all.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// The directory cannot be used.
    #[error("storage: {0}")]
    Store(#[from] StoreError),
    /// The external account's key cannot be used.
    #[error("eab_hmac_key: {0}")]
    ExternalAccount(#[from] ExternalAccountError),
    /// Nobody can be asked.
    #[error("ask: {0}")]
    Ask(#[from] reqwest::Error),
}

/// Why an attempt brought nothing.
#[derive(Debug, thiserror::Error)]
enum AttemptError {
    /// It was not made; that is no failure.
    #[error(transparent)]
    NotMade(#[from] NotObtained),
    #[error(transparent)]
    Order(#[from] OrderError),
    #[error(transparent)]
    Store(#[from] BlockingError),
}

/// A certificate that an attempt brought.
struct Brought {
    certificate: Certificate,
    /// When it was ordered, if the store did not have it.
    ordered_at: Option<UnixSeconds>,
}

/// Work for a name that others wait for, until this is dropped, even by a panic.
struct UnderWay {
    issuer: Arc<Issuer>,
    name: DnsName,
}

impl Issuer {
    /// An issuer that keeps what it gets in the configured directory, or below `data_dir`.
    ///
    /// # Errors
    /// [`IssuerError`]
    pub fn open(config: &Acme, data_dir: &Path, around: Surroundings) -> Result<Arc<Self>, IssuerError> {
        let root = config.storage.clone().unwrap_or_else(|| data_dir.join("certificates"));
        let store = Arc::new(Store::open(&root, &config.directory)?);
        let terms = Terms {
            directory: config.directory.clone(),
            ca_root: config.ca_root.clone(),
            contact: config.contact.as_ref().map(|address| format!("mailto:{address}")),
            external: config.external_account()?,
        };
        let accounts = Accounts::new(terms, Arc::clone(&store));
        let orders =
            Orders::new(accounts, Arc::clone(&store), Arc::clone(&around.challenges), config.challenges.clone());
        Ok(Arc::new(Self {
            around,
            store,
            orders,
            ask: config.ask.clone().map(Ask::new).transpose()?,
            names: ArcSwap::default(),
            table: Mutex::default(),
            waiting: Semaphore::new(MAX_WAITING),
            ordering: Semaphore::new(MAX_ORDERS),
            renewing: Arc::new(Semaphore::new(MAX_RENEWALS)),
            looking_up: Semaphore::new(MAX_LOOK_UPS),
        }))
    }

    /// Takes the names in that certificates may be ordered for from now on, and drops the certificates of others.
    pub fn set_names(&self, names: Names) {
        self.names.store(Arc::new(names));
        self.drop_unwanted();
    }

    /// The certificate for a name (lower case, no trailing dot), from the store or ordered now.
    ///
    /// # Errors
    /// [`NotObtained`]
    pub async fn obtain(self: &Arc<Self>, name: &str) -> Result<Arc<Certificate>, NotObtained> {
        let name = DnsName::parse(name).filter(|name| self.is_eligible(name)).ok_or(NotObtained::NotEligible)?;
        let _waiting = self.waiting.try_acquire().map_err(|_| NotObtained::Busy)?;
        let mut outcome = self.begin(&name, || {})?;
        match timeout(HANDSHAKE_PATIENCE, outcome.wait_for(Option::is_some)).await {
            Ok(Ok(outcome)) => outcome.clone().unwrap_or(Err(NotObtained::TakesLonger)),
            Ok(Err(_)) => Err(NotObtained::Failed("the task that ordered it is gone".into())),
            Err(_) => Err(NotObtained::TakesLonger),
        }
    }

    /// What another node has posted as the answer to a token over HTTP.
    pub async fn posted_answer(&self, token: &str) -> Option<String> {
        Token::parse(token)?;
        let _turn = self.looking_up.try_acquire().ok()?;
        let (store, token) = (Arc::clone(&self.store), token.to_owned());
        let found = blocking::run(move || match Token::parse(&token) {
            Some(token) => store.posted_answer(&token),
            None => Ok(None),
        });
        told(found.await).flatten()
    }

    /// What another node has posted to be shown in a handshake for the challenge of a name.
    pub async fn posted_proof(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let name = DnsName::parse(name).filter(|name| self.is_eligible(name))?;
        let _turn = self.looking_up.try_acquire().ok()?;
        let store = Arc::clone(&self.store);
        let found = blocking::run(move || store.posted_proof(&name)).await;
        told(found).flatten().map(|proof| proof.key)
    }

    /// Shows what the store has, and renews what sites have, as long as it is polled.
    pub async fn run(self: Arc<Self>) {
        told(self.load().await);
        for tick in 0u32.. {
            if tick.is_multiple_of(TICKS_BETWEEN_TIDYING) {
                let store = Arc::clone(&self.store);
                told(blocking::run(move || store.tidy()).await);
            }
            self.renew();
            tokio::time::sleep(TICK).await;
        }
    }

    fn is_eligible(&self, name: &DnsName) -> bool {
        match self.names.load().eligibility(name) {
            Eligibility::Listed => true,
            Eligibility::ByPattern => self.ask.is_some(),
            Eligibility::No => false,
        }
    }

    /// Joins the work for a name, or begins it. Where it is begun, `with` is dropped when it is over.
    fn begin<G: Send + 'static>(
        self: &Arc<Self>,
        name: &DnsName,
        with: G,
    ) -> Result<watch::Receiver<Outcome>, NotObtained> {
        match self.table().join(name)? {
            Joined::Follows(outcome) => Ok(outcome),
            Joined::Leads(sender, outcome) => {
                let under_way = UnderWay { issuer: Arc::clone(self), name: name.clone() };
                tokio::spawn(async move {
                    let result = under_way.issuer.bring(&under_way.name).await;
                    // Over before it is told: whoever hears of a failure may begin anew.
                    drop((under_way, with));
                    sender.send_replace(Some(result));
                });
                Ok(outcome)
            }
        }
    }

    /// Brings a certificate onto the shelf, and keeps account of how that went.
    async fn bring(&self, name: &DnsName) -> Result<Arc<Certificate>, NotObtained> {
        let is_renewed = self.table().holds(name);
        match self.attempt(name).await {
            Ok(Brought { certificate, ordered_at }) => {
                let certificate = Arc::new(certificate);
                self.put(vec![(name.clone(), Arc::clone(&certificate))], ordered_at);
                let until =
                    httpdate::HttpDate::from(std::time::UNIX_EPOCH + Duration::from_secs(certificate.not_after.0));
                tracing::info!(%name, is_renewed, %until, "a certificate is there");
                Ok(certificate)
            }
            Err(AttemptError::NotMade(why)) => {
                tracing::debug!(%name, %why, "no certificate was ordered");
                if let NotObtained::NotAllowed(NotAllowed::Refused { .. }) = why {
                    self.table().disallow(name, self.around.clock.now());
                    self.drop_unwanted();
                }
                Err(why)
            }
            Err(error) => {
                self.around.metrics.acme.observe(OrderResult::Failed);
                let now = self.around.clock.now();
                let until = self.table().fail(name, now);
                let next_attempt_seconds = until.since(now);
                tracing::error!(%name, %error, is_renewed, next_attempt_seconds, "a certificate could not be obtained");
                Err(NotObtained::Failed(error.to_string().into()))
            }
        }
    }

    async fn attempt(&self, name: &DnsName) -> Result<Brought, AttemptError> {
        if let Some(certificate) = self.stored(name).await? {
            return Ok(Brought { certificate, ordered_at: None });
        }
        let now = self.around.clock.now();
        {
            let table = self.table();
            table.may_try(name, now)?;
            if table.held() >= MAX_HELD && !table.holds(name) {
                return Err(NotObtained::Busy.into());
            }
        }
        self.ask_if_needed(name).await?;
        // Whoever has a turn keeps it no longer than a lock is waited for and an order may take.
        let _turn = self.ordering.acquire().await;
        let store = Arc::clone(&self.store);
        let locked = name.clone();
        let _lock = blocking::lock(move || store.try_lock(&locked)).await?;
        // Another node may have had the lock to put it there.
        if let Some(certificate) = self.stored(name).await? {
            return Ok(Brought { certificate, ordered_at: None });
        }
        let issued = self.orders.order(name).await?;
        self.around.metrics.acme.observe(OrderResult::Issued);
        let (store, kept) = (Arc::clone(&self.store), name.clone());
        if let Err(error) = blocking::run(move || store.keep(&kept, &issued.chain, &issued.key)).await {
            tracing::error!(%name, %error, "a certificate cannot be kept: it is shown, and ordered again after a restart");
        }
        Ok(Brought { certificate: issued.certificate, ordered_at: Some(self.around.clock.now()) })
    }

    /// The store's certificate, if it is not the one that is held already, which is here because it is due by its own jitter,
    /// and not due itself. Where none is held, one that is due will do: it is shown, and then renewed like others.
    async fn stored(&self, name: &DnsName) -> Result<Option<Certificate>, BlockingError> {
        let (store, kept) = (Arc::clone(&self.store), name.clone());
        let found = blocking::run(move || store.certificate(&kept)).await?;
        let now = self.around.clock.now();
        // Nodes draw different jitters: what one has renewed early is not due by the other's.
        let held_until = self.table().validity(name).map(|held| held.not_after);
        Ok(found.filter(|found| match held_until {
            None => found.is_valid_at(now),
            Some(held_until) => held_until < found.not_after && now < validity_of(found).renew_at(0),
        }))
    }

    async fn ask_if_needed(&self, name: &DnsName) -> Result<(), NotObtained> {
        let eligibility = self.names.load().eligibility(name);
        match (eligibility, &self.ask) {
            (Eligibility::Listed, _) => Ok(()),
            (Eligibility::ByPattern, Some(ask)) => ask.allows(name).await.map_err(NotAllowed::into),
            (Eligibility::ByPattern, None) | (Eligibility::No, _) => Err(NotObtained::NotEligible),
        }
    }

    /// Shows certificates, and notes when they are renewed.
    fn put(&self, certificates: Vec<(DnsName, Arc<Certificate>)>, ordered_at: Option<UnixSeconds>) {
        {
            let mut table = self.table();
            for (name, certificate) in &certificates {
                // Without randomness they are renewed at the latest time that is right.
                table.hold(name, validity_of(certificate), ordered_at, getrandom::u64().unwrap_or(0));
            }
        }
        let shown = certificates.into_iter().map(|(name, certificate)| (name.as_str().into(), certificate));
        self.around.shelf.put_all_issued(shown);
        // A site may have lost the name meanwhile.
        self.drop_unwanted();
    }

    fn drop_unwanted(&self) {
        let mut table = self.table();
        table.keep(|name| self.is_eligible(name));
        self.around.shelf.keep_issued(|name| DnsName::parse(name).is_some_and(|name| table.holds(&name)));
        self.around.metrics.acme.held.set(i64::try_from(table.held()).unwrap_or(i64::MAX));
    }

    /// Shows all that the store has for names that sites have. What has expired is shown too: it is renewed at once.
    async fn load(self: &Arc<Self>) -> Result<(), BlockingError> {
        let issuer = Arc::clone(self);
        blocking::run(move || {
            let names = issuer.store.names()?.filter(|name| issuer.is_eligible(name)).take(MAX_HELD);
            let mut batch = Vec::new();
            for name in names {
                match issuer.store.certificate(&name) {
                    Ok(Some(certificate)) => batch.push((name, Arc::new(certificate))),
                    Ok(None) => {}
                    Err(error) => tracing::error!(%name, %error, "a stored certificate cannot be read"),
                }
                if batch.len() == LOADED_AT_ONCE {
                    issuer.put(std::mem::take(&mut batch), None);
                }
            }
            issuer.put(batch, None);
            Ok(())
        })
        .await
    }

    /// Begins to renew what is due.
    fn renew(self: &Arc<Self>) {
        let now = self.around.clock.now();
        let is_ours = |name: &DnsName| !self.around.shelf.is_covered_by_files(name.as_str(), now);
        let due = self.table().due(now, MAX_RENEWALS, is_ours);
        for name in due {
            let Ok(turn) = Arc::clone(&self.renewing).try_acquire_owned() else { return };
            if let Err(why) = self.begin(&name, turn) {
                tracing::debug!(%name, %why, "a renewal waits");
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Whoever panicked left whole entries behind.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.issuer.table().leave(&self.name);
    }
}

fn validity_of(certificate: &Certificate) -> Validity {
    Validity { not_before: certificate.not_before, not_after: certificate.not_after }
}

/// What was found, where an error has no one else to be told to.
fn told<T>(result: Result<T, BlockingError>) -> Option<T> {
    result.map_err(|error| tracing::error!(%error, "the certificates' store")).ok()
}
