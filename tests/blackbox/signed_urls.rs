//! Signed URLs: who may ask for what, for how long, and that nothing behind the check knows of the signature.

use std::fs;

use reqwest::{Method, StatusCode};
use rustix::process::Signal;
use serde_json::json;

use crate::harness::{CHROMIUM, Edge, Origin, Reply, Setup, edge::run, pictures, until};

const SECRET: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const OTHER: &str = "5eced05eced05eced05eced05eced05eced05eced05eced05eced05eced05ece";

/// The origin with a picture, a page, and what lives as long as it says.
async fn origin() -> Origin {
    let coffee = Reply::jpeg(pictures::demo("coffee.jpg")).header("cache-control", "public, max-age=600");
    let origin = Origin::with("/coffee.jpg", coffee).await;
    origin.set("/page", Reply::ok("text/html", "<p>page</p>").header("cache-control", "max-age=600"));
    origin
}

/// A site whose URLs are signed with these keys.
fn signing(setup: Setup, what: &str, secrets: &[(&str, &str)]) -> Setup {
    let keys: Vec<_> = secrets.iter().map(|(id, secret)| format!("{{ id = '{id}', secret = '{secret}' }}")).collect();
    setup.site("signing", &format!("'{what}'")).site("signing_keys", &format!("[{}]", keys.join(", ")))
}

/// What the command line makes of it.
fn signed_with(secret: &str, target: &str, more: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key");
    fs::write(&file, format!("{secret}\n")).unwrap();
    let arguments = [&["sign", "--site", "shop", "--key-file", file.to_str().unwrap()], more, &[target]].concat();
    let (succeeded, url, errors) = run(&arguments);
    assert!(succeeded, "{errors}");
    url.trim_end().to_owned()
}

fn signed(target: &str) -> String {
    signed_with(SECRET, target, &[])
}

async fn assert_refused(edge: &Edge, target: &str, why: &str) {
    let answer = edge.get(target).accept(CHROMIUM).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{target}: {answer:?}");
    assert!(answer.problem().contains(why), "{target}: {}", answer.problem());
    assert_eq!(answer.field("cache-control"), "no-store");
}

#[tokio::test]
async fn only_what_is_signed_is_made_and_what_is_refused_costs_nothing() {
    let origin = origin().await;
    let edge = Edge::start(signing(Setup::paid(&origin, "variants"), "options", &[("a", SECRET)])).await;
    let url = signed("/coffee.jpg?w=100");
    let forged = url.replace("w=100", "w=101");
    for (bad, why) in [
        ("/coffee.jpg?w=100", "must be signed"),
        ("/lm/w=100/coffee.jpg", "must be signed"),
        ("/lm/f=auto/https://other.example/a.jpg", "must be signed"),
        (forged.as_str(), "does not fit"),
        (&signed_with(OTHER, "/coffee.jpg?w=100", &[]), "does not fit"),
        (&format!("{url}&utm_source=mail"), "last parameter"),
        (&format!("{url}&w=200"), "last parameter"),
    ] {
        assert_refused(&edge, bad, why).await;
    }
    assert_eq!((origin.asked().len(), edge.encodes().await), (0, 0), "work was done for what is refused");
    let before = edge.credits("acme").await;
    let answer = edge.get(&url).accept(CHROMIUM).await;
    assert_eq!((answer.status, answer.content_type().as_str()), (StatusCode::OK, "image/avif"));
    assert_eq!(answer.picture().size().0, 100);
    assert!(edge.credits("acme").await < before, "what is delivered is charged");
    assert_eq!(
        edge.get("/coffee.jpg").accept(CHROMIUM).await.status,
        StatusCode::OK,
        "as it is, it need not be signed"
    );
}

#[tokio::test]
async fn neither_cache_nor_origin_know_of_signature_and_expiry() {
    let origin = origin().await;
    let edge = Edge::start(signing(Setup::of(&origin), "options", &[("a", SECRET)])).await;
    assert!(!edge.get(&signed("/coffee.jpg?w=100&v=3")).accept(CHROMIUM).await.is_hit());
    for same in [
        signed_with(SECRET, "/coffee.jpg?w=100&v=3", &["--expires", "1h"]),
        signed("/coffee.jpg?v=3&width=100"),
        signed_with(SECRET, "/lm/w=100/coffee.jpg?v=3", &["--expires", "2h"]),
    ] {
        assert!(edge.get(&same).accept(CHROMIUM).await.is_shared(), "{same} is another entry");
    }
    assert_eq!(origin.last("/coffee.jpg").target, "/coffee.jpg?v=3");
    edge.get("/coffee.jpg").accept(CHROMIUM).await;
    let as_it_is = signed_with(SECRET, "/coffee.jpg", &["--expires", "1h"]);
    assert!(edge.get(&as_it_is).accept(CHROMIUM).await.is_shared(), "signed or not makes no difference");
    assert_eq!(origin.count("/coffee.jpg"), 2);
}

