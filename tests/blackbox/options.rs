//! The options: what they make of a picture, in which carrier, and how a wrong one is told.

use crate::harness::{
    CHROMIUM, CURL, Edge, Origin, Reply, SAFARI_15, Setup, assert_looks_like, pictures, pictures::Scan,
};

/// 600 × 400.
async fn edge_with_coffee() -> (Origin, Edge) {
    let origin = Origin::with("/coffee.jpg", Reply::jpeg(pictures::demo("coffee.jpg"))).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    (origin, edge)
}

#[tokio::test]
async fn sizes_are_as_asked() {
    let (_origin, edge) = edge_with_coffee().await;
    let table = [
        ("w=300", (300, 200)),
        ("width=300", (300, 200)),
        ("h=100", (150, 100)),
        ("w=300&h=100", (150, 100)),
        ("w=1200", (600, 400)),
        ("w=900&fit=contain", (900, 600)),
        ("w=300&h=300&fit=contain", (300, 200)),
        ("w=300&h=300&fit=cover", (300, 300)),
        ("w=800&h=800&fit=cover", (800, 800)),
        ("w=300&h=300&fit=crop", (300, 300)),
        ("w=500&h=300&fit=pad", (500, 300)),
        ("w=200&dpr=1.5", (300, 200)),
        ("w=200&h=200&fit=cover&dpr=2", (400, 400)),
        ("rotate=90", (400, 600)),
        ("w=200&rotate=270", (200, 300)),
        ("rotate=180", (600, 400)),
        ("w=1", (1, 1)),
    ];
    for (query, size) in table {
        let seen = edge.picture(&format!("/coffee.jpg?{query}&f=webp"), CURL).await;
        assert_eq!(seen.size(), size, "{query}");
        let by_path = edge.picture(&format!("/lm/{},f=webp/coffee.jpg", query.replace('&', ",")), CURL).await;
        assert_eq!(by_path.pixels, seen.pixels, "{query} in the path");
    }
}

#[tokio::test]
async fn gravity_says_which_part_stays() {
    // Left half dark, right half light.
    let origin = Origin::with("/half.png", Reply::png(pictures::half_clear_png(400, 200))).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for (gravity, is_red) in [("left", false), ("right", true), ("0x0.5", false), ("1x0.5", true), ("e", true)] {
        let path = format!("/lm/w=50,h=100,fit=cover,g={gravity},f=png/half.png");
        let pixel = *edge.picture(&path, CURL).await.pixels.get_pixel(25, 50);
        assert_eq!(pixel[3] > 200, is_red, "{gravity}: {pixel:?}");
    }
}

#[tokio::test]
async fn turning_turns_clockwise() {
    let origin = Origin::with("/half.png", Reply::png(pictures::half_clear_png(400, 200))).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    // The red half is on the right; a quarter turn clockwise puts it at the bottom.
    for (turn, red) in [(90, (50, 150)), (180, (50, 50)), (270, (50, 50))] {
        let seen = edge.picture(&format!("/lm/w=100,rotate={turn},f=png/half.png"), CURL).await;
        let (x, y) = if turn == 180 { (20, 25) } else { red };
        let pixel = seen.pixels.get_pixel(x, y);
        assert!(pixel[3] > 200 && pixel[0] > 150, "{turn}: {pixel:?} in {:?}", seen.size());
    }
}

#[tokio::test]
async fn a_padded_picture_stands_on_its_background() {
    let (_origin, edge) = edge_with_coffee().await;
    let seen = edge.picture("/coffee.jpg?w=300&h=300&fit=pad&background=0000ff&f=webp&q=90", CURL).await;
    let [top, bottom] = [seen.pixels.get_pixel(150, 10), seen.pixels.get_pixel(150, 290)];
    for pixel in [top, bottom] {
        assert!(pixel[2] > 200 && pixel[0] < 60 && pixel[1] < 60, "not blue: {pixel:?}");
    }
    let plain = edge.picture("/coffee.jpg?w=300&h=300&fit=pad&f=webp", CURL).await;
    assert!(plain.pixels.get_pixel(150, 10).0[..3].iter().all(|sample| *sample > 240), "not white");
}

