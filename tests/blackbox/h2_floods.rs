//! HTTP/2 in floods: frames that are allowed one by one and a burden by the thousand. The connection that sends them ends, or
//! is held back until it reads; visitors on others are served meanwhile, and memory does not grow.

use std::time::Duration;

use bytes::Bytes;

use crate::harness::{
    CHROMIUM, Edge, Origin, Reply, Setup,
    frames::{
        CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frames, GOAWAY, HEADERS, NO_ERROR,
        PING, PRIORITY, RST_STREAM, SETTINGS, field, frame, get, post, request_fields, rst_stream, window_update,
    },
    pictures::{self, Scan},
    reply::{Content, Gate},
    until,
};

/// Frames sent at once in a flood, and how often.
const BURST: usize = 10_000;
const BURSTS: usize = 20;

/// By how much memory may grow, whatever is sent.
const ALLOWED_MIB: u64 = 48;

async fn edge_with_page() -> (Origin, Edge) {
    let origin = Origin::with("/page", Reply::page("page").max_age(600)).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    assert_eq!(edge.get("/page").await.text(), "page");
    (origin, edge)
}

/// Sends `burst` again and again, until the connection ends or it was often enough; an ordinary visitor looks in between.
async fn flood(edge: &Edge, client: &mut Frames, mut burst: impl FnMut(usize) -> Vec<u8>) {
    let before = edge.peak_resident_mib();
    for number in 0..BURSTS {
        let closed = client.flood(&burst(number), Duration::from_millis(200)).await;
        assert_eq!(edge.get("/page").await.text(), "page");
        if closed {
            break;
        }
    }
    let after = edge.peak_resident_mib();
    assert!(after <= before + ALLOWED_MIB, "memory grew from {before} to {after} MiB");
}

/// The numbers of a burst's streams.
fn streams(burst: usize) -> impl Iterator<Item = u32> {
    let first = u32::try_from(burst * BURST).unwrap();
    (first..first + u32::try_from(BURST).unwrap()).map(|number| 2 * number + 1)
}

/// CVE-2023-44487.
#[tokio::test]
async fn requests_that_are_taken_back_at_once_end_the_connection() {
    let (_origin, edge) = edge_with_page().await;
    let mut client = Frames::connect(edge.http).await;
    let pair = |stream| [get(stream, "/page"), rst_stream(stream, CANCEL)].concat();
    flood(&edge, &mut client, |burst| streams(burst).flat_map(pair).collect()).await;
    assert!(matches!(client.goaway().await, Some(ENHANCE_YOUR_CALM)));
}

/// CVE-2025-8671: the client makes the server reset them.
#[tokio::test]
async fn requests_that_the_server_is_made_to_reset_end_the_connection() {
    let (_origin, edge) = edge_with_page().await;
    let mut client = Frames::connect(edge.http).await;
    let pair = |stream| [post(stream, "/page"), window_update(stream, 0x7fff_ffff)].concat();
    flood(&edge, &mut client, |burst| streams(burst).flat_map(pair).collect()).await;
    assert_eq!(client.goaway().await, Some(ENHANCE_YOUR_CALM));
}

#[tokio::test]
async fn a_head_in_parts_without_end_ends_the_connection() {
    let (_origin, edge) = edge_with_page().await;
    let fields: Vec<u8> =
        (0..300).flat_map(|number| field(&format!("x-{number}"), "0123456789012345678901234567890")).collect();
    for part in [fields, Vec::new()] {
        let mut client = Frames::connect(edge.http).await;
        client.send(frame(HEADERS, END_STREAM, 1, &request_fields("GET", "/page"))).await;
        let burst = frame(CONTINUATION, 0, 1, &part).repeat(if part.is_empty() { BURST } else { 50 });
        flood(&edge, &mut client, |_| burst.clone()).await;
        assert!(client.goaway().await.is_some(), "{} bytes each", part.len());
    }
}

#[tokio::test]
async fn pings_and_settings_that_nobody_reads_the_answers_of_are_held_back() {
    let (_origin, edge) = edge_with_page().await;
    for burst in [frame(PING, 0, 0, &[7; 8]), frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])] {
        let mut client = Frames::connect(edge.http).await;
        let burst = burst.repeat(BURST);
        flood(&edge, &mut client, |_| burst.clone()).await;
    }
}

