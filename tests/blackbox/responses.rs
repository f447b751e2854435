//! What stands around the bytes: HEAD, conditions, ranges, and the fields that tell clients and caches what they have.

use reqwest::{Method, StatusCode};

use crate::harness::{Answer, CHROMIUM, CURL, Edge, Origin, Reply, Setup, pictures, until_some};

async fn edge_with_coffee() -> (Origin, Edge) {
    let reply = Reply::jpeg(pictures::demo("coffee.jpg")).header("cache-control", "max-age=600");
    let origin = Origin::with("/coffee.jpg", reply).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    (origin, edge)
}

async fn hit(edge: &Edge) -> Answer {
    until_some("it is a hit", async || Some(edge.get("/coffee.jpg").accept(CHROMIUM).await).filter(Answer::is_hit))
        .await
}

#[tokio::test]
async fn a_miss_tells_what_it_took_and_a_hit_that_it_was_one() {
    let (_origin, edge) = edge_with_coffee().await;
    let miss = edge.get("/coffee.jpg").accept(CHROMIUM).await;
    assert_eq!(miss.field("cache-status"), "lightmeter; fwd=uri-miss; detail=avif");
    let timing = miss.field("server-timing");
    for part in ["cache;desc=miss", "format;desc=avif", "origin;dur=", "decode;dur=", "resize;dur=", "encode;dur="] {
        assert!(timing.contains(part), "{part} is not in {timing}");
    }
    let hit = hit(&edge).await;
    let status = hit.field("cache-status");
    assert!(status.starts_with("lightmeter; hit; ttl=") && status.ends_with("; detail=avif"), "{status}");
    assert_eq!(hit.field("server-timing"), "cache;desc=hit, format;desc=avif");
    for answer in [&miss, &hit] {
        assert_eq!(answer.field("x-content-type-options"), "nosniff");
        assert_eq!(
            (answer.field("vary").as_str(), answer.field("accept-ranges").as_str()),
            ("Accept, Save-Data", "bytes")
        );
        assert_eq!((answer.max_age(), answer.field("content-length")), (Some(600), answer.body.len().to_string()));
        assert!(answer.has("date") && answer.has("age") && answer.has("etag"), "{answer:?}");
    }
}

#[tokio::test]
async fn the_type_is_that_of_the_bytes_whatever_the_origin_says() {
    let origin = Origin::with("/odd.jpg", Reply::ok("text/html", pictures::demo("map.png"))).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for (query, content_type) in [("?format=original", "image/png"), ("?format=jpeg", "image/jpeg")] {
        let answer = edge.get(&format!("/odd.jpg{query}")).accept(CURL).await;
        assert_eq!(
            (answer.content_type().as_str(), answer.field("x-content-type-options").as_str()),
            (content_type, "nosniff")
        );
    }
}

#[tokio::test]
async fn what_describes_the_original_does_not_stand_with_a_variant() {
    let reply = Reply::jpeg(pictures::demo("coffee.jpg"))
        .header("etag", "\"origin\"")
        .header("last-modified", "Tue, 01 Jan 2030 00:00:00 GMT")
        .header("content-md5", "Q2hlY2sgSW50ZWdyaXR5IQ==")
        .header("repr-digest", "sha-256=:AAAA:")
        .header("accept-ranges", "none");
    let origin = Origin::with("/coffee.jpg", reply).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let answer = edge.get("/coffee.jpg").accept(CHROMIUM).await;
    assert_ne!(answer.etag(), "\"origin\"");
    assert!(!answer.has("content-md5") && !answer.has("repr-digest"), "{answer:?}");
}

#[tokio::test]
async fn head_is_get_without_the_bytes() {
    let (_origin, edge) = edge_with_coffee().await;
    let before_it_is_cached = edge.request(Method::HEAD, "/coffee.jpg").accept(CHROMIUM).await;
    assert_eq!(
        (before_it_is_cached.status, before_it_is_cached.content_type().as_str()),
        (StatusCode::OK, "image/avif")
    );
    let get = hit(&edge).await;
    let head = edge.request(Method::HEAD, "/coffee.jpg").accept(CHROMIUM).await;
    assert!(head.body.is_empty() && head.is_hit());
    for name in ["content-type", "content-length", "etag", "vary", "cache-control", "accept-ranges"] {
        assert_eq!(head.field(name), get.field(name), "{name}");
        assert_eq!(before_it_is_cached.field(name), get.field(name), "{name} before it was cached");
    }
}

