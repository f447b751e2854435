use jiff::ToSpan as _;
use proptest::{collection::vec, prelude::*, sample::subsequence};

use super::{
    super::{
        counters::Counted,
        fixture::{Fixture, at, credits, egress, micro, site, start},
    },
    *,
};
use crate::billing::{Balance, Entitlement, Kind};
use Component::{Avif, Size, Webp};

const PLENTY: i64 = 100_000_000;

/// One account with a variants site of plenty.
async fn shop() -> Fixture {
    shop_with(PLENTY, 0).await
}

async fn shop_with(monthly: i64, one_time: i64) -> Fixture {
    let fixture = Fixture::new().await;
    fixture.account("acme", "free", monthly, one_time).await;
    fixture.site("shop", "acme", Tariff::Variants).await;
    fixture
}

fn item(requested: u8, pixels: u8, components: &[Component]) -> VariantCharge {
    VariantCharge {
        site: site("shop"),
        requested: [requested; 16],
        pixels: [100 + pixels; 16],
        components: components.to_vec(),
        reference: format!("/{requested}.jpg"),
    }
}

impl Fixture {
    async fn charge(&self, items: &[VariantCharge], now: Timestamp) -> Vec<Charged> {
        let results = self.ledger.charge_variants(items, now).await.unwrap();
        results.into_iter().map(Result::unwrap).collect()
    }

    /// What one delivery was charged for.
    async fn charged(&self, item: VariantCharge, now: Timestamp) -> Vec<Component> {
        match self.charge(&[item], now).await.remove(0) {
            Charged::Until { now, .. } => now,
            Charged::Refused(shortfall) => panic!("{shortfall}"),
        }
    }

    async fn needed(&self) -> Microcredits {
        micro(self.number("SELECT needed FROM site WHERE id = 'shop'").await)
    }
}

#[tokio::test]
async fn a_size_and_its_format_cost_a_credit_each() {
    let shop = shop().await;
    let now = at("2026-01-03T10:20:30.5Z");
    let charged = shop.charge(&[item(1, 1, &[Size, Avif])], now).await;
    assert_eq!(charged, [Charged::Until { until: at("2026-02-02T10:20:30Z"), now: vec![Size, Avif] }]);
    assert_eq!(shop.left("acme").await.monthly, credits(98));
    assert_eq!(shop.used("shop").await, Usage { size: credits(1), avif: credits(1), ..Usage::default() });
    shop.audit().await;
}

#[tokio::test]
async fn at_most_three_credits_are_charged_for_a_size_in_a_window() {
    let shop = shop().await;
    for (delivered, charged) in [
        (&[Size][..], &[Size][..]),
        (&[Size, Avif], &[Avif]),
        (&[Size, Webp], &[Webp]),
        (&[Size, Avif], &[]),
        (&[Size, Webp], &[]),
        (&[Size], &[]),
    ] {
        assert_eq!(shop.charged(item(1, 1, delivered), start()).await, charged, "{delivered:?}");
    }
    assert_eq!(shop.left("acme").await.monthly, credits(97));
    shop.audit().await;
}

#[tokio::test]
async fn webp_after_avif_costs_one_more() {
    let shop = shop().await;
    assert_eq!(shop.charged(item(1, 1, &[Size, Avif]), start()).await, [Size, Avif]);
    assert_eq!(shop.charged(item(1, 1, &[Size, Webp]), start()).await, [Webp]);
}

#[tokio::test]
async fn two_requests_that_lead_to_the_same_pixels_are_one_size() {
    let shop = shop().await;
    shop.charged(item(1, 1, &[Size, Avif]), start()).await;
    assert_eq!(shop.charged(item(2, 1, &[Size, Avif]), start()).await, []);
    // Both requests have the window now, whatever pixels they come to.
    assert_eq!(shop.charged(item(2, 2, &[Size, Avif]), start()).await, []);
    assert_eq!(shop.left("acme").await.monthly, credits(98));
}

