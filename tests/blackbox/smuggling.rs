//! Requests that two readers could read in two ways (RFC 9110, 9112), in the clear and over TLS: each is answered as the RFC
//! says, and what follows it on the same connection is answered as a request of its own or not at all.

use reqwest::Method;

use crate::harness::{
    CHROMIUM, Edge, Origin, Reply, Setup,
    raw::{Raw, Stream},
    setup::HOST,
    tls::Authority,
    until,
};

/// What is hidden in bodies, or follows a request: nobody may ask the origin for it but where it follows a whole one.
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n";

/// What becomes of a request, and of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// This status, and the connection ends: what follows is not read.
    Ends(u16),
    /// This status, and the next request is answered as its own.
    Goes(u16),
    /// No HTTP, no answer, or one without a head.
    Nothing,
}

use Then::{Ends, Goes, Nothing};

/// Requests without their `Host`, which all have but those that say otherwise.
const FRAMINGS: &[(&str, &str, Then)] = &[
    ("a whole request", "GET /page HTTP/1.1\r\nHost: shop.test\r\n\r\n", Goes(200)),
    (
        "a body that is as long as it says",
        "POST /page HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 4\r\n\r\nbody",
        Goes(200),
    ),
    (
        "chunks",
        "POST /page HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
        Goes(200),
    ),
    (
        "chunks with an extension",
        "POST /page HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n4;a=b\r\nbody\r\n0\r\n\r\n",
        Goes(200),
    ),
    (
        "chunks in capitals",
        "POST /page HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: Chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
        Goes(200),
    ),
    (
        "chunks with a trailer",
        "POST /page HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n",
        Goes(200),
    ),
    // RFC 9112, 6.1 and 6.3: what is coded in another way than chunked, or not chunked at last.
    (
        "a coding that is not chunked",
        "POST /page HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: xchunked\r\n\r\n",
        Ends(400),
    ),
    (
        "chunked, but not at last",
        "POST /page HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        Ends(400),
    ),
    (
        "chunked twice",
        "POST /page HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        Ends(400),
    ),
    (
        "two fields of chunked",
        "POST /page HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Ends(400),
    ),
    (
        "two fields, the last not chunked",
        "POST /page HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        Ends(400),
    ),
    (
        "chunks in HTTP/1.0",
        "POST /page HTTP/1.0\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Ends(400),
    ),
    (
        "a coding behind a control character",
        "POST /page HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        Ends(400),
    ),
    // RFC 9112, 6.3: lengths that are no number, or two. The same length twice may be taken for one.
    (
        "two lengths",
        "POST /page HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody",
        Ends(400),
    ),
    (
        "the same length twice",
        "POST /page HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nbody",
        Goes(200),
    ),
    ("a list of lengths", "POST /page HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 4, 4\r\n\r\nbody", Ends(400)),
    ("a negative length", "POST /page HTTP/1.1\r\nHost: shop.test\r\nContent-Length: -1\r\n\r\n", Ends(400)),
    ("a length with a sign", "POST /page HTTP/1.1\r\nHost: shop.test\r\nContent-Length: +4\r\n\r\nbody", Ends(400)),
    ("a length in hexadecimal", "POST /page HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 0x4\r\n\r\nbody", Ends(400)),
    ("no length", "POST /page HTTP/1.1\r\nHost: shop.test\r\nContent-Length:\r\n\r\n", Ends(400)),
    (
        "a length beyond all numbers",
        "POST /page HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        Ends(400),
    ),
];

/// RFC 9112, 7.1: the head is fine, the body is not. The origin may have been asked, and never gets a whole request.
const BODIES: &[(&str, &str)] = &[
    (
        "a chunk without a size",
        "POST /page HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n\r\nbody\r\n0\r\n\r\n",
    ),
    (
        "a chunk of a size that is no number",
        "POST /page HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nbody\r\n0\r\n\r\n",
    ),
    (
        "a chunk of a negative size",
        "POST /page HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n-4\r\nbody\r\n0\r\n\r\n",
    ),
    (
        "a chunk with 0x",
        "POST /page HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n0x4\r\nbody\r\n0\r\n\r\n",
    ),
    (
        "a chunk beyond all numbers",
        "POST /page HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff1\r\nbody\r\n0\r\n\r\n",
    ),
    (
        "a chunk that is longer than it says",
        "POST /page HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbody\r\n0\r\n\r\n",
    ),
    (
        "a chunk line that ends in LF",
        "POST /page HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n4\nbody\r\n0\r\n\r\n",
    ),
];

