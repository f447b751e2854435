#![no_main]

use libfuzzer_sys::fuzz_target;
use lightmeter_image::options::{MAX_SIDE, parse_segment};

fuzz_target!(|segment: &str| {
    match parse_segment(segment) {
        Ok(options) => {
            let (transform, _) = options.canonical();
            for side in [transform.width, transform.height].into_iter().flatten() {
                assert!((1..=MAX_SIDE).contains(&side));
            }
        }
        // What a visitor sees of it has a bound.
        Err(error) => assert!(error.to_string().len() < 1000),
    }
});