#[tokio::test]
async fn content_that_changes_at_the_origin_is_not_charged_again() {
    let shop = shop().await;
    shop.charged(item(1, 1, &[Size, Avif]), start()).await;
    assert_eq!(shop.charged(item(1, 2, &[Size, Avif]), start()).await, []);
    assert_eq!(shop.charged(item(3, 2, &[Size, Avif]), start()).await, [], "the same pixels by another request");
    assert_eq!(shop.charged(item(1, 3, &[Size, Webp]), start()).await, [Webp]);
}

#[tokio::test]
async fn sizes_whose_content_becomes_the_same_are_charged_for_a_format_once() {
    let shop = shop().await;
    // Two windows of one second.
    shop.charge(&[item(1, 1, &[Size]), item(2, 2, &[Size, Webp])], start()).await;
    assert_eq!(shop.charged(item(1, 2, &[Size, Avif]), start()).await, [Avif]);
    for (requested, pixels) in [(1, 1), (2, 2), (1, 2), (1, 3), (3, 2)] {
        let delivered = item(requested, pixels, &[Size, Webp, Avif]);
        assert_eq!(shop.charged(delivered, start()).await, [], "{requested} {pixels}");
    }
    shop.audit().await;
}

#[tokio::test]
async fn the_first_view_after_a_window_ends_opens_the_next() {
    let shop = shop().await;
    let end = at("2026-01-31T00:00:00Z");
    shop.charged(item(1, 1, &[Size, Avif]), start()).await;
    let late = shop.charge(&[item(1, 1, &[Size, Webp])], at("2026-01-30T23:59:59.999Z")).await;
    assert_eq!(late, [Charged::Until { until: end, now: vec![Webp] }], "no longer than the window of the size");
    let next = shop.charge(&[item(1, 1, &[Size, Webp])], end).await;
    assert_eq!(next, [Charged::Until { until: at("2026-03-02T00:00:00Z"), now: vec![Size, Webp] }]);
    assert_eq!(shop.charged(item(1, 1, &[Size, Avif, Webp]), end).await, [Avif]);
    shop.audit().await;
}

#[tokio::test]
async fn a_clock_that_goes_back_opens_no_window() {
    let shop = shop().await;
    shop.charged(item(1, 1, &[Size, Avif]), at("2026-01-20T00:00:00Z")).await;
    let back = shop.charge(&[item(1, 1, &[Size, Avif])], at("2020-01-01T00:00:00Z")).await;
    assert_eq!(back, [Charged::Until { until: at("2026-02-19T00:00:00Z"), now: vec![] }]);
}

#[tokio::test]
async fn two_deliveries_of_a_size_in_one_batch_are_charged_once() {
    let shop = shop().await;
    let batch =
        [item(1, 1, &[Size, Avif]), item(1, 1, &[Size, Avif]), item(2, 1, &[Size, Webp, Webp]), item(3, 3, &[])];
    let charged = shop.charge(&batch, start()).await;
    let until = at("2026-01-31T00:00:00Z");
    assert_eq!(
        charged,
        [
            Charged::Until { until, now: vec![Size, Avif] },
            Charged::Until { until, now: vec![] },
            Charged::Until { until, now: vec![Webp] },
            Charged::Until { until: start(), now: vec![] },
        ]
    );
    shop.audit().await;
}

#[tokio::test]
async fn a_site_has_its_own_sizes() {
    let shop = shop().await;
    shop.site("blog", "acme", Tariff::Variants).await;
    shop.charged(item(1, 1, &[Size]), start()).await;
    assert_eq!(shop.charged(VariantCharge { site: site("blog"), ..item(1, 1, &[Size]) }, start()).await, [Size]);
    shop.audit().await;
}

#[tokio::test]
async fn what_cannot_be_paid_whole_is_refused_and_nothing_of_it_written() {
    let shop = shop_with(1_500_000, 0).await;
    let before = shop.contents().await;
    let refused = shop.charge(&[item(1, 1, &[Size, Avif])], start()).await;
    let shortfall = Shortfall { needed: credits(2), available: micro(1_500_000), missing: micro(500_000) };
    assert_eq!(refused, [Charged::Refused(shortfall)]);
    assert_eq!(shop.needed().await, credits(2));
    assert_eq!(shop.changed_since(&before).await, ["site"], "what was needed");
}

