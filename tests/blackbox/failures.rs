//! When the origin fails: what is cached is served, what is stale stands in, and what was never there is an error that says
//! which.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::{Method, StatusCode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};

use crate::harness::{
    CHROMIUM, Edge, Gate, Origin, Reply, SAFARI_15, Setup, assert_looks_like, pictures, ports::free_address,
    reply::Content, setup::HOST, until, until_some, wait::DEADLINE,
};

fn coffee() -> Reply {
    Reply::jpeg(pictures::demo("coffee.jpg"))
}

#[tokio::test]
async fn cached_variants_are_served_while_the_origin_is_down_and_new_ones_are_made_of_the_cached_original() {
    let mut origin = Origin::with("/coffee.jpg", coffee().header("cache-control", "max-age=600")).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let first = edge.get("/coffee.jpg").accept(CHROMIUM).await;
    origin.stop().await;
    let second = edge.get("/coffee.jpg").accept(CHROMIUM).await;
    assert!(second.is_hit() && second.body == first.body, "{second:?}");
    let other = edge.get("/coffee.jpg?w=150").accept(SAFARI_15).await;
    assert_eq!((other.picture().format, other.picture().size().0), ("webp", 150));
}

#[tokio::test]
async fn what_is_stale_stands_in_for_an_origin_that_is_down_for_a_moment_only() {
    let mut origin = Origin::with("/coffee.jpg", coffee().header("cache-control", "max-age=1")).await;
    let edge = Edge::start(Setup::of(&origin).site("fallback_ttl", "'1s'")).await;
    let first = edge.get("/coffee.jpg").accept(CHROMIUM).await;
    origin.stop().await;
    let stale = until_some("it is stale", async || {
        let answer = edge.get("/coffee.jpg").accept(CHROMIUM).await;
        answer.field("cache-status").contains("fwd=stale").then_some(answer)
    })
    .await;
    assert_eq!((stale.status, &stale.body), (StatusCode::OK, &first.body));
    assert!(stale.field("age").parse::<u64>().unwrap() >= 1, "{stale:?}");
    assert_eq!(stale.max_age(), Some(1));
    origin.resume().await;
    until("the origin is asked again", async || edge.get("/coffee.jpg").accept(CHROMIUM).await.field("age") == "0")
        .await;
}

#[tokio::test]
async fn what_must_be_validated_does_not_stand_in() {
    let reply = coffee().header("cache-control", "max-age=1, must-revalidate");
    let mut origin = Origin::with("/coffee.jpg", reply).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    edge.get("/coffee.jpg").accept(CHROMIUM).await;
    origin.stop().await;
    until("it is stale and refused", async || edge.get("/coffee.jpg").accept(CHROMIUM).await.status.is_server_error())
        .await;
}

#[tokio::test]
async fn an_origin_that_answers_500_is_bridged_with_what_is_stale() {
    let origin = Origin::with("/coffee.jpg", coffee().header("cache-control", "max-age=1")).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let first = edge.get("/coffee.jpg").accept(CHROMIUM).await;
    origin.set("/coffee.jpg", Reply::status(500, "broken"));
    until("the origin was asked again", async || {
        let answer = edge.get("/coffee.jpg").accept(CHROMIUM).await;
        assert_eq!((answer.status, &answer.body), (StatusCode::OK, &first.body));
        origin.count("/coffee.jpg") > 1
    })
    .await;
}

