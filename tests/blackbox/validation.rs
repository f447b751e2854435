//! Validation (RFC 9111, 4.3; RFC 9110, 13): what the origin is asked, what its 304 and its 200 do to what is stored, and
//! when a client that has something gets it again.

use reqwest::StatusCode;

use crate::harness::{CHROMIUM, Reply, SAFARI_15, Still, assert_looks_like, pictures};

const CHANGED: &str = "Sat, 01 Jan 2022 00:00:00 GMT";
const BEFORE: &str = "Fri, 01 Jan 2021 00:00:00 GMT";
const AFTER: &str = "Sun, 01 Jan 2023 00:00:00 GMT";

#[tokio::test]
async fn the_origin_is_asked_with_its_own_validators_whatever_the_client_holds() {
    let still = Still::start(|setup| setup).await;
    for path in ["/a.html", "/a.jpg"] {
        let reply = Reply::fit_for(path).max_age(10).header("etag", "\"origins\"").header("last-modified", CHANGED);
        still.set(path, reply);
        let first = still.get(path).await;
        still.pass(10).await;
        let held = first.etag();
        let again = still.edge.get(path).header("if-none-match", &format!("\"clients\", {held}")).await;
        assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{path}: {again:?}");
        let asked = still.origin.last(path);
        assert_eq!(asked.field("if-none-match"), "\"origins\"", "{path}");
        assert_eq!(asked.field("if-modified-since"), CHANGED, "{path}");
        assert_eq!(still.count(path), 2);
        assert!(still.get(path).await.is_shared(), "{path} is fresh again");
    }
}

#[tokio::test]
async fn a_date_alone_validates_too() {
    let still = Still::start(|setup| setup).await;
    for path in ["/a.html", "/a.jpg"] {
        still.set(path, Reply::fit_for(path).max_age(10).header("last-modified", CHANGED));
        let first = still.get(path).await;
        still.pass(10).await;
        let again = still.get(path).await;
        assert_eq!((again.status, &again.body), (StatusCode::OK, &first.body), "{path}");
        let asked = still.origin.last(path);
        assert_eq!((asked.field("if-modified-since").as_str(), asked.field("if-none-match").as_str()), (CHANGED, ""));
    }
}

#[tokio::test]
async fn a_304_brings_new_fields_but_none_that_describe_the_bytes() {
    let still = Still::start(|setup| setup).await;
    let old = Reply::ok("text/plain", "stored")
        .header("etag", "\"v\"")
        .max_age(10)
        .header("x-own", "old")
        .header("x-kept", "kept")
        .header("content-md5", "old");
    still.set("/page", old.header("expires", BEFORE));
    still.get("/page").await;
    still.pass(10).await;
    let new = Reply::ok("text/html", "")
        .header("etag", "\"v\"")
        .max_age(20)
        .header("x-own", "new")
        .header("expires", AFTER)
        .header("content-md5", "new")
        .header("content-encoding", "br")
        .header("content-range", "bytes 0-1/2");
    still.set("/page", new);
    for is_hit in [false, true] {
        let answer = still.get("/page").await;
        assert_eq!((answer.status, answer.text().as_str(), answer.is_shared()), (StatusCode::OK, "stored", is_hit));
        assert_eq!((answer.field("x-own").as_str(), answer.field("x-kept").as_str()), ("new", "kept"));
        assert_eq!((answer.max_age(), answer.field("expires").as_str()), (Some(20), AFTER));
        assert_eq!((answer.content_type().as_str(), answer.field("content-length").as_str()), ("text/html", "6"));
        assert_eq!(answer.field("content-md5"), "old");
        assert!(!answer.has("content-encoding") && !answer.has("content-range"), "{answer:?}");
    }
    still.pass(19).await;
    assert!(still.get("/page").await.is_shared(), "the new lifetime holds");
}

#[tokio::test]
async fn a_304_freshens_all_that_was_made_of_a_source_and_nothing_is_made_again() {
    let still = Still::start(|setup| setup).await;
    let original = pictures::demo("coffee.jpg");
    still.set("/a.jpg", Reply::jpeg(original).max_age(10).header("etag", "\"v\""));
    let views = [("/a.jpg", CHROMIUM), ("/a.jpg", SAFARI_15), ("/a.jpg?w=100", CHROMIUM)];
    let mut first = Vec::new();
    for (path, accept) in views {
        first.push(still.edge.get(path).accept(accept).await);
    }
    let encodes = still.edge.encodes().await;
    still.pass(10).await;
    for (number, (path, accept)) in views.into_iter().enumerate() {
        let again = still.edge.get(path).accept(accept).await;
        assert_eq!((&again.body, again.etag()), (&first[number].body, first[number].etag()));
        assert_eq!(again.is_shared(), number > 0, "the first is validated, the others are fresh by it");
    }
    assert_eq!((still.count("/a.jpg"), still.edge.encodes().await), (2, encodes));
}

