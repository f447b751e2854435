//! Purging (`http.md` point 40): what goes and what stays, at once, also while it is on its way, and after a restart.

use futures_util::future::join;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{
    Answer, CHROMIUM, Edge, Gate, Origin, Reply, SAFARI_15, Setup,
    api::number,
    edge::{Ending, run},
    pictures,
    pictures::Scan,
    reply::Content,
    setup::TOKEN,
    until,
};

/// Sources and their surrogate keys.
const SHELF: [(&str, &str, &str); 3] = [
    ("/a/1.jpg", "surrogate-key", "red round"),
    ("/a/2.jpg", "cache-tag", "Red, square"),
    ("/b/3.jpg", "surrogate-key", "blue"),
];

fn picture(number: u32) -> Reply {
    Reply::jpeg(pictures::jpeg(64 + number, 48, number, Scan::Baseline)).max_age(86_400)
}

async fn shelf() -> Origin {
    let origin = Origin::start().await;
    for (number, (path, field, keys)) in (1..).zip(SHELF) {
        origin.set(path, picture(number).header("etag", &format!("\"{number}\"")).header(field, keys));
    }
    origin
}

fn with_token(origin: &Origin) -> Setup {
    Setup::of(origin).set("admin.token", &format!("'{TOKEN}'"))
}

async fn view(edge: &Edge, path: &str) -> Answer {
    let answer = edge.get(path).accept(CHROMIUM).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
    answer
}

async fn view_all(edge: &Edge) {
    for (path, ..) in SHELF {
        view(edge, path).await;
        assert!(view(edge, path).await.is_hit());
    }
}

/// The numbers of those that are not hits.
async fn missing(edge: &Edge) -> Vec<u32> {
    let mut missing = Vec::new();
    for (number, (path, ..)) in (1..).zip(SHELF) {
        if !view(edge, path).await.is_hit() {
            missing.push(number);
        }
    }
    missing
}

async fn purge(edge: &Edge, what: Value) -> Value {
    edge.post("/sites/shop/purge", what).await.json()
}

#[tokio::test]
async fn a_hard_purge_takes_what_it_names_and_nothing_else() {
    let origin = shelf().await;
    let edge = Edge::start(with_token(&origin)).await;
    view_all(&edge).await;
    let elsewhere = format!("{}/a/2.jpg", origin.url());
    for (what, gone) in [
        (json!({ "urls": ["/a/1.jpg"] }), vec![1]),
        (json!({ "urls": ["http://shop.test/a/1.jpg?w=40", elsewhere] }), vec![1, 2]),
        (json!({ "prefixes": ["/a/"] }), vec![1, 2]),
        (json!({ "prefixes": ["/b"], "urls": ["/a/2.jpg"] }), vec![2, 3]),
        (json!({ "keys": ["RED"] }), vec![1, 2]),
        (json!({ "keys": ["square", "blue"] }), vec![2, 3]),
        (json!({ "everything": true }), vec![1, 2, 3]),
        (json!({ "urls": ["/A/1.jpg", "/a/1.jpg?v=2", "/c"], "keys": ["green"], "prefixes": ["/a/1.jpg?"] }), vec![]),
    ] {
        purge(&edge, what.clone()).await;
        assert_eq!(missing(&edge).await, gone, "{what}");
        assert_eq!(missing(&edge).await, Vec::<u32>::new(), "{what}: it is not kept after the purge");
    }
    // It was fetched anew, not validated.
    assert!(origin.asked().iter().all(|asked| asked.field("if-none-match").is_empty()));
}

#[tokio::test]
async fn a_hard_purge_takes_all_sizes_and_formats_of_a_source() {
    let origin = Origin::with("/a.jpg", Reply::jpeg(pictures::demo("coffee.jpg")).max_age(86_400)).await;
    let edge = Edge::start(with_token(&origin)).await;
    let views = [("/a.jpg", CHROMIUM), ("/a.jpg?w=90", CHROMIUM), ("/a.jpg?w=90", SAFARI_15)];
    let mut made = Vec::new();
    for (path, accept) in views {
        made.push(edge.get(path).accept(accept).await.body);
    }
    let encodes = edge.encodes().await;
    purge(&edge, json!({ "urls": ["/a.jpg?w=90"] })).await;
    for ((path, accept), before) in views.into_iter().zip(made) {
        let answer = edge.get(path).accept(accept).await;
        assert!(!answer.is_hit() && answer.body == before, "{path}");
        assert!(edge.get(path).accept(accept).await.is_hit(), "{path}");
    }
    assert_eq!(edge.encodes().await, 2 * encodes);
    assert_eq!(origin.count("/a.jpg"), 2);
}

