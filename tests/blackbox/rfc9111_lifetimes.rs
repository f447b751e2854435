//! How long a response is fresh (RFC 9111, 4.2), by what its fields say: the same for what is passed through and for what
//! is developed.

use crate::harness::{
    Reply, Still,
    reply::{BOTH, Fields},
};

/// Fields of a response, and how many seconds it is fresh when it has just come.
type Row = (Fields, u64);

/// Asks for each, lets its lifetime all but pass, and then pass.
async fn assert_fresh_for(rows: impl Fn(&Still) -> Vec<Row>) {
    // The bounds of the site are another matter.
    let still = Still::start(|setup| setup.site("max_ttl", "'36500d'")).await;
    let rows = rows(&still);
    let path = |probe: &str, row: usize, end: &str| format!("/{probe}/{row}{end}");
    for (row, (fields, _)) in rows.iter().enumerate() {
        for probe in ["before", "after"] {
            for end in BOTH {
                let path = path(probe, row, end);
                still.set(&path, Reply::fit_for(&path).fields(fields));
                let first = still.get(&path).await;
                assert_eq!(first.status.as_u16(), 200, "{fields:?}");
                assert!(!first.is_shared());
            }
        }
    }
    let mut instants: Vec<u64> =
        rows.iter().flat_map(|(_, lifetime)| [lifetime.saturating_sub(1), *lifetime]).collect();
    instants.sort_unstable();
    instants.dedup();
    let mut now = 0;
    for instant in instants {
        still.pass(instant - now).await;
        now = instant;
        for (row, (fields, lifetime)) in rows.iter().enumerate() {
            for end in BOTH {
                if instant + 1 == *lifetime {
                    let answer = still.get(&path("before", row, end)).await;
                    assert!(answer.is_shared(), "after {instant} s {fields:?} is fresh: {answer:?}");
                }
                if instant == *lifetime {
                    let answer = still.get(&path("after", row, end)).await;
                    assert!(!answer.is_shared(), "after {instant} s {fields:?} is stale: {answer:?}");
                }
            }
        }
    }
}

fn row(fields: &[(&str, &str)], lifetime: u64) -> Row {
    (fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(), lifetime)
}

fn control(directives: &str, lifetime: u64) -> Row {
    row(&[("cache-control", directives)], lifetime)
}

#[tokio::test]
async fn s_maxage_counts_before_max_age_and_max_age_before_expires() {
    assert_fresh_for(|still| {
        let (past, soon, late) = (still.date(-60), still.date(10), still.date(60));
        vec![
            control("max-age=10", 10),
            control("s-maxage=10, max-age=60", 10),
            control("max-age=60, s-maxage=10", 10),
            control("s-maxage=60, max-age=10", 60),
            row(&[("cache-control", "s-maxage=60, max-age=0"), ("expires", &past)], 60),
            row(&[("cache-control", "max-age=60"), ("cache-control", "s-maxage=10")], 10),
            row(&[("cache-control", "max-age=10"), ("expires", &late)], 10),
            row(&[("cache-control", "max-age=60"), ("expires", &past)], 60),
            row(&[("cache-control", "max-age=60"), ("expires", "0")], 60),
            row(&[("expires", &soon)], 10),
        ]
    })
    .await;
}

#[tokio::test]
async fn an_expires_that_is_past_or_no_date_has_expired() {
    assert_fresh_for(|still| {
        let (past, now, soon, late) = (still.date(-1), still.date(0), still.date(10), still.date(60));
        vec![
            row(&[("expires", &past)], 0),
            row(&[("expires", &now)], 0),
            row(&[("expires", "0")], 0),
            row(&[("expires", "-1")], 0),
            row(&[("expires", "tomorrow")], 0),
            row(&[("expires", &soon), ("expires", "0")], 0),
            row(&[("expires", &late), ("expires", &soon)], 10),
        ]
    })
    .await;
}

