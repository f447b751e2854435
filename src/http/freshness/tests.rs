use super::*;
use http::{
    HeaderName, HeaderValue,
    header::{CACHE_CONTROL, ETAG},
};
use proptest::{prelude::*, sample::subsequence};

const NOW: UnixSeconds = UnixSeconds(1_700_000_000);
const SITE: Lifetimes = Lifetimes {
    default: Duration::from_secs(600),
    min: Duration::ZERO,
    max: Duration::from_secs(365 * 86_400),
    heuristic_percent: 0,
    stale_if_error: Duration::from_secs(1_000),
};

fn at(offset: i64) -> UnixSeconds {
    UnixSeconds(NOW.0.saturating_add_signed(offset))
}

fn http_date(offset: i64) -> String {
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(at(offset).0))
}

fn headers<V: AsRef<str>>(fields: &[(&str, V)]) -> HeaderMap {
    let pair = |(name, value): &(&str, V)| {
        (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(value.as_ref()).unwrap())
    };
    fields.iter().map(pair).collect()
}

fn of<V: AsRef<str>>(fields: &[(&str, V)], site: &Lifetimes) -> Freshness {
    Freshness::of(StatusCode::OK, &headers(fields), NOW, site)
}

fn control(text: &str) -> Freshness {
    of(&[("cache-control", text)], &SITE)
}

#[test]
fn the_lifetime_is_s_maxage_then_max_age_then_expires_then_the_sites_default() {
    let lifetime = |fields: &[(&str, String)]| of(fields, &SITE).lifetime;
    let cc = |text: &str| ("cache-control", text.to_owned());
    let expires = ("expires", http_date(100));
    assert_eq!(lifetime(&[cc("max-age=60, s-maxage=30"), expires.clone()]), 30);
    assert_eq!(lifetime(&[cc("max-age=0, s-maxage=30"), ("expires", "0".to_owned())]), 30);
    assert_eq!(lifetime(&[cc("max-age=60"), expires.clone()]), 60);
    assert_eq!(lifetime(std::slice::from_ref(&expires)), 100);
    assert_eq!(lifetime(&[]), 600);
    assert_eq!(lifetime(&[cc("no-cache, max-age=60")]), 0);
}

#[test]
fn expires_counts_from_date_and_the_first_to_expire_counts() {
    let table = [
        (vec![("expires", http_date(100)), ("date", http_date(-50))], 150),
        (vec![("expires", http_date(100)), ("date", "foo".to_owned())], 100),
        (vec![("expires", http_date(100)), ("date", http_date(200))], 0),
        (vec![("expires", "0".to_owned())], 0),
        (vec![("expires", String::new())], 0),
        (vec![("expires", http_date(100)), ("expires", http_date(50))], 50),
        (vec![("expires", http_date(100)), ("expires", "soon".to_owned())], 0),
        (vec![("expires", http_date(100)), ("date", http_date(0)), ("date", http_date(-50))], 100),
    ];
    for (fields, expected) in table {
        assert_eq!(of(&fields, &SITE).lifetime, expected, "{fields:?}");
    }
}

#[test]
fn what_is_targeted_at_caches_like_this_one_takes_the_place_of_all_else() {
    let targeted = |text: &str| {
        let expires = http_date(100);
        of(&[("cdn-cache-control", text), ("cache-control", "max-age=5, no-cache"), ("expires", &expires)], &SITE)
    };
    assert_eq!(targeted("max-age=60").lifetime, 60);
    assert!(!targeted("max-age=60").must_revalidate);
    // Nothing is said of a lifetime, and nothing else counts.
    assert_eq!(targeted("max-age=1.5").lifetime, 600);
    assert_eq!(targeted("none").lifetime, 600);
    // As if it were not there.
    assert_eq!(targeted("max-age=60,").lifetime, 0);
}

#[test]
fn a_guess_is_made_only_where_the_site_asks_for_it_and_the_origin_gives_no_lifetime() {
    let guessing = Lifetimes { heuristic_percent: 10, ..SITE };
    let modified = ("last-modified", http_date(-1_000));
    assert_eq!(of(std::slice::from_ref(&modified), &SITE).lifetime, 600);
    assert_eq!(of(std::slice::from_ref(&modified), &guessing).lifetime, 100);
    assert_eq!(of::<&str>(&[], &guessing).lifetime, 600);
    assert_eq!(of(&[modified.clone(), ("date", http_date(-500))], &guessing).lifetime, 50);
    assert_eq!(of(&[modified.clone(), ("cache-control", "max-age=5".to_owned())], &guessing).lifetime, 5);
    assert_eq!(of(&[modified.clone(), ("expires", "0".to_owned())], &guessing).lifetime, 0);
    assert_eq!(of(&[("last-modified", http_date(1_000))], &guessing).lifetime, 0);
}

