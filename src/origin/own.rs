//! Where this edge itself listens. An origin that leads there would make it its own visitor, and, where a site may reach private
//! addresses, the operator's.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{Arc, OnceLock},
};

use super::address::RefusedAddress;

/// The addresses of all listeners, of visitors' and of the operator's.
#[derive(Debug, Clone, Default)]
pub struct OwnListeners(Arc<OnceLock<Vec<SocketAddr>>>);

impl OwnListeners {
    /// They are known from when they are bound; before that there are none. What was known stays.
    pub fn are(&self, listeners: Vec<SocketAddr>) {
        let _ = self.0.set(listeners);
    }

    /// Passes an address where something else than this edge listens, if anything.
    ///
    /// # Errors
    /// [`RefusedAddress`]
    pub fn vet(&self, to: SocketAddr) -> Result<(), RefusedAddress> {
        let listeners = self.0.get().map_or(&[][..], Vec::as_slice);
        if leads_to_one(to, listeners, is_this_machines) { Err(RefusedAddress::own_listener(to.ip())) } else { Ok(()) }
    }
}

/// Whether a connection to `to` is one to one of `listeners`. `is_here` says whether an address is this machine's.
fn leads_to_one(to: SocketAddr, listeners: &[SocketAddr], is_here: impl Fn(IpAddr) -> bool) -> bool {
    let address = to.ip().to_canonical();
    let listens = |own: IpAddr| match own {
        _ if own == address => true,
        _ if !own.is_unspecified() => false,
        // An IPv6 socket takes IPv4 too, unless the system is told otherwise.
        _ => (own.is_ipv6() || address.is_ipv4()) && is_here(address),
    };
    listeners.iter().any(|own| own.port() == to.port() && listens(own.ip().to_canonical()))
}

/// Whether an address is this machine's: whether the system would send a datagram from it to itself. None is sent. That
/// a socket can be bound to it is not enough: where addresses move between machines (`ip_nonlocal_bind`), it can be to any.
fn is_this_machines(address: IpAddr) -> bool {
    const ANY_PORT: u16 = 9;
    let from = match address {
        IpAddr::V4(_) => address,
        // To an address of its own the system goes from just that (RFC 6724, 5), which is not so for a second one of IPv4.
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    match UdpSocket::bind((from, 0)) {
        Ok(socket) => {
            socket.connect((address, ANY_PORT)).is_ok() && socket.local_addr().is_ok_and(|from| from.ip() == address)
        }
        // Where there is no socket to be had, nobody knows.
        Err(error) => error.kind() != ErrorKind::AddrNotAvailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: [&str; 4] = ["127.0.0.1", "192.0.2.7", "::1", "2001:db8::7"];

    fn leads_to(listener: &str, to: &str) -> bool {
        let is_here = |address: IpAddr| HERE.contains(&address.to_string().as_str());
        leads_to_one(to.parse().unwrap(), &["127.0.0.9:1".parse().unwrap(), listener.parse().unwrap()], is_here)
    }

    #[test]
    fn a_listeners_port_on_its_address_leads_to_it() {
        for (listener, to, leads) in [
            ("192.0.2.7:80", "192.0.2.7:80", true),
            ("[2001:db8::7]:80", "[2001:db8::7]:80", true),
            ("192.0.2.7:80", "192.0.2.7:81", false),
            // Something else may listen there.
            ("192.0.2.7:80", "127.0.0.1:80", false),
            ("127.0.0.1:80", "192.0.2.7:80", false),
            ("127.0.0.1:80", "[::1]:80", false),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "[::ffff:127.0.0.1]:80", true),
        ] {
            assert_eq!(leads_to(listener, to), leads, "{listener} {to}");
        }
    }

    #[test]
    fn a_listener_on_all_addresses_is_led_to_by_each_that_is_this_machines() {
        for (listener, to, leads) in [
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "192.0.2.7:80", true),
            ("0.0.0.0:80", "192.0.2.7:81", false),
            ("0.0.0.0:80", "192.0.2.8:80", false),
            ("0.0.0.0:80", "[::1]:80", false),
            ("[::]:80", "[::1]:80", true),
            ("[::]:80", "[2001:db8::7]:80", true),
            ("[::]:80", "[2001:db8::8]:80", false),
            ("[::]:80", "192.0.2.7:80", true),
            ("[::]:80", "192.0.2.8:80", false),
        ] {
            assert_eq!(leads_to(listener, to), leads, "{listener} {to}");
        }
    }

    #[test]
    fn the_system_knows_its_own_addresses() {
        for (address, is_here) in [
            ("127.0.0.1", true),
            ("127.3.2.1", true),
            ("192.0.2.7", false),
            ("8.8.8.8", false),
            ("2001:db8::7", false),
            ("fe80::1", false),
        ] {
            assert_eq!(is_this_machines(address.parse().unwrap()), is_here, "{address}");
        }
    }

    #[test]
    fn before_anything_listens_all_addresses_pass_and_then_those_that_lead_elsewhere() {
        let own = OwnListeners::default();
        let (here, elsewhere) = ("127.0.0.1:8080".parse().unwrap(), "127.0.0.1:8081".parse().unwrap());
        assert_eq!(own.vet(here), Ok(()));
        own.are(vec!["0.0.0.0:8080".parse().unwrap()]);
        let refused = own.vet(here).unwrap_err().to_string();
        assert_eq!(refused, "127.0.0.1 is where this edge itself listens on that port: never connected to");
        assert_eq!(own.vet(elsewhere), Ok(()));
    }
}