#[tokio::test]
async fn an_absolute_url_of_the_origin_may_stand_for_its_path() {
    let (origin, edge) = edge_with_coffee().await;
    let url = format!("{}/coffee.jpg", origin.url());
    let folded = url.replace("://", ":/");
    let escaped = url.replace(':', "%3A").replace('/', "%2F");
    for spelling in [&url, &folded, &escaped] {
        let seen = edge.picture(&format!("/lm/w=60/{spelling}"), CHROMIUM).await;
        assert_eq!(seen.size(), (60, 40), "{spelling}");
        assert_looks_like(&seen, &pictures::demo("coffee.jpg"));
    }
}

#[tokio::test]
async fn what_means_the_same_is_made_once() {
    let (_origin, edge) = edge_with_coffee().await;
    for same in ["?w=200", "?width=200", "?w=100&dpr=2", "?w=200&fit=crop", "?w=200&q=auto", "?w=200&gravity=top"] {
        assert_eq!(edge.get(&format!("/coffee.jpg{same}")).accept(CHROMIUM).await.content_type(), "image/avif");
    }
    assert_eq!(edge.encodes().await, 1);
}

#[tokio::test]
async fn a_wrong_option_is_400_and_named() {
    let (origin, edge) = edge_with_coffee().await;
    let table = [
        ("/coffee.jpg?w=0", "width"),
        ("/coffee.jpg?w=abc", "width"),
        ("/coffee.jpg?w=-5", "width"),
        ("/coffee.jpg?h=99999", "height"),
        ("/coffee.jpg?w=5&width=6", "width"),
        ("/coffee.jpg?q=0", "quality"),
        ("/coffee.jpg?q=101", "quality"),
        ("/coffee.jpg?fit=squeeze", "fit"),
        ("/coffee.jpg?f=bmp", "format"),
        ("/coffee.jpg?dpr=99", "dpr"),
        ("/coffee.jpg?background=red", "background"),
        ("/coffee.jpg?rotate=45", "rotate"),
        ("/coffee.jpg?g=nowhere", "gravity"),
        ("/lm/wdith=5/coffee.jpg", "wdith"),
        ("/lm/w=5,/coffee.jpg", "name=value"),
        ("/lm/w=5", "source"),
        ("/lm/w=5/", "source"),
        ("/lm//coffee.jpg", "name=value"),
    ];
    for (target, name) in table {
        let answer = edge.get(target).await;
        assert_eq!(answer.status.as_u16(), 400, "{target}");
        assert!(answer.problem().contains(name), "{target}: {}", answer.problem());
    }
    assert!(origin.asked().is_empty());
}

#[tokio::test]
async fn one_size_too_many_is_429_and_those_that_are_there_are_served_on() {
    let origin = Origin::with("/coffee.jpg", Reply::jpeg(pictures::demo("coffee.jpg"))).await;
    let edge = Edge::start(Setup::of(&origin).set("images.max_sizes", "2")).await;
    for width in [100, 200] {
        assert_eq!(edge.get(&format!("/coffee.jpg?w={width}")).accept(CHROMIUM).await.picture().format, "avif");
    }
    let refused = edge.get("/coffee.jpg?w=300").accept(CHROMIUM).await;
    assert_eq!((refused.status.as_u16(), refused.field("retry-after").as_str()), (429, "3600"));
    assert!(refused.problem().contains("sizes"), "{}", refused.problem());
    assert!(edge.get("/coffee.jpg?w=100").accept(CHROMIUM).await.is_hit());
    // Another format of a size that is there, and the image as it is, are no new sizes.
    assert_eq!(edge.get("/coffee.jpg?w=200").accept(SAFARI_15).await.picture().format, "webp");
    assert_eq!(edge.get("/coffee.jpg").accept(CHROMIUM).await.picture().format, "avif");
}