#[test]
fn a_status_that_is_not_cacheable_by_default_gets_neither_guess_nor_default() {
    let guessing = Lifetimes { heuristic_percent: 10, ..SITE };
    let modified = ("last-modified", http_date(-1_000));
    let public = [modified.clone(), ("cache-control", "public".to_owned())];
    for (status, alone, if_public) in
        [(200, 100, 100), (203, 100, 100), (404, 100, 100), (201, 0, 100), (302, 0, 100), (403, 0, 60), (599, 0, 60)]
    {
        let status = StatusCode::from_u16(status).unwrap();
        let lifetime = |fields: &[_]| Freshness::of(status, &headers(fields), NOW, &guessing).lifetime;
        assert_eq!(lifetime(std::slice::from_ref(&modified)), alone, "{status}");
        assert_eq!(lifetime(&public), if_public, "{status}");
    }
}

#[test]
fn what_a_visitors_odd_field_may_have_provoked_gets_no_default() {
    for (status, alone) in [(405, 0), (501, 0), (404, 600), (414, 600)] {
        let status = StatusCode::from_u16(status).unwrap();
        let lifetime = |fields: &[_]| Freshness::of(status, &headers(fields), NOW, &SITE).lifetime;
        assert_eq!(lifetime(&[]), alone, "{status}");
        assert_eq!(lifetime(&[("cache-control", "public")]), 600, "{status}");
        assert_eq!(lifetime(&[("cache-control", "max-age=7")]), 7, "{status}");
    }
}

#[test]
fn the_sites_bounds_hold_the_origins_lifetime() {
    let bounded = Lifetimes { min: Duration::from_secs(30), max: Duration::from_secs(300), ..SITE };
    let lifetime = |text: &str| of(&[("cache-control", text)], &bounded).lifetime;
    assert_eq!(lifetime("max-age=5"), 30);
    assert_eq!(lifetime("max-age=0"), 30);
    assert_eq!(lifetime("s-maxage=5, max-age=90"), 30);
    assert_eq!(lifetime("max-age=90"), 90);
    assert_eq!(lifetime("max-age=9000"), 300);
    assert_eq!(lifetime("public"), 300);
    assert_eq!(of(&[("expires", "0")], &bounded).lifetime, 30);
}

#[test]
fn what_the_origin_wants_validated_each_time_is() {
    let bounded = Lifetimes { min: Duration::from_secs(30), ..SITE };
    for text in ["no-cache", "no-cache, max-age=90", "max-age=0, must-revalidate", "s-maxage=0, proxy-revalidate"] {
        assert_eq!(of(&[("cache-control", text)], &bounded).lifetime, 0, "{text}");
    }
    // The least lifetime is for what the origin gives: where it gives nothing, the site's default says it all.
    assert_eq!(of::<&str>(&[], &Lifetimes { default: Duration::ZERO, ..bounded }).lifetime, 0);
}

#[test]
fn errors_live_for_a_minute_at_most_and_are_not_used_stale() {
    let fields = headers(&[("cache-control", "max-age=9000, stale-if-error=50, stale-while-revalidate=50")]);
    for (status, expected) in [(400, 60), (499, 60), (500, 60), (503, 60), (404, 9000), (410, 9000), (501, 9000)] {
        let freshness = Freshness::of(StatusCode::from_u16(status).unwrap(), &fields, NOW, &SITE);
        assert_eq!(freshness.lifetime, expected, "{status}");
        assert_eq!(freshness.stale_if_error + freshness.stale_while_revalidate, if expected == 60 { 0 } else { 100 });
    }
    let at_least = Lifetimes { min: Duration::from_secs(600), ..SITE };
    assert_eq!(Freshness::of(StatusCode::BAD_GATEWAY, &fields, NOW, &at_least).lifetime, 60);
}

#[test]
fn age_counts_what_upstream_caches_added() {
    let freshness = of(&[("age", "100"), ("cache-control", "max-age=150")], &SITE);
    assert_eq!(freshness.age(at(20)), 120);
    assert!(freshness.is_fresh(at(49)));
    assert!(!freshness.is_fresh(at(50)));
    assert_eq!(freshness.remaining(at(60)), -10);
}

