//! The rules once more, as plain arithmetic: microcredits in integers, seconds in integers, everything in maps.

use std::collections::{BTreeMap, BTreeSet};

use lightmeter::billing::{Component, Period};

pub(crate) const WINDOW: i64 = 30 * 24 * 3_600;
const PRICE: i64 = 1_000_000;
/// Bytes that a microcredit pays for.
pub(crate) const BYTES_PER_MICROCREDIT: u64 = 5;

pub(crate) type Name = [u8; 16];

/// Credits of both kinds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Purse {
    pub(crate) monthly: i64,
    pub(crate) one_time: i64,
}

impl Purse {
    pub(crate) fn total(self) -> i64 {
        self.monthly + self.one_time
    }

    /// Takes as much of `amount` as there is; what it took.
    fn take(&mut self, amount: i64) -> Purse {
        let monthly = amount.min(self.monthly);
        let one_time = (amount - monthly).min(self.one_time);
        self.monthly -= monthly;
        self.one_time -= one_time;
        assert!(one_time == 0 || self.monthly == 0, "F: one-time credits were used before monthly ones");
        Purse { monthly, one_time }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) refill: i64,
    pub(crate) refilled: i64,
    pub(crate) anchor: i64,
    pub(crate) end: i64,
    pub(crate) free: Purse,
    pub(crate) expired: i64,
    pub(crate) withdrawn: i64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Site {
    pub(crate) account: usize,
    pub(crate) is_egress: bool,
    pub(crate) allocation: Option<Purse>,
    pub(crate) used: Purse,
    pub(crate) own: Purse,
    pub(crate) spent: i64,
    pub(crate) needed: i64,
    /// Bytes in the ledger, what they cost, and what could not be paid of that.
    pub(crate) bytes: u64,
    pub(crate) charged: i64,
    pub(crate) written_off: i64,
    windows: Vec<Window>,
    /// When the window opened in which each component of what was asked for was charged last.
    charges: BTreeMap<(Name, Component), i64>,
    pub(crate) charged_components: u64,
}

#[derive(Debug, Clone)]
struct Window {
    opened: i64,
    names: BTreeSet<Name>,
    components: BTreeSet<Component>,
}

/// What a view came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Viewed {
    Charged(Vec<Component>),
    Refused { missing: i64 },
}

#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) now: i64,
    pub(crate) issued: i64,
    pub(crate) accounts: Vec<Account>,
    pub(crate) sites: Vec<Site>,
}

impl Model {
    pub(crate) fn new(now: i64, refills: &[i64], sites: &[(usize, bool)]) -> Self {
        let account = |refill: &i64| Account {
            refill: *refill,
            refilled: *refill,
            anchor: now,
            end: end_of(now, now),
            free: Purse { monthly: *refill, one_time: 0 },
            expired: 0,
            withdrawn: 0,
        };
        let site =
            |(account, is_egress): &(usize, bool)| Site { account: *account, is_egress: *is_egress, ..Site::default() };
        Self {
            now,
            issued: refills.iter().sum(),
            accounts: refills.iter().map(account).collect(),
            sites: sites.iter().map(site).collect(),
        }
    }

    /// Closes each period that is over.
    pub(crate) fn close_periods(&mut self) {
        for number in 0..self.accounts.len() {
            if self.now < self.accounts[number].end {
                continue;
            }
            let account = &mut self.accounts[number];
            account.expired += std::mem::take(&mut account.free.monthly);
            for site in self.sites.iter_mut().filter(|site| site.account == number) {
                account.expired += std::mem::take(&mut site.own.monthly);
                site.used.monthly = 0;
            }
            account.end = end_of(account.anchor, self.now);
            account.refilled = account.refill;
            account.free.monthly = account.refill;
            self.issued += account.refill;
            for site in self.sites.iter_mut().filter(|site| site.account == number) {
                let wanted = site.allocation.map_or(0, |allocation| allocation.monthly);
                site.own.monthly = wanted.min(account.free.monthly);
                account.free.monthly -= site.own.monthly;
            }
        }
    }

    pub(crate) fn purse(&self, site: usize) -> Purse {
        match self.sites[site].allocation {
            Some(_) => self.sites[site].own,
            None => self.accounts[self.sites[site].account].free,
        }
    }

    fn pay(&mut self, number: usize, amount: i64) -> i64 {
        let site = &mut self.sites[number];
        let has_allocation = site.allocation.is_some();
        let purse = if has_allocation { &mut site.own } else { &mut self.accounts[site.account].free };
        let taken = purse.take(amount);
        site.spent += taken.total();
        if has_allocation {
            site.used.monthly += taken.monthly;
            site.used.one_time += taken.one_time;
        }
        taken.total()
    }

