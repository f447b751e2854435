//! What the edge must not be talked into fetching: every refused form is refused, and nothing connects.

use std::{io::ErrorKind, net::TcpListener};

use crate::harness::{CHROMIUM, Edge, Origin, Reply, Setup, pictures, ports::free_address, until};

/// A server on loopback that nobody may reach.
struct Forbidden {
    port: u16,
    listeners: Vec<TcpListener>,
}

impl Forbidden {
    fn listen() -> Self {
        let address = free_address();
        let port = address.port();
        // Not every machine has IPv6.
        let addresses = [address, ([0, 0, 0, 0, 0, 0, 0, 1], port).into()];
        let listeners: Vec<_> = addresses.into_iter().filter_map(|address| TcpListener::bind(address).ok()).collect();
        assert!(listeners.iter().all(|listener| listener.set_nonblocking(true).is_ok()) && !listeners.is_empty());
        Self { port, listeners }
    }

    fn assert_untouched(&self, by: &str) {
        for listener in &self.listeners {
            match listener.accept() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                other => panic!("{by} connected to {:?}: {other:?}", listener.local_addr()),
            }
        }
    }
}

/// A public site that names all it may name: only the address guard stands between it and loopback.
fn public_setup(origin: &str) -> Setup {
    let sources = ["127.0.0.1", "[::1]", "[::ffff:7f00:1]", "localhost", "*.localhost", "10.0.0.1", "169.254.169.254"];
    Setup::empty()
        .with_site("public", &["shop.test"], origin)
        .site("allow_private_origin", "false")
        .site("sources", &format!("{sources:?}"))
        .set("origin.connect_timeout", "'1s'")
}

async fn assert_refused(edge: &Edge, url: &str) {
    for target in [format!("/lm/w=10/{url}"), format!("/lm/w=10/{}", url.replace(':', "%3A").replace('/', "%2F"))] {
        let answer = edge.get(&target).accept(CHROMIUM).await;
        assert!(answer.status.is_client_error() || answer.status.is_server_error(), "{target} gave {answer:?}");
        let problem = answer.problem();
        // That nobody listens there must not be what saves us; that nobody knows the name may be.
        let was_tried = problem.contains("cannot connect") && !problem.contains("cannot be resolved");
        assert!(!was_tried && !problem.contains("timed out"), "{target}: {problem}");
    }
}

#[tokio::test]
async fn no_spelling_of_an_address_reaches_loopback() {
    let forbidden = Forbidden::listen();
    let port = forbidden.port;
    let hosts = [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "017700000001",
        "2130706433",
        "%31%32%37.0.0.1",
        "127%2E0.0.1",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "user@127.0.0.1",
        "shop.example@127.0.0.1",
        "shop.example:x@localhost",
    ];
    // Digits and dots of other scripts mean the same to a URL parser; they travel percent-encoded.
    let wide = ["%EF%BC%91%EF%BC%92%EF%BC%97.0.0.1", "127%E3%80%820%E3%80%820%E3%80%821"];
    // As the site's own origin, the host may be asked on its port: nothing but the address is wrong.
    for own in ["127.0.0.1", "[::1]", "localhost", "0.0.0.0"] {
        let edge = Edge::start(public_setup(&format!("http://{own}:{port}"))).await;
        for host in hosts.into_iter().chain(wide) {
            for port in [format!(":{port}"), String::new()] {
                assert_refused(&edge, &format!("http://{host}{port}/a.jpg")).await;
            }
            forbidden.assert_untouched(host);
        }
    }
}

