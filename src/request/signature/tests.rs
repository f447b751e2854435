use super::*;
use crate::request::{Presets, SourceRef, Target, parse, target::asks};
use proptest::prelude::*;

/// As docs/signed-urls.md has it.
const SECRET: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const NOW: UnixSeconds = UnixSeconds(1_700_000_000);
const LATER: UnixSeconds = UnixSeconds(1_767_225_600);

/// Made with Python's `hmac`: the URL, its expiry, and what it is when signed.
const VECTORS: [(&str, Option<UnixSeconds>, &str); 7] = [
    ("/photo.jpg?w=400", None, "/photo.jpg?w=400&s=RrmdELwolOsE3Y2EVK2Lh-zd_gTqSVhE62_ONmUnqJA"),
    (
        "/photo.jpg?w=400&h=300",
        Some(LATER),
        "/photo.jpg?w=400&h=300&exp=1767225600&s=lTYiE1_g-KDvuy6kEx1dL7ESl04eYaqxF-5SKOxvxHA",
    ),
    ("/photo.jpg", None, "/photo.jpg?s=J4JDgcL4GWWfYsy_um6uiOqetxG0YxzpGOe2jAyonW4"),
    ("/photo.jpg", Some(LATER), "/photo.jpg?exp=1767225600&s=yFQ5MUDEoQ8RrZccUcNG0j8g5tJXDGA84iH-xwTBW5w"),
    ("/a%20b/%C3%BC.png?v=3&w=400", None, "/a%20b/%C3%BC.png?v=3&w=400&s=kmjmNTULaxv1zCAMJGFM32J7R30qkPS2_GzzzhHxtVk"),
    ("/lm/w=400,q=75/a/photo.jpg", None, "/lm/w=400,q=75,s=xllSyinvWrsZDTxvtrCYjIK39FgYWHmLIEyCnsXIPQ8/a/photo.jpg"),
    (
        "/lm/f=auto/https://cdn.example/photo.jpg?id=5&s=theirs",
        Some(LATER),
        "/lm/f=auto,exp=1767225600,s=jIMlpIogI88z-8AZy0saJcT1R64bQabf2azwTgGvBMo/https://cdn.example/photo.jpg?id=5&s=theirs",
    ),
];

fn secret() -> Secret {
    SECRET.parse().unwrap()
}

fn key() -> Key {
    Key::new(&secret())
}

fn asked(target: &str) -> Asks {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    asks(path, query, &Presets::default())
}

fn verified(signing: Signing, target: &str) -> Result<Option<Verified>, UrlRefused> {
    verify(signing, &Keys::new([&secret()]), "shop", (target, asked(target)), NOW)
}

fn signed(target: &str) -> String {
    key().sign("shop", target, None).unwrap()
}

#[test]
fn a_signed_url_passes_as_what_it_was_before() {
    for (target, expires, url) in VECTORS {
        assert_eq!(key().sign("shop", target, expires).unwrap(), url);
        let verified = verified(Signing::Options, url).unwrap().unwrap();
        assert_eq!((verified.target.as_str(), verified.expires), (target, expires));
        assert_eq!(unverified(Signing::Options, (url, asked(url))).unwrap().as_deref(), Some(target));
    }
}

#[test]
fn the_vectors_are_those_that_are_documented() {
    let documented = include_str!("../../../docs/signed-urls.md");
    assert!(documented.contains(SECRET));
    for (_, _, url) in VECTORS {
        assert!(documented.lines().any(|line| line == url), "{url}");
    }
}

#[test]
fn what_must_be_signed_is_refused_without() {
    use Signing::{All, Images, Off, Options};
    let table = [
        ("/a.jpg?w=4", Options),
        ("/lm/w=4/a.jpg", Options),
        ("/lm/f=auto/https://cdn.example/a.jpg", Options),
        ("/lm/w=4/https://cdn.example/a.jpg?s=theirs", Options),
        ("/a.jpg", Images),
        ("/a.jpg?v=3", Images),
        ("/page", All),
        ("/page?w=4", All),
    ];
    for (target, from) in table {
        for signing in [Off, Options, Images, All] {
            let expected = if signing >= from { Err(UrlRefused::Unsigned) } else { Ok(None) };
            assert_eq!(verified(signing, target), expected, "{target} under {signing:?}");
        }
    }
}

#[test]
fn where_nothing_is_signed_the_names_are_the_origins_and_on_other_paths_unless_all_is_signed() {
    for target in ["/a.jpg?s=theirs&exp=soon", "/a.jpg?s", "/?s=shoes", "/page?exp=1&s=1&s=2"] {
        assert_eq!(verified(Signing::Off, target), Ok(None), "{target}");
        assert_eq!(unverified(Signing::Off, (target, asked(target))), Ok(None), "{target}");
    }
    assert_eq!(verified(Signing::Images, "/?s=shoes"), Ok(None));
    assert_eq!(verified(Signing::All, "/?s=shoes"), Err(UrlRefused::Forged));
}

