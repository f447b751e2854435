//! What passes through is cached as its origin allows: stored while it streams, kept apart by what it varies by, validated,
//! served stale, and forgotten when it is changed.

use bytes::Bytes;
use futures_util::future::join_all;
use reqwest::{Method, StatusCode};

use crate::harness::{
    Answer, Edge, Gate, Origin, Reply, Setup, disk, edge::Ending, raw::Raw, reply::Content, setup::HOST, until,
    until_some,
};

const STYLE: &str = "body { color: red }";

fn style() -> Reply {
    Reply::ok("text/css", STYLE).header("etag", "\"v1\"")
}

/// What an origin answers when it is asked whether the tag still holds.
fn not_modified() -> Reply {
    Reply::status(304, "").header("etag", "\"v1\"")
}

async fn start(origin: &Origin) -> Edge {
    Edge::start(Setup::of(origin).set("dev.test_clock", "true").set("admin.token", "'the-operators-own-token'")).await
}

/// Moves the edge's clock to so many seconds from now. The origin's `Date` is the real one.
async fn at(edge: &Edge, seconds: u64) {
    let then = std::time::SystemTime::now() + std::time::Duration::from_secs(seconds);
    edge.set_clock(&jiff::Timestamp::try_from(then).unwrap().to_string()).await;
}

/// `Date` for an answer that is given when the edge's clock has been moved.
fn made_at(seconds: u64) -> String {
    httpdate::fmt_http_date(std::time::SystemTime::now() + std::time::Duration::from_secs(seconds))
}

/// Gets it until it is answered from the cache.
async fn until_hit(edge: &Edge, path: &str) -> Answer {
    until_some("it is a hit", async || Some(edge.get(path).await).filter(Answer::is_hit)).await
}

fn bytes(len: usize) -> Bytes {
    (0..len).map(|number| (number * 7 % 251) as u8).collect::<Vec<_>>().into()
}

#[tokio::test]
async fn a_style_is_fetched_once_and_grows_older() {
    let origin = Origin::with("/a.css", style().max_age(600).header("x-own", "kept").header("age", "7")).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let first = edge.get("/a.css").await;
    assert_eq!(
        (first.text().as_str(), first.field("cache-status").as_str()),
        (STYLE, "lightmeter; fwd=uri-miss; stored")
    );
    let hit = until_hit(&edge, "/a.css").await;
    assert_eq!((hit.status, hit.text().as_str(), hit.etag().as_str()), (StatusCode::OK, STYLE, "\"v1\""));
    assert_eq!((hit.content_type().as_str(), hit.field("x-own").as_str()), ("text/css", "kept"));
    assert_eq!(hit.field("date"), first.field("date"));
    assert!(hit.field("age").parse::<u64>().unwrap() >= 7);
    assert_eq!(origin.count("/a.css"), 1);
}

#[tokio::test]
async fn conditions_ranges_and_heads_are_answered_from_a_complete_response() {
    let origin = Origin::with("/a.css", style().max_age(600)).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    edge.get("/a.css").await;
    until_hit(&edge, "/a.css").await;
    let part = edge.get("/a.css").header("range", "bytes=5-6").await;
    assert_eq!((part.status.as_u16(), part.text().as_str()), (206, "{ "));
    assert_eq!(part.field("content-range"), format!("bytes 5-6/{}", STYLE.len()));
    let beyond = edge.get("/a.css").header("range", "bytes=99-").await;
    assert_eq!((beyond.status.as_u16(), beyond.field("content-range")), (416, format!("bytes */{}", STYLE.len())));
    let same = edge.get("/a.css").header("if-none-match", "\"v0\", W/\"v1\"").await;
    assert_eq!((same.status.as_u16(), same.etag().as_str(), same.body.len()), (304, "\"v1\"", 0));
    assert!(!same.has("content-type") && same.has("cache-control") && same.has("date"));
    let other = edge.get("/a.css").header("range", "bytes=0-0").header("if-range", "\"v0\"").await;
    assert_eq!((other.status.as_u16(), other.text().as_str()), (200, STYLE));
    let head = edge.request(Method::HEAD, "/a.css").await;
    assert!(head.is_hit() && head.body.is_empty());
    assert_eq!(head.field("content-length"), STYLE.len().to_string());
    assert_eq!(origin.count("/a.css"), 1);
}

