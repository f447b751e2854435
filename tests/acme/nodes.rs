//! Nodes that share the directory: one orders for all, and any of them answers the authority.

use std::{net::SocketAddr, path::PathBuf};

use crate::{
    authority::{Asked, Authority, Manner},
    harness::{Edge, Origin, Reply, Setup, ports::free_address},
    visitor,
    world::{store_below, with_acme},
};

const NAMES: [&str; 3] = ["a.shop.test", "b.shop.test", "c.shop.test"];

struct Nodes {
    nodes: [(Edge, SocketAddr); 2],
    authority: Authority,
    shared: tempfile::TempDir,
    _origin: Origin,
}

impl Nodes {
    /// Two, of which the authority asks the first.
    async fn new(challenge: &str) -> Self {
        let origin = Origin::with("/text", Reply::ok("text/plain", "hello")).await;
        let mut authority = Authority::new(Manner::default());
        let shared = tempfile::tempdir().unwrap();
        let node = async || {
            let https = free_address();
            let setup = Setup::empty().with_site("shop", &NAMES, &origin.url());
            let setup = with_acme(setup, &authority, https)
                .set("edge.tls.acme.storage", &format!("'{}'", shared.path().display()))
                .set("edge.tls.acme.challenges", &format!("['{challenge}']"));
            (Edge::start(setup).await, https)
        };
        let nodes = [node().await, node().await];
        let asked = Asked { http: nodes[0].0.http.port(), https: nodes[0].1.port() };
        authority.start(asked).await;
        Self { nodes, authority, shared, _origin: origin }
    }

    async fn visit(&self, node: usize, name: &str) -> Vec<u8> {
        let roots = self.authority.roots().await;
        let (_, shown) = visitor::get(self.nodes[node].1, name, &roots, "/text").await.unwrap();
        shown.to_vec()
    }

    fn posted(&self) -> Vec<PathBuf> {
        let challenges = std::fs::read_dir(store_below(self.shared.path()).join("challenges")).unwrap();
        challenges.map(|entry| entry.unwrap().path()).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs pebble: make acme"]
async fn what_one_node_orders_the_other_shows_and_helps_to_get() {
    for challenge in ["http-01", "tls-alpn-01"] {
        let nodes = Nodes::new(challenge).await;
        // The authority asks the node that does not order.
        let shown = nodes.visit(1, NAMES[0]).await;
        assert_eq!(nodes.visit(0, NAMES[0]).await, shown, "{challenge}");
        assert_eq!(nodes.authority.orders(), 1, "{challenge}");
        let both = tokio::join!(nodes.visit(0, NAMES[1]), nodes.visit(1, NAMES[1]));
        assert_eq!(both.0, both.1, "{challenge}");
        assert_eq!(nodes.authority.orders(), 2, "{challenge}");
        assert_eq!(nodes.posted(), Vec::<PathBuf>::new(), "nothing stays behind");
    }
}
