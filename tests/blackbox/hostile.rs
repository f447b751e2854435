//! Two hostile days, short: ordinary visitors of a metered site among all that strangers send. At the end the process is as
//! healthy as before, what it took it has given back, and the ledger says what was delivered, and nothing else. That memory does
//! not grow from day to day is seen on the second: on the first, caches fill.
//! `HOSTILE_SECONDS` makes the days longer (`make hostile`).

use std::{
    cell::RefCell,
    collections::BTreeSet,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{
    CHROMIUM, CURL, Edge, Origin, Reply, SAFARI_15, Setup, api::number, edge::run, pictures, ports::free_address,
    raw::Raw, setup::HOST, until,
};

/// Of each day.
const DEFAULT_SECONDS: u64 = 8;
const DAYS: u64 = 2;

/// Attackers at once, and visitors.
const ATTACKERS: u64 = 8;
const VISITORS: u64 = 3;

/// The metered site's pictures, and their sizes that visitors look at.
const PICTURES: u64 = 5;
const WIDTHS: [u32; 2] = [60, 80];
/// A size that is only asked for by who goes away before he has it.
const ABORTED_WIDTH: u32 = 100;

/// The site that is only attacked; nobody pays for it.
const ATTACKED: &str = "attacked.test";

/// What the process may keep beyond what it had after the first day: what the allocator holds back.
const ALLOWED_MIB: u64 = 32;

/// Chance that can be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        (0..self.below(most)).map(|_| u8::try_from(self.below(256)).unwrap()).collect()
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }
}

fn setup(origin: &Origin, https: SocketAddr, home: &Path) -> Setup {
    let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
    let (chain, key) = (home.join("chain.pem"), home.join("key.pem"));
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let certificate = format!("[{{ chain = '{}', key = '{}' }}]", chain.display(), key.display());
    let setup = Setup::paid(origin, "variants").set("images.memory_budget", "'128MiB'").set("images.max_sizes", "20");
    let setup =
        setup.set("cache.memory_bytes", "'16MiB'").set("cache.disk_bytes", "'64MiB'").set("log.access", "false");
    let setup = setup.set("edge.tls.https", &format!("'{https}'")).set("edge.tls.certificate", &certificate);
    setup.with_site("attacked", &[ATTACKED], &origin.url())
}

/// An origin with the visitors' pictures, and with others that are broken in many ways.
async fn origin(dice: &mut Dice) -> Origin {
    let origin = Origin::start().await;
    let picture = pictures::demo("coffee.jpg");
    for number in 0..PICTURES {
        let reply = Reply::jpeg(pictures::with_comment(&picture, &number.to_string())).max_age(86_400);
        origin.set(&format!("/{number}.jpg"), reply);
    }
    origin.set("/big.bin", Reply::ok("application/octet-stream", vec![7; 4 << 20]).max_age(86_400));
    for number in 0..GARBAGE {
        let mut bytes = picture.to_vec();
        match number % 4 {
            0 => bytes.truncate(usize::try_from(dice.below(20_000)).unwrap()),
            1 => (0..200).for_each(|_| bytes[dice.below(picture.len() as u64) as usize] = dice.below(256) as u8),
            2 => bytes = [&picture[..4], &dice.bytes(50_000)].concat(),
            _ => bytes = dice.bytes(50_000),
        }
        origin.set(&format!("/garbage{number}.jpg"), Reply::jpeg(Bytes::from(bytes)));
    }
    origin
}

const GARBAGE: u64 = 40;

