//! Ten thousand who want the same cold thing at once: one fetch, all answered, and memory for the thing once.

use bytes::Bytes;
use futures_util::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use reqwest::{Client, Method};

use crate::harness::{
    Edge, Gate, Origin, Reply, Setup, pictures,
    request::{Request, new_client_h2},
    until,
};

/// Connections, and requests under way on each: fewer than the edge allows, so that all are under way at once.
const CONNECTIONS: usize = 80;
const REQUESTS: usize = 125;

/// Half of what a body for each would be. Without optimization, what a request waits in takes 35 KiB.
const ALLOWED_MIB: u64 = 500;

async fn assert_one_fetch_serves_all(path: &str, reply: Reply, len: usize) {
    let gate = Gate::closed();
    let origin = Origin::with(path, reply.max_age(600).behind(&gate)).await;
    let edge =
        Edge::start(Setup::empty().set("log.access", "false").with_site("shop", &["127.0.0.1"], &origin.url())).await;
    let clients: Vec<Client> = (0..CONNECTIONS).map(|_| new_client_h2()).collect();
    let ask = |client: &Client, path: &str| Request::new(client, Method::GET, &format!("http://{}{path}", edge.http));
    // Each connection is there before it carries many.
    assert!(join_all(clients.iter().map(|client| ask(client, "/first").into_future())).await.len() == CONNECTIONS);
    let before = edge.peak_resident_mib();

    let waiting: FuturesUnordered<_> = clients
        .iter()
        .flat_map(|client| (0..REQUESTS).map(|_| tokio::spawn(ask(client, path).into_future())))
        .collect();
    until("the origin is asked", async || origin.count(path) == 1).await;
    // A connection's requests arrive in order: when its next one is answered, all of them wait.
    let next = clients.iter().map(|client| ask(client, "/next").into_future());
    assert_eq!(join_all(next).await.len(), CONNECTIONS);
    gate.open();

    let mut first: Option<Bytes> = None;
    let mut served = 0;
    let mut answers = waiting;
    while let Some(answer) = answers.next().await {
        let answer = answer.unwrap();
        assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
        assert_eq!(first.get_or_insert_with(|| answer.body.clone()), &answer.body);
        served += 1;
    }
    assert_eq!((served, first.unwrap().len() >= len), (CONNECTIONS * REQUESTS, true));
    assert_eq!(origin.count(path), 1);
    let after = edge.peak_resident_mib();
    println!("{path}: from {before} to {after} MiB with {served} waiting");
    assert!(after < before + ALLOWED_MIB, "from {before} to {after} MiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_who_want_a_cold_page_are_one_fetch() {
    let body = Bytes::from(vec![b'x'; 100_000]);
    assert_one_fetch_serves_all("/page", Reply::ok("text/plain", body), 100_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_who_want_a_cold_image_are_one_fetch() {
    assert_one_fetch_serves_all("/coffee.jpg", Reply::jpeg(pictures::demo("coffee.jpg")), 1000).await;
}