#[test]
fn a_signature_that_need_not_be_there_must_fit_all_the_same() {
    let url = signed("/a.jpg?v=3");
    assert_eq!(verified(Signing::Options, &url).unwrap().unwrap().target, "/a.jpg?v=3");
    assert_eq!(verified(Signing::Options, "/a.jpg?v=3&s=theirs"), Err(UrlRefused::Forged));
    assert_eq!(verified(Signing::Options, "/a.jpg?exp=2000000000"), Err(UrlRefused::Unsigned));
}

#[test]
fn a_signature_stands_once_and_last() {
    let url = signed("/a.jpg?w=4");
    let (rest, signature) = url.rsplit_once('&').unwrap();
    for (bad, why) in [
        (format!("{url}&utm=1"), UrlRefused::NotLast),
        (format!("/a.jpg?{signature}&w=4"), UrlRefused::NotLast),
        (format!("{url}&{signature}"), UrlRefused::NotLast),
        (format!("{rest}&s&{signature}"), UrlRefused::NotLast),
        (format!("{url}="), UrlRefused::Forged),
        (format!("{rest}&s"), UrlRefused::Unsigned),
        (format!("{rest}&s="), UrlRefused::Forged),
        (rest.replace('?', "?%73=1&"), UrlRefused::Unsigned),
        (format!("/lm/{signature}/a.jpg"), UrlRefused::NoOption),
        (format!("/lm/{signature},w=4/a.jpg"), UrlRefused::NotLast),
        (format!("/lm/w=4%2C{signature}/a.jpg"), UrlRefused::Unsigned),
        (format!("/lm/w=4/a.jpg?{signature}"), UrlRefused::Unsigned),
        (format!("/lm/{signature}"), UrlRefused::NoOption),
        ("/lm/".to_owned(), UrlRefused::Unsigned),
        ("/lm".to_owned() + "?" + signature, UrlRefused::Forged),
    ] {
        assert_eq!(verified(Signing::All, &bad), Err(why), "{bad}");
    }
}

#[test]
fn a_signature_holds_until_its_expiry_and_no_longer() {
    let url = key().sign("shop", "/a.jpg?w=4", Some(NOW)).unwrap();
    let at = |now| verify(Signing::Options, &Keys::new([&secret()]), "shop", (&url, Asks::Options), UnixSeconds(now));
    assert_eq!(at(NOW.0), Err(UrlRefused::Expired));
    assert_eq!(at(NOW.0 - 1).unwrap().unwrap().expires, Some(NOW));
    let forged = url.replace("exp=17", "exp=99");
    assert_eq!(verified(Signing::Options, &forged), Err(UrlRefused::Forged));
}

#[test]
fn an_expiry_that_cannot_be_read_is_refused_though_it_is_signed() {
    // As a signer who appends it himself may do.
    let signed = |target: &str| {
        let signature = URL_SAFE_NO_PAD.encode(key().mac("shop", target).finalize().into_bytes());
        format!("{target}&s={signature}")
    };
    for bad in ["exp", "exp=", "exp=soon", "exp=-1", "exp=%31", "exp=1.5", "exp=9999999999999", "exp=2000000000&exp=1"]
    {
        assert_eq!(
            verified(Signing::Options, &signed(&format!("/a.jpg?w=4&{bad}"))),
            Err(UrlRefused::BadExpiry),
            "{bad}"
        );
    }
    assert!(verified(Signing::Options, &signed("/a.jpg?exp=2000000000&w=4")).is_ok());
    // Written otherwise it is another name, and in a path no option.
    let other = verified(Signing::Options, &signed("/a.jpg?w=4&%65xp=1")).unwrap().unwrap();
    assert_eq!((other.target.as_str(), other.expires), ("/a.jpg?w=4&%65xp=1", None));
}

#[test]
fn a_url_whose_only_option_is_its_expiry_has_none() {
    assert_eq!(key().sign("shop", "/lm//a.jpg", Some(LATER)), Err(UrlRefused::NoOption));
    let text = "/lm/exp=2000000000/a.jpg";
    let signature = URL_SAFE_NO_PAD.encode(key().mac("shop", text).finalize().into_bytes());
    let url = format!("/lm/exp=2000000000,s={signature}/a.jpg");
    assert_eq!(verified(Signing::Options, &url), Err(UrlRefused::NoOption));
}

#[test]
fn what_is_signed_already_is_not_signed_again() {
    assert_eq!(key().sign("shop", &signed("/a.jpg?w=4"), None), Err(UrlRefused::NotLast));
    assert_eq!(key().sign("shop", "/a.jpg?exp=5", None), Err(UrlRefused::BadExpiry));
    assert!(key().sign("shop", "/lm/w=4/https://cdn.example/a.jpg?s=1&exp=2", None).is_ok());
}

