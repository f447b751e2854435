//! What is no image goes to the origin and back as it is, streaming both ways; what turns out to be one is developed.

use bytes::Bytes;
use reqwest::{Method, StatusCode};

use crate::harness::{
    Answer, CHROMIUM, CURL, Edge, Gate, Origin, Reply, Setup, assert_looks_like, pictures, raw::Raw, reply::Content,
    setup::HOST, until, until_some,
};

#[tokio::test]
async fn pages_styles_and_drawings_come_through_byte_for_byte() {
    let origin = Origin::start().await;
    let table = [
        ("/", "text/html; charset=utf-8", "<!doctype html><p>Grüße"),
        ("/style.css", "text/css", "body { color: red }"),
        ("/drawing.svg", "image/svg+xml", "<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("/lmx/w=5", "application/json", "{\"a\": 1}"),
    ];
    for (path, content_type, text) in table {
        origin.set(path, Reply::ok(content_type, text).header("etag", "\"o\"").header("set-cookie", "a=b"));
    }
    let edge = Edge::start(Setup::of(&origin)).await;
    for (path, content_type, text) in table {
        let answer = edge.get(path).accept(CHROMIUM).await;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, text), "{path}");
        assert_eq!((answer.content_type().as_str(), answer.etag().as_str()), (content_type, "\"o\""));
        assert_eq!(answer.field("set-cookie"), "a=b");
        assert!(answer.field("cache-status").starts_with("lightmeter; fwd=uri-miss"), "{answer:?}");
    }
}

#[tokio::test]
async fn drawings_and_icons_are_left_alone_and_a_drawing_cannot_act_as_the_site() {
    let drawing = "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
    let icon = b"\0\0\x01\0\x01\0\x10\x10".to_vec();
    let origin = Origin::start().await;
    origin.set(
        "/drawing.svg",
        Reply::ok("image/svg+xml; charset=utf-8", drawing).header("content-security-policy", "img-src *"),
    );
    origin.set("/favicon.ico", Reply::ok("image/x-icon", icon.clone()));
    let edge = Edge::start(Setup::of(&origin)).await;
    for path in ["/drawing.svg", "/lm/w=100/drawing.svg"] {
        let answer = edge.get(path).accept(CHROMIUM).await;
        assert_eq!(answer.text(), drawing, "{path}");
        let policy = answer.field("content-security-policy");
        assert!(policy.starts_with("img-src *, default-src 'none'") && policy.ends_with("sandbox"), "{path}: {policy}");
        assert_eq!(answer.field("x-content-type-options"), "nosniff");
    }
    for path in ["/favicon.ico", "/lm/w=100/favicon.ico"] {
        let answer = edge.get(path).accept(CHROMIUM).await;
        assert_eq!((answer.body, answer.status), (icon.clone().into(), StatusCode::OK), "{path}");
    }
}

#[tokio::test]
async fn statuses_come_through_with_their_bodies() {
    let origin = Origin::start().await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for status in [201, 202, 301, 307, 401, 403, 404, 418, 429, 500, 503] {
        origin.set("/page", Reply::status(status, "as it is").header("location", "/elsewhere"));
        let answer = edge.get("/page").await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (status, "as it is"));
        assert_eq!(answer.field("location"), "/elsewhere");
    }
}

#[tokio::test]
async fn all_methods_and_their_bodies_reach_the_origin() {
    let origin = Origin::with("/form", Reply::of(Content::Echo).header("content-type", "text/plain")).await;
    origin.set("/form.jpg", Reply::of(Content::Echo).header("content-type", "text/plain"));
    let edge = Edge::start(Setup::of(&origin)).await;
    let body = Bytes::from(vec![b'x'; 3 << 20]);
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        for path in ["/form?w=5&q=x", "/form.jpg?w=5"] {
            let answer = edge.request(method.clone(), path).body(body.clone()).await;
            assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, body.len()), "{method}");
            let asked = origin.asked().pop().unwrap();
            assert_eq!((asked.method.as_str(), asked.target.as_str()), (method.as_str(), path));
            assert_eq!(asked.field("content-length"), body.len().to_string());
        }
    }
    edge.request(Method::OPTIONS, "/form.jpg").await;
    assert_eq!(origin.last("/form.jpg").method, "OPTIONS");
}

