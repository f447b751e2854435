//! HTTP/2 requests that another reader, or HTTP/1 behind us, could read in two ways (RFC 9113, 8.1.1 to 8.3.1), in the clear and
//! over TLS: each is refused before the origin hears of it, and what follows it is answered as a request of its own.

use crate::{
    h2_frames::{Doors, headers},
    harness::{
        frames::{
            DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, PROTOCOL_ERROR, RST_STREAM, field, frame, get,
        },
        setup::HOST,
    },
};

/// A request's pseudo fields, with some of its own.
fn request(method: &str, path: &str, authority: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let named = [(":method", method), (":scheme", "http"), (":path", path), (":authority", authority)];
    named.iter().chain(fields).flat_map(|(name, value)| field(name, value)).collect()
}

/// Sends bytes that are a request on stream 1, and asks for the page behind it. An error says what was not as it should be.
async fn refusal(client: &mut Frames, bytes: &[u8]) -> Result<(), String> {
    client.send([bytes, &get(3, "/page")].concat()).await;
    let (mut is_refused, mut page, mut is_whole) = (false, Vec::new(), false);
    while !(is_refused && is_whole) {
        let frame = client.next().await.ok_or("the connection ended without a word")?;
        match (frame.kind, frame.stream) {
            // A server may take it for the connection's end (RFC 9113, 5.4.2).
            (GOAWAY, _) if frame.code() == PROTOCOL_ERROR => return ended(client).await,
            (RST_STREAM, 1) if frame.code() == PROTOCOL_ERROR => is_refused = true,
            (HEADERS, 1) if frame.is_bad_request() => is_refused = true,
            (GOAWAY, _) | (RST_STREAM | HEADERS, 1) if !is_refused => return Err(format!("{frame:?}")),
            (DATA, 3) => page.extend(&frame.payload),
            _ => {}
        }
        is_whole |= frame.stream == 3 && frame.ends_stream();
    }
    if page == b"page" { Ok(()) } else { Err(format!("then came {}", String::from_utf8_lossy(&page))) }
}

async fn ended(client: &mut Frames) -> Result<(), String> {
    match client.until(|frame| frame.kind == HEADERS).await {
        None => Ok(()),
        Some(frame) => Err(format!("behind the end came {frame:?}")),
    }
}

/// Each is refused, and the origin is asked for nothing but the page.
async fn are_refused(table: &[(&str, Vec<u8>)]) {
    let doors = Doors::open().await;
    let mut wrong = Vec::new();
    for (name, bytes) in table {
        for mut client in doors.both().await {
            if let Err(what) = refusal(&mut client, bytes).await {
                wrong.push(format!("{name}: {what}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let smuggled = doors.origin.asked().into_iter().find(|asked| asked.target != "/page" || asked.method != "GET");
    assert!(smuggled.is_none(), "{smuggled:?}");
}

#[tokio::test]
async fn no_field_carries_a_line_break_or_more_than_it_is() {
    let with = |name: &str, value: &str| headers(1, &request("GET", "/other", HOST, &[(name, value)]));
    are_refused(&[
        ("a CR in a value (8.2.1)", with("x", "a\rb")),
        ("an LF in a value (8.2.1)", with("x", "a\nb")),
        ("a NUL in a value (8.2.1)", with("x", "a\0b")),
        ("a second field in a value (8.2.1)", with("x", "a\r\nhost: other.test")),
        ("a second request in a value (8.2.1)", with("x", "a\r\n\r\nGET /next HTTP/1.1\r\nHost: shop.test\r\n\r\n")),
        ("a colon in a name (8.2.1)", with("x: y\r\nz", "a")),
        ("a space in a name (8.2.1)", with("x y", "a")),
        ("a name of nothing (8.2.1)", with("", "a")),
    ])
    .await;
}

#[tokio::test]
async fn no_pseudo_field_makes_another_request_line() {
    let path = |path: &str| headers(1, &request("GET", path, HOST, &[]));
    let method = |method: &str| headers(1, &request(method, "/other", HOST, &[]));
    are_refused(&[
        ("a space in the path (8.3.1)", path("/other HTTP/1.1")),
        ("an LF in the path (8.3.1)", path("/ot\nher")),
        ("a request in the path (8.3.1)", path("/other HTTP/1.1\r\nHost: shop.test\r\n\r\nGET /next")),
        ("a NUL in the path (8.3.1)", path("/ot\0her")),
        ("a path of nothing (8.3.1)", path("")),
        ("a path that begins with no slash (8.3.1)", path("other")),
        ("a URL for a path (8.3.1)", path("http://other.test/other")),
        ("an asterisk for a path (8.3.1)", path("*")),
        ("a space in the method (8.3.1)", method("GET /next")),
        ("an LF in the method (8.3.1)", method("GE\nT")),
        ("a request in the method (8.3.1)", method("GET /next HTTP/1.1\r\nHost: shop.test\r\n\r\nGET")),
        ("a method of nothing (8.3.1)", method("")),
    ])
    .await;
}

#[tokio::test]
async fn the_host_is_one_and_valid() {
    let authority = |authority: &str| headers(1, &request("GET", "/other", authority, &[]));
    let host = |host: &str| headers(1, &request("GET", "/other", HOST, &[("host", host)]));
    are_refused(&[
        ("a user (8.3.1)", authority("user@shop.test")),
        ("a path (8.3.1)", authority("shop.test/other")),
        ("a port that is no number (RFC 3986, 3.2.3)", authority("shop.test:abc")),
        ("a port beyond all (RFC 3986, 3.2.3)", authority("shop.test:99999")),
        ("nothing (8.3.1)", authority("")),
        ("a line break (8.3.1)", authority("shop.test\r\nx: y")),
        ("an escape (RFC 3986, 3.2.2)", authority("shop%2etest")),
        ("an authority twice (8.3)", headers(1, &request("GET", "/other", HOST, &[(":authority", HOST)]))),
        ("another Host (8.3.1)", host("other.test")),
        ("a Host with a user (8.3.1)", host("user@shop.test")),
        ("a Host of nothing (8.3.1)", host("")),
        ("a Host and a host", headers(1, &request("GET", "/other", HOST, &[("host", HOST), ("host", HOST)]))),
    ])
    .await;
}

#[tokio::test]
async fn content_is_as_long_as_it_says() {
    let post = |lengths: &[&str], content: &[u8]| {
        let lengths: Vec<_> = lengths.iter().map(|length| ("content-length", *length)).collect();
        let head = frame(HEADERS, END_HEADERS, 1, &request("POST", "/other", HOST, &lengths));
        [head, frame(DATA, END_STREAM, 1, content)].concat()
    };
    are_refused(&[
        ("two lengths (8.1.1)", post(&["4", "5"], b"body")),
        ("two lengths, the last of them true (8.1.1)", post(&["5", "4"], b"body")),
        ("a list of lengths (8.1.1)", post(&["4, 4"], b"body")),
        ("a length with a sign (8.1.1)", post(&["+4"], b"body")),
        ("a length of nothing (8.1.1)", post(&[""], b"body")),
        ("a length beyond all numbers (8.1.1)", post(&["99999999999999999999999"], b"body")),
        ("more content than was said (8.1.1)", post(&["4"], b"body and more")),
        ("content where none was said (8.1.1)", post(&["0"], b"body")),
    ])
    .await;
}
