use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::{billing::Catalogue, store::Durability};

const FILE: &str = "[[account]]\nid = 'acme'\n\
    [[site]]\nid = 'shop'\naccount = 'acme'\nhosts = ['img.shop.example']\norigin = 'https://shop.example'\n\
    [[site]]\nid = 'free'\nhosts = ['free.example']\norigin = 'https://free.example'\n";

fn config(text: &str) -> Config {
    toml::from_str(text).unwrap()
}

fn site(id: &str, host: &str) -> SiteConfig {
    let text = format!("id = '{id}'\naccount = 'acme'\nhosts = ['{host}']\norigin = 'https://shop.example'");
    toml::from_str(&text).unwrap()
}

fn settings(site: &SiteConfig) -> String {
    serde_json::to_string(site).unwrap()
}

fn now() -> Timestamp {
    "2026-03-01T00:00:00Z".parse().unwrap()
}

fn ids(sites: &Sites) -> Vec<&str> {
    sites.iter().map(|site| site.id.as_str()).collect()
}

#[test]
fn the_files_sites_and_the_apis_are_served_together() {
    let file = FromFile::new(&config(FILE));
    let blog = settings(&site("blog", "blog.example"));
    let (sites, left_out) = combine(&file.sites, [("blog", blog.as_str())]);
    assert_eq!(ids(&sites), ["blog", "free", "shop"]);
    assert_eq!(left_out, []);
}

#[test]
fn a_site_of_the_apis_is_left_out_where_the_file_has_its_host_or_its_name() {
    let file = FromFile::new(&config(FILE));
    let (same_host, same_id) = (settings(&site("blog", "free.example")), settings(&site("free", "other.example")));
    let (sites, left_out) = combine(&file.sites, [("blog", same_host.as_str()), ("free", same_id.as_str())]);
    assert_eq!(ids(&sites), ["free", "shop"]);
    assert!(left_out[0].why.contains("\"free.example\" belongs to another site"), "{left_out:?}");
    assert!(left_out[1].why.contains("ids must differ"), "{left_out:?}");
}

#[test]
fn a_site_whose_settings_are_not_valid_any_more_is_left_out() {
    let blog = settings(&site("blog", "blog.example"));
    let unknown = blog.replace("\"hosts\"", "\"hostnames\"");
    let not_allowed = blog.replace("blog.example", "Blog.example").replace("\"blog\"", "\"log\"");
    let (sites, left_out) = combine(&Vec::new(), [("blog", unknown.as_str()), ("log", not_allowed.as_str())]);
    assert!(sites.is_empty());
    assert!(left_out[0].why.contains("unknown field `hostnames`"), "{left_out:?}");
    assert!(left_out[1].why.contains("hosts: "), "{left_out:?}");
}

#[test]
fn of_two_sites_that_want_one_host_the_first_by_name_gets_it_and_keeps_no_other_from_theirs() {
    let two = SiteConfig { hosts: vec!["b.example".into(), "same.example".into()], ..site("b", "x") };
    let (a, b, c) = (settings(&site("a", "same.example")), settings(&two), settings(&site("c", "b.example")));
    let (sites, left_out) = combine(&Vec::new(), [("c", c.as_str()), ("b", b.as_str()), ("a", a.as_str())]);
    assert_eq!(ids(&sites), ["a", "c"]);
    assert_eq!(left_out.len(), 1);
}

/// A directory over a ledger of its own, loaded, and how often it told of changes.
async fn loaded() -> (tempfile::TempDir, Directory, Arc<AtomicUsize>) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ledger.db");
    let ledger = Ledger::open(&path, Catalogue::shipped().unwrap(), Durability::Process).await.unwrap();
    let directory = Directory::new(Arc::new(ledger), &config(FILE));
    let changes = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&changes);
    directory.set_on_change(Box::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
    }));
    directory.load(now()).await.unwrap();
    (home, directory, changes)
}

