//! Usage that nodes have counted, and leases (`billing.md` rules 1, 2, 20; design, "Money").

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{
    books::Books,
    counted::{Counts, Rated},
    error::LedgerError,
    leases::Leases,
    open::Ledger,
    payer::SiteRow,
    payers::paying_sites,
    periods::parsed,
    usage::{Usage, add_usage},
};
use crate::billing::{BytesPerCredit, Entitlement, Microcredits, Reason, SiteId, Tariff};

/// What a node has counted for a site since its counters began: they only go up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Of which site.
    pub site: SiteId,
    /// Body bytes of optimized images sent while the site was entitled.
    pub egress_bytes: u64,
    /// Requests answered.
    pub requests: u64,
    /// Originals' bytes less variants', for each variant delivered whole.
    pub saved_bytes: u64,
    /// Bytes that it sent lately, within about a lease's term: the next lease is a multiple of what they cost.
    pub recent_bytes: u64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// Of which site.
    pub site: SiteId,
    /// How it is rated now.
    pub tariff: Tariff,
    /// What was charged now.
    pub charged: Microcredits,
    /// What would have been and nothing was left for.
    pub written_off: Microcredits,
    /// What the node may use up from here on before it asks again; zero on a tariff without egress.
    pub lease: Microcredits,
    /// What the site may do.
    pub entitlement: Entitlement,
}

impl Ledger {
    /// Takes in what a node has counted. The difference to what it had posted before is usage; posting the same again, or
    /// less, changes nothing. On a tariff that rates egress it is charged on the cumulative count of all nodes, as far as
    /// credits reach; the rest is written off and counted. Then the node's leases are set anew.
    ///
    /// Sites that the ledger does not know are left out of the answer.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`], and then nothing was taken in.
    pub async fn post(&self, node: &str, counted: &[Counted], now: Timestamp) -> Result<Vec<Posted>, LedgerError> {
        if counted.is_empty() {
            return Ok(Vec::new());
        }
        let catalogue = self.catalogue();
        let mut books = self.begin().await?;
        let sites = paying_sites(&mut books, &catalogue, counted.iter().map(|counted| &counted.site), now).await?;
        let mut posting = Posting {
            counts: Counts::load(books.db(), node, counted).await?,
            rated: Rated::load(books.db(), counted).await?,
            leases: Leases::load(books.db(), node, sites.values().map(|site| &site.account), now).await?,
            used: HashMap::new(),
            books,
            sites,
            now,
        };
        let mut posted = Vec::with_capacity(counted.len());
        for counted in counted {
            if let Some(taken) = posting.take_in(counted).await? {
                posted.push((taken, counted.recent_bytes));
            }
        }
        // Only now is it known what all charges of this call have left.
        for (posted, recent_bytes) in &mut posted {
            posting.entitle(posted, *recent_bytes).await?;
        }
        posting.commit().await?;
        Ok(posted.into_iter().map(|(posted, _)| posted).collect())
    }

    /// What the ledger has of a node already, so that only differences to it are outstanding.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    pub async fn posted(&self, node: &str) -> Result<Vec<Counted>, LedgerError> {
        let rows =
            sqlx::query("SELECT site, egress_bytes, requests, saved_bytes FROM counted WHERE node = ? ORDER BY site")
                .bind(node)
                .fetch_all(&self.readers)
                .await?;
        rows.iter().map(Counted::read).collect()
    }

    /// The number that goes up whenever a site may have become able to pay again, through whichever node.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    pub async fn credits_version(&self) -> Result<i64, LedgerError> {
        let row = sqlx::query("SELECT value FROM state WHERE name = 'credits'").fetch_one(&self.readers).await?;
        Ok(row.try_get(0)?)
    }
}

impl Counted {
    fn read(row: &SqliteRow) -> Result<Self, LedgerError> {
        let count = |column: &str| row.try_get::<i64, _>(column).map(|count| count.max(0).unsigned_abs());
        Ok(Self {
            site: parsed(row.try_get("site")?)?,
            egress_bytes: count("egress_bytes")?,
            requests: count("requests")?,
            saved_bytes: count("saved_bytes")?,
            recent_bytes: 0,
        })
    }
}

/// A node's counts being taken in.
struct Posting<'l, 'n> {
    books: Books<'l>,
    sites: HashMap<SiteId, SiteRow>,
    counts: Counts<'n>,
    rated: Rated,
    leases: Leases<'n>,
    used: HashMap<SiteId, Usage>,
    now: Timestamp,
}

impl Posting<'_, '_> {
    /// Takes in what is new for one site, and charges it. `None`: nobody knows the site.
    async fn take_in(&mut self, counted: &Counted) -> Result<Option<Posted>, LedgerError> {
        let Some(site) = self.sites.get(&counted.site) else { return Ok(None) };
        let tariff = site.tariff;
        let mut used = self.counts.take_in(counted);
        if let Tariff::Egress { rate } = tariff {
            (used.egress, used.written_off) = self.charge(&counted.site, rate, used.egress_bytes).await?;
        }
        self.used.entry(counted.site.clone()).or_default().add(&used);
        Ok(Some(Posted {
            site: counted.site.clone(),
            tariff,
            charged: used.egress,
            written_off: used.written_off,
            lease: Microcredits::ZERO,
            entitlement: Entitlement::Essential,
        }))
    }

    /// Charges bytes as far as credits reach. Returns what was charged and what was written off.
    async fn charge(
        &mut self,
        id: &SiteId,
        rate: BytesPerCredit,
        bytes: u64,
    ) -> Result<(Microcredits, Microcredits), LedgerError> {
        let nothing = (Microcredits::ZERO, Microcredits::ZERO);
        let Some(site) = self.sites.get_mut(id) else { return Ok(nothing) };
        if bytes == 0 {
            return Ok(nothing);
        }
        let (all_bytes, due) = self.rated.add(id, rate, bytes);
        let (drawn, written_off) = site.drawable(&mut self.books).await?.draw_up_to(due);
        // All bytes at a rate only become more, so no two payments have one key.
        let key = format!("egress/{id}/{}/{all_bytes}", rate.0);
        site.pay(&mut self.books, drawn, Reason::Egress, &format!("{bytes} bytes"), &key, self.now).await?;
        let charged = due.less(written_off);
        self.rated.settle(id, rate, charged, written_off)?;
        Ok((charged, written_off))
    }

    /// Sets a site's lease anew, and says what it may do.
    async fn entitle(&mut self, posted: &mut Posted, recent_bytes: u64) -> Result<(), LedgerError> {
        let Some(site) = self.sites.get(&posted.site) else { return Ok(()) };
        let available = site.drawable(&mut self.books).await?;
        let Tariff::Egress { rate } = site.tariff else {
            self.leases.give_up(site);
            posted.entitlement = site.entitlement(available)?;
            return Ok(());
        };
        posted.lease = self.leases.grant(site, available.total()?, rate.cost(recent_bytes))?;
        // A lease is only given out of what there is; without one the node may use nothing.
        posted.entitlement = if posted.lease.is_zero() { Entitlement::Essential } else { Entitlement::Optimize };
        Ok(())
    }

    async fn commit(mut self) -> Result<(), LedgerError> {
        self.counts.write(self.books.db()).await?;
        self.rated.write(self.books.db()).await?;
        self.leases.write(self.books.db()).await?;
        add_usage(self.books.db(), &self.used, self.now).await?;
        self.books.commit().await
    }
}

#[cfg(test)]
mod tests;
