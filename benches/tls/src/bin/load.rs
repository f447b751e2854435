//! Asks the server, on one thread. Arguments: what, the server's provider, its certificate, its port, how many, and for `h3` over
//! how many connections:
//!
//! - `full`, `resumed`: connections with one request each that is answered without a body, by HTTP/1.1 over TLS, eight at a time;
//! - `h3-full`: the same by HTTP/3;
//! - `h3`: requests for the body by HTTP/3, one at a time on each connection;
//! - `idle-h1`, `idle-h2`, `idle-h3`: connections that ask once, and stay until standard input ends.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, Bytes};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use lightmeter_tls_bench::{BODY_BYTES, EMPTY, NAME, client_config, quic_endpoint};
use rustls::{ClientConfig, HandshakeKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

type SendRequest = h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>;

#[derive(Clone)]
struct Server {
    provider: String,
    certificate: String,
    address: SocketAddr,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, provider, certificate, port, count, rest @ ..] = &arguments[..] else {
        bail!("arguments: what, provider, certificate, port, how many");
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?));
    let server = Server { provider: provider.clone(), certificate: certificate.clone(), address };
    let count = count.parse()?;
    match &**what {
        "full" => {
            by_turns(8, count, async || server.one_connection(&server.config()?, HandshakeKind::Full).await).await
        }
        "resumed" => resumed(&server, count).await,
        "h3-full" => by_turns(8, count, async || server.one_h3_connection().await).await,
        "h3" => h3_requests(&server, count, rest.first().context("over how many connections")?.parse()?).await,
        idle => idle_connections(&server, idle, count).await,
    }
}

/// Does something so many times, some of them at once.
async fn by_turns(at_once: usize, times: usize, what: impl AsyncFn() -> Result<()>) -> Result<()> {
    let left = AtomicUsize::new(times);
    let one_after_the_other = async || {
        while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            what().await?;
        }
        Ok(())
    };
    futures_util::future::try_join_all((0..at_once).map(|_| one_after_the_other())).await.map(drop)
}

async fn resumed(server: &Server, count: usize) -> Result<()> {
    let config = server.config()?;
    server.one_connection(&config, HandshakeKind::Full).await?;
    by_turns(1, count, async || server.one_connection(&config, HandshakeKind::Resumed).await).await
}

async fn h3_requests(server: &Server, count: usize, connections: usize) -> Result<()> {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(server.h3(&quic_endpoint(server.config()?)?).await?);
    }
    let next = AtomicUsize::new(0);
    by_turns(connections, count, async || {
        let mut requests = open[next.fetch_add(1, Ordering::Relaxed) % connections].clone();
        ensure!(server.ask(&mut requests, "/").await? == BODY_BYTES, "all of the body");
        Ok(())
    })
    .await
}

async fn idle_connections(server: &Server, how: &str, count: usize) -> Result<()> {
    let config = server.config()?;
    let endpoint = quic_endpoint(server.config()?)?;
    let (mut h1, mut h2, mut h3) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..count {
        match how {
            "idle-h1" => h1.push(server.h1(&config).await?),
            "idle-h2" => h2.push(server.h2(&config).await?),
            "idle-h3" => {
                let mut requests = server.h3(&endpoint).await?;
                server.ask(&mut requests, "/").await?;
                h3.push(requests);
            }
            _ => bail!("no {how}"),
        }
    }
    println!("ready");
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}

impl Server {
    fn config(&self) -> Result<ClientConfig> {
        client_config(&self.provider, "aes-128", &self.certificate)
    }

    async fn tls(&self, config: &ClientConfig) -> Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(TlsConnector::from(Arc::new(config.clone())).connect(NAME.try_into()?, stream).await?)
    }

    async fn one_connection(&self, config: &ClientConfig, kind: HandshakeKind) -> Result<()> {
        let mut stream = self.tls(config).await?;
        stream
            .write_all(format!("GET {EMPTY} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n").as_bytes())
            .await?;
        let mut response = Vec::new();
        stream.read_to_end(&mut response).await?;
        ensure!(response.starts_with(b"HTTP/1.1 204"), "an answer");
        let was = stream.get_ref().1.handshake_kind();
        ensure!(was == Some(kind), "a handshake that is {kind:?}, not {was:?}");
        Ok(())
    }

    async fn h1(&self, config: &ClientConfig) -> Result<TlsStream<TcpStream>> {
        let mut stream = self.tls(config).await?;
        stream.write_all(format!("GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n").as_bytes()).await?;
        let mut response = vec![0; BODY_BYTES];
        stream.read_exact(&mut response).await?;
        Ok(stream)
    }

    async fn h2(&self, config: &ClientConfig) -> Result<http2::SendRequest<Empty<Bytes>>> {
        let mut config = config.clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TokioIo::new(self.tls(&config).await?);
        let (mut requests, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
        tokio::spawn(connection);
        let response = requests.send_request(Request::get(format!("https://{NAME}/")).body(Empty::new())?).await?;
        ensure!(response.into_body().collect().await?.to_bytes().len() == BODY_BYTES, "all of the body");
        Ok(requests)
    }

    async fn h3(&self, endpoint: &quinn::Endpoint) -> Result<SendRequest> {
        let connection = endpoint.connect(self.address, NAME)?.await?;
        let (mut driver, requests) = h3::client::new(h3_quinn::Connection::new(connection)).await?;
        tokio::spawn(async move { std::future::poll_fn(|context| driver.poll_close(context)).await });
        Ok(requests)
    }

    async fn one_h3_connection(&self) -> Result<()> {
        let endpoint = quic_endpoint(self.config()?)?;
        let mut requests = self.h3(&endpoint).await?;
        self.ask(&mut requests, EMPTY).await?;
        drop(requests);
        endpoint.close(0u32.into(), b"");
        Ok(())
    }

    async fn ask(&self, requests: &mut SendRequest, path: &str) -> Result<usize> {
        let mut stream = requests.send_request(Request::get(format!("https://{NAME}{path}")).body(())?).await?;
        stream.finish().await?;
        ensure!(stream.recv_response().await?.status().is_success(), "an answer");
        let mut bytes = 0;
        while let Some(piece) = stream.recv_data().await? {
            bytes += piece.remaining();
        }
        Ok(bytes)
    }
}
