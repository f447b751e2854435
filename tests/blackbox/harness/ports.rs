//! Ports for servers that must be told one. They lie below the range that the system takes for outgoing connections, so
//! that a port stays free while its server is stopped; tests in one process never get the same one twice.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A loopback address that nobody listens on at the moment.
pub(crate) fn free_address() -> SocketAddr {
    // Other test processes on this machine begin elsewhere.
    let process = u16::try_from(std::process::id() % u32::from(COUNT)).unwrap();
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let offset = (u32::from(process) * 97 + u32::from(step)) % u32::from(COUNT);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST + u16::try_from(offset).unwrap()));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port is free");
}