#[tokio::test]
async fn a_refusal_does_not_touch_the_rest_of_the_batch() {
    let shop = shop_with(3_000_000, 0).await;
    shop.account("other", "free", 2_000_000, 0).await;
    shop.site("blog", "other", Tariff::Variants).await;
    let blog = VariantCharge { site: site("blog"), ..item(1, 1, &[Size, Avif]) };
    let batch = [item(1, 1, &[Size, Avif]), item(2, 2, &[Size, Avif]), blog, item(3, 3, &[Size])];
    let results = shop.charge(&batch, start()).await;
    let is_charged: Vec<_> = results.iter().map(|result| matches!(result, Charged::Until { .. })).collect();
    assert_eq!(is_charged, [true, false, true, true]);
    assert_eq!(shop.left("acme").await, Balance::default());
    shop.audit().await;
}

#[tokio::test]
async fn what_was_refused_is_charged_whole_once_there_are_credits() {
    let shop = shop_with(1_000_000, 0).await;
    shop.charge(&[item(1, 1, &[Size, Avif])], start()).await;
    shop.give("acme", Kind::OneTime, 1_000_000).await;
    assert_eq!(shop.charged(item(1, 1, &[Size, Avif]), start()).await, [Size, Avif]);
    assert_eq!(shop.needed().await, Microcredits::ZERO);
    shop.audit().await;
}

#[tokio::test]
async fn a_charge_that_can_be_paid_ends_what_a_refused_one_needed() {
    let shop = shop_with(2_000_000, 0).await;
    let changes = shop.ledger.changes();
    let version = shop.ledger.credits_version().await.unwrap();
    shop.charge(&[item(1, 1, &[Size, Webp, Avif])], start()).await;
    assert!(!changes.has_changed().unwrap());
    let counted = Counted { site: site("shop"), egress_bytes: 0, requests: 0, saved_bytes: 0, recent_bytes: 0 };
    let entitlement =
        async || shop.ledger.post("n", std::slice::from_ref(&counted), start()).await.unwrap()[0].entitlement;
    assert_eq!(entitlement().await, Entitlement::Essential);
    // It was under way when the site was to be essential.
    assert_eq!(shop.charged(item(2, 2, &[Size]), start()).await, [Size]);
    assert_eq!(entitlement().await, Entitlement::Optimize);
    assert!(changes.has_changed().unwrap(), "nodes are told");
    assert_eq!(shop.ledger.credits_version().await.unwrap(), version + 1);
}

#[tokio::test]
async fn an_unknown_site_is_an_error_of_its_item_alone() {
    let shop = shop().await;
    shop.site("gone", "acme", Tariff::Variants).await;
    shop.run("UPDATE site SET removed = 1 WHERE id = 'gone'").await;
    let of = |name: &str| VariantCharge { site: site(name), ..item(1, 1, &[Size]) };
    let results = shop.ledger.charge_variants(&[of("nobody"), of("shop"), of("gone")], start()).await.unwrap();
    assert!(matches!(&results[0], Err(LedgerError::NoSuchSite(name)) if name == "nobody"));
    assert!(matches!(&results[1], Ok(Charged::Until { now, .. }) if *now == [Size]));
    assert!(matches!(&results[2], Err(LedgerError::NoSuchSite(name)) if name == "gone"));
    shop.audit().await;
}

#[tokio::test]
async fn a_database_that_fails_charges_nothing_of_the_batch() {
    let shop = shop().await;
    for table in ["transfer", "size_window", "variant_charge", "usage", "ledger_account"] {
        let event = if table == "ledger_account" { "UPDATE ON" } else { "INSERT ON" };
        shop.run(&format!(
            "CREATE TRIGGER fault BEFORE {event} {table} BEGIN SELECT raise(ABORT, 'the disk is full'); END"
        ))
        .await;
        let before = shop.contents().await;
        let failed = shop.ledger.charge_variants(&[item(1, 1, &[Size]), item(2, 2, &[Size])], start()).await;
        assert!(failed.unwrap_err().is_passing(), "{table}");
        assert_eq!(shop.changed_since(&before).await, [""; 0], "{table}");
        shop.run("DROP TRIGGER fault").await;
    }
    assert_eq!(shop.charged(item(1, 1, &[Size]), start()).await, [Size]);
    shop.audit().await;
}

