//! What sites used, hour by hour.

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{error::LedgerError, open::Ledger, periods::time};
use crate::billing::{Microcredits, SiteId};

const HOUR_SECONDS: i64 = 60 * 60;

/// How fine a series is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// An hour.
    Hour,
    /// A day in UTC.
    Day,
    /// A calendar month in UTC.
    Month,
}

/// Usage over some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Credits charged for image sizes.
    pub size: Microcredits,
    /// For WebP.
    pub webp: Microcredits,
    /// For AVIF.
    pub avif: Microcredits,
    /// For bytes sent.
    pub egress: Microcredits,
    /// Credits' worth of bytes that nothing was left for.
    pub written_off: Microcredits,
    /// Body bytes of optimized images sent while entitled.
    pub egress_bytes: u64,
    /// Requests answered.
    pub requests: u64,
    /// Bytes saved.
    pub saved_bytes: u64,
}

/// Usage of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsagePoint {
    /// When the step begins.
    pub at: Timestamp,
    /// What was used in it.
    pub usage: Usage,
}

impl Ledger {
    /// What a site used in the hours that begin from `from` on and before `to`: in all, and by steps, those without usage
    /// left out.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    pub async fn usage(
        &self,
        site: &SiteId,
        from: Timestamp,
        to: Timestamp,
        step: Step,
    ) -> Result<(Usage, Vec<UsagePoint>), LedgerError> {
        let hours = sqlx::query(
            "SELECT hour, size, webp, avif, egress, written_off, egress_bytes, requests, saved_bytes FROM usage \
             WHERE site = ? AND hour >= ? AND hour < ? ORDER BY hour",
        )
        .bind(site.as_str())
        .bind(whole_second_from(from))
        .bind(whole_second_from(to))
        .fetch_all(&self.readers)
        .await?;
        let (mut total, mut points) = (Usage::default(), Vec::<UsagePoint>::new());
        for hour in hours {
            let (at, usage) = (step.beginning(time(hour.try_get("hour")?)?), Usage::read(&hour)?);
            total.add(&usage);
            match points.last_mut() {
                Some(point) if point.at == at => point.usage.add(&usage),
                _ => points.push(UsagePoint { at, usage }),
            }
        }
        Ok((total, points))
    }
}

impl Step {
    /// The beginning of the step that `time` lies in.
    fn beginning(self, time: Timestamp) -> Timestamp {
        let date = TimeZone::UTC.to_datetime(time);
        let beginning = match self {
            Self::Hour => date.date().at(date.hour(), 0, 0, 0),
            Self::Day => date.date().at(0, 0, 0, 0),
            Self::Month => date.date().first_of_month().at(0, 0, 0, 0),
        };
        TimeZone::UTC.to_timestamp(beginning).unwrap_or(time)
    }
}

impl Usage {
    fn read(row: &SqliteRow) -> Result<Self, LedgerError> {
        let number = |column: &str| row.try_get::<i64, _>(column);
        let count = |column: &str| number(column).map(|count| count.max(0).unsigned_abs());
        Ok(Self {
            size: Microcredits::new(number("size")?),
            webp: Microcredits::new(number("webp")?),
            avif: Microcredits::new(number("avif")?),
            egress: Microcredits::new(number("egress")?),
            written_off: Microcredits::new(number("written_off")?),
            egress_bytes: count("egress_bytes")?,
            requests: count("requests")?,
            saved_bytes: count("saved_bytes")?,
        })
    }

    /// Adds to it. A sum beyond 64 bits stays at their end: this is a report, the books are elsewhere.
    pub(super) fn add(&mut self, other: &Self) {
        let credits = |to: &mut Microcredits, more: Microcredits| {
            *to = Microcredits::new(to.get().saturating_add(more.get()));
        };
        let count = |to: &mut u64, more: u64| *to = to.saturating_add(more);
        credits(&mut self.size, other.size);
        credits(&mut self.webp, other.webp);
        credits(&mut self.avif, other.avif);
        credits(&mut self.egress, other.egress);
        credits(&mut self.written_off, other.written_off);
        count(&mut self.egress_bytes, other.egress_bytes);
        count(&mut self.requests, other.requests);
        count(&mut self.saved_bytes, other.saved_bytes);
    }
}

/// Adds what sites used to the hour of `now`.
pub(super) async fn add_usage<'u>(
    db: &mut SqliteConnection,
    used: impl IntoIterator<Item = (&'u SiteId, &'u Usage)>,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let rows: Vec<Value> = used
        .into_iter()
        .filter(|(_, usage)| **usage != Usage::default())
        .map(|(site, usage)| {
            let counts = [usage.egress_bytes, usage.requests, usage.saved_bytes].map(to_integer);
            let credits = [usage.size, usage.webp, usage.avif, usage.egress, usage.written_off].map(Microcredits::get);
            json!([site.as_str(), credits, counts])
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    // A sum beyond 64 bits stays at their end, or no usage of that hour could be taken in any more.
    sqlx::query(
        "INSERT INTO usage (site, hour, size, webp, avif, egress, written_off, egress_bytes, requests, saved_bytes) \
         SELECT value ->> 0, ?2, value ->> '$[1][0]', value ->> '$[1][1]', value ->> '$[1][2]', value ->> '$[1][3]', \
         value ->> '$[1][4]', value ->> '$[2][0]', value ->> '$[2][1]', value ->> '$[2][2]' FROM json_each(?1) WHERE true \
         ON CONFLICT (site, hour) DO UPDATE SET \
         size = min(usage.size + excluded.size, 9223372036854775807), \
         webp = min(usage.webp + excluded.webp, 9223372036854775807), \
         avif = min(usage.avif + excluded.avif, 9223372036854775807), \
         egress = min(usage.egress + excluded.egress, 9223372036854775807), \
         written_off = min(usage.written_off + excluded.written_off, 9223372036854775807), \
         egress_bytes = min(usage.egress_bytes + excluded.egress_bytes, 9223372036854775807), \
         requests = min(usage.requests + excluded.requests, 9223372036854775807), \
         saved_bytes = min(usage.saved_bytes + excluded.saved_bytes, 9223372036854775807)",
    )
    .bind(Value::from(rows).to_string())
    .bind(now.as_second().div_euclid(HOUR_SECONDS) * HOUR_SECONDS)
    .execute(db)
    .await?;
    Ok(())
}

/// The first whole second that is not before `time`.
pub(super) fn whole_second_from(time: Timestamp) -> i64 {
    time.as_second() + i64::from(time.subsec_nanosecond() > 0)
}

/// A count as the database can have it.
pub(super) fn to_integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