#[tokio::test]
async fn after_a_soft_purge_the_origin_is_asked_whether_it_still_holds() {
    let mut origin = shelf().await;
    let edge = Edge::start(with_token(&origin)).await;
    view_all(&edge).await;
    let encodes = edge.encodes().await;
    purge(&edge, json!({ "prefixes": ["/a/"], "mode": "soft" })).await;
    let validated = view(&edge, "/a/1.jpg").await;
    assert!(validated.field("cache-status").contains("fwd=stale"), "{validated:?}");
    assert_eq!(origin.last("/a/1.jpg").field("if-none-match"), "\"1\"");
    assert!(view(&edge, "/a/1.jpg").await.is_hit());
    assert!(view(&edge, "/b/3.jpg").await.is_hit());
    // Where the origin fails, it stands in; and is what it is.
    origin.stop().await;
    let standing_in = view(&edge, "/a/2.jpg").await;
    assert!(standing_in.field("cache-status").contains("ttl=-") || standing_in.field("cache-status").contains("ttl=0"));
    assert_eq!(edge.encodes().await, encodes, "what still holds was made anew");
    // What is gone does not.
    purge(&edge, json!({ "urls": ["/a/2.jpg"] })).await;
    assert!(edge.get("/a/2.jpg").accept(CHROMIUM).await.status.is_server_error());
}

#[tokio::test]
async fn new_content_comes_with_the_first_view_after_a_purge() {
    let origin = shelf().await;
    let edge = Edge::start(with_token(&origin)).await;
    view_all(&edge).await;
    for (number, mode) in [(10, "soft"), (20, "hard")] {
        origin.set("/a/1.jpg", picture(number).header("etag", &format!("\"{number}\"")));
        purge(&edge, json!({ "urls": ["/a/1.jpg"], "mode": mode })).await;
        assert_eq!(view(&edge, "/a/1.jpg").await.picture().size(), (64 + number, 48), "{mode}");
    }
}

