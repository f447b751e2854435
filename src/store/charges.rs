//! Charges of the `variants` tariff (`billing.md` rules 3, 4): by unique key, many in one transaction.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{
    books::Books,
    error::LedgerError,
    open::Ledger,
    payer::SiteRow,
    payers::{load_sites, paying_sites},
    usage::{Usage, add_usage},
    windows::Windows,
};
use crate::billing::{Component, Microcredits, Reason, Shortfall, SiteId, Tariff, window};

/// A transfer's reference has no more bytes of an item's.
const MAX_REFERENCE_BYTES: usize = 200;

/// An image size about to be delivered, and in which format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariantCharge {
    /// Of which site.
    pub site: SiteId,
    /// The hash of what was asked for: source and transform.
    pub requested: [u8; 16],
    /// The hash of what came of it: source, pixels and what else was done to them. A size that is charged under either name
    /// is charged.
    pub pixels: [u8; 16],
    /// What is delivered: [`Component::Size`] first, then the format's if it has one.
    pub components: Vec<Component>,
    /// For people, in the list of transfers.
    pub reference: String,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Charged {
    /// It may be delivered: all of it is charged until then.
    Until {
        /// When the window ends.
        until: Timestamp,
        /// What was charged now; empty where all of it was before.
        now: Vec<Component>,
    },
    /// There are too few credits; nothing was charged.
    Refused(Shortfall),
}

impl Ledger {
    /// Charges all that is not charged in its window yet, in one transaction: all of it is durable when this returns. Each
    /// item has its own result; a refusal of one does not touch the others, and is remembered in its site's `needed`.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`], and then nothing was charged. Of an item: [`LedgerError::NoSuchSite`]
    pub async fn charge_variants(
        &self,
        batch: &[VariantCharge],
        now: Timestamp,
    ) -> Result<Vec<Result<Charged, LedgerError>>, LedgerError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let catalogue = self.catalogue();
        let mut books = self.begin().await?;
        let sites = paying_sites(&mut books, &catalogue, batch.iter().map(|item| &item.site), now).await?;
        let windows = Windows::load(books.db(), batch, now).await?;
        let payers = sites.into_iter().map(|(id, site)| (id, Payer::new(site))).collect();
        let mut charging = Charging { books, windows, payers, now };
        let mut results = Vec::with_capacity(batch.len());
        for item in batch {
            results.push(match charging.charge(item).await {
                Ok(charged) => Ok(charged),
                Err(unknown @ LedgerError::NoSuchSite(_)) => Err(unknown),
                Err(error) => return Err(error),
            });
        }
        charging.commit().await?;
        Ok(results)
    }

    /// What would be charged: the components of each item that its window has no charge for at `now`. Two items of one size
    /// are charged once; where variants cost nothing, and where nobody knows the site, nothing is. For estimates (rule 19);
    /// nothing is written.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    pub async fn uncharged(&self, batch: &[VariantCharge], now: Timestamp) -> Result<Vec<Vec<Component>>, LedgerError> {
        let catalogue = self.catalogue();
        let mut snapshot = self.readers.begin().await?;
        let mut windows = Windows::load(&mut snapshot, batch, now).await?;
        let sites = load_sites(&mut snapshot, &catalogue, batch.iter().map(|item| &item.site)).await?;
        let mut due = Vec::with_capacity(batch.len());
        for item in batch {
            let is_rated = sites.get(&item.site).is_some_and(|site| site.tariff == Tariff::Variants);
            let uncharged = if is_rated { windows.uncharged(item) } else { Vec::new() };
            if uncharged.is_empty() {
                windows.name(item);
            } else {
                windows.charge(item, &uncharged);
            }
            due.push(uncharged);
        }
        Ok(due)
    }
}

/// A batch being charged.
struct Charging<'l> {
    books: Books<'l>,
    windows: Windows,
    payers: HashMap<SiteId, Payer>,
    now: Timestamp,
}

/// A site of the batch.
struct Payer {
    site: SiteRow,
    used: Usage,
    /// What its last charge would have taken, if that was refused.
    needed: Microcredits,
}

impl Charging<'_> {
    /// Charges one item. What can be refused is decided before anything is changed.
    async fn charge(&mut self, item: &VariantCharge) -> Result<Charged, LedgerError> {
        let unknown = || LedgerError::NoSuchSite(item.site.to_string());
        let payer = self.payers.get_mut(&item.site).ok_or_else(unknown)?;
        if payer.site.tariff != Tariff::Variants {
            return Ok(Charged::Until { until: window::end(self.now), now: Vec::new() });
        }
        let due = self.windows.uncharged(item);
        if due.is_empty() {
            self.windows.name(item);
            return Ok(Charged::Until { until: self.windows.charged_until(item), now: due });
        }
        let available = payer.site.drawable(&mut self.books).await?;
        if let Err(shortfall) = available.draw(price(&due)) {
            payer.needed = shortfall.needed;
            return Ok(Charged::Refused(shortfall));
        }
        let window = self.windows.charge(item, &due);
        for component in &due {
            payer.pay(&mut self.books, *component, window, item, self.now).await?;
        }
        payer.needed = Microcredits::ZERO;
        Ok(Charged::Until { until: self.windows.charged_until(item), now: due })
    }

    async fn commit(mut self) -> Result<(), LedgerError> {
        self.windows.write(self.books.db()).await?;
        let used = self.payers.iter().map(|(site, payer)| (site, &payer.used));
        add_usage(self.books.db(), used, self.now).await?;
        for payer in self.payers.values_mut() {
            if payer.needed < payer.site.needed {
                self.books.raise();
            }
            payer.site.set_needed(&mut self.books, payer.needed).await?;
        }
        self.books.commit().await
    }
}

impl Payer {
    fn new(site: SiteRow) -> Self {
        Self { used: Usage::default(), needed: site.needed, site }
    }

    /// Pays for one component: monthly credits first (rule 9).
    async fn pay(
        &mut self,
        books: &mut Books<'_>,
        component: Component,
        window: i64,
        item: &VariantCharge,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let drawn = self.site.drawable(books).await?.draw(Component::PRICE)?;
        let (reason, used) = match component {
            Component::Size => (Reason::Size, &mut self.used.size),
            Component::Webp => (Reason::Webp, &mut self.used.webp),
            Component::Avif => (Reason::Avif, &mut self.used.avif),
        };
        *used = used.plus(Component::PRICE)?;
        let reference = &item.reference[..item.reference.floor_char_boundary(MAX_REFERENCE_BYTES)];
        let key = format!("variant/{window}/{}", component.name());
        self.site.pay(books, drawn, reason, reference, &key, now).await
    }
}

/// What some components cost together.
#[must_use]
pub fn price(components: &[Component]) -> Microcredits {
    Microcredits::new(Component::PRICE.get() * i64::try_from(components.len()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
