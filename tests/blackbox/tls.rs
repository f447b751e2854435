//! Handshakes with real clients: what is spoken, which certificate is shown, who is refused, and that none of it outlasts a
//! stop or is lost by a reload.

use std::{fs, io, sync::Arc};

use reqwest::{Method, StatusCode, Version};
use rustix::process::Signal;
use rustls::{AlertDescription, Error, HandshakeKind, version::TLS13};

use crate::harness::{
    CHROMIUM, Edge, Gate, Origin, Reply, Setup,
    frames::{ACK, DATA, Frames, NO_ERROR, PING, frame, get},
    pictures,
    raw::Raw,
    reply::Content,
    request::Request,
    setup::HOST,
    tls::{Authority, VERSIONS, certificate_of, connect, shown},
    until,
    wait::DEADLINE,
};

const PAGE: &str = "GET /page HTTP/1.1\r\nHost: shop.test\r\n\r\n";

async fn shop() -> (Authority, Origin, Edge) {
    shop_with(|setup| setup).await
}

async fn shop_with(change: impl Fn(Setup) -> Setup) -> (Authority, Origin, Edge) {
    let authority = Authority::new();
    let origin = Origin::with("/page", Reply::ok("text/html", "<p>page</p>")).await;
    let edge = Edge::start(change(authority.secure(Setup::of(&origin), &[HOST, "127.0.0.1"]))).await;
    (authority, origin, edge)
}

fn url(edge: &Edge, host: &str, path: &str) -> String {
    format!("https://{host}:{}{path}", edge.https.port())
}

/// Why the server refused.
fn alert(error: io::Error) -> AlertDescription {
    match error.into_inner().unwrap().downcast_ref() {
        Some(Error::AlertReceived(alert)) => *alert,
        other => panic!("{other:?}"),
    }
}

async fn handshakes(edge: &Edge, result: &str) -> u64 {
    edge.metric("lightmeter_tls_handshakes_total", &[("result", result)]).await
}

#[tokio::test]
async fn both_versions_of_http_and_of_tls_are_spoken() {
    let (authority, _origin, edge) = shop().await;
    for (protocols, version) in
        [(&["h2", "http/1.1"][..], Version::HTTP_2), (&["http/1.1"], Version::HTTP_11), (&[], Version::HTTP_11)]
    {
        let client = authority.client(&edge, HOST, protocols);
        let response = client.get(url(&edge, HOST, "/page")).send().await.unwrap();
        assert_eq!((response.version(), response.status()), (version, StatusCode::OK), "{protocols:?}");
        assert_eq!(response.text().await.unwrap(), "<p>page</p>");
    }
    for version in VERSIONS {
        let config = Arc::new(authority.client_config(&[version], &[]));
        let stream = connect(edge.https, &config, HOST).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
        let mut raw = Raw::over(stream);
        raw.write(PAGE).await;
        assert_eq!(raw.status().await, 200);
    }
}

#[tokio::test]
async fn older_versions_are_refused_and_the_oldest_can_be_raised() {
    let (_authority, _origin, edge) = shop().await;
    for minor in [0, 1, 2] {
        let said = Raw::send(edge.https, hello(minor)).await.rest().await;
        assert_eq!(said.last(), Some(&u8::from(AlertDescription::ProtocolVersion)), "3.{minor}: {said:?}");
    }
    let said = Raw::send(edge.https, hello(3)).await.read_until(|bytes| !bytes.is_empty()).await;
    assert_eq!(said[0], 22, "the same in TLS 1.2 is answered by a handshake: {said:?}");

    let (authority, _origin, edge) = shop_with(|setup| setup.set("edge.tls.min_version", "'1.3'")).await;
    let [newer, older] = VERSIONS.map(|version| Arc::new(authority.client_config(&[version], &[])));
    assert!(connect(edge.https, &newer, HOST).await.is_ok());
    let refused = connect(edge.https, &older, HOST).await.unwrap_err();
    assert_eq!(alert(refused), AlertDescription::ProtocolVersion);
}

/// A ClientHello of SSL 3.`minor` for [`HOST`], with all that TLS 1.2 needs.
fn hello(minor: u8) -> Vec<u8> {
    let short = |len: usize| u16::try_from(len).unwrap().to_be_bytes();
    let vector = |body: &[u8]| [&short(body.len())[..], body].concat();
    let extension = |kind: u16, body: &[u8]| [&kind.to_be_bytes()[..], &vector(body)].concat();
    let name = vector(&[&[0], &vector(HOST.as_bytes())[..]].concat());
    let extensions = [
        extension(0, &name),
        extension(10, &vector(&[0, 29, 0, 23])),
        extension(11, &[1, 0]),
        extension(13, &vector(&[4, 3, 8, 4])),
    ];
    let suites = vector(&[0xc0, 0x2b, 0xc0, 0x09, 0xc0, 0x13]);
    let body = [&[3, minor][..], &[7; 32], &[0], &suites, &[1, 0], &vector(&extensions.concat())].concat();
    let message = [&[1, 0][..], &vector(&body)].concat();
    [&[22, 3, 1][..], &vector(&message)].concat()
}

