//! A ledger for tests of usage: accounts and sites put into it as they are needed, and all that must be true of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Row as _};
use tempfile::TempDir;

use super::{
    books::Owner,
    open::{Durability, Ledger},
    periods::begin_period,
    usage::{Step, Usage},
};
use crate::billing::{
    AccountId, Balance, BytesPerCredit, Catalogue, Kind, LedgerAccount, Microcredits, Period, Reason, SiteId, Tariff,
    Transfer,
};

/// When accounts begin: their first period ends on the 1st of February.
pub(super) const START: &str = "2026-01-01T00:00:00Z";

pub(super) struct Fixture {
    pub(super) ledger: Ledger,
    directory: TempDir,
}

pub(super) fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

pub(super) fn start() -> Timestamp {
    at(START)
}

/// So many microcredits.
pub(super) fn micro(n: i64) -> Microcredits {
    Microcredits::new(n)
}

pub(super) fn credits(n: i64) -> Microcredits {
    micro(n * 1_000_000)
}

pub(super) fn site(name: &str) -> SiteId {
    name.parse().unwrap()
}

pub(super) fn egress(bytes_per_credit: u64) -> Tariff {
    Tariff::Egress { rate: BytesPerCredit(bytes_per_credit.try_into().unwrap()) }
}

impl Fixture {
    pub(super) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { ledger: open(&directory).await, directory }
    }

    /// Another process on the same database.
    pub(super) async fn second(&self) -> Ledger {
        open(&self.directory).await
    }

    pub(super) async fn reopened(self) -> Self {
        let directory = self.directory;
        self.ledger.readers.close().await;
        drop(self.ledger);
        Self { ledger: open(&directory).await, directory }
    }

    /// An account in its first period, with these microcredits.
    pub(super) async fn account(&self, id: &str, plan: &str, monthly: i64, one_time: i64) {
        let account: AccountId = id.parse().unwrap();
        let period = Period::at(start(), start());
        let mut books = self.ledger.begin().await.unwrap();
        sqlx::query("INSERT INTO account (id, plan, anchor, period_start, period_end) VALUES (?, ?, ?, ?, ?)")
            .bind(id)
            .bind(plan)
            .bind(start().as_second())
            .bind(period.start.as_second())
            .bind(period.end.as_second())
            .execute(books.db())
            .await
            .unwrap();
        begin_period(&mut books, &account, period, micro(monthly), start()).await.unwrap();
        books.commit().await.unwrap();
        self.give(id, Kind::OneTime, one_time).await;
    }

    /// More microcredits for an account.
    pub(super) async fn give(&self, id: &str, kind: Kind, amount: i64) {
        let account: AccountId = id.parse().unwrap();
        let grant = Transfer {
            debit: LedgerAccount::Issued,
            credit: LedgerAccount::Unallocated(account.clone(), kind),
            amount: micro(amount),
            reason: Reason::Grant,
            reference: String::new(),
        };
        self.transfer(&grant, Owner { account: &account, site: None }).await;
    }

    pub(super) async fn site(&self, id: &str, account: &str, tariff: Tariff) {
        self.run(&format!(
            "INSERT INTO site (id, account, tariff, bytes_per_credit) VALUES ('{id}', '{account}', 'variants', 5000000)"
        ))
        .await;
        self.rate(id, tariff).await;
    }

    /// Gives a site another tariff.
    pub(super) async fn rate(&self, id: &str, tariff: Tariff) {
        let (name, rate) = match tariff {
            Tariff::Variants => ("variants", 5_000_000),
            Tariff::Egress { rate } => ("egress", rate.0.get()),
        };
        self.run(&format!("UPDATE site SET tariff = '{name}', bytes_per_credit = {rate} WHERE id = '{id}'")).await;
    }

    /// Assigns microcredits to a site that has no allocation.
    pub(super) async fn allocate(&self, id: &str, account: &str, monthly: i64, one_time: i64) {
        let (site, account): (SiteId, AccountId) = (id.parse().unwrap(), account.parse().unwrap());
        self.run(&format!(
            "UPDATE site SET allocation_monthly = {monthly}, allocation_one_time = {one_time} WHERE id = '{id}'"
        ))
        .await;
        for (kind, amount) in [(Kind::Monthly, monthly), (Kind::OneTime, one_time)] {
            let transfer = Transfer {
                debit: LedgerAccount::Unallocated(account.clone(), kind),
                credit: LedgerAccount::Allocated(site.clone(), kind),
                amount: micro(amount),
                reason: Reason::Allocation,
                reference: String::new(),
            };
            self.transfer(&transfer, Owner { account: &account, site: Some(&site) }).await;
        }
    }

    async fn transfer(&self, transfer: &Transfer, owner: Owner<'_>) {
        let key = format!("test/{}", self.number("SELECT count(*) FROM transfer").await);
        let mut books = self.ledger.begin().await.unwrap();
        books.transfer(transfer, &key, owner, start()).await.unwrap();
        books.commit().await.unwrap();
    }

    /// What an account has unallocated.
    pub(super) async fn left(&self, account: &str) -> Balance {
        self.balance("account", account).await
    }

    /// What is left of a site's allocation.
    pub(super) async fn left_of(&self, site: &str) -> Balance {
        self.balance("site", site).await
    }

    async fn balance(&self, whose: &str, id: &str) -> Balance {
        let of = async |kind: Kind| {
            let name = format!("{whose}/{id}/{}", kind.name());
            let balance = format!("SELECT coalesce(sum(balance), 0) FROM ledger_account WHERE id = '{name}'");
            micro(self.number(&balance).await)
        };
        Balance { monthly: of(Kind::Monthly).await, one_time: of(Kind::OneTime).await }
    }

    /// All that a site used.
    pub(super) async fn used(&self, id: &str) -> Usage {
        self.ledger.usage(&site(id), Timestamp::UNIX_EPOCH, at("9999-01-01T00:00:00Z"), Step::Month).await.unwrap().0
    }

    pub(super) async fn number(&self, sql: &str) -> i64 {
        let row = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(&self.ledger.readers).await.unwrap();
        row.try_get(0).unwrap()
    }

    pub(super) async fn run(&self, sql: &str) {
        let mut books = self.ledger.begin().await.unwrap();
        sqlx::query(AssertSqlSafe(sql.to_owned())).execute(books.db()).await.unwrap();
        books.commit().await.unwrap();
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(&self.ledger.readers).await.unwrap();
        rows.iter().map(|row| row.try_get(0).unwrap()).collect()
    }

    /// The tables that are not as they were.
    pub(super) async fn changed_since(&self, before: &BTreeMap<String, Vec<String>>) -> Vec<String> {
        let now = self.contents().await;
        now.into_iter().filter(|(table, rows)| before.get(table) != Some(rows)).map(|(table, _)| table).collect()
    }

    /// Every row of every table.
    pub(super) async fn contents(&self) -> BTreeMap<String, Vec<String>> {
        let mut contents = BTreeMap::new();
        for table in self.texts("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'").await
        {
            let columns =
                self.texts(&format!("SELECT 'quote(' || name || ')' FROM pragma_table_info('{table}')")).await;
            let rows = format!("SELECT concat_ws(', ', {}) AS row FROM {table} ORDER BY row", columns.join(", "));
            contents.insert(table, self.texts(&rows).await);
        }
        contents
    }

    /// Fails where something is not as it must always be: invariants A, B and E, and that usage, charges, rated bytes and
    /// payments tell of the same credits.
    pub(super) async fn audit(&self) {
        let none = async |what: &str, sql: &str| assert_eq!(self.texts(sql).await, [""; 0], "{what}");
        assert_eq!(self.number("SELECT coalesce(sum(balance), 0) FROM ledger_account").await, 0, "all balances");
        none("negative", "SELECT id FROM ledger_account WHERE balance < 0 AND id <> 'issued'").await;
        none(
            "balances that are not what transfers make them",
            "SELECT id || ' ' || balance FROM ledger_account WHERE balance <> \
             (SELECT coalesce(sum(amount), 0) FROM transfer WHERE credit = ledger_account.id) - \
             (SELECT coalesce(sum(amount), 0) FROM transfer WHERE debit = ledger_account.id)",
        )
        .await;
        none(
            "charges that are not paid by one credit",
            "SELECT window || component FROM variant_charge WHERE 1000000 <> (SELECT coalesce(sum(amount), 0) \
             FROM transfer WHERE key GLOB 'variant/' || window || '/' || component || '/*')",
        )
        .await;
        none(
            "sites whose usage is not what they paid",
            "SELECT id FROM site WHERE \
             (SELECT coalesce(sum(size + webp + avif + egress), 0) FROM usage WHERE usage.site = id) <> \
             (SELECT coalesce(sum(balance), 0) FROM ledger_account WHERE ledger_account.id = 'site/' || site.id || '/spent')",
        )
        .await;
        none(
            "sites whose usage is not what their bytes came to",
            "SELECT id FROM site WHERE \
             (SELECT coalesce(sum(charged), 0) FROM rated WHERE rated.site = id) <> \
             (SELECT coalesce(sum(egress), 0) FROM usage WHERE usage.site = id) OR \
             (SELECT coalesce(sum(written_off), 0) FROM rated WHERE rated.site = id) <> \
             (SELECT coalesce(sum(written_off), 0) FROM usage WHERE usage.site = id)",
        )
        .await;
        let rated = sqlx::query("SELECT bytes_per_credit, bytes, charged + written_off FROM rated");
        for row in rated.fetch_all(&self.ledger.readers).await.unwrap() {
            let number = |column: usize| row.try_get::<i64, _>(column).unwrap();
            let Tariff::Egress { rate } = egress(number(0).unsigned_abs()) else { unreachable!() };
            assert_eq!(rate.cost(number(1).unsigned_abs()).get(), number(2), "what {} bytes came to", number(1));
        }
    }
}

async fn open(directory: &TempDir) -> Ledger {
    let path = directory.path().join("ledger.db");
    Ledger::open(&path, Catalogue::shipped().unwrap(), Durability::Process).await.unwrap()
}
