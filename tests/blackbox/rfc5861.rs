//! What is stale and may still be used (RFC 5861; RFC 9111, 4.2.4), for what is passed through and for what is developed.

use bytes::Bytes;
use reqwest::StatusCode;

use crate::harness::{Answer, Gate, Reply, Still, reply::BOTH, reply::Content, until};

/// Fresh for 10 seconds, and then as `more` says.
fn reply(path: &str, more: &str) -> Reply {
    Reply::fit_for(path).control(&format!("max-age=10, {more}")).header("etag", "\"v\"")
}

async fn still_with(more: &str) -> (Still, [String; 2]) {
    let still = Still::start(|setup| setup.set("origin.failure_ttl", "'1s'")).await;
    let paths = BOTH.map(|end| format!("/a{end}"));
    for path in &paths {
        still.set(path, reply(path, more));
        assert_eq!(still.get(path).await.status, StatusCode::OK);
    }
    (still, paths)
}

fn assert_stale(answer: &Answer, age: &str) {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.field("age"), age, "{answer:?}");
    assert!(answer.field("cache-status").contains("ttl=-"), "{answer:?}");
}

#[tokio::test]
async fn within_the_window_a_stale_answer_comes_at_once_and_one_validation_runs_behind_it() {
    let (still, paths) = still_with("stale-while-revalidate=30").await;
    still.pass(15).await;
    for path in &paths {
        let gate = Gate::closed();
        still.set(path, reply(path, "stale-while-revalidate=30").behind(&gate));
        for _ in 0..10 {
            assert_stale(&still.get(path).await, "15");
        }
        until("the origin is asked", async || still.count(path) == 2).await;
        assert_stale(&still.get(path).await, "15");
        assert_eq!(still.origin.last(path).field("if-none-match"), "\"v\"");
        gate.open();
        until("it is fresh again", async || still.get(path).await.field("age") == "0").await;
        assert_eq!(still.count(path), 2, "{path}: one validation for all");
    }
}

#[tokio::test]
async fn after_the_window_the_client_waits_for_the_origin() {
    let (still, paths) = still_with("stale-while-revalidate=30").await;
    still.pass(40).await;
    for path in &paths {
        let answer = still.get(path).await;
        assert_eq!((answer.status, answer.field("age").as_str()), (StatusCode::OK, "0"), "{path}: {answer:?}");
        assert_eq!(still.count(path), 2);
    }
}

#[tokio::test]
async fn new_content_that_was_fetched_behind_a_stale_answer_is_what_comes_next() {
    let (still, [page, _]) = still_with("stale-while-revalidate=30").await;
    still.pass(15).await;
    still.set(&page, Reply::page("new").max_age(10).header("etag", "\"w\""));
    assert_eq!(still.get(&page).await.text(), page, "the old one, at once");
    until("the new one is there", async || still.get(&page).await.text() == "new").await;
    assert_eq!(still.count(&page), 2);
}

#[tokio::test]
async fn a_failing_origin_is_bridged_within_the_window_and_not_after_it() {
    let cut = Reply::of(Content::Cut(Bytes::from_static(b"x"), 900));
    let broken = |status: u16| (status.to_string(), Reply::status(status, "no"));
    let failures = [500, 502, 503, 504].map(broken).into_iter().chain([("cut".to_owned(), cut)]);
    for (name, failing) in failures {
        let (still, paths) = still_with("stale-if-error=30").await;
        for path in &paths {
            still.set(path, failing.clone());
        }
        still.pass(39).await;
        for path in &paths {
            // What broke off in the middle of a page was on its way already.
            if name == "cut" && path.ends_with(".html") {
                continue;
            }
            assert_stale(&still.get(path).await, "39");
            assert!(still.count(path) > 1, "{name}, {path}: the origin is asked first");
        }
        still.pass(2).await;
        for path in &paths {
            let answer = still.edge.get(path).attempt().await;
            assert!(answer.is_none_or(|answer| answer.status.is_server_error()), "{name}, {path}: after the window");
        }
    }
}

#[tokio::test]
async fn an_origin_that_is_gone_is_bridged_within_the_window_and_not_after_it() {
    let (mut still, paths) = still_with("stale-if-error=30").await;
    still.origin.stop().await;
    still.pass(39).await;
    for path in &paths {
        assert_stale(&still.get(path).await, "39");
    }
    still.pass(2).await;
    for path in &paths {
        let answer = still.get(path).await;
        assert!(answer.status.is_server_error(), "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn an_origin_that_hangs_is_bridged() {
    let still = Still::start(|setup| setup.set("origin.first_byte_timeout", "'200ms'")).await;
    let never = Gate::closed();
    for end in BOTH {
        let path = format!("/a{end}");
        still.set(&path, reply(&path, "stale-if-error=30"));
        still.get(&path).await;
        still.set(&path, reply(&path, "").behind(&never));
    }
    still.pass(20).await;
    for end in BOTH {
        assert_stale(&still.get(&format!("/a{end}")).await, "20");
    }
}

#[tokio::test]
async fn a_client_error_is_no_failure_to_bridge() {
    let (still, paths) = still_with("stale-if-error=600").await;
    still.pass(20).await;
    for path in &paths {
        still.set(path, Reply::status(404, "gone"));
        assert_eq!(still.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_window_of_nothing_bridges_nothing() {
    let (mut still, paths) = still_with("stale-if-error=0").await;
    still.origin.stop().await;
    still.pass(20).await;
    for path in &paths {
        let answer = still.get(path).await;
        assert!(answer.status.is_server_error(), "{path}: {answer:?}");
    }
}
