//! Credits given and taken back by the operator (`billing.md` rules 8, 12, 19).

use jiff::Timestamp;

use super::{
    books::Owner, error::LedgerError, once::Once, open::Ledger, periods::close_if_over, views::AccountView,
    views::read_account,
};
use crate::billing::{AccountId, AmountError, Kind, LedgerAccount, Microcredits, Reason, Shortfall, Transfer};

/// The most that may have been issued when a grant was given: half of what 64 bits hold. The other half is for what
/// plans give, so that no grant, however large, can keep periods from beginning.
const MOST_ISSUED: Microcredits = Microcredits::new(i64::MAX / 2);

/// Credits to be given, or taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Whose.
    pub account: AccountId,
    /// Of which kind.
    pub kind: Kind,
    /// How much, more than zero.
    pub amount: Microcredits,
    /// What for; may be empty.
    pub reference: String,
}

impl Ledger {
    /// Gives credits: monthly ones end with the period under way.
    ///
    /// # Errors
    /// [`LedgerError::Amount`], [`LedgerError::NoSuchAccount`], [`LedgerError::KeyReused`]
    pub async fn grant(&self, once: Option<&Once>, grant: &Grant, now: Timestamp) -> Result<AccountView, LedgerError> {
        let catalogue = self.catalogue();
        self.once(once, now, async |books, request| {
            close_if_over(books, &catalogue, &grant.account, now).await?;
            let amount = grant.amount.positive()?;
            let issued = Microcredits::ZERO.minus(books.balance(&LedgerAccount::Issued).await?)?;
            if issued.plus(amount)? > MOST_ISSUED {
                return Err(AmountError::TooLarge.into());
            }
            let transfer = Transfer {
                debit: LedgerAccount::Issued,
                credit: LedgerAccount::Unallocated(grant.account.clone(), grant.kind),
                amount,
                reason: Reason::Grant,
                reference: grant.reference.clone(),
            };
            let owner = Owner { account: &grant.account, site: None };
            books.transfer(&transfer, &request.key("grant"), owner, now).await?;
            books.raise();
            read_account(books.settled().await?, &grant.account).await
        })
        .await
    }

    /// Takes back credits that are not assigned to a site.
    ///
    /// # Errors
    /// [`LedgerError::Insufficient`] where there are fewer; as [`Self::grant`]
    pub async fn withdraw(
        &self,
        once: Option<&Once>,
        grant: &Grant,
        now: Timestamp,
    ) -> Result<AccountView, LedgerError> {
        let catalogue = self.catalogue();
        self.once(once, now, async |books, request| {
            close_if_over(books, &catalogue, &grant.account, now).await?;
            let amount = grant.amount.positive()?;
            let from = LedgerAccount::Unallocated(grant.account.clone(), grant.kind);
            let available = books.balance(&from).await?;
            if amount > available {
                return Err(Shortfall { needed: amount, available, missing: amount.less(available) }.into());
            }
            let transfer = Transfer {
                debit: from,
                credit: LedgerAccount::Withdrawn(grant.account.clone()),
                amount,
                reason: Reason::Withdrawal,
                reference: grant.reference.clone(),
            };
            let owner = Owner { account: &grant.account, site: None };
            books.transfer(&transfer, &request.key("withdrawal"), owner, now).await?;
            // Leases on what is gone are not waited for.
            books.raise();
            read_account(books.settled().await?, &grant.account).await
        })
        .await
    }
}
