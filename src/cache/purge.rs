//! Purging: by URL, by prefix, by surrogate key, or a whole site; soft or hard; at once whatever is stored, because nothing
//! that is stored is looked for. Each purge has a number, the next one, and every entry bears the number that was the newest
//! when its origin was asked ([`Stamp`]). An entry that is found is held against the purges since.
//!
//! A hit in memory that has been held against the newest purge before costs two loads. Else a few look-ups follow, in a table
//! that nobody writes to.
//!
//! `table` has the rules, `name` is what purges call a source, `tags` are surrogate keys, `stamp` is what an entry bears,
//! `format` and `journal` keep purges on disk.

mod format;
mod generation;
mod hash;
mod journal;
pub mod name;
mod stamp;
mod table;
mod tags;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use arc_swap::ArcSwap;

pub use self::{
    generation::Generation,
    stamp::Stamp,
    table::{MAX_PREFIX_LENGTHS, Mode, Standing, What},
    tags::{MAX_TAG_BYTES, MAX_TAGS, TagHash, tags_of},
};
use self::{
    hash::SiteHash,
    journal::{Found, Journal},
    table::{Purge, Table},
};
use super::key::{CacheKey, KeyHasher};
use crate::{http::time::UnixSeconds, request::key::SourceName};

/// Whether there can be entries that are older than a file of purges that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entries {
    /// No: the directory is new.
    None,
    /// Yes.
    Perhaps,
}

/// All purges of all sites.
#[derive(Debug)]
pub struct Purges {
    /// The newest of `table`, set after it: who reads a number here finds all purges up to it there.
    newest: AtomicU64,
    table: ArcSwap<Table>,
    journal: Mutex<Journal>,
}

impl Purges {
    /// Reads the purges in `directory`, of which at most `max_records` are kept apart. Where they are lost or damaged, all
    /// that is stored counts as purged: nothing that was purged is served again.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(directory: &Path, max_records: usize, entries: Entries, now: SystemTime) -> io::Result<Self> {
        let anew = |after: Generation, floor: Entries| {
            let newest = Generation::beginning_at(now).max(after.next());
            let floor = if floor == Entries::None { Generation::default() } else { newest };
            let table = Table::new(newest, floor, max_records);
            Ok::<_, io::Error>((Journal::create(directory, &table)?, table))
        };
        let (journal, table) = match journal::find(directory)? {
            Found::Nothing => {
                if entries == Entries::Perhaps {
                    warn_that_all_counts_as_purged(directory, "not there");
                }
                anew(Generation::default(), entries)?
            }
            Found::Damaged(damaged) => {
                warn_that_all_counts_as_purged(directory, "damaged");
                anew(damaged.newest, Entries::Perhaps)?
            }
            Found::Contents(contents) => {
                let mut table = Table::new(contents.newest, contents.floor, max_records);
                contents.purges.iter().for_each(|purge| table.add(purge));
                if table.is_over_full() {
                    // Fewer may be kept than before.
                    table.fold();
                    (Journal::create(directory, &table)?, table)
                } else {
                    (Journal::open(directory, contents.len)?, table)
                }
            }
        };
        let newest = AtomicU64::new(table.newest().0);
        Ok(Self { newest, table: ArcSwap::from_pointee(table), journal: Mutex::new(journal) })
    }

    /// The newest purge: the birth of what the origin is asked for from now on.
    #[must_use]
    pub fn now(&self) -> Generation {
        Generation(self.newest.load(Ordering::Acquire))
    }

    /// How an entry of `name` stands that bears `stamp`.
    #[must_use]
    pub fn standing(&self, name: SourceName<'_>, stamp: &Stamp) -> Standing {
        let newest = self.now();
        if stamp.has_passed(newest) {
            return Standing::Valid;
        }
        let standing = self.table.load().standing(&name.into(), &stamp.tags, stamp.birth);
        if standing == Standing::Valid {
            stamp.passed(newest);
        }
        standing
    }

    /// The last hard purge that had come over `name` when what bears `stamp` was asked for; 0 if none had. What was made
    /// before it is to be made anew, even of the same bytes.
    #[must_use]
    pub fn last_hard(&self, name: SourceName<'_>, stamp: &Stamp) -> Generation {
        self.table.load().last_hard(&name.into(), &stamp.tags, stamp.birth)
    }

    /// The last purge that may concern what is on its way for `name`: whoever comes after it must not be given what was asked
    /// for before it. A purge of any surrogate key of the site may.
    #[must_use]
    pub fn last(&self, name: SourceName<'_>) -> Generation {
        self.table.load().last(&name.into())
    }

    /// The key of work for `name` that has `key` by itself: another one after each purge that may concern it, so that nobody
    /// who comes after it joins work that was begun before.
    #[must_use]
    pub fn key_of_work(&self, name: SourceName<'_>, key: CacheKey) -> CacheKey {
        match self.last(name) {
            Generation(0) => key,
            last => KeyHasher::new().text("after a purge").bytes(key.as_bytes()).bytes(&last.0.to_le_bytes()).finish(),
        }
    }

    /// Purges `what` of a site, all of it as one. When it returns it holds, here and after a power cut. Blocks on the disk.
    ///
    /// # Errors
    /// What the system says; then nothing is purged.
    pub fn purge(&self, site: &str, what: &[What<'_>], mode: Mode, at: UnixSeconds) -> io::Result<Generation> {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = Table::clone(&self.table.load());
        let (site, generation) = (SiteHash::of(site), table.newest().next());
        let mut purges = Vec::with_capacity(what.len());
        for what in what {
            let purge = Purge { site, target: table.target(site, *what), mode, generation, at };
            table.add(&purge);
            purges.push(purge);
        }
        if purges.is_empty() {
            return Ok(table.newest());
        }
        let has_folded = table.is_over_full();
        if has_folded {
            table.fold();
        }
        journal.keep(&purges, &table, has_folded)?;
        self.table.store(table.into());
        self.newest.store(generation.0, Ordering::Release);
        Ok(generation)
    }

    /// How many purges are kept apart.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.load().len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// It is what keeps that from being served again which was purged.
fn warn_that_all_counts_as_purged(directory: &Path, why: &str) {
    let directory = directory.display();
    tracing::warn!(%directory, "the file of purges is {why}: all that is cached counts as purged, and is fetched anew");
}