/// Purges while the origin holds its answer back, which it gives to the first visitor only.
async fn purged_on_its_way(held_back: impl FnOnce(&Gate) -> Reply, what: Value) {
    let gate = Gate::closed();
    let origin = Origin::with("/a.jpg", held_back(&gate)).await;
    let edge = Edge::start(with_token(&origin)).await;
    let first = view(&edge, "/a.jpg");
    let meanwhile = async {
        until("the origin is asked", async || origin.count("/a.jpg") == 1).await;
        origin.set("/a.jpg", picture(20).header("surrogate-key", "red"));
        purge(&edge, what.clone()).await;
        // Who comes after the purge does not join who came before it.
        assert_eq!(view(&edge, "/a.jpg").await.picture().size(), (84, 48), "{what}");
        gate.open();
    };
    let (first, ()) = join(first, meanwhile).await;
    assert_eq!(first.picture().size(), (74, 48));
    until("the first fetch is over", async || edge.metric("lightmeter_origin_fetches_total", &[]).await >= 2).await;
    let later = view(&edge, "/a.jpg").await;
    assert!(later.is_hit() && later.picture().size() == (84, 48), "{what}: {later:?}");
    assert_eq!(origin.count("/a.jpg"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_purged_before_the_origin_answers_is_not_kept() {
    for what in [json!({ "urls": ["/a.jpg"] }), json!({ "keys": ["red"] }), json!({ "everything": true })] {
        let reply = |gate: &Gate| picture(10).header("surrogate-key", "red").behind(gate);
        purged_on_its_way(reply, what).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_purged_while_its_body_comes_is_not_kept() {
    for what in [json!({ "prefixes": ["/a"] }), json!({ "keys": ["red"] })] {
        let reply = |gate: &Gate| {
            let bytes = pictures::jpeg(74, 48, 10, Scan::Baseline);
            let (begin, rest) = (bytes.slice(..100), bytes.slice(100..));
            let reply = Reply::of(Content::Gated(begin, gate.clone(), rest)).header("content-type", "image/jpeg");
            reply.max_age(86_400).header("surrogate-key", "red")
        };
        purged_on_its_way(reply, what).await;
    }
}

#[tokio::test]
async fn what_passes_through_is_purged_like_images() {
    let sheet = |text: &str| {
        let reply = Reply::ok("text/css", text.to_owned()).max_age(86_400).header("etag", &format!("\"{text}\""));
        reply.header("surrogate-key", "style")
    };
    let origin = Origin::with("/css/a.css", sheet("a { }")).await;
    let edge = Edge::start(with_token(&origin)).await;
    let mut asked = 1;
    for (what, mode) in [
        (json!({ "urls": ["http://shop.test/css/a.css"] }), "hard"),
        (json!({ "prefixes": ["/css/"] }), "soft"),
        (json!({ "keys": ["style"] }), "hard"),
        (json!({ "everything": true }), "soft"),
    ] {
        view(&edge, "/css/a.css").await;
        assert!(view(&edge, "/css/a.css").await.is_hit(), "{what}");
        assert_eq!(origin.count("/css/a.css"), asked, "{what}");
        let mut purged = what.clone();
        purged["mode"] = mode.into();
        purge(&edge, purged).await;
        assert_eq!(view(&edge, "/css/a.css").await.text(), "a { }");
        asked += 1;
        assert_eq!(origin.count("/css/a.css"), asked, "{what}");
        let condition = origin.last("/css/a.css").field("if-none-match");
        assert_eq!(condition.is_empty(), mode == "hard", "{what}: {condition}");
    }
    purge(&edge, json!({ "urls": ["/css/a.css?v=2", "/css/b.css"], "prefixes": ["/a"], "keys": ["red"] })).await;
    assert!(view(&edge, "/css/a.css").await.is_hit());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_through_and_is_purged_on_its_way_is_not_kept() {
    let gate = Gate::closed();
    let sheet = |text: &'static str| Reply::ok("text/css", text).max_age(86_400).header("surrogate-key", "style");
    let origin = Origin::with("/a.css", sheet("old").behind(&gate)).await;
    let edge = Edge::start(with_token(&origin)).await;
    let first = view(&edge, "/a.css");
    let meanwhile = async {
        until("the origin is asked", async || origin.count("/a.css") == 1).await;
        origin.set("/a.css", sheet("new"));
        purge(&edge, json!({ "keys": ["style"] })).await;
        assert_eq!(view(&edge, "/a.css").await.text(), "new");
        gate.open();
    };
    let (first, ()) = join(first, meanwhile).await;
    assert_eq!(first.text(), "old");
    let later = view(&edge, "/a.css").await;
    assert!(later.is_hit() && later.text() == "new", "{later:?}");
}

#[tokio::test]
async fn a_purge_forgets_that_something_was_not_there() {
    let origin = Origin::with("/a.jpg", Reply::status(404, "not yet").max_age(300)).await;
    let edge = Edge::start(with_token(&origin)).await;
    for _ in 0..2 {
        assert_eq!(edge.get("/a.jpg").accept(CHROMIUM).await.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(origin.count("/a.jpg"), 1);
    origin.set("/a.jpg", picture(1));
    purge(&edge, json!({ "urls": ["/a.jpg"] })).await;
    view(&edge, "/a.jpg").await;
}

#[tokio::test]
async fn a_purge_outlives_the_process_however_it_ends() {
    let origin = shelf().await;
    for (ending, key, gone) in [(Ending::Killed, "round", 1), (Ending::Stopped, "square", 2)] {
        let edge = Edge::start(with_token(&origin)).await;
        view_all(&edge).await;
        until_stored(&edge).await;
        let generation = purge(&edge, json!({ "keys": [key] })).await["generation"].clone();
        let edge = edge.restart(ending).await;
        assert_eq!(missing(&edge).await, [gone]);
        let next = purge(&edge, json!({ "urls": ["/nothing"] })).await["generation"].clone();
        assert!(next.as_u64() > generation.as_u64());
        assert_eq!(edge.read("/audit?site=shop").await["items"].as_array().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn where_the_purges_are_lost_all_is_fetched_anew_and_then_kept() {
    let origin = shelf().await;
    let edge = Edge::start(with_token(&origin)).await;
    view_all(&edge).await;
    until_stored(&edge).await;
    std::fs::remove_file(edge.data_dir().join("cache/purges")).unwrap();
    let edge = edge.restart(Ending::Stopped).await;
    assert!(edge.log().contains("counts as purged"), "{}", edge.log());
    assert_eq!(missing(&edge).await, [1, 2, 3]);
    until_stored(&edge).await;
    let edge = edge.restart(Ending::Stopped).await;
    assert_eq!(missing(&edge).await, Vec::<u32>::new());
}

/// A head, a body and a variant of each: so many are hits after a restart.
async fn until_stored(edge: &Edge) {
    edge.until_metric("lightmeter_cache_entries", &[("tier", "disk")], |entries| entries >= 9).await;
}

#[tokio::test]
async fn what_is_made_anew_after_a_purge_is_not_charged_again() {
    let origin = Origin::with("/a.jpg", picture(1)).await;
    let edge = Edge::start(Setup::paid(&origin, "variants")).await;
    view(&edge, "/a.jpg").await;
    for mode in ["hard", "soft"] {
        purge(&edge, json!({ "everything": true, "mode": mode })).await;
        assert_eq!(view(&edge, "/a.jpg").await.detail(), "avif");
    }
    assert_eq!(number(&edge.usage("shop").await["credits"]["total"]), 2.0);
    assert_eq!(edge.credits("acme").await, 98.0);
}

#[tokio::test]
async fn nobody_purges_another_accounts_site() {
    let origin = shelf().await;
    let edge = Edge::start(Setup::paid(&origin, "variants").account("other", "free")).await;
    let key = async |account: &str| {
        let made = edge.post(&format!("/accounts/{account}/keys"), json!({ "name": "test" })).await.json();
        made["key"].as_str().unwrap().to_owned()
    };
    view_all(&edge).await;
    let ask = |key: &str| {
        let request = edge.admin_request(reqwest::Method::POST, "/api/v1/sites/shop/purge").bearer(key);
        request.json(&json!({ "everything": true }))
    };
    assert_eq!(ask(&key("other").await).await.status, StatusCode::NOT_FOUND);
    assert_eq!(ask("wrong").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(missing(&edge).await, Vec::<u32>::new());
    assert_eq!(ask(&key("acme").await).await.status, StatusCode::OK);
    assert_eq!(missing(&edge).await, [1, 2, 3]);
    let listed = edge.read("/audit").await["items"].clone();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert!(listed[0]["actor"].as_str().unwrap().starts_with("account/acme/key/"), "{listed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_purges_and_lists_who_did() {
    let origin = shelf().await;
    let edge = Edge::start(with_token(&origin)).await;
    view_all(&edge).await;
    let config = edge.config_path();
    let config = config.to_str().unwrap();
    let (done, printed, errors) = run(&["purge", "shop", "/a/1.jpg", "--key", "blue", "--config", config]);
    assert!(done && printed.starts_with("shop: purged at "), "{printed}{errors}");
    assert_eq!(missing(&edge).await, [1, 3]);
    let (done, printed, errors) = run(&["purge", "shop", "--everything", "--soft", "--json", "--config", config]);
    assert!(done, "{errors}");
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap()["mode"], "soft");
    assert_eq!(missing(&edge).await, [1, 2, 3]);
    let (done, printed, errors) = run(&["audit", "--site", "shop", "--config", config]);
    assert!(done, "{errors}");
    assert!(printed.contains("hard, /a/1.jpg, key blue") && printed.contains("soft, everything"), "{printed}");
    let (done, _, errors) = run(&["purge", "nowhere", "--everything", "--config", config]);
    assert!(!done && errors.contains("404"), "{errors}");
}
