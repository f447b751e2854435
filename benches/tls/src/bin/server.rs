//! Serves one body in memory on one thread: HTTP/1.1 and HTTP/2 over TLS on a TCP port, HTTP/3 on the UDP port of the same
//! number. Arguments: provider, suite, certificate, key, port. `SIGTERM` sends `GOAWAY` on HTTP/3 connections, and waits.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use h3::server::RequestResolver;
use http::{Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use lightmeter_tls_bench::{EMPTY, body, server_config};
use quinn::crypto::rustls::QuicServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// What is told of the header fields that are taken, as the edge's HTTP/2 does.
const MAX_FIELD_SECTION_BYTES: u64 = 16 * 1024;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [provider, suite, certificate, key, port] = &arguments[..] else {
        anyhow::bail!("arguments: provider, suite, certificate, key, port");
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?));
    let body = body();

    let mut tls = server_config(provider, suite, certificate, key)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    tokio::spawn(serve_tcp(TcpListener::bind(address).await?, TlsAcceptor::from(Arc::new(tls)), body.clone()));

    if suite != "aes-128" {
        // QUIC's first packets need that suite.
        return std::future::pending().await;
    }
    let mut tls = server_config(provider, suite, certificate, key)?;
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    serve_quic(&quinn::Endpoint::server(config, address)?, body).await
}

async fn serve_tcp(listener: TcpListener, tls: TlsAcceptor, body: Bytes) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (tls, body) = (tls.clone(), body.clone());
        tokio::spawn(async move {
            if let Err(error) = serve_tls(stream, tls, body).await {
                eprintln!("{error:#}");
            }
        });
    }
}

async fn serve_tls(stream: TcpStream, tls: TlsAcceptor, body: Bytes) -> Result<()> {
    stream.set_nodelay(true)?;
    let stream = tls.accept(stream).await.context("the handshake")?;
    let service = service_fn(move |request: Request<Incoming>| {
        let response =
            head(request.uri().path()).map(|empty| Full::new(if empty { Bytes::new() } else { body.clone() }));
        async move { Ok::<_, Infallible>(response) }
    });
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http2().initial_connection_window_size(1 << 20).max_header_list_size(MAX_FIELD_SECTION_BYTES as u32);
    // Whoever goes away in the middle is no error here.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
    Ok(())
}

/// The response's head; its body says whether there is none.
fn head(path: &str) -> Response<bool> {
    let mut response = Response::new(path == EMPTY);
    if path == EMPTY {
        *response.status_mut() = StatusCode::NO_CONTENT;
    } else {
        response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("image/webp"));
    }
    response
}

async fn serve_quic(endpoint: &quinn::Endpoint, body: Bytes) -> Result<()> {
    let (stop, stopped) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            incoming = endpoint.accept() => {
                let Some(incoming) = incoming else { return Ok(()) };
                tokio::spawn(serve_h3(incoming, body.clone(), stopped.clone()));
            }
            _ = terminate.recv() => break,
        }
    }
    stop.send(true)?;
    drop(stopped);
    // Connections that are served hold a receiver each.
    stop.closed().await;
    println!("all connections ended");
    Ok(())
}

async fn serve_h3(incoming: quinn::Incoming, body: Bytes, mut stopped: watch::Receiver<bool>) -> Result<()> {
    let connection = h3_quinn::Connection::new(incoming.accept()?.await?);
    let mut connection =
        h3::server::builder().max_field_section_size(MAX_FIELD_SECTION_BYTES).build::<_, Bytes>(connection).await?;
    let mut stopping = false;
    loop {
        tokio::select! {
            request = connection.accept() => {
                let Some(request) = request? else { return Ok(()) };
                tokio::spawn(answer(request, body.clone()));
            }
            _ = stopped.changed(), if !stopping => {
                stopping = true;
                connection.shutdown(0).await?;
            }
        }
    }
}

async fn answer(request: RequestResolver<h3_quinn::Connection, Bytes>, body: Bytes) -> Result<()> {
    let (request, mut stream) = request.resolve_request().await?;
    let head = head(request.uri().path());
    let empty = *head.body();
    stream.send_response(head.map(|_| ())).await?;
    if !empty {
        stream.send_data(body).await?;
    }
    Ok(stream.finish().await?)
}
