//! What origins send that is not as it says, or too much of it: never stored as whole, never more than its bound.

use reqwest::StatusCode;

use crate::harness::{Edge, Reply, Setup, Still, reply::Content, until, wire::Wire};

const FRESH: &str = "Cache-Control: max-age=600\r\nContent-Type: text/plain\r\n";

/// Answers whose ends are not where they say.
fn broken_off() -> [(&'static str, String); 5] {
    [
        ("shorter than its length", format!("HTTP/1.1 200 OK\r\n{FRESH}Content-Length: 100\r\n\r\nhalf")),
        (
            "without its last chunk",
            format!("HTTP/1.1 200 OK\r\n{FRESH}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
        ),
        ("cut within a chunk", format!("HTTP/1.1 200 OK\r\n{FRESH}Transfer-Encoding: chunked\r\n\r\n40\r\nhalf")),
        (
            "with a chunk that is no number long",
            format!("HTTP/1.1 200 OK\r\n{FRESH}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nxx\r\n"),
        ),
        ("cut within its head", format!("HTTP/1.1 200 OK\r\n{FRESH}Content-Le")),
    ]
}

/// Asks until the origin has been asked twice: nothing was stored of its first answer.
async fn until_asked_again(wire: &Wire, edge: &Edge) {
    until("the origin is asked again", async || {
        let answer = edge.get("/page").attempt().await;
        assert!(answer.is_none_or(|answer| !answer.is_hit()), "it was stored");
        wire.count() >= 2
    })
    .await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_never_stored() {
    for path in ["/page", "/a.jpg"] {
        for (name, answer) in broken_off() {
            let wire = Wire::with(answer).await;
            let edge = Edge::start(wire.setup().set("origin.failure_ttl", "'0s'")).await;
            let first = edge.get(path).attempt().await;
            assert!(first.is_none_or(|answer| !answer.status.is_success()), "{path}: half was whole, {name}");
            wire.set(format!("HTTP/1.1 200 OK\r\n{FRESH}Content-Length: 5\r\n\r\nwhole"));
            until(&format!("{path} is asked for again after one {name}"), async || {
                let second = edge.get(path).attempt().await;
                second.is_some_and(|answer| answer.status == StatusCode::OK && answer.text() == "whole")
            })
            .await;
        }
    }
}

#[tokio::test]
async fn what_comes_beyond_the_length_is_not_taken_for_another_answer() {
    let smuggled = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nCache-Control: max-age=600\r\n\r\nsmuggled";
    let answer = format!("HTTP/1.1 200 OK\r\n{FRESH}Content-Length: 4\r\n\r\nreal{smuggled}");
    let wire = Wire::with(answer).await;
    let edge = Edge::start(wire.setup()).await;
    for path in ["/one", "/two", "/one", "/two"] {
        assert_eq!(edge.get(path).await.text(), "real", "{path}");
    }
}

#[tokio::test]
async fn an_answer_whose_length_can_be_read_in_two_ways_is_an_error_and_not_stored() {
    for framing in [
        "Content-Length: 4\r\nContent-Length: 5\r\n",
        "Content-Length: 4, 5\r\n",
        "Content-Length: +4\r\n",
        "Content-Length: -4\r\n",
        "Content-Length: 99999999999999999999999999\r\n",
    ] {
        let wire = Wire::with(format!("HTTP/1.1 200 OK\r\n{FRESH}{framing}\r\nhalf")).await;
        let edge = Edge::start(wire.setup().set("origin.failure_ttl", "'0s'")).await;
        until_asked_again(&wire, &edge).await;
    }
}

#[tokio::test]
async fn chunks_count_before_a_length_and_the_length_is_not_stored() {
    let answer = format!(
        "HTTP/1.1 200 OK\r\n{FRESH}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n"
    );
    let wire = Wire::with(answer).await;
    let edge = Edge::start(wire.setup()).await;
    for _ in 0..2 {
        match edge.get("/page").attempt().await {
            Some(answer) if answer.status.is_success() => assert_eq!(answer.text(), "whole"),
            answer => assert!(answer.is_none_or(|answer| answer.status.is_server_error())),
        }
    }
}

#[tokio::test]
async fn what_is_no_answer_is_a_502_and_not_stored() {
    for answer in [
        "",
        "\r\n\r\n",
        "SSH-2.0-OpenSSH_9.6\r\n",
        "HTTP/1.1\r\n\r\n",
        "HTTP/1.1 xyz OK\r\n\r\n",
        "HTTP/1.1 20\r\n\r\n",
    ] {
        let wire = Wire::with(answer).await;
        let edge = Edge::start(wire.setup().set("origin.failure_ttl", "'0s'")).await;
        assert_eq!(edge.get("/page").await.status, StatusCode::BAD_GATEWAY, "{answer:?}");
        wire.set("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole");
        until(&format!("it is asked for again after {answer:?}"), async || edge.get("/page").await.text() == "whole")
            .await;
    }
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_is_whole() {
    let wire = Wire::with(format!("HTTP/1.0 200 OK\r\n{FRESH}\r\nwhole")).await;
    let edge = Edge::start(wire.setup()).await;
    for _ in 0..2 {
        assert_eq!(edge.get("/page").await.text(), "whole");
    }
}

#[tokio::test]
async fn what_comes_before_the_answer_is_not_the_answer() {
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </x.css>; rel=preload\r\nCache-Control: max-age=9999\r\n\r\n";
    let wire = Wire::with(format!("{early}HTTP/1.1 200 OK\r\n{FRESH}Content-Length: 5\r\n\r\nfinal")).await;
    let edge = Edge::start(wire.setup()).await;
    for is_hit in [false, true] {
        let answer = edge.get("/page").await;
        assert_eq!((answer.status, answer.text().as_str(), answer.is_shared()), (StatusCode::OK, "final", is_hit));
        assert!(!answer.has("link") && answer.max_age() == Some(600), "{answer:?}");
    }
}

#[tokio::test]
async fn a_flood_of_fields_is_bounded_and_not_stored() {
    let many: String = (0..2000).map(|number| format!("X-{number}: 1\r\n")).collect();
    let long = format!("X-Long: {}\r\n", "a".repeat(2 << 20));
    for flood in [many, long] {
        let wire = Wire::with(format!("HTTP/1.1 200 OK\r\n{FRESH}{flood}Content-Length: 1\r\n\r\nx")).await;
        let mut edge = Edge::start(wire.setup().set("origin.failure_ttl", "'0s'")).await;
        until_asked_again(&wire, &edge).await;
        assert!(edge.is_alive() && edge.peak_resident_mib() < 200, "{} MiB", edge.peak_resident_mib());
    }
}

#[tokio::test]
async fn a_large_head_goes_through_and_is_not_stored() {
    let still = Still::start(|setup| setup).await;
    let reply = (0..80)
        .fold(Reply::page("x").max_age(600), |reply, number| reply.header(&format!("x-{number}"), &"a".repeat(1000)));
    still.set("/page", reply);
    for asked in 1..=2 {
        let answer = still.get("/page").await;
        assert_eq!((answer.status, answer.field("x-79").len()), (StatusCode::OK, 1000));
        assert_eq!(still.count("/page"), asked, "80 KB of fields are not worth keeping");
    }
}

#[tokio::test]
async fn a_body_above_the_limit_streams_and_is_not_stored() {
    let origin = crate::harness::Origin::start().await;
    let edge = Edge::start(Setup::of(&origin).set("origin.max_body_bytes", "'1MiB'")).await;
    let body = bytes::Bytes::from(vec![b'x'; 3 << 20]);
    origin.set("/told", Reply::ok("text/plain", body.clone()).max_age(600));
    let pieces = body.chunks(1 << 16).map(bytes::Bytes::copy_from_slice).collect();
    origin.set("/untold", Reply::of(Content::Chunked(pieces)).max_age(600));
    for path in ["/told", "/untold"] {
        for asked in 1..=2 {
            let answer = edge.get(path).await;
            assert!(answer.body == body && !answer.is_shared(), "{path}");
            assert_eq!(origin.count(path), asked, "{path}");
        }
    }
    assert!(edge.metric("lightmeter_cache_bytes", &[]).await < 1 << 20);
}

#[tokio::test]
async fn fields_that_cannot_be_read_do_not_stop_the_answer() {
    let fields = "Cache-Control: \u{fffd}\u{1F600}\r\nVary: \u{fffd}\r\nExpires: \u{fffd}\r\nAge: \u{fffd}\r\nDate: \u{fffd}\r\n\
                  ETag: \u{fffd}\r\nCDN-Cache-Control: \u{fffd}\r\nLast-Modified: \u{fffd}\r\n";
    let wire = Wire::with(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 1\r\n\r\nx")).await;
    let edge = Edge::start(wire.setup()).await;
    for asked in 1..=2 {
        let answer = edge.get("/page").await;
        assert_eq!((answer.status, answer.text().as_str(), answer.is_shared()), (StatusCode::OK, "x", false));
        assert_eq!(wire.count(), asked);
    }
}