#[tokio::test]
async fn monthly_credits_pay_before_one_time_credits_and_both_for_one_component() {
    let shop = shop_with(1_500_000, 2_000_000).await;
    assert_eq!(shop.charged(item(1, 1, &[Size, Avif]), start()).await, [Size, Avif]);
    assert_eq!(shop.left("acme").await, Balance { monthly: micro(0), one_time: micro(1_500_000) });
    shop.audit().await;
}

#[tokio::test]
async fn a_site_that_has_used_up_its_allocation_is_refused_and_the_others_go_on() {
    let shop = shop().await;
    shop.give("acme", Kind::OneTime, 1_000_000).await;
    shop.site("blog", "acme", Tariff::Variants).await;
    shop.allocate("shop", "acme", 1_000_000, 1_000_000).await;
    assert_eq!(shop.charged(item(1, 1, &[Size, Avif]), start()).await, [Size, Avif]);
    assert!(matches!(shop.charge(&[item(2, 2, &[Size])], start()).await[0], Charged::Refused(_)));
    assert_eq!(shop.left_of("shop").await, Balance::default());
    assert_eq!(shop.number("SELECT used_monthly + used_one_time FROM site WHERE id = 'shop'").await, 2_000_000);
    let blog = VariantCharge { site: site("blog"), ..item(2, 2, &[Size]) };
    assert_eq!(shop.charged(blog, start()).await, [Size]);
    shop.audit().await;
}

#[tokio::test]
async fn the_first_charge_of_a_period_closes_the_one_before() {
    let shop = shop_with(5_000_000, 0).await;
    shop.allocate("shop", "acme", 5_000_000, 0).await;
    let now = at("2026-02-01T00:00:00Z");
    assert_eq!(shop.charged(item(1, 1, &[Size]), now).await, [Size]);
    assert_eq!(shop.left("acme").await.monthly, credits(95), "the free plan's hundred less the allocation");
    assert_eq!(shop.left_of("shop").await.monthly, credits(4));
    shop.audit().await;
}

#[tokio::test]
async fn variants_cost_nothing_on_an_unlimited_plan() {
    let fixture = Fixture::new().await;
    fixture.account("acme", "unlimited", 0, 0).await;
    fixture.site("shop", "acme", Tariff::Variants).await;
    let before = fixture.contents().await;
    let charged = fixture.charge(&[item(1, 1, &[Size, Avif])], start()).await;
    assert_eq!(charged, [Charged::Until { until: at("2026-01-31T00:00:00Z"), now: vec![] }]);
    assert_eq!(fixture.changed_since(&before).await, [""; 0]);
}

#[tokio::test]
async fn a_batch_that_comes_again_after_a_restart_changes_nothing() {
    let shop = shop().await;
    let batch = [item(1, 1, &[Size, Avif]), item(2, 1, &[Size, Webp]), item(3, 3, &[Size])];
    shop.charge(&batch, start()).await;
    let before = shop.contents().await;
    let shop = shop.reopened().await;
    for now in [start(), at("2026-01-20T00:00:00Z"), at("2025-12-01T00:00:00Z")] {
        shop.charge(&batch, now).await;
        assert_eq!(shop.changed_since(&before).await, [""; 0], "{now}");
    }
}

#[tokio::test]
async fn a_second_node_does_not_charge_the_same_variant() {
    let shop = shop().await;
    let second = shop.second().await;
    let batch: Vec<_> = (0..40).map(|n| item(n, n, &[Size, Avif])).collect();
    tokio::join!(
        async {
            for items in batch.chunks(7) {
                shop.ledger.charge_variants(items, start()).await.unwrap();
            }
        },
        async {
            for items in batch.rchunks(9) {
                second.charge_variants(items, start()).await.unwrap();
            }
        },
    );
    assert_eq!(shop.left("acme").await.monthly, credits(20));
    shop.audit().await;
}