#[tokio::test]
async fn responses_that_vary_are_kept_apart() {
    let origin = Origin::with("/page", Reply::ok("text/html", "english").max_age(600).header("vary", "X-Lang")).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    edge.get("/page").header("x-lang", "en").await;
    origin.set("/page", Reply::ok("text/html", "deutsch").max_age(600).header("vary", "X-Lang"));
    let german = edge.get("/page").header("x-lang", "de").await;
    assert!(german.field("cache-status").contains("fwd=vary-miss"), "{german:?}");
    for (language, text) in [("en", "english"), ("de", "deutsch")] {
        let hit = until_some("both are stored", async || {
            Some(edge.get("/page").header("x-lang", language).await).filter(Answer::is_hit)
        })
        .await;
        assert_eq!(hit.text(), text);
    }
    assert_eq!(origin.count("/page"), 2);
}

#[tokio::test]
async fn packed_content_never_reaches_a_client_that_does_not_take_it() {
    let packed = Reply::ok("text/css", "packed").max_age(600).header("content-encoding", "br");
    let origin = Origin::with("/a.css", packed).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    edge.get("/a.css").header("accept-encoding", "br").await;
    origin.set("/a.css", Reply::ok("text/css", "plain").max_age(600));
    assert_eq!(edge.get("/a.css").header("accept-encoding", "identity").await.text(), "plain");
}

#[tokio::test]
async fn what_is_stale_is_validated_with_the_origins_tag_and_gets_its_new_fields() {
    let origin = Origin::with("/a.css", style().max_age(10).header("x-own", "old")).await;
    let edge = start(&origin).await;
    at(&edge, 0).await;
    edge.get("/a.css").await;
    until_hit(&edge, "/a.css").await;
    origin.set("/a.css", not_modified().max_age(60).header("x-own", "new").header("date", &made_at(20)));
    at(&edge, 20).await;
    let validated = edge.get("/a.css").await;
    assert_eq!((validated.status, validated.text().as_str()), (StatusCode::OK, STYLE));
    assert_eq!(validated.field("x-own"), "new");
    assert!(validated.field("cache-status").contains("fwd=stale"), "{validated:?}");
    assert_eq!(origin.last("/a.css").field("if-none-match"), "\"v1\"");
    at(&edge, 70).await;
    assert_eq!(until_hit(&edge, "/a.css").await.field("x-own"), "new");
    assert_eq!(origin.count("/a.css"), 2);
}

#[tokio::test]
async fn new_content_replaces_the_old() {
    let origin = Origin::with("/a.css", style().max_age(10)).await;
    let edge = start(&origin).await;
    at(&edge, 0).await;
    edge.get("/a.css").await;
    until_hit(&edge, "/a.css").await;
    let new = Reply::ok("text/css", "new").max_age(10).header("etag", "\"v2\"");
    origin.set("/a.css", new.header("date", &made_at(20)));
    at(&edge, 20).await;
    assert_eq!(edge.get("/a.css").await.text(), "new");
    assert_eq!(until_hit(&edge, "/a.css").await.etag(), "\"v2\"");
}