#[tokio::test]
async fn an_expired_url_is_refused_and_none_is_called_fresh_for_longer() {
    let origin = origin().await;
    let edge = Edge::start(signing(Setup::at_standing_time(&origin), "all", &[("a", SECRET)])).await;
    edge.set_clock("2030-01-01T00:00:00Z").await;
    origin.set_date("Tue, 01 Jan 2030 00:00:00 GMT".to_owned());
    let until = |target| signed_with(SECRET, target, &["--expires", "2030-01-01T00:01:00Z"]);
    let (image, page) = (until("/coffee.jpg?w=100"), until("/page"));
    for url in [&image, &page] {
        let answer = edge.get(url).accept(CHROMIUM).await;
        assert_eq!((answer.status, answer.max_age()), (StatusCode::OK, Some(60)), "{url}");
        // The same without an end may be kept for as long as the origin says.
        let (endless, _) = url.split_once("exp=").unwrap();
        let endless = edge.get(&signed(endless.trim_end_matches(['?', '&']))).accept(CHROMIUM).await;
        assert_eq!(endless.max_age(), Some(600), "{url}");
    }
    edge.pass(59).await;
    let last = edge.get(&image).accept(CHROMIUM).await;
    assert_eq!((last.status, last.field("age").as_str(), last.max_age()), (StatusCode::OK, "59", Some(60)));
    edge.pass(1).await;
    for url in [&image, &page] {
        assert_refused(&edge, url, "expired").await;
    }
}

#[tokio::test]
async fn keys_are_changed_by_a_reload_and_secrets_show_nowhere() {
    let origin = origin().await;
    let setup = || Setup::paid(&origin, "variants").set("log.level", "'debug'");
    let edge = Edge::start(signing(setup(), "options", &[("old", SECRET)])).await;
    let (old, new) = (signed("/coffee.jpg?w=50"), signed_with(OTHER, "/coffee.jpg?w=50", &[]));
    let status = async |url: &str| edge.get(url).accept(CHROMIUM).await.status;
    assert_eq!((status(&old).await, status(&new).await), (StatusCode::OK, StatusCode::FORBIDDEN));
    edge.rewrite(&signing(setup(), "options", &[("new", OTHER), ("old", SECRET)]));
    edge.signal(Signal::HUP);
    until("both are good", async || status(&new).await == StatusCode::OK).await;
    assert_eq!(status(&old).await, StatusCode::OK);
    let config = edge.config_path();
    let with_config = ["sign", "--site", "shop", "--config", config.to_str().unwrap()];
    for (more, url) in [(&[][..], &new), (&["--key-id", "old"][..], &old)] {
        let (succeeded, made, errors) = run(&[&with_config[..], more, &["/coffee.jpg?w=50"]].concat());
        assert!(succeeded && made.trim_end() == url, "{made} {errors}");
    }
    let (_, shown, noted) = run(&["check", "--config", config.to_str().unwrap()]);
    assert!(shown.contains("signing_keys") && shown.contains("id = \"old\""), "{shown}");
    edge.rewrite(&signing(setup(), "options", &[("new", OTHER)]));
    edge.signal(Signal::HUP);
    until("the old one is worthless", async || status(&old).await == StatusCode::FORBIDDEN).await;
    // A mistake in the line of a secret is told without the line.
    edge.rewrite_text(&format!("[[site]]\nsigning_keys = [{{ id = 'new', secret = '{OTHER} }}]\n"));
    edge.signal(Signal::HUP);
    until("the mistake is told", async || edge.log().contains("not valid TOML")).await;
    let told = edge.read("/sites/shop").await.to_string();
    for (place, text) in [("check", shown + &noted), ("the log", edge.log()), ("the API", told)] {
        assert!(!text.contains(SECRET) && !text.contains(OTHER), "{place} shows a secret");
    }
}

#[tokio::test]
async fn where_all_must_be_signed_nothing_else_passes() {
    let origin = origin().await;
    let edge = Edge::start(signing(Setup::of(&origin), "all", &[("a", SECRET)])).await;
    for target in ["/coffee.jpg", "/page", "/", "/lm/w=9/coffee.jpg", "/page?s=shoes"] {
        let answer = edge.get(target).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{target}");
    }
    for method in [Method::POST, Method::HEAD, Method::OPTIONS] {
        assert_eq!(edge.request(method.clone(), "/page").await.status, StatusCode::FORBIDDEN, "{method}");
    }
    assert!(origin.asked().is_empty());
    let url = signed_with(SECRET, "/page?a=1", &["--expires", "1h"]);
    assert_eq!(edge.get(&url).await.text(), "<p>page</p>");
    assert_eq!(edge.request(Method::POST, &url).body("x").await.status, StatusCode::OK);
    assert!(origin.asked().iter().all(|asked| asked.target == "/page?a=1"), "{:?}", origin.asked());
}

