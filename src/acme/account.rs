//! Who orders: the account at the CA, made once, kept, and shared by all nodes that share the directory.

use std::{path::PathBuf, sync::Arc};

use instant_acme::{Account, AccountBuilder, AccountCredentials, ExternalAccountKey, NewAccount};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use super::{
    blocking::{self, BlockingError},
    store::Store,
};

/// The account.
pub struct Accounts {
    terms: Terms,
    store: Arc<Store>,
    /// Held while it is found or made: who comes meanwhile has use for nothing else.
    account: Mutex<Option<Account>>,
}

/// What an account is made with.
pub struct Terms {
    /// The CA.
    pub directory: Url,
    /// The file of the certificate that the CA's own is checked by; the system's if there is none.
    pub ca_root: Option<PathBuf>,
    /// Where the CA may write to, as a URL.
    pub contact: Option<String>,
    /// Where the CA knows its customers otherwise (RFC 8555, 7.3.4).
    pub external: Option<ExternalAccountKey>,
}

/// Why there is no account.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The CA gives none, or cannot be reached.
    #[error("the account: {0}")]
    Acme(#[from] instant_acme::Error),
    /// It cannot be kept.
    #[error(transparent)]
    Store(#[from] BlockingError),
    /// It cannot be written down.
    #[error("the account cannot be written: {0}")]
    Unwritable(#[from] serde_json::Error),
}

/// Which account a file is about.
#[derive(Deserialize)]
struct Kept {
    id: String,
}

impl Accounts {
    /// The account at one CA.
    #[must_use]
    pub fn new(terms: Terms, store: Arc<Store>) -> Self {
        Self { terms, store, account: Mutex::new(None) }
    }

    /// The account: the one that is kept, or one that is made now.
    ///
    /// # Errors
    /// [`AccountError`]
    pub async fn get(&self) -> Result<Account, AccountError> {
        let mut account = self.account.lock().await;
        if let Some(account) = &*account {
            return Ok(account.clone());
        }
        Ok(account.insert(self.find_or_make().await?).clone())
    }

    /// Lets go of an account that the CA does not know any more, so that another one is made.
    ///
    /// # Errors
    /// [`AccountError`]
    pub async fn forget(&self, id: &str) -> Result<(), AccountError> {
        let mut account = self.account.lock().await;
        // Another order, or another node, may have put a new one in its place.
        account.take_if(|account| account.id() == id);
        let store = Arc::clone(&self.store);
        let id = id.to_owned();
        blocking::run(move || {
            let kept = store.account()?.and_then(|text| serde_json::from_slice::<Kept>(&text).ok());
            if kept.is_some_and(|kept| kept.id == id) { store.set_account_aside() } else { Ok(()) }
        })
        .await?;
        Ok(())
    }

    async fn find_or_make(&self) -> Result<Account, AccountError> {
        if let Some(account) = self.find().await? {
            return Ok(account);
        }
        let store = Arc::clone(&self.store);
        let _lock = blocking::lock(move || store.try_lock_account()).await?;
        if let Some(account) = self.find().await? {
            return Ok(account);
        }
        self.make().await
    }

    async fn find(&self) -> Result<Option<Account>, AccountError> {
        let store = Arc::clone(&self.store);
        let Some(text) = blocking::run(move || store.account()).await? else { return Ok(None) };
        let read = match serde_json::from_slice::<AccountCredentials>(&text) {
            Ok(credentials) => self.builder()?.from_credentials(credentials).await,
            Err(error) => Err(error.into()),
        };
        match read {
            Ok(account) => Ok(Some(account)),
            Err(error) if !is_of_stored(&error) => Err(error.into()),
            Err(error) => {
                tracing::error!(%error, "the stored ACME account cannot be read; it is set aside and another one made");
                let store = Arc::clone(&self.store);
                blocking::run(move || store.set_account_aside()).await?;
                Ok(None)
            }
        }
    }

    async fn make(&self) -> Result<Account, AccountError> {
        let Terms { directory, contact, external, .. } = &self.terms;
        let contact: Vec<&str> = contact.as_deref().into_iter().collect();
        let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let (account, credentials) = self.builder()?.create(&new, directory.to_string(), external.as_ref()).await?;
        let text = serde_json::to_vec(&credentials)?;
        let store = Arc::clone(&self.store);
        blocking::run(move || store.keep_account(&text)).await?;
        tracing::info!(ca = %directory, account = account.id(), "an ACME account was made");
        Ok(account)
    }

    fn builder(&self) -> Result<AccountBuilder, instant_acme::Error> {
        match &self.terms.ca_root {
            Some(file) => Account::builder_with_root(file),
            None => Account::builder(),
        }
    }
}

impl std::fmt::Debug for Accounts {
    /// Without keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accounts").field("directory", &self.terms.directory).finish_non_exhaustive()
    }
}

/// Whether it is what was stored that is wrong, and not the network or the authority.
const fn is_of_stored(error: &instant_acme::Error) -> bool {
    use instant_acme::Error;
    matches!(error, Error::Json(_) | Error::KeyRejected | Error::Crypto | Error::Str(_))
}
