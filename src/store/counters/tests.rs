use jiff::ToSpan as _;
use proptest::{collection::vec, prelude::*};

use super::{
    super::fixture::{Fixture, at, credits, egress, micro, site, start},
    *,
};
use crate::billing::{Balance, Kind, lease::TERM};

const RATE: u64 = 5_000_000;
const PLENTY: i64 = 100_000_000;

/// One account with an egress site.
async fn shop_with(monthly: i64, one_time: i64) -> Fixture {
    let fixture = Fixture::new().await;
    fixture.account("acme", "free", monthly, one_time).await;
    fixture.site("shop", "acme", egress(RATE)).await;
    fixture
}

fn counted(name: &str, egress_bytes: u64) -> Counted {
    Counted { site: site(name), egress_bytes, requests: 0, saved_bytes: 0, recent_bytes: 0 }
}

impl Fixture {
    async fn post(&self, node: &str, counted: Counted, now: Timestamp) -> Posted {
        self.ledger.post(node, &[counted], now).await.unwrap().remove(0)
    }

    /// What is charged and what is written off when a node has counted so many bytes for the shop.
    async fn sent(&self, node: &str, egress_bytes: u64) -> (i64, i64) {
        let posted = self.post(node, counted("shop", egress_bytes), start()).await;
        (posted.charged.get(), posted.written_off.get())
    }

    async fn lease(&self, node: &str, name: &str, now: Timestamp) -> Microcredits {
        self.post(node, counted(name, 0), now).await.lease
    }
}

#[tokio::test]
async fn a_credit_pays_for_five_megabytes_of_egress() {
    let shop = shop_with(PLENTY, 0).await;
    let counted = Counted { requests: 7, saved_bytes: 900, ..counted("shop", 35_000_000) };
    let posted = shop.post("n1", counted, start()).await;
    assert_eq!((posted.tariff, posted.charged, posted.written_off), (egress(RATE), credits(7), micro(0)));
    assert_eq!(posted.entitlement, Entitlement::Optimize);
    assert_eq!(shop.left("acme").await.monthly, credits(93));
    let used =
        Usage { egress: credits(7), egress_bytes: 35_000_000, requests: 7, saved_bytes: 900, ..Usage::default() };
    assert_eq!(shop.used("shop").await, used);
    shop.audit().await;
}

#[tokio::test]
async fn egress_is_rated_on_what_all_nodes_counted_in_all() {
    let shop = shop_with(PLENTY, 0).await;
    // Five bytes are a microcredit.
    for (node, bytes, charged) in
        [("n1", 3, 0), ("n2", 1, 0), ("n2", 2, 1), ("n1", 6, 0), ("n1", 7, 0), ("n1", 8, 1), ("n1", 1_008, 200)]
    {
        assert_eq!(shop.sent(node, bytes).await, (charged, 0), "{node} {bytes}");
    }
    shop.audit().await;
}

#[tokio::test]
async fn posting_the_same_or_less_changes_nothing() {
    let shop = shop_with(PLENTY, 0).await;
    let of = |egress_bytes, requests, saved_bytes| Counted { requests, saved_bytes, ..counted("shop", egress_bytes) };
    shop.post("n1", of(5_000_000, 10, 300), start()).await;
    let before = shop.contents().await;
    for (egress_bytes, requests, saved_bytes) in [(5_000_000, 10, 300), (4_999_999, 9, 299), (0, 0, 0)] {
        let posted = shop.post("n1", of(egress_bytes, requests, saved_bytes), start()).await;
        assert_eq!(posted.charged, micro(0));
        assert_eq!(shop.changed_since(&before).await, [""; 0]);
    }
    shop.post("n1", of(1, 11, 2), start()).await;
    assert_eq!(shop.changed_since(&before).await, ["counted", "usage"], "each counter is on its own");
    assert_eq!(shop.ledger.posted("n1").await.unwrap(), [of(5_000_000, 11, 300)]);
}

