//! Names whose addresses change between two looks. A real DNS server toggles, with answers that nobody may keep; the system's
//! resolver asks it, as it does in earnest. All in a network of the test's own, where even "public" addresses are this machine.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
};

use futures_util::future::join_all;
use reqwest::Client;
use serde_json::json;

use crate::harness::{
    CHROMIUM, Edge, Origin, Reply, Setup,
    namespace::{is_inside, leave_out},
    pictures,
    request::new_client,
    until,
};

/// An address that no list refuses: within the test's network it is the origin's.
const PUBLIC: &str = "11.22.33.44";
/// Where a server listens that nobody may reach.
const FORBIDDEN: [&str; 5] = ["127.0.0.1", "10.9.8.7", "169.254.169.254", "192.168.7.7", "[::1]"];
const NAME: &str = "shop.example";
const MANAGEMENT: &str = "http://127.0.0.1:8055";

/// `pebble-challtestsrv`, of the Debian package `pebble`: it answers for any name what it is told to, with a lifetime of zero.
struct Dns {
    server: Child,
    client: Client,
}

impl Dns {
    /// `None` where it is not installed.
    async fn start() -> Option<Self> {
        let nowhere = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv4", "", "-defaultIPv6", ""];
        let mut command = Command::new("pebble-challtestsrv");
        command.args(["-dns01", "127.0.0.1:53", "-management", "127.0.0.1:8055"]).args(nowhere);
        let server = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let dns = Self { server, client: new_client() };
        until("the DNS server answers", async || dns.client.get(MANAGEMENT).send().await.is_ok()).await;
        Some(dns)
    }

    /// From now on, `name` has these addresses and no others.
    async fn set(&self, name: &str, addresses: &[&str]) {
        let host = format!("{name}.");
        let (v6, v4): (Vec<&str>, Vec<&str>) = addresses.iter().copied().partition(|address| address.contains(':'));
        self.tell("clear-a", json!({ "host": host })).await;
        self.tell("clear-aaaa", json!({ "host": host })).await;
        if !v4.is_empty() {
            self.tell("add-a", json!({ "host": host, "addresses": v4 })).await;
        }
        if !v6.is_empty() {
            self.tell("add-aaaa", json!({ "host": host, "addresses": v6 })).await;
        }
    }

    /// From now on, `name` is an alias (CNAME) of another.
    async fn alias(&self, name: &str, of: &str) {
        self.tell("set-cname", json!({ "host": format!("{name}."), "target": format!("{of}.") })).await;
    }