#[tokio::test]
async fn priorities_and_empty_data_and_unknown_frames_burden_nobody_else() {
    let (_origin, edge) = edge_with_page().await;
    for burst in [
        streams(0).flat_map(|stream| frame(PRIORITY, 0, stream, &[0, 0, 0, 0, 9])).collect::<Vec<u8>>(),
        frame(DATA, 0, 1, &[]).repeat(BURST),
        frame(0x42, 0, 0, &[0; 100]).repeat(BURST),
        window_update(1, 1).repeat(BURST),
    ] {
        let mut client = Frames::connect(edge.http).await;
        client.send(post(1, "/page")).await;
        flood(&edge, &mut client, |_| burst.clone()).await;
    }
}

/// A field of 4,000 bytes in the table, and then a thousand times its number, a byte each.
#[tokio::test]
async fn a_head_that_unpacks_to_far_more_is_refused() {
    let (_origin, edge) = edge_with_page().await;
    let before = edge.peak_resident_mib();
    let mut bomb = request_fields("GET", "/page");
    let mut large = field("x-large", &"x".repeat(3_900));
    // With a place in the table (RFC 7541, 6.2.1).
    large[0] = 0x40;
    bomb.extend(large);
    bomb.extend([0xbe; 10_000]);
    let mut client = Frames::connect(edge.http).await;
    for number in 0..50 {
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &bomb)).await;
        // The field is in the table already, once is enough.
    }
    let refused = client.until(|frame| matches!(frame.kind, RST_STREAM | GOAWAY | HEADERS)).await;
    let refused = refused.expect("nothing was answered");
    assert!(refused.kind != HEADERS || refused.is_too_large(), "{refused:?}");
    assert_eq!(edge.get("/page").await.text(), "page");
    assert!(edge.peak_resident_mib() <= before + ALLOWED_MIB);
}

#[tokio::test]
async fn a_head_larger_than_allowed_is_431_and_the_connection_goes_on() {
    let (_origin, edge) = edge_with_page().await;
    let mut client = Frames::connect(edge.http).await;
    client.send(frame(HEADERS, END_STREAM, 1, &request_fields("GET", "/page"))).await;
    for number in 0..5 {
        let part = field(&format!("x-{number}"), &"x".repeat(15_000));
        client.send(frame(CONTINUATION, if number == 4 { END_HEADERS } else { 0 }, 1, &part)).await;
    }
    let answer = client.until(|frame| frame.stream == 1 || frame.kind == GOAWAY).await.unwrap();
    assert!(answer.is_too_large(), "{answer:?}");
    client.send(get(3, "/page")).await;
    assert_eq!(client.body(3).await, b"page");
}

#[tokio::test]
async fn more_streams_than_agreed_are_refused() {
    let gate = Gate::closed();
    let origin = Origin::with("/slow", Reply::page("slow").behind(&gate).control("no-store")).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let mut client = Frames::connect(edge.http).await;
    let offered = client.until(|frame| frame.kind == SETTINGS && frame.flags == 0).await.unwrap();
    let max = offered.payload.chunks(6).find(|pair| pair[..2] == [0, 3]).expect("no bound is offered");
    let max = u32::from_be_bytes(max[2..].try_into().unwrap());
    for number in 0..=max {
        client.send(get(2 * number + 1, "/slow")).await;
    }
    const REFUSED_STREAM: u32 = 7;
    let refused = client.until(|frame| frame.kind == RST_STREAM).await.unwrap();
    assert_eq!((refused.stream, refused.code()), (2 * max + 1, REFUSED_STREAM));
    gate.open();
    assert_eq!(client.body(1).await, b"slow");
}

#[tokio::test]
async fn a_stream_that_is_given_no_window_is_reset_and_its_origin_let_go() {
    let large = Reply::of(Content::Endless(Bytes::from(vec![b'x'; 64 * 1024]))).control("no-store");
    let origin = Origin::with("/large", large).await;
    origin.set("/page", Reply::page("page").control("no-store"));
    let setup = Setup::of(&origin)
        .set("edge.write_timeout", "'400ms'")
        .set("origin.idle_timeout", "'400ms'")
        .set("origin.max_requests", "8");
    let edge = Edge::start(setup).await;
    let mut client = Frames::connect_with(edge.http, &[(4, 0)]).await;
    // All places that one site has.
    for stream in [1, 3] {
        client.send(get(stream, "/large")).await;
    }
    assert_eq!(client.reset(1).await, Some(CANCEL));
    until("the origin may be asked again", async || edge.get("/page").await.status.is_success()).await;
    assert!(client.is_alive().await);
    edge.until_metric("lightmeter_refused_total", &[("reason", "stalled_stream")], |count| count == 2).await;
}

