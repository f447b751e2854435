//! The real ledger and two nodes, beside the model; and crashes.

use std::{future::poll_fn, pin::pin, task::Poll};

use jiff::Timestamp;
use lightmeter::{
    billing::{
        AccountId, Allocation, BytesPerCredit, Catalogue, Component, Entitlement, Kind, Microcredits, SiteId, Tariff,
    },
    store::{
        Charged, Counted, Durability, Grant, Ledger, LedgerError, NewSite, Once, Posted, Step as UsageStep,
        VariantCharge,
    },
};

use super::{
    history::{Asked, Format, Step},
    model::{BYTES_PER_MICROCREDIT, Model, Name, Purse, Viewed},
};

const ACCOUNTS: [&str; 2] = ["acme", "beta"];
/// Name, whose, and whether its egress counts. An account's sites stand in the order of their names: where a period brings less than is
/// allocated, they get theirs in this order.
const SITES: [(&str, usize, bool); 4] =
    [("shop", 0, false), ("blog", 1, false), ("static", 0, true), ("media", 1, true)];
const PLANS: [(&str, i64); 3] = [("small", 8_000_000), ("free", 30_000_000), ("large", 90_000_000)];

/// A node: its counters outlive it, its leases do not.
#[derive(Debug, Clone, Default)]
struct Node {
    counted: [u64; 4],
    /// What it has posted, as far as the model knows.
    posted: [u64; 4],
    /// Up to which count each site may send.
    lease_end: [u64; 4],
}

pub(crate) struct World {
    home: tempfile::TempDir,
    ledger: Option<Ledger>,
    model: Model,
    nodes: [Node; 2],
    content: u8,
    /// Counts requests, for their keys.
    requests: u32,
    steps: u32,
}

impl World {
    pub(crate) async fn new() -> Self {
        let base = ["/dev/shm", "/tmp"].into_iter().find(|dir| std::path::Path::new(dir).is_dir()).unwrap();
        let now = "2026-01-31T10:00:00Z".parse::<Timestamp>().unwrap().as_second();
        let owners: Vec<(usize, bool)> = SITES.iter().map(|(_, account, is_egress)| (*account, *is_egress)).collect();
        let mut world = Self {
            home: tempfile::tempdir_in(base).unwrap(),
            ledger: None,
            model: Model::new(now, &[PLANS[1].1; 2], &owners),
            nodes: Default::default(),
            content: 0,
            requests: 0,
            steps: 0,
        };
        world.open().await;
        for id in ACCOUNTS {
            world.ledger().create_account(None, &account(id), "free", world.now()).await.unwrap();
        }
        for (id, owner, is_egress) in SITES {
            let tariff = if is_egress { Tariff::Egress { rate: BytesPerCredit::default() } } else { Tariff::Variants };
            let site = NewSite { id: site(id), account: account(ACCOUNTS[owner]), tariff, settings: "{}".to_owned() };
            world.ledger().create_site(None, &site, world.now()).await.unwrap();
        }
        world
    }

    fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.model.now).unwrap()
    }

    async fn open(&mut self) {
        // Nothing of the old one is left when the new one begins, as between two processes.
        if let Some(ledger) = self.ledger.take() {
            ledger.close().await;
        }
        let plans: String = PLANS
            .iter()
            .map(|(id, refill)| {
                format!("[[plan]]\nid='{id}'\nname='x'\nprice='0.00'\nmonthly_credits={}\n", refill / 1_000_000)
            })
            .collect();
        let catalogue = Catalogue::parse(&format!("currency='EUR'\n{plans}")).unwrap();
        let path = self.home.path().join("ledger.db");
        self.ledger = Some(Ledger::open(&path, catalogue, Durability::Process).await.unwrap());
    }

    /// Does something; where it is to crash, the first attempt is dropped so many polls into it, whatever it has done by then.
    async fn survive<T>(&mut self, crash: Option<u8>, attempt: impl AsyncFn(&Ledger) -> T) -> T {
        if let Some(polls) = crash {
            let mut left = polls;
            {
                let mut attempt = pin!(attempt(self.ledger()));
                poll_fn(|context| {
                    if left == 0 || attempt.as_mut().poll(context).is_ready() {
                        return Poll::Ready(());
                    }
                    left -= 1;
                    Poll::Pending
                })
                .await;
            }
            self.open().await;
        }
        attempt(self.ledger()).await
    }

    fn once(&mut self) -> Once {
        self.requests += 1;
        Once { key: format!("operator/{}", self.requests), fingerprint: [0; 32] }
    }

    pub(crate) async fn take(&mut self, step: &Step) {
        self.steps += 1;
        match step {
            Step::Views { site, views, crash } => self.views(usize::from(*site), views, *crash).await,
            Step::Sends { node, site, bytes } => self.sends(usize::from(*node), usize::from(*site), u64::from(*bytes)),
            Step::Posts { node, crash } => self.posts(usize::from(*node), *crash).await,
            Step::Replays { node } => self.replays(usize::from(*node)).await,
            Step::NodeRestarts { node } => self.nodes[usize::from(*node)].lease_end = Default::default(),
            Step::Grants { account, one_time, amount, crash } => {
                self.grants(usize::from(*account), *one_time, *amount, *crash).await;
            }
            Step::Withdraws { account, one_time, amount } => {
                self.withdraws(usize::from(*account), *one_time, *amount).await;
            }
            Step::Allocates { site, allocation, crash } => {
                let allocation = allocation.map(|(monthly, one_time)| Purse { monthly, one_time });
                self.allocates(usize::from(*site), allocation, *crash).await;
            }
            Step::ChangesPlan { account, plan, crash } => {
                self.changes_plan(usize::from(*account), usize::from(*plan), *crash).await;
            }
            Step::Passes { seconds } => {
                self.model.now += i64::from(*seconds);
                self.ledger().close_periods(self.now()).await.unwrap();
                self.model.close_periods();
            }
            Step::GoesBack { seconds } => self.model.now -= i64::from(*seconds),
            Step::Changes => self.content = self.content.wrapping_add(1),
            Step::Restarts => self.open().await,
        }
    }

    async fn views(&mut self, number: usize, views: &[(Asked, Format)], crash: Option<u8>) {
        let content = self.content;
        let charges: Vec<VariantCharge> = views
            .iter()
            .map(|(asked, format)| VariantCharge {
                site: site(SITES[number].0),
                requested: requested(*asked),
                pixels: pixels(*asked, content),
                components: components(*format),
                reference: format!("{asked:?}"),
            })
            .collect();
        let now = self.now();
        let results = self.survive(crash, async |ledger| ledger.charge_variants(&charges, now).await.unwrap()).await;
        self.model.close_periods();
        let mut found_the_first = false;
        for (charge, result) in charges.iter().zip(results) {
            let wanted = self.model.view(number, charge.requested, charge.pixels, &charge.components);
            match (result.unwrap(), wanted) {
                // After a crash it may have been charged by the attempt that nobody heard of.
                (Charged::Until { until, now: charged }, Viewed::Charged(due)) => {
                    assert!(until > now, "a window that is over");
                    assert!(charged == due || (crash.is_some() && charged.is_empty()), "{charged:?} for {due:?}");
                    found_the_first |= charged != due;
                }
                (Charged::Refused(shortfall), Viewed::Refused { missing }) => {
                    // What came behind it in the first attempt may have used some of what it found.
                    assert!(shortfall.missing.get() == missing || crash.is_some(), "{shortfall:?}");
                }
                // What came behind it in the first attempt may have been delivered before, and is of the same pixels.
                (Charged::Until { now: charged, .. }, Viewed::Refused { .. }) if crash.is_some() => {
                    assert_eq!(charged, [], "it was refused");
                    found_the_first = true;
                }
                (found, wanted) => {
                    panic!("{found:?} where the model says {wanted:?} of {charge:?} in {views:?}, crash {crash:?}")
                }
            }
        }
        // The second attempt found what the first one did: what it refused came after that, and is what is needed now.
        for charge in charges.iter().filter(|_| found_the_first) {
            self.model.view(number, charge.requested, charge.pixels, &charge.components);
        }
    }

    /// A node sends while its lease is not used up; what is under way then is completed.
    fn sends(&mut self, node: usize, site: usize, bytes: u64) {
        let node = &mut self.nodes[node];
        if node.counted[site] < node.lease_end[site] {
            node.counted[site] += bytes;
        }
    }

    fn counted(&self, node: usize) -> Vec<Counted> {
        let of = |number: usize| Counted {
            site: site(SITES[number].0),
            egress_bytes: self.nodes[node].counted[number],
            requests: 0,
            saved_bytes: 0,
            recent_bytes: 1_000_000,
        };
        (2..4).map(of).collect()
    }

    async fn posts(&mut self, number: usize, crash: Option<u8>) {
        let (counted, name, now) = (self.counted(number), node_name(number), self.now());
        let posted = self.survive(crash, async |ledger| ledger.post(&name, &counted, now).await.unwrap()).await;
        self.model.close_periods();
        for (site, (id, ..)) in SITES.iter().enumerate().skip(2) {
            let node = &mut self.nodes[number];
            let bytes = node.counted[site] - std::mem::replace(&mut node.posted[site], node.counted[site]);
            let before = self.model.sites[site].written_off;
            self.model.post(site, bytes);
            let result: &Posted = posted.iter().find(|posted| posted.site.as_str() == *id).unwrap();
            let wrote_off = self.model.sites[site].written_off - before;
            assert!(result.written_off.get() == wrote_off || crash.is_some());
            let node = &mut self.nodes[number];
            let lease = u64::try_from(result.lease.get()).unwrap();
            node.lease_end[site] = node.counted[site] + lease * BYTES_PER_MICROCREDIT;
            assert!(result.lease.get() <= self.model.purse(site).total(), "a lease on more than there is");
            assert_eq!(result.entitlement == Entitlement::Essential, lease == 0);
        }
    }

    async fn replays(&mut self, node: usize) {
        let name = node_name(node);
        let mut counted = self.counted(node);
        for (counted, site) in counted.iter_mut().zip(2..4) {
            counted.egress_bytes = self.nodes[node].posted[site];
        }
        for part in [1, 2] {
            let older: Vec<Counted> = counted
                .iter()
                .map(|counted| Counted { egress_bytes: counted.egress_bytes / part, ..counted.clone() })
                .collect();
            self.ledger().post(&name, &older, self.now()).await.unwrap();
        }
        self.model.close_periods();
    }

    async fn grants(&mut self, number: usize, one_time: bool, amount: i64, crash: Option<u8>) {
        let (once, grant, now) = (self.once(), grant(number, one_time, amount), self.now());
        self.survive(crash, async |ledger| ledger.grant(Some(&once), &grant, now).await.unwrap()).await;
        // C: once more changes nothing, and the same key for something else is refused.
        self.ledger().grant(Some(&once), &grant, now).await.unwrap();
        let other = Once { fingerprint: [1; 32], ..once };
        assert!(matches!(self.ledger().grant(Some(&other), &grant, now).await, Err(LedgerError::KeyReused)));
        self.model.close_periods();
        self.model.grant(number, one_time, amount);
    }

    async fn withdraws(&mut self, number: usize, one_time: bool, amount: i64) {
        let (once, grant, now) = (self.once(), grant(number, one_time, amount), self.now());
        let result = self.ledger().withdraw(Some(&once), &grant, now).await;
        self.model.close_periods();
        assert_eq!(result.is_ok(), self.model.withdraw(number, one_time, amount), "{result:?}");
    }

    async fn allocates(&mut self, number: usize, allocation: Option<Purse>, crash: Option<u8>) {
        let (once, id, now) = (self.once(), site(SITES[number].0), self.now());
        let wanted = allocation.map(|purse| Allocation {
            monthly: Microcredits::new(purse.monthly),
            one_time: Microcredits::new(purse.one_time),
        });
        let result = self.survive(crash, async |ledger| ledger.allocate(Some(&once), &id, wanted, now).await).await;
        self.model.close_periods();
        assert_eq!(result.is_ok(), self.model.allocate(number, allocation), "{result:?}");
    }

    async fn changes_plan(&mut self, number: usize, plan: usize, crash: Option<u8>) {
        let (once, id, now) = (self.once(), account(ACCOUNTS[number]), self.now());
        let (plan, refill) = PLANS[plan];
        self.survive(crash, async |ledger| ledger.change_plan(Some(&once), &id, plan, now).await.unwrap()).await;
        self.model.close_periods();
        self.model.change_plan(number, refill);
    }

    /// What the ledger says of accounts and sites is what the model says.
    pub(crate) async fn check(&mut self, step: &Step) {
        // Looking at anything closes the periods that are over.
        self.model.close_periods();
        self.model.assert_invariants();
        let now = self.now();
        for (id, wanted) in ACCOUNTS.iter().zip(&self.model.accounts) {
            let view = self.ledger().account(&account(id), now).await.unwrap();
            let found = (view.unallocated.monthly.get(), view.unallocated.one_time.get());
            assert_eq!(found, (wanted.free.monthly, wanted.free.one_time), "{id} after {step:?}");
            assert_eq!(view.period.end.as_second(), wanted.end, "{id} after {step:?}");
        }
        for (number, (id, ..)) in SITES.iter().enumerate() {
            let view = self.ledger().site(&site(id), now).await.unwrap();
            let wanted = self.model.purse(number);
            let found = (view.balance.monthly.get(), view.balance.one_time.get());
            assert_eq!(found, (wanted.monthly, wanted.one_time), "{id} after {step:?}");
            let allocation = view.allocation.map(|allocation| (allocation.monthly.get(), allocation.one_time.get()));
            if !self.model.sites[number].is_egress {
                let is_able = wanted.total() >= self.model.sites[number].needed.max(1_000_000);
                assert_eq!(view.entitlement == Entitlement::Optimize, is_able, "{id} after {step:?}");
            }
            let wanted =
                self.model.sites[number].allocation.map(|allocation| (allocation.monthly, allocation.one_time));
            assert_eq!(allocation, wanted, "{id} after {step:?}");
        }
        if self.steps.is_multiple_of(25) {
            self.audit().await;
        }
    }

    /// The ledger's own audit agrees, and usage says what the model says.
    pub(crate) async fn audit(&self) {
        let audit = self.ledger().verify().await.unwrap();
        assert!(audit.agrees(), "{audit:?}");
        assert_eq!(audit.issued.get(), self.model.issued);
        assert_eq!(audit.spent.get(), self.model.sites.iter().map(|site| site.spent).sum::<i64>());
        assert_eq!(audit.expired.get(), self.model.accounts.iter().map(|account| account.expired).sum::<i64>());
        for ((id, ..), wanted) in SITES.iter().zip(&self.model.sites) {
            let (usage, _) =
                self.ledger().usage(&site(id), time(0), time(100_000_000_000), UsageStep::Month).await.unwrap();
            let components = usage.size.get() + usage.webp.get() + usage.avif.get();
            assert_eq!(components, i64::try_from(wanted.charged_components).unwrap() * 1_000_000, "{id}");
            assert_eq!(usage.egress.get(), wanted.charged, "{id}");
            assert_eq!(usage.written_off.get(), wanted.written_off, "{id}");
            assert_eq!(usage.egress_bytes, wanted.bytes, "{id}");
        }
    }
}

fn grant(number: usize, one_time: bool, amount: i64) -> Grant {
    Grant {
        account: account(ACCOUNTS[number]),
        kind: if one_time { Kind::OneTime } else { Kind::Monthly },
        amount: Microcredits::new(amount),
        reference: String::new(),
    }
}

fn requested(asked: Asked) -> Name {
    let mut name = [0; 16];
    name[..3].copy_from_slice(&[1, asked.source, asked.width]);
    name
}

/// Two widths are beyond the source's own: what comes of them depends on its content.
fn pixels(asked: Asked, content: u8) -> Name {
    let mut name = [0; 16];
    let across = if asked.width < 2 { asked.width } else { 100 + content % 3 };
    name[..3].copy_from_slice(&[2, asked.source, across]);
    name
}

fn components(format: Format) -> Vec<Component> {
    match format {
        Format::Avif => vec![Component::Size, Component::Avif],
        Format::Webp => vec![Component::Size, Component::Webp],
        Format::Jpeg => vec![Component::Size],
    }
}

fn account(id: &str) -> AccountId {
    id.parse().unwrap()
}

fn site(id: &str) -> SiteId {
    id.parse().unwrap()
}

fn node_name(number: usize) -> String {
    format!("node-{number}")
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}