#[test]
fn an_age_that_cannot_be_read_is_more_than_anything_lives() {
    let cc = ("cache-control", "max-age=2147483648, stale-while-revalidate=2147483648, stale-if-error=2147483648");
    let table = [
        vec![("age", "abc")],
        vec![("age", "")],
        vec![("age", "-7200")],
        vec![("age", "7200.0")],
        vec![("age", "0, 0")],
        vec![("age", "0,7200")],
        vec![("age", "7200;foo=bar")],
        vec![("age", "0"), ("age", "0")],
    ];
    for mut fields in table {
        fields.push(cc);
        let freshness = of(&fields, &SITE);
        assert!(!freshness.is_fresh(NOW), "{fields:?}");
        assert!(!freshness.may_stand_in(NOW) && !freshness.may_serve_while_revalidating(NOW), "{fields:?}");
        assert_eq!(freshness.age(NOW), MAX_DELTA_SECONDS, "{fields:?}");
    }
    assert!(of(&[("age", " 5 "), cc], &SITE).is_fresh(NOW));
    assert!(!of(&[("age", "99999999999999999999"), cc], &SITE).is_fresh(NOW));
}

#[test]
fn an_old_date_is_an_age() {
    assert_eq!(of(&[("date", http_date(-70))], &SITE).age(NOW), 70);
    assert_eq!(of(&[("date", http_date(-70)), ("date", http_date(0))], &SITE).age(NOW), 70);
    assert_eq!(of(&[("date", http_date(70))], &SITE).age(NOW), 0);
    assert_eq!(of(&[("date", "yesterday")], &SITE).age(NOW), 0);
}

#[test]
fn what_was_validated_is_as_old_as_the_answer_that_said_so() {
    let stored = headers(&[("cache-control", "max-age=60")]);
    let not_modified = headers(&[("age", "20")]);
    let freshness = Freshness::validated(StatusCode::OK, &stored, &not_modified, NOW, &SITE);
    assert_eq!((freshness.lifetime, freshness.age(NOW)), (60, 20));
}

#[test]
fn a_clock_that_goes_back_does_not_overflow() {
    assert_eq!(of::<&str>(&[], &SITE).age(UnixSeconds(0)), 0);
}

#[test]
fn the_origins_windows_hold_to_the_second_and_the_sites_where_it_gives_none() {
    let windows = control("max-age=10, stale-while-revalidate=5, stale-if-error=20");
    assert!(!windows.may_serve_while_revalidating(at(9)) && !windows.may_stand_in(at(9)));
    assert!(windows.may_serve_while_revalidating(at(10)) && windows.may_serve_while_revalidating(at(14)));
    assert!(!windows.may_serve_while_revalidating(at(15)) && windows.may_stand_in(at(15)));
    assert!(windows.may_stand_in(at(29)) && !windows.may_stand_in(at(30)));
    let none_given = control("max-age=10");
    assert!(!none_given.may_serve_while_revalidating(at(10)));
    assert!(none_given.may_stand_in(at(1_009)) && !none_given.may_stand_in(at(1_010)));
    assert!(!control("max-age=10, stale-if-error=0").may_stand_in(at(10)));
}

#[test]
fn what_must_be_validated_is_never_used_stale() {
    for directive in ["must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=10"] {
        let freshness = control(&format!("max-age=10, stale-while-revalidate=50, stale-if-error=50, {directive}"));
        assert!(freshness.must_revalidate, "{directive}");
        assert!(!freshness.may_stand_in(at(11)) && !freshness.may_serve_while_revalidating(at(11)), "{directive}");
    }
}

#[test]
fn what_is_made_stale_has_its_windows_from_then_on() {
    let expired = control("max-age=100, stale-while-revalidate=5").expired_at(at(10));
    assert!(expired.is_fresh(at(9)) && !expired.is_fresh(at(10)));
    assert!(expired.may_serve_while_revalidating(at(14)) && !expired.may_serve_while_revalidating(at(15)));
    assert_eq!(expired.age(at(10)), 10);
    // What was stale before then stays as stale as it was.
    let stale = control("max-age=3, stale-while-revalidate=5");
    assert_eq!(stale.expired_at(at(10)), stale);
}

#[test]
fn what_was_stored_before_there_were_windows_is_still_read() {
    let stored = r#"{"received_at":1700000000,"initial_age":0,"lifetime":60,"must_revalidate":false}"#;
    let freshness: Freshness = serde_json::from_str(stored).unwrap();
    assert!(freshness.is_fresh(at(59)) && freshness.may_stand_in(at(60 + 86_400)));
    assert!(!freshness.may_serve_while_revalidating(at(60)));
}

fn any_freshness() -> impl Strategy<Value = Freshness> {
    (any::<u64>(), any::<u64>(), any::<u64>(), any::<bool>(), any::<u64>(), any::<u64>()).prop_map(
        |(received_at, initial_age, lifetime, must_revalidate, stale_while_revalidate, stale_if_error)| Freshness {
            received_at: UnixSeconds(received_at),
            initial_age,
            lifetime,
            must_revalidate,
            stale_while_revalidate,
            stale_if_error,
        },
    )
}

