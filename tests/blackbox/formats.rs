//! Which format a client gets: the best it reads, smaller than the original, and looking like it.

use reqwest::StatusCode;

use crate::harness::{
    Answer, CHROMIUM, CURL, Edge, Origin, Reply, SAFARI_15, Setup, assert_looks_like, decode, edge::Ending, pictures,
};

#[tokio::test]
async fn one_photograph_is_avif_webp_or_jpeg_by_what_the_client_reads_and_survives_a_restart() {
    let original = pictures::demo("raccoon.jpg");
    let mut origin = Origin::with("/raccoon.jpg", Reply::jpeg(original.clone())).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let clients = [(CHROMIUM, "avif"), (SAFARI_15, "webp"), (CURL, "jpeg")];
    let mut first_answers: Vec<Answer> = Vec::new();
    for (accept, format) in clients {
        let first = edge.get("/raccoon.jpg").accept(accept).await;
        let seen = first.picture();
        assert_eq!((seen.format, first.content_type()), (format, format!("image/{format}")));
        assert_eq!((first.is_hit(), first.detail().as_str()), (false, format));
        assert_eq!(seen.size(), (1024, 768));
        assert!(first.body.len() < original.len(), "{format}: {} bytes", first.body.len());
        assert_looks_like(&seen, &original);
        let second = edge.get("/raccoon.jpg").accept(accept).await;
        assert!(second.is_hit(), "{second:?}");
        assert_eq!((&second.body, second.etag()), (&first.body, first.etag()));
        first_answers.push(first);
    }
    let etags: std::collections::HashSet<String> = first_answers.iter().map(Answer::etag).collect();
    assert_eq!(etags.len(), clients.len(), "two formats share an entity tag");
    assert_eq!(origin.count("/raccoon.jpg"), 1, "one original was fetched more than once");

    origin.stop().await;
    let edge = edge.restart(Ending::Stopped).await;
    for ((accept, _), first) in clients.into_iter().zip(first_answers) {
        let after = edge.get("/raccoon.jpg").accept(accept).await;
        assert!(after.is_hit(), "{after:?}");
        assert_eq!((&after.body, after.etag()), (&first.body, first.etag()));
    }
}

#[tokio::test]
async fn browsers_and_bots_get_what_they_read() {
    let origin = Origin::with("/coffee.jpg", Reply::jpeg(pictures::demo("coffee.jpg"))).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let table = [
        ("image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5", "avif"),
        (
            "image/webp,image/avif,image/jxl,image/heic,image/heic-sequence,video/*;q=0.8,image/png,image/*;q=0.8",
            "avif",
        ),
        ("image/png,image/svg+xml,image/*;q=0.8,video/*;q=0.8,*/*;q=0.5", "jpeg"),
        ("image/avif;q=0.5,image/webp", "webp"),
        ("image/avif;q=0,image/webp;q=0.9,*/*;q=0.1", "webp"),
        ("image/avif;q=0,*/*", "jpeg"),
        ("image/jpeg,image/gif,image/*;q=0.5", "jpeg"),
    ];
    for (accept, format) in table {
        let answer = edge.get("/coffee.jpg?w=200").accept(accept).await;
        assert_eq!((answer.picture().format, answer.field("vary").as_str()), (format, "Accept, Save-Data"), "{accept}");
    }
    let unasked = edge.get("/coffee.jpg?w=200").await;
    assert_eq!(unasked.picture().format, "jpeg");
}

#[tokio::test]
async fn a_pinned_format_does_not_ask_what_the_client_reads() {
    let origin = Origin::with("/coffee.jpg", Reply::jpeg(pictures::demo("coffee.jpg"))).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for (name, format) in [("avif", "avif"), ("webp", "webp"), ("jpeg", "jpeg"), ("original", "jpeg")] {
        for accept in [CHROMIUM, CURL] {
            let answer = edge.get(&format!("/lm/w=120,f={name}/coffee.jpg")).accept(accept).await;
            assert_eq!(answer.picture().format, format, "{name} for {accept}");
            assert_eq!(answer.field("vary"), "Save-Data", "{name} is not negotiated: {answer:?}");
        }
    }
}