#[tokio::test]
async fn a_full_answer_replaces_the_source_and_all_that_was_made_of_it() {
    let still = Still::start(|setup| setup).await;
    still.set("/a.jpg", Reply::jpeg(pictures::demo("coffee.jpg")).max_age(10).header("etag", "\"v1\""));
    still.set("/a.html", Reply::page("one").max_age(10).header("etag", "\"v1\"").header("x-old", "1"));
    let views = [("/a.jpg", CHROMIUM), ("/a.jpg", SAFARI_15), ("/a.jpg?w=100", CHROMIUM)];
    let mut first = Vec::new();
    for (path, accept) in views {
        first.push(still.edge.get(path).accept(accept).await);
    }
    still.get("/a.html").await;
    still.pass(10).await;
    still.set("/a.jpg", Reply::jpeg(pictures::demo("rocket.jpg")).max_age(10).header("etag", "\"v2\""));
    still.set("/a.html", Reply::page("two").max_age(10).header("etag", "\"v2\""));
    for (number, (path, accept)) in views.into_iter().enumerate() {
        let new = still.edge.get(path).accept(accept).await;
        assert_ne!(new.etag(), first[number].etag());
        assert_looks_like(&new.picture(), &pictures::demo("rocket.jpg"));
    }
    for is_hit in [false, true] {
        let page = still.get("/a.html").await;
        assert_eq!((page.text().as_str(), page.etag().as_str(), page.is_shared()), ("two", "\"v2\"", is_hit));
        assert!(!page.has("x-old"), "fields of the old response are gone with it");
    }
    assert_eq!((still.count("/a.jpg"), still.count("/a.html")), (2, 2));
}

#[tokio::test]
async fn a_client_that_has_a_page_gets_304_from_the_cache() {
    let still = Still::start(|setup| setup).await;
    for (path, etag) in [("/strong", "\"v,1\""), ("/weak", "W/\"v,1\"")] {
        let reply = Reply::page("x").max_age(600).header("etag", etag).header("last-modified", CHANGED);
        still.set(path, reply.header("vary", "Accept-Language").header("content-location", "/x"));
        let whole = still.get(path).await;
        let table = [
            ("if-none-match", "\"v,1\"", true),
            ("if-none-match", "W/\"v,1\"", true),
            ("if-none-match", "\"other\", \"v,1\", \"more\"", true),
            ("if-none-match", "*", true),
            ("if-none-match", "\"other\"", false),
            ("if-none-match", "\"v\"", false),
            ("if-modified-since", CHANGED, true),
            ("if-modified-since", "Saturday, 01-Jan-22 00:00:00 GMT", true),
            ("if-modified-since", AFTER, true),
            ("if-modified-since", BEFORE, false),
            ("if-modified-since", "yesterday", false),
        ];
        for (name, value, holds) in table {
            let answer = still.edge.get(path).header(name, value).await;
            assert_eq!(answer.status == StatusCode::NOT_MODIFIED, holds, "{path}, {name}: {value}: {answer:?}");
            if holds {
                assert!(answer.body.is_empty());
                for field in ["etag", "cache-control", "vary", "date", "content-location"] {
                    assert_eq!(answer.field(field), whole.field(field), "{path}: {field} of the 304");
                }
                assert!(answer.has("age"), "{answer:?}");
            } else {
                assert_eq!(answer.body, whole.body);
            }
        }
        assert_eq!(still.count(path), 1, "the cache answers by itself");
    }
}

#[tokio::test]
async fn a_tag_counts_before_a_date() {
    let still = Still::start(|setup| setup).await;
    let reply = Reply::page("x").max_age(600).header("etag", "\"v\"").header("last-modified", CHANGED);
    still.set("/page", reply);
    still.get("/page").await;
    for (tag, date, status) in [("\"v\"", BEFORE, 304), ("\"other\"", AFTER, 200)] {
        let answer = still.edge.get("/page").header("if-none-match", tag).header("if-modified-since", date).await;
        assert_eq!(answer.status.as_u16(), status, "{tag} and {date}");
    }
}

#[tokio::test]
async fn a_condition_on_something_cold_does_not_keep_the_whole_from_being_stored() {
    let still = Still::start(|setup| setup).await;
    for path in ["/a.html", "/a.jpg"] {
        still.set(path, Reply::fit_for(path).max_age(600).header("etag", "\"v\""));
        let first = still.edge.get(path).header("if-none-match", "\"v\"").await;
        assert!(matches!(first.status.as_u16(), 200 | 304), "{path}: {first:?}");
        let second = still.get(path).await;
        assert_eq!(second.status, StatusCode::OK, "{path}");
        assert!(!second.body.is_empty(), "{path}: the 304 was taken for the whole");
    }
}
