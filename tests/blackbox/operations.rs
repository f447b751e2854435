//! What an operator sees and does: metrics, health, the access log, stopping, reloading, and being told what is wrong with
//! a configuration.

use reqwest::{Method, StatusCode};
use rustix::process::Signal;

use crate::harness::{
    CHROMIUM, Edge, Gate, Origin, Reply, Setup,
    edge::{command, run},
    pictures,
    ports::free_address,
    raw::Raw,
    reply::Content,
    request::{Request, new_client},
    setup::HOST,
    until,
};

fn coffee() -> Reply {
    Reply::jpeg(pictures::demo("coffee.jpg"))
}

#[tokio::test]
async fn health_and_readiness_are_told() {
    let origin = Origin::start().await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(edge.admin(path).await.status, StatusCode::OK, "{path}");
    }
    assert_eq!(edge.admin("/a.jpg").await.status, StatusCode::NOT_FOUND, "the operator's side serves no pictures");
    assert_eq!(edge.get("/metrics").await.status, StatusCode::NOT_FOUND, "visitors see the origin's /metrics");
}

type Labels = &'static [(&'static str, &'static str)];

#[tokio::test]
async fn what_goes_on_is_counted() {
    let origin = Origin::with("/coffee.jpg", coffee()).await;
    origin.set("/page", Reply::ok("text/plain", "12345"));
    let edge = Edge::start(Setup::of(&origin)).await;
    let first = edge.get("/coffee.jpg").accept(CHROMIUM).await;
    edge.get("/coffee.jpg").accept(CHROMIUM).await;
    edge.get("/page").await;
    edge.get("/coffee.jpg?w=0").await;
    let len = first.body.len() as u64;
    let saved = pictures::demo("coffee.jpg").len() as u64 - len;
    let requests = "lightmeter_requests_total";
    let table: [(&str, Labels, u64); 13] = [
        (requests, &[("site", "shop"), ("outcome", "miss")], 1),
        (requests, &[("site", "shop"), ("outcome", "hit")], 1),
        (requests, &[("site", "shop"), ("outcome", "passthrough")], 1),
        (requests, &[("site", "shop"), ("outcome", "error")], 1),
        ("lightmeter_delivered_total", &[("format", "avif")], 2),
        ("lightmeter_saved_bytes_total", &[("site", "shop")], 2 * saved),
        ("lightmeter_request_duration_seconds_count", &[("outcome", "hit")], 1),
        ("lightmeter_transform_duration_seconds_count", &[("stage", "decode"), ("format", "avif")], 1),
        ("lightmeter_transform_duration_seconds_count", &[("stage", "encode"), ("format", "avif")], 1),
        ("lightmeter_origin_fetches_total", &[], 2),
        ("lightmeter_origin_duration_seconds_count", &[], 2),
        ("lightmeter_queue_depth", &[], 0),
        ("lightmeter_cache_entries", &[("tier", "disk")], 3),
    ];
    for (name, labels, value) in table {
        edge.until_metric(name, labels, |counted| counted == value).await;
    }
    let bytes = edge.metric("lightmeter_response_body_bytes_total", &[("site", "shop")]).await;
    assert!(bytes > 2 * len + 5, "{bytes}");
    for part in ["codecs", "originals"] {
        edge.until_metric("lightmeter_memory_budget_in_use_bytes", &[("part", part)], |held| held == 0).await;
    }
    let text = edge.admin("/metrics").await.text();
    assert!(!text.contains("coffee") && !text.contains(HOST), "a URL or host is a label");
}

