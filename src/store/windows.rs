//! The windows of a batch of image sizes (`billing.md` rules 3, 4): read at once, charged in memory, written at once.
//!
//! A window has two kinds of names, what was asked for and the pixels that came of it. Where content changes at the origin,
//! a request may come to pixels that have a window of their own: then both are that size's, and what is charged in either is.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{charges::VariantCharge, error::LedgerError, periods::time};
use crate::billing::{Component, SiteId, window};

/// Windows that last, by the names that they have in a batch.
pub(super) struct Windows {
    /// In whole seconds, as what opens now is written.
    now: Timestamp,
    by_name: HashMap<(SiteId, Name), Vec<Window>>,
    charged: HashMap<WindowId, Vec<Component>>,
    last: WindowId,
    new: New,
}

/// What is not written yet.
#[derive(Default)]
struct New {
    windows: i64,
    names: Vec<Value>,
    charges: Vec<Value>,
}

type Name = [u8; 16];
type WindowId = i64;

/// In the order in which they opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Window {
    opened: Timestamp,
    id: WindowId,
}

impl Windows {
    /// Reads those of the sizes of a batch that last at `now`.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    pub(super) async fn load(
        db: &mut SqliteConnection,
        batch: &[VariantCharge],
        now: Timestamp,
    ) -> Result<Self, LedgerError> {
        let last: WindowId =
            sqlx::query("SELECT value FROM state WHERE name = 'windows'").fetch_one(&mut *db).await?.try_get(0)?;
        let named: Value = batch
            .iter()
            .flat_map(|item| [item.requested, item.pixels].map(|name| json!([item.site.as_str(), hex(name)])))
            .collect();
        let rows = sqlx::query(
            "SELECT size_window.site, size_window.name, size_window.window, size_window.opened, component \
             FROM (SELECT DISTINCT value ->> 0 AS site, unhex(value ->> 1) AS name FROM json_each(?1)) AS named \
             CROSS JOIN size_window \
             ON size_window.site = named.site AND size_window.name = named.name AND size_window.opened > ?2 \
             LEFT JOIN variant_charge ON variant_charge.window = size_window.window",
        )
        .bind(named.to_string())
        .bind(now.as_second() - window::WINDOW.as_secs())
        .fetch_all(&mut *db)
        .await?;
        let (by_name, charged) = (HashMap::new(), HashMap::new());
        let now = time(now.as_second())?;
        let mut windows = Self { now, by_name, charged, last, new: New::default() };
        for row in rows {
            windows.read(&row)?;
        }
        Ok(windows)
    }

    fn read(&mut self, row: &SqliteRow) -> Result<(), LedgerError> {
        let damaged = |what: &str| LedgerError::Damaged(format!("a window's {what}"));
        let site: SiteId = row.try_get::<&str, _>("site")?.parse().map_err(|_| damaged("site"))?;
        let name: Name = row.try_get::<&[u8], _>("name")?.try_into().map_err(|_| damaged("name"))?;
        let window = Window { opened: time(row.try_get("opened")?)?, id: row.try_get("window")? };
        let named = self.by_name.entry((site, name)).or_default();
        if !named.contains(&window) {
            named.push(window);
        }
        if let Some(component) = row.try_get::<Option<&str>, _>("component")? {
            let component = Component::ALL.into_iter().find(|known| known.name() == component);
            let charged = self.charged.entry(window.id).or_default();
            charged.push(component.ok_or_else(|| damaged("component"))?);
        }
        Ok(())
    }

    /// What of a delivery is not charged under either of its names, each component once.
    pub(super) fn uncharged(&self, item: &VariantCharge) -> Vec<Component> {
        let charged: Vec<_> = self.of(item).into_iter().flat_map(|window| self.charged(window)).copied().collect();
        let mut due = window::uncharged(&item.components, &charged);
        due.sort_unstable();
        due.dedup();
        due
    }

    /// Until when all of a delivery is charged, given that it is.
    pub(super) fn charged_until(&self, item: &VariantCharge) -> Timestamp {
        let windows = self.of(item);
        let ends = item.components.iter().map(|component| {
            let holding = windows.iter().filter(|window| self.charged(**window).contains(component));
            holding.map(|window| window::end(window.opened)).max().unwrap_or(self.now)
        });
        ends.min().unwrap_or(self.now)
    }

    /// Gives each window of a size both of its names: what was delivered of it under one name is not charged under the other.
    pub(super) fn name(&mut self, item: &VariantCharge) {
        for window in self.of(item) {
            self.name_window(item, window);
        }
    }

    /// Notes components as charged in the size's newest window, or in one that opens now. Returns its number.
    pub(super) fn charge(&mut self, item: &VariantCharge, components: &[Component]) -> WindowId {
        self.name(item);
        let newest = self.of(item).last().copied();
        let window = newest.unwrap_or_else(|| self.open(item));
        self.charged.entry(window.id).or_default().extend(components);
        let charges = components.iter().map(|component| json!([window.id, component.name()]));
        self.new.charges.extend(charges);
        window.id
    }

    /// Writes what is new.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`], also where a component is charged in its window already: it is not charged twice.
    pub(super) async fn write(self, db: &mut SqliteConnection) -> Result<(), LedgerError> {
        let new = self.new;
        if new.windows > 0 {
            sqlx::query("UPDATE state SET value = value + ? WHERE name = 'windows'")
                .bind(new.windows)
                .execute(&mut *db)
                .await?;
        }
        if !new.names.is_empty() {
            sqlx::query(
                "INSERT INTO size_window (site, name, window, opened) \
                 SELECT value ->> 0, unhex(value ->> 1), value ->> 2, value ->> 3 FROM json_each(?)",
            )
            .bind(Value::from(new.names).to_string())
            .execute(&mut *db)
            .await?;
        }
        if !new.charges.is_empty() {
            sqlx::query(
                "INSERT INTO variant_charge (window, component, at) \
                 SELECT value ->> 0, value ->> 1, ?2 FROM json_each(?1)",
            )
            .bind(Value::from(new.charges).to_string())
            .bind(self.now.as_second())
            .execute(db)
            .await?;
        }
        Ok(())
    }

    /// The windows that a size has, the newest last.
    fn of(&self, item: &VariantCharge) -> Vec<Window> {
        let mut windows: Vec<_> =
            names(item).into_iter().filter_map(|name| self.by_name.get(&name)).flatten().copied().collect();
        windows.sort_unstable();
        windows.dedup();
        windows
    }

    fn charged(&self, window: Window) -> &[Component] {
        self.charged.get(&window.id).map_or(&[], Vec::as_slice)
    }

    fn open(&mut self, item: &VariantCharge) -> Window {
        self.new.windows += 1;
        let window = Window { opened: self.now, id: self.last + self.new.windows };
        self.name_window(item, window);
        window
    }

    fn name_window(&mut self, item: &VariantCharge, window: Window) {
        for (site, name) in names(item) {
            let row = json!([site.as_str(), hex(name), window.id, window.opened.as_second()]);
            let named = self.by_name.entry((site, name)).or_default();
            if !named.contains(&window) {
                named.push(window);
                self.new.names.push(row);
            }
        }
    }
}

fn names(item: &VariantCharge) -> [(SiteId, Name); 2] {
    [(item.site.clone(), item.requested), (item.site.clone(), item.pixels)]
}

fn hex(name: Name) -> String {
    format!("{:032x}", u128::from_be_bytes(name))
}
