//! Work that many wait for, when it goes wrong: nobody waits for ever, nobody gets half, and what may not be shared is not
//! waited for in line. For what is passed through and for what is developed.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use reqwest::StatusCode;

use crate::harness::{Edge, Gate, Origin, Reply, Setup, raw::Raw, reply::BOTH, reply::Content, setup::HOST, until};

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
}

async fn until_connected(edge: &Edge, count: u64) {
    edge.until_metric("lightmeter_connections", &[], |open| open >= count).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_who_ask_at_once_for_a_page_are_one_fetch() {
    let gate = Gate::closed();
    let content = Content::Gated(Bytes::from_static(b"first, "), gate.clone(), Bytes::from_static(b"second"));
    let origin = Origin::with("/page", Reply::of(content).max_age(60)).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let views = join_all((0..100).map(|_| edge.get("/page").into_future()));
    let opened = async {
        until_connected(&edge, 100).await;
        gate.open();
    };
    let (answers, ()) = tokio::join!(views, opened);
    for answer in &answers {
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, "first, second"));
    }
    assert_eq!(origin.count("/page"), 1);
}

#[tokio::test]
async fn followers_read_what_is_there_while_the_rest_is_on_its_way() {
    let gate = Gate::closed();
    let content = Content::Gated(Bytes::from_static(b"first, "), gate.clone(), Bytes::from_static(b"second"));
    let origin = Origin::with("/page", Reply::of(content).max_age(60)).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let mut leader = edge.get("/page").head().await;
    let mut follower = edge.get("/page").head().await;
    for response in [&mut leader, &mut follower] {
        assert_eq!(response.chunk().await.unwrap().unwrap(), "first, ");
    }
    gate.open();
    for response in [&mut leader, &mut follower] {
        assert_eq!(response.chunk().await.unwrap().unwrap(), "second");
        assert!(response.chunk().await.unwrap().is_none());
    }
    assert_eq!(origin.count("/page"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_goes_away_and_the_others_get_the_page() {
    let gate = Gate::closed();
    let origin = Origin::with("/page", Reply::page("whole").max_age(60).behind(&gate)).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let first = Raw::send(edge.http, get("/page")).await;
    until("the first has asked the origin", async || origin.count("/page") == 1).await;
    let views = join_all((0..20).map(|_| edge.get("/page").into_future()));
    let gone = async {
        until_connected(&edge, 21).await;
        first.reset();
        edge.until_metric("lightmeter_connections", &[], |open| open <= 20).await;
        gate.open();
    };
    let (answers, ()) = tokio::join!(views, gone);
    assert!(answers.iter().all(|answer| answer.text() == "whole"));
    assert_eq!(origin.count("/page"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_reads_slowly_holds_nobody_up() {
    let body = Bytes::from(vec![b'x'; 4 << 20]);
    let origin = Origin::with("/large", Reply::ok("text/plain", body.clone()).max_age(60)).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let mut slow = Raw::send(edge.http, get("/large")).await;
    assert_eq!(slow.status().await, 200);
    let answers = join_all((0..5).map(|_| edge.get("/large").into_future())).await;
    assert!(answers.iter().all(|answer| answer.body == body));
    assert!(edge.get("/large").await.is_shared());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_off_is_whole_for_nobody_and_the_next_one_is_served() {
    let gate = Gate::closed();
    let (first, len) = (Bytes::from_static(b"the first half"), 28);
    let origin = Origin::with("/page", Reply::of(Content::Cut(first, len)).max_age(60).behind(&gate)).await;
    let edge = Edge::start(Setup::of(&origin).set("origin.failure_ttl", "'1s'")).await;
    let views = join_all((0..20).map(|_| edge.get("/page").attempt()));
    let opened = async {
        until_connected(&edge, 20).await;
        gate.open();
    };
    let (answers, ()) = tokio::join!(views, opened);
    for answer in answers.into_iter().flatten() {
        assert!(answer.status.is_server_error(), "half was taken for the whole: {answer:?}");
    }
    assert!(origin.count("/page") <= 3, "asked {} times by 20", origin.count("/page"));
    origin.set("/page", Reply::page("whole").max_age(60));
    until("it is asked for anew", async || {
        edge.get("/page")
            .attempt()
            .await
            .is_some_and(|answer| answer.status == StatusCode::OK && answer.text() == "whole")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_hangs_keeps_nobody_waiting_beyond_its_time() {
    let never = Gate::closed();
    let origin = Origin::start().await;
    let edge = Edge::start(Setup::of(&origin).set("origin.first_byte_timeout", "'300ms'")).await;
    for end in BOTH {
        let path = format!("/a{end}");
        origin.set(&path, Reply::fit_for(&path).max_age(60).behind(&never));
        let started = Instant::now();
        let answers = join_all((0..20).map(|_| edge.get(&path).into_future())).await;
        assert!(answers.iter().all(|answer| answer.status == StatusCode::GATEWAY_TIMEOUT), "{answers:?}");
        // Two attempts one after the other, on a busy machine.
        assert!(started.elapsed() < Duration::from_secs(10), "{path}: {:?}", started.elapsed());
        assert!(origin.count(&path) <= 3, "{path}: asked {} times by 20", origin.count(&path));
    }
}

/// How many ask at once for what may not be shared.
const CLIENTS: usize = 8;

/// Known for what it is, it is asked for by all at once: nobody waits for another's answer before he asks himself.
async fn assert_fetched_side_by_side(path: &str) {
    let (origin, gate) = (Origin::start().await, Gate::closed());
    let edge = Edge::start(Setup::of(&origin)).await;
    let private = Reply::fit_for(path).control("private");
    origin.set(path, private.clone());
    edge.get(path).await;
    let asked = origin.count(path);
    origin.set(path, private.behind(&gate));
    let views = join_all((0..CLIENTS).map(|_| edge.get(path).into_future()));
    let opened = async {
        until("all of them ask the origin", async || origin.count(path) >= asked + CLIENTS).await;
        gate.open();
    };
    let (answers, ()) = tokio::join!(views, opened);
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK && !answer.is_shared()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_may_not_be_shared_is_fetched_by_all_side_by_side() {
    assert_fetched_side_by_side("/a.html").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_may_not_be_shared_is_fetched_by_all_side_by_side() {
    assert_fetched_side_by_side("/a.jpg").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_proves_private_only_when_it_comes_is_given_to_one_and_asked_for_by_the_others() {
    let origin = Origin::start().await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for end in BOTH {
        let (path, gate) = (format!("/a{end}"), Gate::closed());
        origin.set(&path, Reply::fit_for(&path).control("private").behind(&gate));
        let views = join_all((0..CLIENTS).map(|_| edge.get(&path).into_future()));
        let opened = async {
            until("the first asks", async || origin.count(&path) >= 1).await;
            gate.open();
        };
        let (answers, ()) = tokio::join!(views, opened);
        assert!(answers.iter().all(|answer| answer.status == StatusCode::OK && !answer.is_hit()));
        assert!(origin.count(&path) >= CLIENTS, "{path}: {} fetches for {CLIENTS} clients", origin.count(&path));
    }
}

#[tokio::test]
async fn a_failure_is_remembered_briefly_and_a_client_error_by_its_own_time() {
    let still = crate::harness::Still::start(|setup| {
        setup.set("origin.failure_ttl", "'10m'").set("origin.not_found_ttl", "'10s'")
    })
    .await;
    let path = "/a.jpg";
    still.set(path, Reply::status(503, "no"));
    for _ in 0..3 {
        assert_eq!(still.get(path).await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(still.count(path), 1, "the failure is remembered");
    still.set("/b.jpg", Reply::status(404, "no"));
    for asked in 1..=2 {
        for _ in 0..3 {
            assert_eq!(still.get("/b.jpg").await.status, StatusCode::NOT_FOUND);
        }
        assert_eq!(still.count("/b.jpg"), asked);
        still.pass(11).await;
    }
}

#[tokio::test]
async fn other_things_are_served_while_one_hangs() {
    let never = Gate::closed();
    let origin = Origin::start().await;
    for end in BOTH {
        origin.set(&format!("/hangs{end}"), Reply::fit_for(end).behind(&never));
        origin.set(&format!("/a{end}"), Reply::fit_for(&format!("/a{end}")).max_age(60));
    }
    let edge = Edge::start(Setup::of(&origin)).await;
    let mut waiting = Vec::new();
    for end in BOTH {
        waiting.push(Raw::send(edge.http, get(&format!("/hangs{end}"))).await);
        until("it hangs", async || origin.count(&format!("/hangs{end}")) == 1).await;
    }
    for end in BOTH {
        let path = format!("/a{end}");
        edge.get(&path).await;
        assert!(edge.get(&path).await.is_shared());
    }
}