#[tokio::test]
async fn a_restart_changes_nothing() {
    let shop = shop_with(PLENTY, 0).await;
    let counted = [counted("shop", 12_345_678)];
    shop.ledger.post("n1", &counted, start()).await.unwrap();
    let before = shop.contents().await;
    let shop = shop.reopened().await;
    assert_eq!(shop.ledger.posted("n1").await.unwrap(), counted);
    assert_eq!(shop.ledger.posted("n2").await.unwrap(), []);
    shop.ledger.post("n1", &counted, start()).await.unwrap();
    assert_eq!(shop.changed_since(&before).await, [""; 0]);
}

#[tokio::test]
async fn two_nodes_that_post_at_once_are_both_taken_in() {
    let shop = shop_with(PLENTY, 0).await;
    let second = shop.second().await;
    let post = async |ledger: &Ledger, node: &str| {
        for n in 1..=30 {
            ledger.post(node, &[counted("shop", n * 500_000)], start()).await.unwrap();
        }
    };
    tokio::join!(post(&shop.ledger, "n1"), post(&second, "n2"));
    assert_eq!(shop.used("shop").await.egress, credits(6));
    shop.audit().await;
}

#[tokio::test]
async fn a_change_of_the_tariff_rates_only_what_is_counted_later() {
    let shop = shop_with(PLENTY, 0).await;
    assert_eq!(shop.sent("n1", 5_000_004).await, (1_000_000, 0));
    shop.rate("shop", Tariff::Variants).await;
    let posted = shop.post("n1", counted("shop", 90_000_000), start()).await;
    assert_eq!((posted.tariff, posted.charged, posted.lease), (Tariff::Variants, micro(0), micro(0)));
    shop.rate("shop", egress(1_000_000)).await;
    assert_eq!(shop.sent("n1", 92_000_000).await, (2_000_000, 0), "at the rate of now");
    shop.rate("shop", egress(RATE)).await;
    assert_eq!(shop.sent("n1", 92_000_001).await, (1, 0), "the five bytes of this rate");
    assert_eq!(shop.used("shop").await.egress_bytes, 92_000_001);
    shop.audit().await;
}

#[tokio::test]
async fn what_nothing_is_left_for_is_written_off_and_counted() {
    let shop = shop_with(1_000_000, 500_000).await;
    let posted = shop.post("n1", counted("shop", 10_000_000), start()).await;
    assert_eq!((posted.charged, posted.written_off), (micro(1_500_000), micro(500_000)));
    assert_eq!((posted.lease, posted.entitlement), (micro(0), Entitlement::Essential));
    assert_eq!(shop.left("acme").await, Balance::default());
    assert_eq!(shop.sent("n2", 5).await, (0, 1));
    shop.give("acme", Kind::OneTime, 1_000_000).await;
    let posted = shop.post("n2", counted("shop", 10), start()).await;
    assert_eq!((posted.charged, posted.written_off), (micro(1), micro(0)), "nothing is charged late");
    assert_eq!(posted.entitlement, Entitlement::Optimize);
    let used = shop.used("shop").await;
    assert_eq!((used.egress, used.written_off, used.egress_bytes), (micro(1_500_001), micro(500_001), 10_000_010));
    shop.audit().await;
}

#[tokio::test]
async fn monthly_credits_pay_before_one_time_credits() {
    let shop = shop_with(1_000_000, 1_000_000).await;
    assert_eq!(shop.sent("n1", 7_500_000).await, (1_500_000, 0));
    assert_eq!(shop.left("acme").await, Balance { monthly: micro(0), one_time: micro(500_000) });
    shop.audit().await;
}

#[tokio::test]
async fn the_egress_of_an_unlimited_plan_has_a_quota_and_then_one_time_credits_pay() {
    let fixture = Fixture::new().await;
    // The quota of January, 500 GB, as credits at rule 1; and one credit that was bought.
    fixture.account("acme", "unlimited", 100_000_000_000, 1_000_000).await;
    fixture.site("shop", "acme", Tariff::Variants).await;
    let posted = fixture.post("n1", counted("shop", 499_000_000_000), start()).await;
    assert_eq!((posted.tariff, posted.charged), (egress(RATE), credits(99_800)));
    let posted = fixture.post("n1", counted("shop", 500_002_500_000), start()).await;
    assert_eq!((posted.charged, posted.entitlement), (micro(200_500_000), Entitlement::Optimize));
    assert_eq!(fixture.left("acme").await, Balance { monthly: micro(0), one_time: micro(500_000) });
    let posted = fixture.post("n1", counted("shop", 500_010_000_000), start()).await;
    assert_eq!((posted.written_off, posted.entitlement), (credits(1), Entitlement::Essential));
    let posted = fixture.post("n1", counted("shop", 500_010_000_000), at("2026-02-01T00:00:00Z")).await;
    assert_eq!(posted.entitlement, Entitlement::Optimize, "until the next period");
    assert_eq!(fixture.left("acme").await.monthly, credits(100_000));
    fixture.audit().await;
}

