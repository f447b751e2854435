//! Requests that no ordinary client sends: refused, or understood in the one safe way, and the edge goes on.

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};

use crate::harness::{
    Edge, Origin, Reply, Setup, pictures,
    raw::Raw,
    request::{Request, new_client_h2},
    setup::HOST,
    tls::Authority,
};

async fn edge_with_page() -> (Origin, Edge) {
    let origin = Origin::with("/page", Reply::ok("text/html", "<p>page</p>")).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    (origin, edge)
}

async fn assert_alive(edge: &mut Edge) {
    assert!(edge.is_alive());
    assert_eq!(edge.get("/page").await.text(), "<p>page</p>");
}

#[tokio::test]
async fn a_request_with_no_host_two_hosts_or_a_bad_host_is_400() {
    let (origin, mut edge) = edge_with_page().await;
    let table = [
        "GET /page HTTP/1.1\r\n\r\n",
        "GET /page HTTP/1.0\r\n\r\n",
        "GET /page HTTP/1.1\r\nHost: shop.test\r\nHost: shop.test\r\n\r\n",
        "GET /page HTTP/1.1\r\nHost: shop.test\r\nhost: evil.test\r\n\r\n",
        "GET /page HTTP/1.1\r\nHost:\r\n\r\n",
        "GET /page HTTP/1.1\r\nHost: user@shop.test\r\n\r\n",
        "GET /page HTTP/1.1\r\nHost: shop.test/evil\r\n\r\n",
        "GET /page HTTP/1.1\r\nHost: shop.test, evil.test\r\n\r\n",
        "GET http://user@shop.test/page HTTP/1.1\r\nHost: shop.test\r\n\r\n",
    ];
    for request in table {
        assert_eq!(Raw::send(edge.http, request).await.status().await, 400, "{request:?}");
    }
    assert!(origin.asked().is_empty());
    assert_alive(&mut edge).await;
}

#[tokio::test]
async fn a_length_that_can_be_read_in_two_ways_is_refused_and_nothing_is_smuggled() {
    let (origin, mut edge) = edge_with_page().await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n";
    let table = [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 0, 60",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 99999999999999999999999",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\x0bchunked",
        "Content-Length : 5",
        " Content-Length: 5",
    ];
    for framing in table {
        let request = format!("POST /page HTTP/1.1\r\nHost: shop.test\r\n{framing}\r\n\r\n0\r\n\r\n{smuggled}");
        let mut raw = Raw::send(edge.http, request).await;
        let answer = raw.rest().await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.1 501 "), "{framing:?}: {answer}");
    }
    assert!(origin.asked().iter().all(|asked| asked.target != "/smuggled"), "{:?}", origin.asked());
    assert_alive(&mut edge).await;
}

/// Wherever on a connection it comes, and though hyper would believe the chunks (RFC 9112, 6.3).
#[tokio::test]
async fn with_length_and_chunks_together_a_request_is_400_and_the_connection_ends_there() {
    let (origin, mut edge) = edge_with_page().await;
    let before = [
        "",
        "GET /page HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        "POST /page HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n",
        "POST /page HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\n\r\n12345",
    ];
    let framings =
        ["Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\ncontent-length: 60"];
    for (before, framing) in before.iter().flat_map(|before| framings.map(|framing| (*before, framing))) {
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n";
        let request = format!("{before}PUT /page HTTP/1.1\r\nHost: shop.test\r\n{framing}\r\n\r\n0\r\n\r\n{smuggled}");
        let answer = Raw::send(edge.http, request).await.rest().await;
        let answer = String::from_utf8_lossy(&answer);
        let statuses: Vec<&str> = answer.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
        let expected = if before.is_empty() { &["400"][..] } else { &["200", "400"] };
        assert_eq!(statuses, expected, "{before:?} {framing:?}");
    }
    assert!(
        origin.asked().iter().all(|asked| asked.method != "PUT" && asked.target == "/page"),
        "{:?}",
        origin.asked()
    );
    assert_alive(&mut edge).await;
}