    async fn tell(&self, what: &str, body: serde_json::Value) {
        let sent = self.client.post(format!("{MANAGEMENT}/{what}")).body(body.to_string()).send().await;
        assert!(sent.unwrap().status().is_success(), "{what} {body}");
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Listens on port 80 of all that is refused, where an origin of that name would be asked.
struct Forbidden(Vec<TcpListener>);

impl Forbidden {
    fn listen() -> Self {
        let listen = |host: &&str| TcpListener::bind(format!("{host}:80")).unwrap();
        let listeners: Vec<_> = FORBIDDEN.iter().map(listen).collect();
        assert!(listeners.iter().all(|listener| listener.set_nonblocking(true).is_ok()));
        Self(listeners)
    }

    fn assert_untouched(&self, when: &str) {
        for listener in &self.0 {
            match listener.accept() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                other => panic!("{when}: connected to {:?}: {other:?}", listener.local_addr()),
            }
        }
    }
}

/// An origin whose connections serve one request, so that each asks the resolver anew.
async fn public_origin() -> Origin {
    let origin = Origin::start_at(SocketAddr::new(PUBLIC.parse().unwrap(), 80)).await;
    for number in 0..PAIRS {
        let picture = Reply::jpeg(pictures::small_jpeg(number % 24));
        origin.set(&format!("/{number}.jpg"), picture.header("connection", "close"));
        origin.set(&format!("/page{number}"), Reply::page("page").control("no-store").header("connection", "close"));
    }
    origin
}

/// How many pictures and pages there are.
const PAIRS: u32 = 200;

fn setup() -> Setup {
    Setup::empty()
        .with_site("public", &["shop.test"], &format!("http://{NAME}"))
        .site("allow_private_origin", "false")
        .site("sources", &format!("['{NAME}', 'other.example']"))
        .set("origin.failure_ttl", "'0s'")
}

#[tokio::test]
async fn a_name_that_turns_to_loopback_between_two_looks_leads_nowhere() {
    let test = "rebinding::a_name_that_turns_to_loopback_between_two_looks_leads_nowhere";
    let addresses: Vec<String> =
        [PUBLIC, "10.9.8.7", "169.254.169.254", "192.168.7.7"].map(|a| format!("{a}/32")).into();
    if !is_inside(test, &addresses.iter().map(String::as_str).collect::<Vec<_>>()) {
        return;
    }
    let Some(dns) = Dns::start().await else {
        leave_out("pebble-challtestsrv is not installed (Debian package pebble)");
        return;
    };
    let (origin, forbidden) = (public_origin().await, Forbidden::listen());
    let edge = Edge::start(setup()).await;

    dns.set(NAME, &[PUBLIC]).await;
    assert_eq!(edge.get("/0.jpg").accept(CHROMIUM).await.picture().size(), (96, 64), "a public address is served from");
    // One after the other, on each refused address alone.
    let refused = ["127.0.0.1", "10.9.8.7", "169.254.169.254", "192.168.7.7", "::1", "64:ff9b::7f00:1", "fd00::7"];
    for (number, address) in refused.iter().enumerate() {
        dns.set(NAME, &[address]).await;
        let answer = edge.get(&format!("/{}.jpg", number + 1)).accept(CHROMIUM).await;
        assert!(matches!(answer.status.as_u16(), 403 | 502), "{address}: {answer:?}");
        assert!(answer.problem().contains("resolves to"), "{address}: {answer:?}");
        forbidden.assert_untouched(address);
        // What is no image goes the same way.
        let page = edge.get("/page").await;
        assert!(matches!(page.status.as_u16(), 403 | 502), "{address}: {page:?}");
        forbidden.assert_untouched(address);
    }
    // Among refused ones, the one that may be connected to is.
    dns.set(NAME, &["127.0.0.1", "10.9.8.7", PUBLIC, "::1"]).await;
    for number in 1..8 {
        assert_eq!(edge.get(&format!("/{number}.jpg")).accept(CHROMIUM).await.picture().size(), (96, 64));
    }
    forbidden.assert_untouched("several addresses");
    // A redirect to a name that has turned, and to an alias of one.
    dns.set("other.example", &["127.0.0.1"]).await;
    origin.set("/moved.jpg", Reply::redirect("http://other.example/0.jpg").header("connection", "close"));
    let assert_refused = async |leads_to: &str| {
        let moved = edge.get("/moved.jpg").accept(CHROMIUM).await;
        assert!(matches!(moved.status.as_u16(), 403 | 502), "{moved:?}");
        assert!(moved.problem().contains(leads_to), "{moved:?}");
        forbidden.assert_untouched("a redirect");
    };
    assert_refused("127.0.0.1").await;
    dns.set("inside.example", &["10.9.8.7"]).await;
    dns.alias("other.example", "inside.example").await;
    assert_refused("10.9.8.7").await;

    // Toggling as fast as it can, while pictures and pages are asked for: each look may find either, and both have been found in
    // the end.
    dns.set(NAME, &[PUBLIC]).await;
    let asked_before = origin.asked().len();
    let (mut served, mut refused) = (0, 0);
    let asked = async {
        for number in 8..PAIRS {
            let (picture, page) = (format!("/{number}.jpg"), format!("/page{number}"));
            let requests = (0..4).flat_map(|_| [edge.get(&picture).accept(CHROMIUM), edge.get(&page)]);
            for answer in join_all(requests.map(IntoFuture::into_future)).await {
                match answer.status.as_u16() {
                    200 => served += 1,
                    403 | 502 if answer.problem().contains("resolves to") => refused += 1,
                    // Between two answers, the name has none.
                    status => assert_eq!(status, 502, "{answer:?}"),
                }
            }
            if number >= 24 && served > 0 && refused > 0 {
                break;
            }
        }
    };
    let toggled = async {
        loop {
            for address in ["127.0.0.1", PUBLIC, "10.9.8.7", PUBLIC, "::1", PUBLIC] {
                dns.set(NAME, &[address]).await;
            }
        }
    };
    tokio::select! {
        () = asked => {}
        () = toggled => {}
    }
    forbidden.assert_untouched("toggling");
    assert!(origin.asked().len() > asked_before && served > 0, "the public address was never found");
    assert!(refused > 0, "a refused address was never found");
}
