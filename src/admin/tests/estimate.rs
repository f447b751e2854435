//! What images would cost.

use super::*;
use crate::{
    billing::Component,
    request::{Transform, key::size_names},
    store::VariantCharge,
};

#[tokio::test]
async fn variants_are_told_by_what_is_not_charged_yet() {
    let server = Server::start().await;
    let body = json!({ "site": "shop", "images": [
        { "url": "/a.jpg?w=400" },
        { "url": "https://img.shop.example/a.jpg?width=400", "formats": ["avif", "jpeg"] },
        { "url": "/b.jpg", "formats": ["jpeg"] },
    ] });
    assert_eq!(
        server.done("POST", "/estimate", body.clone()).await,
        json!({
            "site": "shop", "tariff": "variants",
            "credits": { "total": "4", "size": "2", "webp": "1", "avif": "1", "egress": "0" },
            "images": [
                { "url": "/a.jpg?w=400", "credits": "3", "components": ["size", "webp", "avif"] },
                { "url": "https://img.shop.example/a.jpg?width=400", "credits": "0", "components": [] },
                { "url": "/b.jpg", "credits": "1", "components": ["size"] },
            ],
            "available": "7000", "sufficient": true, "shortfall": "0",
        })
    );

    let transform = Transform { width: Some(400), ..Transform::default() };
    let names = size_names("shop", "/a.jpg", &transform, None);
    let charge = VariantCharge {
        site: "shop".parse().unwrap(),
        requested: names.requested,
        pixels: names.pixels,
        components: vec![Component::Size, Component::Avif],
        reference: "/a.jpg".into(),
    };
    server.api.ledger.charge_variants(&[charge], server.api.clock.timestamp()).await.unwrap();
    let after = server.done("POST", "/estimate", body).await;
    assert_eq!(after["images"][0]["components"], json!(["webp"]));
    assert_eq!((&after["credits"]["total"], &after["available"]), (&json!("2"), &json!("6998")));
}

#[tokio::test]
async fn an_estimate_charges_nothing_and_tells_what_is_missing() {
    let server = Server::start().await;
    let urls: Vec<_> = (0..50).map(|number| format!("/{number}.jpg")).collect();
    let body = json!({ "site": "theirs", "urls": urls, "widths": [200, 400], "formats": ["webp"] });
    let told = server.done("POST", "/estimate", body).await;
    assert_eq!((&told["credits"]["total"], &told["shortfall"]), (&json!("200"), &json!("100")));
    assert_eq!(told["sufficient"], false);
    assert_eq!(
        told["images"][1],
        json!({ "url": "/0.jpg", "width": 400, "credits": "2", "components": ["size", "webp"] })
    );
    assert_eq!(server.get("/accounts/other").await.body["balance"]["total"], "100");
    assert_eq!(server.get("/sites/theirs/usage").await.body["series"], json!([]));
}

#[tokio::test]
async fn egress_is_told_by_bytes_and_views() {
    let server = Server::start().await;
    let body = json!({ "site": "big", "images": [{ "url": "/a.jpg", "bytes": 100_000, "views": 125 }] });
    let told = server.done("POST", "/estimate", body).await;
    assert_eq!(told["tariff"], "egress");
    assert_eq!(told["credits"], json!({ "total": "2.5", "size": "0", "webp": "0", "avif": "0", "egress": "2.5" }));
    assert_eq!(told["images"][0]["components"], json!(["egress"]));
    let without = json!({ "site": "big", "images": [{ "url": "/a.jpg" }] });
    let refused = server.ask(OPERATOR, "POST", "/estimate", without).await;
    assert_eq!((refused.status, &refused.body["field"]), (StatusCode::BAD_REQUEST, &json!("images[0].bytes")));
}

#[tokio::test]
async fn on_an_unlimited_plan_only_egress_costs() {
    let server = Server::start().await;
    server.done("PATCH", "/accounts/acme", json!({ "plan": "unlimited" })).await;
    let body = json!({ "site": "shop", "images": [{ "url": "/a.jpg", "bytes": 5_000_000 }] });
    let told = server.done("POST", "/estimate", body).await;
    assert_eq!((&told["tariff"], &told["credits"]["total"]), (&json!("egress"), &json!("1")));
    assert_eq!(server.get("/sites/shop").await.body["tariff"], "variants");
}

#[tokio::test]
async fn what_is_no_image_of_the_site_is_named() {
    let server = Server::start().await;
    for (url, field) in
        [("https://elsewhere.example/a.jpg", "images[1]"), ("/a.jpg?w=wide", "images[1]"), ("a.jpg", "images[1]")]
    {
        let body = json!({ "site": "shop", "images": [{ "url": "/a.jpg" }, { "url": url }] });
        let refused = server.ask(OPERATOR, "POST", "/estimate", body).await;
        assert_eq!((refused.status, &refused.body["field"]), (StatusCode::BAD_REQUEST, &json!(field)), "{url}");
    }
    let nowhere = json!({ "site": "absent", "images": [{ "url": "/a.jpg" }] });
    assert_eq!(server.ask(OPERATOR, "POST", "/estimate", nowhere).await.status, StatusCode::NOT_FOUND);
}
