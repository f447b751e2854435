//! Nodes that share the directory: one orders for all, and any of them answers the authority.

use std::{net::SocketAddr, path::PathBuf};

use crate::{
    authority::{Asked, Authority, Manner},
    harness::{Edge, Origin, Reply, Setup, ports::free_address, setup::TOKEN, until},
    renewal::validity,
    visitor,
    world::{store_below, with_acme},
};

const NAMES: [&str; 3] = ["a.shop.test", "b.shop.test", "c.shop.test"];

/// Of ninety days, in seconds.
const TWO_THIRDS: i64 = 60 * 86_400;

struct Nodes {
    nodes: [(Edge, SocketAddr); 2],
    authority: Authority,
    shared: tempfile::TempDir,
    _origin: Origin,
}

impl Nodes {
    /// Two with a change of their configuration, of which the authority asks the first.
    async fn with(manner: Manner, change: impl Fn(Setup) -> Setup) -> Self {
        let origin = Origin::with("/text", Reply::ok("text/plain", "hello")).await;
        let mut authority = Authority::new(manner);
        let shared = tempfile::tempdir().unwrap();
        let node = async || {
            let https = free_address();
            let setup = Setup::empty().with_site("shop", &NAMES, &origin.url());
            let setup = with_acme(setup, &authority, https)
                .set("edge.tls.acme.storage", &format!("'{}'", shared.path().display()));
            (Edge::start(change(setup)).await, https)
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

    /// Lets time pass on both nodes' standing clocks.
    async fn pass(&self, seconds: i64) {
        let [(one, _), (other, _)] = &self.nodes;
        tokio::join!(one.pass(seconds), other.pass(seconds));
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
        let change = |setup: Setup| setup.set("edge.tls.acme.challenges", &format!("['{challenge}']"));
        let nodes = Nodes::with(Manner::default(), change).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs pebble: make acme"]
async fn what_is_due_on_both_nodes_is_renewed_once_and_taken_up_by_both() {
    let manner = Manner { validity_seconds: Some(90 * 86_400), ..Manner::default() };
    let standing = |setup: Setup| setup.set("dev.test_clock", "true").set("admin.token", &format!("'{TOKEN}'"));
    let nodes = Nodes::with(manner, standing).await;
    let both = async || tokio::join!(nodes.visit(0, NAMES[0]), nodes.visit(1, NAMES[0]));
    // The authority's time does not stand: what it issues in the next minute is valid at once.
    nodes.pass(60).await;
    let first = nodes.visit(0, NAMES[0]).await;
    assert_eq!(nodes.visit(1, NAMES[0]).await, first);
    let issued_at = validity(&first.as_slice().into()).not_before.timestamp();
    until("what is issued now is valid for longer", async || jiff::Timestamp::now().as_second() > issued_at + 1).await;
    // It is due by now, as each node's own jitter lies within the three days before two thirds are over; what replaces it is due
    // by its own jitter too, but by nobody else's.
    nodes.pass(TWO_THIRDS - 61).await;
    until("both show another certificate", async || {
        let (shown, by_the_other) = both().await;
        shown != first && by_the_other != first
    })
    .await;
    let (renewed, shown) = both().await;
    assert_eq!(renewed, shown);
    assert_eq!(nodes.authority.orders(), 2);
}
