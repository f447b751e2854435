//! The operator's side: who is kept out, what is bounded, and that no secret gets into what is written.

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt as _, time::Duration};

use reqwest::{Method, StatusCode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::harness::{CHROMIUM, Edge, Origin, Reply, Setup, edge::run, pictures, setup::TOKEN};

/// Longer than a head may take.
const PATIENCE: Duration = Duration::from_secs(30);

async fn edge() -> (Origin, Edge) {
    let origin = Origin::with("/a.jpg", Reply::jpeg(pictures::small_jpeg(1))).await;
    let edge = Edge::start(Setup::paid(&origin, "variants").set("log.level", "'trace'")).await;
    (origin, edge)
}

/// Says something on a connection, and reads until the other side closes it.
async fn said_to(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may be closed before all is written.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it was not closed");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn neither_tokens_nor_keys_are_ever_written() {
    const WRONG: &str = "a-wrong-token-that-somebody-tries-to-get-in-with";
    let (_origin, edge) = edge().await;
    let made = edge.admin_request(Method::POST, "/api/v1/accounts/acme/keys").bearer(TOKEN);
    let key = made.json(&serde_json::json!({ "name": "till" })).await.json()["key"].as_str().unwrap().to_owned();
    for _ in 0..3 {
        edge.get("/a.jpg?w=50").accept(CHROMIUM).header("authorization", &format!("Bearer {WRONG}")).await;
        edge.get("/page").header("cookie", &format!("session={WRONG}")).await;
        let refused = edge.admin("/api/v1/accounts").bearer(WRONG).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        assert!(!refused.text().contains(WRONG));
        for known in [TOKEN, &key] {
            assert!(edge.admin("/api/v1/accounts").bearer(known).await.status.is_success());
        }
        let basic = format!("Basic {WRONG}");
        edge.admin("/api/v1/accounts").header("authorization", &basic).await;
    }
    let (is_valid, printed, said) = run(&["check", "--config", edge.config_path().to_str().unwrap()]);
    assert!(is_valid, "{said}");
    let log = edge.log();
    assert!(log.contains("\"level\":\"DEBUG\"") || log.contains("\"level\":\"TRACE\""), "nothing much was logged");
    let readings = edge.admin("/metrics").await.text();
    for written in [&log, &printed, &said, &readings] {
        for secret in [TOKEN, WRONG, &key] {
            assert!(!written.contains(secret), "{secret} is in {}", &written[..written.len().min(4_000)]);
        }
    }
}

#[tokio::test]
async fn who_does_not_know_a_token_waits_for_that_answer_and_has_to_connect_again() {
    let (_origin, edge) = edge().await;
    let request = "GET /api/v1/accounts HTTP/1.1\r\nhost: x\r\nauthorization: Bearer nobodys\r\n\r\n";
    let answer = said_to(edge.admin, format!("{request}{request}").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("connection: close"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "a second one was tried on the connection: {answer}");
}

#[tokio::test]
async fn a_head_on_the_operators_side_is_bounded_in_size_and_time() {
    let (_origin, edge) = edge().await;
    let long = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "a".repeat(64 * 1024));
    let (slow, long) =
        tokio::join!(said_to(edge.admin, b"GET /healthz HTTP/1.1\r\nhost:"), said_to(edge.admin, long.as_bytes()));
    assert!(!slow.contains("200"), "{slow}");
    assert!(long.is_empty() || long.starts_with("HTTP/1.1 431"), "{long}");
    assert!(edge.is_serving().await);
}

#[tokio::test]
async fn what_the_operator_sends_is_bounded() {
    let (_origin, edge) = edge().await;
    let body = format!("{{\"id\":\"{}\"}}", "a".repeat(2 << 20));
    let answer = edge.admin_request(Method::POST, "/api/v1/accounts").bearer(TOKEN).body(body).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn what_is_kept_is_this_users_alone() {
    let (_origin, edge) = edge().await;
    assert!(edge.get("/a.jpg?w=50").accept(CHROMIUM).await.status.is_success());
    let ledger = edge.data_dir().join("ledger.db");
    let mut open = vec![edge.data_dir()];
    let mut files = Vec::new();
    while let Some(path) = open.pop() {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} has the mode {mode:o}", path.display());
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            files.push(path);
        }
    }
    assert!(files.contains(&ledger) && files.len() > 3, "{files:?}");
}

#[test]
fn an_exposed_admin_listener_without_a_real_token_is_refused_at_the_start() {
    let home = tempfile::tempdir().unwrap();
    let (config, token) = (home.path().join("lightmeter.toml"), home.path().join("token"));
    fs::write(&token, "short").unwrap();
    let site = "[[site]]\nid = 'shop'\nhosts = ['shop.test']\norigin = 'https://shop.example'\n";
    for key in ["", "token = 'short'\n", &format!("token_file = '{}'\n", token.display())] {
        // An address of nobody: were it not refused before, it could not be bound.
        let text = format!(
            "[storage]\ndata_dir = '{}'\n[admin]\nlisten = '203.0.113.7:9180'\n{key}{site}",
            home.path().display()
        );
        fs::write(&config, text).unwrap();
        let (ran, _, said) = run(&["serve", "--config", config.to_str().unwrap()]);
        assert!(!ran && said.contains("can be reached by others than this machine"), "{said}");
        assert!(said.contains("openssl rand") && !said.contains("short'"), "{said}");
    }
}