const SAID: [(&str, &str); 16] = [
    ("cache-control", "max-age=60"),
    ("cache-control", "max-age=5"),
    ("cache-control", "s-maxage=90"),
    ("cache-control", "max-age=never"),
    ("cache-control", "no-cache"),
    ("cache-control", "public, must-revalidate"),
    ("cache-control", "stale-while-revalidate=9, stale-if-error=9"),
    ("cache-control", "stale-while-revalidate=2, stale-if-error=x"),
    ("expires", "Tue, 14 Nov 2023 23:00:00 GMT"),
    ("expires", "Tue, 14 Nov 2023 22:20:00 GMT"),
    ("expires", "0"),
    ("date", "Tue, 14 Nov 2023 22:13:00 GMT"),
    ("date", "Tue, 14 Nov 2023 22:00:00 GMT"),
    ("age", "7"),
    ("age", "x"),
    ("last-modified", "Tue, 14 Nov 2023 20:00:00 GMT"),
];

fn any_site() -> impl Strategy<Value = Lifetimes> {
    (0u64..1_000, 0u64..1_000, 0u64..10_000, 0u8..=100, any::<u64>()).prop_map(
        |(default, min, more, heuristic_percent, stale_if_error)| Lifetimes {
            default: Duration::from_secs(default),
            min: Duration::from_secs(min),
            max: Duration::from_secs(min + more),
            heuristic_percent,
            stale_if_error: Duration::from_secs(stale_if_error),
        },
    )
}

proptest! {
    #[test]
    fn arithmetic_neither_panics_nor_lets_time_make_anything_fresher(
        freshness in any_freshness(), now in any::<u64>(), later in any::<u64>(), expired in any::<u64>(),
    ) {
        let (now, later) = (UnixSeconds(now), UnixSeconds(now.saturating_add(later)));
        prop_assert!(freshness.age(now) <= freshness.age(later));
        prop_assert!(freshness.remaining(now) >= freshness.remaining(later));
        prop_assert!(freshness.is_fresh(now) || !freshness.is_fresh(later));
        prop_assert_eq!(freshness.is_fresh(now) && freshness.may_stand_in(now), false);
        prop_assert!(!freshness.may_stand_in(later) || freshness.is_fresh(now) || freshness.may_stand_in(now));
        let expired_at = UnixSeconds(expired);
        let expired = freshness.expired_at(expired_at);
        prop_assert!(!expired.is_fresh(expired_at));
        prop_assert!(freshness.is_fresh(now) || !expired.is_fresh(now));
    }

    #[test]
    fn no_lifetime_is_longer_than_the_site_allows(
        fields in subsequence(&SAID[..], 0..=SAID.len()), site in any_site(), status in 200u16..600,
    ) {
        let status = StatusCode::from_u16(status).unwrap();
        let freshness = Freshness::of(status, &headers(&fields), NOW, &site);
        prop_assert!(freshness.lifetime <= site.max.as_secs());
        prop_assert!(freshness.stale_if_error <= MAX_DELTA_SECONDS);
        let control = CacheControl::of(&headers(&fields));
        if freshness.lifetime < site.min.as_secs() {
            let is_explicit = control.max_age.or(control.s_maxage).is_some();
            let is_validated = control.no_cache || control.must_revalidate;
            prop_assert!(!is_explicit || is_validated || is_passing_error(status));
        }
    }

    #[test]
    fn neither_order_nor_repetition_lengthens_a_life(
        fields in subsequence(&SAID[..], 1..=SAID.len()).prop_shuffle(), again in any::<prop::sample::Index>(),
        site in any_site(),
    ) {
        let of = |fields: &[(&str, &str)]| Freshness::of(StatusCode::OK, &headers(fields), NOW, &site);
        let mut sorted = fields.clone();
        sorted.sort_unstable();
        let said = of(&fields);
        prop_assert_eq!(of(&sorted), said);
        sorted.push(sorted[again.index(sorted.len())]);
        let repeated = of(&sorted);
        prop_assert!(repeated.remaining(NOW) <= said.remaining(NOW));
        prop_assert!(repeated.stale_if_error <= said.stale_if_error);
    }

    #[test]
    fn any_bytes_give_a_lifetime(
        values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 6), status in 100u16..1000,
    ) {
        let names = [CACHE_CONTROL, EXPIRES, DATE, AGE, LAST_MODIFIED, ETAG];
        let pair = |(name, value): (HeaderName, Vec<u8>)| Some((name, HeaderValue::from_bytes(&value).ok()?));
        let headers: HeaderMap = names.into_iter().zip(values).filter_map(pair).collect();
        let freshness = Freshness::of(StatusCode::from_u16(status).unwrap(), &headers, NOW, &SITE);
        prop_assert!(freshness.lifetime <= MAX_DELTA_SECONDS);
    }
}