#[tokio::test]
async fn chunks_stream_both_ways() {
    let origin = Origin::with("/chat", Reply::of(Content::Echo)).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let head =
        format!("POST /chat HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
    let mut raw = Raw::send(edge.http, head).await;
    // Each piece comes back before the next one is sent.
    for piece in ["alpha", "bravo", "charlie"] {
        raw.write(format!("{:x}\r\n{piece}\r\n", piece.len())).await;
        let echoed = raw.read_until(|bytes| bytes.windows(piece.len()).any(|window| window == piece.as_bytes())).await;
        assert!(String::from_utf8_lossy(&echoed).contains(piece), "{piece} did not come back");
    }
    raw.write("0\r\n\r\n").await;
    assert!(raw.rest().await.ends_with(b"0\r\n\r\n"));
}

#[tokio::test]
async fn a_body_of_a_gigabyte_costs_no_memory_in_either_direction() {
    const GIGABYTE: u64 = 1 << 30;
    let never = Gate::closed();
    let origin = Origin::with("/upload", Reply::ok("text/plain", "").behind(&never)).await;
    let photograph = pictures::demo("coffee.jpg");
    origin.set("/huge.jpg", Reply::of(Content::Stalled(photograph.clone(), GIGABYTE)));
    origin.set("/huge", Reply::of(Content::Stalled(photograph.clone(), GIGABYTE)));
    let edge = Edge::start(Setup::of(&origin)).await;
    let before = edge.peak_resident_mib();
    let head = format!("POST /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {GIGABYTE}\r\n\r\n");
    let mut uploads = Vec::new();
    for _ in 0..4 {
        let mut upload = Raw::send(edge.http, &head).await;
        upload.write(vec![0; 64 << 10]).await;
        uploads.push(upload);
    }
    until("the origin was asked", async || origin.count("/upload") == 4).await;
    for path in ["/huge.jpg", "/huge"] {
        let mut response = edge.get(path).head().await;
        assert_eq!((response.status(), response.content_length()), (StatusCode::OK, Some(GIGABYTE)), "{path}");
        let mut received = Vec::new();
        while received.len() < photograph.len() {
            received.extend_from_slice(&response.chunk().await.unwrap().unwrap());
        }
        assert_eq!(received, photograph);
    }
    let after = edge.peak_resident_mib();
    assert!(after < before + 64, "from {before} to {after} MiB");
}

#[tokio::test]
async fn a_body_without_end_streams_and_costs_no_more_than_its_limit() {
    let photograph = pictures::demo("coffee.jpg");
    let origin = Origin::with("/endless.jpg", Reply::of(Content::Endless(photograph.clone()))).await;
    origin.set("/endless", Reply::of(Content::Endless(Bytes::from(vec![b'a'; 64 << 10]))));
    let setup = Setup::of(&origin).set("origin.max_body_bytes", "'1MiB'").site("first_view", "'original'");
    let edge = Edge::start(setup).await;
    let before = edge.peak_resident_mib();
    for (path, piece) in [("/endless.jpg", photograph), ("/endless", Bytes::from_static(b"a"))] {
        let mut response = edge.get(path).head().await;
        assert_eq!(response.status(), StatusCode::OK);
        let mut received = Vec::new();
        while received.len() < 24 << 20 {
            received.extend_from_slice(&response.chunk().await.unwrap().unwrap());
        }
        assert!(received.iter().zip(piece.iter().cycle()).all(|(one, other)| one == other), "{path} was altered");
    }
    let after = edge.peak_resident_mib();
    assert!(after < before + 64, "from {before} to {after} MiB");
}

#[tokio::test]
async fn the_origin_learns_who_asks_and_no_more_than_it_may() {
    let origin = Origin::with("/page", Reply::ok("text/plain", "x")).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    edge.get("/page")
        .header("x-forwarded-for", "6.6.6.6")
        .header("x-forwarded-host", "evil.test")
        .header("x-forwarded-proto", "gopher")
        .header("forwarded", "for=6.6.6.6")
        .header("cookie", "session=own")
        .header("via", "1.0 before")
        .header("cdn-loop", "before")
        .await;
    let asked = origin.last("/page");
    let table = [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", HOST),
        ("x-forwarded-proto", "http"),
        ("forwarded", ""),
        ("cookie", "session=own"),
        ("via", "1.0 before, 1.1 lightmeter"),
        ("cdn-loop", "before, lightmeter"),
    ];
    for (name, value) in table {
        assert_eq!(asked.field(name), value, "{name}");
    }
    assert_eq!(asked.field("host"), origin.address.to_string());
}

#[tokio::test]
async fn fields_of_one_connection_do_not_pass_to_the_next() {
    let reply = Reply::ok("text/plain", "x")
        .header("connection", "x-origin-private")
        .header("x-origin-private", "1")
        .header("keep-alive", "timeout=99")
        .header("proxy-authenticate", "Basic")
        .header("x-public", "1");
    let origin = Origin::with("/page", reply).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let request = format!(
        "GET /page HTTP/1.1\r\nHost: {HOST}\r\nConnection: close, X-Client-Private\r\nX-Client-Private: 1\r\n\
         Keep-Alive: timeout=5\r\nTE: trailers\r\nProxy-Authorization: Basic x\r\nProxy-Connection: close\r\n\
         Upgrade: h2c\r\nX-Public: 1\r\n\r\n"
    );
    let answer = Raw::send(edge.http, request).await.rest().await;
    let answer = String::from_utf8_lossy(&answer).to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 200 ") && answer.contains("x-public: 1"), "{answer}");
    for name in ["x-origin-private", "timeout=99", "proxy-authenticate"] {
        assert!(!answer.contains(name), "{name} came through: {answer}");
    }
    let asked = origin.last("/page");
    assert_eq!(asked.field("x-public"), "1");
    for name in ["x-client-private", "keep-alive", "te", "proxy-authorization", "proxy-connection", "upgrade"] {
        assert!(!asked.headers.contains_key(name), "{name} came through: {asked:?}");
    }
}

#[tokio::test]
async fn other_services_of_the_origins_are_not_offered_here() {
    let offering = |reply: Reply| reply.header("alt-svc", "h3=\":443\"; ma=86400");
    let origin = Origin::with("/page", offering(Reply::page("page").max_age(600))).await;
    origin.set("/own", offering(Reply::page("own").control("no-store")));
    origin.set("/a.jpg", offering(Reply::jpeg(pictures::small_jpeg(1)).max_age(600)));
    origin.set("/b.jpg", offering(Reply::jpeg(pictures::small_jpeg(2)).control("no-store")));
    let edge = Edge::start(Setup::of(&origin)).await;
    for path in ["/page", "/page", "/own", "/a.jpg", "/a.jpg", "/b.jpg"] {
        let answer = edge.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.has("alt-svc")), (200, false), "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn what_turns_out_to_be_an_image_is_developed_like_any_other() {
    let original = pictures::demo("coffee.jpg");
    let origin =
        Origin::with("/media/4711", Reply::jpeg(original.clone()).header("cache-control", "max-age=600")).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let first = edge.get("/media/4711?size=l").accept(CHROMIUM).await;
    assert_eq!(first.content_type(), "image/avif");
    assert_looks_like(&first.picture(), &original);
    let hit = until_some("it is known for an image", async || {
        Some(edge.get("/media/4711?size=l").accept(CHROMIUM).await).filter(Answer::is_hit)
    })
    .await;
    assert_eq!((&hit.body, hit.field("vary").as_str()), (&first.body, "Accept, Save-Data"));
    let asked = origin.asked().len();
    assert_eq!(edge.get("/media/4711?size=l").accept(CURL).await.content_type(), "image/jpeg");
    assert_eq!(origin.asked().len(), asked, "the original is there");
}

#[tokio::test]
async fn an_image_behind_a_login_is_shown_to_its_owner_only() {
    let origin = Origin::with("/avatar", Reply::jpeg(pictures::demo("coffee.jpg"))).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for header in ["cookie", "authorization"] {
        let own = edge.get("/avatar").accept(CHROMIUM).header(header, "secret").await;
        assert_eq!(
            (own.detail().as_str(), own.body.len()),
            ("private", pictures::demo("coffee.jpg").len()),
            "{header}"
        );
        assert_eq!(origin.last("/avatar").field(header), "secret");
    }
    assert_eq!(edge.encodes().await, 0);
}

#[tokio::test]
async fn a_range_of_what_is_no_image_is_the_origins_to_serve() {
    let origin = Origin::with("/film.mp4", Reply::status(206, "part").header("content-range", "bytes 0-3/9")).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let answer = edge.get("/film.mp4").header("range", "bytes=0-3").await;
    assert_eq!((answer.status.as_u16(), answer.field("content-range").as_str()), (206, "bytes 0-3/9"));
    assert_eq!(origin.last("/film.mp4").field("range"), "bytes=0-3");
}

#[tokio::test]
async fn events_are_not_held_back() {
    let gate = Gate::closed();
    let content = Content::Gated(Bytes::from_static(b"data: 1\n\n"), gate.clone(), Bytes::from_static(b"data: 2\n\n"));
    let origin = Origin::with("/events", Reply::of(content).header("content-type", "text/event-stream")).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let mut response = edge.get("/events").head().await;
    assert_eq!(response.chunk().await.unwrap().unwrap(), "data: 1\n\n");
    gate.open();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "data: 2\n\n");
}