#[tokio::test]
async fn a_session_is_taken_up_again_in_either_version() {
    let (authority, _origin, edge) = shop().await;
    for version in VERSIONS {
        let config = Arc::new(authority.client_config(&[version], &[]));
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut stream = connect(edge.https, &config, HOST).await.unwrap();
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind), "{version:?}");
            // The ticket comes before the answer.
            let mut raw = Raw::over(&mut stream);
            raw.write(PAGE).await;
            assert_eq!(raw.status().await, 200);
        }
    }
    assert_eq!((handshakes(&edge, "full").await, handshakes(&edge, "resumed").await), (2, 2));
    assert!(edge.metric("lightmeter_tls_certificate_expiry_seconds", &[("from", "file")]).await > 0);
}

#[tokio::test]
async fn the_certificate_is_that_of_the_name() {
    let (authority, origin) = (Authority::new(), Origin::with("/page", Reply::ok("text/html", "page")).await);
    let mut setup = Setup::empty().with_site("any", &["*"], &origin.url());
    for (stem, names) in [("first", &["shop.test"][..]), ("wild", &["*.wild.test"]), ("exact", &["x.wild.test"])] {
        authority.sign(stem, names);
        setup = setup.certificate(&authority.chain(stem), &authority.key(stem));
    }
    let edge = Edge::start(setup).await;
    for (name, stem) in
        [("shop.test", "first"), ("SHOP.test", "first"), ("a.wild.test", "wild"), ("x.wild.test", "exact")]
    {
        let stream = authority.connect(&edge, name).await.unwrap();
        assert_eq!(shown(&stream), certificate_of(&authority.chain(stem)), "{name}");
    }
    for name in ["other.test", "wild.test", "a.b.wild.test", "sub.shop.test"] {
        let refused = authority.connect(&edge, name).await.unwrap_err();
        assert_eq!(alert(refused), AlertDescription::UnrecognisedName, "{name}");
    }
    assert_eq!(handshakes(&edge, "unknown_name").await, 4);
    assert!(edge.access_log().is_empty() && origin.asked().is_empty());
}

#[tokio::test]
async fn a_client_that_names_nobody_gets_the_first_certificate_and_any_site() {
    let (authority, _origin, edge) = shop().await;
    let stream = authority.connect(&edge, "127.0.0.1").await.unwrap();
    assert_eq!(shown(&stream), certificate_of(&authority.chain("site")));
    let mut raw = Raw::over(stream);
    raw.write(PAGE).await;
    assert_eq!(raw.status().await, 200);
}