/// What has been delivered of the metered site so far: picture, width and format.
type Delivered = RefCell<BTreeSet<(u64, u32, &'static str)>>;

/// Looks at pictures like anybody, until the day is over.
async fn visit(edge: &Edge, mut dice: Dice, end: Instant, delivered: &Delivered) {
    while Instant::now() < end {
        let (number, width) = (dice.below(PICTURES), WIDTHS[usize::try_from(dice.below(2)).unwrap()]);
        let accept = dice.of(&[CHROMIUM, SAFARI_15, CURL]);
        let request = edge.get(&format!("/{number}.jpg?w={width}")).accept(accept);
        let Some(answer) = request.attempt().await else { panic!("a visitor's answer broke off") };
        assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
        let format = match answer.detail().as_str() {
            "busy" | "deadline" => continue,
            _ => answer.picture().format,
        };
        delivered.borrow_mut().insert((number, width, format));
    }
}

/// One attack after the other, until the day is over.
async fn attack(edge: &Edge, https: SocketAddr, mut dice: Dice, end: Instant, delivered: &Delivered) {
    while Instant::now() < end {
        let address = if dice.below(4) == 0 { https } else { edge.http };
        match dice.below(11) {
            0 => sent(address, &dice.bytes(5_000)).await,
            1 => sent(https, &hello(&mut dice)).await,
            2 => sent(edge.admin, &wrong_token(&mut dice)).await,
            3 => sent(edge.http, &strange_path(&mut dice)).await,
            4 => sent(edge.http, &strange_head(&mut dice)).await,
            5 => sent(edge.http, &[&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &dice.bytes(2_000)].concat()).await,
            6 => {
                let path = format!("/garbage{}.jpg?w={}", dice.below(GARBAGE), 1 + dice.below(3_000));
                edge.get(&path).host(ATTACKED).accept(CHROMIUM).attempt().await;
            }
            7 => {
                let path = format!("/{}.jpg?w={}&q={}", dice.below(PICTURES), dice.below(5_000), dice.below(120));
                edge.get(&path).host(ATTACKED).accept(CHROMIUM).attempt().await;
            }
            8 => aborted(edge.http, "/big.bin", CURL, 1 + dice.below(5_000)).await,
            9 => aborted_delivery(edge.http, &mut dice, delivered).await,
            _ => aborted_again(edge.http, &mut dice, delivered).await,
        }
    }
}

/// Sends bytes, reads some of what comes, and goes away.
async fn sent(address: SocketAddr, bytes: &[u8]) {
    let Ok(mut stream) = tokio::net::TcpStream::connect(address).await else { return };
    // It may be closed in the middle.
    let _ = stream.write_all(bytes).await;
    let _ = tokio::time::timeout(Duration::from_millis(100), stream.read(&mut [0; 4096])).await;
}

/// A TLS handshake that ends too soon, or goes on with nonsense.
fn hello(dice: &mut Dice) -> Vec<u8> {
    let length = 40 + dice.below(400);
    let mut hello = vec![0x16, 3, 1, (length >> 8) as u8, length as u8, 1, 0, (length >> 8) as u8, length as u8, 3, 3];
    hello.extend(dice.bytes(length));
    hello
}

fn wrong_token(dice: &mut Dice) -> Vec<u8> {
    format!(
        "DELETE /api/v1/accounts/acme HTTP/1.1\r\nhost: x\r\nauthorization: Bearer lmk_{:064x}\r\n\r\n",
        dice.below(1 << 60)
    )
    .into_bytes()
}

/// Paths that none of the visitors' pictures has.
fn strange_path(dice: &mut Dice) -> Vec<u8> {
    let long = format!("/none/{}", "a".repeat(usize::try_from(dice.below(70_000)).unwrap()));
    let path = match dice.below(10) {
        0 => "/none%00.jpg",
        1 => "/../../../etc/passwd",
        2 => "//none//%2e%2e/%2e%2e/etc/passwd.jpg",
        3 => "/none/%c0%ae%c0%ae/%ff%fe.jpg",
        4 => "/lm/w=1,w=2,fit=nonsense/none.jpg",
        5 => "/lm/w=99999999999999999999/http://169.254.169.254/none.jpg",
        6 => "http://shop.test:99999/none.jpg",
        7 => "/none.jpg?w=%zz&%=1&&&=%00",
        8 => "*",
        _ => &long,
    };
    let method = dice.of(&["GET", "HEAD", "OPTIONS", "TRACE", "CONNECT", "BREW", "get", "DELETE"]);
    format!("{method} {path} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n").into_bytes()
}

/// Heads that are too large, too many, or say two things.
fn strange_head(dice: &mut Dice) -> Vec<u8> {
    let many = (0..dice.below(300)).map(|number| format!("x-{number}: {number}\r\n")).collect::<String>();
    let field = match dice.below(6) {
        0 => format!("x: {}\r\n", "a".repeat(usize::try_from(dice.below(100_000)).unwrap())),
        1 => "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /none HTTP/1.1\r\n".to_owned(),
        2 => "host: other.test\r\n".to_owned(),
        3 => "range: bytes=0-0,1-1,2-2,-1,5-\r\nif-range: \"x\r\n".to_owned(),
        4 => "transfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n".to_owned(),
        _ => many,
    };
    format!("GET /none.jpg HTTP/1.1\r\nhost: {HOST}\r\n{field}\r\n").into_bytes()
}

/// Begins a download, takes a little of it, and resets. Nothing is taken of it where `most` is 0.
async fn aborted(address: SocketAddr, path: &str, accept: &str, most: u64) {
    if let Some(mut raw) = Raw::try_send(address, request(path, accept)).await {
        if most > 0 {
            raw.read_some(usize::try_from(most).unwrap()).await;
        }
        raw.reset();
    }
}

fn request(path: &str, accept: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\naccept: {accept}\r\n\r\n")
}

/// Aborts the download of a variant of the metered site when its head is there, which is when it has been charged for.
async fn aborted_delivery(address: SocketAddr, dice: &mut Dice, delivered: &Delivered) {
    let (number, accept) = (dice.below(PICTURES), dice.of(&[CHROMIUM, SAFARI_15, CURL]));
    let path = format!("/{number}.jpg?w={ABORTED_WIDTH}");
    let Some(mut raw) = Raw::try_send(address, request(&path, accept)).await else { return };
    let head = raw.head().await;
    raw.reset();
    if head.contains("detail=busy") || head.contains("detail=deadline") {
        return;
    }
    let is_format = |format: &&str| head.contains(&format!("content-type: image/{format}\r\n"));
    let format = ["avif", "webp", "jpeg"].into_iter().find(is_format);
    let format = format.unwrap_or_else(|| panic!("{path} was answered with {head}"));
    delivered.borrow_mut().insert((number, ABORTED_WIDTH, format));
}

/// Begins what has been delivered before, so that it costs nothing more, and goes away sooner or later.
async fn aborted_again(address: SocketAddr, dice: &mut Dice, delivered: &Delivered) {
    let (number, width, format) = {
        let delivered = delivered.borrow();
        let chosen = dice.below(delivered.len() as u64);
        *delivered.iter().nth(usize::try_from(chosen).unwrap()).unwrap()
    };
    let accept = match format {
        "avif" => CHROMIUM,
        "webp" => SAFARI_15,
        _ => CURL,
    };
    aborted(address, &format!("/{number}.jpg?w={width}"), accept, dice.below(3) * 300).await;
}

/// What the deliveries cost: a credit for each size, and one for each of AVIF and WebP that it went out in.
fn cost(delivered: &BTreeSet<(u64, u32, &str)>) -> f64 {
    let sizes: BTreeSet<_> = delivered.iter().map(|(number, width, _)| (number, width)).collect();
    let formats = delivered.iter().filter(|(.., format)| matches!(*format, "avif" | "webp")).count();
    (sizes.len() + formats) as f64
}

/// Visitors and attackers together, for so long.
async fn day(edge: &Edge, https: SocketAddr, number: u64, seconds: u64, delivered: &Delivered) {
    let end = Instant::now() + Duration::from_secs(seconds);
    let seed = |one: u64, of: u64| Dice(one + number * 15_485_863 + of * 7_919);
    let attackers = (0..ATTACKERS).map(|one| attack(edge, https, seed(0x9E37_79B9, one), end, delivered));
    let visitors = (0..VISITORS).map(|one| visit(edge, seed(0xDEAD_BEEF, one), end, delivered));
    tokio::join!(join_all(attackers), join_all(visitors));
}

/// What was taken is given back, but for some connections that the clients of this test keep open.
async fn until_at_rest(edge: &Edge) {
    let kept = ATTACKERS + VISITORS + 2;
    edge.until_metric("lightmeter_connections", &[], |open| open <= kept).await;
    edge.until_metric("lightmeter_queue_depth", &[], |depth| depth == 0).await;
    edge.until_metric("lightmeter_memory_budget_in_use_bytes", &[], |bytes| bytes == 0).await;
}

#[tokio::test]
async fn after_a_hostile_day_all_is_as_it_was_and_the_ledger_is_exact() {
    let seconds = std::env::var("HOSTILE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(DEFAULT_SECONDS);
    let (https, home) = (free_address(), tempfile::tempdir().unwrap());
    let origin = origin(&mut Dice(7)).await;
    let mut edge = Edge::start(setup(&origin, https, home.path())).await;
    let delivered = Delivered::default();
    for (number, width) in (0..PICTURES).flat_map(|number| WIDTHS.map(|width| (number, width))) {
        let answer = edge.get(&format!("/{number}.jpg?w={width}")).accept(CHROMIUM).await;
        delivered.borrow_mut().insert((number, width, answer.picture().format));
    }
    let mut resident = vec![edge.resident_mib()];
    for number in 0..DAYS {
        day(&edge, https, number, seconds, &delivered).await;
        until_at_rest(&edge).await;
        resident.push(edge.resident_mib());
    }

    assert!(edge.is_alive(), "the process is gone");
    for probe in ["/healthz", "/readyz"] {
        assert_eq!(edge.admin(probe).await.status.as_u16(), 200, "{probe}");
    }
    assert!(edge.get("/0.jpg?w=60").accept(CHROMIUM).await.is_hit());
    let client = reqwest::Client::builder().no_proxy().resolve(HOST, https).danger_accept_invalid_certs(true).build();
    let url = format!("https://{HOST}:{}/0.jpg?w=60", https.port());
    assert_eq!(client.unwrap().get(url).header("accept", CHROMIUM).send().await.unwrap().status().as_u16(), 200);
    assert!(!edge.log().contains("panicked"), "something panicked");

    let allowed = resident[1] + ALLOWED_MIB;
    until("memory is back", async || edge.resident_mib() <= allowed).await;

    let delivered = delivered.into_inner();
    let expected = cost(&delivered);
    println!("{} variants delivered, {expected} credits; {resident:?} MiB", delivered.len());
    until("all charges are in the ledger", async || edge.credits("acme").await <= 100.0 - expected).await;
    assert_eq!(edge.credits("acme").await, 100.0 - expected, "{delivered:?}");
    assert_eq!(number(&edge.usage("shop").await["credits"]["total"]), expected);
    let (agrees, _, said) = run(&["ledger", "verify", "--data-dir", edge.data_dir().to_str().unwrap()]);
    assert!(agrees, "{said}");
}
