#![no_main]

use libfuzzer_sys::fuzz_target;
use lightmeter_image::{Effort, Settings, Transform, cost, format::OutputFormat, probe};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(found) = probe(bytes) {
        assert!(found.width > 0 && found.height > 0);
        let _ = cost(&found, &Transform::default(), OutputFormat::Avif, &Settings::default(), Effort::Refined);
    }
});
