//! The `variants` tariff (`billing.md` rules 3, 4, 6): what is charged, once, and what is not.

use reqwest::Method;

use crate::harness::{
    CHROMIUM, CURL, Edge, Origin, Reply, SAFARI_15, Setup, api::number, edge::Ending, pictures, pictures::Scan,
};

async fn shop() -> (Origin, Edge) {
    let origin = Origin::with("/coffee.jpg", Reply::jpeg(pictures::demo("coffee.jpg")).max_age(86_400)).await;
    let edge = Edge::start(Setup::paid(&origin, "variants")).await;
    (origin, edge)
}

async fn spent(edge: &Edge) -> (f64, f64, f64, f64) {
    let credits = edge.usage("shop").await["credits"].clone();
    (number(&credits["total"]), number(&credits["size"]), number(&credits["webp"]), number(&credits["avif"]))
}

#[tokio::test]
async fn a_size_costs_one_credit_and_one_for_each_format_it_is_delivered_in() {
    let (_origin, edge) = shop().await;
    for _ in 0..3 {
        assert_eq!(edge.get("/coffee.jpg?w=200").accept(CHROMIUM).await.content_type(), "image/avif");
    }
    assert_eq!(spent(&edge).await, (2.0, 1.0, 0.0, 1.0));
    assert_eq!(edge.get("/coffee.jpg?w=200").accept(SAFARI_15).await.content_type(), "image/webp");
    assert_eq!(spent(&edge).await, (3.0, 1.0, 1.0, 1.0));
    // Three at most: a JPEG of the same size is no more.
    assert_eq!(edge.get("/coffee.jpg?w=200").accept(CURL).await.content_type(), "image/jpeg");
    assert_eq!(spent(&edge).await, (3.0, 1.0, 1.0, 1.0));
    assert_eq!(edge.get("/coffee.jpg?w=100").accept(CURL).await.content_type(), "image/jpeg");
    assert_eq!(spent(&edge).await, (4.0, 2.0, 1.0, 1.0));
    assert_eq!(edge.credits("acme").await, 96.0);
}

#[tokio::test]
async fn what_leads_to_the_same_pixels_is_charged_once() {
    let (_origin, edge) = shop().await;
    for query in ["w=200", "w=100&dpr=2", "width=200", "w=200&fit=contain"] {
        assert_eq!(edge.get(&format!("/coffee.jpg?{query}")).accept(CHROMIUM).await.detail(), "avif");
    }
    assert_eq!(spent(&edge).await.0, 2.0);
    // The picture is 600 pixels wide: both ask for all of it.
    for query in ["?w=5000", "?w=6000", ""] {
        assert_eq!(edge.get(&format!("/coffee.jpg{query}")).accept(CHROMIUM).await.detail(), "avif");
    }
    assert_eq!(spent(&edge).await.0, 4.0);
}

#[tokio::test]
async fn the_same_source_under_its_url_is_the_same_size() {
    let (origin, edge) = shop().await;
    edge.get("/coffee.jpg?w=200").accept(CHROMIUM).await;
    let by_url = edge.get(&format!("/lm/w=200/{}/coffee.jpg", origin.url())).accept(CHROMIUM).await;
    assert_eq!(by_url.detail(), "avif");
    assert_eq!(spent(&edge).await.0, 2.0);
}

#[tokio::test]
async fn the_same_source_under_another_spelling_is_the_same_size() {
    let (origin, edge) = shop().await;
    for spelling in ["/%63offee.jpg", "/c%6Fffee.jpg"] {
        origin.set(spelling, Reply::jpeg(pictures::demo("coffee.jpg")).max_age(86_400));
    }
    for path in ["/coffee.jpg?w=200", "/%63offee.jpg?w=200", "/lm/w=200/c%6Fffee.jpg"] {
        assert_eq!(edge.get(path).accept(CHROMIUM).await.detail(), "avif", "{path}");
    }
    assert_eq!(spent(&edge).await.0, 2.0);
}

#[tokio::test]
async fn what_delivers_nothing_costs_nothing() {
    let (_origin, edge) = shop().await;
    let head = edge.request(Method::HEAD, "/coffee.jpg?w=200").accept(CHROMIUM).await;
    assert_eq!(head.detail(), "avif");
    let not_modified = edge.get("/coffee.jpg?w=200").accept(CHROMIUM).header("if-none-match", &head.etag()).await;
    assert_eq!(not_modified.status, 304);
    let beyond = edge.get("/coffee.jpg?w=200").accept(CHROMIUM).header("range", "bytes=9999999-").await;
    assert_eq!(beyond.status, 416);
    assert_eq!(spent(&edge).await.0, 0.0);
    // A part is a delivery.
    let part = edge.get("/coffee.jpg?w=200").accept(CHROMIUM).header("range", "bytes=0-9").await;
    assert_eq!(part.status, 206);
    assert_eq!(spent(&edge).await.0, 2.0);
}