#[tokio::test]
async fn each_request_is_a_line_of_the_access_log() {
    let origin = Origin::with("/coffee.jpg", coffee()).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let miss = edge.get("/coffee.jpg?w=300").accept(CHROMIUM).await;
    edge.get("/coffee.jpg?w=300").accept(CHROMIUM).await;
    edge.get("/coffee.jpg").host("unknown.test").await;
    until("all are logged", async || edge.access_log().len() == 3).await;
    let log = edge.access_log();
    let first = &log[0];
    assert_eq!((&first["site"], &first["outcome"], &first["format"]), (&"shop".into(), &"miss".into(), &"avif".into()));
    assert_eq!((&first["method"], &first["path"]), (&"GET".into(), &"/coffee.jpg?w=300".into()));
    assert_eq!((first["status"].as_u64(), first["bytes_out"].as_u64()), (Some(200), Some(miss.body.len() as u64)));
    assert_eq!(first["bytes_in"].as_u64(), Some(pictures::demo("coffee.jpg").len() as u64));
    for stage in ["head_ms", "total_ms", "origin_ms", "decode_ms", "resize_ms", "encode_ms"] {
        assert!(first[stage].as_f64().is_some_and(|spent| spent >= 0.0), "{stage} is not in {first}");
    }
    assert_eq!((&log[1]["outcome"], log[1]["encode_ms"].as_f64()), (&"hit".into(), None));
    assert_eq!((&log[2]["outcome"], log[2]["status"].as_u64()), (&"error".into(), Some(421)));
}

#[tokio::test]
async fn the_log_may_be_for_people_or_silent_about_requests() {
    let origin = Origin::start().await;
    let edge = Edge::start(Setup::of(&origin).set("log.format", "'human'")).await;
    edge.get("/a.txt").await;
    until("it is logged", async || edge.log().contains("/a.txt")).await;
    assert!(edge.access_log().is_empty());
    let silent = Edge::start(Setup::of(&origin).set("log.access", "false")).await;
    silent.get("/a.txt").await;
    silent.signal(Signal::HUP);
    until("it has logged something", async || silent.log().contains("sites reloaded")).await;
    assert!(!silent.log().contains("/a.txt"));
}

/// What a visitor sends is within its own line, whatever it contains.
#[tokio::test]
async fn a_visitor_cannot_write_log_lines() {
    let table: [&[u8]; 9] = [
        b"GET /x%0d%0aPLANTED HTTP/1.1\r\nHost: shop.test\r\n",
        b"GET /x%0APLANTED%1b[31m%00 HTTP/1.1\r\nHost: shop.test\r\n",
        b"GET /x?y=%22%7d%0aPLANTED HTTP/1.1\r\nHost: shop.test\r\n",
        b"GET /x\"}\\nPLANTED HTTP/1.1\r\nHost: shop.test\r\n",
        b"GET /x HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: a\tPLANTED\xff\xe2\x80\xa8PLANTED\r\n",
        b"GET /x HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: a%0aPLANTED\\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a%0aPLANTED\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\tPLANTED\xff\r\n",
        b"GET /lm/w=60/http://a%0aPLANTED/x.jpg HTTP/1.1\r\nHost: shop.test\r\n",
    ];
    // What no reader of HTTP takes; nobody has to hear of it.
    let refused: [&[u8]; 3] = [
        b"GET /x HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: a\x1b[31m\nPLANTED\r\n",
        b"GET /x\x1b[31mPLANTED HTTP/1.1\r\nHost: shop.test\r\n",
        b"GET /x HTTP/1.1\r\nHost: shop.test\rPLANTED\r\n",
    ];
    let origin = Origin::start().await;
    for format in ["json", "human"] {
        let edge = Edge::start(Setup::of(&origin).set("log.format", &format!("'{format}'"))).await;
        let before = edge.log().lines().count();
        for head in refused.iter().chain(&table) {
            let end = &b"Connection: close\r\n\r\n"[..];
            Raw::send(edge.http, [head, end].concat()).await.rest().await;
        }
        edge.get("/the-last").await;
        until("all is logged", async || edge.log().contains("/the-last")).await;
        let log = edge.log();
        let lines: Vec<&str> =
            log.split(['\n', '\r', '\u{2028}', '\u{85}']).skip(before).filter(|line| !line.is_empty()).collect();
        assert!(!lines.iter().any(|line| line.contains(char::is_control)), "{lines:?}");
        let of_requests = |line: &&&str| line.contains("request") && line.contains("/x");
        assert!(
            (table.len()..=table.len() + refused.len()).contains(&lines.iter().filter(of_requests).count()),
            "{lines:?}"
        );
        for line in lines {
            let whole = if format == "json" {
                line.starts_with("{\"timestamp\"") && line.ends_with('}')
            } else {
                line.starts_with("20")
            };
            assert!(whole, "{format}: {line:?}");
        }
    }
}

