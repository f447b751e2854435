//! What the options do to the pixels, seen from outside; the engine's own tests have the details.

use std::future::IntoFuture as _;

use crate::harness::{CHROMIUM, CURL, Edge, Gate, Origin, Reply, Setup, pictures, reply::Content, until};

/// Left half transparent, right half red.
async fn edge_with_half() -> (Origin, Edge) {
    let origin = Origin::with("/half.png", Reply::png(pictures::half_clear_png(400, 200))).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    (origin, edge)
}

#[tokio::test]
async fn sizes_after_trimming_and_cutting_out_are_as_asked() {
    let (_origin, edge) = edge_with_half().await;
    let table = [
        ("crop=10;20;300;100", (300, 100)),
        ("crop=0.5;0.0;0.5;1.0", (200, 200)),
        ("crop=10;20;300;100,w=150", (150, 50)),
        ("crop=10;20;300;100,rotate=90", (100, 300)),
        ("crop=400;0;10;10", (400, 200)),
        ("trim=10;20;30;40", (340, 160)),
        ("trim=auto", (200, 200)),
        ("trim=border,w=50", (50, 50)),
        ("trim=auto,w=60,h=30,fit=cover", (60, 30)),
    ];
    for (options, size) in table {
        let seen = edge.picture(&format!("/lm/{options},f=png/half.png"), CURL).await;
        assert_eq!(seen.size(), size, "{options}");
        let query = options.replace(',', "&");
        let by_query = edge.picture(&format!("/half.png?{query}&f=png"), CURL).await;
        assert_eq!(by_query.pixels, seen.pixels, "{options} in the query");
    }
}

#[tokio::test]
async fn flipping_comes_before_turning() {
    let (_origin, edge) = edge_with_half().await;
    // The red half is on the right; flipped it is on the left, and a quarter turn clockwise puts left on top.
    for (options, red) in [("flip=h", (20, 25)), ("flip=v", (80, 25)), ("flip=h,rotate=90", (50, 20))] {
        let size = if options.contains("rotate") { "w=100,h=200" } else { "w=100,h=50" };
        let seen = edge.picture(&format!("/lm/{size},{options},f=png/half.png"), CURL).await;
        let pixel = seen.pixels.get_pixel(red.0, red.1);
        assert!(pixel[3] > 200 && pixel[0] > 150, "{options}: {pixel:?} in {:?}", seen.size());
    }
}

#[tokio::test]
async fn the_part_with_something_in_it_is_kept() {
    let (_origin, edge) = edge_with_half().await;
    let seen = edge.picture("/lm/w=50,h=100,fit=cover,g=auto,f=png/half.png", CURL).await;
    let pixel = seen.pixels.get_pixel(25, 50);
    assert!(pixel[3] > 200 && pixel[0] > 150, "{pixel:?}");
}

#[tokio::test]
async fn light_colours_and_sharpness_are_changed() {
    let (_origin, edge) = edge_with_half().await;
    let pixel = async |options: &str, x: u32| {
        *edge.picture(&format!("/lm/w=200,{options},f=png/half.png"), CURL).await.pixels.get_pixel(x, 50)
    };
    let (plain, dark) = (pixel("q=80", 150).await, pixel("brightness=0.5", 150).await);
    assert!(dark[0].abs_diff(plain[0] / 2) < 4, "{plain:?} {dark:?}");
    let gray = pixel("saturation=0", 150).await;
    assert!(gray[0] == gray[1] && gray[1] == gray[2] && gray[0] < plain[0], "{gray:?}");
    let (sharp, soft) = (pixel("q=80", 95).await, pixel("blur=20", 95).await);
    assert!(sharp[3] < 10 && soft[3] > 60, "{sharp:?} {soft:?}");
    let ground = pixel("background=0000ff", 20).await;
    assert_eq!(ground.0, [0, 0, 255, 255]);
}

