//! What a request that may change something does to what is stored (RFC 9111, 4.4).

use reqwest::{Method, StatusCode};

use crate::harness::{Edge, Origin, Reply, Setup, reply::BOTH};

async fn is_kept(edge: &Edge, path: &str) -> bool {
    edge.get(path).await.is_shared()
}

#[tokio::test]
async fn a_change_makes_what_was_stored_of_the_same_url_invalid() {
    let origin = Origin::start().await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"] {
        for end in BOTH {
            let path = format!("/{method}{end}");
            origin.set(&path, Reply::fit_for(&path).max_age(600));
            edge.get(&path).await;
            assert!(is_kept(&edge, &path).await, "{path}");
            let changed = edge.request(Method::from_bytes(method.as_bytes()).unwrap(), &path).body("x").await;
            assert_eq!(changed.status, StatusCode::OK);
            assert!(!is_kept(&edge, &path).await, "{path} is still what it was before {method}");
        }
    }
}

#[tokio::test]
async fn a_change_that_failed_changes_nothing() {
    let origin = Origin::start().await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for status in [400, 404, 409, 500, 503] {
        for end in BOTH {
            let path = format!("/{status}{end}");
            origin.set(&path, Reply::fit_for(&path).max_age(600));
            edge.get(&path).await;
            origin.set(&path, Reply::status(status, "no"));
            assert_eq!(edge.request(Method::POST, &path).body("x").await.status.as_u16(), status);
            assert!(is_kept(&edge, &path).await, "{path}");
        }
    }
}

#[tokio::test]
async fn what_may_not_change_anything_makes_nothing_invalid() {
    let origin = Origin::start().await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for end in BOTH {
        let path = format!("/a{end}");
        origin.set(&path, Reply::fit_for(&path).max_age(600));
        edge.get(&path).await;
        edge.request(Method::OPTIONS, &path).await;
        edge.request(Method::HEAD, &path).await;
        assert!(is_kept(&edge, &path).await, "{path}");
    }
}

#[tokio::test]
async fn where_the_change_says_that_it_took_place_is_invalid_too_within_the_site_only() {
    let origin = Origin::start().await;
    let other = Origin::start().await;
    let setup = Setup::of(&origin).with_site("other", &["other.test"], &other.url());
    let edge = Edge::start(setup).await;
    for end in BOTH {
        for field in ["location", "content-location"] {
            let (own, theirs) = (format!("/{field}-own{end}"), format!("/{field}-theirs{end}"));
            origin.set(&own, Reply::fit_for(&own).max_age(600));
            other.set(&theirs, Reply::fit_for(&theirs).max_age(600));
            edge.get(&own).await;
            edge.get(&theirs).host("other.test").await;
            origin.set("/form", Reply::page("done").header(field, &own));
            edge.request(Method::POST, "/form").body("x").await;
            assert!(!is_kept(&edge, &own).await, "{own} was changed");
            origin.set("/form", Reply::page("done").header(field, &format!("http://other.test{theirs}")));
            edge.request(Method::POST, "/form").body("x").await;
            assert!(edge.get(&theirs).host("other.test").await.is_shared(), "a site made another's {theirs} invalid");
        }
    }
}

#[tokio::test]
async fn a_change_makes_every_representation_invalid() {
    let reply = Reply::of(crate::harness::reply::Content::Field("accept-language"));
    let origin = Origin::with("/page", reply.max_age(600).header("vary", "Accept-Language")).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let get = |language: &'static str| edge.get("/page").header("accept-language", language);
    for language in ["de", "en"] {
        get(language).await;
        assert!(get(language).await.is_shared(), "{language}");
    }
    edge.request(Method::POST, "/page").body("x").await;
    for language in ["de", "en"] {
        assert!(!get(language).await.is_shared(), "{language}");
    }
}
