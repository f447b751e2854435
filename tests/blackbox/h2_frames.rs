//! HTTP/2 that breaks the protocol, in the clear and over TLS: each frame that must not be ends its stream or its connection with the error that RFC 9113
//! names, and others' connections go on.

use crate::harness::{
    Edge, Origin, Reply, Setup,
    frames::{
        ACK, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR,
        Frames, GOAWAY, HEADERS, PING, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE, RST_STREAM, SETTINGS, STREAM_CLOSED,
        field, frame, get, post, request_fields, rst_stream, settings, window_update,
    },
    setup::HOST,
    tls::Authority,
};

/// The connection must end; the h2 library calls what it cannot decode a breach of the protocol more often than the RFC does.
const WRONG_SIZE: &[u32] = &[FRAME_SIZE_ERROR, PROTOCOL_ERROR];
const UNREADABLE: &[u32] = &[COMPRESSION_ERROR, PROTOCOL_ERROR];

/// An edge with a page, to be asked for in the clear and over TLS.
pub(crate) struct Doors {
    pub(crate) origin: Origin,
    authority: Authority,
    pub(crate) edge: Edge,
}

impl Doors {
    pub(crate) async fn open() -> Self {
        let (authority, origin) = (Authority::new(), Origin::with("/page", Reply::page("page").max_age(600)).await);
        let edge = Edge::start(authority.secure(Setup::of(&origin), &[HOST])).await;
        Self { origin, authority, edge }
    }

    /// A connection through each, with settings.
    async fn both_with(&self, pairs: &[(u16, u32)]) -> [Frames; 2] {
        let secure = self.authority.connect_for(&self.edge, HOST, "h2").await.unwrap();
        [Frames::connect_with(self.edge.http, pairs).await, Frames::over(secure, pairs).await]
    }

    pub(crate) async fn both(&self) -> [Frames; 2] {
        self.both_with(&[]).await
    }

    async fn assert_serves(&self) {
        assert_eq!(self.edge.get("/page").await.text(), "page");
    }
}

pub(crate) fn headers(stream: u32, fields: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, fields)
}