#[tokio::test]
async fn where_images_must_be_signed_pages_pass_with_what_is_theirs() {
    let origin = origin().await;
    let edge = Edge::start(signing(Setup::of(&origin), "images", &[("a", SECRET)])).await;
    assert_refused(&edge, "/coffee.jpg", "must be signed").await;
    assert_eq!(edge.get(&signed("/coffee.jpg")).await.status, StatusCode::OK);
    assert_eq!(edge.get("/page?s=shoes&exp=1").await.status, StatusCode::OK);
    assert_eq!(origin.last("/page").target, "/page?s=shoes&exp=1");
}

#[tokio::test]
async fn where_nothing_is_signed_the_origin_gets_its_own_s_and_exp() {
    let origin = origin().await;
    let edge = Edge::start(Setup::of(&origin)).await;
    assert_eq!(edge.get("/coffee.jpg?s=theirs&w=50&exp=1").accept(CHROMIUM).await.picture().size().0, 50);
    assert_eq!(origin.last("/coffee.jpg").target, "/coffee.jpg?s=theirs&exp=1");
    assert_eq!(edge.get("/lm/w=50,s=x/coffee.jpg").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_signed_url_is_purged_by_its_name_whoever_signed_it() {
    let origin = origin().await;
    let edge = Edge::start(signing(Setup::paid(&origin, "variants"), "options", &[("a", SECRET)])).await;
    let url = signed("/coffee.jpg?w=60");
    edge.get(&url).accept(CHROMIUM).await;
    until("it is stored", async || edge.get(&url).accept(CHROMIUM).await.is_hit()).await;
    let another = signed_with(OTHER, "/coffee.jpg?w=70", &["--expires", "1"]);
    edge.post("/sites/shop/purge", json!({"urls": [another]})).await.json();
    assert!(!edge.get(&url).accept(CHROMIUM).await.is_hit());
}

#[tokio::test]
async fn a_site_made_through_the_api_has_keys_that_nobody_reads_again() {
    let origin = origin().await;
    let edge = Edge::start(Setup::paid(&origin, "variants")).await;
    let settings = |keys: serde_json::Value| {
        json!({
            "id": "blog", "account": "acme", "hosts": ["blog.test"], "origin": origin.url(), "allow_private_origin": true,
            "first_view": "always", "signing": "options", "signing_keys": keys, "presets": {"tiny": "w=20"}
        })
    };
    let made = edge.post("/sites", settings(json!([{"id": "a", "secret": SECRET}]))).await;
    assert!(!made.json().to_string().contains(SECRET));
    let url = {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key");
        fs::write(&file, SECRET).unwrap();
        let (_, url, _) =
            run(&["sign", "--site", "blog", "--key-file", file.to_str().unwrap(), "/coffee.jpg?preset=tiny"]);
        url.trim_end().to_owned()
    };
    let get = async |edge: &Edge| edge.get(&url).host("blog.test").accept(CHROMIUM).await;
    edge.until_entitlement("blog", "optimize").await;
    let first = get(&edge).await;
    assert_eq!(first.picture().size().0, 20, "{}", first.field("cache-status"));
    // Changed without the secret, the key stays what it was; without the key, it is gone.
    let put = async |keys| edge.api(Method::PUT, "/sites/blog").json(&settings(keys)).await;
    assert_eq!(put(json!([{"id": "b", "secret": OTHER}, {"id": "a"}])).await.status, StatusCode::OK);
    assert_eq!(get(&edge).await.status, StatusCode::OK);
    let refused = put(json!([{"id": "unknown"}])).await;
    assert!(refused.status.is_client_error() && refused.problem().contains("needs a secret"), "{refused:?}");
    for wrong in [json!([{"id": "a", "secret": "not-to-be-told"}]), json!([{"id": "a", "secret_file": "/etc/shadow"}])]
    {
        let refused = put(wrong).await;
        assert!(refused.status.is_client_error() && !refused.text().contains("not-to-be-told"), "{refused:?}");
    }
    let edge = edge.restart(crate::harness::edge::Ending::Stopped).await;
    assert_eq!(get(&edge).await.status, StatusCode::OK, "it is kept");
    let put = edge.api(Method::PUT, "/sites/blog").json(&settings(json!([{"id": "b"}]))).await;
    assert_eq!((put.status, get(&edge).await.status), (StatusCode::OK, StatusCode::FORBIDDEN));
    assert!(!edge.log().contains(SECRET) && !edge.log().contains(OTHER));
}
