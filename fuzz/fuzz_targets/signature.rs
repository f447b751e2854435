//! Paths and queries that anybody may send to a site whose URLs are signed. Nothing panics; without a key nothing passes that must
//! be signed; and what is signed passes as what it was.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use lightmeter_fuzz::{
    http::time::UnixSeconds,
    request::{
        presets::{Presets, UseOfOptions},
        signature::{Asks, Key, Keys, Secret, Signing, UrlRefused, Verified, unverified, verify},
        target::{asks, parse},
    },
};

const NOW: UnixSeconds = UnixSeconds(1_700_000_000);
const SITE: &str = "shop";

fuzz_target!(|target: &str| -> Corpus {
    // What a request line cannot carry does not get here.
    if !target.starts_with('/') || !target.bytes().all(|byte| byte.is_ascii_graphic()) || target.contains('#') {
        return Corpus::Reject;
    }
    let secret: Secret = "5eced05e".repeat(8).parse().expect("32 bytes in hexadecimal");
    let (key, keys) = (Key::new(&secret), Keys::new([&secret]));
    let presets = Presets::read([("hero", "w=1200")], UseOfOptions::Free).expect("a preset");
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let asked = asks(path, query, &presets);
    let _ = parse(path, query, &presets);
    for signing in [Signing::Off, Signing::Options, Signing::Images, Signing::All] {
        let _ = unverified(signing, (target, asked));
        let must_be_signed = match asked {
            Asks::Options => signing >= Signing::Options,
            Asks::Image => signing >= Signing::Images,
            Asks::Other => signing == Signing::All,
        };
        match verify(signing, &keys, SITE, (target, asked), NOW) {
            Ok(None) => assert!(!must_be_signed),
            Ok(Some(_)) => panic!("nobody has the key"),
            Err(_) => assert!(signing != Signing::Off),
        }
    }
    signed(&key, &keys, target, asked);
    Corpus::Keep
});

fn signed(key: &Key, keys: &Keys, target: &str, asked: Asks) {
    for (expires, in_time) in [(None, true), (Some(UnixSeconds(NOW.0 + 1)), true), (Some(NOW), false)] {
        let Ok(url) = key.sign(SITE, target, expires) else { return };
        let found = verify(Signing::All, keys, SITE, (&url, asked), NOW);
        let expected = Ok(Some(Verified { target: target.to_owned(), expires }));
        assert_eq!(found, if in_time { expected } else { Err(UrlRefused::Expired) });
        assert_eq!(verify(Signing::All, keys, "blog", (&url, asked), NOW), Err(UrlRefused::Forged));
    }
}
