//! Proxies before the edge: what those that are trusted say of their clients holds, what anybody else says counts for nothing.

use std::{net::IpAddr, sync::Arc};

use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::harness::{
    Edge, Origin, Reply, Setup,
    raw::Raw,
    setup::HOST,
    tls::{Authority, VERSIONS, connect_over},
    until, until_some,
};

async fn origin() -> Origin {
    Origin::with("/page", Reply::page("page").control("no-store")).await
}

/// What the origin is told of a client that sends these fields: its address and scheme.
async fn told(edge: &Edge, origin: &Origin, fields: &[(&str, &str)]) -> (String, String) {
    let request = fields.iter().fold(edge.get("/page"), |request, (name, value)| request.header(name, value));
    assert!(request.await.status.is_success());
    let asked = origin.last("/page");
    assert_eq!(asked.field("forwarded"), "");
    (asked.field("x-forwarded-for"), asked.field("x-forwarded-proto"))
}

fn pair(address: &str, scheme: &str) -> (String, String) {
    (address.to_owned(), scheme.to_owned())
}

#[tokio::test]
async fn whom_a_trusted_proxy_names_is_the_client() {
    let origin = origin().await;
    let edge = Edge::start(Setup::of(&origin).set("edge.trusted_proxies", "['127.0.0.0/8', '10.0.0.0/8']")).await;
    for (fields, expected) in [
        (
            &[("x-forwarded-for", "6.6.6.6, 192.0.2.1, 10.0.0.7"), ("x-forwarded-proto", "https")][..],
            pair("192.0.2.1", "https"),
        ),
        (
            &[("forwarded", "for=6.6.6.6, for=\"[2001:db8::1]:4711\";proto=https, for=10.0.0.7")],
            pair("2001:db8::1", "https"),
        ),
        (&[("x-forwarded-proto", "https")], pair("127.0.0.1", "https")),
        (&[("forwarded", "for=192.0.2.1"), ("x-forwarded-for", "192.0.2.2")], pair("127.0.0.1", "http")),
        (&[("x-forwarded-for", "rubbish")], pair("127.0.0.1", "http")),
        (&[], pair("127.0.0.1", "http")),
    ] {
        assert_eq!(told(&edge, &origin, fields).await, expected, "{fields:?}");
    }
    let logged = until_some("it is logged", async || {
        let clients: Vec<_> = edge.access_log().iter().map(|line| line["client"].clone()).collect();
        (clients.len() == 6).then_some(clients)
    })
    .await;
    assert_eq!(logged[..3], ["192.0.2.1", "2001:db8::1", "127.0.0.1"]);
}

#[tokio::test]
async fn whom_anybody_else_names_is_not() {
    let origin = origin().await;
    let edge = Edge::start(Setup::of(&origin).set("edge.trusted_proxies", "['10.0.0.0/8']")).await;
    let fields = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "https"), ("forwarded", "for=192.0.2.2")];
    assert_eq!(told(&edge, &origin, &fields).await, pair("127.0.0.1", "http"));
}

#[tokio::test]
async fn clients_of_a_proxy_are_limited_each_by_itself() {
    let origin = origin().await;
    let setup = Setup::of(&origin)
        .set("edge.trusted_proxies", "['127.0.0.1']")
        .set("edge.max_connections_per_address", "1")
        .set("edge.limits.requests_per_second_per_address", "1")
        .set("edge.limits.burst_per_address", "3");
    let edge = Edge::start(setup).await;
    let mut open = Vec::new();
    let mut status = async |client: &str| {
        let request = format!("GET /page HTTP/1.1\r\nHost: {HOST}\r\nX-Forwarded-For: {client}\r\n\r\n");
        let mut raw = Raw::send(edge.http, request).await;
        let status = raw.status().await;
        open.push(raw);
        status
    };
    let mut last = 200;
    for _ in 0..20 {
        last = status("192.0.2.1").await;
        if last == 429 {
            break;
        }
    }
    assert_eq!(last, 429);
    assert_eq!(status("192.0.2.2").await, 200);
}

fn v2(command: u8, client: IpAddr) -> Vec<u8> {
    let IpAddr::V4(client) = client else { panic!("not used here") };
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x20 | command, 0x11, 0, 12]);
    header.extend(client.octets());
    header.extend([127, 0, 0, 1, 0x12, 0x67, 0, 80]);
    header
}