#[tokio::test]
async fn schemes_ports_user_names_and_metadata_services_are_refused() {
    let forbidden = Forbidden::listen();
    let edge = Edge::start(public_setup("https://shop.example")).await;
    let port = forbidden.port;
    let urls = [
        format!("gopher://127.0.0.1:{port}/a.jpg"),
        format!("ftp://127.0.0.1:{port}/a.jpg"),
        "file:///etc/passwd".to_owned(),
        "http://user@shop.example/a.jpg".to_owned(),
        "http://:secret@shop.example/a.jpg".to_owned(),
        "https://shop.example:22/a.jpg".to_owned(),
        "https://shop.example:8443/a.jpg".to_owned(),
        format!("http://localhost:{port}/a.jpg"),
        "http://169.254.169.254/latest/meta-data/a.jpg".to_owned(),
        "http://169.254.170.2/a.jpg".to_owned(),
        "http://[fd00:ec2::254]/a.jpg".to_owned(),
        "http://100.100.100.200/a.jpg".to_owned(),
        "http://10.0.0.1/a.jpg".to_owned(),
        "http://172.16.0.1/a.jpg".to_owned(),
        "http://192.168.0.1/a.jpg".to_owned(),
        "http://100.64.0.1/a.jpg".to_owned(),
        "http://224.0.0.1/a.jpg".to_owned(),
        "http://255.255.255.255/a.jpg".to_owned(),
        "http://[fe80::1]/a.jpg".to_owned(),
        "http://[fe80::1%25lo]/a.jpg".to_owned(),
        "http://other.example/a.jpg".to_owned(),
        "http://shop.example.other.example/a.jpg".to_owned(),
    ];
    for url in &urls {
        assert_refused(&edge, url).await;
        forbidden.assert_untouched(url);
    }
    for text in ["data:image/png;base64,AAAA", "unix:/tmp/socket"] {
        // Not the form of a URL with a host: a path on the site's own origin, which resolves to nothing here.
        let answer = edge.get(&format!("/lm/w=10/{text}")).await;
        assert_eq!(answer.status.as_u16(), 502, "{text} gave {answer:?}");
        assert!(answer.problem().contains("shop.example cannot be resolved"), "{text} gave {answer:?}");
    }
    forbidden.assert_untouched("a text");
}

#[tokio::test]
async fn an_origin_whose_name_leads_to_loopback_is_refused_unless_the_site_allows_it() {
    let origin = Origin::with("/coffee.jpg", Reply::jpeg(pictures::demo("coffee.jpg"))).await;
    origin.set("/page.html", Reply::ok("text/html", "private"));
    let named = format!("http://localhost:{}", origin.address.port());
    for origin_url in [named.clone(), origin.url()] {
        let edge = Edge::start(public_setup(&origin_url)).await;
        for path in ["/coffee.jpg", "/page.html", "/lm/w=10/coffee.jpg", &format!("/lm/w=10/{origin_url}/coffee.jpg")] {
            let answer = edge.get(path).await;
            assert!(matches!(answer.status.as_u16(), 403 | 502), "{origin_url} {path}: {answer:?}");
            assert!(answer.problem().contains("refused"), "{answer:?}");
        }
    }
    assert!(origin.asked().is_empty(), "{:?}", origin.asked());
    let edge = Edge::start(Setup::empty().with_site("private", &["shop.test"], &named)).await;
    assert_eq!(edge.get("/coffee.jpg").accept(CHROMIUM).await.picture().format, "avif");
}

#[tokio::test]
async fn a_redirect_to_what_is_refused_is_refused_on_every_hop() {
    let forbidden = Forbidden::listen();
    let origin = Origin::start().await;
    let edge = Edge::start(Setup::of(&origin).set("origin.connect_timeout", "'1s'")).await;
    let targets = [
        "http://169.254.169.254/latest/meta-data/a.jpg".to_owned(),
        "http://[fd00:ec2::254]/a.jpg".to_owned(),
        "http://[::ffff:169.254.169.254]/a.jpg".to_owned(),
        format!("http://127.0.0.1:{}/a.jpg", forbidden.port),
        format!("http://0x7f.1:{}/a.jpg", forbidden.port),
        format!("http://user@{}/coffee.jpg", origin.address),
        "file:///etc/passwd".to_owned(),
        format!("gopher://127.0.0.1:{}/", forbidden.port),
    ];
    for (number, target) in targets.iter().enumerate() {
        origin.set(&format!("/first{number}.jpg"), Reply::redirect(&format!("/second{number}.jpg")));
        origin.set(&format!("/second{number}.jpg"), Reply::redirect(target));
        let answer = edge.get(&format!("/first{number}.jpg")).await;
        assert!(answer.status.is_client_error() || answer.status.is_server_error(), "{target}: {answer:?}");
        assert!(!answer.has("location"), "{answer:?}");
        assert_eq!(origin.count(&format!("/second{number}.jpg")), 1, "the first hop is allowed");
        forbidden.assert_untouched(target);
    }
}