#[tokio::test]
async fn directives_are_told_by_name_in_any_case_and_unknown_ones_do_not_count() {
    assert_fresh_for(|_| {
        vec![
            control("MaX-aGe=10", 10),
            control("max-age=10, community=\"UCI\"", 10),
            control("x, max-age=10, y=1, max-age-x=60", 10),
            control("x=\"max-age=60\", max-age=10", 10),
            control("x=\"a\\\"b, no-store\", max-age=10", 10),
            control(", ,max-age=10,", 10),
            row(&[("cache-control", "max-age=10"), ("pragma", "no-cache")], 10),
        ]
    })
    .await;
}

#[tokio::test]
async fn of_conflicting_and_unreadable_values_the_most_restrictive_reading_holds() {
    assert_fresh_for(|_| {
        vec![
            control("max-age=60, max-age=10", 10),
            control("max-age=10, max-age=60", 10),
            row(&[("cache-control", "max-age=60"), ("cache-control", "max-age=10")], 10),
            control("s-maxage=60, s-maxage=10", 10),
            control("max-age=60, no-cache", 0),
            control("max-age=60, no-cache=\"x\"", 0),
            control("max-age=1.5", 0),
            control("max-age=-60", 0),
            control("max-age=60a", 0),
            control("max-age=a60", 0),
            control("max-age='60'", 0),
            control("max-age=", 0),
            control("max-age", 0),
            control("max-age=60, max-age=x", 0),
        ]
    })
    .await;
}

#[tokio::test]
async fn the_age_that_a_response_has_already_is_taken_off() {
    assert_fresh_for(|still| {
        let (past, soon) = (still.date(-50), still.date(10));
        let aged = |age: &str, lifetime| row(&[("cache-control", "max-age=60"), ("age", age)], lifetime);
        vec![
            aged("0", 60),
            aged("50", 10),
            aged("60", 0),
            aged("99999999999999999999999", 0),
            // Its `Date` tells how old it is too, and is what `Expires` counts from.
            row(&[("cache-control", "max-age=60"), ("date", &past)], 10),
            row(&[("cache-control", "max-age=60"), ("date", &past), ("age", "20")], 10),
            row(&[("expires", &soon), ("date", &past)], 10),
        ]
    })
    .await;
}

#[tokio::test]
async fn an_age_that_cannot_be_read_makes_it_stale() {
    assert_fresh_for(|_| {
        let aged = |age: &str| row(&[("cache-control", "max-age=60"), ("age", age)], 0);
        let twice = row(&[("cache-control", "max-age=60"), ("age", "0"), ("age", "0")], 0);
        ["x", "-1", "1.5", "1x", "0, 0", "0, x", "5;a=b"].map(aged).into_iter().chain([twice]).collect()
    })
    .await;
}

#[tokio::test]
async fn more_seconds_than_can_be_counted_are_very_many() {
    const LONGEST: u64 = 1 << 31;
    assert_fresh_for(|_| {
        ["2147483648", "2147483649", "99999999999", "99999999999999999999999999999"]
            .map(|seconds| control(&format!("max-age={seconds}"), LONGEST))
            .into()
    })
    .await;
}

#[tokio::test]
async fn nothing_is_guessed_where_the_origin_gives_no_lifetime() {
    let still = Still::start(|setup| setup).await;
    still.set("/page", Reply::page("x").header("last-modified", &still.date(-1_000_000)));
    for asked in 1..=2 {
        assert!(!still.get("/page").await.is_shared());
        assert_eq!(still.count("/page"), asked);
    }
}

#[tokio::test]
async fn a_site_that_wants_it_guesses_from_last_modified_unless_the_origin_is_explicit() {
    let still = Still::start(|setup| setup.site("heuristic_percent", "10")).await;
    let old = still.date(-1000);
    still.set("/page", Reply::page("x").header("last-modified", &old));
    still.set("/explicit", Reply::page("x").header("last-modified", &old).control("max-age=0"));
    still.set("/expires", Reply::page("x").header("last-modified", &old).header("expires", "0"));
    still.set("/undated", Reply::page("x"));
    for path in ["/page", "/explicit", "/expires", "/undated"] {
        still.get(path).await;
    }
    still.pass(99).await;
    assert!(still.get("/page").await.is_shared());
    for path in ["/explicit", "/expires", "/undated"] {
        assert!(!still.get(path).await.is_shared(), "{path}");
    }
    still.pass(1).await;
    assert!(!still.get("/page").await.is_shared());
}
