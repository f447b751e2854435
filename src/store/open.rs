//! Opening the database and its two ways in: one connection that writes, several that read.

use std::{path::Path, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use sqlx::{
    SqlSafeStr as _, SqlitePool,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::watch;

use super::{books::Books, error::LedgerError};
use crate::billing::Catalogue;

/// The schema, step by step: a file of `migrations/` each. Once released, none is changed. Listed by hand: the macro that
/// would do it brings a second SQLite along, for the compiler.
const MIGRATIONS: [(i64, &str, &str); 2] = [
    (1, "ledger", include_str!("../../migrations/0001_ledger.sql")),
    (2, "audit", include_str!("../../migrations/0002_audit.sql")),
];

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
        migrator().run(&writer).await.map_err(|error| match error {
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

fn migrator() -> Migrator {
    let migration = |(version, description, sql): (_, &'static str, &'static str)| {
        Migration::new(version, description.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(MIGRATIONS.map(migration).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_of_migrations_is_listed() {
        let files = std::fs::read_dir("migrations").unwrap().map(|file| file.unwrap().file_name());
        let mut files: Vec<String> = files.map(|name| name.into_string().unwrap()).collect();
        files.sort();
        let listed = MIGRATIONS.map(|(version, description, _)| format!("{version:04}_{description}.sql"));
        assert_eq!(files, listed);
    }

    /// Where one differs from what a ledger has run, the ledger is not opened any more.
    #[test]
    fn what_was_released_is_not_changed() {
        let begins = |version| {
            let migrator = migrator();
            let migration = migrator.iter().find(|migration| migration.version == version).unwrap();
            migration.checksum.iter().take(6).map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        assert_eq!(begins(1), "b3ddd36c53b3");
        assert_eq!(begins(2), "b2a3ea2ad505");
    }
}