#[tokio::test]
async fn a_redirect_to_a_host_that_the_site_does_not_name_is_the_visitors_to_follow() {
    let forbidden = Forbidden::listen();
    let target = format!("http://localhost:{}/a.jpg", forbidden.port);
    let origin = Origin::with("/moved.jpg", Reply::redirect(&target)).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let answer = edge.get("/moved.jpg").await;
    assert_eq!((answer.status.as_u16(), answer.field("location")), (302, target.clone()));
    assert_eq!(answer.detail(), "redirect");
    forbidden.assert_untouched(&target);
}

#[tokio::test]
async fn redirects_within_the_site_are_followed_up_to_a_number() {
    let origin = Origin::with("/coffee.jpg", Reply::jpeg(pictures::demo("coffee.jpg"))).await;
    origin.set("/old.jpg", Reply::redirect("older.jpg#part"));
    origin.set("/older.jpg", Reply::redirect(&format!("{}/coffee.jpg", origin.url())));
    origin.set("/loop.jpg", Reply::redirect("/loop.jpg"));
    let edge = Edge::start(Setup::of(&origin).set("origin.max_redirects", "3")).await;
    assert_eq!(edge.get("/old.jpg").accept(CHROMIUM).await.picture().size(), (600, 400));
    let looped = edge.get("/loop.jpg").await;
    assert_eq!((looped.status.as_u16(), origin.count("/loop.jpg")), (502, 4));
    assert!(looped.problem().contains("redirects"), "{looped:?}");
}

#[tokio::test]
async fn nothing_connects_to_our_own_listeners() {
    let edge = Edge::start(Setup::of(&Origin::start().await)).await;
    let own = |port| [format!("http://127.0.0.1:{port}"), format!("http://localhost:{port}")];
    let origins = [own(edge.http.port()), own(edge.admin.port())].concat();
    let host = |number| format!("site{number}.test");
    let sites = origins.iter().enumerate().fold(Setup::empty(), |setup, (number, origin)| {
        setup.with_site(&format!("site{number}"), &[&host(number)], origin)
    });
    edge.rewrite(&sites);
    edge.signal(rustix::process::Signal::HUP);
    until("the sites are known", async || edge.get("/").host(&host(0)).await.status.as_u16() != 421).await;
    for (number, own) in origins.iter().enumerate() {
        for path in ["/healthz", "/a.jpg", &format!("/lm/w=10/{own}/a.jpg"), &format!("/lm/w=10/{own}/metrics")] {
            let answer = edge.get(path).host(&host(number)).await;
            assert!(matches!(answer.status.as_u16(), 403 | 502), "{own} {path}: {answer:?}");
            assert!(answer.problem().contains("this edge itself listens"), "{own} {path}: {answer:?}");
        }
    }
    let [asked, refused] = [&[][..], &[("result", "refused")]];
    let asked = edge.metric("lightmeter_origin_fetches_total", asked).await;
    assert_eq!(edge.metric("lightmeter_origin_fetches_total", refused).await, asked);
    assert!(asked > 8, "{asked} fetches are counted");
    until("it is logged", async || edge.log().contains("this edge itself listens")).await;
}
