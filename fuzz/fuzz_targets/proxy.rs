//! What comes first on a connection where the PROXY protocol is spoken. Nothing panics; a header has a bound; and what stands
//! behind it, TLS mostly, is not touched and has no say.
#![no_main]

use std::{net::SocketAddr, time::Duration};

use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

#[path = "../../src/edge/limits/proxy_protocol.rs"]
mod proxy_protocol;

/// 16 bytes, and 2 KiB of addresses and more behind them.
const MAX_BYTES: usize = 16 + 2048;

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
}

/// What is read, and how many bytes it is.
fn read(bytes: &[u8]) -> Option<(Option<SocketAddr>, usize)> {
    let mut rest = bytes;
    let header = proxy_protocol::read_header(&mut rest, Duration::from_secs(60));
    let client = RUNTIME.with(|runtime| runtime.block_on(header)).ok()?;
    Some((client, bytes.len() - rest.len()))
}

fuzz_target!(|bytes: &[u8]| {
    if let Some((client, len)) = read(bytes) {
        assert!(len <= MAX_BYTES);
        assert_eq!(read(&bytes[..len]), Some((client, len)));
        assert_eq!(read(&bytes[..len - 1]), None, "less is no header");
    }
});
