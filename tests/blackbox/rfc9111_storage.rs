//! What may be stored (RFC 9111, 3), for what is passed through and for what is developed.

use reqwest::{Method, StatusCode};

use crate::harness::{Edge, Origin, Reply, Setup, Still, reply::BOTH, until};

/// Names and values of header fields.
type Given = &'static [(&'static str, &'static str)];

/// Asks twice in a row and tells whether the second answer came from the cache.
async fn is_kept(edge: &Edge, path: &str, asking: &[(&str, &str)]) -> bool {
    for is_second in [false, true] {
        let request = asking.iter().fold(edge.get(path), |request, (name, value)| request.header(name, value));
        let answer = request.await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        if is_second {
            return answer.is_shared();
        }
        assert!(!answer.is_shared(), "{path}: {answer:?}");
    }
    unreachable!()
}

#[tokio::test]
async fn what_is_for_nobody_else_or_not_to_be_kept_is_asked_for_each_time() {
    let table: [(Given, Given); 12] = [
        (&[], &[("cache-control", "no-store")]),
        (&[], &[("cache-control", "no-store, max-age=60")]),
        (&[], &[("cache-control", "max-age=60, nO-StOrE")]),
        (&[], &[("cache-control", "max-age=60"), ("cache-control", "no-store")]),
        (&[], &[("cache-control", "private, max-age=60")]),
        (&[], &[("cache-control", "private=\"x-name\", max-age=60")]),
        (&[], &[("cache-control", "max-age=60"), ("vary", "*")]),
        (&[], &[("cache-control", "max-age=60"), ("vary", "Accept, *")]),
        (&[], &[("cache-control", "max-age=60"), ("vary", "Accept"), ("vary", ", *")]),
        (&[("authorization", "Basic x")], &[("cache-control", "max-age=60")]),
        (&[("authorization", "Basic x")], &[("expires", "Fri, 01 Jan 2100 00:00:00 GMT")]),
        (&[("cache-control", "no-store")], &[("cache-control", "max-age=60")]),
    ];
    let origin = Origin::start().await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for (row, (asking, answering)) in table.into_iter().enumerate() {
        let is_asked_in_his_name = asking.iter().any(|(name, _)| *name == "authorization");
        for end in BOTH {
            // An image is asked for in nobody's name, so what comes is not its visitor's.
            if is_asked_in_his_name && end == ".jpg" {
                continue;
            }
            let path = format!("/{row}{end}");
            let reply = answering.iter().fold(Reply::fit_for(&path), |reply, (name, value)| reply.header(name, value));
            origin.set(&path, reply);
            assert!(!is_kept(&edge, &path, asking).await, "{end}, {asking:?} got {answering:?}");
            assert_eq!(origin.count(&path), 2, "{end}, {asking:?} got {answering:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_to_credentials_is_kept_where_it_is_marked_for_all() {
    let origin = Origin::start().await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for (row, control) in ["public, max-age=60", "s-maxage=60", "max-age=60, must-revalidate"].into_iter().enumerate() {
        let path = format!("/{row}.html");
        origin.set(&path, Reply::page("x").control(control));
        assert!(is_kept(&edge, &path, &[("authorization", "Basic x")]).await, "{control}");
    }
}

#[tokio::test]
async fn a_request_that_forbids_storing_may_still_be_answered_from_what_others_stored() {
    let origin = Origin::with("/page", Reply::page("x").max_age(60)).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    edge.get("/page").await;
    assert!(edge.get("/page").header("cache-control", "no-store").await.is_shared());
}

#[tokio::test]
async fn a_cookie_is_for_the_one_it_was_set_for() {
    let origin = Origin::start().await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for control in ["max-age=60", "public, max-age=60"] {
        for end in BOTH {
            let path = format!("/{}{end}", control.len());
            origin.set(&path, Reply::fit_for(&path).control(control).header("set-cookie", "session=secret"));
            let first = edge.get(&path).await;
            // What is shared, though it sets a cookie, is shared without it from the first.
            let is_for_one = end == ".html" && !control.contains("public");
            assert_eq!(first.field("set-cookie"), if is_for_one { "session=secret" } else { "" }, "{path}: {first:?}");
            for _ in 0..2 {
                let later = edge.get(&path).await;
                assert!(!later.is_shared() || !later.has("set-cookie"), "{path}: {later:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_final_status_that_the_cache_understands_is_kept_for_the_time_that_the_origin_gives() {
    let still = Still::start(|setup| setup).await;
    for status in [200, 203, 204, 301, 302, 307, 308, 404, 410] {
        // An image is a 200, or gone: any other answer under its name is its visitor's.
        for end in BOTH.into_iter().filter(|end| *end == ".html" || [200, 404, 410].contains(&status)) {
            let path = format!("/{status}{end}");
            let mut reply = Reply::status(status, "").max_age(60).header("location", "/elsewhere");
            if status < 300 {
                reply = Reply { status: reply.status, ..Reply::fit_for(&path).max_age(60) };
            }
            still.set(&path, reply);
            let first = still.get(&path).await;
            assert_eq!(first.status.as_u16(), status);
            let second = still.get(&path).await;
            assert_eq!((second.status, second.field("location")), (first.status, first.field("location")));
            assert_eq!(still.count(&path), 1, "{status}{end}");
        }
    }
}

#[tokio::test]
async fn what_the_cache_must_understand_first_is_not_kept_where_it_does_not() {
    let origin = Origin::start().await;
    let edge = Edge::start(Setup::of(&origin)).await;
    origin.set("/odd", Reply::status(299, "odd").control("max-age=60, must-understand"));
    for asked in 1..=2 {
        assert_eq!(edge.get("/odd").await.status.as_u16(), 299);
        assert_eq!(origin.count("/odd"), asked);
    }
}

#[tokio::test]
async fn a_part_is_not_kept() {
    let part = Reply::status(206, "part").max_age(60).header("content-range", "bytes 0-3/9").header("etag", "\"v\"");
    let origin = Origin::with("/film", part).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for asked in 1..=2 {
        let answer = edge.get("/film").header("range", "bytes=0-3").await;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::PARTIAL_CONTENT, "part"));
        assert_eq!(origin.count("/film"), asked);
    }
    origin.set("/film", Reply::page("the whole").max_age(60));
    assert_eq!(edge.get("/film").await.text(), "the whole");
}

#[tokio::test]
async fn an_answer_to_a_post_is_not_kept() {
    let reply = Reply::page("x").max_age(60).header("content-location", "/form");
    let origin = Origin::with("/form", reply).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    edge.request(Method::POST, "/form").body("a=b").await;
    assert!(!edge.get("/form").await.is_shared());
    assert_eq!(origin.count("/form"), 2);
}

#[tokio::test]
async fn fields_of_one_connection_are_not_stored() {
    let reply = Reply::page("x")
        .max_age(60)
        .header("connection", "x-private")
        .header("x-private", "1")
        .header("keep-alive", "timeout=99")
        .header("proxy-authenticate", "Basic")
        .header("x-public", "1");
    let origin = Origin::with("/page", reply).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    edge.get("/page").await;
    let hit = edge.get("/page").await;
    assert!(hit.is_shared() && hit.has("x-public"), "{hit:?}");
    for name in ["x-private", "keep-alive", "proxy-authenticate"] {
        assert!(!hit.has(name), "{name} was stored");
    }
}

#[tokio::test]
async fn what_is_kept_outlives_a_restart() {
    let origin = Origin::with("/page", Reply::page("kept").max_age(600).header("x-own", "1")).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    edge.get("/page").await;
    until("it is on disk", async || edge.metric("lightmeter_cache_entries", &[("tier", "disk")]).await >= 1).await;
    let edge = edge.restart(crate::harness::edge::Ending::Stopped).await;
    let hit = edge.get("/page").await;
    assert!(hit.is_shared() && hit.text() == "kept" && hit.field("x-own") == "1", "{hit:?}");
    assert_eq!(origin.count("/page"), 1);
}
