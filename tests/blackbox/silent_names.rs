//! A domain whose name servers do not answer. The system tries for ten seconds each time and cannot be stopped; visitors choose
//! the names. All in a network of the test's own, where names are asked of a server that is silent about some.

use std::net::{Ipv4Addr, SocketAddr};

use futures_util::future::join_all;
use tokio::{net::UdpSocket, task::JoinHandle};

use crate::harness::{CHROMIUM, Edge, Origin, Reply, Setup, namespace::is_inside, pictures};

/// An address that no list refuses: within the test's network it is the origin's.
const PUBLIC: Ipv4Addr = Ipv4Addr::new(11, 22, 33, 44);
const SILENT: &[u8] = b"\x04dead\x07example\0";

/// Says that any name has the address above and no other, but for those below `dead.example`, of which it says nothing.
async fn serve_names() -> JoinHandle<()> {
    let socket = UdpSocket::bind("127.0.0.1:53").await.unwrap();
    tokio::spawn(async move {
        let mut query = [0; 512];
        while let Ok((len, from)) = socket.recv_from(&mut query).await {
            if let Some(answer) = answer(&query[..len]) {
                let _ = socket.send_to(&answer, from).await;
            }
        }
    })
}

/// The answer to a query of one question (RFC 1035, 4.1).
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    let name_len = query.get(HEADER..)?.iter().position(|&byte| byte == 0)? + 1;
    let question = query.get(HEADER..HEADER + name_len + 4)?;
    let (name, kind) = (&question[..name_len], &question[name_len..]);
    if name.ends_with(SILENT) {
        return None;
    }
    let is_for_v4 = kind == [0, 1, 0, 1];
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_for_v4), 0, 0, 0, 0]);
    answer.extend(question);
    if is_for_v4 {
        // The name above, A, IN, for no time.
        answer.extend([0xc0, HEADER as u8, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(PUBLIC.octets());
    }
    Some(answer)
}

#[tokio::test]
async fn names_that_nobody_answers_for_take_nothing_from_other_sites() {
    let test = "silent_names::names_that_nobody_answers_for_take_nothing_from_other_sites";
    if !is_inside(test, &[&format!("{PUBLIC}/32")]) {
        return;
    }
    let _names = serve_names().await;
    let origin = Origin::start_at(SocketAddr::new(PUBLIC.into(), 80)).await;
    origin.set("/photo.jpg", Reply::jpeg(pictures::small_jpeg(1)));
    let setup = Setup::empty().set("origin.connect_timeout", "'1s'");
    let setup = setup.with_site("open", &["open.test"], "http://dead.example").site("allow_private_origin", "false");
    let setup = setup.site("sources", "['*.dead.example', '*.alive.example']");
    let setup = setup.with_site("shop", &["shop.test"], "http://shop.example").site("allow_private_origin", "false");
    let edge = Edge::start(setup).await;
    let ask = async |urls: Vec<String>| {
        let asked = urls.iter().map(|url| edge.get(&format!("/lm/w=10/{url}")).host("open.test").into_future());
        join_all(asked).await
    };

    // One name, which takes one place.
    for answer in ask((0..100).map(|n| format!("http://dead.example/{n}.jpg")).collect()).await {
        assert!(matches!(answer.status.as_u16(), 502 | 504), "{answer:?}");
    }
    let alive = ask(vec!["http://a.alive.example/photo.jpg".to_owned()]).await;
    assert_eq!(alive[0].status.as_u16(), 200, "{alive:?}");

    // As many names as there are.
    for answer in ask((0..100).map(|n| format!("http://{n}.dead.example/a.jpg")).collect()).await {
        assert!(matches!(answer.status.as_u16(), 502 | 504), "{answer:?}");
    }
    let shop = edge.get("/photo.jpg").accept(CHROMIUM).await;
    assert_eq!(shop.picture().size(), (96, 64), "another site's name is looked up meanwhile");
}