#[tokio::test]
async fn a_long_reference_is_cut_between_two_characters() {
    let shop = shop().await;
    let reference = format!("x{}", "ä".repeat(300));
    shop.charged(VariantCharge { reference, ..item(1, 1, &[Size]) }, start()).await;
    assert_eq!(shop.number("SELECT octet_length(reference) FROM transfer WHERE reason = 'size'").await, 199);
}

#[tokio::test]
async fn an_estimate_says_what_would_be_charged_and_writes_nothing() {
    let shop = shop_with(1_000_000, 0).await;
    shop.site("metered", "acme", egress(5_000_000)).await;
    shop.charged(item(1, 1, &[Size]), start()).await;
    let before = shop.contents().await;
    let batch = [
        item(1, 5, &[Size, Avif]),
        item(6, 5, &[Size, Avif, Webp]),
        item(2, 2, &[Size, Webp]),
        item(2, 3, &[Size, Webp]),
        VariantCharge { site: site("metered"), ..item(9, 9, &[Size]) },
        VariantCharge { site: site("nobody"), ..item(9, 9, &[Size]) },
    ];
    let due = shop.ledger.uncharged(&batch, start()).await.unwrap();
    assert_eq!(due, [vec![Avif], vec![Webp], vec![Size, Webp], vec![], vec![], vec![]]);
    let later = shop.ledger.uncharged(&batch[..1], at("2026-01-31T00:00:00Z")).await.unwrap();
    assert_eq!(later, [[Size, Avif]]);
    assert_eq!(shop.changed_since(&before).await, [""; 0]);
}

/// What one delivery after another does, at times that go forth and back.
#[derive(Debug, Clone)]
struct Delivery {
    requested: u8,
    pixels: u8,
    formats: Vec<Component>,
    hours: i64,
}

fn delivery() -> impl Strategy<Value = Delivery> {
    (0u8..3, 0u8..3, subsequence(&[Webp, Avif], 0..=2), -24i64..24 * 20)
        .prop_map(|(requested, pixels, formats, hours)| Delivery { requested, pixels, formats, hours })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Invariants B, C, D: what was said to be charged until some time is charged no more before it, by either of its names.
    #[test]
    fn nothing_is_charged_again_before_the_time_that_was_given_for_it(
        deliveries in vec(vec(delivery(), 1..4), 1..25),
        restarts in 0usize..25,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut shop = shop_with(40_000_000, 15_000_000).await;
            let (mut now, mut promised) = (start(), HashMap::new());
            for (step, batch) in deliveries.iter().enumerate() {
                if step == restarts {
                    shop = shop.reopened().await;
                }
                now = now.checked_add(batch[0].hours.hours()).unwrap();
                let batch: Vec<_> = batch.iter().map(|delivery| {
                    item(delivery.requested, delivery.pixels, &[&[Size], &*delivery.formats].concat())
                }).collect();
                let results = shop.charge(&batch, now).await;
                for (item, result) in batch.iter().zip(&results) {
                    let Charged::Until { until, now: charged } = result else { continue };
                    assert!(*until > now);
                    for name in [item.requested, item.pixels] {
                        for component in &item.components {
                            let before = promised.entry((name, *component)).or_insert(Timestamp::MIN);
                            assert!(!charged.contains(component) || *before <= now, "{component:?} again at {now}");
                            *before = (*before).max(*until);
                        }
                    }
                }
                shop.audit().await;
                if results.iter().all(|result| matches!(result, Charged::Until { .. })) {
                    let before = shop.contents().await;
                    shop.charge(&batch, now).await;
                    // A name may have got a window of another's only behind its turn: that costs nobody anything.
                    let changed = shop.changed_since(&before).await;
                    assert!(changed.iter().all(|table| table == "size_window"), "{changed:?}");
                }
            }
        });
    }
}