#[tokio::test]
async fn a_site_with_an_allocation_uses_it_up_alone() {
    let shop = shop_with(PLENTY, 0).await;
    shop.site("blog", "acme", egress(RATE)).await;
    shop.allocate("shop", "acme", 1_000_000, 0).await;
    let posted = shop.ledger.post("n1", &[counted("shop", 7_500_000), counted("blog", 5)], start()).await.unwrap();
    assert_eq!((posted[0].charged, posted[0].written_off), (credits(1), micro(500_000)));
    assert_eq!((posted[0].entitlement, posted[1].entitlement), (Entitlement::Essential, Entitlement::Optimize));
    assert_eq!(shop.number("SELECT used_monthly FROM site WHERE id = 'shop'").await, 1_000_000);
    assert_eq!(shop.left("acme").await.monthly, micro(98_999_999));
    shop.audit().await;
}

#[tokio::test]
async fn sites_that_nobody_knows_are_left_out() {
    let shop = shop_with(PLENTY, 0).await;
    shop.site("gone", "acme", egress(RATE)).await;
    shop.run("UPDATE site SET removed = 1 WHERE id = 'gone'").await;
    let all = ["nobody", "shop", "gone"].map(|name| counted(name, 5));
    let posted = shop.ledger.post("n1", &all, start()).await.unwrap();
    assert_eq!(posted.iter().map(|posted| posted.site.as_str()).collect::<Vec<_>>(), ["shop"]);
    assert_eq!(shop.ledger.posted("n1").await.unwrap(), [counted("shop", 5)]);
    assert_eq!(shop.ledger.post("n1", &[], start()).await.unwrap(), []);
}

#[tokio::test]
async fn a_database_that_fails_takes_nothing_in() {
    let shop = shop_with(PLENTY, 0).await;
    for table in ["transfer", "counted", "rated", "lease", "usage"] {
        shop.run(&format!(
            "CREATE TRIGGER fault BEFORE INSERT ON {table} BEGIN SELECT raise(ABORT, 'the disk is full'); END"
        ))
        .await;
        let before = shop.contents().await;
        let failed = shop.ledger.post("n1", &[counted("shop", 5_000_000)], start()).await;
        assert!(failed.unwrap_err().is_passing(), "{table}");
        assert_eq!(shop.changed_since(&before).await, [""; 0], "{table}");
        shop.run("DROP TRIGGER fault").await;
    }
    assert_eq!(shop.sent("n1", 5_000_000).await, (1_000_000, 0));
}

#[tokio::test]
async fn counters_beyond_what_the_database_holds_stop_at_its_end() {
    let shop = shop_with(1_000_000, 0).await;
    shop.rate("shop", egress(1)).await;
    let most = Counted { requests: u64::MAX, saved_bytes: u64::MAX, ..counted("shop", u64::MAX) };
    for node in ["n1", "n2", "n1"] {
        shop.post(node, Counted { recent_bytes: u64::MAX, ..most.clone() }, start()).await;
    }
    let used = shop.used("shop").await;
    assert_eq!((used.egress, used.written_off), (credits(1), micro(i64::MAX - 1_000_000)));
    assert_eq!([used.egress_bytes, used.requests, used.saved_bytes], [i64::MAX.unsigned_abs(); 3]);
    shop.audit().await;
}

#[tokio::test]
async fn a_site_that_is_posted_twice_in_one_call_is_charged_once() {
    let shop = shop_with(8_000_000, 0).await;
    let twice = [counted("shop", 5_000_000), counted("shop", 5_000_000), counted("shop", 10_000_000)];
    let posted = shop.ledger.post("n1", &twice, start()).await.unwrap();
    assert_eq!(posted.iter().map(|posted| posted.charged).collect::<Vec<_>>(), [credits(1), micro(0), credits(1)]);
    assert_eq!(posted[2].lease, micro(750_000));
    assert_eq!(shop.number("SELECT sum(amount) FROM lease").await, 750_000);
    shop.audit().await;
}

