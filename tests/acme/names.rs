//! Only names that sites have cost an order, from the moment that they have them to the moment that they have not.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, extract::RawQuery, http::StatusCode, routing::get};
use futures_util::{StreamExt as _, stream};
use reqwest::Method;
use serde_json::json;

use crate::{
    authority::Manner,
    harness::Setup,
    world::{NAME, World},
};

/// What a flood may cost in memory, in MiB: what its connections cost while they are open.
const ROOM_MIB: u64 = 24;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs pebble: make acme"]
async fn a_flood_of_unknown_names_costs_no_order_and_no_memory() {
    let world = World::new().await;
    world.visit(NAME).await.unwrap();
    let roots = world.authority.roots().await;
    let flood = async |range: std::ops::Range<u32>| {
        let visits = stream::iter(range).map(|number| {
            let (world, roots) = (&world, &roots);
            async move { world.visit_trusting(&format!("name-{number}.shop.test"), roots).await }
        });
        visits.buffer_unordered(32).for_each(async |visit| assert!(visit.is_err())).await;
    };
    flood(0..500).await;
    let before = world.edge.peak_resident_mib();
    flood(500..4_000).await;
    let after = world.edge.peak_resident_mib();
    assert!(after <= before + ROOM_MIB, "{before} MiB became {after} MiB");
    assert_eq!(world.authority.orders(), 1);
    assert_eq!(world.edge.metric("lightmeter_tls_handshakes_total", &[("result", "unknown_name")]).await, 4_000);
    world.visit(NAME).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs pebble: make acme"]
async fn a_name_that_the_api_adds_gets_a_certificate_at_once_and_one_that_it_takes_away_is_refused() {
    let world = World::with(Manner::default(), |setup| setup.account("acme", "free")).await;
    world.visit("new.shop.test").await.unwrap_err();
    let site = json!({
        "id": "new",
        "account": "acme",
        "hosts": ["new.shop.test"],
        "origin": world.origin.url(),
        "allow_private_origin": true,
    });
    world.edge.post("/sites", site).await.json();
    world.visit("new.shop.test").await.unwrap();
    assert_eq!(world.authority.orders(), 1);
    let removed = world.edge.api(Method::DELETE, "/sites/new").await;
    assert!(removed.status.is_success(), "{removed:?}");
    world.visit("new.shop.test").await.unwrap_err();
    assert_eq!(world.edge.metric("lightmeter_acme_certificates", &[]).await, 0);
    assert_eq!(world.authority.orders(), 1);
}

/// Somebody who allows `good.tenants.test` alone, and how often he was asked.
async fn somebody() -> (String, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let answer = move |RawQuery(query): RawQuery| async move {
        count.fetch_add(1, Ordering::SeqCst);
        if query.as_deref() == Some("domain=good.tenants.test") { StatusCode::OK } else { StatusCode::FORBIDDEN }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/ask", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, Router::new().route("/ask", get(answer))).into_future());
    (url, asked)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs pebble: make acme"]
async fn a_name_of_a_pattern_is_ordered_for_only_where_somebody_who_is_asked_allows_it() {
    let (url, asked) = somebody().await;
    let pattern = |setup: Setup| setup.site("hosts", &format!("['{NAME}', '*.tenants.test']"));
    let asking = |setup: Setup| pattern(setup).set("edge.tls.acme.ask", &format!("'{url}'"));
    let world = World::with(Manner::default(), asking).await;
    world.visit("good.tenants.test").await.unwrap();
    for _ in 0..3 {
        world.visit("bad.tenants.test").await.unwrap_err();
    }
    world.visit("bad.elsewhere.test").await.unwrap_err();
    assert_eq!((world.authority.orders(), asked.load(Ordering::SeqCst)), (1, 2));
    let unasked = World::with(Manner::default(), pattern).await;
    unasked.visit("good.tenants.test").await.unwrap_err();
    unasked.visit(NAME).await.unwrap();
    assert_eq!(unasked.authority.orders(), 1);
}
