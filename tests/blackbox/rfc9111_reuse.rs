//! How what is stored is used (RFC 9111, 4 and 5.2; RFC 8246), for what is passed through and for what is developed.

use reqwest::{Method, StatusCode};

use crate::harness::{CHROMIUM, Reply, Still, reply::BOTH, until};

#[tokio::test]
async fn what_must_be_validated_is_an_error_where_it_cannot_be() {
    let mut still = Still::start(|setup| setup.set("origin.failure_ttl", "'1s'")).await;
    let controls = [
        "max-age=10, must-revalidate",
        "max-age=10, proxy-revalidate",
        "s-maxage=10",
        "no-cache",
        "max-age=10, no-cache",
        "max-age=10, must-revalidate, stale-if-error=600, stale-while-revalidate=600",
        "s-maxage=10, stale-if-error=600",
    ];
    let paths: Vec<String> = (0..controls.len()).flat_map(|row| BOTH.map(|end| format!("/{row}{end}"))).collect();
    for (path, control) in paths.iter().zip(controls.iter().flat_map(|control| [control; 2])) {
        still.set(path, Reply::fit_for(path).control(control).header("etag", "\"v\""));
        assert_eq!(still.get(path).await.status, StatusCode::OK, "{control}");
    }
    still.pass(11).await;
    still.origin.stop().await;
    for (path, control) in paths.iter().zip(controls.iter().flat_map(|control| [control; 2])) {
        let answer = still.get(path).await;
        assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT, "{path}, {control}: {answer:?}");
    }
}

#[tokio::test]
async fn what_was_stored_tells_its_age_and_when_it_was_made() {
    let still = Still::start(|setup| setup).await;
    for (path, age, told) in [("/a.html", "", 7), ("/b.html", "30", 37), ("/a.jpg", "", 7), ("/b.jpg", "30", 37)] {
        let reply = Reply::fit_for(path).max_age(600);
        still.set(path, if age.is_empty() { reply } else { reply.header("age", age) });
        let made = still.date(0);
        still.get(path).await;
        still.pass(7).await;
        let hit = still.get(path).await;
        assert!(hit.is_shared(), "{hit:?}");
        assert_eq!(hit.field("age"), told.to_string(), "{path}");
        // A variant is made here, when it is delivered.
        assert!(path.ends_with(".jpg") || hit.field("date") == made, "{path}: {hit:?} was made at {made}");
        assert!(hit.has("date"));
    }
}

#[tokio::test]
async fn a_response_without_a_date_gets_one() {
    let wire = crate::harness::wire::Wire::with("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx").await;
    let edge = crate::harness::Edge::start(wire.setup()).await;
    assert!(edge.get("/page").await.has("date"));
}

#[tokio::test]
async fn head_is_answered_from_what_get_stored() {
    let still = Still::start(|setup| setup).await;
    for path in ["/a.html", "/a.jpg"] {
        still.set(path, Reply::fit_for(path).max_age(60).header("etag", "\"v\""));
        still.get(path).await;
        let get = still.get(path).await;
        let head = still.edge.request(Method::HEAD, path).await;
        assert!(get.is_shared() && head.is_shared() && head.body.is_empty(), "{head:?}");
        for name in ["content-type", "content-length", "etag", "vary", "cache-control", "age", "date"] {
            assert_eq!(head.field(name), get.field(name), "{path}: {name}");
        }
        assert_eq!(still.count(path), 1);
    }
}

#[tokio::test]
async fn a_client_cannot_make_the_cache_ask_the_origin() {
    let still = Still::start(|setup| setup).await;
    for path in ["/a.html", "/a.jpg"] {
        still.set(path, Reply::fit_for(path).max_age(600).header("age", "5"));
        still.get(path).await;
        for (name, value) in [
            ("cache-control", "no-cache"),
            ("cache-control", "max-age=0"),
            ("cache-control", "max-age=1"),
            ("cache-control", "min-fresh=1000"),
            ("pragma", "no-cache"),
        ] {
            let answer = still.edge.get(path).header(name, value).await;
            assert!(answer.is_shared(), "{path}, {name}: {value}: {answer:?}");
        }
        assert_eq!(still.count(path), 1);
    }
}

#[tokio::test]
async fn only_if_cached_never_asks_the_origin() {
    let still = Still::start(|setup| setup).await;
    for path in ["/a.html", "/a.jpg"] {
        still.set(path, Reply::fit_for(path).max_age(60));
        let only = || still.edge.get(path).header("cache-control", "only-if-cached");
        assert_eq!(only().await.status, StatusCode::GATEWAY_TIMEOUT, "{path}");
        assert_eq!(still.count(path), 0);
        still.get(path).await;
        let hit = only().await;
        assert!(hit.status == StatusCode::OK && hit.is_shared(), "{path}: {hit:?}");
        assert_eq!(still.count(path), 1);
    }
}

#[tokio::test]
async fn immutable_is_not_validated_while_fresh_and_like_any_other_once_stale() {
    let still = Still::start(|setup| setup).await;
    for path in ["/a.html", "/a.jpg"] {
        // Arguments of the directive are to be ignored (RFC 8246, 2).
        for control in ["max-age=60, immutable", "max-age=60, immutable=\"x\""] {
            let path = format!("/{}{path}", control.len());
            still.set(&path, Reply::fit_for(&path).control(control).header("etag", "\"v\""));
            still.get(&path).await;
            assert!(still.edge.get(&path).header("cache-control", "no-cache").await.is_shared());
            assert_eq!(still.count(&path), 1, "{control}");
            still.pass(60).await;
            until("it is validated", async || {
                assert_eq!(still.get(&path).await.status, StatusCode::OK, "{control}");
                still.origin.last(&path).field("if-none-match") == "\"v\""
            })
            .await;
        }
    }
}

#[tokio::test]
async fn what_differs_in_its_query_is_another_thing() {
    let still = Still::start(|setup| setup).await;
    for query in ["?v=1", "?v=2"] {
        still.set(&format!("/page{query}"), Reply::page(query).max_age(60));
        still.set(&format!("/a.jpg{query}"), Reply::fit_for("/a.jpg").max_age(60));
    }
    for path in ["/page", "/a.jpg"] {
        for (asked, query) in ["?v=1", "?v=2", "?v=1", "?v=2"].into_iter().enumerate() {
            let answer = still.edge.get(&format!("{path}{query}")).accept(CHROMIUM).await;
            assert_eq!(answer.is_shared(), asked > 1, "{path}{query}: {answer:?}");
            assert!(path != "/page" || answer.text() == query);
        }
    }
}
