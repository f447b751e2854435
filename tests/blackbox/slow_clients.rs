//! Clients that take their time: with a head, with a body, with what they read, or with all of it. Each is let go of at its
//! limit, holds nothing at the origin meanwhile, and one that is merely slow is served.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::net::TcpSocket;

use crate::harness::{
    Edge, Gate, Origin, Reply, Setup, pictures,
    raw::{Raw, Stream},
    reply::Content,
    setup::HOST,
    tls::{self, Authority},
    until,
    wait::DEADLINE,
};

const PAUSE: Duration = Duration::from_millis(50);

fn endless() -> Reply {
    Reply::of(Content::Endless(Bytes::from(vec![b'x'; 64 * 1024]))).control("no-store")
}

async fn until_nobody_is_connected(edge: &Edge) {
    edge.until_metric("lightmeter_connections", &[], |open| open == 0).await;
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_not_waited_for() {
    let origin = Origin::start().await;
    let edge = Edge::start(Setup::of(&origin).set("edge.header_timeout", "'500ms'")).await;
    for beginning in ["", "GET / HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n\r\n"] {
        let mut client = Raw::send(edge.http, beginning).await;
        until("it is closed", async || {
            client.write("x").await;
            client.is_closed_within(PAUSE).await
        })
        .await;
    }
    until_nobody_is_connected(&edge).await;
}

#[tokio::test]
async fn a_connection_that_asks_for_nothing_more_after_its_answer_is_closed() {
    let origin = Origin::with("/page", Reply::page("page").max_age(600)).await;
    let edge = Edge::start(Setup::of(&origin).set("edge.header_timeout", "'500ms'")).await;
    let mut client = Raw::send(edge.http, format!("GET /page HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await;
    assert_eq!(client.status().await, 200);
    assert!(client.is_closed_within(DEADLINE).await);
    until_nobody_is_connected(&edge).await;
}

#[tokio::test]
async fn who_reads_nothing_or_next_to_nothing_is_cut_off() {
    let origin = Origin::with("/endless", endless()).await;
    let edge = Edge::start(Setup::of(&origin).set("edge.write_timeout", "'500ms'")).await;
    let request = format!("GET /endless HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let silent = Raw::send(edge.http, &request).await;
    let mut sipping = Raw::send(edge.http, &request).await;
    let mut sips = 0;
    until("both are cut off", async || {
        tokio::time::sleep(PAUSE).await;
        sips += sipping.read_some(10).await;
        edge.metric("lightmeter_connections", &[]).await == 0
    })
    .await;
    assert!(sips > 0, "nothing came");
    drop(silent);
}

#[tokio::test]
async fn who_reads_slowly_but_enough_gets_all() {
    let body = Bytes::from(vec![b'x'; 12 * 1024 * 1024]);
    let origin = Origin::with("/large", Reply::ok("text/plain", body.clone()).control("no-store")).await;
    let edge = Edge::start(Setup::of(&origin).set("edge.write_timeout", "'1s'")).await;
    let mut client =
        Raw::send(edge.http, format!("GET /large HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n")).await;
    let mut received = 0;
    while received < body.len() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        match client.read_some(128 * 1024).await {
            0 => break,
            read => received += read,
        }
    }
    assert!(received > body.len(), "it broke off after {received} bytes");
}

/// Reads all, so many bytes a second; how much came.
async fn read_steadily(mut client: Raw<impl Stream>, bytes_per_second: u128) -> usize {
    let (started, mut received) = (Instant::now(), 0);
    loop {
        // What the clock missed is made up for.
        let due = usize::try_from(started.elapsed().as_micros() * bytes_per_second / 1_000_000).unwrap();
        match due.saturating_sub(received) {
            0 => tokio::time::sleep(Duration::from_millis(10)).await,
            most => match client.read_some(most).await {
                0 => return received,
                read => received += read,
            },
        }
    }
}

#[tokio::test]
async fn who_takes_enough_in_each_span_gets_all_over_tls_too() {
    let body = Bytes::from(vec![b'x'; 400 * 1024]);
    let origin = Origin::with("/large", Reply::ok("text/plain", body.clone()).control("no-store")).await;
    let authority = Authority::new();
    let setup = Setup::of(&origin).set("edge.write_timeout", "'1s'");
    let edge = Edge::start(authority.secure(setup, &[HOST])).await;
    // What the client's system holds is no more than a piece of what it takes in a span.
    let connect = async |address| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(8 * 1024).unwrap();
        socket.connect(address).await.unwrap()
    };
    let head = format!("GET /large HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    let mut plain = Raw::over(connect(edge.http).await);
    let config = Arc::new(authority.client_config(&tls::VERSIONS, &["http/1.1"]));
    let secured = tls::connect_over(connect(edge.https).await, &config, HOST).await;
    let mut secured = Raw::over(secured.unwrap());
    plain.write(&head).await;
    secured.write(&head).await;
    let received = tokio::join!(read_steadily(plain, 96 * 1024), read_steadily(secured, 96 * 1024));
    assert!(received.0 > body.len() && received.1 > body.len(), "broke off after {received:?} bytes");
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_408_and_the_origin_is_never_asked() {
    let origin = Origin::with("/upload", Reply::of(Content::Echo)).await;
    let edge = Edge::start(Setup::of(&origin).set("edge.body_timeout", "'500ms'")).await;
    let head = format!("POST /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 50000\r\n\r\n");
    let mut client = Raw::send(edge.http, head).await;
    for _ in 0..5 {
        client.write("x").await;
        tokio::time::sleep(PAUSE).await;
    }
    assert_eq!(client.status().await, 408);
    assert!(client.is_closed_within(Duration::from_secs(20)).await);
    assert!(origin.asked().is_empty());
    assert_eq!(edge.metric("lightmeter_refused_total", &[("reason", "slow_body")]).await, 1);
}

#[tokio::test]
async fn one_without_a_length_that_comes_too_slowly_is_408_and_lets_go_of_the_origin() {
    let origin = Origin::with("/upload", Reply::page("done").behind(&Gate::closed())).await;
    origin.set("/page", Reply::page("page").control("no-store"));
    // One place at the origin.
    let setup = Setup::of(&origin).set("edge.body_timeout", "'500ms'").set("origin.max_requests", "4");
    let edge = Edge::start(setup).await;
    for beginning in ["", "1\r\nx\r\n"] {
        let head = format!("POST /upload HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n{beginning}");
        let mut client = Raw::send(edge.http, head).await;
        assert_eq!(client.status().await, 408, "{beginning:?}");
        assert!(client.is_closed_within(Duration::from_secs(20)).await);
        assert_eq!(edge.get("/page").await.status, 200);
    }
}

#[tokio::test]
async fn a_body_that_stops_after_its_beginning_is_408_and_lets_go_of_the_origin() {
    let origin = Origin::with("/upload", Reply::of(Content::Echo)).await;
    origin.set("/page", Reply::page("page").control("no-store"));
    // One place at the origin.
    let setup = Setup::of(&origin).set("edge.body_timeout", "'500ms'").set("origin.max_requests", "4");
    let edge = Edge::start(setup).await;
    let mut client =
        Raw::send(edge.http, format!("POST /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 900000\r\n\r\n")).await;
    client.write(vec![b'x'; 100_000]).await;
    // What the origin answered with so far may have been passed on.
    assert!(matches!(client.status().await, 408 | 200));
    assert!(client.is_closed_within(Duration::from_secs(20)).await);
    until("the origin's place is free", async || edge.get("/page").await.status.is_success()).await;
}

#[tokio::test]
async fn a_body_that_comes_slowly_but_steadily_gets_through() {
    let origin = Origin::with("/upload", Reply::of(Content::Echo)).await;
    let edge = Edge::start(Setup::of(&origin).set("edge.body_timeout", "'1s'")).await;
    let (piece, pieces) = (8 * 1024, 24);
    let length = piece * pieces;
    let head =
        format!("POST /upload HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    let mut client = Raw::send(edge.http, head).await;
    for _ in 0..pieces {
        tokio::time::sleep(PAUSE * 2).await;
        client.write(vec![b'x'; piece]).await;
    }
    let answer = client.rest().await;
    assert!(answer.starts_with(b"HTTP/1.1 200") && answer.len() > length, "{} bytes", answer.len());
    assert_eq!(origin.last("/upload").field("content-length"), length.to_string());
}

#[tokio::test]
async fn a_body_that_is_not_wanted_is_not_waited_for() {
    let origin = Origin::with("/coffee.jpg", Reply::jpeg(pictures::small_jpeg(1)).max_age(600)).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let request = format!("GET /coffee.jpg HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 900000\r\n\r\n");
    let mut client = Raw::send(edge.http, request).await;
    assert_eq!(client.status().await, 200);
    assert!(client.is_closed_within(Duration::from_secs(20)).await);
    until_nobody_is_connected(&edge).await;
}

#[tokio::test]
async fn a_request_that_takes_too_long_in_all_is_ended() {
    let origin = Origin::with("/endless", endless()).await;
    origin.set("/never", Reply::page("never").behind(&Gate::closed()));
    let edge = Edge::start(Setup::of(&origin).set("edge.request_timeout", "'1s'")).await;
    assert_eq!(edge.get("/never").await.status, 504);
    assert!(edge.get("/endless").attempt().await.is_none(), "it came to an end by itself");
    assert_eq!(edge.metric("lightmeter_refused_total", &[("reason", "long_request")]).await, 1);
}