#[tokio::test]
async fn a_wrong_operation_is_400_and_named() {
    let (origin, edge) = edge_with_half().await;
    let table = [
        ("crop=1;2;3", "crop"),
        ("crop=0;0;0;5", "crop"),
        ("trim=300", "trim"),
        ("flip=x", "flip"),
        ("blur=251", "blur"),
        ("sharpen=11", "sharpen"),
        ("gamma=-1", "gamma"),
        ("metadata=all", "metadata"),
        ("wm=logo.png", "watermark"),
        ("wm-opacity=2", "watermark-opacity"),
        ("g=face", "gravity"),
    ];
    for (options, name) in table {
        for target in [format!("/half.png?{options}"), format!("/lm/{options}/half.png")] {
            let answer = edge.get(&target).await;
            assert_eq!(answer.status.as_u16(), 400, "{target}");
            assert!(answer.problem().contains(&format!("{name:?}")), "{target}: {}", answer.problem());
        }
    }
    assert!(origin.asked().is_empty());
}

#[tokio::test]
async fn operations_that_mean_the_same_are_made_once() {
    let (_origin, edge) = edge_with_half().await;
    for options in ["w=60,rotate=180", "w=60,flip=hv", "rotate=180,w=30,dpr=2,brightness=1,blur=0,wm-scale=1"] {
        edge.picture(&format!("/lm/{options},f=webp/half.png"), CURL).await;
    }
    assert_eq!(edge.encodes().await, 1);
}

#[tokio::test]
async fn a_watermark_is_fetched_from_where_the_site_allows_it_and_nowhere_else() {
    let (origin, edge) = edge_with_half().await;
    origin.set("/logo.png", Reply::png(pictures::half_clear_png(40, 40)));
    let options = "w=400,wm=%2Flogo.png,wm-position=nw,wm-scale=0.5,background=fff,f=png";
    let seen = edge.picture(&format!("/lm/{options}/half.png"), CURL).await;
    // The watermark's red half is in the left half of the picture, where there was nothing.
    let pixel = seen.pixels.get_pixel(150, 100);
    assert!(pixel[0] > 150 && pixel[1] < 120, "{pixel:?}");
    assert_eq!(origin.count("/logo.png"), 1);
    // It is an original like any other: the second size does not fetch it again.
    edge.picture(&format!("/lm/{}/half.png", options.replace("w=400", "w=300")), CURL).await;
    assert_eq!(origin.count("/logo.png"), 1);
    let elsewhere = edge.get("/lm/w=400,wm=https%3A%2F%2Felsewhere.test%2Flogo.png/half.png").await;
    assert!(elsewhere.field("cache-status").contains("detail=watermark"), "{}", elsewhere.field("cache-status"));
}

#[tokio::test]
async fn without_its_watermark_a_picture_is_the_original_and_is_not_kept_so() {
    let (origin, edge) = edge_with_half().await;
    let path = "/lm/w=300,wm=%2Flogo.png,f=png/half.png";
    let missing = edge.get(path).await;
    assert_eq!(missing.body, pictures::half_clear_png(400, 200));
    assert!(missing.field("cache-status").contains("detail=watermark"), "{missing:?}");
    origin.set("/logo.png", Reply::png(pictures::half_clear_png(40, 40)));
    until("the watermark is there", async || edge.get(path).await.body != missing.body).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_the_watermark_of_another() {
    let original = pictures::half_clear_png(400, 200);
    let (source, logo) = (Gate::closed(), Gate::closed());
    let content = Content::Gated(original.slice(..1000), source.clone(), original.slice(1000..));
    let origin = Origin::with("/half.png", Reply::of(content)).await;
    origin.set("/logo.png", Reply::png(pictures::half_clear_png(40, 40)).behind(&logo));
    let edge = Edge::start(Setup::of(&origin)).await;
    let marked = edge.get("/half.png?w=300&wm=/logo.png").accept(CHROMIUM).into_future();
    let plain = edge.get("/half.png?w=200").accept(CHROMIUM).into_future();
    let (marked, ()) = tokio::join!(marked, async {
        let opened = async {
            edge.until_metric("lightmeter_connections", &[], |open| open >= 2).await;
            source.open();
        };
        let (plain, ()) = tokio::join!(plain, opened);
        assert_eq!(plain.picture().size().0, 200);
        logo.open();
    });
    assert_eq!(marked.picture().size().0, 300);
}
