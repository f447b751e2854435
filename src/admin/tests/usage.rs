//! What sites used.

use super::*;
use crate::{
    billing::Component,
    store::{Counted, VariantCharge},
};

async fn deliver(server: &Server, name: u8, components: &[Component]) {
    let charge = VariantCharge {
        site: "shop".parse().unwrap(),
        requested: [name; 16],
        pixels: [name; 16],
        components: components.to_vec(),
        reference: "/a.jpg".into(),
    };
    let charged = server.api.ledger.charge_variants(&[charge], server.api.clock.timestamp()).await.unwrap();
    charged[0].as_ref().unwrap();
}

#[tokio::test]
async fn a_sites_usage_is_shown_for_its_period_by_days() {
    let server = Server::start().await;
    deliver(&server, 1, &[Component::Size, Component::Avif]).await;
    server.api.clock.set(NOW.plus(std::time::Duration::from_secs(86_400))).unwrap();
    deliver(&server, 1, &[Component::Size, Component::Webp]).await;
    let counted =
        Counted { site: "shop".parse().unwrap(), egress_bytes: 1_000, requests: 7, saved_bytes: 500, recent_bytes: 0 };
    server.api.ledger.post("node", &[counted], server.api.clock.timestamp()).await.unwrap();

    let credits = |size: &str, webp: &str, avif: &str, total: &str| json!({ "total": total, "size": size, "webp": webp, "avif": avif, "egress": "0" });
    assert_eq!(
        server.get("/sites/shop/usage").await.body,
        json!({
            "site": "shop", "from": "2026-03-01T00:00:00Z", "to": "2026-04-01T00:00:00Z",
            "credits": credits("1", "1", "1", "3"),
            "written_off": "0", "egress_bytes": 1_000, "requests": 7, "saved_bytes": 500,
            "series": [
                {
                    "at": "2026-03-01T00:00:00Z", "credits": credits("1", "0", "1", "2"),
                    "written_off": "0", "egress_bytes": 0, "requests": 0, "saved_bytes": 0,
                },
                {
                    "at": "2026-03-02T00:00:00Z", "credits": credits("0", "1", "0", "1"),
                    "written_off": "0", "egress_bytes": 1_000, "requests": 7, "saved_bytes": 500,
                },
            ],
        })
    );
    let months = server.get("/sites/shop/usage?step=month").await.body;
    assert_eq!(months["series"].as_array().unwrap().len(), 1);
    let second = server.get("/sites/shop/usage?from=2026-03-02T00:00:00Z&step=hour").await.body;
    assert_eq!(
        (&second["credits"]["total"], &second["series"][0]["at"]),
        (&json!("1"), &json!("2026-03-02T00:00:00Z"))
    );
}

#[tokio::test]
async fn egress_is_shown_in_credits_and_bytes() {
    let server = Server::start().await;
    let site = "big".parse().unwrap();
    let counted = Counted { site, egress_bytes: 12_500_000, requests: 2, saved_bytes: 0, recent_bytes: 0 };
    server.api.ledger.post("node", &[counted], server.api.clock.timestamp()).await.unwrap();
    let usage = server.get("/sites/big/usage").await.body;
    assert_eq!(usage["credits"], json!({ "total": "2.5", "size": "0", "webp": "0", "avif": "0", "egress": "2.5" }));
    assert_eq!(usage["egress_bytes"], 12_500_000);
}

#[tokio::test]
async fn a_span_that_ends_before_it_begins_or_has_too_many_steps_is_refused() {
    let server = Server::start().await;
    for (query, field) in [
        ("from=2026-05-01T00:00:00Z", "from"),
        ("from=2026-03-02T00:00:00Z&to=2026-03-02T00:00:00Z", "from"),
        ("from=2020-01-01T00:00:00Z&step=hour", "step"),
    ] {
        let answer = server.get(&format!("/sites/shop/usage?{query}")).await;
        assert_eq!((answer.status, &answer.body["field"]), (StatusCode::BAD_REQUEST, &json!(field)), "{query}");
    }
    assert_eq!(server.get("/sites/absent/usage").await.status, StatusCode::NOT_FOUND);
}