#[test]
fn a_signature_is_good_for_one_site() {
    let url = key().sign("blog", "/a.jpg?w=4", None).unwrap();
    assert_eq!(verified(Signing::Options, &url), Err(UrlRefused::Forged));
    // The parts cannot be moved against each other.
    let url = key().sign("shop:/x", "/a.jpg?w=4", None).unwrap();
    assert_eq!(verified(Signing::Options, &url), Err(UrlRefused::Forged));
}

#[test]
fn while_keys_change_both_are_good() {
    let (old, new): (Secret, Secret) = ("07".repeat(32).parse().unwrap(), "08".repeat(64).parse().unwrap());
    let urls = [&old, &new].map(|secret| Key::new(secret).sign("shop", "/a.jpg?w=4", None).unwrap());
    let good = |keys: &Keys| {
        urls.each_ref().map(|url| verify(Signing::Options, keys, "shop", (url, Asks::Options), NOW).is_ok())
    };
    assert_eq!(good(&Keys::new([&old])), [true, false]);
    assert_eq!(good(&Keys::new([&new, &old])), [true, true]);
    assert_eq!(good(&Keys::new([&new])), [false, true]);
    assert_eq!(good(&Keys::default()), [false, false]);
}

#[test]
fn secrets_are_of_some_length_and_in_hexadecimal() {
    for good in [SECRET.to_owned(), SECRET.to_uppercase(), "5a".repeat(64)] {
        assert_eq!(good.parse::<Secret>().unwrap().reveal(), good.to_lowercase());
    }
    for bad in [
        "",
        "change-me",
        &SECRET[2..],
        &SECRET[1..],
        &"5a".repeat(65),
        &SECRET.replace('f', "g"),
        &format!("{SECRET} "),
    ] {
        let error = bad.parse::<Secret>().unwrap_err().to_string();
        assert!(error.contains("64 to 128") && (bad.is_empty() || !error.contains(bad)), "{error}");
    }
}

#[test]
fn secrets_are_not_printed() {
    let printed = format!("{:?} {:?} {:?}", secret(), key(), Keys::new([&secret()]));
    assert_eq!(printed, "Secret(hidden) Key(hidden) Keys(1)");
}

/// Paths and queries such as visitors send.
fn targets() -> impl Strategy<Value = String> {
    let option = prop::sample::select(vec!["w=400", "h=30", "q=75", "f=webp", "fit=cover", "blur=2"]);
    let options = prop::collection::vec(option, 1..4).boxed();
    let source = "[a-z0-9%.~_-]{1,12}(/[a-z0-9._-]{1,8}){0,2}";
    let own = "(&[a-rt-z]=[a-zA-Z0-9%._~-]{0,6}){0,2}";
    prop_oneof![
        (source, options.clone(), own)
            .prop_map(|(path, options, own)| format!("/{path}.jpg?{}{own}", options.join("&"))),
        (source, options, own).prop_map(|(path, options, own)| format!("/lm/{}/{path}?{own}", options.join(","))),
    ]
}

proptest! {
    #[test]
    fn what_is_signed_passes(target in targets(), left in prop::option::of(1_u64..1_000_000)) {
        let expires = left.map(|left| UnixSeconds(NOW.0 + left));
        let url = key().sign("shop", &target, expires).unwrap();
        for signing in [Signing::Options, Signing::Images, Signing::All] {
            prop_assert_eq!(verified(signing, &url), Ok(Some(Verified { target: target.clone(), expires })));
        }
    }

    #[test]
    fn no_byte_can_be_changed_added_or_left_out(
        target in targets(), at in any::<prop::sample::Index>(), byte in 0x21_u8..0x7f, kind in 0..3
    ) {
        let url = signed(&target);
        let mut bytes = url.clone().into_bytes();
        let at = at.index(bytes.len());
        match kind {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            _ => { bytes.remove(at); }
        }
        let changed = String::from_utf8(bytes).unwrap();
        prop_assume!(changed != url);
        prop_assert!(verified(Signing::All, &changed).is_err(), "{changed}");
        // Where only options must be signed: what is not refused has none, and is nobody else's.
        if let Ok(passed) = verified(Signing::Options, &changed) {
            prop_assert_eq!(passed, None);
            let (path, query) = changed.split_once('?').map_or((&*changed, None), |(path, query)| (path, Some(query)));
            if let Ok(Target::Image(image)) = parse(path, query, &Presets::default()) {
                prop_assert!(image.transform == crate::request::Transform::default());
                prop_assert!(matches!(image.source, SourceRef::OwnPath(_)));
            }
        }
    }

    #[test]
    fn nothing_panics(target in "/\\PC{0,60}", in_path in "/lm/[swexp=,0-9/?&]{0,40}") {
        for target in [&target, &in_path] {
            for signing in [Signing::Off, Signing::Options, Signing::All] {
                let _ = verified(signing, target);
                let _ = unverified(signing, (target, asked(target)));
            }
            let _ = key().sign("shop", target, Some(LATER));
        }
    }
}
