//! How long what is cached may be used, and what may not be kept at all (RFC 9111).

use reqwest::StatusCode;

use crate::harness::{Answer, CHROMIUM, Edge, Origin, Reply, Setup, pictures, until, until_some};

async fn until_stale(edge: &Edge) -> Answer {
    until_some("it is stale", async || {
        let answer = edge.get("/coffee.jpg").accept(CHROMIUM).await;
        answer.field("cache-status").contains("fwd=stale").then_some(answer)
    })
    .await
}

fn coffee() -> Reply {
    Reply::jpeg(pictures::demo("coffee.jpg"))
}

#[tokio::test]
async fn a_fresh_variant_grows_older_and_is_not_asked_for_again() {
    let origin = Origin::with("/coffee.jpg", coffee().header("cache-control", "max-age=600")).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let first = edge.get("/coffee.jpg").accept(CHROMIUM).await;
    assert_eq!((first.field("age").as_str(), first.max_age()), ("0", Some(600)));
    until("its age grows", async || {
        let later = edge.get("/coffee.jpg").accept(CHROMIUM).await;
        assert!(later.is_hit(), "{later:?}");
        later.field("age").parse::<u64>().unwrap() >= 1
    })
    .await;
    assert_eq!(origin.count("/coffee.jpg"), 1);
}

#[tokio::test]
async fn the_age_that_the_origin_tells_counts() {
    let reply = coffee().header("cache-control", "max-age=600").header("age", "300");
    let origin = Origin::with("/coffee.jpg", reply).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    edge.get("/coffee.jpg").accept(CHROMIUM).await;
    let hit = edge.get("/coffee.jpg").accept(CHROMIUM).await;
    let age: u64 = hit.field("age").parse().unwrap();
    assert!(hit.is_hit() && (300..600).contains(&age), "{hit:?}");
}

#[tokio::test]
async fn an_origin_that_says_nothing_gets_the_sites_lifetime() {
    let origin = Origin::with("/coffee.jpg", coffee()).await;
    let edge = Edge::start(Setup::of(&origin).site("default_ttl", "'123s'")).await;
    let first = edge.get("/coffee.jpg").accept(CHROMIUM).await;
    assert_eq!(first.max_age(), Some(123));
    assert!(edge.get("/coffee.jpg").accept(CHROMIUM).await.is_hit());
}

#[tokio::test]
async fn what_is_stale_is_validated_with_the_origins_tag_and_not_made_again() {
    let reply = coffee().header("cache-control", "max-age=1").header("etag", "\"v1\"");
    let origin = Origin::with("/coffee.jpg", reply).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let first = edge.get("/coffee.jpg").accept(CHROMIUM).await;
    let again = until_stale(&edge).await;
    assert_eq!((&again.body, again.etag()), (&first.body, first.etag()));
    assert_eq!(origin.last("/coffee.jpg").field("if-none-match"), "\"v1\"");
    assert_eq!(edge.encodes().await, 1, "the same original was developed twice");
}

#[tokio::test]
async fn new_content_replaces_the_old_once_it_is_stale() {
    let origin = Origin::with("/coffee.jpg", coffee().header("cache-control", "s-maxage=1, max-age=600")).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let first = edge.get("/coffee.jpg").accept(CHROMIUM).await;
    assert_eq!(first.picture().size(), (600, 400));
    origin.set("/coffee.jpg", Reply::jpeg(pictures::demo("rocket.jpg")).header("cache-control", "max-age=600"));
    let new = until_some("the new picture is served", async || {
        let answer = edge.get("/coffee.jpg").accept(CHROMIUM).await;
        (answer.picture().size() != (600, 400)).then_some(answer)
    })
    .await;
    assert_eq!(new.picture().size(), (640, 427));
    assert_ne!(new.etag(), first.etag());
}

#[tokio::test]
async fn what_may_not_be_kept_is_passed_through_each_time_and_says_why() {
    let table: [(&str, &str, &str); 4] = [
        ("cache-control", "no-store", "no-store"),
        ("cache-control", "private, max-age=600", "private"),
        ("vary", "Cookie", "vary"),
        ("vary", "*", "vary"),
    ];
    let origin = Origin::start().await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let original = pictures::demo("coffee.jpg");
    for (number, (name, value, detail)) in table.into_iter().enumerate() {
        let path = format!("/{number}.jpg");
        origin.set(&path, coffee().header(name, value));
        for _ in 0..2 {
            let answer = edge.get(&path).accept(CHROMIUM).await;
            assert_eq!((answer.status, answer.detail().as_str()), (StatusCode::OK, detail), "{name}: {value}");
            assert_eq!(answer.body, original, "{name}: {value}");
            assert!(answer.field("vary").contains("Accept") || value == "*", "{answer:?}");
            assert!(answer.field(name).contains(value), "{name}: {value} was lost");
        }
        assert_eq!(origin.count(&path), 2, "{name}: {value} was kept");
    }
    assert_eq!(edge.encodes().await, 0);
}