#[tokio::test]
async fn originals_errors_and_what_is_no_image_cost_nothing() {
    let (origin, edge) = shop().await;
    origin.set("/kept.jpg", Reply::jpeg(pictures::demo("coffee.jpg")).header("cache-control", "no-transform"));
    origin.set("/broken.jpg", Reply::jpeg(&b"\xff\xd8\xff\xe0 not a picture at all"[..]));
    origin.set("/style.css", Reply::ok("text/css", "body { color: red }"));
    for path in ["/kept.jpg", "/broken.jpg", "/style.css", "/missing.jpg"] {
        let answer = edge.get(path).accept(CHROMIUM).await;
        assert!(!["avif", "webp"].contains(&answer.detail().as_str()), "{path}: {answer:?}");
    }
    let as_it_is = edge.get("/coffee.jpg").accept(CHROMIUM).header("cache-control", "no-transform").await;
    assert_eq!(as_it_is.detail(), "no-transform");
    assert_eq!(spent(&edge).await.0, 0.0);
    assert_eq!(edge.credits("acme").await, 100.0);
}

#[tokio::test]
async fn content_that_changes_within_the_window_is_made_anew_and_not_charged_again() {
    let origin = Origin::with("/a.jpg", Reply::jpeg(pictures::jpeg(900, 600, 1, Scan::Baseline)).max_age(60)).await;
    let edge = Edge::start(Setup::paid_at_standing_time(&origin, "variants")).await;
    edge.set_clock("2026-03-10T12:00:00Z").await;
    let first = edge.get("/a.jpg").accept(CHROMIUM).await;
    origin.set("/a.jpg", Reply::jpeg(pictures::jpeg(1_000, 700, 2, Scan::Baseline)).max_age(60));
    edge.set_clock("2026-03-10T13:00:00Z").await;
    let second = edge.get("/a.jpg").accept(CHROMIUM).await;
    assert_ne!(first.etag(), second.etag());
    assert_eq!(second.detail(), "avif");
    assert_eq!(spent(&edge).await, (2.0, 1.0, 0.0, 1.0));
}

#[tokio::test]
async fn neither_a_lost_cache_nor_a_restart_nor_another_origin_charges_again() {
    let (_origin, edge) = shop().await;
    edge.get("/coffee.jpg?w=200").accept(CHROMIUM).await;
    std::fs::remove_dir_all(edge.data_dir().join("cache")).unwrap();
    let edge = edge.restart(Ending::Killed).await;
    assert!(!edge.get("/coffee.jpg?w=200").accept(CHROMIUM).await.is_hit());
    assert_eq!(spent(&edge).await.0, 2.0);
    let moved = Origin::with("/coffee.jpg", Reply::jpeg(pictures::demo("coffee.jpg")).max_age(86_400)).await;
    let edge = edge.restart_with(Ending::Stopped, Setup::paid(&moved, "variants")).await;
    assert!(!edge.get("/coffee.jpg?w=200").accept(CHROMIUM).await.is_hit());
    assert_eq!(moved.count("/coffee.jpg"), 1);
    assert_eq!(spent(&edge).await.0, 2.0);
}

#[tokio::test]
async fn many_at_once_pay_once() {
    let (_origin, edge) = shop().await;
    let views = (0..32).map(|_| edge.get("/coffee.jpg?w=200").accept(CHROMIUM).into_future());
    for answer in futures_util::future::join_all(views).await {
        assert_eq!(answer.detail(), "avif");
    }
    assert_eq!(spent(&edge).await.0, 2.0);
    let transfers = edge.read("/transfers?site=shop").await;
    let reasons: Vec<_> = transfers["items"].as_array().unwrap().iter().map(|item| item["reason"].clone()).collect();
    assert_eq!(reasons, ["avif", "size"]);
}

#[tokio::test]
async fn usage_tells_requests_and_what_was_saved() {
    let (origin, edge) = shop().await;
    let original = pictures::demo("coffee.jpg").len() as u64;
    let first = edge.get("/coffee.jpg").accept(CHROMIUM).await;
    edge.get("/coffee.jpg").accept(CHROMIUM).await;
    edge.get("/coffee.jpg").accept(CHROMIUM).header("cache-control", "no-transform").await;
    let wanted = 2 * (original - first.body.len() as u64);
    crate::harness::until("usage is posted", async || {
        let usage = edge.usage("shop").await;
        usage["requests"] == 3 && usage["saved_bytes"] == wanted && usage["egress_bytes"] == 2 * first.body.len() as u64
    })
    .await;
    assert_eq!(origin.count("/coffee.jpg"), 1);
}

#[tokio::test]
async fn a_site_that_nobody_pays_for_is_optimized_without_end() {
    let origin = Origin::with("/coffee.jpg", Reply::jpeg(pictures::demo("coffee.jpg"))).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for width in 100..104 {
        assert_eq!(edge.get(&format!("/coffee.jpg?w={width}")).accept(CHROMIUM).await.detail(), "avif");
    }
}
