//! What a hit costs beside the socket: its rules one by one, then the whole way through `handle`, body and all.
#![allow(
    clippy::panic,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark that cannot be set up has no result"
)]

use std::{hint::black_box, net::SocketAddr, pin::pin, sync::Arc, task::Poll};

use bytes::Buf as _;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_util::task::noop_waker_ref;
use http::{Request, StatusCode};
use http_body::Body as _;
use lightmeter::{
    app::App,
    config::{self, AccountConfig, Tariff},
    edge::{
        handler::{Edge, RequestBody, handle},
        peer::Peer,
    },
    http::{
        cache_control::CacheControl,
        freshness::{Freshness, Lifetimes},
        time::UnixSeconds,
    },
    image::format::OutputFormat,
    request::{
        FormatChoice, Presets, Transform,
        key::{SourceName, SourceVersion, variant_key},
        negotiate, parse,
    },
};
use tokio::{net::TcpListener, runtime::Runtime};

const CHROMIUM: &str = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8";
const PICTURE: &[u8] = include_bytes!("../demo/pictures/raccoon.jpg");

fn rules(criterion: &mut Criterion) {
    let presets = Presets::default();
    criterion.bench_function("negotiate: Chromium's Accept", |bencher| {
        bencher.iter(|| negotiate([black_box(CHROMIUM).as_bytes()], FormatChoice::Auto));
    });
    criterion.bench_function("parse: own path with two options", |bencher| {
        bencher.iter(|| parse(black_box("/a/b/photo.jpg"), black_box(Some("w=400&q=75")), &presets).is_ok());
    });
    criterion.bench_function("parse: path carrier with three options", |bencher| {
        bencher.iter(|| parse(black_box("/lm/w=400,h=300,fit=cover/a/b/photo.jpg"), None, &presets).is_ok());
    });
    criterion.bench_function("key: source and variant", |bencher| {
        let (version, transform) = (SourceVersion::of(PICTURE), Transform::default());
        bencher.iter(|| {
            let source = SourceName { scope: "shop", source: black_box("/a/b/photo.jpg") }.key();
            variant_key(source, version, &transform, OutputFormat::Avif)
        });
    });
    criterion.bench_function("freshness: of an origin's response", |bencher| {
        let headers = http::HeaderMap::from_iter([(
            http::header::CACHE_CONTROL,
            http::HeaderValue::from_static("public, max-age=31536000, immutable"),
        )]);
        bencher.iter(|| {
            let control = CacheControl::of(black_box(&headers));
            (control, Freshness::of(StatusCode::OK, &headers, UnixSeconds(1_700_000_000), &Lifetimes::default()))
        });
    });
}

fn hit(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let request = || {
        Request::get("/photo.jpg?w=800").header("host", "img.example").header("accept", CHROMIUM).body(None).unwrap()
    };
    let mut group = criterion.benchmark_group("hit");
    group.throughput(Throughput::Elements(1));
    for (name, tariff) in [
        ("in memory, request to the body's end, nobody pays", None),
        ("the same, on the variants tariff", Some(Tariff::Variants)),
        ("the same, on the egress tariff", Some(Tariff::Egress)),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let (edge, client) = runtime.block_on(warm_edge(scratch.path().to_owned(), tariff));
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                request,
                |request| answer_at_once(&edge, request, &client),
                criterion::BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// Runs a request that waits for nothing: one poll must do.
fn answer_at_once(edge: &Arc<Edge>, request: Request<RequestBody>, client: &Peer) -> usize {
    let mut context = std::task::Context::from_waker(noop_waker_ref());
    let mut answer = pin!(handle(Arc::clone(edge), request, client));
    let Poll::Ready(response) = answer.as_mut().poll(&mut context) else { panic!("a hit in memory waited") };
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = pin!(response.into_body());
    let mut sent = 0;
    while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut context) {
        sent += frame.unwrap().into_data().unwrap().remaining();
    }
    sent
}

/// An edge with one variant in memory, paid for by an account that does not run out, and its origin gone.
async fn warm_edge(data_dir: std::path::PathBuf, tariff: Option<Tariff>) -> (Arc<Edge>, Peer) {
    let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", origin.local_addr().unwrap()).parse().unwrap();
    let picture = || async { ([(http::header::CACHE_CONTROL, "max-age=31536000")], PICTURE) };
    let router = axum::Router::new().fallback(picture);
    let serving = tokio::spawn(axum::serve(origin, router).into_future());
    let mut config = config::from_origin(&url, []).unwrap();
    config.storage.data_dir = data_dir;
    config.log.access = false;
    config.images.refine = false;
    config.sites[0].first_view = config::FirstView::Always;
    config.edge.http = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    config.admin.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    if let Some(tariff) = tariff {
        config.accounts = vec![AccountConfig { id: "acme".to_owned(), plan: "max".to_owned() }];
        config.sites[0].account = Some("acme".to_owned());
        config.sites[0].tariff = tariff;
    }
    let app = App::assemble(config).await.unwrap();
    let (edge, listeners) = (app.edge(), app.bind().await.unwrap());
    // What charges and posts in the background runs along.
    tokio::spawn(app.run(listeners));
    let client = Peer::plain(SocketAddr::from(([127, 0, 0, 1], 1)));
    let request =
        Request::get("/photo.jpg?w=800").header("host", "img.example").header("accept", CHROMIUM).body(None).unwrap();
    let response = handle(Arc::clone(&edge), request, &client).await;
    assert_eq!(response.headers()["content-type"], "image/avif");
    serving.abort();
    (edge, client)
}

criterion_group!(benches, rules, hit);
criterion_main!(benches);
