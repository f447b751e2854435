//! What a node has counted, and what the egress of all nodes came to (`billing.md` rules 1, 2): read at once for the sites of
//! a call, brought forward in memory, written at once.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use sqlx::{Row as _, SqliteConnection};

use super::{
    counters::Counted,
    error::LedgerError,
    payers::names,
    periods::parsed,
    usage::{Usage, to_integer},
};
use crate::billing::{BytesPerCredit, Microcredits, SiteId};

/// A node's counts of the sites of a call.
pub(super) struct Counts<'n> {
    node: &'n str,
    known: HashMap<SiteId, Count>,
    changed: HashSet<SiteId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Count {
    egress_bytes: i64,
    requests: i64,
    saved_bytes: i64,
}

impl<'n> Counts<'n> {
    pub(super) async fn load(
        db: &mut SqliteConnection,
        node: &'n str,
        counted: &[Counted],
    ) -> Result<Self, LedgerError> {
        let rows = sqlx::query(
            "SELECT counted.site, egress_bytes, requests, saved_bytes \
             FROM (SELECT DISTINCT value FROM json_each(?2)) AS named \
             CROSS JOIN counted ON counted.node = ?1 AND counted.site = named.value",
        )
        .bind(node)
        .bind(names(counted.iter().map(|counted| &counted.site)))
        .fetch_all(db)
        .await?;
        let mut known = HashMap::new();
        for row in rows {
            let count = Count {
                egress_bytes: row.try_get("egress_bytes")?,
                requests: row.try_get("requests")?,
                saved_bytes: row.try_get("saved_bytes")?,
            };
            known.insert(parsed(row.try_get("site")?)?, count);
        }
        Ok(Self { node, known, changed: HashSet::new() })
    }

    /// Takes in a count. Returns what is new in it; each counter that is not higher than it was changes nothing.
    pub(super) fn take_in(&mut self, counted: &Counted) -> Usage {
        let before = self.known.get(&counted.site).copied().unwrap_or_default();
        let after = Count {
            egress_bytes: before.egress_bytes.max(to_integer(counted.egress_bytes)),
            requests: before.requests.max(to_integer(counted.requests)),
            saved_bytes: before.saved_bytes.max(to_integer(counted.saved_bytes)),
        };
        if after != before {
            self.known.insert(counted.site.clone(), after);
            self.changed.insert(counted.site.clone());
        }
        Usage {
            egress_bytes: after.egress_bytes.abs_diff(before.egress_bytes),
            requests: after.requests.abs_diff(before.requests),
            saved_bytes: after.saved_bytes.abs_diff(before.saved_bytes),
            ..Usage::default()
        }
    }

    pub(super) async fn write(self, db: &mut SqliteConnection) -> Result<(), LedgerError> {
        let changed = self.known.iter().filter(|(site, _)| self.changed.contains(*site));
        let rows: Vec<Value> = changed
            .map(|(site, count)| json!([site.as_str(), count.egress_bytes, count.requests, count.saved_bytes]))
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO counted (node, site, egress_bytes, requests, saved_bytes) \
             SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?2) WHERE true \
             ON CONFLICT (node, site) DO UPDATE SET \
             egress_bytes = excluded.egress_bytes, requests = excluded.requests, saved_bytes = excluded.saved_bytes",
        )
        .bind(self.node)
        .bind(Value::from(rows).to_string())
        .execute(db)
        .await?;
        Ok(())
    }
}

/// All egress of the sites of a call, at each rate that they had.
pub(super) struct Rated {
    known: HashMap<(SiteId, BytesPerCredit), RatedBytes>,
    changed: HashSet<(SiteId, BytesPerCredit)>,
}

/// Egress at one rate. Its whole cost is charged or written off.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RatedBytes {
    pub(super) bytes: i64,
    charged: Microcredits,
    written_off: Microcredits,
}

impl Rated {
    pub(super) async fn load(db: &mut SqliteConnection, counted: &[Counted]) -> Result<Self, LedgerError> {
        let rows = sqlx::query(
            "SELECT rated.site, bytes_per_credit, bytes, charged, written_off \
             FROM (SELECT DISTINCT value FROM json_each(?)) AS named CROSS JOIN rated ON rated.site = named.value",
        )
        .bind(names(counted.iter().map(|counted| &counted.site)))
        .fetch_all(db)
        .await?;
        let mut known = HashMap::new();
        for row in rows {
            let rate = row.try_get::<i64, _>("bytes_per_credit")?.unsigned_abs();
            let rate = rate.try_into().map_err(|_| LedgerError::Damaged("a rate of no bytes".to_owned()))?;
            let rated = RatedBytes {
                bytes: row.try_get("bytes")?,
                charged: Microcredits::new(row.try_get("charged")?),
                written_off: Microcredits::new(row.try_get("written_off")?),
            };
            known.insert((parsed(row.try_get("site")?)?, BytesPerCredit(rate)), rated);
        }
        Ok(Self { known, changed: HashSet::new() })
    }

    /// Adds bytes at a rate. Returns all that there are at it, and what of their cost is neither charged nor written off:
    /// [`Self::settle`] is to follow.
    pub(super) fn add(&mut self, site: &SiteId, rate: BytesPerCredit, bytes: u64) -> (i64, Microcredits) {
        let key = (site.clone(), rate);
        let rated = self.known.entry(key.clone()).or_default();
        rated.bytes = rated.bytes.saturating_add(to_integer(bytes));
        self.changed.insert(key);
        let cost = rate.cost(rated.bytes.unsigned_abs());
        (rated.bytes, cost.less(rated.charged).less(rated.written_off))
    }

    /// Notes what became of what was due.
    pub(super) fn settle(
        &mut self,
        site: &SiteId,
        rate: BytesPerCredit,
        charged: Microcredits,
        written_off: Microcredits,
    ) -> Result<(), LedgerError> {
        let rated = self.known.entry((site.clone(), rate)).or_default();
        rated.charged = rated.charged.plus(charged)?;
        rated.written_off = rated.written_off.plus(written_off)?;
        Ok(())
    }

    pub(super) async fn write(self, db: &mut SqliteConnection) -> Result<(), LedgerError> {
        let changed = self.known.iter().filter(|(key, _)| self.changed.contains(*key));
        let rows: Vec<Value> = changed
            .map(|((site, rate), rated)| {
                let (charged, written_off) = (rated.charged.get(), rated.written_off.get());
                json!([site.as_str(), to_integer(rate.0.get()), rated.bytes, charged, written_off])
            })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO rated (site, bytes_per_credit, bytes, charged, written_off) \
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?) WHERE true \
             ON CONFLICT (site, bytes_per_credit) DO UPDATE SET \
             bytes = excluded.bytes, charged = excluded.charged, written_off = excluded.written_off",
        )
        .bind(Value::from(rows).to_string())
        .execute(db)
        .await?;
        Ok(())
    }
}
