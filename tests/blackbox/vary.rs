//! `Vary` (RFC 9111, 4.1): what is passed through is kept apart by the fields that the origin looks at; what is developed, by
//! what was made of them. `formats` has which format whom gets.

use crate::harness::{Answer, CHROMIUM, CURL, Edge, Origin, Reply, SAFARI_15, Setup, Still, pictures, reply::Content};

/// An origin whose page says what a field of the request says.
async fn echoing(field: &'static str, vary: &str) -> (Origin, Edge) {
    let origin = Origin::with("/page", Reply::of(Content::Field(field)).max_age(600).header("vary", vary)).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    (origin, edge)
}

#[tokio::test]
async fn each_representation_is_stored_beside_the_others_and_served_to_whom_it_fits() {
    let (origin, edge) = echoing("accept-language", "Accept-Language").await;
    for is_hit in [false, true] {
        for language in ["de", "en", "fr"] {
            let answer = edge.get("/page").header("accept-language", language).await;
            assert_eq!((answer.text().as_str(), answer.is_shared()), (language, is_hit));
            assert_eq!(answer.field("vary"), "Accept-Language");
        }
    }
    assert_eq!(origin.count("/page"), 3);
}

#[tokio::test]
async fn a_field_that_is_missing_is_another_than_one_that_is_there() {
    let (_origin, edge) = echoing("foo", "Foo").await;
    for (value, is_hit) in [(None, false), (Some("1"), false), (None, true), (Some("1"), true)] {
        let request = edge.get("/page");
        let answer = match value {
            Some(value) => request.header("foo", value),
            None => request,
        }
        .await;
        assert_eq!((answer.text().as_str(), answer.is_shared()), (value.unwrap_or_default(), is_hit));
    }
}

#[tokio::test]
async fn all_fields_that_it_names_must_match_and_no_others() {
    let (_origin, edge) = echoing("foo", "Foo, BAR").await;
    let get = |foo: &'static str, bar: &'static str, baz: &'static str| {
        edge.get("/page").header("foo", foo).header("bar", bar).header("baz", baz)
    };
    assert!(!get("1", "1", "1").await.is_shared());
    assert!(get("1", "1", "2").await.is_shared(), "Baz has no say");
    assert!(!get("1", "2", "1").await.is_shared());
    assert!(!get("2", "1", "1").await.is_shared());
    assert!(get("1", "2", "1").await.is_shared() && get("2", "1", "1").await.is_shared());
}

#[tokio::test]
async fn names_stand_in_any_order_case_and_number_of_fields() {
    let origin = Origin::start().await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for (row, fields) in [&["Foo, Bar"][..], &["bar,FOO"], &["Foo", "Bar"], &[" , Foo ,, Bar,"]].into_iter().enumerate()
    {
        let path = format!("/{row}");
        let reply = Reply::of(Content::Field("foo")).max_age(600);
        origin.set(&path, fields.iter().fold(reply, |reply, value| reply.header("vary", value)));
        for (foo, is_hit) in [("1", false), ("2", false), ("1", true), ("2", true)] {
            let answer = edge.get(&path).header("foo", foo).header("bar", "x").await;
            assert_eq!((answer.text().as_str(), answer.is_shared()), (foo, is_hit), "{fields:?}");
        }
    }
}

#[tokio::test]
async fn a_representation_is_validated_with_the_fields_that_it_was_chosen_by() {
    let still = Still::start(|setup| setup).await;
    let reply = Reply::of(Content::Field("foo")).max_age(10).header("vary", "Foo").header("etag", "\"v\"");
    still.set("/page", reply);
    still.edge.get("/page").header("foo", "1").await;
    still.pass(10).await;
    let answer = still.edge.get("/page").header("foo", "1").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "1"));
    let asked = still.origin.last("/page");
    assert_eq!((asked.field("foo").as_str(), asked.field("if-none-match").as_str()), ("1", "\"v\""));
}

