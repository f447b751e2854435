//! What large pictures cost in memory. The edge is a process of its own, so its peak is its own too, whatever else the
//! machine does.

use bytes::Bytes;
use futures_util::future::join_all;

use crate::harness::{CHROMIUM, Edge, Origin, Reply, Setup, pictures, pictures::Scan};

const BUDGET_MIB: u64 = 256;
const ALLOWED_MIB: u64 = BUDGET_MIB + 150;

fn setup(origin: &Origin) -> Setup {
    Setup::of(origin)
        .set("images.memory_budget", "'256MiB'")
        .set("cache.memory_bytes", "'16MiB'")
        .set("origin.total_timeout", "'120s'")
}

/// An origin with these sources, by number. Each must be different from all others.
async fn origin_with(originals: &[Bytes]) -> Origin {
    let origin = Origin::start().await;
    for (number, original) in originals.iter().enumerate() {
        origin.set(&format!("/{number}.jpg"), Reply::jpeg(original.clone()));
    }
    origin
}

fn copies(source: &Bytes, count: usize) -> Vec<Bytes> {
    (0..count).map(|number| pictures::with_comment(source, &number.to_string())).collect()
}

/// Asks for all at once and gives how many answers were variants; each must be a picture.
async fn view_all(edge: &Edge, originals: &[Bytes], query: &str, width: u32) -> usize {
    let views = originals
        .iter()
        .enumerate()
        .map(|(number, _)| edge.get(&format!("/{number}.jpg{query}")).accept(CHROMIUM).into_future());
    let answers = join_all(views).await;
    let mut variants = 0;
    for (answer, original) in answers.iter().zip(originals) {
        assert_eq!(answer.status.as_u16(), 200, "{:?}", answer.headers);
        if answer.body == original {
            continue;
        }
        assert_eq!(answer.picture().size().0, width, "{:?}", answer.headers);
        variants += 1;
    }
    variants
}

async fn assert_stays_in_bounds(originals: &[Bytes], query: &str, width: u32, least_variants: usize) {
    let origin = origin_with(originals).await;
    let edge = Edge::start(setup(&origin)).await;
    let variants = view_all(&edge, originals, query, width).await;
    let (peak, count) = (edge.peak_resident_mib(), originals.len());
    println!("{count} × about {} KiB, {query:?}: {variants} variants, peak {peak} MiB", originals[0].len() / 1024);
    assert!(peak < ALLOWED_MIB, "{peak} MiB resident at the peak, {ALLOWED_MIB} allowed");
    assert!(variants >= least_variants, "only {variants} of {count} were developed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_24_megapixel_sources_made_smaller_stay_within_the_budget() {
    let source = pictures::large_jpeg(6000, 4000, 7, Scan::Baseline);
    assert_stays_in_bounds(&copies(&source, 20), "?w=800", 800, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_24_megapixel_sources_at_full_size_stay_within_the_budget() {
    let source = pictures::large_jpeg(6000, 4000, 11, Scan::Baseline);
    assert_stays_in_bounds(&copies(&source, 20), "", 6000, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_24_megapixel_progressive_sources_stay_within_the_budget() {
    let source = pictures::large_jpeg(6000, 4000, 13, Scan::Progressive);
    assert_stays_in_bounds(&copies(&source, 20), "?w=700", 700, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_sources_whose_variants_just_fit_the_budget_stay_within_it() {
    let source = pictures::large_jpeg(3000, 2000, 17, Scan::Baseline);
    assert_stays_in_bounds(&copies(&source, 6), "", 3000, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_24_megapixel_sources_of_four_kinds_stay_within_the_budget() {
    let originals: Vec<Bytes> = (0..5)
        .flat_map(|number| {
            [
                pictures::large_jpeg(6000, 4000, number, Scan::Baseline),
                pictures::large_jpeg(6000, 4000, number + 5, Scan::Progressive),
                pictures::large_png(6000, 4000, number + 10),
                pictures::large_webp(6000, 4000, number + 15),
            ]
        })
        .collect();
    assert_stays_in_bounds(&originals, "?w=1000", 1000, 1).await;
}