#[tokio::test]
async fn a_stop_lets_a_slow_download_finish_and_takes_no_new_ones() {
    let gate = Gate::closed();
    let content = Content::Gated("first ".into(), gate.clone(), "second".into());
    let origin = Origin::with("/slow", Reply::of(content).header("content-type", "text/plain")).await;
    let mut edge = Edge::start(Setup::of(&origin)).await;
    let response = edge.get("/slow").head().await;
    edge.signal(Signal::TERM);
    let address = edge.http;
    until("no new connection is taken", async || tokio::net::TcpStream::connect(address).await.is_err()).await;
    assert!(edge.is_alive(), "it did not wait for the download");
    gate.open();
    assert_eq!(response.text().await.unwrap(), "first second");
    assert!(edge.exited().await.success());
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let never = Gate::closed();
    let origin = Origin::with("/slow", Reply::ok("text/plain", "").behind(&never)).await;
    let mut edge = Edge::start(Setup::of(&origin).set("edge.drain_timeout", "'300ms'")).await;
    let _waiting = Raw::send(edge.http, format!("GET /slow HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await;
    until("it is under way", async || origin.count("/slow") == 1).await;
    edge.signal(Signal::INT);
    assert!(edge.exited().await.success());
}

#[tokio::test]
async fn a_reload_adds_and_removes_sites_without_dropping_a_connection() {
    let gate = Gate::closed();
    let origin = Origin::with("/slow", Reply::of(Content::Gated("a".into(), gate.clone(), "b".into()))).await;
    origin.set("/page", Reply::ok("text/plain", "page"));
    let edge = Edge::start(Setup::of(&origin)).await;
    let under_way = edge.get("/slow").head().await;
    assert_eq!(edge.get("/page").host("new.test").await.status, StatusCode::MISDIRECTED_REQUEST);
    edge.rewrite(&Setup::empty().with_site("new", &["new.test"], &origin.url()));
    edge.signal(Signal::HUP);
    until("the new site is served", async || edge.get("/page").host("new.test").await.status.is_success()).await;
    assert_eq!(edge.get("/page").await.status, StatusCode::MISDIRECTED_REQUEST, "the old site is gone");
    gate.open();
    assert_eq!(under_way.text().await.unwrap(), "ab");
}

#[tokio::test]
async fn a_reload_brings_a_new_plan_and_the_account_that_is_on_it() {
    let directory = tempfile::tempdir().unwrap();
    let plans = directory.path().join("plans.toml");
    let shipped = include_str!("../../config/plans.toml");
    std::fs::write(&plans, shipped).unwrap();
    let origin = Origin::start().await;
    let setup = Setup::paid(&origin, "variants").set("plans.file", &format!("'{}'", plans.display()));
    let edge = Edge::start(setup.clone()).await;
    let house = "[[plan]]\nid = 'house'\nname = 'House'\nprice = '0.00'\nmonthly_credits = 7\n";
    std::fs::write(&plans, format!("{shipped}\n{house}")).unwrap();
    edge.rewrite(&setup.account("family", "house"));
    edge.signal(Signal::HUP);
    until("the account is there", async || edge.api(Method::GET, "/accounts/family").await.status.is_success()).await;
    let account = edge.read("/accounts/family").await;
    assert_eq!((&account["plan"], edge.credits("family").await), (&"house".into(), 7.0), "{account}");
}

#[tokio::test]
async fn a_reload_of_what_is_not_valid_changes_nothing_and_says_why() {
    let origin = Origin::with("/page", Reply::ok("text/plain", "page")).await;
    let mut edge = Edge::start(Setup::of(&origin)).await;
    edge.rewrite_text("[cache]\nmemroy_bytes = 1\n");
    edge.signal(Signal::HUP);
    until("it says why", async || edge.log().contains("memroy_bytes")).await;
    assert!(edge.is_alive());
    assert_eq!(edge.get("/page").await.text(), "page");
}

#[test]
fn a_wrong_configuration_stops_the_start_and_names_file_key_and_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("wrong.toml");
    let site = "[[site]]\nid='a'\nhosts=['a.test']\norigin='https://a.test'\n";
    let table = [
        ("[cache]\nmemory_bytes = 'lots'\n".to_owned(), "cache.memory_bytes", "512MiB"),
        ("[cache]\nmemroy_bytes = 1\n".to_owned(), "memroy_bytes", "memory_bytes"),
        ("[edge]\nhttp = 'nowhere'\n".to_owned(), "edge.http", "127.0.0.1:8080"),
        (format!("{site}first_view = 'soon'\n"), "site[0].first_view", "always"),
        (format!("{site}{}", site.replace("'a'", "'b'")), "site[1].hosts", "another site"),
        (site.replace("https", "ftp"), "site[0].origin", "http"),
        ("[images.avif]\nencoder = 'svt'\n".to_owned(), "images.avif.encoder", "libaom"),
        ("this is no TOML".to_owned(), "TOML", "line 1"),
    ];
    for (text, key, remedy) in table {
        std::fs::write(&path, &text).unwrap();
        for subcommand in ["serve", "check"] {
            let (succeeded, _, errors) = run(&[subcommand, "--config", path.to_str().unwrap()]);
            assert!(!succeeded, "{subcommand} took {text:?}");
            for part in ["wrong.toml", key, remedy] {
                assert!(errors.contains(part), "{part} is not in what {subcommand} said of {text:?}: {errors}");
            }
        }
    }
    let (succeeded, _, errors) = run(&["serve", "--config", "/nowhere/at/all.toml"]);
    assert!(!succeeded && errors.contains("/nowhere/at/all.toml"), "{errors}");
}

#[test]
fn check_prints_what_is_in_force_and_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("right.toml");
    let text = "[admin]\ntoken = 'very-secret'\n[cache]\ndisk_bytes = '5GiB'\n\
                [[site]]\nid='a'\nhosts=['a.test']\norigin='https://a.test'\n";
    std::fs::write(&path, text).unwrap();
    let (succeeded, output, errors) = run(&["check", "--config", path.to_str().unwrap()]);
    assert!(succeeded, "{errors}");
    let effective: toml::Table = output.parse().unwrap();
    assert_eq!(effective["cache"]["disk_bytes"].as_str(), Some("5GiB"));
    assert_eq!(effective["images"]["quality"].as_str(), Some("auto"), "defaults are shown");
    assert!(!output.contains("very-secret") && !errors.contains("very-secret"));
    std::fs::write(&path, &output).unwrap();
    assert!(run(&["check", "--config", path.to_str().unwrap()]).0, "what it prints is valid itself");
}