fn page_request() -> Vec<u8> {
    format!("GET /page HTTP/1.1\r\nHost: {HOST}\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn a_proxy_protocol_header_says_whose_a_connection_is() {
    let origin = origin().await;
    let setup = Setup::of(&origin).set("edge.proxy_protocol", "true").set("edge.trusted_proxies", "['127.0.0.1']");
    let edge = Edge::start(setup.set("edge.header_timeout", "'1s'")).await;
    let client = IpAddr::from([192, 0, 2, 1]);
    for (header, expected) in [
        (b"PROXY TCP4 192.0.2.9 127.0.0.1 4711 80\r\n".to_vec(), "192.0.2.9"),
        (b"PROXY TCP6 2001:db8::1 ::1 4711 80\r\n".to_vec(), "2001:db8::1"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (v2(1, client), "192.0.2.1"),
        (v2(0, client), "127.0.0.1"),
    ] {
        let mut raw = Raw::send(edge.http, [header.clone(), page_request()].concat()).await;
        assert_eq!(raw.status().await, 200, "{header:?}");
        assert_eq!(origin.last("/page").field("x-forwarded-for"), expected);
        // Further requests on it are the same client's.
        raw.write(page_request()).await;
        assert_eq!(raw.status().await, 200);
        assert_eq!(origin.last("/page").field("x-forwarded-for"), expected);
    }
    let asked = origin.asked().len();
    for bytes in [page_request(), b"PROXY TCP4 nobody\r\n".to_vec(), vec![0; 300], b"PROXY ".to_vec(), Vec::new()] {
        let mut raw = Raw::send(edge.http, &bytes).await;
        assert_eq!(raw.status().await, 0, "{bytes:?}");
    }
    assert_eq!(origin.asked().len(), asked);
    assert_eq!(edge.metric("lightmeter_refused_total", &[("reason", "proxy_header")]).await, 5);
}

#[tokio::test]
async fn over_tls_it_comes_before_the_handshake() {
    let (authority, origin) = (Authority::new(), origin().await);
    let setup = Setup::of(&origin).set("edge.proxy_protocol", "true").set("edge.trusted_proxies", "['127.0.0.1']");
    let edge = Edge::start(authority.secure(setup, &[HOST])).await;
    let config = Arc::new(authority.client_config(&VERSIONS, &["http/1.1"]));
    let mut stream = TcpStream::connect(edge.https).await.unwrap();
    stream.write_all(&v2(1, IpAddr::from([192, 0, 2, 1]))).await.unwrap();
    let mut raw = Raw::over(connect_over(stream, &config, HOST).await.unwrap());
    raw.write(page_request()).await;
    assert_eq!(raw.status().await, 200);
    let asked = origin.last("/page");
    assert_eq!(
        (asked.field("x-forwarded-for").as_str(), asked.field("x-forwarded-proto").as_str()),
        ("192.0.2.1", "https")
    );
    // Without it there is no handshake.
    let stream = TcpStream::connect(edge.https).await.unwrap();
    assert!(connect_over(stream, &config, HOST).await.is_err());
}

#[tokio::test]
async fn nobody_but_a_trusted_proxy_may_say_so() {
    let origin = origin().await;
    let setup = Setup::of(&origin).set("edge.proxy_protocol", "true").set("edge.trusted_proxies", "['10.0.0.0/8']");
    let edge = Edge::start(setup).await;
    for header in [v2(1, IpAddr::from([192, 0, 2, 1])), Vec::new()] {
        let Some(mut raw) = Raw::try_send(edge.http, [header, page_request()].concat()).await else { continue };
        assert_eq!(raw.status().await, 0);
    }
    assert!(origin.asked().is_empty());
}

#[tokio::test]
async fn clients_behind_a_proxy_protocol_have_places_of_their_own() {
    let origin = origin().await;
    let setup = Setup::of(&origin)
        .set("edge.proxy_protocol", "true")
        .set("edge.trusted_proxies", "['127.0.0.1']")
        .set("edge.max_connections_per_address", "1");
    let edge = Edge::start(setup).await;
    let connect = async |last| {
        let header = v2(1, IpAddr::from([192, 0, 2, last]));
        let mut raw = Raw::send(edge.http, [header, page_request()].concat()).await;
        (raw.status().await, raw)
    };
    let (one, held) = connect(1).await;
    let (other, _held) = connect(2).await;
    let (again, _) = connect(1).await;
    assert_eq!((one, other, again), (200, 200, 0));
    drop(held);
    until("the place is free", async || connect(1).await.0 == 200).await;
}

#[tokio::test]
async fn the_scheme_that_a_trusted_proxy_names_decides_who_is_sent_to_https() {
    let origin = origin().await;
    let setup = Setup::of(&origin).site("https", "'redirect'").site("hsts", "'1d'");
    let believed = Edge::start(setup.clone().set("edge.trusted_proxies", "['127.0.0.1']")).await;
    let not = Edge::start(setup).await;
    let secure = |edge: &Edge| edge.get("/page").header("x-forwarded-proto", "https");
    let answer = secure(&believed).await;
    assert_eq!((answer.status.as_u16(), answer.has("strict-transport-security")), (200, true), "{answer:?}");
    assert_eq!(believed.get("/page").header("x-forwarded-proto", "http").await.status, 308);
    assert_eq!(secure(&not).await.status, 308);
}