#[tokio::test]
async fn an_origin_that_is_down_and_never_gave_it_is_a_502() {
    let mut origin = Origin::start().await;
    origin.stop().await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for path in ["/coffee.jpg", "/page.html"] {
        let answer = edge.get(path).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{path}");
        assert!(answer.problem().contains("cannot connect"), "{answer:?}");
        assert_eq!(answer.field("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn an_origin_that_hangs_is_a_504() {
    let never = Gate::closed();
    let origin = Origin::with("/coffee.jpg", coffee().behind(&never)).await;
    origin.set("/page.html", Reply::ok("text/html", "late").behind(&never));
    let edge = Edge::start(Setup::of(&origin).set("origin.first_byte_timeout", "'300ms'")).await;
    for path in ["/coffee.jpg", "/page.html"] {
        let answer = edge.get(path).await;
        assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT, "{path}");
        assert!(answer.problem().contains("timed out"), "{answer:?}");
    }
}

#[tokio::test]
async fn an_original_that_stalls_halfway_is_a_504_and_not_kept() {
    let original = pictures::demo("coffee.jpg");
    let stalled = Content::Stalled(original.slice(..5000), original.len() as u64);
    let origin = Origin::with("/coffee.jpg", Reply::of(stalled)).await;
    let setup = Setup::of(&origin).set("origin.total_timeout", "'500ms'").set("origin.failure_ttl", "'1s'");
    let edge = Edge::start(setup).await;
    assert_eq!(edge.get("/coffee.jpg").await.status, StatusCode::GATEWAY_TIMEOUT);
    origin.set("/coffee.jpg", coffee());
    until("the origin is asked again", async || edge.get("/coffee.jpg").await.status.is_success()).await;
    assert_looks_like(&edge.picture("/coffee.jpg", CHROMIUM).await, &original);
}

#[tokio::test]
async fn an_original_that_breaks_off_is_never_taken_for_whole() {
    let original = pictures::demo("coffee.jpg");
    let cut = Content::Cut(original.slice(..20_000), original.len() as u64);
    let origin = Origin::with("/coffee.jpg", Reply::of(cut)).await;
    let setup = Setup::of(&origin).site("first_view", "'original'").set("origin.failure_ttl", "'1s'");
    let edge = Edge::start(setup).await;
    assert!(edge.get("/coffee.jpg").attempt().await.is_none_or(|answer| !answer.status.is_success()));
    origin.set("/coffee.jpg", coffee());
    let answer = until_some("the origin is asked again", async || {
        edge.get("/coffee.jpg").attempt().await.filter(|answer| answer.status.is_success())
    })
    .await;
    assert_eq!(answer.body, original);
}

#[tokio::test]
async fn a_failure_is_remembered_for_a_moment() {
    let origin = Origin::with("/coffee.jpg", Reply::status(503, "later")).await;
    let edge = Edge::start(Setup::of(&origin).set("origin.failure_ttl", "'10m'")).await;
    for _ in 0..3 {
        assert_eq!(edge.get("/coffee.jpg").await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(origin.count("/coffee.jpg"), 1);
}

#[tokio::test]
async fn an_origin_on_the_same_port_is_used_again_after_it_was_down() {
    let mut origin = Origin::with("/coffee.jpg", coffee()).await;
    let edge = Edge::start(Setup::of(&origin).set("origin.failure_ttl", "'1s'")).await;
    origin.set("/page.html", Reply::ok("text/html", "up"));
    assert_eq!(edge.get("/page.html").await.text(), "up");
    origin.stop().await;
    assert_eq!(edge.get("/page.html").await.status, StatusCode::BAD_GATEWAY);
    assert_eq!(edge.get("/coffee.jpg").await.status, StatusCode::BAD_GATEWAY);
    origin.resume().await;
    assert_eq!(edge.get("/page.html").await.text(), "up");
    until("images come again", async || edge.get("/coffee.jpg").await.status.is_success()).await;
}

/// Which methods an origin was asked for, in order.
type Methods = Arc<Mutex<Vec<String>>>;

/// Answers one request of a connection, which it keeps open, and ends it when the second has come.
async fn answer_once(mut stream: TcpStream, methods: Methods) {
    for answer in [&b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: no-store\r\n\r\npage"[..], b""] {
        let mut head = Vec::new();
        while !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            if !matches!(stream.read_buf(&mut head).await, Ok(1..)) {
                return;
            }
        }
        let method = head.split(|byte| *byte == b' ').next().unwrap();
        methods.lock().unwrap().push(String::from_utf8_lossy(method).into_owned());
        let _ = stream.write_all(answer).await;
    }
}

#[tokio::test]
async fn a_connection_that_ends_unanswered_is_no_failure_where_asking_again_does_no_harm() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, methods) = (format!("http://{}", listener.local_addr().unwrap()), Methods::default());
    let asked = Arc::clone(&methods);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_once(stream, Arc::clone(&asked)));
        }
    });
    let edge = Edge::start(Setup::empty().with_site("shop", &[HOST], &url)).await;
    for _ in 0..3 {
        assert_eq!(edge.get("/page").await.text(), "page");
    }
    // Each connection is used twice: what its end came over was asked once more.
    assert_eq!(methods.lock().unwrap().len(), 5);
    // An order is not placed twice.
    let mut posts = 0;
    until("a POST comes over a connection's end", async || {
        posts += 1;
        edge.request(Method::POST, "/order").await.status == StatusCode::BAD_GATEWAY
    })
    .await;
    assert_eq!(methods.lock().unwrap().iter().filter(|method| *method == "POST").count(), posts);
}

/// An address that never answers: who listens there takes no more connections.
#[tokio::test]
async fn an_origin_that_lets_nobody_connect_is_not_waited_for() {
    let (address, _full) = never_answering().await;
    let setup = Setup::empty().with_site("shop", &[HOST], &format!("http://{address}"));
    // Nothing else may end it: the system itself would try for minutes.
    let setup = setup.set("origin.connect_timeout", "'1s'").set("origin.first_byte_timeout", "'1h'");
    let edge = Edge::start(setup.set("origin.total_timeout", "'1h'")).await;
    for path in ["/page", "/a.jpg"] {
        let answer = timeout(DEADLINE, edge.get(path).into_future()).await.expect("it is waited for");
        assert!(matches!(answer.status.as_u16(), 502 | 504), "{path}: {answer:?}");
    }
}

/// A listener whose line is full, and who stands in it.
async fn never_answering() -> (SocketAddr, (TcpListener, Vec<TcpStream>)) {
    let address = free_address();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(address).unwrap();
    let (listener, mut waiting) = (socket.listen(1).unwrap(), Vec::new());
    while let Ok(connected) = timeout(Duration::from_secs(1), TcpStream::connect(address)).await {
        waiting.push(connected.unwrap());
        assert!(waiting.len() < 100, "the line has no end");
    }
    (address, (listener, waiting))
}
