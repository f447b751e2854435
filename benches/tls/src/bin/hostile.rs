//! What visitors may do to an HTTP/3 server, and what becomes of it. Arguments: what, the server's certificate, its port, its process:
//!
//! - `stalled`: requests whose bodies are not read;
//! - `resets`: requests that are given up at once;
//! - `frame`: a header frame that says it is large, and is;
//! - `fields`: more header fields than the server says it takes;
//! - `goaway`: `SIGTERM` to the server, before an idle connection and a request that is under way.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Buf;
use http::Request;
use lightmeter_tls_bench::{NAME, client_config};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint, TransportConfig, VarInt};
use tokio::time::{sleep, timeout};

/// A `GET /` of `localhost`: a header frame whose fields are all of the static table but for the name.
const GET: &[u8] = b"\x01\x10\x00\x00\xd1\xd7\xc1\x50\x09localhost";

/// An open control stream's first bytes: its type, and empty settings.
const CONTROL: &[u8] = b"\x00\x04\x00";

const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, certificate, port, process] = &arguments[..] else {
        bail!("arguments: what, certificate, port, process");
    };
    let server = Server {
        address: (Ipv4Addr::LOCALHOST, port.parse()?).into(),
        certificate: certificate.clone(),
        process: process.clone(),
    };
    match &**what {
        "stalled" => stalled(&server).await,
        "resets" => resets(&server).await,
        "frame" => frame(&server).await,
        "fields" => fields(&server).await,
        "goaway" => goaway(&server).await,
        what => bail!("no {what}"),
    }
}

struct Server {
    address: SocketAddr,
    certificate: String,
    process: String,
}

impl Server {
    /// A connection with an open control stream. Its endpoint must live as long.
    async fn connect(&self, transport: TransportConfig) -> Result<(Endpoint, Connection)> {
        let mut tls = client_config("aws-lc", "aes-128", &self.certificate)?;
        tls.alpn_protocols = vec![b"h3".to_vec()];
        let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
        config.transport_config(Arc::new(transport));
        let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
        let connection = endpoint.connect_with(config, self.address, NAME)?.await?;
        Ok((endpoint, connection))
    }

    /// The server's memory that is its own, in KiB.
    fn memory(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process))?;
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).context("RssAnon")?;
        Ok(line.split_whitespace().nth(1).context("a number")?.parse()?)
    }

    /// The CPU time of the server's thread.
    fn cpu(&self) -> Result<Duration> {
        let schedule = std::fs::read_to_string(format!("/proc/{}/schedstat", self.process))?;
        Ok(Duration::from_nanos(schedule.split(' ').next().context("a number")?.parse()?))
    }
}

/// How a visitor sets up that takes no more than 1 KiB of a stream before it reads, and stays.
fn small_windows() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(1024u32.into()).keep_alive_interval(Some(Duration::from_secs(5)));
    transport
}

async fn control(connection: &Connection) -> Result<quinn::SendStream> {
    let mut control = connection.open_uni().await?;
    control.write_all(CONTROL).await?;
    Ok(control)
}

async fn stalled(server: &Server) -> Result<()> {
    let before = server.memory()?;
    let mut held = Vec::new();
    for _ in 0..20 {
        let (endpoint, connection) = server.connect(small_windows()).await?;
        let control = control(&connection).await?;
        let mut streams = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(200), connection.open_bi()).await {
            let (mut send, receive) = stream?;
            send.write_all(GET).await?;
            send.finish()?;
            streams.push(receive);
        }
        held.push((endpoint, connection, control, streams));
    }
    sleep(Duration::from_secs(1)).await;
    let streams: usize = held.iter().map(|held| held.3.len()).sum();
    println!(
        "stalled\t20 connections, {streams} streams of 30 KB\t{} KiB a connection",
        (server.memory()? - before) / 20
    );
    sleep(Duration::from_secs(40)).await;
    let open = held.iter().filter(|held| held.1.close_reason().is_none()).count();
    println!("stalled\tafter 40 s\t{open} of 20 connections still open");
    Ok(())
}

async fn resets(server: &Server) -> Result<()> {
    let (_endpoint, connection) = server.connect(TransportConfig::default()).await?;
    let _control = control(&connection).await?;
    let (memory, cpu, since) = (server.memory()?, server.cpu()?, Instant::now());
    let mut resets = 0u32;
    while since.elapsed() < PATIENCE && connection.close_reason().is_none() {
        let Ok(stream) = timeout(PATIENCE, connection.open_bi()).await else { break };
        let (mut send, mut receive) = stream?;
        send.write_all(GET).await?;
        // Sent, before it is taken back: what is reset at once never leaves.
        tokio::task::yield_now().await;
        send.reset(VarInt::from_u32(0x10c))?;
        receive.stop(VarInt::from_u32(0x10c))?;
        resets += 1;
    }
    let spent = server.cpu()? - cpu;
    let closed =
        connection.close_reason().map_or_else(|| "not closed".to_owned(), |reason| format!("closed: {reason}"));
    println!("resets\t{resets} requests given up in {:.1} s", since.elapsed().as_secs_f64());
    println!("resets\t{:.1} µs of the server's CPU each\t{closed}", spent.as_secs_f64() * 1e6 / f64::from(resets));
    println!("resets\tmemory grew by {} KiB", server.memory()?.saturating_sub(memory));
    Ok(())
}

