//! Originals that cannot be developed: broken, boundless, or not what they are called. They come through as they are.

use bytes::Bytes;
use reqwest::StatusCode;

use crate::harness::{CHROMIUM, Edge, Origin, Reply, Setup, pictures, reply::Content, until};

/// Serves `bytes` on an image path and expects them back as they are, twice, with one question to the origin.
async fn assert_comes_through(name: &str, bytes: &Bytes, detail: &str) {
    let origin = Origin::with("/odd.jpg", Reply::jpeg(bytes.clone()).header("cache-control", "max-age=600")).await;
    let mut edge = Edge::start(Setup::of(&origin)).await;
    for query in ["", "?w=100", ""] {
        let answer = edge.get(&format!("/odd.jpg{query}")).accept(CHROMIUM).await;
        assert_eq!((answer.status, answer.detail().as_str()), (StatusCode::OK, detail), "{name}");
        assert_eq!(&answer.body, bytes, "{name}");
    }
    assert_eq!(origin.count("/odd.jpg"), 1, "{name} was fetched again");
    assert!(edge.is_alive() && edge.get("/odd.jpg").accept(CHROMIUM).await.is_hit(), "{name} was tried again");
    assert_eq!(edge.encodes().await, 0);
}

#[tokio::test]
async fn a_broken_picture_comes_through_and_is_not_tried_again_for_a_while() {
    let photograph = pictures::demo("coffee.jpg");
    let png = pictures::demo("map.png");
    let header_only = photograph.slice(..400);
    let mut damaged = png.to_vec();
    damaged[5_000..6_000].fill(0x55);
    let table = [
        ("a JPEG of which there is only the beginning", header_only),
        ("a PNG with a hole", damaged.into()),
        ("a PNG of which the second half is missing", png.slice(..png.len() / 2)),
        ("a WebP of noise", Bytes::from([&b"RIFF\x20\x4e\0\0WEBPVP8 "[..], &[0xA5; 20_000]].concat())),
        ("an AVIF of nothing", Bytes::from([&b"\0\0\0\x18ftypavif\0\0\0\0avifmif1"[..], &[0; 500]].concat())),
    ];
    for (name, bytes) in table {
        assert_comes_through(name, &bytes, "broken").await;
    }
}

#[tokio::test]
async fn a_header_of_60_000_by_60_000_pixels_comes_through_and_costs_nothing() {
    let bytes = pictures::png_header_of(60_000, 60_000);
    assert_comes_through("a PNG of 3.6 gigapixels", &bytes, "too-large").await;
}

#[tokio::test]
async fn a_boundless_header_takes_no_memory() {
    let origin = Origin::with("/bomb.png", Reply::png(pictures::png_header_of(60_000, 60_000))).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let before = edge.peak_resident_mib();
    for path in ["/bomb.png", "/bomb.png?w=10", "/lm/w=10,f=webp/bomb.png"] {
        assert_eq!(edge.get(path).await.detail(), "too-large");
    }
    let after = edge.peak_resident_mib();
    assert!(after < before + 32, "from {before} to {after} MiB");
}

#[tokio::test]
async fn a_variant_that_would_be_too_large_is_the_original() {
    let origin = Origin::with("/coffee.jpg", Reply::jpeg(pictures::demo("coffee.jpg"))).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let answer = edge.get("/coffee.jpg?w=60000&h=60000&fit=cover").accept(CHROMIUM).await;
    assert_eq!((answer.status, answer.detail().as_str()), (StatusCode::OK, "too-large"));
    assert_eq!(answer.body, pictures::demo("coffee.jpg"));
}

#[tokio::test]
async fn a_verdict_is_forgotten_when_the_original_changes() {
    let origin = Origin::with(
        "/odd.jpg",
        Reply::jpeg(pictures::demo("coffee.jpg").slice(..400)).header("cache-control", "max-age=1"),
    )
    .await;
    let edge = Edge::start(Setup::of(&origin)).await;
    assert_eq!(edge.get("/odd.jpg").accept(CHROMIUM).await.detail(), "broken");
    origin.set("/odd.jpg", Reply::jpeg(pictures::demo("coffee.jpg")));
    until("the mended picture is developed", async || {
        edge.get("/odd.jpg").accept(CHROMIUM).await.content_type() == "image/avif"
    })
    .await;
}

#[tokio::test]
async fn a_page_under_an_image_path_comes_through_as_a_page() {
    let origin = Origin::with("/not.jpg", Reply::ok("text/html", "<p>no picture</p>")).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for path in ["/not.jpg", "/not.jpg?w=10", "/lm/w=10/not.jpg"] {
        let answer = edge.get(path).accept(CHROMIUM).await;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, "<p>no picture</p>"), "{path}");
        assert_eq!((answer.content_type().as_str(), answer.detail().as_str()), ("text/html", "not-image"));
    }
}

#[tokio::test]
async fn an_original_above_the_limit_comes_through_and_is_not_developed() {
    let original = pictures::noise_png(400, 400);
    let origin = Origin::with("/large.png", Reply::png(original.clone())).await;
    origin
        .set("/chunked.png", Reply::of(Content::Chunked(original.chunks(9_999).map(Bytes::copy_from_slice).collect())));
    let edge = Edge::start(Setup::of(&origin).set("origin.max_body_bytes", "'100KiB'")).await;
    for path in ["/large.png", "/chunked.png"] {
        for _ in 0..2 {
            let answer = edge.get(path).accept(CHROMIUM).await;
            assert_eq!((answer.status, answer.detail().as_str()), (StatusCode::OK, "too-large"), "{path}");
            assert_eq!(answer.body, original, "{path}");
        }
    }
    assert_eq!(edge.encodes().await, 0);
}

#[tokio::test]
async fn an_original_in_chunks_without_a_length_is_developed() {
    let original = pictures::demo("coffee.jpg");
    let pieces = original.chunks(1_111).map(Bytes::copy_from_slice).collect();
    let origin = Origin::with("/coffee.jpg", Reply::of(Content::Chunked(pieces))).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let answer = edge.get("/coffee.jpg").accept(CHROMIUM).await;
    crate::harness::assert_looks_like(&answer.picture(), &original);
    assert_eq!(answer.content_type(), "image/avif");
}

#[tokio::test]
async fn an_original_that_comes_packed_is_not_taken_for_its_bytes() {
    let origin =
        Origin::with("/packed.jpg", Reply::jpeg(pictures::demo("coffee.jpg")).header("content-encoding", "br")).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let answer = edge.get("/packed.jpg").accept(CHROMIUM).await;
    assert_eq!((answer.status, answer.field("content-encoding").as_str()), (StatusCode::OK, "br"));
    assert_eq!(answer.body, pictures::demo("coffee.jpg"));
}
