//! The store's files from asynchronous code: on threads that may block, and with a bound where there is something to wait for.

use std::time::{Duration, Instant};

use super::store::{Lock, StoreError};

/// How long another node may take that orders. Its order takes less; if it is killed, the system takes the lock from it.
const LOCK_PATIENCE: Duration = Duration::from_secs(150);

/// How often it is looked whether it is done.
const LOCK_POLL: Duration = Duration::from_millis(250);

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum BlockingError {
    /// The store has none.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The thread is gone.
    #[error("the store could not be used: {0}")]
    Gone(#[from] tokio::task::JoinError),
    /// Somebody else has been ordering all the time.
    #[error("another node has been ordering for {LOCK_PATIENCE:?}")]
    LockedOut,
}

/// Does something with the store.
///
/// # Errors
/// [`BlockingError`]
pub async fn run<T, F>(work: F) -> Result<T, BlockingError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, StoreError> + Send + 'static,
{
    Ok(tokio::task::spawn_blocking(work).await??)
}

/// Waits for a lock.
///
/// # Errors
/// [`BlockingError`]
pub async fn lock<F>(attempt: F) -> Result<Lock, BlockingError>
where
    F: Fn() -> Result<Option<Lock>, StoreError> + Clone + Send + 'static,
{
    let since = Instant::now();
    loop {
        if let Some(lock) = run(attempt.clone()).await? {
            return Ok(lock);
        }
        if since.elapsed() > LOCK_PATIENCE {
            return Err(BlockingError::LockedOut);
        }
        tokio::time::sleep(LOCK_POLL).await;
    }
}