    pub(crate) fn view(&mut self, number: usize, requested: Name, pixels: Name, delivered: &[Component]) -> Viewed {
        let (now, purse) = (self.now, self.purse(number));
        let site = &mut self.sites[number];
        let is_open = |window: &&mut Window| {
            now < window.opened + WINDOW && (window.names.contains(&requested) || window.names.contains(&pixels))
        };
        let covered: BTreeSet<Component> =
            site.windows.iter_mut().filter(is_open).flat_map(|window| window.components.clone()).collect();
        let due: Vec<Component> = delivered.iter().copied().filter(|component| !covered.contains(component)).collect();
        let price = PRICE * i64::try_from(due.len()).unwrap();
        if price > purse.total() {
            site.needed = price;
            return Viewed::Refused { missing: price - purse.total() };
        }
        if due.is_empty() {
            site.windows.iter_mut().filter(is_open).for_each(|window| window.names.extend([requested, pixels]));
            return Viewed::Charged(due);
        }
        if site.windows.iter_mut().filter(is_open).count() == 0 {
            site.windows.push(Window { opened: now, names: [requested].into(), components: BTreeSet::new() });
        }
        let mut newest = None;
        for (number, window) in site.windows.iter_mut().enumerate().filter(|(_, window)| is_open(window)) {
            window.names.extend([requested, pixels]);
            newest = newest.max(Some((window.opened, number)));
        }
        let (opened, number_of_window) = newest.unwrap();
        site.windows[number_of_window].components.extend(&due);
        for component in &due {
            let last = site.charges.insert((requested, *component), opened);
            assert!(last.is_none_or(|opened| now >= opened + WINDOW), "D: charged twice in a window");
            site.charged_components += 1;
        }
        site.needed = 0;
        assert_eq!(self.pay(number, price), price);
        Viewed::Charged(due)
    }

    /// The ledger has so many more bytes of a site.
    pub(crate) fn post(&mut self, number: usize, bytes: u64) {
        let site = &mut self.sites[number];
        site.bytes += bytes;
        let cost = i64::try_from(site.bytes / BYTES_PER_MICROCREDIT).unwrap();
        let due = cost - site.charged - site.written_off;
        let paid = self.pay(number, due);
        let site = &mut self.sites[number];
        site.charged += paid;
        site.written_off += due - paid;
    }

    pub(crate) fn grant(&mut self, account: usize, one_time: bool, amount: i64) {
        self.issued += amount;
        let free = &mut self.accounts[account].free;
        *(if one_time { &mut free.one_time } else { &mut free.monthly }) += amount;
    }

    /// Whether there was enough.
    pub(crate) fn withdraw(&mut self, account: usize, one_time: bool, amount: i64) -> bool {
        let account = &mut self.accounts[account];
        let free = if one_time { &mut account.free.one_time } else { &mut account.free.monthly };
        if *free < amount {
            return false;
        }
        *free -= amount;
        account.withdrawn += amount;
        true
    }

    /// Whether there was enough.
    pub(crate) fn allocate(&mut self, number: usize, allocation: Option<Purse>) -> bool {
        let site = &mut self.sites[number];
        let free = &mut self.accounts[site.account].free;
        let wanted = allocation.unwrap_or_default();
        let monthly = (wanted.monthly - site.used.monthly).max(0) - site.own.monthly;
        let one_time = (wanted.one_time - site.used.one_time).max(0) - site.own.one_time;
        if monthly > free.monthly || one_time > free.one_time {
            return false;
        }
        free.monthly -= monthly;
        free.one_time -= one_time;
        site.own.monthly += monthly;
        site.own.one_time += one_time;
        site.allocation = allocation;
        if allocation.is_none() {
            site.used.one_time = 0;
        }
        true
    }

    pub(crate) fn change_plan(&mut self, number: usize, refill: i64) {
        self.sites.iter_mut().filter(|site| site.account == number).for_each(|site| site.needed = 0);
        let account = &mut self.accounts[number];
        account.refill = refill;
        let more = (refill - account.refilled).max(0);
        account.refilled += more;
        account.free.monthly += more;
        self.issued += more;
    }

    /// A, B, E, G: what must hold whatever happened.
    pub(crate) fn assert_invariants(&self) {
        let of_sites: i64 = self.sites.iter().map(|site| site.own.total() + site.spent).sum();
        let of_accounts: i64 =
            self.accounts.iter().map(|account| account.free.total() + account.expired + account.withdrawn).sum();
        assert_eq!(of_sites + of_accounts, self.issued, "A");
        for site in &self.sites {
            assert!(site.own.monthly >= 0 && site.own.one_time >= 0, "B");
            let cost = i64::try_from(site.bytes / BYTES_PER_MICROCREDIT).unwrap();
            assert_eq!(site.charged + site.written_off, cost, "E");
        }
        for account in &self.accounts {
            assert!(account.free.monthly >= 0 && account.free.one_time >= 0, "B");
        }
    }
}

/// Months are not the model's matter: `Period` has tests of its own.
fn end_of(anchor: i64, at: i64) -> i64 {
    let time = |seconds| jiff::Timestamp::from_second(seconds).unwrap();
    Period::at(time(anchor), time(at)).end.as_second()
}