#[tokio::test]
async fn a_cookie_that_comes_with_an_image_is_shown_to_nobody_else() {
    let origin = Origin::start().await;
    for path in ["/coffee.jpg", "/avatar"] {
        origin.set(path, coffee().header("set-cookie", "session=secret"));
    }
    let edge = Edge::start(Setup::of(&origin)).await;
    for _ in 0..2 {
        // Asked for in nobody's name, it is developed without it.
        let image = edge.get("/coffee.jpg").accept(CHROMIUM).await;
        assert_eq!((image.content_type().as_str(), image.has("set-cookie")), ("image/avif", false));
        // Asked for in the visitor's name, it is his alone.
        let own = edge.get("/avatar").accept(CHROMIUM).await;
        assert_eq!((own.field("set-cookie").as_str(), own.detail().as_str()), ("session=secret", "private"));
        assert_eq!(own.body, pictures::demo("coffee.jpg"));
    }
    assert_eq!((origin.count("/coffee.jpg"), origin.count("/avatar")), (1, 2));
}

#[tokio::test]
async fn no_transform_is_kept_and_not_changed() {
    let origin = Origin::with("/coffee.jpg", coffee().header("cache-control", "no-transform, max-age=600")).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for is_hit in [false, true] {
        let answer = edge.get("/coffee.jpg?w=100").accept(CHROMIUM).await;
        assert_eq!((answer.body.clone(), answer.detail().as_str()), (pictures::demo("coffee.jpg"), "no-transform"));
        assert_eq!((answer.is_hit(), answer.field("vary").as_str()), (is_hit, "Accept, Save-Data"));
        assert!(answer.field("cache-control").contains("no-transform"));
        until("it is stored", async || edge.get("/coffee.jpg").await.is_hit()).await;
    }
    assert_eq!((origin.count("/coffee.jpg"), edge.encodes().await), (1, 0));
}

#[tokio::test]
async fn no_cache_is_validated_each_time() {
    let reply = coffee().header("cache-control", "no-cache").header("etag", "\"v1\"");
    let origin = Origin::with("/coffee.jpg", reply).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let first = edge.get("/coffee.jpg").accept(CHROMIUM).await;
    for asked in 2..5 {
        // One that comes while the last answer is being stored shares it.
        until("the origin is asked again", async || {
            let again = edge.get("/coffee.jpg").accept(CHROMIUM).await;
            assert_eq!((again.status, &again.body, again.is_hit()), (StatusCode::OK, &first.body, false));
            origin.count("/coffee.jpg") >= asked
        })
        .await;
    }
    assert_eq!(edge.encodes().await, 1);
}

#[tokio::test]
async fn a_404_stays_a_404_and_is_remembered_for_a_moment() {
    let origin = Origin::with("/gone.jpg", Reply::status(404, "no such picture")).await;
    let edge = Edge::start(Setup::of(&origin).set("origin.not_found_ttl", "'1s'")).await;
    for _ in 0..2 {
        let answer = edge.get("/gone.jpg").accept(CHROMIUM).await;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::NOT_FOUND, "no such picture"));
        assert!(answer.max_age().is_some_and(|seconds| seconds <= 10), "{answer:?}");
    }
    origin.set("/gone.jpg", coffee());
    until("the origin is asked again", async || edge.get("/gone.jpg").await.status.is_success()).await;
}

#[tokio::test]
async fn a_remembered_404_does_not_ask_the_origin() {
    let origin = Origin::with("/gone.jpg", Reply::status(410, "gone")).await;
    let edge = Edge::start(Setup::of(&origin).set("origin.not_found_ttl", "'10m'")).await;
    for query in ["", "?w=10", "?w=20"] {
        assert_eq!(edge.get(&format!("/gone.jpg{query}")).await.status, StatusCode::GONE);
    }
    assert_eq!(origin.count("/gone.jpg"), 1);
}