const HEADS: &[(&str, &str, Then)] = &[
    // RFC 9112, 3.2: one host.
    ("no host", "GET /page HTTP/1.1\r\n\r\n", Goes(400)),
    ("no host in HTTP/1.0", "GET /page HTTP/1.0\r\n\r\n", Ends(400)),
    ("two hosts", "GET /page HTTP/1.1\r\nHost: shop.test\r\nHost: other.test\r\n\r\n", Goes(400)),
    ("the same host twice", "GET /page HTTP/1.1\r\nHost: shop.test\r\nHost: shop.test\r\n\r\n", Goes(400)),
    ("an empty host", "GET /page HTTP/1.1\r\nHost:\r\n\r\n", Goes(400)),
    ("a host with a user", "GET /page HTTP/1.1\r\nHost: user@shop.test\r\n\r\n", Goes(400)),
    ("a host with a path", "GET /page HTTP/1.1\r\nHost: shop.test/page\r\n\r\n", Goes(400)),
    ("a host with a port that is none", "GET /page HTTP/1.1\r\nHost: shop.test:abc\r\n\r\n", Goes(400)),
    ("a host with a port beyond all", "GET /page HTTP/1.1\r\nHost: shop.test:99999\r\n\r\n", Goes(400)),
    ("a host with an escape", "GET /page HTTP/1.1\r\nHost: shop%2etest\r\n\r\n", Goes(400)),
    ("a host with a tab", "GET /page HTTP/1.1\r\nHost: shop\t.test\r\n\r\n", Goes(400)),
    ("a host behind a tab, which is no part of it", "GET /page HTTP/1.1\r\nHost:\tshop.test\r\n\r\n", Goes(200)),
    ("a host with a letter that is not ASCII", "GET /page HTTP/1.1\r\nHost: sh\u{f6}p.test\r\n\r\n", Goes(400)),
    ("a list of hosts", "GET /page HTTP/1.1\r\nHost: shop.test, other.test\r\n\r\n", Goes(400)),
    // RFC 9112, 3.2.2 to 3.2.4: the forms of targets.
    (
        "the absolute form, whose host counts",
        "GET http://shop.test/page HTTP/1.1\r\nHost: other.test\r\n\r\n",
        Goes(200),
    ),
    (
        "the absolute form with a bad host beside it",
        "GET http://shop.test/page HTTP/1.1\r\nHost: user@shop.test\r\n\r\n",
        Goes(400),
    ),
    ("the absolute form with a user", "GET http://user@shop.test/page HTTP/1.1\r\nHost: shop.test\r\n\r\n", Goes(400)),
    ("the absolute form without a host field", "GET http://shop.test/page HTTP/1.1\r\n\r\n", Goes(400)),
    ("the authority form", "CONNECT shop.test:443 HTTP/1.1\r\nHost: shop.test\r\n\r\n", Goes(405)),
    ("the authority form for another method", "GET shop.test:443 HTTP/1.1\r\nHost: shop.test\r\n\r\n", Goes(400)),
    ("the asterisk form", "OPTIONS * HTTP/1.1\r\nHost: shop.test\r\n\r\n", Goes(400)),
    ("the asterisk form for another method", "GET * HTTP/1.1\r\nHost: shop.test\r\n\r\n", Goes(400)),
    ("a space in the target", "GET /pa ge HTTP/1.1\r\nHost: shop.test\r\n\r\n", Ends(400)),
    // RFC 9112, 2.2 and 5: lines and fields.
    ("an empty line before", "\r\nGET /page HTTP/1.1\r\nHost: shop.test\r\n\r\n", Goes(200)),
    ("lines that end in LF", "GET /page HTTP/1.1\nHost: shop.test\n\n", Goes(200)),
    ("a bare CR in a value", "GET /page HTTP/1.1\r\nHost: shop.test\r\nX: a\rb\r\n\r\n", Ends(400)),
    ("a NUL in a value", "GET /page HTTP/1.1\r\nHost: shop.test\r\nX: a\0b\r\n\r\n", Ends(400)),
    ("a NUL in the target", "GET /pa\0ge HTTP/1.1\r\nHost: shop.test\r\n\r\n", Ends(400)),
    ("a space before the colon", "GET /page HTTP/1.1\r\nHost: shop.test\r\nContent-Length : 4\r\n\r\nbody", Ends(400)),
    ("a space before the first field", "GET /page HTTP/1.1\r\n Host: shop.test\r\n\r\n", Ends(400)),
    ("a folded value", "GET /page HTTP/1.1\r\nHost: shop.test\r\nX: a\r\n b\r\n\r\n", Ends(400)),
    ("a field without a name", "GET /page HTTP/1.1\r\nHost: shop.test\r\n: a\r\n\r\n", Ends(400)),
    ("a field without a colon", "GET /page HTTP/1.1\r\nHost: shop.test\r\nX\r\n\r\n", Ends(400)),
    // RFC 9112, 2.3 and RFC 9110, 7.8: other versions.
    ("HTTP/0.9", "GET /page\r\n\r\n", Ends(400)),
    ("a version of the future", "GET /page HTTP/9.9\r\nHost: shop.test\r\n\r\n", Ends(400)),
    ("a version in small letters", "GET /page http/1.1\r\nHost: shop.test\r\n\r\n", Ends(400)),
    (
        "an upgrade to HTTP/2",
        "GET /page HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        Goes(200),
    ),
    ("another protocol", "SSH-2.0-OpenSSH_9.6\r\n\r\n", Ends(400)),
];

