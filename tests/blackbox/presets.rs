//! Presets: options by names of the site's own, and sites where nothing else may be asked for.

use reqwest::StatusCode;

use crate::harness::{CHROMIUM, Edge, Origin, Reply, Setup, pictures};

async fn origin() -> Origin {
    Origin::with("/coffee.jpg", Reply::jpeg(pictures::demo("coffee.jpg")).header("cache-control", "max-age=600")).await
}

fn with_presets(setup: Setup) -> Setup {
    setup.site("presets", "{ hero = 'w=120,h=40,fit=cover', small = 'w=50,f=webp' }")
}

#[tokio::test]
async fn a_preset_is_cached_and_charged_as_what_it_stands_for() {
    let origin = origin().await;
    let edge = Edge::start(with_presets(Setup::paid(&origin, "variants"))).await;
    let before = edge.credits("acme").await;
    let hero = edge.get("/coffee.jpg?preset=hero").accept(CHROMIUM).await;
    assert_eq!(hero.picture().size(), (120, 40));
    let charged = before - edge.credits("acme").await;
    assert!(charged > 0.0);
    for same in ["/lm/preset=hero/coffee.jpg", "/coffee.jpg?w=120&h=40&fit=cover", "/coffee.jpg?height=40&preset=hero"]
    {
        let answer = edge.get(same).accept(CHROMIUM).await;
        assert!(answer.is_shared() && answer.body == hero.body, "{same}");
    }
    assert_eq!(before - edge.credits("acme").await, charged, "the same pixels are charged once");
    assert_eq!(origin.last("/coffee.jpg").target, "/coffee.jpg");
}

#[tokio::test]
async fn what_a_request_says_itself_counts_for_more_than_its_preset() {
    let origin = origin().await;
    let edge = Edge::start(with_presets(Setup::of(&origin))).await;
    let answer = edge.get("/coffee.jpg?w=30&preset=small").accept(CHROMIUM).await;
    assert_eq!((answer.picture().size().0, answer.content_type().as_str()), (30, "image/webp"));
    let unknown = edge.get("/coffee.jpg?preset=large").await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
    assert!(unknown.problem().contains("no preset \"large\""), "{}", unknown.problem());
}

#[tokio::test]
async fn where_only_presets_are_allowed_no_other_option_is() {
    let origin = origin().await;
    let edge = Edge::start(with_presets(Setup::of(&origin)).site("presets_only", "true")).await;
    for bad in ["/coffee.jpg?w=100", "/coffee.jpg?preset=hero&q=9", "/lm/w=100/coffee.jpg", "/lm/f=webp/coffee.jpg"] {
        let answer = edge.get(bad).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{bad}");
        assert!(answer.problem().contains("preset=NAME"), "{bad}: {}", answer.problem());
    }
    assert!(origin.asked().is_empty());
    for good in ["/coffee.jpg", "/coffee.jpg?v=3", "/coffee.jpg?preset=hero", "/lm/preset=small/coffee.jpg"] {
        assert_eq!(edge.get(good).accept(CHROMIUM).await.status, StatusCode::OK, "{good}");
    }
    assert_eq!(edge.get("/coffee.jpg").accept(CHROMIUM).await.content_type(), "image/avif");
}

#[tokio::test]
async fn where_there_are_no_presets_the_word_is_the_origins() {
    let origin = origin().await;
    let edge = Edge::start(Setup::of(&origin)).await;
    edge.get("/coffee.jpg?preset=theirs&w=20").accept(CHROMIUM).await;
    assert_eq!(origin.last("/coffee.jpg").target, "/coffee.jpg?preset=theirs");
    assert_eq!(edge.get("/lm/preset=hero/coffee.jpg").await.status, StatusCode::BAD_REQUEST);
}
