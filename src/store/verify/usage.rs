//! Usage, rated egress and charges of image sizes against what was paid for them.

use std::{collections::BTreeMap, num::NonZeroU64};

use sqlx::{Row as _, SqliteConnection};

use super::{Disagreement, balances::Moved, unless_equal};
use crate::{
    billing::{BytesPerCredit, Component, LedgerAccount, Reason},
    store::{error::LedgerError, periods::parsed},
};

/// What is told of charges that go wrong, at the most: they may be millions.
const MAX_TOLD: u32 = 100;

/// What a site used, by the hours, and what of its egress was charged, by the rates.
#[derive(Default)]
struct Used {
    size: i128,
    webp: i128,
    avif: i128,
    egress: i128,
    written_off: i128,
    rated: i128,
    rated_written_off: i128,
}

/// What each site paid, for each reason, against its usage; egress against what is rated, too.
pub(super) async fn of_sites(db: &mut SqliteConnection, moved: &Moved) -> Result<Vec<Disagreement>, LedgerError> {
    let mut sites = used(db).await?;
    for payer in moved.payers()? {
        sites.entry(payer).or_default();
    }
    let mut found = Vec::new();
    for (payer, used) in &sites {
        let mut paid = 0;
        for (reason, by_hours) in [
            (Reason::Size, used.size),
            (Reason::Webp, used.webp),
            (Reason::Avif, used.avif),
            (Reason::Egress, used.egress),
        ] {
            let what = || format!("usage for {} of {payer}", reason.name());
            found.extend(unless_equal(what, by_hours, moved.spent(payer, reason)));
            paid += moved.spent(payer, reason);
        }
        found.extend(unless_equal(|| format!("{payer} for what is no usage"), moved.balance(payer) - paid, 0));
        let egress = moved.spent(payer, Reason::Egress);
        found.extend(unless_equal(|| format!("rated egress of {payer}"), used.rated, egress));
        let what = || format!("usage written off of {payer}");
        found.extend(unless_equal(what, used.written_off, used.rated_written_off));
    }
    Ok(found)
}

async fn used(db: &mut SqliteConnection) -> Result<BTreeMap<LedgerAccount, Used>, LedgerError> {
    let mut sites: BTreeMap<_, Used> = BTreeMap::new();
    let hours = sqlx::query(
        "SELECT site, sum(size) AS size, sum(webp) AS webp, sum(avif) AS avif, sum(egress) AS egress, \
         sum(written_off) AS written_off FROM usage GROUP BY site",
    );
    for row in hours.fetch_all(&mut *db).await? {
        let used = sites.entry(LedgerAccount::Spent(parsed(row.try_get("site")?)?)).or_default();
        let sum = |column: &str| row.try_get::<i64, _>(column).map(i128::from);
        (used.size, used.webp, used.avif) = (sum("size")?, sum("webp")?, sum("avif")?);
        (used.egress, used.written_off) = (sum("egress")?, sum("written_off")?);
    }
    let rates =
        sqlx::query("SELECT site, sum(charged) AS charged, sum(written_off) AS written_off FROM rated GROUP BY site");
    for row in rates.fetch_all(db).await? {
        let used = sites.entry(LedgerAccount::Spent(parsed(row.try_get("site")?)?)).or_default();
        used.rated = row.try_get::<i64, _>("charged")?.into();
        used.rated_written_off = row.try_get::<i64, _>("written_off")?.into();
    }
    Ok(sites)
}

/// What the bytes cost that are rated (rule 2): all of it was charged or written off.
pub(super) async fn of_rates(db: &mut SqliteConnection) -> Result<Vec<Disagreement>, LedgerError> {
    let rows = sqlx::query("SELECT site, bytes_per_credit, bytes, charged, written_off FROM rated").fetch_all(db);
    let mut found = Vec::new();
    for row in rows.await? {
        let (site, bytes): (&str, i64) = (row.try_get("site")?, row.try_get("bytes")?);
        let per_credit: i64 = row.try_get("bytes_per_credit")?;
        let damaged = || LedgerError::Damaged(format!("rated egress of site/{site}: {bytes} bytes at {per_credit}"));
        let rate = u64::try_from(per_credit).ok().and_then(NonZeroU64::new).ok_or_else(damaged)?;
        let cost = BytesPerCredit(rate).cost(u64::try_from(bytes).map_err(|_| damaged())?);
        let kept = i128::from(row.try_get::<i64, _>("charged")?) + i128::from(row.try_get::<i64, _>("written_off")?);
        let what = || format!("egress of site/{site} at {per_credit} bytes a credit");
        found.extend(unless_equal(what, kept, cost.get().into()));
    }
    Ok(found)
}

/// Each component charged in a window was paid for, and nothing else was: one by one that they were, by the sums that
/// there are no more.
pub(super) async fn of_windows(db: &mut SqliteConnection, moved: &Moved) -> Result<Vec<Disagreement>, LedgerError> {
    let unpaid = sqlx::query(
        "SELECT window, component, (SELECT coalesce(sum(amount), 0) FROM transfer WHERE reason = component \
         AND key IN ('variant/' || window || '/' || component || '/monthly', \
         'variant/' || window || '/' || component || '/one_time')) AS paid FROM variant_charge WHERE paid <> ? LIMIT ?",
    );
    let unpaid = unpaid.bind(Component::PRICE.get()).bind(MAX_TOLD).fetch_all(&mut *db).await?;
    let mut found = Vec::new();
    for row in unpaid {
        let (window, component): (i64, &str) = (row.try_get("window")?, row.try_get("component")?);
        let what = || format!("paid for {component} of window {window}");
        found.extend(unless_equal(what, row.try_get::<i64, _>("paid")?.into(), Component::PRICE.get().into()));
    }
    for (component, reason) in
        [(Component::Size, Reason::Size), (Component::Webp, Reason::Webp), (Component::Avif, Reason::Avif)]
    {
        let row = sqlx::query("SELECT count(*) FROM variant_charge WHERE component = ?").bind(component.name());
        let charges: i64 = row.fetch_one(&mut *db).await?.try_get(0)?;
        let price = i128::from(charges) * i128::from(Component::PRICE.get());
        found.extend(unless_equal(
            || format!("paid for {} in all", component.name()),
            moved.spent_by_all(reason),
            price,
        ));
    }
    Ok(found)
}
