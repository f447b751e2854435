//! Leases: what nodes may use up before they ask again. All that hold on one purse are together never more than it has
//! (`billing::lease`).

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::{Row as _, SqliteConnection};

use super::{error::LedgerError, payer::SiteRow, payers::names, periods::parsed, usage::whole_second_from};
use crate::billing::{AccountId, Kind, LedgerAccount, Microcredits, SiteId, lease};

/// A node's leases, and those of all nodes on the same purses.
pub(super) struct Leases<'n> {
    node: &'n str,
    now: Timestamp,
    /// What holds on each purse: sites without an allocation share their account's, any other has its own.
    held: HashMap<LedgerAccount, Microcredits>,
    own: HashMap<SiteId, Lease>,
    written: HashMap<SiteId, Lease>,
}

/// None is one of nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Lease {
    amount: Microcredits,
    /// Unix seconds.
    until: i64,
}

impl Lease {
    fn holds(self, now: Timestamp) -> bool {
        self.until > now.as_second()
    }
}

impl<'n> Leases<'n> {
    /// Reads those of all sites of some accounts.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    pub(super) async fn load<'a>(
        db: &mut SqliteConnection,
        node: &'n str,
        accounts: impl Iterator<Item = &'a AccountId>,
        now: Timestamp,
    ) -> Result<Self, LedgerError> {
        let rows = sqlx::query(
            "SELECT lease.node, lease.site, lease.amount, lease.until, site.account, \
             site.allocation_monthly IS NOT NULL AS is_allocated \
             FROM (SELECT DISTINCT value FROM json_each(?)) AS named \
             CROSS JOIN site ON site.account = named.value CROSS JOIN lease ON lease.site = site.id",
        )
        .bind(names(accounts))
        .fetch_all(db)
        .await?;
        let mut leases = Self { node, now, held: HashMap::new(), own: HashMap::new(), written: HashMap::new() };
        for row in rows {
            let site: SiteId = parsed(row.try_get("site")?)?;
            let lease = Lease { amount: Microcredits::new(row.try_get("amount")?), until: row.try_get("until")? };
            let purse = if row.try_get("is_allocated")? {
                LedgerAccount::Allocated(site.clone(), Kind::Monthly)
            } else {
                LedgerAccount::Unallocated(parsed(row.try_get("account")?)?, Kind::Monthly)
            };
            if lease.holds(now) {
                let held = leases.held.entry(purse).or_default();
                *held = held.plus(lease.amount)?;
            }
            if row.try_get::<&str, _>("node")? == node {
                leases.own.insert(site, lease);
            }
        }
        leases.written.clone_from(&leases.own);
        Ok(leases)
    }

    /// Sets anew what the node may use up for a site that may draw on `available` and used `recent` lately.
    pub(super) fn grant(
        &mut self,
        site: &SiteRow,
        available: Microcredits,
        recent: Microcredits,
    ) -> Result<Microcredits, LedgerError> {
        self.give_up(site);
        let held = self.held.entry(purse(site)).or_default();
        let amount = lease::lease(available, *held, recent);
        *held = held.plus(amount)?;
        if !amount.is_zero() {
            // The node counts from when it asked, to the fraction of a second: the lease holds no shorter.
            let until = self.now.saturating_add(lease::TERM).map_or(i64::MAX, whole_second_from);
            self.own.insert(site.id.clone(), Lease { amount, until });
        }
        Ok(amount)
    }

    /// Ends what the node had set aside for a site.
    pub(super) fn give_up(&mut self, site: &SiteRow) {
        if let Some(lease) = self.own.get_mut(&site.id).map(std::mem::take)
            && lease.holds(self.now)
        {
            let held = self.held.entry(purse(site)).or_default();
            *held = held.less(lease.amount);
        }
    }

    /// Writes what has changed.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    pub(super) async fn write(self, db: &mut SqliteConnection) -> Result<(), LedgerError> {
        let changed = self.own.iter().filter(|(site, lease)| self.written.get(*site) != Some(*lease));
        let (set, ended): (Vec<_>, Vec<_>) = changed.partition(|(_, lease)| !lease.amount.is_zero());
        if !set.is_empty() {
            let rows: Value =
                set.iter().map(|(site, lease)| json!([site.as_str(), lease.amount.get(), lease.until])).collect();
            sqlx::query(
                "INSERT INTO lease (site, node, amount, until) \
                 SELECT value ->> 0, ?1, value ->> 1, value ->> 2 FROM json_each(?2) WHERE true \
                 ON CONFLICT (site, node) DO UPDATE SET amount = excluded.amount, until = excluded.until",
            )
            .bind(self.node)
            .bind(rows.to_string())
            .execute(&mut *db)
            .await?;
        }
        if !ended.is_empty() {
            sqlx::query("DELETE FROM lease WHERE node = ?1 AND site IN (SELECT value FROM json_each(?2))")
                .bind(self.node)
                .bind(names(ended.into_iter().map(|(site, _)| site)))
                .execute(db)
                .await?;
        }
        Ok(())
    }
}

/// One name for what a site draws on, of both kinds.
fn purse(site: &SiteRow) -> LedgerAccount {
    site.purse(Kind::Monthly)
}
