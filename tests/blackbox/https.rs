//! What sites make of https: who is sent there and told to stay, and whom a connection serves.

use reqwest::{Client, Method, StatusCode};

use crate::harness::{Answer, Edge, Origin, Reply, Setup, raw::Raw, request::Request, setup::HOST, tls::Authority};

const HSTS: &str = "strict-transport-security";

/// Two sites whose names one certificate has.
async fn two_sites(change: impl Fn(Setup) -> Setup) -> (Authority, Origin, Edge) {
    let authority = Authority::new();
    let origin = Origin::with("/page", Reply::ok("text/html", "<p>page</p>")).await;
    let setup = Setup::empty().with_site("other", &["other.test"], &origin.url());
    let setup = change(setup.with_site("shop", &[HOST], &origin.url()));
    let edge = Edge::start(authority.secure(setup, &[HOST, "other.test"])).await;
    (authority, origin, edge)
}

async fn secured(client: &Client, edge: &Edge, host: &str, path: &str) -> Answer {
    let url = format!("https://{HOST}:{}{path}", edge.https.port());
    Request::new(client, Method::GET, &url).host(host).await
}

#[tokio::test]
async fn a_connection_serves_the_host_that_it_was_secured_for_and_no_other() {
    let (authority, origin, edge) = two_sites(|setup| setup).await;
    for protocols in [&["http/1.1"][..], &["h2"]] {
        let client = authority.client(&edge, HOST, protocols);
        let is_h1 = protocols == ["http/1.1"];
        for host in [HOST, "SHOP.test", "shop.test.", "shop.test:8443"] {
            // HTTP/2 names the host of the URL, and must not name another one beside it.
            if is_h1 || host == HOST {
                assert_eq!(secured(&client, &edge, host, "/page").await.status, StatusCode::OK, "{host}");
            }
        }
        let asked = origin.asked().len();
        for host in ["other.test", "unknown.test", "127.0.0.1"] {
            let status = if is_h1 { StatusCode::MISDIRECTED_REQUEST } else { StatusCode::BAD_REQUEST };
            assert_eq!(secured(&client, &edge, host, "/page").await.status, status, "{host}");
        }
        assert_eq!(origin.asked().len(), asked, "no origin is asked");
    }
}

#[tokio::test]
async fn http_2_connections_that_browsers_would_share_serve_one_host_each() {
    let (authority, _origin, edge) = two_sites(|setup| setup).await;
    let config = std::sync::Arc::new(authority.client_config(&crate::harness::tls::VERSIONS, &["h2"]));
    let stream = crate::harness::tls::connect(edge.https, &config, HOST).await.unwrap();
    let (mut ask, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for (host, status) in [(HOST, 200), ("other.test", 421), (HOST, 200)] {
        let request = http::Request::get(format!("https://{host}/page")).body(()).unwrap();
        let response = ask.send_request(request, true).unwrap().0.await.unwrap();
        assert_eq!(response.status(), status, "{host}");
    }
}

#[tokio::test]
async fn who_comes_in_the_clear_is_sent_to_https_where_the_site_wants_it() {
    let (authority, origin, edge) = two_sites(|setup| setup.site("https", "'redirect'")).await;
    let port = edge.https.port();
    for (method, path) in [
        (Method::GET, "/page"),
        (Method::HEAD, "/page?x=%20y&z"),
        (Method::POST, "/lm/w=3/a.jpg"),
        (Method::GET, "//elsewhere.test/a.jpg?w=7"),
    ] {
        let answer = edge.request(method.clone(), path).host("shop.test:80").await;
        assert_eq!(answer.status, StatusCode::PERMANENT_REDIRECT, "{method} {path}");
        assert_eq!(answer.field("location"), format!("https://shop.test:{port}{path}"));
        assert!(!answer.has(HSTS) && answer.body.is_empty());
    }
    assert!(origin.asked().is_empty());
    assert_eq!(edge.get("/page").host("other.test").await.text(), "<p>page</p>", "the other site does not");
    let client = authority.client(&edge, HOST, &["h2"]);
    assert_eq!(secured(&client, &edge, HOST, "/page").await.text(), "<p>page</p>");
    assert_eq!(edge.metric("lightmeter_requests_total", &[("site", "shop"), ("outcome", "own")]).await, 4);
}

#[tokio::test]
async fn visitors_are_sent_to_the_port_that_they_reach() {
    let change = |setup: Setup| setup.site("https", "'redirect'").set("edge.tls.public_port", "443");
    let (_authority, _origin, edge) = two_sites(change).await;
    assert_eq!(edge.get("/page").await.field("location"), "https://shop.test/page");
    let raw = Raw::send(edge.http, "OPTIONS * HTTP/1.1\r\nHost: shop.test\r\n\r\n").await.head().await;
    assert!(raw.contains("\r\nlocation: https://shop.test/\r\n"), "{raw}");
}

#[tokio::test]
async fn what_a_certificate_authority_may_ask_is_answered_in_the_clear() {
    let (_authority, origin, edge) = two_sites(|setup| setup.site("https", "'redirect'")).await;
    let path = "/.well-known/acme-challenge/token";
    origin.set(path, Reply::ok("text/plain", "the origin's own"));
    assert_eq!(edge.get(path).await.text(), "the origin's own");
}

#[tokio::test]
async fn browsers_are_told_to_stay_with_https_over_https_only() {
    let promise = |setup: Setup| setup.site("hsts", "'180d'").site("hsts_include_subdomains", "true");
    let (authority, origin, edge) = two_sites(promise).await;
    let own = Reply::ok("text/html", "page").header(HSTS, "max-age=1");
    origin.set("/own", own.max_age(60));
    let client = authority.client(&edge, HOST, &["h2"]);
    for path in ["/page", "/own", "/missing", "/lm/w=x/a.jpg"] {
        let answer = secured(&client, &edge, HOST, path).await;
        assert_eq!(answer.field(HSTS), "max-age=15552000; includeSubDomains", "{path}: {answer:?}");
        assert!(!edge.get(path).await.has(HSTS), "{path}");
    }
    let client = authority.client(&edge, "other.test", &["h2"]);
    let other = |path: &str| format!("https://other.test:{}{path}", edge.https.port());
    let silent = Request::new(&client, Method::GET, &other("/page")).await;
    assert!(silent.status.is_success() && !silent.has(HSTS));
    let passed = Request::new(&client, Method::GET, &other("/own")).await;
    assert_eq!(passed.field(HSTS), "max-age=1", "where the site says nothing, the origin may");
}
