//! What the targets of the formats share: a file of that format, as far as it can be, becomes a variant.

use libfuzzer_sys::Corpus;
use lightmeter_image::{
    Cancel, Effort, Extras, Limits, Settings, develop,
    format::{InputFormat, OutputFormat},
    options::parse_segment,
    probe,
};

/// Develops bytes of one format; others are not kept. Small limits, so that time goes into the reading of files.
pub fn developed(format: InputFormat, bytes: &[u8]) -> Corpus {
    if InputFormat::sniff(bytes) != Some(format) {
        return Corpus::Reject;
    }
    let Ok(found) = probe(bytes) else { return Corpus::Keep };
    let limits = Limits {
        max_pixels: 1 << 18,
        max_output_pixels: 1 << 16,
        max_animation_frames: 8,
        max_animation_pixels: 1 << 18,
    };
    let settings = Settings { limits, ..Settings::default() };
    // An animation keeps moving in WebP only.
    let output = if found.animated { OutputFormat::WebP } else { OutputFormat::Jpeg };
    for options in ["w=12", "anim=false,w=30,h=7,fit=cover"] {
        if let Ok(options) = parse_segment(options) {
            let (transform, _) = options.canonical();
            let _ = develop(bytes, &found, &transform, output, &settings, Effort::FirstView, &Cancel::default(), &Extras::default());
        }
    }
    Corpus::Keep
}
