//! Kills, an authority that is away, and files that are damaged.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use reqwest::Method;
use serde_json::json;

use crate::{
    authority::{Asked, Manner},
    harness::{Setup, setup::TOKEN, until},
    world::{NAME, World},
};

const SECOND: &str = "second.shop.test";

fn two_names(setup: Setup) -> Setup {
    setup.site("hosts", &format!("['{NAME}', '{SECOND}']"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs pebble: make acme"]
async fn killed_during_an_order_it_orders_again_after_the_next_start_and_shows_what_it_had() {
    let mut world = World::with(Manner::default(), two_names).await;
    let roots = world.authority.roots().await;
    let first = world.visit(NAME).await.unwrap();
    let paused = world.authority.pause_names();
    {
        let waiting = world.visit_trusting(SECOND, &roots);
        let posted = world.store().join("challenges").join(format!("{SECOND}.pem"));
        tokio::select! {
            visit = waiting => panic!("the order was over before the kill: {visit:?}"),
            () = until("the challenge is shown", async || posted.exists()) => {}
        }
    }
    world.edge.kill_and_start().await;
    drop(paused);
    assert_eq!(world.visit(NAME).await.unwrap(), first, "what was there is there");
    world.visit(SECOND).await.unwrap();
    assert_eq!(world.authority.orders(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs pebble: make acme"]
async fn while_the_authority_is_away_what_is_there_is_shown_and_the_rest_comes_after_a_rest() {
    let setup = |setup| two_names(setup).set("dev.test_clock", "true").set("admin.token", &format!("'{TOKEN}'"));
    let mut world = World::with(Manner::default(), setup).await;
    let roots = world.authority.roots().await;
    let first = world.visit(NAME).await.unwrap();
    world.authority.stop();
    for _ in 0..3 {
        world.visit_trusting(SECOND, &roots).await.unwrap_err();
        assert_eq!(world.visit_trusting(NAME, &roots).await.unwrap(), first);
    }
    let failed = async || world.edge.metric("lightmeter_acme_orders_total", &[("result", "failed")]).await;
    assert_eq!(failed().await, 1, "it is not tried again at once");
    let asked = Asked { http: world.edge.http.port(), https: world.https.port() };
    world.authority.start(asked).await;
    world.visit(SECOND).await.unwrap_err();
    assert_eq!((failed().await, world.authority.orders()), (1, 1));
    world.edge.pass(60).await;
    world.visit(SECOND).await.unwrap();
    assert_eq!(world.visit_trusting(NAME, &roots).await.unwrap(), first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs pebble: make acme"]
async fn what_is_due_while_the_authority_is_away_is_shown_on_and_renewed_when_it_is_back() {
    let setup = |setup: Setup| setup.set("dev.test_clock", "true").set("admin.token", &format!("'{TOKEN}'"));
    let mut world = World::with(Manner { validity_seconds: Some(90 * 86_400), ..Manner::default() }, setup).await;
    let roots = world.authority.roots().await;
    let first = world.visit(NAME).await.unwrap();
    world.authority.stop();
    world.edge.pass(89 * 86_400).await;
    let failed = [("result", "failed")];
    world.edge.until_metric("lightmeter_acme_orders_total", &failed, |count| count == 1).await;
    assert_eq!(world.visit_trusting(NAME, &roots).await.unwrap(), first);
    // A day later it has expired by the edge's clock, and is still the best that there is.
    world.edge.pass(2 * 86_400).await;
    world.edge.until_metric("lightmeter_acme_orders_total", &failed, |count| count == 2).await;
    assert_eq!(world.visit_trusting(NAME, &roots).await.unwrap(), first);
    let asked = Asked { http: world.edge.http.port(), https: world.https.port() };
    world.authority.start(asked).await;
    world.edge.pass(6 * 3_600).await;
    let issued = [("result", "issued")];
    world.edge.until_metric("lightmeter_acme_orders_total", &issued, |count| count == 2).await;
    assert_ne!(world.visit(NAME).await.unwrap(), first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs pebble: make acme"]
async fn a_damaged_file_is_ordered_anew_and_a_whole_one_is_shown_after_a_restart() {
    let mut world = World::with(Manner::default(), two_names).await;
    let kept = world.visit(NAME).await.unwrap();
    let lost = world.visit(SECOND).await.unwrap();
    let file = world.store().join(format!("{SECOND}.pem"));
    let whole = fs::read(&file).unwrap();
    world.edge.kill();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    world.edge.kill_and_start().await;
    assert_eq!(world.visit(NAME).await.unwrap(), kept);
    assert_ne!(world.visit(SECOND).await.unwrap(), lost);
    assert_eq!(world.authority.orders(), 3);
    assert!(fs::read(&file).unwrap().len() > whole.len() / 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs pebble: make acme"]
async fn an_account_that_the_authority_has_lost_or_a_file_that_is_damaged_becomes_another_one() {
    let mut world = World::with(Manner::default(), |setup| {
        setup.site("hosts", &format!("['{NAME}', '{SECOND}', 'third.shop.test', 'fourth.shop.test']"))
    })
    .await;
    world.visit(NAME).await.unwrap();
    world.authority.stop();
    let asked = Asked { http: world.edge.http.port(), https: world.https.port() };
    world.authority.start(asked).await;
    world.visit(SECOND).await.unwrap();
    let file = world.store().join("account.json");
    let mut with_another_key: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    with_another_key["key_pkcs8"] = json!("AAAA");
    for (damaged, name) in [("{", "third.shop.test"), (&with_another_key.to_string(), "fourth.shop.test")] {
        fs::write(&file, damaged).unwrap();
        world.edge.kill_and_start().await;
        world.visit(name).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs pebble: make acme"]
async fn a_kept_certificate_that_is_due_is_shown_while_the_authority_is_away() {
    let setup = |setup: Setup| {
        let setup = setup.set("dev.test_clock", "true").set("admin.token", &format!("'{TOKEN}'"));
        setup.account("acme", "free")
    };
    let mut world = World::with(Manner { validity_seconds: Some(90 * 86_400), ..Manner::default() }, setup).await;
    let (roots, name) = (world.authority.roots().await, "moved.shop.test");
    let site = |id: &str| {
        let origin = world.origin.url();
        json!({ "id": id, "account": "acme", "hosts": [name], "origin": origin, "allow_private_origin": true })
    };
    world.edge.post("/sites", site("one")).await.json();
    let first = world.visit(name).await.unwrap();
    assert!(world.edge.api(Method::DELETE, "/sites/one").await.status.is_success());
    let other = site("other");
    world.authority.stop();
    world.edge.pass(80 * 86_400).await;
    world.edge.post("/sites", other).await.json();
    assert_eq!(world.visit_trusting(name, &roots).await.unwrap(), first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs pebble: make acme"]
async fn what_is_kept_is_for_the_server_alone() {
    let world = World::new().await;
    world.visit(NAME).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let files: Vec<_> = fs::read_dir(world.store()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.iter().any(|file| file.ends_with(format!("{NAME}.pem"))), "{files:?}");
    for file in files {
        let wanted = if file.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&file), wanted, "{}", file.display());
    }
    assert_eq!(mode(&world.edge.data_dir().join("certificates")), 0o700);
}
