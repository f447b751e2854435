//! The PROXY protocol, versions 1 and 2: a load balancer that passes connections on says first whose they are. Nothing behind
//! the header is read, so that what follows, TLS too, is as the client sent it.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ppp::{v1, v2};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    time::timeout,
};

/// Which version it is shows here; no header is shorter.
const BEGINNING: usize = 12;
/// The longest of version 1, with its line's end.
const MAX_V1: usize = 107;
/// The part of version 2 before the addresses, and the most behind it that is read: addresses and what else is said, which
/// is not looked at.
const V2_HEAD: usize = 16;
const MAX_V2_REST: usize = 2048;

/// Why a connection's header counts for nothing. It is closed then.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// It is none, or a broken one.
    #[error("no valid PROXY protocol header came first")]
    Malformed,
    /// It did not come in time.
    #[error("no PROXY protocol header came in time")]
    TooSlow,
    /// The connection ended in it.
    #[error("the connection ended before its PROXY protocol header: {0}")]
    Broken(#[from] io::Error),
}

/// Reads a header that must come `within` a time. Returns the client's address; `None` where the proxy speaks for itself
/// (`LOCAL`), or for a client without one (`UNKNOWN`, a Unix socket).
///
/// # Errors
/// [`ProxyError`]
pub async fn read_header<S>(stream: &mut S, within: Duration) -> Result<Option<SocketAddr>, ProxyError>
where
    S: AsyncRead + Unpin + Send,
{
    timeout(within, header(stream)).await.unwrap_or(Err(ProxyError::TooSlow))
}

async fn header<S: AsyncRead + Unpin + Send>(stream: &mut S) -> Result<Option<SocketAddr>, ProxyError> {
    let mut header = vec![0; BEGINNING];
    stream.read_exact(&mut header).await?;
    if header == v2::PROTOCOL_PREFIX { binary(stream, header).await } else { line(stream, header).await }
}

async fn line<S: AsyncRead + Unpin + Send>(
    stream: &mut S,
    mut header: Vec<u8>,
) -> Result<Option<SocketAddr>, ProxyError> {
    if !header.starts_with(b"PROXY ") {
        return Err(ProxyError::Malformed);
    }
    // Byte by byte: what stands behind the line's end is not the header's.
    while !header.ends_with(b"\r\n") {
        if header.len() == MAX_V1 {
            return Err(ProxyError::Malformed);
        }
        header.push(stream.read_u8().await?);
    }
    let parsed = v1::Header::try_from(header.as_slice()).map_err(|_| ProxyError::Malformed)?;
    Ok(match parsed.addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(ip) => Some(client(ip.source_address, ip.source_port)),
        v1::Addresses::Tcp6(ip) => Some(client(ip.source_address, ip.source_port)),
    })
}

async fn binary<S: AsyncRead + Unpin + Send>(
    stream: &mut S,
    mut header: Vec<u8>,
) -> Result<Option<SocketAddr>, ProxyError> {
    header.resize(V2_HEAD, 0);
    stream.read_exact(&mut header[BEGINNING..]).await?;
    let rest = usize::from(u16::from_be_bytes([header[V2_HEAD - 2], header[V2_HEAD - 1]]));
    if rest > MAX_V2_REST {
        return Err(ProxyError::Malformed);
    }
    header.resize(V2_HEAD + rest, 0);
    stream.read_exact(&mut header[V2_HEAD..]).await?;
    let parsed = v2::Header::try_from(header.as_slice()).map_err(|_| ProxyError::Malformed)?;
    Ok(match (parsed.command, parsed.addresses) {
        (v2::Command::Proxy, v2::Addresses::IPv4(ip)) => Some(client(ip.source_address, ip.source_port)),
        (v2::Command::Proxy, v2::Addresses::IPv6(ip)) => Some(client(ip.source_address, ip.source_port)),
        _ => None,
    })
}

fn client(address: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(address.into().to_canonical(), port)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    /// What is read of these bytes, and how many are left.
    fn read(mut bytes: &[u8]) -> (Result<Option<SocketAddr>, ProxyError>, usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let result = runtime.block_on(read_header(&mut bytes, LONG));
        (result, bytes.len())
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        header.extend([0x20 | command, family]);
        header.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
        header.extend(rest);
        header
    }

    const IPV4: [u8; 12] = [192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x67, 0, 80];

    #[test]
    fn a_header_says_whose_the_connection_is_and_nothing_behind_it_is_read() {
        let mut ipv6 = [0; 36];
        ipv6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        ipv6[15] = 1;
        ipv6[32..34].copy_from_slice(&[0x12, 0x67]);
        let with_more = [&IPV4[..], &[0x04, 0, 3, 1, 2, 3]].concat();
        for (header, expected) in [
            (b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n".to_vec(), Some("192.0.2.1:4711")),
            (b"PROXY TCP6 2001:db8::1 2001:db8::2 4711 80\r\n".to_vec(), Some("[2001:db8::1]:4711")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None),
            (v2(1, 0x11, &IPV4), Some("192.0.2.1:4711")),
            (v2(1, 0x11, &with_more), Some("192.0.2.1:4711")),
            (v2(1, 0x21, &ipv6), Some("[2001:db8::1]:4711")),
            (v2(0, 0x00, &[]), None),
            (v2(0, 0x11, &IPV4), None),
            (v2(1, 0x00, &[]), None),
            (v2(1, 0x31, &[7; 216]), None),
        ] {
            let (client, left) = read(&[&header[..], b"GET / HTTP/1.1\r\n"].concat());
            assert_eq!(client.unwrap(), expected.map(|address| address.parse().unwrap()), "{header:?}");
            assert_eq!(left, 16, "{header:?}");
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for bytes in [
            b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1\r\n                        ".to_vec(),
            b"PROXY TCP4 999.0.2.1 10.0.0.1 4711 80\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 99999\r\n".to_vec(),
            b"PROXY TCP9 192.0.2.1 10.0.0.1 4711 80\r\n".to_vec(),
            [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 200]].concat(),
            v2(7, 0x11, &IPV4),
            v2(1, 0x51, &IPV4),
            v2(1, 0x21, &IPV4),
            v2(1, 0x11, &[0; MAX_V2_REST + 1]),
            b"PROXY".to_vec(),
            Vec::new(),
        ] {
            assert!(read(&bytes).0.is_err(), "{:?}", String::from_utf8_lossy(&bytes));
        }
    }

    #[tokio::test]
    async fn one_that_does_not_come_is_not_waited_for() {
        let (mut stream, _silent) = tokio::io::duplex(64);
        let result = read_header(&mut stream, Duration::from_millis(1)).await;
        assert!(matches!(result, Err(ProxyError::TooSlow)), "{result:?}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300), command in 0..3u8, family: u8) {
            let _ = read(&bytes);
            let _ = read(&v2(command, family, &bytes));
            let _ = read(&[b"PROXY ", &bytes[..]].concat());
        }
    }
}