#[tokio::test]
async fn an_animation_moves_on_unless_its_first_frame_will_do() {
    let mut gif = Vec::new();
    {
        let mut encoder = image::codecs::gif::GifEncoder::new(&mut gif);
        for number in [1, 14] {
            let picture = image::DynamicImage::from(pictures::pixels(160, 120, number)).to_rgba8();
            encoder.encode_frame(image::Frame::new(picture)).unwrap();
        }
    }
    let origin = Origin::with("/moving.gif", Reply::ok("image/gif", gif.clone())).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let view = async |query: &str, accept: &str| edge.get(&format!("/moving.gif?w=80{query}")).accept(accept).await;
    let moving = view("", CHROMIUM).await;
    assert_eq!((moving.content_type().as_str(), moving.detail().as_str()), ("image/webp", "webp"));
    let decoder = image::codecs::webp::WebPDecoder::new(std::io::Cursor::new(&moving.body)).unwrap();
    let frames = image::AnimationDecoder::into_frames(decoder).collect_frames().unwrap();
    assert_eq!((frames.len(), frames[0].buffer().dimensions()), (2, (80, 60)));
    assert_eq!(view("", CHROMIUM).await.body, moving.body);
    for _ in 0..2 {
        let original = view("", "image/jpeg,image/png").await;
        assert_eq!((original.detail().as_str(), original.body.to_vec()), ("animated", gif.clone()));
        let pinned = view("&f=avif", CHROMIUM).await;
        assert_eq!((pinned.detail().as_str(), pinned.body.to_vec()), ("animated", gif.clone()));
    }
    let still = view("&anim=false", CHROMIUM).await;
    assert_eq!(still.content_type(), "image/avif");
    assert_looks_like(&still.picture(), &pictures::jpeg(160, 120, 1, Scan::Baseline));
}

#[tokio::test]
async fn an_animation_over_the_limits_is_served_as_it_came_and_its_first_frame_is_not() {
    let mut gif = Vec::new();
    {
        let mut encoder = image::codecs::gif::GifEncoder::new(&mut gif);
        for number in [1, 14] {
            let picture = image::DynamicImage::from(pictures::pixels(160, 120, number)).to_rgba8();
            encoder.encode_frame(image::Frame::new(picture)).unwrap();
        }
    }
    for (bound, detail) in [("1", "too-large"), ("2", "webp")] {
        let origin = Origin::with("/moving.gif", Reply::ok("image/gif", gif.clone())).await;
        let edge = Edge::start(Setup::of(&origin).set("images.max_animation_frames", bound)).await;
        for _ in 0..2 {
            assert_eq!(edge.get("/moving.gif?w=80").accept(CHROMIUM).await.detail(), detail);
        }
        assert_eq!(edge.get("/moving.gif?w=80&anim=false").accept(CHROMIUM).await.content_type(), "image/avif");
    }
}

#[tokio::test]
async fn quality_may_be_set_for_all_for_a_site_and_for_a_request() {
    let origin = Origin::with("/coffee.jpg", Reply::jpeg(pictures::demo("coffee.jpg"))).await;
    let setup = Setup::empty()
        .set("images.quality", "70")
        .with_site("plain", &["plain.test"], &origin.url())
        .with_site("own", &["own.test"], &origin.url())
        .site("quality", "30");
    let edge = Edge::start(setup).await;
    let view =
        async |host: &str, query: &str| edge.get(&format!("/coffee.jpg?w=300&f=jpeg{query}")).host(host).await.body;
    assert_eq!(view("plain.test", "").await, view("plain.test", "&q=70").await);
    assert_eq!(view("own.test", "").await, view("plain.test", "&q=30").await);
    assert_eq!(view("own.test", "&q=70").await, view("plain.test", "").await);
}

#[tokio::test]
async fn a_client_that_saves_data_gets_fewer_bytes_where_quality_is_left_to_the_site() {
    let origin = Origin::with("/coffee.jpg", Reply::jpeg(pictures::demo("coffee.jpg"))).await;
    let setup = Setup::empty()
        .with_site("auto", &["auto.test"], &origin.url())
        .with_site("fixed", &["fixed.test"], &origin.url())
        .site("quality", "70");
    let edge = Edge::start(setup).await;
    let view = async |host: &str, query: &str, save_data: &str| {
        let path = format!("/coffee.jpg?w=300&f=webp{query}");
        edge.get(&path).host(host).header("save-data", save_data).await
    };
    for (host, query, lowers, vary) in [
        ("auto.test", "", true, "Save-Data"),
        ("auto.test", "&q=auto", true, "Save-Data"),
        ("auto.test", "&q=high", false, ""),
        ("auto.test", "&q=70", false, ""),
        ("fixed.test", "", false, ""),
    ] {
        let (usual, saving) = (view(host, query, "off").await, view(host, query, "on").await);
        assert_eq!(saving.body.len() < usual.body.len(), lowers, "{host} {query}");
        assert_eq!(saving.etag() != usual.etag(), lowers, "{host} {query}");
        assert_eq!((usual.field("vary").as_str(), saving.field("vary").as_str()), (vary, vary), "{host} {query}");
        assert!(view(host, query, "on").await.is_hit(), "{host} {query}");
    }
}