#[tokio::test]
async fn what_breaks_the_connections_rules_ends_the_connection_with_the_error_for_it() {
    let doors = Doors::open().await;
    let after_get = |bytes: Vec<u8>| [get(1, "/page"), bytes].concat();
    let table: Vec<(&str, Vec<u8>, &[u32])> = vec![
        ("data on no stream (6.1)", frame(DATA, 0, 0, b"x"), &[PROTOCOL_ERROR]),
        ("a request on no stream (6.2)", get(0, "/page"), &[PROTOCOL_ERROR]),
        ("a request on a server's stream (5.1.1)", get(2, "/page"), &[PROTOCOL_ERROR]),
        (
            "an older stream's number (5.1.1)",
            [get(5, "/page"), get(3, "/page")].concat(),
            &[PROTOCOL_ERROR, STREAM_CLOSED],
        ),
        ("data on an idle stream (5.1)", frame(DATA, 0, 7, b"x"), &[PROTOCOL_ERROR]),
        ("a reset of an idle stream (6.4)", rst_stream(7, 8), &[PROTOCOL_ERROR]),
        ("a reset of no stream (6.4)", rst_stream(0, 8), &[PROTOCOL_ERROR]),
        ("a reset of three bytes (6.4)", after_get(frame(RST_STREAM, 0, 1, &[0; 3])), WRONG_SIZE),
        ("a window for an idle stream (5.1)", window_update(7, 1), &[PROTOCOL_ERROR]),
        ("a window of nothing (6.9)", window_update(0, 0), &[PROTOCOL_ERROR]),
        ("a window of three bytes (6.9)", frame(6 + 2, 0, 0, &[0; 3]), WRONG_SIZE),
        ("a window that overflows (6.9.1)", window_update(0, 0x7fff_ffff), &[FLOW_CONTROL_ERROR]),
        ("settings of a stream (6.5)", frame(SETTINGS, 0, 1, &[]), &[PROTOCOL_ERROR]),
        ("settings of five bytes (6.5)", frame(SETTINGS, 0, 0, &[0; 5]), WRONG_SIZE),
        ("an answer to settings with some (6.5)", frame(SETTINGS, ACK, 0, &[0; 6]), WRONG_SIZE),
        ("a window beyond all (6.5.2)", settings(&[(4, 0x8000_0000)]), &[FLOW_CONTROL_ERROR, PROTOCOL_ERROR]),
        ("frames too small (6.5.2)", settings(&[(5, 1)]), &[PROTOCOL_ERROR]),
        ("push neither on nor off (6.5.2)", settings(&[(2, 7)]), &[PROTOCOL_ERROR]),
        ("a ping of seven bytes (6.7)", frame(PING, 0, 0, &[0; 7]), WRONG_SIZE),
        ("a ping on a stream (6.7)", frame(PING, 0, 1, &[0; 8]), &[PROTOCOL_ERROR]),
        ("a goodbye on a stream (6.8)", frame(GOAWAY, 0, 1, &[0; 8]), &[PROTOCOL_ERROR]),
        (
            "a promise by a client (8.4)",
            after_get(frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])),
            &[PROTOCOL_ERROR],
        ),
        ("a priority of no stream (6.3)", frame(PRIORITY, 0, 0, &[0; 5]), &[PROTOCOL_ERROR]),
        ("a continuation of nothing (6.10)", frame(CONTINUATION, END_HEADERS, 1, &[]), &[PROTOCOL_ERROR]),
        (
            "something between a head's parts (6.10)",
            [frame(HEADERS, END_STREAM, 1, &request_fields("GET", "/page")), frame(PING, 0, 0, &[0; 8])].concat(),
            &[PROTOCOL_ERROR],
        ),
        ("a frame that is too long (4.2)", after_get(frame(DATA, 0, 1, &[0; 16_385])), WRONG_SIZE),
        (
            "padding longer than its frame (6.1)",
            [post(1, "/page"), frame(DATA, 8, 1, &[9, 0])].concat(),
            &[PROTOCOL_ERROR],
        ),
        ("a field of no table (RFC 7541, 2.3.3)", headers(1, &[0xff, 0x80, 0x01]), UNREADABLE),
        ("a table larger than allowed (RFC 7541, 6.3)", headers(1, &[0x3f, 0xe2, 0x7f]), UNREADABLE),
    ];
    let mut wrong = Vec::new();
    for (name, bytes, expected) in table {
        for mut client in doors.both().await {
            client.send(&bytes).await;
            let code = client.goaway().await;
            if !code.is_some_and(|code| expected.contains(&code)) {
                wrong.push(format!("{name}: {code:?}"));
            }
            assert!(client.until(|_| false).await.is_none(), "{name}: the connection stays");
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    doors.assert_serves().await;
}

#[tokio::test]
async fn what_breaks_a_streams_rules_ends_the_stream_and_the_connection_goes_on() {
    let doors = Doors::open().await;
    let with = |name: &str, value: &str| headers(1, &[request_fields("GET", "/page"), field(name, value)].concat());
    let table: Vec<(&str, Vec<u8>, &[u32])> = vec![
        ("a window of nothing (6.9)", [post(1, "/page"), window_update(1, 0)].concat(), &[PROTOCOL_ERROR]),
        (
            "a window that overflows (6.9.1)",
            [post(1, "/page"), window_update(1, 0x7fff_ffff)].concat(),
            &[FLOW_CONTROL_ERROR],
        ),
        ("a name in capitals (8.2.1)", with("X-Name", "1"), &[PROTOCOL_ERROR]),
        ("a field of the connection (8.2.2)", with("connection", "close"), &[PROTOCOL_ERROR]),
        ("chunks (8.2.2)", with("transfer-encoding", "chunked"), &[PROTOCOL_ERROR]),
        ("te that is not trailers (8.2.2)", with("te", "gzip"), &[PROTOCOL_ERROR]),
        (
            "a method behind fields (8.3)",
            headers(1, &[field("a", "1"), request_fields("GET", "/page")].concat()),
            &[PROTOCOL_ERROR],
        ),
        ("two paths (8.3.1)", with(":path", "/other"), &[PROTOCOL_ERROR]),
        ("a response's field (8.3.1)", with(":status", "200"), &[PROTOCOL_ERROR]),
        (
            "less content than is said (8.1.1)",
            [
                frame(
                    HEADERS,
                    END_HEADERS,
                    1,
                    &[request_fields("POST", "/page"), field("content-length", "9")].concat(),
                ),
                frame(DATA, END_STREAM, 1, b"less"),
            ]
            .concat(),
            &[PROTOCOL_ERROR],
        ),
        ("a priority of four bytes (6.3)", [post(1, "/page"), frame(PRIORITY, 0, 1, &[0; 4])].concat(), WRONG_SIZE),
    ];
    let mut wrong = Vec::new();
    for (name, bytes, expected) in table {
        for mut client in doors.both().await {
            client.send(&bytes).await;
            let ended = client.until(|frame| matches!(frame.kind, RST_STREAM | GOAWAY)).await.expect(name);
            if !expected.contains(&ended.code()) {
                wrong.push(format!("{name}: {ended:?}"));
            } else if ended.kind == RST_STREAM {
                // A server may take it for the connection's end instead (5.4.2).
                client.send(get(3, "/page")).await;
                assert_eq!(client.body(3).await, b"page", "{name}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A server may say so before it ends the stream (8.1.1).
#[tokio::test]
async fn a_request_without_path_and_host_is_400() {
    let doors = Doors::open().await;
    for mut client in doors.both().await {
        client.send(headers(1, &[field(":method", "GET"), field(":scheme", "http")].concat())).await;
        let answer = client.until(|frame| frame.stream == 1).await.unwrap();
        assert!(answer.is_bad_request(), "{answer:?}");
    }
}

#[tokio::test]
async fn on_a_stream_that_is_done_nothing_more_is_taken() {
    let doors = Doors::open().await;
    for (name, bytes) in [
        ("data behind the end (5.1)", frame(DATA, END_STREAM, 1, b"more")),
        ("a second head behind the end (5.1)", get(1, "/page")),
    ] {
        for mut client in doors.both().await {
            client.send([get(1, "/page"), bytes.clone()].concat()).await;
            let ended = client.until(|frame| matches!(frame.kind, RST_STREAM | GOAWAY)).await.expect(name);
            assert!(matches!(ended.code(), STREAM_CLOSED | PROTOCOL_ERROR), "{name}: {ended:?}");
        }
    }
    doors.assert_serves().await;
}

#[tokio::test]
async fn what_is_unknown_or_late_is_passed_over() {
    let doors = Doors::open().await;
    for mut client in doors.both_with(&[(0x4242, 7)]).await {
        client.send(frame(0x42, 0xff, 0, b"unknown")).await;
        client.send(frame(0x42, 0xff, 9, b"unknown")).await;
        client.send(frame(PRIORITY, 0, 101, &[0, 0, 0, 1, 5])).await;
        client.send(get(1, "/page")).await;
        assert_eq!(client.body(1).await, b"page");
        client.send(window_update(1, 5)).await;
        client.send(rst_stream(1, 8)).await;
        client.send(frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 5])).await;
        assert!(client.is_alive().await);
        client.send(get(3, "/page")).await;
        assert_eq!(client.body(3).await, b"page");
    }
}

#[tokio::test]
async fn a_wrong_preface_ends_the_connection() {
    let doors = Doors::open().await;
    let mut raw = crate::harness::raw::Raw::send(doors.edge.http, "PRI * HTTP/2.0\r\n\r\nNO\r\n\r\n").await;
    raw.rest().await;
    doors.assert_serves().await;
}
