//! `lightmeter demo`: shows what it does, and leaves nothing behind.

use std::process::Stdio;

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{
    Answer, CHROMIUM, decode,
    edge::command,
    ports::free_address,
    request::{Request, new_client},
    until, until_some,
};

#[tokio::test]
async fn the_demo_serves_its_page_and_pictures_and_leaves_nothing_behind() {
    let scratch = tempfile::tempdir().unwrap();
    let address = free_address();
    let mut child = command()
        .args(["demo", "--listen", &address.to_string()])
        .env("TMPDIR", scratch.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let client = new_client();
    let get = |path: &str| Request::new(&client, Method::GET, &format!("http://{address}{path}")).accept(CHROMIUM);
    let page = until_some("the page is served", async || get("/").attempt().await).await;
    assert!(page.content_type().starts_with("text/html") && page.text().contains("<html"), "{page:?}");
    let described: Vec<serde_json::Value> = serde_json::from_slice(&get("/pictures.json").await.body).unwrap();
    assert!(described.len() >= 8, "{} pictures", described.len());
    for picture in &described {
        let name = picture["name"].as_str().unwrap();
        let answer: Answer = get(&format!("/pictures/{name}?w=160")).await;
        assert_eq!((answer.status.as_u16(), answer.content_type().as_str()), (200, "image/avif"), "{name}");
        assert!((answer.body.len() as u64) < picture["bytes"].as_u64().unwrap(), "{name}");
        assert_eq!(decode(&answer.body).size().0, 160, "{name}");
    }
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), Signal::TERM).unwrap();
    until("it has stopped", async || child.try_wait().unwrap().is_some()).await;
    assert!(child.wait().unwrap().success());
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "something was left behind");
}
