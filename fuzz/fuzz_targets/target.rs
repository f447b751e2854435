//! A request's host, path, query and fields, as they came: what is one valid host, which image is meant, whose client it is.
//! Nothing panics, and what passes is what it says it is.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use ::http::{HeaderMap, Uri, Version};
use libfuzzer_sys::{Corpus, fuzz_target};
use lightmeter_fuzz::{
    fields,
    http::{check::requested_host, forwarded::claimed_client},
    request::{
        presets::Presets,
        target::{Target, parse, plain_image},
    },
};

/// The request's target, and behind it one `name: value` a line.
fn read(bytes: &[u8]) -> Option<(Uri, HeaderMap)> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let uri = Uri::try_from(lines.next()?).ok()?;
    Some((uri, fields(lines)?))
}

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Some((uri, fields)) = read(bytes) else { return Corpus::Reject };
    for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
        if let Ok(host) = requested_host(&uri, &fields, version) {
            assert!(!host.contains(['/', '@', ' ', '\\', '?', '#']) && host == host.to_ascii_lowercase(), "{host:?}");
        }
    }
    let (path, query) = (uri.path(), uri.query());
    let meant = match parse(path, query, &Presets::default()) {
        Ok(Target::Image(request)) => Some(request),
        Ok(_) | Err(_) => None,
    };
    for request in [meant, Some(plain_image(path, query))].into_iter().flatten() {
        let _ = request.source.is_image_by_name();
        // What is kept of it is what it was.
        let kept = request.clone().into_owned();
        assert_eq!(kept.source.as_str(), request.source.as_str());
    }
    let proxy = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    let is_trusted = |address: IpAddr| matches!(address, IpAddr::V4(address) if address.octets()[0] == 10);
    let _ = claimed_client(&fields, proxy, is_trusted);
    Corpus::Keep
});
