//! Credits assigned to sites (`billing.md` rules 10, 11).

use jiff::Timestamp;

use super::{
    books::{Books, Owner},
    error::LedgerError,
    once::{Once, Request},
    open::Ledger,
    payer::{SiteRow, paying_site},
    views::{SiteView, read_site},
};
use crate::billing::{Allocation, Kind, LedgerAccount, Microcredits, Reason, SiteId, Transfer, allocation::reallocate};

impl Ledger {
    /// Assigns credits to a site, or, with `None`, takes its allocation away: then it draws on what is unallocated.
    ///
    /// # Errors
    /// [`LedgerError::NotFree`], [`LedgerError::Amount`] (negative), [`LedgerError::NoSuchSite`], [`LedgerError::KeyReused`]
    pub async fn allocate(
        &self,
        once: Option<&Once>,
        site: &SiteId,
        allocation: Option<Allocation>,
        now: Timestamp,
    ) -> Result<SiteView, LedgerError> {
        let catalogue = self.catalogue();
        self.once(once, now, async |books, request| {
            let row = paying_site(books, &catalogue, site, now).await?;
            let mut assignment = Assignment { books, site: &row, request, now };
            match allocation {
                Some(wanted) => assignment.change(wanted).await?,
                None => assignment.take_back().await?,
            }
            books.raise();
            read_site(books.settled().await?, &catalogue, site).await
        })
        .await
    }
}

/// A site's allocation, being changed.
pub(super) struct Assignment<'a, 'l> {
    pub(super) books: &'a mut Books<'l>,
    pub(super) site: &'a SiteRow,
    pub(super) request: &'a Request,
    pub(super) now: Timestamp,
}

impl Assignment<'_, '_> {
    async fn change(&mut self, wanted: Allocation) -> Result<(), LedgerError> {
        let wanted = Allocation { monthly: wanted.monthly.not_negative()?, one_time: wanted.one_time.not_negative()? };
        let left = self.books.allocated(&self.site.id).await?;
        let unallocated = self.books.unallocated(&self.site.account).await?;
        let moves = reallocate(wanted, self.site.used, left, unallocated)?;
        for kind in Kind::ALL {
            self.shift(Reason::Allocation, kind, moves.given.of(kind)).await?;
            self.shift(Reason::Deallocation, kind, moves.returned.of(kind)).await?;
        }
        sqlx::query("UPDATE site SET allocation_monthly = ?, allocation_one_time = ? WHERE id = ?")
            .bind(wanted.monthly.get())
            .bind(wanted.one_time.get())
            .bind(self.site.id.as_str())
            .execute(self.books.db())
            .await?;
        Ok(())
    }

    /// Takes the allocation away: what is left of it is the account's again. What was used of monthly credits counts
    /// until the period ends, so that giving it again is no way around the cap.
    pub(super) async fn take_back(&mut self) -> Result<(), LedgerError> {
        let left = self.books.allocated(&self.site.id).await?;
        for kind in Kind::ALL {
            self.shift(Reason::Deallocation, kind, left.of(kind)).await?;
        }
        sqlx::query(
            "UPDATE site SET allocation_monthly = NULL, allocation_one_time = NULL, used_one_time = 0 WHERE id = ?",
        )
        .bind(self.site.id.as_str())
        .execute(self.books.db())
        .await?;
        Ok(())
    }

    /// Moves credits to the site ([`Reason::Allocation`]) or back to its account ([`Reason::Deallocation`]).
    async fn shift(&mut self, reason: Reason, kind: Kind, amount: Microcredits) -> Result<(), LedgerError> {
        let SiteRow { id, account, .. } = self.site;
        let of_account = LedgerAccount::Unallocated(account.clone(), kind);
        let of_site = LedgerAccount::Allocated(id.clone(), kind);
        let (debit, credit) = if reason == Reason::Allocation { (of_account, of_site) } else { (of_site, of_account) };
        let transfer = Transfer { debit, credit, amount, reason, reference: String::new() };
        let key = self.request.key(format_args!("{}/{id}/{}", reason.name(), kind.name()));
        self.books.transfer(&transfer, &key, Owner { account, site: Some(id) }, self.now).await
    }
}