#[tokio::test]
async fn packed_and_plain_are_kept_apart() {
    let (_origin, edge) = echoing("accept-encoding", "Accept-Encoding").await;
    for is_hit in [false, true] {
        for coding in ["br", "gzip", "identity"] {
            let answer = edge.get("/page").header("accept-encoding", coding).await;
            assert_eq!((answer.text().as_str(), answer.is_shared()), (coding, is_hit), "{coding}");
        }
    }
}

#[tokio::test]
async fn representations_without_number_take_the_place_of_one_another() {
    let (_origin, edge) = echoing("foo", "Foo").await;
    for number in 0..300 {
        let answer = edge.get("/page").header("foo", &number.to_string()).await;
        assert_eq!(answer.text(), number.to_string());
    }
    assert!(edge.is_serving().await);
    assert!(edge.get("/page").header("foo", "299").await.text() == "299");
}

#[tokio::test]
async fn a_vary_of_very_many_names_is_not_stored() {
    let names = (0..400).map(|number| format!("x-{number}")).collect::<Vec<_>>().join(", ");
    let (origin, edge) = echoing("foo", &names).await;
    for asked in 1..=2 {
        let answer = edge.get("/page").header("foo", "1").await;
        assert_eq!((answer.text().as_str(), answer.is_shared()), ("1", false));
        assert_eq!(origin.count("/page"), asked);
    }
}

fn accept_in_vary(answer: &Answer) -> bool {
    answer.field("vary").split(',').any(|name| name.trim().eq_ignore_ascii_case("accept"))
}

#[tokio::test]
async fn whatever_answers_for_a_negotiable_image_names_accept() {
    let origin = Origin::with("/a.jpg", Reply::jpeg(pictures::demo("coffee.jpg")).max_age(600)).await;
    origin.set("/gone.jpg", Reply::status(404, "gone"));
    origin.set("/broken.jpg", Reply::jpeg("no picture").max_age(600));
    let edge = Edge::start(Setup::of(&origin)).await;
    for accept in [CHROMIUM, SAFARI_15, CURL, "image/jpeg"] {
        let whole = edge.get("/a.jpg").accept(accept).await;
        assert!(accept_in_vary(&whole), "{accept}: {whole:?}");
        let held = edge.get("/a.jpg").accept(accept).header("if-none-match", &whole.etag()).await;
        assert!(held.status.as_u16() == 304 && accept_in_vary(&held), "{accept}: {held:?}");
        let part = edge.get("/a.jpg").accept(accept).header("range", "bytes=0-1").await;
        assert!(part.status.as_u16() == 206 && accept_in_vary(&part), "{accept}: {part:?}");
    }
    for path in ["/gone.jpg", "/broken.jpg"] {
        for _ in 0..2 {
            let answer = edge.get(path).accept(CHROMIUM).await;
            assert!(accept_in_vary(&answer), "{path}: {answer:?}");
        }
    }
    let pinned = edge.get("/a.jpg?format=webp").await;
    assert!(!accept_in_vary(&pinned), "the format is not the client's to choose: {pinned:?}");
}

#[tokio::test]
async fn clients_that_read_the_same_share_one_variant_however_they_say_it() {
    let origin = Origin::with("/a.jpg", Reply::jpeg(pictures::demo("coffee.jpg")).max_age(600)).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let first = edge.get("/a.jpg").accept("image/avif,image/webp,*/*").await;
    for accept in ["image/webp, image/avif", CHROMIUM, "IMAGE/AVIF;q=1.0, text/html, image/webp;q=0.9"] {
        let answer = edge.get("/a.jpg").accept(accept).await;
        assert!(answer.is_shared() && answer.etag() == first.etag(), "{accept}: {answer:?}");
    }
    assert_eq!(edge.encodes().await, 1);
    for (accept, content_type) in [
        ("image/avif;q=0, image/webp", "image/webp"),
        ("image/avif;q=0, image/webp;q=0.0, */*", "image/jpeg"),
        ("*/*", "image/jpeg"),
        ("image/*", "image/jpeg"),
    ] {
        assert_eq!(edge.get("/a.jpg").accept(accept).await.content_type(), content_type, "{accept}");
    }
}