async fn frame(server: &Server) -> Result<()> {
    let (_endpoint, connection) = server.connect(TransportConfig::default()).await?;
    let _control = control(&connection).await?;
    let (mut send, mut receive) = connection.open_bi().await?;
    let (memory, cpu) = (server.memory()?, server.cpu()?);
    // A header frame of 2^30 - 1 bytes; an unfinished field name of as many follows.
    send.write_all(b"\x01\xbf\xff\xff\xff\x00\x00").await?;
    let since = Instant::now();
    let (piece, mut sent) = (vec![b'a'; 1 << 16], 0usize);
    while sent < 256 << 20 && since.elapsed() < PATIENCE * 6 {
        match timeout(PATIENCE, send.write_all(&piece)).await {
            Ok(Ok(())) => sent += piece.len(),
            refused => {
                println!("frame\trefused: {refused:?}");
                break;
            }
        }
    }
    println!("frame\t{} MiB of one header frame taken in {:.1} s", sent >> 20, since.elapsed().as_secs_f64());
    println!(
        "frame\tmemory grew by {} MiB\t{:.1} s of the server's CPU",
        (server.memory()? - memory) >> 10,
        (server.cpu()? - cpu).as_secs_f64()
    );
    let answer = timeout(Duration::from_millis(500), receive.read_chunk(64, true)).await;
    println!("frame\tan answer: {}", if answer.is_ok() { "yes" } else { "none" });
    Ok(())
}

async fn fields(server: &Server) -> Result<()> {
    let (_endpoint, connection) = server.connect(TransportConfig::default()).await?;
    let _control = control(&connection).await?;
    let value = vec![b'a'; 20_000];
    // The same `GET`, and one field `a` with that value: a literal with a literal name.
    let mut block = GET[2..].to_vec();
    block.extend_from_slice(b"\x21a\x7f");
    let mut rest = value.len() - 127;
    while rest >= 128 {
        block.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    block.push(rest as u8);
    block.extend(value);
    let mut request = vec![1, 0x80, 0, (block.len() >> 8) as u8, block.len() as u8];
    request.extend(block);
    let (mut send, mut receive) = connection.open_bi().await?;
    send.write_all(&request).await?;
    send.finish()?;
    let answer = timeout(PATIENCE, receive.read_to_end(1 << 20)).await;
    println!(
        "fields\t{}",
        match answer {
            Ok(Ok(answer)) => format!("{} bytes of an answer: {}", answer.len(), answer.escape_ascii()),
            other => format!("{other:?}"),
        }
    );
    Ok(())
}

async fn goaway(server: &Server) -> Result<()> {
    let (_endpoint, idle) = server.connect(TransportConfig::default()).await?;
    let (mut driver, mut requests) = h3::client::new(h3_quinn::Connection::new(idle.clone())).await?;
    let (_busy_endpoint, busy) = server.connect(small_windows()).await?;
    let (mut busy_driver, mut busy_requests) = h3::client::new(h3_quinn::Connection::new(busy.clone())).await?;
    let get = || Request::get(format!("https://{NAME}/")).body(());
    let closed = tokio::spawn(async move { std::future::poll_fn(|context| driver.poll_close(context)).await });
    tokio::spawn(async move { std::future::poll_fn(|context| busy_driver.poll_close(context)).await });
    let mut under_way = busy_requests.send_request(get()?).await?;
    under_way.finish().await?;
    under_way.recv_response().await?;

    std::process::Command::new("kill").args(["-TERM", &server.process]).status()?;
    sleep(Duration::from_millis(500)).await;
    let refused = requests.send_request(get()?).await.err();
    println!("goaway\ta new request: {}", refused.map_or("is sent".to_owned(), |error| format!("refused: {error}")));
    let mut bytes = 0;
    while let Some(piece) = under_way.recv_data().await? {
        bytes += piece.remaining();
    }
    println!("goaway\tthe request under way got {bytes} bytes");
    let ended = timeout(PATIENCE, closed).await;
    println!(
        "goaway\tthe idle connection: {}",
        ended.map_or_else(|_| "still open".to_owned(), |why| format!("{why:?}"))
    );
    println!("goaway\tthe connection that had a request: {:?}", busy.close_reason());
    let runs = std::path::Path::new(&format!("/proc/{}", server.process)).exists();
    println!("goaway\tafter 5 s the server {}", if runs { "waits for connections" } else { "has ended" });
    Ok(())
}
