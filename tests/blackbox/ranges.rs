//! Parts of what is passed through, from what is stored whole (RFC 9110, 14). `responses` has the same for variants.

use reqwest::StatusCode;

use crate::harness::{Edge, Origin, Reply, Setup, until};

const TEXT: &str = "0123456789abcdefghijklmnopqrstuvwxyz";

async fn edge_with_text() -> (Origin, Edge) {
    let reply = Reply::ok("text/plain", TEXT).max_age(600).header("etag", "\"v\"");
    let origin = Origin::with("/text", reply.header("last-modified", "Sat, 01 Jan 2022 00:00:00 GMT")).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    assert_eq!(edge.get("/text").await.text(), TEXT);
    until("it is stored", async || edge.get("/text").await.is_shared()).await;
    (origin, edge)
}

#[tokio::test]
async fn a_part_of_what_is_stored_whole_comes_from_the_cache() {
    let (origin, edge) = edge_with_text().await;
    for (range, part, place) in [
        ("bytes=0-3", &TEXT[..4], "bytes 0-3/36"),
        ("bytes=30-", &TEXT[30..], "bytes 30-35/36"),
        ("bytes=-2", &TEXT[34..], "bytes 34-35/36"),
        ("bytes=-99", TEXT, "bytes 0-35/36"),
        ("bytes=33-999", &TEXT[33..], "bytes 33-35/36"),
    ] {
        let answer = edge.get("/text").header("range", range).await;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::PARTIAL_CONTENT, part), "{range}");
        assert_eq!((answer.field("content-range").as_str(), answer.field("etag").as_str()), (place, "\"v\""));
        assert!(answer.is_shared(), "{answer:?}");
    }
    assert_eq!(origin.count("/text"), 1);
}

#[tokio::test]
async fn no_byte_of_it_is_416_and_several_ranges_or_what_cannot_be_read_get_the_whole() {
    let (origin, edge) = edge_with_text().await;
    for range in ["bytes=36-", "bytes=99-100", "bytes=-0"] {
        let answer = edge.get("/text").header("range", range).await;
        assert_eq!(answer.status, StatusCode::RANGE_NOT_SATISFIABLE, "{range}");
        assert_eq!((answer.field("content-range").as_str(), answer.body.len()), ("bytes */36", 0));
    }
    let many = (0..500).map(|number| format!("{number}-")).collect::<Vec<_>>().join(",");
    for range in ["bytes=0-1,3-4", "bytes=9-5", "bytes=x", "lines=1-2", "bytes", &format!("bytes={many}")] {
        let answer = edge.get("/text").header("range", range).await;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, TEXT), "{range}");
    }
    assert_eq!(origin.count("/text"), 1);
}

#[tokio::test]
async fn if_range_holds_for_the_same_bytes_only() {
    let (_origin, edge) = edge_with_text().await;
    for (condition, status) in [
        ("\"v\"", 206),
        ("W/\"v\"", 200),
        ("\"other\"", 200),
        ("Fri, 01 Jan 2021 00:00:00 GMT", 200),
        ("yesterday", 200),
    ] {
        let answer = edge.get("/text").header("range", "bytes=0-3").header("if-range", condition).await;
        assert_eq!(answer.status.as_u16(), status, "{condition}");
    }
}

#[tokio::test]
async fn a_weak_tag_holds_no_range() {
    let origin = Origin::with("/text", Reply::ok("text/plain", TEXT).max_age(600).header("etag", "W/\"v\"")).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    edge.get("/text").await;
    let answer = edge.get("/text").header("range", "bytes=0-3").header("if-range", "W/\"v\"").await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn a_condition_comes_before_a_range() {
    let (_origin, edge) = edge_with_text().await;
    let answer = edge.get("/text").header("range", "bytes=0-3").header("if-none-match", "\"v\"").await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::NOT_MODIFIED, 0));
}

#[tokio::test]
async fn what_a_range_of_something_cold_brings_is_never_taken_for_the_whole() {
    let part = Reply::status(206, "0123").header("content-range", "bytes 0-3/36").max_age(600);
    let origin = Origin::with("/text", part).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let answer = edge.get("/text").header("range", "bytes=0-3").await;
    assert_eq!((answer.status, answer.text().as_str()), (StatusCode::PARTIAL_CONTENT, "0123"));
    origin.set("/text", Reply::ok("text/plain", TEXT).max_age(600));
    assert_eq!(edge.get("/text").await.text(), TEXT);
}