#[tokio::test]
async fn garbage_and_heads_without_end_are_refused() {
    let (origin, mut edge) = edge_with_page().await;
    let long_field = format!("GET /page HTTP/1.1\r\nHost: shop.test\r\nX-Long: {}\r\n\r\n", "a".repeat(100_000));
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: shop.test\r\n\r\n", "a".repeat(100_000));
    let many_fields: String = (0..500).map(|number| format!("X-{number}: 1\r\n")).collect();
    let many_fields = format!("GET /page HTTP/1.1\r\nHost: shop.test\r\n{many_fields}\r\n");
    let table: [(&str, &[u8]); 8] = [
        ("a long field", long_field.as_bytes()),
        ("a long target", long_target.as_bytes()),
        ("many fields", many_fields.as_bytes()),
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n"),
        ("another protocol", b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
        ("a NUL in a field", b"GET /page HTTP/1.1\r\nHost: shop.test\r\nX: a\0b\r\n\r\n"),
        ("a bare CR in a field", b"GET /page HTTP/1.1\r\nHost: shop.test\r\nX: a\rb\r\n\r\n"),
        ("a version of the future", b"GET /page HTTP/9.9\r\nHost: shop.test\r\n\r\n"),
    ];
    for (name, bytes) in table {
        let status = Raw::send(edge.http, bytes).await.status().await;
        assert!(matches!(status, 0 | 400 | 414 | 431 | 505), "{name} gave {status}");
    }
    assert!(origin.asked().is_empty(), "{:?}", origin.asked());
    assert_alive(&mut edge).await;
}

/// Nothing that is escaped in a URL is written as it would be without (RFC 9110, 5.5): neither to the visitor nor to the origin.
#[tokio::test]
async fn line_breaks_that_are_escaped_reach_no_field() {
    const PLANTED: [&str; 4] = [
        "%0d%0ax-planted:%20yes",
        "%0Ax-planted:yes",
        "%0dx-planted:yes%0d%0a%0d%0aGET%20/planted",
        "%00%0ax-planted:1",
    ];
    let origin = Origin::start().await;
    let authority = Authority::new();
    let setup = Setup::of(&origin).site("sources", "['127.0.0.1']").with_site("sent", &["sent.test"], &origin.url());
    let setup = authority.secure(setup.site("https", "'redirect'"), &[HOST, "sent.test"]);
    let edge = Edge::start(setup).await;
    for planted in PLANTED {
        for (host, path) in [
            (HOST, format!("/page{planted}")),
            (HOST, format!("/page?x={planted}")),
            (HOST, format!("/a{planted}.jpg?w=60")),
            (HOST, format!("/a.jpg?w=60&x={planted}")),
            (HOST, format!("/lm/w=60/a{planted}.jpg")),
            (HOST, format!("/lm/w=60,x={planted}/a.jpg")),
            (HOST, format!("/lm/w=60/{}/a{planted}.jpg", origin.url())),
            (HOST, format!("/lm/w=60/{}%2fa{planted}.jpg", origin.url().replace('/', "%2f"))),
            (HOST, format!("/{planted}")),
            ("sent.test", format!("/page{planted}")),
            ("sent.test", format!("/{planted}?{planted}")),
        ] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            let answer = Raw::send(edge.http, request).await.rest().await;
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.starts_with("HTTP/1.1 "), "{path}: {answer}");
            let mut lines = answer.split(['\r', '\n']);
            assert!(!lines.any(|line| line.starts_with("x-planted") || line.contains('\0')), "{path}: {answer}");
            assert_eq!(answer.contains("\r\nlocation: https://sent.test"), host == "sent.test", "{path}: {answer}");
        }
    }
    let asked = origin.asked();
    assert!(asked.iter().any(|asked| asked.target.contains("%0d%0ax-planted")), "{asked:?}");
    for asked in asked {
        let is_planted = asked.headers.contains_key("x-planted") || asked.target.starts_with("/planted");
        assert!(!is_planted, "{asked:?}");
    }
}

#[tokio::test]
async fn a_head_that_never_ends_and_a_silent_connection_are_closed() {
    let (origin, mut edge) = edge_with_page().await;
    drop(edge);
    edge = Edge::start(Setup::of(&origin).set("edge.header_timeout", "'500ms'")).await;
    for beginning in ["", "G", "GET /page HTTP/1.1\r\nHost: shop.test\r\nX-Slow: "] {
        let mut raw = Raw::send(edge.http, beginning).await;
        assert!(raw.is_closed_within(crate::harness::wait::DEADLINE).await, "{beginning:?} is still open");
    }
    assert_alive(&mut edge).await;
}

#[tokio::test]
async fn tunnels_and_traces_are_refused() {
    let (origin, mut edge) = edge_with_page().await;
    for request in [
        "CONNECT shop.test:443 HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        "TRACE /page HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        "POST /lm/w=5/a.jpg HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 0\r\n\r\n",
    ] {
        let head = Raw::send(edge.http, request).await.head().await;
        assert!(head.starts_with("HTTP/1.1 405 ") || head.starts_with("HTTP/1.1 400 "), "{request:?}: {head}");
    }
    assert!(origin.asked().is_empty());
    assert_alive(&mut edge).await;
}

#[tokio::test]
async fn a_request_that_has_been_here_before_is_508() {
    let (origin, edge) = edge_with_page().await;
    for value in ["lightmeter", "other; v=1, LightMeter ; x=2"] {
        for path in ["/page", "/a.jpg"] {
            let answer = edge.get(path).header("cdn-loop", value).await;
            assert_eq!(answer.status.as_u16(), 508, "{value}");
            assert!(answer.problem().contains("origin leads here"), "{answer:?}");
        }
    }
    assert!(origin.asked().is_empty());
    assert_eq!(edge.get("/page").header("cdn-loop", "other, lightmeter2").await.status.as_u16(), 200);
}

#[tokio::test]
async fn an_origin_that_leads_back_here_is_told_and_ends() {
    // On a way that it cannot know: a proxy on another port.
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", proxy.local_addr().unwrap());
    let edge = Edge::start(Setup::empty().with_site("shop", &["shop.test", "127.0.0.1"], &origin)).await;
    let led_back = async {
        loop {
            let (mut stream, _) = proxy.accept().await.unwrap();
            let mut back = TcpStream::connect(edge.http).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut stream, &mut back).await });
        }
    };
    let asked = async {
        for path in ["/page", "/a.jpg"] {
            let answer = edge.get(path).await;
            assert_eq!(answer.status.as_u16(), 508, "{path}: {answer:?}");
        }
    };
    tokio::select! {
        () = led_back => {}
        () = asked => {}
    }
}

#[tokio::test]
async fn http_2_is_served_with_prior_knowledge() {
    let origin = Origin::with("/coffee.jpg", Reply::jpeg(pictures::demo("coffee.jpg"))).await;
    let setup = Setup::empty().with_site("shop", &["127.0.0.1"], &origin.url());
    let edge = Edge::start(setup).await;
    let url = format!("http://{}/coffee.jpg", edge.http);
    let answer = Request::new(&new_client_h2(), reqwest::Method::GET, &url).accept("image/avif").await;
    assert_eq!(answer.picture().format, "avif");
}
