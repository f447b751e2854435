//! URLs that anybody may write, to a site that names whatever host stands in them: what passes is http or https to an address
//! that is public, as far as one stands in it, and means the same when it is read again.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use url::{Host, Url};

use self::{
    address::AddressPolicy,
    url_guard::{AllowedHosts, vet_url},
};

#[allow(dead_code)]
#[path = "../../src/origin/address.rs"]
mod address;
#[allow(dead_code)]
#[path = "../../src/origin/url_guard.rs"]
mod url_guard;

fuzz_target!(|text: &str| -> Corpus {
    let Ok(url) = Url::parse(text) else { return Corpus::Reject };
    let allowed = AllowedHosts::new(&url, &[url.host_str().unwrap_or_default().to_owned()]);
    for policy in [AddressPolicy::PublicOnly, AddressPolicy::PrivateAllowed] {
        let verdict = vet_url(&url, &allowed, policy);
        let again = Url::parse(url.as_str()).expect("what was read can be read again");
        assert_eq!(vet_url(&again, &allowed, policy), verdict);
        if verdict.is_err() {
            continue;
        }
        assert!(matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.fragment().is_none());
        if policy == AddressPolicy::PublicOnly {
            match url.host() {
                Some(Host::Ipv4(address)) => {
                    let is_own = address.is_loopback() || address.is_private() || address.is_link_local();
                    assert!(!is_own && !address.is_unspecified() && !address.is_multicast(), "{address}");
                }
                Some(Host::Ipv6(address)) => {
                    assert!(address.to_ipv4().is_none() && address.segments()[0] >> 13 == 1, "{address}");
                }
                Some(Host::Domain(name)) => assert!(name.parse::<std::net::IpAddr>().is_err(), "{name}"),
                None => panic!("it leads nowhere"),
            }
        }
    }
    Corpus::Keep
});
