//! `CDN-Cache-Control` (RFC 9213): a Dictionary for caches like this one, which counts before `Cache-Control` and `Expires`
//! where it can be read as such, and not at all where it cannot. The tests that the public suite has of it are among these.

use crate::harness::{Reply, Still, reply::BOTH};

/// What it says, what `Cache-Control` says, and how many seconds the answer is fresh; `None` where it may not be stored.
type Row = (&'static str, &'static str, Option<u64>);

async fn assert_kept(rows: &[Row]) {
    // Where nothing that counts is said, nothing is fresh.
    let still = Still::start(|setup| setup.site("default_ttl", "'0s'")).await;
    let path = |row: usize, end: &str| format!("/{row}{end}");
    for (row, (targeted, general, _)) in rows.iter().enumerate() {
        for end in BOTH {
            let path = path(row, end);
            let mut reply = Reply::fit_for(&path);
            // Several lines of one field are written with a line break between them.
            for line in targeted.split('\n') {
                reply = reply.header("cdn-cache-control", line);
            }
            for line in general.split('\n').filter(|line| !line.is_empty()) {
                let (name, value) = line.split_once(": ").unwrap_or(("cache-control", line));
                reply = reply.header(name, value);
            }
            still.set(&path, reply);
            still.get(&path).await;
        }
    }
    let mut now = 0;
    for instant in [0, 9, 10, 59, 60] {
        still.pass(instant - now).await;
        now = instant;
        for (row, (targeted, general, lifetime)) in rows.iter().enumerate() {
            let is_due = match lifetime {
                None | Some(0) => instant == 0,
                Some(lifetime) => instant + 1 == *lifetime || instant == *lifetime,
            };
            for end in BOTH.into_iter().filter(|_| is_due) {
                let answer = still.get(&path(row, end)).await;
                let is_fresh = lifetime.is_some_and(|lifetime| instant < lifetime);
                assert_eq!(
                    answer.is_shared(),
                    is_fresh,
                    "{end} after {instant} s: {targeted:?} over {general:?}: {answer:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn it_counts_before_cache_control_and_expires() {
    assert_kept(&[
        ("max-age=60", "", Some(60)),
        ("max-age=60", "max-age=10", Some(60)),
        ("max-age=10", "max-age=60", Some(10)),
        ("max-age=10", "s-maxage=60", Some(10)),
        ("max-age=60", "no-store", Some(60)),
        ("max-age=60", "private", Some(60)),
        ("max-age=60", "no-cache", Some(60)),
        ("max-age=60", "expires: 0", Some(60)),
        ("max-age=60", "expires: Thu, 01 Jan 1998 00:00:00 GMT", Some(60)),
        ("max-age=0", "max-age=60", Some(0)),
        ("max-age=0", "expires: Fri, 01 Jan 2100 00:00:00 GMT", Some(0)),
        ("no-store", "max-age=60", None),
        ("no-store, max-age=60", "max-age=60", None),
        ("private", "max-age=60", None),
        ("no-cache", "max-age=60", Some(0)),
        ("no-cache, max-age=60", "max-age=60", Some(0)),
    ])
    .await;
}

#[tokio::test]
async fn what_it_does_not_know_in_it_does_not_count() {
    assert_kept(&[
        ("max-age=60, foobar", "", Some(60)),
        ("max-age=60, foobar=\"x, max-age=10\"", "", Some(60)),
        ("foo=(a b);x, max-age=60;y=1, bar=:AA==:", "", Some(60)),
        ("max-age=60, s-maxage=10", "", Some(10)),
        ("max-age=10\nmax-age=60", "", Some(60)),
        ("max-age=10, max-age=60", "", Some(60)),
    ])
    .await;
}

#[tokio::test]
async fn what_is_no_dictionary_or_empty_is_ignored_as_a_whole() {
    assert_kept(&[
        ("", "max-age=10", Some(10)),
        ("   ", "max-age=10", Some(10)),
        ("MaX-AgE=60", "max-age=10", Some(10)),
        ("max-age=60,", "max-age=10", Some(10)),
        (",max-age=60", "max-age=10", Some(10)),
        ("max-age=60,,a", "max-age=10", Some(10)),
        ("max-age =60", "max-age=10", Some(10)),
        ("max-age= 60", "max-age=10", Some(10)),
        ("max-age=60 a", "max-age=10", Some(10)),
        ("max-age=60; no-store=", "max-age=10", Some(10)),
        ("max-age='60'", "max-age=10", Some(10)),
        ("max-age=6-0", "max-age=10", Some(10)),
        ("max-age=\"60", "max-age=10", Some(10)),
        ("max-age=60, ä", "max-age=10", Some(10)),
        ("no-store, &", "max-age=10", Some(10)),
        ("max-age=9999999999999999", "max-age=10", Some(10)),
    ])
    .await;
}

#[tokio::test]
async fn a_value_of_another_type_is_not_consumed() {
    assert_kept(&[
        ("max-age=1.5", "max-age=10", Some(0)),
        ("max-age=\"60\"", "max-age=10", Some(0)),
        ("max-age=sixty", "max-age=10", Some(0)),
        ("max-age", "max-age=10", Some(0)),
        ("max-age=(60)", "max-age=10", Some(0)),
        ("max-age=-60", "max-age=10", Some(0)),
        ("max-age=060", "max-age=10", Some(60)),
    ])
    .await;
}

#[tokio::test]
async fn it_says_what_must_be_validated() {
    let mut still = Still::start(|setup| setup.set("origin.failure_ttl", "'1s'")).await;
    let table =
        [("max-age=10, must-revalidate", "max-age=10", false), ("max-age=10", "max-age=10, must-revalidate", true)];
    for (row, (targeted, general, _)) in table.iter().enumerate() {
        for end in BOTH {
            let path = format!("/{row}{end}");
            still.set(&path, Reply::fit_for(&path).header("cdn-cache-control", targeted).control(general));
            still.get(&path).await;
        }
    }
    still.pass(11).await;
    still.origin.stop().await;
    for (row, (targeted, general, may_stand_in)) in table.iter().enumerate() {
        for end in BOTH {
            let answer = still.get(&format!("/{row}{end}")).await;
            assert_eq!(answer.status.is_success(), *may_stand_in, "{targeted:?} over {general:?}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn fields_for_other_caches_pass_through_and_say_nothing_here() {
    let still = Still::start(|setup| setup).await;
    let reply = Reply::page("x")
        .max_age(60)
        .header("akamai-cache-control", "no-store")
        .header("example-cache-control", "max-age=1")
        .header("cdn-cache-control", "max-age=60");
    still.set("/page", reply);
    for is_hit in [false, true] {
        let answer = still.get("/page").await;
        assert_eq!(answer.is_shared(), is_hit);
        assert_eq!(answer.field("akamai-cache-control"), "no-store");
        assert_eq!(answer.field("example-cache-control"), "max-age=1");
        assert_eq!(answer.max_age(), Some(60));
    }
}
