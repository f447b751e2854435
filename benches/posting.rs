//! How fast usage gets into the ledger, on the disk, each commit safe against a power cut: charges of image sizes in batches,
//! and counts of many sites. Run once, with the seconds it took and the size of the file that it left.
#![allow(missing_docs, clippy::unwrap_used, reason = "a measurement that fails has no result")]

use std::{fs, path::Path, time::Instant};

use jiff::{Timestamp, ToSpan as _};
use lightmeter::{
    billing::{AccountId, BytesPerCredit, Catalogue, Component, Kind, Microcredits, SiteId, Tariff},
    store::{Charged, Counted, Durability, Grant, Ledger, VariantCharge},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ACCOUNTS: usize = 50;
const SITES: usize = 500;

/// Image sizes, each charged for itself and for its format.
const CHARGES: usize = 100_000;
const BATCH: usize = 512;

/// Each posts all sites: one record a site.
const ROUNDS: u32 = 2_000;
/// What each site sends between two rounds.
const ROUND_BYTES: u64 = 50_000;

#[tokio::main]
async fn main() {
    println!("| what | number | seconds | a second | file |\n| --- | --- | --- | --- | --- |");
    charge_sizes().await;
    post_counts().await;
}

async fn charge_sizes() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (ledger, sites) = ledger(directory.path(), Tariff::Variants).await;
    let sizes: Vec<_> = (0..CHARGES).map(|n| size(&sites[n % SITES], n)).collect();
    let began = Instant::now();
    for (n, batch) in (0i64..).zip(sizes.chunks(BATCH)) {
        let charged = ledger.charge_variants(batch, now(n)).await.unwrap();
        let is_whole = |charged: &Charged| matches!(charged, Charged::Until { now, .. } if now.len() == 2);
        assert!(charged.into_iter().all(|charged| is_whole(&charged.unwrap())));
    }
    report("image sizes charged, 2 credits each", CHARGES, began, directory.path());
}

async fn post_counts() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (ledger, sites) = ledger(directory.path(), Tariff::Egress { rate: BytesPerCredit::default() }).await;
    let began = Instant::now();
    for round in 1..=ROUNDS {
        let counted: Vec<_> = sites.iter().map(|site| counted(site, round)).collect();
        let posted = ledger.post("node", &counted, now(round.into())).await.unwrap();
        assert!(posted.iter().all(|posted| posted.charged == Microcredits::new(10_000)));
    }
    report("counts posted", SITES * ROUNDS as usize, began, directory.path());
}

/// A new ledger with credits for all of it.
async fn ledger(directory: &Path, tariff: Tariff) -> (Ledger, Vec<SiteId>) {
    let path = directory.join("ledger.db");
    let ledger = Ledger::open(&path, Catalogue::shipped().unwrap(), Durability::Disk).await.unwrap();
    let accounts: Vec<AccountId> = (0..ACCOUNTS).map(|n| format!("account-{n}").parse().unwrap()).collect();
    for account in &accounts {
        ledger.declare_account(account, "max", now(0)).await.unwrap();
        let amount = Microcredits::new(1_000_000 * Microcredits::CREDIT.get());
        let grant = Grant { account: account.clone(), kind: Kind::OneTime, amount, reference: String::new() };
        ledger.grant(None, &grant, now(0)).await.unwrap();
    }
    let sites: Vec<SiteId> = (0..SITES).map(|n| format!("site-{n}").parse().unwrap()).collect();
    let declared: Vec<_> =
        sites.iter().enumerate().map(|(n, site)| (site.clone(), accounts[n % ACCOUNTS].clone(), tariff)).collect();
    ledger.declare_sites(&declared, now(0)).await.unwrap();
    (ledger, sites)
}

fn size(site: &SiteId, n: usize) -> VariantCharge {
    let name = |kind: &str| *blake3::hash(format!("{kind} {n}").as_bytes()).as_bytes();
    VariantCharge {
        site: site.clone(),
        requested: name("requested")[..16].try_into().unwrap(),
        pixels: name("pixels")[..16].try_into().unwrap(),
        components: vec![Component::Size, Component::Avif],
        reference: format!("/images/2026/01/picture-{n}.jpg w=800"),
    }
}

fn counted(site: &SiteId, round: u32) -> Counted {
    let rounds = u64::from(round);
    Counted {
        site: site.clone(),
        egress_bytes: rounds * ROUND_BYTES,
        requests: rounds * 3,
        saved_bytes: rounds * 90_000,
        recent_bytes: ROUND_BYTES * 10,
    }
}

/// So many seconds after the beginning.
fn now(seconds: i64) -> Timestamp {
    let beginning: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    beginning.checked_add(seconds.seconds()).unwrap()
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn report(what: &str, number: usize, began: Instant, directory: &Path) {
    let seconds = began.elapsed().as_secs_f64();
    let bytes: u64 = fs::read_dir(directory).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    let megabytes = bytes as f64 / 1e6;
    println!("| {what} | {number} | {seconds:.1} | {:.0} | {megabytes:.0} MB |", number as f64 / seconds);
}