#[tokio::test]
async fn a_client_that_has_it_gets_304() {
    let (_origin, edge) = edge_with_coffee().await;
    let whole = hit(&edge).await;
    let etag = whole.etag();
    for condition in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
        let answer = edge.get("/coffee.jpg").accept(CHROMIUM).header("if-none-match", &condition).await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::NOT_MODIFIED, 0), "{condition}");
        assert_eq!((answer.etag(), answer.field("vary").as_str()), (etag.clone(), "Accept, Save-Data"));
        assert_eq!(answer.max_age(), Some(600));
    }
    for condition in ["\"other\"", etag.trim_matches('"')] {
        let answer = edge.get("/coffee.jpg").accept(CHROMIUM).header("if-none-match", condition).await;
        assert_eq!((answer.status, &answer.body), (StatusCode::OK, &whole.body), "{condition}");
    }
    let other_format = edge.get("/coffee.jpg").accept(CURL).header("if-none-match", &etag).await;
    assert_eq!(other_format.status, StatusCode::OK, "the AVIF's tag is not the JPEG's");
}

#[tokio::test]
async fn one_range_is_served_as_such() {
    let (_origin, edge) = edge_with_coffee().await;
    let whole = hit(&edge).await.body;
    let len = whole.len();
    let table = [
        ("bytes=0-99".to_owned(), 0, 99),
        (format!("bytes={}-", len - 10), len - 10, len - 1),
        ("bytes=-7".to_owned(), len - 7, len - 1),
        ("bytes=5-99999999".to_owned(), 5, len - 1),
    ];
    for (range, first, last) in table {
        let part = edge.get("/coffee.jpg").accept(CHROMIUM).header("range", &range).await;
        assert_eq!(part.status, StatusCode::PARTIAL_CONTENT, "{range}");
        assert_eq!(part.field("content-range"), format!("bytes {first}-{last}/{len}"));
        assert_eq!(part.body, whole.slice(first..=last), "{range}");
        assert_eq!(part.content_type(), "image/avif");
    }
}

#[tokio::test]
async fn a_range_outside_is_416_and_what_is_no_single_range_gets_the_whole() {
    let (_origin, edge) = edge_with_coffee().await;
    let whole = hit(&edge).await.body;
    for range in [format!("bytes={}-", whole.len()), "bytes=-0".to_owned()] {
        let answer = edge.get("/coffee.jpg").accept(CHROMIUM).header("range", &range).await;
        assert_eq!(answer.status, StatusCode::RANGE_NOT_SATISFIABLE, "{range}");
        assert_eq!(answer.field("content-range"), format!("bytes */{}", whole.len()));
        assert!(answer.body.is_empty());
    }
    for range in ["bytes=0-1,5-6", "bytes=9-5", "lines=1-2", "bytes=x-y"] {
        let answer = edge.get("/coffee.jpg").accept(CHROMIUM).header("range", range).await;
        assert_eq!((answer.status, &answer.body), (StatusCode::OK, &whole), "{range}");
    }
}

#[tokio::test]
async fn a_range_holds_only_while_the_bytes_are_the_same() {
    let (_origin, edge) = edge_with_coffee().await;
    let whole = hit(&edge).await;
    let get = || edge.get("/coffee.jpg").accept(CHROMIUM).header("range", "bytes=0-9");
    assert_eq!(get().header("if-range", &whole.etag()).await.status, StatusCode::PARTIAL_CONTENT);
    for other in ["\"other\"", &format!("W/{}", whole.etag()), "Tue, 01 Jan 2030 00:00:00 GMT"] {
        assert_eq!(get().header("if-range", other).await.status, StatusCode::OK, "{other}");
    }
}

#[tokio::test]
async fn an_image_is_asked_for_in_nobodys_name() {
    let (origin, edge) = edge_with_coffee().await;
    edge.get("/coffee.jpg")
        .accept(CHROMIUM)
        .header("cookie", "session=secret")
        .header("authorization", "Bearer secret")
        .header("range", "bytes=0-9")
        .header("if-none-match", "\"x\"")
        .header("x-forwarded-host", "evil.test")
        .header("cdn-loop", "other")
        .await;
    let asked = origin.last("/coffee.jpg");
    assert_eq!(asked.method, "GET");
    assert_eq!((asked.field("accept-encoding").as_str(), asked.field("via").as_str()), ("identity", "1.1 lightmeter"));
    assert!(asked.field("cdn-loop").contains("lightmeter"));
    assert_eq!(asked.field("host"), origin.address.to_string());
    for name in ["cookie", "authorization", "range", "if-none-match", "x-forwarded-host"] {
        assert!(!asked.headers.contains_key(name), "{name} reached the origin: {asked:?}");
    }
}