#[tokio::test]
async fn a_node_may_use_only_what_the_others_have_not_set_aside() {
    let shop = shop_with(PLENTY, 0).await;
    shop.site("blog", "acme", egress(RATE)).await;
    let busy = |name| Counted { recent_bytes: 100_000_000, ..counted(name, 0) };
    assert_eq!(shop.post("n1", busy("shop"), start()).await.lease, credits(80));
    assert_eq!(shop.lease("n2", "shop", start()).await, micro(12_500_000));
    let third = shop.ledger.post("n3", &[busy("shop"), busy("blog")], start()).await.unwrap();
    assert_eq!((third[0].lease, third[1].lease), (micro(7_500_000), micro(0)));
    assert_eq!((third[0].entitlement, third[1].entitlement), (Entitlement::Optimize, Entitlement::Essential));
    assert_eq!(shop.number("SELECT count(*) FROM lease WHERE site = 'blog'").await, 0);
    // The first uses less by now: what it gives back is there for the others.
    assert_eq!(shop.lease("n1", "shop", start()).await, micro(12_500_000));
    assert_eq!(shop.lease("n3", "blog", start()).await, micro(12_500_000));
    assert_eq!(shop.number("SELECT sum(amount) FROM lease").await, 45_000_000);
}

#[tokio::test]
async fn a_lease_that_is_not_set_anew_ends_after_its_term_to_the_second() {
    let shop = shop_with(PLENTY, 0).await;
    let now = at("2026-01-03T12:00:00.25Z");
    shop.post("n1", Counted { recent_bytes: u64::MAX, ..counted("shop", 0) }, now).await;
    let held_until = at("2026-01-03T12:00:10.999Z");
    assert!(held_until >= now.checked_add(TERM).unwrap());
    assert_eq!(shop.lease("n2", "shop", held_until).await, micro(0));
    assert_eq!(shop.lease("n2", "shop", at("2026-01-03T12:00:11Z")).await, micro(12_500_000));
}

#[tokio::test]
async fn a_site_with_an_allocation_has_leases_of_its_own() {
    let shop = shop_with(PLENTY, 0).await;
    shop.site("blog", "acme", egress(RATE)).await;
    shop.allocate("shop", "acme", 40_000_000, 0).await;
    let all = |name| Counted { recent_bytes: 1_000_000_000, ..counted(name, 0) };
    assert_eq!(shop.post("n1", all("shop"), start()).await.lease, credits(40));
    assert_eq!(shop.post("n1", all("blog"), start()).await.lease, credits(60));
    assert_eq!(shop.post("n2", all("shop"), start()).await.lease, credits(0));
}

#[tokio::test]
async fn a_tariff_without_egress_has_no_lease() {
    let shop = shop_with(PLENTY, 0).await;
    shop.lease("n1", "shop", start()).await;
    shop.rate("shop", Tariff::Variants).await;
    let posted = shop.post("n1", counted("shop", 0), start()).await;
    assert_eq!((posted.lease, posted.entitlement), (micro(0), Entitlement::Optimize));
    assert_eq!(shop.number("SELECT count(*) FROM lease").await, 0);
}

#[tokio::test]
async fn the_number_of_credits_goes_up_when_a_period_begins_and_not_when_credits_are_used() {
    let shop = shop_with(PLENTY, 0).await;
    let before = shop.ledger.credits_version().await.unwrap();
    shop.sent("n1", 5_000_000).await;
    assert_eq!(shop.ledger.credits_version().await.unwrap(), before);
    shop.post("n1", counted("shop", 0), at("2026-02-01T00:00:00Z")).await;
    assert_eq!(shop.ledger.credits_version().await.unwrap(), before + 1);
}

const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// Two that share, one with an allocation, and one on another account, each at a rate of its own.
const SITES: [(&str, &str, u64); 4] =
    [("a", "acme", 7), ("b", "acme", 5_000_000), ("c", "acme", 999), ("d", "other", 3_000)];

