//! `Cache-Status` (RFC 9211): how each answer was come by, told to whoever asks.

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};

use crate::harness::{Answer, Gate, Origin, Reply, Setup, Still, reply::BOTH, reply::Content, until};

/// The parameters of our own member, which is the last: `hit`, `fwd=…` and the others.
fn parameters(answer: &Answer) -> Vec<String> {
    let status = answer.field("cache-status");
    let member = status.rsplit(", ").next().unwrap();
    let mut parts = member.split("; ").map(str::to_owned);
    assert_eq!(parts.next().as_deref(), Some("lightmeter"), "{status}");
    let parameters: Vec<String> = parts.collect();
    let is_hit = parameters.iter().any(|parameter| parameter == "hit");
    let is_forwarded = parameters.iter().any(|parameter| parameter.starts_with("fwd="));
    assert!(is_hit != is_forwarded, "it is a hit or forwarded, and never both: {status}");
    parameters
}

/// Who comes while an answer is being stored has a share in it.
async fn until_hit(still: &Still, path: &str) {
    until("it is stored", async || still.get(path).await.is_hit()).await;
}

fn assert_says(answer: &Answer, expected: &[&str]) {
    let parameters = parameters(answer);
    for parameter in expected {
        assert!(parameters.iter().any(|given| given == parameter), "{parameter} is not in {parameters:?}");
    }
}

#[tokio::test]
async fn a_miss_says_that_it_is_one_and_a_hit_how_long_it_is_fresh() {
    let still = Still::start(|setup| setup).await;
    for end in BOTH {
        let path = format!("/a{end}");
        still.set(&path, Reply::fit_for(&path).max_age(60));
        let miss = still.get(&path).await;
        assert_says(&miss, &["fwd=uri-miss"]);
        // That a picture's original is stored is no news of the variant.
        assert!(end == ".jpg" || parameters(&miss).iter().any(|parameter| parameter == "stored"), "{miss:?}");
        still.pass(20).await;
        assert_says(&still.get(&path).await, &["hit", "ttl=40"]);
    }
}

#[tokio::test]
async fn a_validation_says_so() {
    let still = Still::start(|setup| setup).await;
    for end in BOTH {
        let path = format!("/a{end}");
        still.set(&path, Reply::fit_for(&path).max_age(10).header("etag", "\"v\""));
        until_hit(&still, &path).await;
        still.pass(10).await;
        assert_says(&still.get(&path).await, &["fwd=stale", "ttl=10"]);
        until_hit(&still, &path).await;
        still.pass(10).await;
        still.set(&path, Reply::fit_for(&path).max_age(10).header("etag", "\"w\""));
        let new = still.get(&path).await;
        // Of a new picture it is told that no variant was there.
        assert_says(&new, if end == ".jpg" { &["fwd=uri-miss"] } else { &["fwd=stale"] });
    }
}

#[tokio::test]
async fn what_is_served_stale_says_for_how_long_it_has_been() {
    let mut still = Still::start(|setup| setup).await;
    for end in BOTH {
        let path = format!("/a{end}");
        still.set(&path, Reply::fit_for(&path).control("max-age=10, stale-if-error=600"));
        still.get(&path).await;
    }
    still.pass(15).await;
    still.origin.stop().await;
    for end in BOTH {
        assert_says(&still.get(&format!("/a{end}")).await, &["ttl=-5"]);
    }
}

#[tokio::test]
async fn who_waits_for_anothers_fetch_is_collapsed() {
    let still = Still::start(|setup| setup).await;
    for end in BOTH {
        let (path, gate) = (format!("/a{end}"), Gate::closed());
        still.set(&path, Reply::fit_for(&path).max_age(60).behind(&gate));
        let views = join_all((0..10).map(|_| still.edge.get(&path).into_future()));
        let opened = async {
            still.edge.until_metric("lightmeter_connections", &[], |open| open >= 10).await;
            gate.open();
        };
        let (answers, ()) = tokio::join!(views, opened);
        let is_collapsed = |answer: &&Answer| parameters(answer).iter().any(|parameter| parameter == "collapsed");
        // One asked. Who came late enough found it stored.
        assert!(answers.iter().filter(is_collapsed).count() < 10);
        assert_eq!(still.count(&path), 1, "{path}");
        assert!(answers.iter().any(|answer| is_collapsed(&answer)), "{path}: nobody waited");
    }
}

#[tokio::test]
async fn another_representation_is_a_vary_miss() {
    let reply = Reply::of(Content::Field("accept-language")).max_age(60).header("vary", "Accept-Language");
    let still = Still::with("/page", reply).await;
    assert_says(&still.edge.get("/page").header("accept-language", "de").await, &["fwd=uri-miss"]);
    assert_says(&still.edge.get("/page").header("accept-language", "en").await, &["fwd=vary-miss"]);
}

#[tokio::test]
async fn what_is_not_for_the_cache_says_why() {
    let still = Still::with("/page", Reply::page("x")).await;
    assert_says(&still.edge.request(Method::POST, "/page").body("x").await, &["fwd=method"]);
    still.set("/secret", Reply::page("x").control("no-store"));
    let secret = parameters(&still.get("/secret").await);
    assert!(secret.iter().all(|parameter| parameter != "stored"), "{secret:?}");
}

#[tokio::test]
async fn conditions_and_ranges_are_hits_too() {
    let still = Still::start(|setup| setup).await;
    for end in BOTH {
        let path = format!("/a{end}");
        still.set(&path, Reply::fit_for(&path).max_age(60).header("etag", "\"v\""));
        let etag = still.get(&path).await.etag();
        for (name, value, status) in [
            ("if-none-match", etag.as_str(), StatusCode::NOT_MODIFIED),
            ("range", "bytes=0-1", StatusCode::PARTIAL_CONTENT),
        ] {
            let answer = still.edge.get(&path).header(name, value).await;
            assert_eq!(answer.status, status, "{path}");
            assert_says(&answer, &["hit"]);
        }
    }
}

#[tokio::test]
async fn it_stands_behind_what_caches_nearer_the_origin_wrote() {
    let still =
        Still::with("/page", Reply::page("x").max_age(60).header("cache-status", "\"Origin Cache\"; hit")).await;
    for _ in 0..2 {
        let answer = still.get("/page").await;
        assert!(answer.field("cache-status").starts_with("\"Origin Cache\"; hit, lightmeter; "), "{answer:?}");
        assert_eq!(answer.field("cache-status").matches("lightmeter").count(), 1, "{answer:?}");
    }
}

#[tokio::test]
async fn an_error_of_our_own_says_nothing_of_caches() {
    let mut origin = Origin::start().await;
    let edge = crate::harness::Edge::start(Setup::of(&origin)).await;
    origin.stop().await;
    for answer in [edge.get("/page").await, edge.get("/a.jpg?w=x").await, edge.get("/").host("other.test").await] {
        assert!(answer.status.is_client_error() || answer.status.is_server_error());
        assert!(!answer.has("cache-status"), "{answer:?}");
    }
}
