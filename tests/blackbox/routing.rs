//! Which site a request is for, by its host, and that sites share nothing.

use reqwest::StatusCode;

use crate::harness::{Answer, CHROMIUM, Edge, Origin, Reply, Setup, pictures, raw::Raw};

async fn three_sites() -> ([Origin; 3], Edge) {
    let origins = [Origin::start().await, Origin::start().await, Origin::start().await];
    for (name, origin) in ["exact", "wild", "deep"].into_iter().zip(&origins) {
        origin.set("/who", Reply::ok("text/plain", name));
    }
    let setup = Setup::empty()
        .with_site("exact", &["img.shop.test"], &origins[0].url())
        .with_site("wild", &["*.shop.test"], &origins[1].url())
        .with_site("deep", &["*.eu.shop.test"], &origins[2].url());
    let edge = Edge::start(setup).await;
    (origins, edge)
}

#[tokio::test]
async fn an_exact_host_wins_over_a_wildcard_and_a_long_one_over_a_short() {
    let (_origins, edge) = three_sites().await;
    let table = [
        ("img.shop.test", "exact"),
        ("IMG.Shop.Test", "exact"),
        ("img.shop.test.", "exact"),
        ("img.shop.test:8080", "exact"),
        ("a.shop.test", "wild"),
        ("a.b.shop.test", "wild"),
        ("x.img.shop.test", "wild"),
        ("a.eu.shop.test", "deep"),
        ("eu.shop.test", "wild"),
    ];
    for (host, site) in table {
        assert_eq!(edge.get("/who").host(host).await.text(), site, "{host}");
    }
}

#[tokio::test]
async fn an_unknown_host_is_421_and_asks_no_origin() {
    let (origins, edge) = three_sites().await;
    for host in ["shop.test", "evilshop.test", "shop.test.evil.test", "127.0.0.1", "[::1]", "localhost"] {
        for path in ["/who", "/a.jpg", "/lm/w=5/a.jpg"] {
            let answer = edge.get(path).host(host).await;
            assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{host}{path}");
            assert!(answer.problem().contains("no site"), "{answer:?}");
        }
    }
    assert!(origins.iter().all(|origin| origin.asked().is_empty()));
}

#[tokio::test]
async fn a_star_serves_what_nobody_else_does() {
    let [named, any] = [Origin::start().await, Origin::start().await];
    named.set("/who", Reply::ok("text/plain", "named"));
    any.set("/who", Reply::ok("text/plain", "any"));
    let setup = Setup::empty().with_site("named", &["shop.test"], &named.url()).with_site("any", &["*"], &any.url());
    let edge = Edge::start(setup).await;
    for (host, site) in [("shop.test", "named"), ("other.test", "any"), ("127.0.0.1", "any")] {
        assert_eq!(edge.get("/who").host(host).await.text(), site, "{host}");
    }
}

#[tokio::test]
async fn the_absolute_form_names_the_host() {
    let (_origins, edge) = three_sites().await;
    let request = "GET http://img.shop.test/who HTTP/1.1\r\nHost: a.shop.test\r\nConnection: close\r\n\r\n";
    let answer = Raw::send(edge.http, request).await.rest().await;
    assert!(answer.ends_with(b"exact"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn two_sites_share_no_cached_picture() {
    let [one, other] = [Origin::start().await, Origin::start().await];
    one.set("/same.jpg", Reply::jpeg(pictures::demo("coffee.jpg")));
    other.set("/same.jpg", Reply::jpeg(pictures::demo("rocket.jpg")));
    let setup =
        Setup::empty().with_site("one", &["one.test"], &one.url()).with_site("two", &["two.test"], &other.url());
    let edge = Edge::start(setup).await;
    for _ in 0..2 {
        for (host, size) in [("one.test", (600, 400)), ("two.test", (640, 427))] {
            assert_eq!(edge.get("/same.jpg").host(host).accept(CHROMIUM).await.picture().size(), size, "{host}");
        }
    }
    assert_eq!((one.count("/same.jpg"), other.count("/same.jpg")), (1, 1));
    assert_eq!(edge.metric("lightmeter_requests_total", &[("site", "one"), ("outcome", "hit")]).await, 1);
}

#[tokio::test]
async fn a_path_stays_below_the_origins() {
    let origin = Origin::with("/base/a.txt", Reply::ok("text/plain", "below")).await;
    origin.set("/secret.txt", Reply::ok("text/plain", "classified"));
    let setup = Setup::empty().with_site("shop", &["shop.test"], &format!("{}/base", origin.url()));
    let edge = Edge::start(setup).await;
    assert_eq!(edge.get("/a.txt").await.text(), "below");
    for climbing in ["/../secret.txt", "/%2e%2e/secret.txt", "/x/../../secret.txt", "/..%5Csecret.txt"] {
        let request = format!("GET {climbing} HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n");
        let answer = Raw::send(edge.http, request).await.rest().await;
        assert!(!String::from_utf8_lossy(&answer).contains("classified"), "{climbing} climbed out");
    }
    assert_eq!(origin.count("/secret.txt"), 0);
}

#[tokio::test]
async fn path_and_query_reach_the_origin_as_they_came() {
    let origin = Origin::start().await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for target in ["/a%20b/%C3%BC?x=1&y=%2F&x=2", "/a//b?", "/a;b=c?d&e=", "/search?w=5&q=shoes"] {
        let _: Answer = edge.get(target).await;
        assert_eq!(origin.asked().last().unwrap().target, target);
    }
    // On an image path the options are ours, the rest is the origin's.
    edge.get("/a%20b.jpg?v=3&w=100&x=%2F&q=70").await;
    assert_eq!(origin.asked().last().unwrap().target, "/a%20b.jpg?v=3&x=%2F");
}
