//! What a server's part of TLS costs without sockets: CPU time of its thread alone, as medians of rounds in which the providers
//! take turns; the client is always the same. Arguments: certificates with their keys, as `certificate,key`.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use lightmeter_tls_bench::{NAME, body, client_config, server_config};
use rustix::time::{ClockId, clock_gettime};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ServerConfig, ServerConnection};

const ROUNDS: usize = 31;
const HANDSHAKES: u32 = 40;
const BODIES: u32 = 400;

fn main() -> Result<()> {
    let mut found: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for round in 0..=ROUNDS {
        let mut note = |what: String, took: Duration, times: u32| {
            // The first warms up.
            if round > 0 {
                found.entry(what).or_default().push(took.as_secs_f64() * 1e6 / f64::from(times));
            }
        };
        for pair in std::env::args().skip(1) {
            let (certificate, key) = pair.split_once(',').context("certificate,key")?;
            let kind = certificate.rsplit('/').next().unwrap_or_default().trim_end_matches(".crt");
            for name in ["ring", "aws-lc", "aws-lc-pq"] {
                let server = Arc::new(server_config(name, "aes-128", certificate, key)?);
                let client = Arc::new(client_config(name, "aes-128", certificate)?);
                note(format!("handshake, {kind}, full: {name}"), handshakes(&server, certificate, name)?, HANDSHAKES);
                note(format!("handshake, {kind}, resumed: {name}"), resumptions(&server, &client)?, HANDSHAKES);
            }
        }
        let pair = std::env::args().nth(1).context("certificate,key")?;
        let (certificate, key) = pair.split_once(',').context("certificate,key")?;
        for suite in ["aes-128", "aes-256", "chacha20"] {
            for name in ["ring", "aws-lc"] {
                let server = Arc::new(server_config(name, suite, certificate, key)?);
                let client = Arc::new(client_config(name, suite, certificate)?);
                note(format!("30 KB encrypted, {suite}: {name}"), bodies(&server, &client)?, BODIES);
            }
        }
    }
    for (what, mut times) in found {
        times.sort_by(f64::total_cmp);
        println!("{what}\t{:.2}", times[times.len() / 2]);
    }
    Ok(())
}

/// The time of handshakes of clients that were never here.
fn handshakes(server: &Arc<ServerConfig>, certificate: &str, name: &str) -> Result<Duration> {
    let mut spent = Duration::ZERO;
    for _ in 0..HANDSHAKES {
        let client = Arc::new(client_config(name, "aes-128", certificate)?);
        let (connection, took) = handshake(server, &client)?;
        anyhow::ensure!(connection.handshake_kind() == Some(HandshakeKind::Full), "a full handshake");
        spent += took;
    }
    Ok(spent)
}

/// The time of handshakes of a client that comes again.
fn resumptions(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>) -> Result<Duration> {
    let mut spent = Duration::ZERO;
    handshake(server, client)?;
    for _ in 0..HANDSHAKES {
        let (connection, took) = handshake(server, client)?;
        anyhow::ensure!(connection.handshake_kind() == Some(HandshakeKind::Resumed), "a resumed handshake");
        spent += took;
    }
    Ok(spent)
}

fn handshake(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>) -> Result<(ServerConnection, Duration)> {
    let mut client = ClientConnection::new(client.clone(), ServerName::try_from(NAME)?)?;
    let (mut wire, mut spent) = (Vec::new(), Duration::ZERO);
    let before = now();
    let mut server = ServerConnection::new(server.clone())?;
    spent += now() - before;
    while client.is_handshaking() || server.is_handshaking() || server.wants_write() {
        wire.clear();
        while client.wants_write() {
            client.write_tls(&mut wire)?;
        }
        let before = now();
        take_in(&wire, |wire| server.read_tls(wire))?;
        server.process_new_packets()?;
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire)?;
        }
        spent += now() - before;
        take_in(&wire, |wire| client.read_tls(wire))?;
        client.process_new_packets()?;
    }
    Ok((server, spent))
}

fn take_in(mut wire: &[u8], mut read: impl FnMut(&mut dyn Read) -> std::io::Result<usize>) -> Result<()> {
    while !wire.is_empty() {
        read(&mut wire)?;
    }
    Ok(())
}

/// The time of encrypting bodies into records, as they would go to a socket.
fn bodies(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>) -> Result<Duration> {
    let (mut connection, _) = handshake(server, client)?;
    let body = body();
    let mut wire = Vec::with_capacity(2 * body.len());
    let before = now();
    for _ in 0..BODIES {
        connection.writer().write_all(&body)?;
        wire.clear();
        while connection.wants_write() {
            connection.write_tls(&mut wire)?;
        }
        black_box(&wire);
    }
    Ok(now() - before)
}

fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
