//! `kill -9` at random moments under load, again and again: nothing that was delivered is lost, nothing is charged twice.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::harness::{
    CHROMIUM, Edge, Origin, Reply, SAFARI_15, Setup, api::number, edge::Ending, edge::run, pictures, pictures::Scan,
    raw::Raw, setup::HOST, until,
};

const KILLS: usize = 20;
const CLIENTS: usize = 6;
const PICTURES: u32 = 40;
/// One piece that is handed to a connection.
const PIECE: u64 = 64 * 1024;

/// What the clients saw, whatever process served them.
#[derive(Default)]
struct Seen {
    /// Body bytes of variants that arrived.
    received: AtomicU64,
    /// Requests whose response broke off or never came: of each, a piece may have been counted and not have arrived.
    broken: AtomicU64,
    /// What was delivered: picture and format.
    delivered: Mutex<BTreeSet<(u32, String)>>,
    is_over: AtomicBool,
}

async fn origin() -> Origin {
    let origin = Origin::start().await;
    for number in 0..PICTURES {
        let picture = pictures::jpeg(200 + number, 150, number, Scan::Baseline);
        origin.set(&format!("/{number}.jpg"), Reply::jpeg(picture).max_age(86_400));
    }
    // Of many pieces, so that a kill finds one on its way.
    origin.set("/large.png", Reply::png(pictures::noise_png(1_200, 900)).max_age(86_400));
    origin
}

/// A visitor who asks again and again, and counts what reaches him.
async fn visit(http: std::net::SocketAddr, seen: Arc<Seen>, seed: u64) {
    let mut state = seed;
    while !seen.is_over.load(Ordering::Relaxed) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let choice = (state >> 33) as u32;
        let accept = if choice.is_multiple_of(3) { SAFARI_15 } else { CHROMIUM };
        let number = choice / 8 % PICTURES;
        let path = if choice.is_multiple_of(8) { "/large.png".to_owned() } else { format!("/{number}.jpg") };
        let head = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
        let Some(mut connection) = Raw::try_send(http, head).await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let bytes = connection.rest().await;
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            seen.broken.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let (head, body) = (String::from_utf8_lossy(&bytes[..end]).to_lowercase(), &bytes[end + 4..]);
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let format = field("content-type").unwrap_or_default().trim_start_matches("image/").to_owned();
        let detail = field("cache-status").and_then(|status| status.rsplit_once("detail=")).map(|(_, detail)| detail);
        if detail != Some(format.as_str()) {
            continue;
        }
        seen.received.fetch_add(body.len() as u64, Ordering::Relaxed);
        if field("content-length").and_then(|len| len.parse().ok()) != Some(body.len()) {
            seen.broken.fetch_add(1, Ordering::Relaxed);
        } else if path != "/large.png" {
            seen.delivered.lock().unwrap().insert((number, format));
        }
    }
}

/// Runs visitors against an edge that is killed and started again and again.
async fn kill_again_and_again(edge: &mut Edge, seen: &Arc<Seen>) {
    let visitors: Vec<_> =
        (0..CLIENTS as u64).map(|seed| tokio::spawn(visit(edge.http, Arc::clone(seen), seed + 1))).collect();
    for kill in 0..KILLS {
        // From at once to well under way, at other moments each time.
        tokio::time::sleep(Duration::from_millis(30 + (kill as u64 * 97) % 400)).await;
        edge.kill_and_start().await;
    }
    seen.is_over.store(true, Ordering::Relaxed);
    for visitor in visitors {
        visitor.await.unwrap();
    }
}

fn assert_verified(edge: &Edge) {
    let (agrees, output, errors) = run(&["ledger", "verify", "--config", edge.config_path().to_str().unwrap()]);
    assert!(agrees, "{output}{errors}");
}

#[tokio::test]
async fn egress_is_counted_between_what_arrived_and_what_could_have() {
    let origin = origin().await;
    let mut edge = Edge::start(Setup::paid(&origin, "egress").account("rich", "max")).await;
    edge.grant("acme", "100000").await;
    let seen = Arc::new(Seen::default());
    kill_again_and_again(&mut edge, &seen).await;
    edge.until_posted().await;
    let usage = edge.usage("shop").await;
    let counted = usage["egress_bytes"].as_u64().unwrap();
    let received = seen.received.load(Ordering::Relaxed);
    let broken = seen.broken.load(Ordering::Relaxed);
    assert!(received > 1_000_000, "hardly anything was served: {received} bytes");
    assert!(received <= counted, "{received} bytes arrived, {counted} are counted");
    // What a killed process has written, the system still sends: only the piece that it was about to write is in doubt.
    assert!(counted <= received + broken * PIECE, "{counted} are counted, {received} arrived, {broken} broke off");
    let charged = (number(&usage["credits"]["egress"]) * 1e6).round() as u64;
    assert_eq!(charged, counted / 5, "5 bytes are a microcredit");
    assert_verified(&edge);
}

#[tokio::test]
async fn each_component_that_was_delivered_is_charged_once() {
    let origin = origin().await;
    let mut edge = Edge::start(Setup::paid(&origin, "variants")).await;
    edge.grant("acme", "1000").await;
    let seen = Arc::new(Seen::default());
    kill_again_and_again(&mut edge, &seen).await;
    // A charge may have been made durable at the moment of a kill, its delivery not: every picture is viewed once more, in
    // both formats, so that what is charged and what is delivered must be the same.
    let mut components = BTreeSet::new();
    for number in 0..PICTURES {
        for accept in [CHROMIUM, SAFARI_15] {
            let path = format!("/{number}.jpg");
            until("it is delivered", async || {
                let answer = edge.get(&path).accept(accept).await;
                let detail = answer.detail();
                let is_variant = ["avif", "webp"].contains(&detail.as_str());
                if is_variant {
                    components.insert((number, detail));
                    components.insert((number, "size".to_owned()));
                }
                is_variant
            })
            .await;
        }
    }
    for (number, format) in seen.delivered.lock().unwrap().iter() {
        assert!(components.contains(&(*number, format.clone())), "{number} {format}");
    }
    let mut large = 0.0;
    for (accept, detail) in [(CHROMIUM, "avif"), (SAFARI_15, "webp")] {
        if edge.get("/large.png").accept(accept).await.detail() == detail {
            large += 1.0;
        }
    }
    if large > 0.0 {
        large += 1.0;
    }
    let usage = edge.usage("shop").await;
    assert_eq!(number(&usage["credits"]["total"]), components.len() as f64 + large);
    assert_eq!(edge.credits("acme").await, 1_100.0 - components.len() as f64 - large);
    assert_verified(&edge);
    let edge = edge.restart(Ending::Stopped).await;
    assert_verified(&edge);
}