#[tokio::test]
async fn png_gif_webp_and_avif_originals_are_developed_too() {
    let origin = Origin::start().await;
    let edge = Edge::start(Setup::of(&origin)).await;
    origin.set("/coffee.jpg", Reply::jpeg(pictures::demo("coffee.jpg")));
    let webp = edge.get("/lm/f=webp,q=95/coffee.jpg").await.body;
    let avif = edge.get("/lm/f=avif,q=95/coffee.jpg").await.body;
    origin.set("/map.png", Reply::png(pictures::demo("map.png")));
    origin.set("/park.gif", Reply::ok("image/gif", pictures::demo("park.gif")));
    origin.set("/again.webp", Reply::ok("image/webp", webp));
    origin.set("/again.avif", Reply::ok("image/avif", avif));
    for path in ["/map.png", "/park.gif", "/again.webp", "/again.avif"] {
        let original = edge.get(&format!("{path}?format=original&q=100")).await.body;
        for (accept, format) in [(CHROMIUM, "avif"), (SAFARI_15, "webp")] {
            let seen = edge.picture(&format!("{path}?w=300"), accept).await;
            assert_eq!((seen.format, seen.size().0), (format, 300), "{path}");
            assert_looks_like(&seen, &original);
        }
    }
}

#[tokio::test]
async fn transparency_stays_where_the_format_has_it_and_lies_on_white_where_not() {
    let original = pictures::half_clear_png(200, 100);
    let origin = Origin::with("/half.png", Reply::png(original.clone())).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for format in ["avif", "webp", "png"] {
        let seen = edge.picture(&format!("/lm/w=100,f={format}/half.png"), CURL).await;
        assert_eq!((seen.format, seen.size()), (format, (100, 50)));
        let [clear, red] = [seen.pixels.get_pixel(10, 25), seen.pixels.get_pixel(90, 25)];
        assert!(clear[3] < 10 && red[3] > 245 && red[0] > 190 && red[1] < 60, "{format}: {clear:?} {red:?}");
    }
    let jpeg = edge.picture("/lm/w=100,f=jpeg/half.png", CURL).await;
    assert!(jpeg.pixels.get_pixel(10, 25).0[..3].iter().all(|sample| *sample > 240), "not white");
    let green = edge.picture("/lm/w=100,f=jpeg,background=00ff00/half.png", CURL).await;
    let pixel = green.pixels.get_pixel(10, 25);
    assert!(pixel[1] > 240 && pixel[0] < 20, "not green: {pixel:?}");
}

#[tokio::test]
async fn a_photograph_that_lies_on_its_side_is_laid_upright() {
    let lying = pictures::with_orientation(&pictures::jpeg(320, 200, 5, pictures::Scan::Baseline), 6);
    let upright = image::DynamicImage::from(pictures::pixels(320, 200, 5)).rotate90().to_rgba8();
    let origin = Origin::with("/lying.jpg", Reply::jpeg(lying)).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for accept in [CHROMIUM, SAFARI_15, CURL] {
        let seen = edge.picture("/lying.jpg?q=60", accept).await;
        assert_eq!(seen.size(), (200, 320));
        let difference = crate::harness::decode::difference(&seen.pixels, &upright);
        assert!(difference < 9.0, "{}: off by {difference}", seen.format);
    }
}

#[tokio::test]
async fn what_would_not_be_smaller_is_the_original_byte_for_byte() {
    let tiny = pictures::noise_png(40, 40);
    let origin = Origin::with("/noise.png", Reply::png(tiny.clone())).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let first = edge.get("/lm/f=png/noise.png").await;
    assert_eq!((first.status, first.detail().as_str()), (StatusCode::OK, "not-smaller"));
    assert_eq!((&first.body, first.content_type().as_str()), (&tiny, "image/png"));
    let second = edge.get("/lm/f=png/noise.png").await;
    assert!(second.is_hit() && second.body == tiny && second.detail() == "not-smaller", "{second:?}");
    assert_eq!((edge.encodes().await, origin.count("/noise.png")), (1, 1), "it was tried again");
}

#[tokio::test]
async fn lower_quality_is_fewer_bytes_and_the_same_picture() {
    let original = pictures::demo("rocket.jpg");
    let origin = Origin::with("/rocket.jpg", Reply::jpeg(original.clone())).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for format in ["avif", "webp", "jpeg"] {
        let mut last = usize::MAX;
        for quality in [85, 65, 45] {
            let answer = edge.get(&format!("/rocket.jpg?w=320&q={quality}&f={format}")).await;
            assert_looks_like(&answer.picture(), &original);
            assert!(answer.body.len() < last, "{format} at {quality}: {} bytes, not below {last}", answer.body.len());
            last = answer.body.len();
        }
    }
}

#[tokio::test]
async fn a_grey_photograph_stays_grey_in_every_format() {
    let original = pictures::demo("camera.jpg");
    let origin = Origin::with("/camera.jpg", Reply::jpeg(original.clone())).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for accept in [CHROMIUM, SAFARI_15, CURL] {
        let answer = edge.get("/camera.jpg?w=256").accept(accept).await;
        assert_looks_like(&answer.picture(), &original);
        let seen = decode(&answer.body);
        assert!(seen.pixels.pixels().all(|p| p[0].abs_diff(p[1]) < 9 && p[1].abs_diff(p[2]) < 9), "{}", seen.format);
    }
}