#[tokio::test]
async fn streams_that_are_given_no_window_keep_nobody_from_what_is_fetched_for_all() {
    let large = pictures::large_jpeg(1500, 1000, 1, Scan::Baseline);
    // Not kept since it may not be, and since it is too large, which is seen on its way.
    let origin = Origin::with("/own.jpg", Reply::jpeg(large.clone()).control("no-store")).await;
    origin.set("/media", Reply::of(Content::Chunked(large.chunks(10_000).map(Bytes::copy_from_slice).collect())));
    origin.set("/a.jpg", Reply::jpeg(pictures::small_jpeg(1)).max_age(600));
    origin.set("/page", Reply::page("page").max_age(600));
    origin.set("/own", Reply::page("own").control("no-store"));
    for path in ["/own.jpg", "/media"] {
        let setup = Setup::of(&origin).set("origin.max_requests", "8").set("origin.max_body_bytes", "'100KiB'");
        let edge = Edge::start(setup.site("first_view", "'always'")).await;
        assert_eq!(edge.get(path).await.body, large, "{path}");
        let mut client = Frames::connect_with(edge.http, &[(4, 0)]).await;
        let busy = async || edge.get("/own").await.status.as_u16() == 503;
        let mut stream = 1;
        until("visitors have all places that are theirs", async || {
            client.send(get(stream, path)).await;
            stream += 2;
            busy().await
        })
        .await;
        assert_eq!(edge.get("/a.jpg").accept(CHROMIUM).await.detail(), "avif", "{path}");
        assert_eq!(edge.get("/page").await.status.as_u16(), 200, "{path}");
        assert!(busy().await, "they were given up meanwhile");
        drop(client);
        until("their places are free", async || edge.get("/own").await.status.is_success()).await;
    }
}

#[tokio::test]
async fn a_stream_whose_window_opens_now_and_then_is_served() {
    let body = "x".repeat(300_000);
    let origin = Origin::with("/page", Reply::page(&body)).await;
    let setup = Setup::of(&origin).set("edge.write_timeout", "'1s'").set("origin.idle_timeout", "'1s'");
    let edge = Edge::start(setup).await;
    let mut client = Frames::connect_with(edge.http, &[(4, 0)]).await;
    client.send([get(1, "/page"), window_update(0, 1_000_000)].concat()).await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        client.send(window_update(1, 30_000)).await;
    }
    assert_eq!(client.body(1).await.len(), body.len());
}

#[tokio::test]
async fn an_idle_connection_is_told_to_go_and_closed() {
    let origin = Origin::with("/page", Reply::page("page")).await;
    let edge = Edge::start(Setup::of(&origin).set("edge.header_timeout", "'500ms'")).await;
    let mut silent = Frames::connect(edge.http).await;
    let mut served = Frames::connect(edge.http).await;
    served.send(get(1, "/page")).await;
    assert_eq!(served.body(1).await, b"page");
    for client in [&mut silent, &mut served] {
        assert_eq!(client.goaway().await, Some(NO_ERROR));
        // It answers nothing that it is asked, and is cut off for that.
        assert!(client.until(|_| false).await.is_none());
    }
    // A head that never ends opens no stream.
    let mut dribble = Frames::connect(edge.http).await;
    dribble.send(frame(HEADERS, END_STREAM, 1, &request_fields("GET", "/page"))).await;
    until("it is closed", async || {
        tokio::time::sleep(Duration::from_millis(50)).await;
        !dribble.send(frame(CONTINUATION, 0, 1, &[])).await
    })
    .await;
}

#[tokio::test]
async fn a_body_may_wait_for_as_long_as_its_origin_takes() {
    let gate = Gate::closed();
    let origin = Origin::with("/page", Reply::page("late").behind(&gate)).await;
    let setup = Setup::of(&origin).set("edge.header_timeout", "'300ms'").set("edge.write_timeout", "'200ms'");
    let edge = Edge::start(setup.set("origin.idle_timeout", "'200ms'")).await;
    let mut client = Frames::connect(edge.http).await;
    client.send(get(1, "/page")).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    gate.open();
    assert_eq!(client.body(1).await, b"late");
}
