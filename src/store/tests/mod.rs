//! The store on real databases in directories of their own.

mod accounts;
mod allocations;
mod audit;
mod grants;
mod histories;
mod keys;
mod once;
mod sites;
mod transfers;
mod unavailable;
mod verify;

use jiff::Timestamp;
use sqlx::{Connection as _, SqliteConnection};
use tempfile::TempDir;

use super::{Durability, Grant, Ledger, LedgerError, Once, TransferFilter, payer::paying_site};
use crate::billing::{
    AccountId, Allocation, Balance, BytesPerCredit, Catalogue, Kind, Microcredits, Reason, SiteId, Tariff,
};

const EGRESS: Tariff = Tariff::Egress { rate: BytesPerCredit(std::num::NonZeroU64::new(5_000_000).unwrap()) };

/// A ledger in a directory of its own: it may be closed and opened again.
struct Store {
    dir: TempDir,
    ledger: Ledger,
}

impl Store {
    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ledger = open(&dir).await;
        Self { dir, ledger }
    }

    /// With the account `acme` on the plan `free` from 2026-01-31 on, and its sites `shop` and `blog`, of the file.
    async fn furnished() -> Self {
        let store = Self::open().await;
        store.ledger.declare_account(&acme(), "free", start()).await.unwrap();
        store.declare(&[("shop", "acme"), ("blog", "acme")]).await;
        store
    }

    /// As the program does when it starts again.
    async fn reopened(self) -> Self {
        let Self { dir, ledger } = self;
        drop(ledger);
        let ledger = open(&dir).await;
        Self { dir, ledger }
    }

    async fn declare(&self, sites: &[(&str, &str)]) {
        let sites: Vec<_> = sites.iter().map(|(id, account)| (site(id), account.parse().unwrap(), EGRESS)).collect();
        self.ledger.declare_sites(&sites, start()).await.unwrap();
    }

    /// The database, past the ledger.
    async fn raw(&self) -> SqliteConnection {
        let path = self.dir.path().join("ledger.sqlite");
        SqliteConnection::connect(path.to_str().unwrap()).await.unwrap()
    }

    async fn tamper(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&mut self.raw().await).await.unwrap();
    }

    async fn balance(&self, now: &str) -> Balance {
        self.ledger.account(&acme(), time(now)).await.unwrap().balance
    }

    async fn unallocated(&self, now: &str) -> Balance {
        self.ledger.account(&acme(), time(now)).await.unwrap().unallocated
    }

    async fn grant(&self, kind: Kind, amount: i64, now: &str) {
        self.ledger.grant(None, &grant(kind, amount), time(now)).await.unwrap();
    }

    async fn allocate(&self, id: &str, monthly: i64, one_time: i64, now: &str) -> Result<Balance, LedgerError> {
        let allocation = Allocation { monthly: credits(monthly), one_time: credits(one_time) };
        Ok(self.ledger.allocate(None, &site(id), Some(allocation), time(now)).await?.balance)
    }

    /// Uses credits up as a site does that sends bytes; what is missing is written off.
    async fn spend(&self, id: &str, amount: Microcredits, now: &str) -> Balance {
        spend(&self.ledger, &site(id), amount, time(now)).await.unwrap()
    }

    /// Why credits moved, the first first.
    async fn reasons(&self) -> Vec<Reason> {
        let filter = TransferFilter { limit: 1_000, ..TransferFilter::default() };
        let page = self.ledger.transfers(&filter).await.unwrap();
        page.items.into_iter().rev().map(|transfer| transfer.reason).collect()
    }

    async fn must_agree(&self) {
        let found = self.ledger.verify().await.unwrap();
        assert!(found.agrees(), "{found:?}");
    }
}

async fn open(dir: &TempDir) -> Ledger {
    let path = dir.path().join("ledger.sqlite");
    Ledger::open(&path, Catalogue::shipped().unwrap(), Durability::Process).await.unwrap()
}

async fn spend(ledger: &Ledger, id: &SiteId, amount: Microcredits, now: Timestamp) -> Result<Balance, LedgerError> {
    let catalogue = ledger.catalogue();
    let mut books = ledger.begin().await?;
    let mut site = paying_site(&mut books, &catalogue, id, now).await?;
    let (drawn, missing) = site.drawable(&mut books).await?.draw_up_to(amount);
    let (charged, rate) = (drawn.total()?, BytesPerCredit::default());
    let bytes: i64 = sqlx::query_scalar("SELECT coalesce(sum(bytes), 0) FROM rated WHERE site = ?")
        .bind(id.as_str())
        .fetch_one(books.db())
        .await?;
    site.pay(&mut books, drawn, Reason::Egress, "", &format!("egress/{id}/{bytes}"), now).await?;
    sqlx::query(
        "INSERT INTO rated (site, bytes_per_credit, bytes, charged, written_off) VALUES (?, ?, ?, ?, ?) \
         ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes, charged = charged + excluded.charged, \
         written_off = written_off + excluded.written_off",
    )
    .bind(id.as_str())
    .bind(i64::try_from(rate.0.get()).unwrap())
    .bind(i64::try_from(rate.bytes(amount)).unwrap())
    .bind(charged.get())
    .bind(missing.get())
    .execute(books.db())
    .await?;
    sqlx::query(
        "INSERT INTO usage (site, hour, egress, written_off) VALUES (?, ?, ?, ?) \
         ON CONFLICT DO UPDATE SET egress = egress + excluded.egress, written_off = written_off + excluded.written_off",
    )
    .bind(id.as_str())
    .bind(now.as_second() / 3_600)
    .bind(charged.get())
    .bind(missing.get())
    .execute(books.db())
    .await?;
    books.commit().await?;
    Ok(drawn)
}

fn acme() -> AccountId {
    "acme".parse().unwrap()
}

fn site(id: &str) -> SiteId {
    id.parse().unwrap()
}

/// When `acme` subscribed: the 31st.
fn start() -> Timestamp {
    time("2026-01-31T12:00:00Z")
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn credits(number: i64) -> Microcredits {
    Microcredits::new(number * Microcredits::CREDIT.get())
}

fn balance(monthly: i64, one_time: i64) -> Balance {
    Balance { monthly: credits(monthly), one_time: credits(one_time) }
}

fn grant(kind: Kind, amount: i64) -> Grant {
    Grant { account: acme(), kind, amount: credits(amount), reference: "pack".to_owned() }
}

fn once(key: &str, asked: u8) -> Once {
    Once { key: key.to_owned(), fingerprint: [asked; 32] }
}
