//! What targets share: the program's rules as they are, without the program around them, which would bring its database and
//! its TLS along; and for the formats, that a file, as far as it can be, becomes a variant.

use ::http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::Corpus;
pub use lightmeter_image as image;
use lightmeter_image::{
    Cancel, Effort, Extras, Limits, Settings, develop,
    format::{InputFormat, OutputFormat},
    options::parse_segment,
    probe,
};

#[allow(dead_code, unused_imports)]
#[path = "../../src/http/mod.rs"]
pub mod http;
#[allow(dead_code, unused_imports)]
#[path = "../../src/request/mod.rs"]
pub mod request;
#[allow(dead_code)]
#[path = "../../src/cache"]
pub mod cache {
    pub mod key;

    pub mod purge {
        mod generation;
        pub use generation::Generation;
    }
}

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

/// Fields, one `name: value` a line.
pub fn fields<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Option<HeaderMap> {
    let mut fields = HeaderMap::new();
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(line[..colon].trim_ascii()).ok()?;
        fields.append(name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?);
    }
    Some(fields)
}
