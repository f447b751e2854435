#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use lightmeter_image::format::InputFormat;

fuzz_target!(|bytes: &[u8]| -> Corpus { lightmeter_fuzz::developed(InputFormat::Avif, bytes) });
