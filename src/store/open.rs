//! Opening the database and its two ways in: one connection that writes, several that read.

use std::{path::Path, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use sqlx::{
    SqlitePool,
    migrate::MigrateError,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::watch;

use super::{books::Books, error::LedgerError};
use crate::billing::Catalogue;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Readers at once; further ones wait.
const READERS: u32 = 4;

/// Takes the lock at once: what is read before the first change is what is changed.
const BEGIN: &str = "BEGIN IMMEDIATE";

/// How long a connection waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_millis(500);

/// How long anyone waits for his turn at a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// When a commit is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// When it is on the disk: a power cut loses nothing.
    Disk,
    /// When the system has it: the process may be killed, the machine may not. For tests.
    Process,
}

/// The ledger.
#[derive(Debug)]
pub struct Ledger {
    pub(super) writer: SqlitePool,
    pub(super) readers: SqlitePool,
    catalogue: ArcSwap<Catalogue>,
    /// Goes up whenever a site may have become able to pay again, or rated in another way.
    changes: watch::Sender<u64>,
}

impl Ledger {
    /// Opens or makes the database in `path` and brings it up to this version's schema.
    ///
    /// # Errors
    /// Where the file cannot be used, or a later version has written it.
    pub async fn open(path: &Path, catalogue: Catalogue, durability: Durability) -> Result<Self, LedgerError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(match durability {
                Durability::Disk => SqliteSynchronous::Full,
                Durability::Process => SqliteSynchronous::Off,
            })
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = || SqlitePoolOptions::new().acquire_timeout(ACQUIRE_TIMEOUT);
        let writer = pool().max_connections(1).connect_with(options.clone()).await?;
        MIGRATIONS.run(&writer).await.map_err(|error| match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => LedgerError::from(error),
            error => LedgerError::Damaged(error.to_string()),
        })?;
        let readers = pool().max_connections(READERS).connect_with(options.read_only(true)).await?;
        let (changes, _) = watch::channel(0);
        Ok(Self { writer, readers, catalogue: ArcSwap::from_pointee(catalogue), changes })
    }

    /// Closes all connections, those in use when they are given back.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// The plans in effect.
    #[must_use]
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.catalogue.load_full()
    }

    /// Puts another catalogue in its place.
    pub fn set_catalogue(&self, catalogue: Catalogue) {
        self.catalogue.store(Arc::new(catalogue));
        self.changes.send_modify(|count| *count += 1);
    }

    /// Tells of changes made through this process after which a site may be able to pay again, or is rated in another
    /// way.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Begins a change: everything until [`Books::commit`] happens, or nothing of it.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    pub(super) async fn begin(&self) -> Result<Books<'_>, LedgerError> {
        let transaction = match self.writer.begin_with(BEGIN).await {
            // A full disk made SQLite end the last transaction by itself, and the connection still counts on it: it would
            // never begin another.
            Err(sqlx::Error::InvalidSavePointStatement) => {
                self.writer.acquire().await?.close().await?;
                self.writer.begin_with(BEGIN).await?
            }
            begun => begun?,
        };
        Ok(Books::new(transaction, &self.changes))
    }
}
