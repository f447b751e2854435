//! How many connections each client has open. There is an entry only for who has one, so the table is bounded by
//! `edge.max_connections`.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use super::network::Network;

/// The connections of all clients.
#[derive(Debug)]
pub(in crate::edge) struct AddressConnections {
    max: usize,
    open: Mutex<HashMap<Network, usize>>,
}

/// A connection's place among its client's, given back when dropped.
#[derive(Debug)]
pub(in crate::edge) struct Place {
    connections: Arc<AddressConnections>,
    network: Network,
}

impl AddressConnections {
    /// At the most `max` of each.
    pub(in crate::edge) fn new(max: usize) -> Self {
        Self { max, open: Mutex::default() }
    }

    /// One more of `address`; `None` where it has as many as it may.
    pub(in crate::edge) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let network = Network::of(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(network).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Place { connections: Arc::clone(self), network })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_so_many_places_and_others_have_their_own() {
        let connections = Arc::new(AddressConnections::new(2));
        let [one, other] = [[192, 0, 2, 1], [192, 0, 2, 2]].map(IpAddr::from);
        let held = [connections.enter(one), connections.enter(one)];
        assert!(held.iter().all(Option::is_some));
        assert!(connections.enter(one).is_none());
        assert!(connections.enter(other).is_some());
        drop(held);
        assert!(connections.enter(one).is_some());
    }

    #[test]
    fn who_has_left_is_forgotten() {
        let connections = Arc::new(AddressConnections::new(2));
        for last in 0..=255 {
            connections.enter([192, 0, 2, last].into());
        }
        assert!(connections.open.lock().unwrap().is_empty());
    }
}
