//! `demo`: an origin with freely licensed pictures inside the program, the edge in front of it, and a page that shows what
//! the browser really got. Everything on loopback, and nothing left behind.

use std::{io::ErrorKind, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context as _;
use axum::{
    Router,
    extract::Path,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::{
    app::App,
    config::{self, Config, FirstView},
    image::format::InputFormat,
    telemetry::log,
};

macro_rules! pictures {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_bytes!(concat!("../../demo/pictures/", $name)))),*]
    };
}

/// `demo/LICENSE.md` says where each is from.
const PICTURES: [(&str, &[u8]); 12] = pictures![
    "dandelion.jpg",
    "raccoon.jpg",
    "coffee.jpg",
    "cat.png",
    "rocket.jpg",
    "hubble.jpg",
    "earth.jpg",
    "retina.jpg",
    "camera.jpg",
    "balloon.png",
    "map.png",
    "park.gif",
];

const PAGE: &str = include_str!("../../demo/index.html");
const DESCRIPTIONS: &str = include_str!("../../demo/pictures.json");

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Where the page is served; another free port is taken if this one is in use.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

#[derive(Debug, Serialize, Deserialize)]
struct Description {
    name: String,
    title: String,
    width: u32,
    height: u32,
    licence: String,
    #[serde(default)]
    bytes: usize,
    #[serde(default)]
    format: Option<InputFormat>,
}

pub(super) async fn run(demo: Demo) -> anyhow::Result<()> {
    let origin = TcpListener::bind("127.0.0.1:0").await.context("cannot listen for the origin")?;
    let scratch = Scratch::new();
    let config = demo_config(origin.local_addr()?, free_or_any(demo.listen).await, &scratch)?;
    let _lines = log::start(&config.log)?;
    tokio::spawn(axum::serve(origin, demo_origin()?).into_future());
    let app = App::assemble(config).await?;
    let listeners = app.bind().await?;
    let (_, edge) = listeners.edge_addresses()?.first().copied().context("no address to serve on")?;
    print_welcome(edge, listeners.admin_address()?);
    let stopper = app.stopper();
    tokio::spawn(async move {
        if super::asked_to_stop().await.is_ok() {
            stopper.stop();
        }
    });
    app.run(listeners).await
}

/// The address, or one with a port that the system chooses.
async fn free_or_any(address: SocketAddr) -> SocketAddr {
    match TcpListener::bind(address).await {
        Ok(_) => address,
        Err(_) => SocketAddr::new(address.ip(), 0),
    }
}

fn demo_config(origin: SocketAddr, edge: SocketAddr, scratch: &Scratch) -> anyhow::Result<Config> {
    let mut config = config::from_origin(&format!("http://{origin}").parse()?, [])?;
    config.edge.http = vec![edge];
    config.edge.drain_timeout = "1s".parse()?;
    config.admin.listen = SocketAddr::new(edge.ip(), 0);
    config.storage.data_dir.clone_from(&scratch.0);
    config.log.level = "warn".to_owned();
    for site in &mut config.sites {
        // Twelve pictures at once on a small machine: each waits for its variant, so that the page shows no originals.
        site.first_view = FirstView::Always;
    }
    Ok(config)
}

fn demo_origin() -> anyhow::Result<Router> {
    let descriptions = serde_json::to_string(&described()?)?;
    let json = move || async move { ([(CONTENT_TYPE, "application/json")], descriptions) };
    Ok(Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/pictures.json", get(json))
        .route("/pictures/{name}", get(picture)))
}

fn described() -> anyhow::Result<Vec<Description>> {
    let mut descriptions: Vec<Description> = serde_json::from_str(DESCRIPTIONS).context("demo/pictures.json")?;
    for description in &mut descriptions {
        let bytes = find(&description.name).with_context(|| format!("demo/pictures: no {}", description.name))?;
        description.bytes = bytes.len();
        description.format = InputFormat::sniff(bytes);
    }
    Ok(descriptions)
}

fn find(name: &str) -> Option<&'static [u8]> {
    PICTURES.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}

async fn picture(Path(name): Path<String>) -> Response {
    let Some(bytes) = find(&name) else { return StatusCode::NOT_FOUND.into_response() };
    let media_type = InputFormat::sniff(bytes).map_or("application/octet-stream", InputFormat::media_type);
    ([(CONTENT_TYPE, media_type)], bytes).into_response()
}

fn print_welcome(edge: SocketAddr, admin: SocketAddr) {
    println!(
        "\n  Lightmeter demo: {count} pictures on an origin in this process, the edge in front of it.\n\n  \
         open   http://{edge}/\n  \
         curl   curl -sD- -o /dev/null -H 'Accept: image/avif,image/webp,*/*' 'http://{edge}/pictures/dandelion.jpg?w=800'\n  \
         curl   curl -sD- -o /dev/null 'http://{edge}/lm/w=400,h=400,fit=cover,f=webp/pictures/raccoon.jpg'\n  \
         watch  curl -s http://{admin}/metrics | grep ^lightmeter_\n\n  \
         Ctrl-C stops it; nothing is kept.\n",
        count = PICTURES.len(),
    );
}

/// How often the demo's directory is tried to be removed, and the time between.
const REMOVALS: usize = 20;
const BETWEEN_REMOVALS: Duration = Duration::from_millis(50);

/// A directory that goes with the demo.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("lightmeter-demo-{}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for _ in 0..REMOVALS {
            match std::fs::remove_dir_all(&self.0) {
                // Something was stored while it was removed.
                Err(error) if error.kind() != ErrorKind::NotFound => std::thread::sleep(BETWEEN_REMOVALS),
                // Or it was never made.
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_picture_is_described_and_each_description_has_its_picture() {
        let described = described().unwrap();
        assert_eq!(described.len(), PICTURES.len());
        for description in described {
            let size = crate::image::probe(find(&description.name).unwrap()).unwrap();
            assert_eq!((size.width, size.height), (description.width, description.height), "{}", description.name);
        }
    }
}