async fn several_sites() -> Fixture {
    let fixture = Fixture::new().await;
    fixture.account("acme", "free", 9_000_000, 3_000_000).await;
    fixture.account("other", "free", 0, 2_500_000).await;
    for (name, account, rate) in SITES {
        fixture.site(name, account, egress(rate)).await;
    }
    fixture.allocate("c", "acme", 2_000_000, 1_000_000).await;
    fixture
}

/// One node sends something for some sites, in parts of its lease, and posts what it has counted so far.
#[derive(Debug, Clone)]
struct Turn {
    node: usize,
    /// For each site: whether it is posted, and how much is sent before.
    sites: [Option<f64>; SITES.len()],
    seconds: i64,
}

fn turn(most: f64) -> impl Strategy<Value = Turn> {
    let sites = prop::array::uniform4(prop::option::of(0.0..=most));
    (0..NODES.len(), sites, 0i64..12).prop_map(|(node, sites, seconds)| Turn { node, sites, seconds })
}

/// What a node knows of a site.
#[derive(Debug, Clone, Copy, Default)]
struct Node {
    counted: u64,
    may_use: Microcredits,
    until: Timestamp,
}

impl Fixture {
    /// Plays turns. A node sends no more than its lease times `part` allows, and nothing when that has ended.
    async fn play(&self, turns: &[Turn], after_each: impl AsyncFn(&[Posted], Timestamp)) {
        let mut nodes = [[Node::default(); SITES.len()]; NODES.len()];
        let mut now = start();
        for turn in turns {
            now = now.checked_add(turn.seconds.seconds()).unwrap();
            let mut all = Vec::new();
            for (site, part) in turn.sites.iter().enumerate() {
                let Some(part) = part else { continue };
                let (name, _, rate) = SITES[site];
                let Tariff::Egress { rate } = egress(rate) else { unreachable!() };
                let node = &mut nodes[turn.node][site];
                let may_use = if now < node.until { rate.bytes(node.may_use) } else { 0 };
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
                let sent = (may_use as f64 * part) as u64;
                node.counted += sent;
                all.push(Counted { recent_bytes: sent, ..counted(name, node.counted) });
            }
            let posted = self.ledger.post(NODES[turn.node], &all, now).await.unwrap();
            for posted in &posted {
                let site = SITES.iter().position(|(name, ..)| *name == posted.site.as_str()).unwrap();
                let node = &mut nodes[turn.node][site];
                (node.may_use, node.until) = (posted.lease, now.checked_add(TERM).unwrap());
            }
            after_each(&posted, now).await;
        }
    }

    /// Fails where the leases on a purse are more than there is in it.
    async fn check_leases(&self, now: Timestamp) {
        let held = async |sites: &str| {
            let all = format!(
                "SELECT coalesce(sum(amount), 0) FROM lease WHERE until > {} AND site IN ({sites})",
                now.as_second()
            );
            micro(self.number(&all).await)
        };
        assert!(held("'a', 'b'").await <= self.left("acme").await.total().unwrap());
        assert!(held("'c'").await <= self.left_of("c").await.total().unwrap());
        assert!(held("'d'").await <= self.left("other").await.total().unwrap());
    }
}

fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn nodes_that_keep_to_their_leases_never_use_more_than_there_is(turns in vec(turn(1.0), 1..60)) {
        block_on(async {
            let fixture = several_sites().await;
            fixture.play(&turns, async |posted, now| {
                assert!(posted.iter().all(|posted| posted.written_off.is_zero()), "{posted:?}");
                fixture.check_leases(now).await;
            }).await;
            fixture.audit().await;
        });
    }

    /// Invariants A, B, C, E.
    #[test]
    fn nodes_that_do_not_are_charged_what_there_is_and_the_rest_is_written_off(turns in vec(turn(3.0), 1..40)) {
        block_on(async {
            let fixture = several_sites().await;
            fixture.play(&turns, async |_, _| fixture.audit().await).await;
            let before = fixture.contents().await;
            for node in NODES {
                let again = fixture.ledger.posted(node).await.unwrap();
                fixture.ledger.post(node, &again, start()).await.unwrap();
            }
            let changed = fixture.changed_since(&before).await;
            assert!(changed.iter().all(|table| table == "lease"), "{changed:?}");
        });
    }
}