/// Both ways to come.
#[derive(Debug, Clone, Copy)]
enum By {
    Http,
    Https,
}

struct World {
    authority: Authority,
    origin: Origin,
    edge: Edge,
}

impl World {
    async fn new() -> Self {
        let authority = Authority::new();
        // It answers without reading bodies, and would close the connection while the next request is on its way to it.
        let origin = Origin::with("/page", Reply::ok("text/html", "page").header("connection", "close")).await;
        origin.set("/next", Reply::ok("text/html", "the next").header("cache-control", "no-store"));
        let edge = Edge::start(authority.secure(Setup::of(&origin), &[HOST])).await;
        Self { authority, origin, edge }
    }

    async fn open(&self, by: By) -> Raw<Box<dyn Stream>> {
        let stream: Box<dyn Stream> = match by {
            By::Http => Box::new(tokio::net::TcpStream::connect(self.edge.http).await.unwrap()),
            By::Https => Box::new(self.authority.connect(&self.edge, HOST).await.unwrap()),
        };
        Raw::over(stream)
    }

    /// What becomes of `request` when another one follows it at once.
    async fn outcome(&self, by: By, request: &str) -> (Then, String) {
        let asked = self.origin.count("/next");
        let mut raw = self.open(by).await;
        raw.write(format!("{request}{NEXT}")).await;
        let all = String::from_utf8_lossy(&raw.rest().await).into_owned();
        let statuses: Vec<u16> =
            all.match_indices("HTTP/1.").filter_map(|(at, _)| all.get(at + 9..at + 12)?.parse().ok()).collect();
        let asked = self.origin.count("/next") - asked;
        let then = match statuses[..] {
            [] => Nothing,
            [status] => Ends(status),
            [status, 200] if all.ends_with("the next") && asked == 1 => Goes(status),
            _ => panic!("{request:?} by {by:?} gave {all}"),
        };
        assert!(matches!(then, Goes(_)) || asked == 0, "{request:?} by {by:?} smuggled a request to the origin");
        (then, all)
    }

    async fn holds(&self, table: &[(&str, &str, Then)]) {
        let mut wrong = Vec::new();
        for by in [By::Http, By::Https] {
            for (name, request, expected) in table {
                let (then, all) = self.outcome(by, request).await;
                if then != *expected {
                    wrong.push(format!(
                        "{name} by {by:?}: {then:?}, not {expected:?}: {}",
                        all.lines().next().unwrap_or("")
                    ));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        until("no connection is left", async || self.edge.metric("lightmeter_connections", &[]).await == 0).await;
    }
}

#[tokio::test]
async fn no_framing_hides_a_request_in_another() {
    World::new().await.holds(FRAMINGS).await;
}

#[tokio::test]
async fn no_head_can_be_read_in_two_ways() {
    World::new().await.holds(HEADS).await;
}

#[tokio::test]
async fn chunks_that_cannot_be_read_end_the_connection() {
    let world = World::new().await;
    for by in [By::Http, By::Https] {
        for (name, request) in BODIES {
            let (then, all) = world.outcome(by, request).await;
            assert!(then == Ends(400), "{name} by {by:?}: {all}");
        }
    }
}

/// A server may believe the chunks; it must close the connection either way (RFC 9112, 6.3).
#[tokio::test]
async fn with_length_and_chunks_together_the_connection_ends() {
    let world = World::new().await;
    for framing in
        ["Content-Length: 4\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 90"]
    {
        for by in [By::Http, By::Https] {
            let request = format!("POST /page HTTP/1.1\r\nHost: shop.test\r\n{framing}\r\n\r\n0\r\n\r\n");
            let (then, all) = world.outcome(by, &request).await;
            assert!(then == Ends(400), "{framing} by {by:?}: {all}");
        }
    }
}

/// A body that the edge leaves behind must not be announced: the origin would take the next request for it (RFC 9112, 11.2).
#[tokio::test]
async fn a_body_that_is_not_sent_on_is_not_announced_either() {
    const SMUGGLED: &str = "GET /next HTTP/1.1\r\nHost: shop.test\r\n\r\n";
    let origin = Origin::with("/page", Reply::page("page").control("no-store")).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for fields in [&[][..], &[("cache-control", "no-store")], &[("cookie", "a=b")], &[("expect", "100-continue")]] {
        for method in [Method::GET, Method::HEAD] {
            let request = edge.request(method.clone(), "/lm/f=auto/page").accept(CHROMIUM).body(SMUGGLED);
            let request = fields.iter().fold(request, |request, (name, value)| request.header(name, value));
            assert_eq!(request.await.status.as_u16(), 200, "{method} {fields:?}");
            assert_eq!(edge.get("/page").await.text(), "page");
        }
    }
    let announced = origin.asked().into_iter().find(|asked| asked.headers.contains_key("content-length"));
    assert!(announced.is_none(), "{announced:?}");
    assert_eq!(origin.count("/next"), 0);
}