#[tokio::test]
async fn a_stale_response_stands_in_for_an_origin_that_fails_unless_that_is_forbidden() {
    for (control, may_stand_in) in [
        ("max-age=1", true),
        ("max-age=1, must-revalidate", false),
        ("s-maxage=1", false),
        ("max-age=1, stale-if-error=5", false),
    ] {
        let mut origin = Origin::with("/a.css", style().header("cache-control", control)).await;
        let edge = start(&origin).await;
        at(&edge, 0).await;
        edge.get("/a.css").await;
        until_hit(&edge, "/a.css").await;
        at(&edge, 20).await;
        origin.stop().await;
        let answer = edge.get("/a.css").await;
        if may_stand_in {
            assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, STYLE), "{control}");
            assert!(answer.field("age").parse::<u64>().unwrap() >= 20);
        } else {
            let status = if control.contains("stale-if-error") { 502 } else { 504 };
            assert_eq!(answer.status.as_u16(), status, "{control}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_server_error_is_not_shown_where_a_stale_response_may_stand_in() {
    let origin = Origin::with("/a.css", style().header("cache-control", "max-age=1, stale-if-error=600")).await;
    let edge = start(&origin).await;
    at(&edge, 0).await;
    edge.get("/a.css").await;
    until_hit(&edge, "/a.css").await;
    origin.set("/a.css", Reply::status(503, "down"));
    at(&edge, 20).await;
    assert_eq!(edge.get("/a.css").await.text(), STYLE);
    at(&edge, 700).await;
    let late = edge.get("/a.css").await;
    assert_eq!((late.status.as_u16(), late.text().as_str()), (503, "down"));
}

#[tokio::test]
async fn while_it_is_validated_in_the_background_a_stale_response_is_served_at_once() {
    let reply = style().header("cache-control", "max-age=10, stale-while-revalidate=30");
    let origin = Origin::with("/a.css", reply).await;
    let edge = start(&origin).await;
    at(&edge, 0).await;
    edge.get("/a.css").await;
    until_hit(&edge, "/a.css").await;
    let gate = Gate::closed();
    origin.set("/a.css", Reply::ok("text/css", "new").max_age(100).behind(&gate));
    at(&edge, 20).await;
    let answers = join_all((0..20).map(|_| edge.get("/a.css").into_future())).await;
    for answer in &answers {
        assert_eq!(answer.text(), STYLE);
        assert!(answer.field("cache-status").contains("hit; ttl=-"), "{answer:?}");
        assert_ne!(answer.field("age"), "0");
    }
    until("it is validated", async || origin.count("/a.css") == 2).await;
    gate.open();
    until("the new one is there", async || edge.get("/a.css").await.text() == "new").await;
    assert_eq!(origin.count("/a.css"), 2);
}

#[tokio::test]
async fn what_may_not_be_kept_is_asked_for_each_time() {
    let origin = Origin::start().await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for (path, reply) in [
        ("/none", Reply::ok("text/css", STYLE)),
        ("/no-store", style().header("cache-control", "no-store, max-age=60")),
        ("/private", style().header("cache-control", "private, max-age=60")),
        ("/cookie", style().max_age(60).header("set-cookie", "a=b")),
        ("/star", style().max_age(60).header("vary", "*")),
    ] {
        origin.set(path, reply);
        for count in 1..=3 {
            assert_eq!(edge.get(path).await.text(), STYLE, "{path}");
            assert_eq!(origin.count(path), count, "{path}");
        }
    }
    origin.set("/own", style().max_age(60));
    for count in 1..=2 {
        edge.get("/own").header("authorization", "Basic x").await;
        assert_eq!(origin.count("/own"), count);
    }
}

#[tokio::test]
async fn what_breaks_off_is_never_stored() {
    let origin = Origin::with("/a.css", Reply::of(Content::Cut(STYLE.into(), 1_000)).max_age(600)).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let broken = edge.get("/a.css").attempt().await;
    assert!(broken.is_none_or(|answer| answer.status == StatusCode::BAD_GATEWAY));
    origin.set("/a.css", style().max_age(600));
    until("it is asked for again", async || edge.get("/a.css").attempt().await.is_some_and(|a| a.text() == STYLE))
        .await;
}

#[tokio::test]
async fn a_large_response_streams_while_it_is_stored_and_survives_a_restart() {
    let (first, second) = (bytes(1 << 20), bytes(2 << 20));
    let gate = Gate::closed();
    let whole: Bytes = [&first[..], &second[..]].concat().into();
    let reply = Reply::of(Content::Gated(first.clone(), gate.clone(), second)).max_age(600).header("etag", "\"big\"");
    let origin = Origin::with("/font.woff2", reply).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let head = format!("GET /font.woff2 HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    let mut raw = Raw::send(edge.http, &head).await;
    raw.read_until(|bytes| bytes.len() > first.len()).await;
    gate.open();
    // To its end: who takes nothing more would hold up the stop.
    raw.read_until(|bytes| bytes.ends_with(&whole[whole.len() - 100..])).await;
    until_hit(&edge, "/font.woff2").await;
    until("it is on disk", async || !disk::entries_with(&edge.data_dir(), &whole[whole.len() - 100..]).is_empty())
        .await;
    let edge = edge.restart(Ending::Stopped).await;
    let hit = until_hit(&edge, "/font.woff2").await;
    assert_eq!((&hit.body, hit.etag().as_str()), (&whole, "\"big\""));
    let part = edge.get("/font.woff2").header("range", "bytes=2097152-2097161").await;
    assert_eq!((part.status.as_u16(), &part.body[..]), (206, &whole[2_097_152..2_097_162]));
    assert_eq!(origin.count("/font.woff2"), 1);
}

#[tokio::test]
async fn a_response_over_the_limit_streams_and_is_not_stored() {
    let body = bytes(300 << 10);
    let chunks: Vec<Bytes> = body.chunks(64 << 10).map(Bytes::copy_from_slice).collect();
    let origin = Origin::with("/long", Reply::of(Content::Whole(body.clone())).max_age(600)).await;
    origin.set("/endless", Reply::of(Content::Chunked(chunks)).max_age(600));
    let edge = Edge::start(Setup::of(&origin).set("origin.max_body_bytes", "'128KiB'")).await;
    for path in ["/long", "/endless"] {
        for count in 1..=2 {
            assert_eq!(edge.get(path).await.body, body, "{path}");
            assert_eq!(origin.count(path), count, "{path}");
        }
    }
}

#[tokio::test]
async fn a_change_forgets_what_was_stored_and_what_is_on_its_way() {
    let origin = Origin::with("/page", Reply::ok("text/html", "old").max_age(600)).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    edge.get("/page").await;
    until_hit(&edge, "/page").await;
    edge.request(Method::POST, "/page").body("x").await;
    assert_eq!(origin.count("/page"), 2);
    let gate = Gate::closed();
    origin.set("/page", Reply::ok("text/html", "between").max_age(600).behind(&gate));
    let between = async {
        until("it is being fetched", async || origin.count("/page") == 3).await;
        origin.set("/page", Reply::ok("text/html", "new").max_age(600));
        edge.request(Method::PUT, "/page").body("x").await;
        gate.open();
    };
    let (answer, ()) = tokio::join!(edge.get("/page").into_future(), between);
    assert_eq!(answer.text(), "between");
    assert_eq!(edge.get("/page").await.text(), "new", "what was purged on its way was stored");
}

#[tokio::test]
async fn a_failed_change_forgets_nothing() {
    let origin = Origin::with("/page", Reply::ok("text/html", "old").max_age(600)).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    edge.get("/page").await;
    until_hit(&edge, "/page").await;
    origin.set("/page", Reply::status(409, "no"));
    edge.request(Method::DELETE, "/page").await;
    assert_eq!(edge.get("/page").await.text(), "old");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_at_once_are_one_fetch_and_what_cannot_be_shared_goes_in_parallel() {
    let gate = Gate::closed();
    let origin = Origin::with("/a.css", style().max_age(600).behind(&gate)).await;
    origin.set("/mine", style().header("cache-control", "private").behind(&gate));
    let edge = Edge::start(Setup::of(&origin)).await;
    let all = join_all((0..100).map(|_| edge.get("/a.css").into_future()));
    let mine = join_all((0..10).map(|_| edge.get("/mine").into_future()));
    let opened = async {
        edge.until_metric("lightmeter_connections", &[], |open| open >= 110).await;
        until("both have been asked for", async || origin.count("/a.css") + origin.count("/mine") >= 2).await;
        gate.open();
    };
    let (all, mine, ()) = tokio::join!(all, mine, opened);
    assert!(all.iter().chain(&mine).all(|answer| answer.text() == STYLE));
    assert_eq!((origin.count("/a.css"), origin.count("/mine")), (1, 10));
    let gate = Gate::closed();
    origin.set("/mine", style().header("cache-control", "private").behind(&gate));
    let parallel = join_all((0..10).map(|_| edge.get("/mine").into_future()));
    let opened = async {
        until("none of them waits for another", async || origin.count("/mine") == 20).await;
        gate.open();
    };
    let (parallel, ()) = tokio::join!(parallel, opened);
    assert!(parallel.iter().all(|answer| answer.text() == STYLE));
}

#[tokio::test]
async fn a_site_may_have_nothing_cached_that_passes_through() {
    let origin = Origin::with("/a.css", style().max_age(600)).await;
    let edge = Edge::start(Setup::of(&origin).site("passthrough", "'forward'")).await;
    for count in 1..=2 {
        let answer = edge.get("/a.css").await;
        assert!(answer.field("cache-status").starts_with("lightmeter; fwd=bypass"), "{answer:?}");
        assert_eq!(origin.count("/a.css"), count);
    }
}

#[tokio::test]
async fn only_if_cached_never_reaches_the_origin() {
    let origin = Origin::with("/a.css", style().max_age(600)).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let missing = edge.get("/a.css").header("cache-control", "only-if-cached").await;
    assert_eq!((missing.status.as_u16(), origin.count("/a.css")), (504, 0));
    edge.get("/a.css").await;
    until_hit(&edge, "/a.css").await;
    assert_eq!(edge.get("/a.css").header("cache-control", "only-if-cached").await.text(), STYLE);
}

#[tokio::test]
async fn what_passes_through_is_purged_by_url_prefix_key_and_site_hard_or_soft() {
    let origin = Origin::start().await;
    let reply = |text: &str| Reply::ok("text/css", text.to_owned()).max_age(600).header("surrogate-key", "theme x");
    let edge = Edge::start(Setup::of(&origin).set("admin.token", "'the-operators-own-token'")).await;
    for (number, purge) in [
        serde_json::json!({"urls": ["/css/a.css"]}),
        serde_json::json!({"prefixes": ["/css/"]}),
        serde_json::json!({"keys": ["theme"]}),
        serde_json::json!({"everything": true}),
        serde_json::json!({"keys": ["theme"], "mode": "soft"}),
    ]
    .into_iter()
    .enumerate()
    {
        origin.set("/css/a.css", reply("old"));
        edge.get("/css/a.css").await;
        let old = until_hit(&edge, "/css/a.css").await;
        let (new, count) = (format!("new {number}"), origin.count("/css/a.css"));
        origin.set("/css/a.css", reply(&new));
        assert_eq!(until_hit(&edge, "/css/a.css").await.body, old.body);
        edge.post("/sites/shop/purge", purge.clone()).await.json();
        assert_eq!(edge.get("/css/a.css").await.text(), new, "{purge}");
        assert_eq!(origin.count("/css/a.css"), count + 1, "{purge}");
        edge.post("/sites/shop/purge", serde_json::json!({"everything": true})).await.json();
    }
}

#[tokio::test]
async fn what_is_softly_purged_stands_in_for_an_origin_that_fails() {
    let mut origin = Origin::with("/a.css", style().max_age(600)).await;
    let edge = Edge::start(Setup::of(&origin).set("admin.token", "'the-operators-own-token'")).await;
    edge.get("/a.css").await;
    until_hit(&edge, "/a.css").await;
    edge.post("/sites/shop/purge", serde_json::json!({"urls": ["/a.css"], "mode": "soft"})).await.json();
    origin.stop().await;
    assert_eq!(edge.get("/a.css").await.text(), STYLE);
    edge.post("/sites/shop/purge", serde_json::json!({"urls": ["/a.css"]})).await.json();
    assert_eq!(edge.get("/a.css").await.status, StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn what_is_said_of_one_host_of_a_site_is_not_shown_on_another() {
    let origin = Origin::with("/page", Reply::ok("text/html", "one").max_age(600)).await;
    let edge = Edge::start(Setup::empty().with_site("shop", &["*"], &origin.url())).await;
    edge.get("/page").host("one.test").await;
    assert_eq!(origin.last("/page").field("x-forwarded-host"), "one.test");
    until("it is kept", async || edge.get("/page").host("one.test").await.is_hit()).await;
    origin.set("/page", Reply::ok("text/html", "two").max_age(600));
    assert_eq!(edge.get("/page").host("two.test").await.text(), "two");
    assert_eq!(edge.get("/page").host("one.test").await.text(), "one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_for_one_visitor_is_never_given_to_another_who_waited() {
    let origin = Origin::start().await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for (number, control) in
        ["private", "no-cache", "no-store", "max-age=0", "public, max-age=0"].into_iter().enumerate()
    {
        let path = format!("/account/{number}");
        let page = |text: &str| {
            Reply::ok("text/html", text.to_owned())
                .header("cache-control", control)
                .header("etag", &format!("\"{}\"", text.len()))
        };
        let gate = Gate::closed();
        origin.set(&path, page("of the first").behind(&gate));
        let first = edge.get(&path).header("cookie", "session=1").into_future();
        let second = async {
            until("the first has asked", async || origin.count(&path) == 1).await;
            origin.set(&path, page("of the second"));
            let second = tokio::spawn(edge.get(&path).header("cookie", "session=2").into_future());
            edge.until_metric("lightmeter_connections", &[], |open| open >= 2).await;
            gate.open();
            second.await.unwrap()
        };
        let (first, second) = tokio::join!(first, second);
        let texts = (first.text(), second.text());
        assert_eq!(texts, ("of the first".into(), "of the second".into()), "{control}: {first:?}, {second:?}");
    }
}

#[tokio::test]
async fn no_visitor_can_take_out_what_the_origin_is_told_of_him() {
    let origin = Origin::with("/page", Reply::ok("text/html", "x").max_age(600).header("vary", "X-Lang")).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    edge.get("/page").header("connection", "x-forwarded-host, x-forwarded-for, x-lang").header("x-lang", "de").await;
    let asked = origin.last("/page");
    assert_eq!((asked.field("x-forwarded-host").as_str(), asked.field("x-lang").as_str()), (HOST, ""));
    assert!(!asked.field("x-forwarded-for").is_empty());
    origin.set("/page", Reply::ok("text/html", "deutsch").max_age(600).header("vary", "X-Lang"));
    assert_eq!(edge.get("/page").header("x-lang", "de").await.text(), "deutsch");
}

#[tokio::test]
async fn a_visitor_evicts_nothing_that_others_share() {
    let reply = style().header("cache-control", "max-age=10, stale-while-revalidate=1000");
    let origin = Origin::with("/a.css", reply).await;
    let edge = start(&origin).await;
    at(&edge, 0).await;
    edge.get("/a.css").await;
    until_hit(&edge, "/a.css").await;
    origin.set("/a.css", not_modified());
    at(&edge, 20).await;
    for (name, value) in [("cache-control", "no-store"), ("cookie", "a=b"), ("authorization", "Basic x")] {
        assert_eq!(edge.get("/a.css").header(name, value).await.text(), STYLE, "{name}");
        assert!(until_hit(&edge, "/a.css").await.field("age").parse::<u64>().is_ok());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_while_a_response_that_varies_is_on_its_way_reads_along() {
    let gate = Gate::closed();
    let reply = Reply::of(Content::Gated("first ".into(), gate.clone(), "second".into())).max_age(600);
    let origin = Origin::with("/a.css", reply.header("vary", "Accept-Encoding")).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let head = format!("GET /a.css HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    let mut first = Raw::send(edge.http, &head).await;
    first.read_until(|bytes| bytes.ends_with(b"first ")).await;
    let late = join_all((0..20).map(|_| edge.get("/a.css").into_future()));
    let opened = async {
        edge.until_metric("lightmeter_connections", &[], |open| open >= 21).await;
        gate.open();
    };
    let (late, ()) = tokio::join!(late, opened);
    assert!(late.iter().all(|answer| answer.text() == "first second"));
    assert_eq!(origin.count("/a.css"), 1);
}

#[tokio::test]
async fn what_breaks_off_takes_nothing_from_what_stands_in_for_it() {
    let origin = Origin::with("/a.css", style().max_age(10)).await;
    let edge = start(&origin).await;
    at(&edge, 0).await;
    edge.get("/a.css").await;
    until_hit(&edge, "/a.css").await;
    let broken = Reply::of(Content::Cut(bytes(40_000), 100_000)).max_age(600).header("vary", "X-Lang");
    origin.set("/a.css", broken.header("date", &made_at(20)));
    at(&edge, 20).await;
    // Whether he has begun to read when it breaks off or not.
    assert!(edge.get("/a.css").attempt().await.is_none_or(|answer| answer.text() == STYLE));
    assert_eq!(edge.get("/a.css").await.text(), STYLE);
}