#[tokio::test]
async fn a_site_that_was_made_is_served_when_the_answer_comes_and_after_a_restart() {
    let (_home, directory, changes) = loaded().await;
    let told = changes.load(Ordering::SeqCst);
    directory.create(None, &site("blog", "blog.example"), now()).await.unwrap();
    assert_eq!(directory.site("blog").unwrap().hosts, ["blog.example"]);
    assert_eq!(changes.load(Ordering::SeqCst), told + 1);

    let restarted = Directory::new(Arc::clone(&directory.ledger), &config(FILE));
    assert!(restarted.site("blog").is_none());
    restarted.load(now()).await.unwrap();
    assert_eq!(ids(&restarted.sites()), ["blog", "free", "shop"]);
}

#[tokio::test]
async fn a_site_needs_an_account_and_a_host_that_nobody_has() {
    let (_home, directory, _) = loaded().await;
    let without = SiteConfig { account: None, ..site("blog", "blog.example") };
    for (site, key) in [(without, "account"), (site("blog", "free.example"), "hosts")] {
        match directory.create(None, &site, now()).await {
            Err(DirectoryError::Refused(refusal)) => assert_eq!(refusal.key, key),
            other => panic!("{other:?}"),
        }
    }
    let nobody = SiteConfig { account: Some("nobody".into()), ..site("blog", "blog.example") };
    let refused = directory.create(None, &nobody, now()).await;
    assert!(matches!(refused, Err(DirectoryError::Ledger(LedgerError::NoSuchAccount(_)))), "{refused:?}");
    assert_eq!(ids(&directory.sites()), ["free", "shop"]);
}

#[tokio::test]
async fn what_stands_in_the_file_is_changed_there() {
    let (_home, directory, _) = loaded().await;
    for id in ["shop", "free"] {
        let exists = directory.create(None, &site(id, "new.example"), now()).await;
        assert!(matches!(exists, Err(DirectoryError::Ledger(LedgerError::SiteExists(_)))), "{exists:?}");
        let changed = directory.change(None, &site(id, "new.example"), now()).await;
        assert!(matches!(changed, Err(DirectoryError::Ledger(LedgerError::OfFile(_)))), "{changed:?}");
        let removed = directory.remove(&id.parse().unwrap(), now()).await;
        assert!(matches!(removed, Err(DirectoryError::Ledger(LedgerError::OfFile(_)))), "{removed:?}");
    }
}

#[tokio::test]
async fn a_host_is_free_again_when_its_site_is_changed_or_removed() {
    let (_home, directory, _) = loaded().await;
    directory.create(None, &site("blog", "one.example"), now()).await.unwrap();
    directory.change(None, &site("blog", "two.example"), now()).await.unwrap();
    directory.create(None, &site("other", "one.example"), now()).await.unwrap();
    directory.remove(&"blog".parse().unwrap(), now()).await.unwrap();
    directory.create(None, &site("third", "two.example"), now()).await.unwrap();
    assert_eq!(ids(&directory.sites()), ["free", "other", "shop", "third"]);
}

#[tokio::test]
async fn a_request_that_comes_again_does_not_bring_old_settings_back() {
    let (_home, directory, _) = loaded().await;
    let once = Once { key: "operator/1".into(), fingerprint: [1; 32] };
    let first = directory.create(Some(&once), &site("blog", "one.example"), now()).await.unwrap();
    directory.change(None, &site("blog", "two.example"), now()).await.unwrap();
    let again = directory.create(Some(&once), &site("blog", "one.example"), now()).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(directory.site("blog").unwrap().hosts, ["two.example"]);
}

#[tokio::test]
async fn another_file_takes_hosts_over_and_gives_them_back() {
    let (_home, directory, changes) = loaded().await;
    directory.create(None, &site("blog", "blog.example"), now()).await.unwrap();
    let told = changes.load(Ordering::SeqCst);

    directory.reload(&config(&FILE.replace("free.example'", "blog.example'")), now()).await.unwrap();
    assert_eq!(ids(&directory.sites()), ["free", "shop"]);
    assert!(directory.why_left_out("blog").unwrap().contains("belongs to another site"));

    directory.reload(&config(FILE), now()).await.unwrap();
    assert_eq!(ids(&directory.sites()), ["blog", "free", "shop"]);
    assert_eq!(directory.why_left_out("blog"), None);
    assert_eq!(changes.load(Ordering::SeqCst), told + 2);
}