#[tokio::test]
async fn the_environment_overrides_the_file_and_an_origin_needs_none() {
    let origin = Origin::with("/coffee.jpg", coffee()).await;
    let home = tempfile::tempdir().unwrap();
    let (http, admin) = (free_address(), free_address());
    let mut child = command()
        .args(["serve", "--origin", &origin.url()])
        .env("LIGHTMETER__EDGE__HTTP", http.to_string())
        .env("LIGHTMETER__ADMIN__LISTEN", admin.to_string())
        .env("LIGHTMETER__STORAGE__DATA_DIR", home.path().join("data"))
        .env("LIGHTMETER__IMAGES__REFINE", "false")
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let client = new_client();
    let url = format!("http://{http}/coffee.jpg");
    until("any host is served", async || {
        let answer = Request::new(&client, reqwest::Method::GET, &url).accept(CHROMIUM).attempt().await;
        answer.is_some_and(|answer| answer.content_type() == "image/avif")
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn a_second_process_does_not_take_the_cache_of_the_first() {
    let origin = Origin::start().await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let other = edge.config_path().with_file_name("second.toml");
    std::fs::write(&other, Setup::of(&origin).text(free_address(), free_address(), &edge.data_dir())).unwrap();
    let (succeeded, _, errors) = run(&["serve", "--config", other.to_str().unwrap()]);
    assert!(!succeeded && errors.contains("another process"), "{errors}");
}
