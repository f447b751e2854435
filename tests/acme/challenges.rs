//! The first handshake orders a certificate, by either challenge; later ones find it.

use futures_util::future::join_all;

use crate::{
    authority::{Asked, Authority, Manner},
    harness::{Setup, ports::free_address, until},
    world::{NAME, World},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs pebble: make acme"]
async fn the_first_handshake_orders_and_the_second_finds_what_it_brought() {
    let world = World::new().await;
    let first = world.visit(NAME).await.unwrap();
    assert_eq!(world.authority.orders(), 1);
    assert_eq!(world.visit(NAME).await.unwrap(), first);
    assert_eq!(world.authority.orders(), 1);
    assert_eq!(world.edge.metric("lightmeter_acme_orders_total", &[("result", "issued")]).await, 1);
    assert_eq!(world.edge.metric("lightmeter_acme_certificates", &[]).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs pebble: make acme"]
async fn fifty_handshakes_at_once_cost_one_order() {
    let world = World::new().await;
    let roots = world.authority.roots().await;
    let visits = join_all((0..50).map(|_| world.visit_trusting(NAME, &roots))).await;
    let first = visits[0].clone().unwrap();
    assert!(visits.iter().all(|visit| visit.as_ref() == Ok(&first)), "{visits:?}");
    assert_eq!(world.authority.orders(), 1);
}

/// Which challenges the authority has seen, as it says in its log.
fn seen(authority: &Authority, challenge: &str) -> bool {
    authority.log().contains(challenge)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs pebble: make acme"]
async fn either_challenge_is_enough() {
    for (challenge, other) in [("http-01", "tls-alpn-01"), ("tls-alpn-01", "http-01")] {
        let change = |setup: Setup| setup.set("edge.tls.acme.challenges", &format!("['{challenge}']"));
        let world = World::with(Manner::default(), change).await;
        world.visit(NAME).await.unwrap();
        let challenged = world.edge.metric("lightmeter_tls_handshakes_total", &[("result", "challenge")]).await;
        assert_eq!(challenged > 0, challenge == "tls-alpn-01", "{challenge}");
        assert!(!seen(&world.authority, &format!("{other} challenge failed")));
        assert_eq!(world.authority.orders(), 1, "{challenge}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs pebble: make acme"]
async fn where_one_challenge_is_not_seen_the_other_one_is_tried_and_tried_first_from_then_on() {
    let mut world = World::with(Manner::default(), |setup| {
        let hosts = format!("['{NAME}', 'second.shop.test']");
        setup.site("hosts", &hosts)
    })
    .await;
    world.authority.stop();
    let nobody = free_address().port();
    let http = world.edge.http.port();
    world.authority.start(Asked { http, https: nobody }).await;
    world.visit(NAME).await.unwrap();
    assert_eq!(world.authority.orders(), 2);
    world.visit("second.shop.test").await.unwrap();
    assert_eq!(world.authority.orders(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs pebble: make acme"]
async fn nonces_that_are_refused_are_replaced() {
    let names: Vec<String> = (0..30).map(|number| format!("{number}.shop.test")).collect();
    let change = |setup: Setup| setup.site("hosts", &format!("{names:?}"));
    let world = World::with(Manner { refused_nonces: 15, ..Manner::default() }, change).await;
    let asked = |what: &str| world.authority.log().matches(what).count();
    // Chance decides which are refused. Each order is asked for once and finished once, but for those.
    for name in &names {
        world.visit(name).await.unwrap();
        if asked("POST /order-plz") + asked("POST /finalize-order") > 2 * world.authority.orders() {
            return;
        }
    }
    panic!("none was refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs pebble: make acme"]
async fn an_external_account_is_named_where_the_authority_wants_one() {
    const KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let manner = || Manner { external_account: Some(("kid-1", KEY)), ..Manner::default() };
    let world = World::with(manner(), |setup| {
        setup.set("edge.tls.acme.eab_key_id", "'kid-1'").set("edge.tls.acme.eab_hmac_key", &format!("'{KEY}'"))
    })
    .await;
    world.visit(NAME).await.unwrap();
    let stranger = World::with(manner(), |setup| setup).await;
    stranger.visit(NAME).await.unwrap_err();
    assert_eq!(stranger.authority.orders(), 0);
    until("the log says why", async || stranger.edge.log().contains("externalAccountRequired")).await;
}