#[tokio::test]
async fn garbage_and_half_handshakes_are_closed_and_hurt_nobody() {
    let (authority, _origin, mut edge) = shop_with(|setup| setup.set("edge.header_timeout", "'500ms'")).await;
    let hello = hello(3);
    let mut flipped = hello.clone();
    flipped[60..].iter_mut().for_each(|byte| *byte ^= 0x55);
    let table: [(&str, &[u8]); 9] = [
        ("nothing", b""),
        ("one byte", b"\x16"),
        ("half a hello", &hello[..hello.len() / 2]),
        ("a hello and then nothing", &hello),
        ("a hello that is none", &flipped),
        ("plain HTTP", b"GET /page HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
        ("another protocol", b"SSH-2.0-OpenSSH_9.6\r\n"),
        ("an empty record", b"\x16\x03\x01\x00\x00"),
        ("zeros", &[0; 100_000]),
    ];
    for (name, bytes) in table {
        let mut raw = Raw::send(edge.https, bytes).await;
        assert!(raw.is_closed_within(DEADLINE).await, "{name} is still open");
    }
    until("nothing of them is left", async || edge.metric("lightmeter_connections", &[]).await == 0).await;
    assert!(handshakes(&edge, "timed_out").await >= 4 && handshakes(&edge, "failed").await >= 4);
    assert!(edge.is_alive() && authority.connect(&edge, HOST).await.is_ok());
}

#[tokio::test]
async fn a_handshake_takes_the_place_of_a_connection() {
    // One is kept for whoever comes in the clear.
    let change = |setup: Setup| setup.set("edge.max_connections", "2");
    let (authority, _origin, edge) = shop_with(change).await;
    let silent = Raw::send(edge.https, "").await;
    edge.until_metric("lightmeter_connections", &[], |open| open == 1).await;
    let visit = tokio::spawn({
        let config = Arc::new(authority.client_config(&VERSIONS, &[]));
        let address = edge.https;
        async move { connect(address, &config, HOST).await.is_ok() }
    });
    assert_eq!(handshakes(&edge, "full").await, 0);
    drop(silent);
    assert!(visit.await.unwrap(), "the place is free again");
}

#[tokio::test]
async fn a_reload_shows_new_certificates_and_drops_no_connection() {
    let (authority, _origin, edge) = shop().await;
    let stream = authority.connect(&edge, HOST).await.unwrap();
    let before = shown(&stream);
    let mut open = Raw::over(stream);
    open.write(PAGE).await;
    assert_eq!(open.status().await, 200);
    authority.sign("site", &[HOST]);
    edge.signal(Signal::HUP);
    let after = certificate_of(&authority.chain("site"));
    assert_ne!(before, after);
    until("the new one is shown", async || shown(&authority.connect(&edge, HOST).await.unwrap()) == after).await;
    open.write(PAGE).await;
    assert_eq!(open.status().await, 200);
    assert!(!edge.log().contains("need a restart"), "{}", edge.log());
}

#[tokio::test]
async fn a_broken_file_changes_nothing_on_a_reload_and_stops_a_start() {
    let (authority, _origin, edge) = shop().await;
    let before = certificate_of(&authority.chain("site"));
    fs::write(authority.chain("site"), "-----BEGIN CERTIFICATE-----\nnone\n").unwrap();
    edge.signal(Signal::HUP);
    until("it says why", async || edge.log().contains("edge.tls.certificate[0].chain")).await;
    assert_eq!(shown(&authority.connect(&edge, HOST).await.unwrap()), before);
    let path = edge.config_path();
    let (succeeded, _, errors) = crate::harness::edge::run(&["serve", "--config", path.to_str().unwrap()]);
    for part in ["lightmeter.toml", "edge.tls.certificate[0].chain", "site.pem"] {
        assert!(!succeeded && errors.contains(part), "{part} is not in {errors}");
    }
}

#[tokio::test]
async fn a_key_that_everybody_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let (authority, _origin, edge) = shop().await;
    let open_to_all = |edge: &Edge| edge.log().matches("everybody on this machine").count();
    let warned = open_to_all(&edge);
    fs::set_permissions(authority.key("site"), fs::Permissions::from_mode(0o644)).unwrap();
    edge.signal(Signal::HUP);
    until("it is warned of", async || open_to_all(&edge) > warned).await;
    fs::set_permissions(authority.key("site"), fs::Permissions::from_mode(0o600)).unwrap();
    let warned = open_to_all(&edge);
    edge.signal(Signal::HUP);
    until("it is read again", async || edge.log().matches("sites reloaded").count() == 2).await;
    assert_eq!(open_to_all(&edge), warned);
}

#[tokio::test]
async fn a_stop_says_goodbye_to_http_2_and_lets_it_finish() {
    let gate = Gate::closed();
    let (authority, origin, mut edge) = shop_with(|setup| setup.set("edge.drain_timeout", "'60s'")).await;
    origin.set("/slow", Reply::of(Content::Gated("first ".into(), gate.clone(), "second".into())));
    let config = Arc::new(authority.client_config(&[&TLS13], &["h2"]));
    let stream = connect(edge.https, &config, HOST).await.unwrap();
    let mut client = Frames::over(stream, &[]).await;
    client.send(get(1, "/slow")).await;
    assert_eq!(client.until(|frame| frame.kind == DATA).await.unwrap().payload, b"first ");
    let silent = Raw::send(edge.https, "").await;
    edge.until_metric("lightmeter_connections", &[], |open| open == 2).await;
    edge.signal(Signal::TERM);
    assert_eq!(client.goaway().await, Some(NO_ERROR));
    // By its answer the server knows that it was heard: from then on nothing is asked.
    let heard = client.until(|frame| frame.kind == PING).await.unwrap();
    client.send(frame(PING, ACK, 0, &heard.payload)).await;
    assert_eq!(client.goaway().await, Some(NO_ERROR));
    assert!(edge.is_alive(), "it did not wait for the download");
    gate.open();
    assert_eq!(client.body(1).await, b"second");
    assert!(client.next().await.is_none());
    assert!(edge.exited().await.success(), "nobody waits for a client that is silent");
    drop(silent);
}

#[tokio::test]
async fn bytes_over_tls_count_as_they_do_in_the_clear() {
    let authority = Authority::new();
    let origin = Origin::with("/coffee.jpg", Reply::jpeg(pictures::demo("coffee.jpg")).max_age(86_400)).await;
    let edge = Edge::start(authority.secure(Setup::paid(&origin, "egress"), &[HOST])).await;
    edge.until_entitlement("shop", "optimize").await;
    let mut sent = 0;
    for protocols in [&["h2"][..], &["http/1.1"]] {
        let client = authority.client(&edge, HOST, protocols);
        let url = url(&edge, HOST, "/coffee.jpg?w=300");
        sent += Request::new(&client, Method::GET, &url).accept(CHROMIUM).await.body.len() as u64;
        sent += edge.get("/coffee.jpg?w=300").accept(CHROMIUM).await.body.len() as u64;
    }
    until("all is posted", async || {
        edge.until_posted().await;
        edge.usage("shop").await["egress_bytes"].as_u64().unwrap() == sent
    })
    .await;
}
