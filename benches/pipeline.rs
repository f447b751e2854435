//! The image pipeline, stage by stage: a photograph of 1.4 megapixels to 800 pixels across in each format, at both efforts.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark that cannot be set up has no result"
)]

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use lightmeter::{
    image::AvifEncoder,
    image::{Cancel, Effort, Extras, Limits, Settings, StageTimes, develop, format::OutputFormat, probe},
    request::{Transform, transform::Quality},
};

const PHOTOGRAPH: &[u8] = include_bytes!("../demo/pictures/dandelion.jpg");
const GRAPHIC: &[u8] = include_bytes!("../demo/pictures/map.png");

const LIBAOM: Settings = Settings { limits: Limits::DEFAULT, avif_encoder: AvifEncoder::Libaom };
const RAVIF: Settings = Settings { avif_encoder: AvifEncoder::Ravif, ..LIBAOM };

type Stage = fn(StageTimes) -> Duration;

/// Runs the pipeline and measures one stage of it.
fn bench_stage(
    criterion: &mut Criterion,
    name: &str,
    (source, width): (&'static [u8], u32),
    (format, effort, settings): (OutputFormat, Effort, Settings),
    stage: Stage,
) {
    let found = probe(source).unwrap();
    let transform = Transform { width: Some(width), quality: Some(Quality::Setting(80)), ..Transform::default() };
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|rounds| {
            (0..rounds)
                .map(|_| {
                    stage(
                        develop(
                            black_box(source),
                            &found,
                            &transform,
                            format,
                            &settings,
                            effort,
                            &Cancel::default(),
                            &Extras::default(),
                        )
                        .unwrap()
                        .stages,
                    )
                })
                .sum()
        });
    });
}

fn stages(criterion: &mut Criterion) {
    let photograph = (PHOTOGRAPH, 800);
    let quick = |format| (format, Effort::FirstView, LIBAOM);
    bench_stage(criterion, "decode: JPEG 1600x900, for 800", photograph, quick(OutputFormat::Jpeg), |t| t.decode);
    bench_stage(criterion, "decode: JPEG 1600x900, for 200", (PHOTOGRAPH, 200), quick(OutputFormat::Jpeg), |t| {
        t.decode
    });
    bench_stage(criterion, "decode: PNG 917x678", (GRAPHIC, 400), quick(OutputFormat::Jpeg), |t| t.decode);
    bench_stage(criterion, "resize: 1600x900 to 800", photograph, quick(OutputFormat::Jpeg), |t| t.resize);
    for (name, format, settings) in [
        ("AVIF by libaom", OutputFormat::Avif, LIBAOM),
        ("AVIF by ravif", OutputFormat::Avif, RAVIF),
        ("WebP", OutputFormat::WebP, LIBAOM),
        ("JPEG", OutputFormat::Jpeg, LIBAOM),
        ("PNG", OutputFormat::Png, LIBAOM),
    ] {
        for (effort_name, effort) in [("first view", Effort::FirstView), ("refined", Effort::Refined)] {
            bench_stage(
                criterion,
                &format!("encode: {name} 800x450, {effort_name}"),
                photograph,
                (format, effort, settings.clone()),
                |t| t.encode,
            );
        }
    }
}

criterion_group!(
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_secs(1));
    targets = stages
);
criterion_main!(benches);
