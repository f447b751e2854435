use super::{
    super::fixture::{Fixture, at, credits, micro, site},
    *,
};
use crate::billing::Tariff;

/// A site that used a credit and a hundred bytes at each of these times.
async fn used_at(times: &[&str]) -> Fixture {
    let fixture = Fixture::new().await;
    fixture.account("acme", "free", 0, 0).await;
    fixture.site("shop", "acme", Tariff::Variants).await;
    for time in times {
        add(&fixture, &[("shop", once())], time).await;
    }
    fixture
}

fn once() -> Usage {
    Usage { size: credits(1), egress_bytes: 100, ..Usage::default() }
}

fn times(n: u64) -> Usage {
    Usage { size: credits(n.cast_signed()), egress_bytes: n * 100, ..Usage::default() }
}

async fn add(fixture: &Fixture, used: &[(&str, Usage)], time: &str) {
    let used: Vec<_> = used.iter().map(|(name, usage)| (site(name), *usage)).collect();
    let mut books = fixture.ledger.begin().await.unwrap();
    add_usage(books.db(), used.iter().map(|(site, usage)| (site, usage)), at(time)).await.unwrap();
    books.commit().await.unwrap();
}

/// In all, and each step's beginning and how often something was used in it.
async fn series(fixture: &Fixture, from: &str, to: &str, step: Step) -> (u64, Vec<(String, u64)>) {
    let (total, points) = fixture.ledger.usage(&site("shop"), at(from), at(to), step).await.unwrap();
    let number = |usage: Usage| {
        assert_eq!(usage, times(usage.egress_bytes / 100));
        usage.egress_bytes / 100
    };
    (number(total), points.iter().map(|point| (point.at.to_string(), number(point.usage))).collect())
}

#[tokio::test]
async fn usage_is_kept_by_the_hour_and_summed_by_the_step() {
    let fixture = used_at(&[
        "2026-01-31T23:00:00Z",
        "2026-01-31T23:59:59.9Z",
        "2026-02-01T00:00:00Z",
        "2026-02-01T12:30:00Z",
        "2026-02-28T23:00:00Z",
        "2026-03-01T00:10:00Z",
    ])
    .await;
    let all = async |step| series(&fixture, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", step).await;
    let points = |points: &[(&str, u64)]| (6, points.iter().map(|(at, n)| ((*at).to_owned(), *n)).collect::<Vec<_>>());
    assert_eq!(
        all(Step::Hour).await,
        points(&[
            ("2026-01-31T23:00:00Z", 2),
            ("2026-02-01T00:00:00Z", 1),
            ("2026-02-01T12:00:00Z", 1),
            ("2026-02-28T23:00:00Z", 1),
            ("2026-03-01T00:00:00Z", 1),
        ])
    );
    assert_eq!(
        all(Step::Day).await,
        points(&[
            ("2026-01-31T00:00:00Z", 2),
            ("2026-02-01T00:00:00Z", 2),
            ("2026-02-28T00:00:00Z", 1),
            ("2026-03-01T00:00:00Z", 1),
        ])
    );
    assert_eq!(
        all(Step::Month).await,
        points(&[("2026-01-01T00:00:00Z", 2), ("2026-02-01T00:00:00Z", 3), ("2026-03-01T00:00:00Z", 1)])
    );
}

#[tokio::test]
async fn hours_count_that_begin_from_one_time_on_and_before_another() {
    let fixture = used_at(&["2026-01-05T09:30:00Z", "2026-01-05T10:30:00Z", "2026-01-05T11:30:00Z"]).await;
    for (from, to, number) in [
        ("2026-01-05T10:00:00Z", "2026-01-05T11:00:00Z", 1),
        ("2026-01-05T09:00:00.001Z", "2026-01-05T11:00:00Z", 1),
        ("2026-01-05T09:00:00Z", "2026-01-05T11:00:00.001Z", 3),
        ("2026-01-05T09:00:01Z", "2026-01-05T10:00:00Z", 0),
        ("2026-01-05T11:00:00Z", "2026-01-05T09:00:00Z", 0),
    ] {
        assert_eq!(series(&fixture, from, to, Step::Day).await.0, number, "{from} {to}");
    }
}

#[tokio::test]
async fn a_site_without_usage_has_no_points() {
    let fixture = used_at(&[]).await;
    add(&fixture, &[("shop", Usage::default())], "2026-01-05T09:30:00Z").await;
    assert_eq!(series(&fixture, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", Step::Hour).await, (0, vec![]));
    assert_eq!(fixture.number("SELECT count(*) FROM usage").await, 0);
}

#[tokio::test]
async fn each_number_of_each_site_has_its_own_place() {
    let fixture = used_at(&[]).await;
    let usage = |n| Usage {
        size: micro(n),
        webp: micro(n + 1),
        avif: micro(n + 2),
        egress: micro(n + 3),
        written_off: micro(n + 4),
        egress_bytes: n.unsigned_abs() + 5,
        requests: n.unsigned_abs() + 6,
        saved_bytes: n.unsigned_abs() + 7,
    };
    add(&fixture, &[("shop", usage(10)), ("blog", usage(20))], "2026-01-05T09:30:00Z").await;
    assert_eq!(fixture.used("shop").await, usage(10));
    assert_eq!(fixture.used("blog").await, usage(20));
    add(&fixture, &[("shop", usage(100))], "2026-01-05T09:40:00Z").await;
    let mut both = usage(10);
    both.add(&usage(100));
    assert_eq!(fixture.used("shop").await, both);
}

#[tokio::test]
async fn numbers_beyond_what_the_database_holds_stay_at_its_end() {
    let fixture = used_at(&[]).await;
    let most = Usage { written_off: micro(i64::MAX), egress_bytes: u64::MAX, ..Usage::default() };
    for _ in 0..2 {
        add(&fixture, &[("shop", most)], "2026-01-05T09:30:00Z").await;
    }
    let found = fixture.used("shop").await;
    assert_eq!(found, Usage { egress_bytes: i64::MAX.unsigned_abs(), ..most });
}
