//! Which addresses may be connected to, so that nobody makes the edge ask what only its own network can see. What is not
//! known to be public is not: the lists are the special-purpose registries of IANA (RFC 6890), and for IPv6 all beyond what
//! is allocated for unicast.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// What a site's origins may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressPolicy {
    /// On public addresses.
    PublicOnly,
    /// On loopback, private and link-local addresses too, but for those where clouds hand out a machine's secrets.
    PrivateAllowed,
}

/// An address that may not be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedAddress {
    /// The name that led to it.
    name: Option<String>,
    address: IpAddr,
    range: Range,
}

impl RefusedAddress {
    /// One that is public or not, but the edge's own on the port that was to be connected to.
    #[must_use]
    pub const fn own_listener(address: IpAddr) -> Self {
        Self { name: None, address, range: OWN_LISTENER }
    }

    /// The same, met under `name`.
    #[must_use]
    pub fn under_name(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }
}

impl fmt::Display for RefusedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} resolves to {}, which is {}", self.address, self.range.what)?,
            None => write!(f, "{} is {}", self.address, self.range.what)?,
        }
        match self.range.reach {
            Reach::Private => write!(f, ": set allow_private_origin = true if the site's origin is meant to be there"),
            Reach::Never => write!(f, ": never connected to"),
        }
    }
}

impl std::error::Error for RefusedAddress {}

/// Passes an address that may be connected to under `policy`.
///
/// # Errors
/// [`RefusedAddress`]
pub fn vet_address(address: IpAddr, policy: AddressPolicy) -> Result<(), RefusedAddress> {
    let range = match address {
        IpAddr::V4(address) => range_of_v4(address),
        IpAddr::V6(address) => range_of_v6(address),
    };
    match (range, policy) {
        (None, _) | (Some(Range { reach: Reach::Private, .. }), AddressPolicy::PrivateAllowed) => Ok(()),
        (Some(range), _) => Err(RefusedAddress { name: None, address, range }),
    }
}

/// Addresses that are not for everyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    reach: Reach,
    what: &'static str,
}

/// Who may connect to a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Sites that say so.
    Private,
    /// Nobody.
    Never,
}

const METADATA: Range = never("where clouds hand out a machine's secrets");
/// It would reach what the list for IPv4 refuses.
const EMBEDS_V4: Range = never("an IPv4 address in the guise of IPv6");
const DOCUMENTATION: Range = never("reserved for documentation");
const LINK_LOCAL: Range = private("a link-local address");
const LOOPBACK: Range = private("this machine itself");
const MULTICAST: Range = never("a multicast address");
const OWN_LISTENER: Range = never("where this edge itself listens on that port");
const NO_HOST: Range = never("no address of a host");
const PROTOCOLS: Range = never("set aside for protocols");
const RESERVED: Range = never("reserved");

const fn never(what: &'static str) -> Range {
    Range { reach: Reach::Never, what }
}

const fn private(what: &'static str) -> Range {
    Range { reach: Reach::Private, what }
}

/// By first address and prefix length; the first that fits counts.
const V4_RANGES: &[(Ipv4Addr, u32, Range)] = &[
    // AWS and most others, AWS ECS, AWS EKS, Alibaba, Azure.
    (Ipv4Addr::new(169, 254, 169, 254), 32, METADATA),
    (Ipv4Addr::new(169, 254, 170, 2), 32, METADATA),
    (Ipv4Addr::new(169, 254, 170, 23), 32, METADATA),
    (Ipv4Addr::new(100, 100, 100, 200), 32, METADATA),
    (Ipv4Addr::new(168, 63, 129, 16), 32, METADATA),
    (Ipv4Addr::UNSPECIFIED, 8, NO_HOST),
    (Ipv4Addr::new(10, 0, 0, 0), 8, private("a private address")),
    (Ipv4Addr::new(100, 64, 0, 0), 10, private("an address behind a carrier's NAT")),
    (Ipv4Addr::new(127, 0, 0, 0), 8, LOOPBACK),
    (Ipv4Addr::new(169, 254, 0, 0), 16, LINK_LOCAL),
    (Ipv4Addr::new(172, 16, 0, 0), 12, private("a private address")),
    (Ipv4Addr::new(192, 0, 0, 0), 24, PROTOCOLS),
    (Ipv4Addr::new(192, 0, 2, 0), 24, DOCUMENTATION),
    (Ipv4Addr::new(192, 88, 99, 0), 24, PROTOCOLS),
    (Ipv4Addr::new(192, 168, 0, 0), 16, private("a private address")),
    (Ipv4Addr::new(198, 18, 0, 0), 15, never("reserved for benchmarks")),
    (Ipv4Addr::new(198, 51, 100, 0), 24, DOCUMENTATION),
    (Ipv4Addr::new(203, 0, 113, 0), 24, DOCUMENTATION),
    (Ipv4Addr::new(224, 0, 0, 0), 4, MULTICAST),
    (Ipv4Addr::BROADCAST, 32, never("the broadcast address")),
    (Ipv4Addr::new(240, 0, 0, 0), 4, RESERVED),
];

/// Likewise.
const V6_RANGES: &[(Ipv6Addr, u32, Range)] = &[
    // AWS, AWS EKS, Google.
    (v6(0xfd00, 0xec2, 0, 0x254), 128, METADATA),
    (v6(0xfd00, 0xec2, 0, 0x23), 128, METADATA),
    (v6(0xfd20, 0xce, 0, 0x254), 128, METADATA),
    (Ipv6Addr::UNSPECIFIED, 128, NO_HOST),
    (Ipv6Addr::LOCALHOST, 128, LOOPBACK),
    // IPv4-compatible, IPv4-mapped, NAT64 and its local form.
    (Ipv6Addr::UNSPECIFIED, 96, EMBEDS_V4),
    (Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(), 96, EMBEDS_V4),
    (v6(0x64, 0xff9b, 0, 0), 96, EMBEDS_V4),
    (v6(0x64, 0xff9b, 1, 0), 48, EMBEDS_V4),
    (v6(0x100, 0, 0, 0), 64, never("where packets are discarded")),
    // Teredo, then the rest that is set aside for protocols.
    (v6(0x2001, 0, 0, 0), 32, EMBEDS_V4),
    (v6(0x2001, 0, 0, 0), 23, PROTOCOLS),
    (v6(0x2001, 0xdb8, 0, 0), 32, DOCUMENTATION),
    // 6to4.
    (v6(0x2002, 0, 0, 0), 16, EMBEDS_V4),
    (v6(0x3fff, 0, 0, 0), 20, DOCUMENTATION),
    (v6(0xfc00, 0, 0, 0), 7, private("a private address")),
    (v6(0xfe80, 0, 0, 0), 10, LINK_LOCAL),
    (v6(0xfec0, 0, 0, 0), 10, never("a site-local address, which are abolished")),
    (v6(0xff00, 0, 0, 0), 8, MULTICAST),
];

/// What IPv6 allocates for unicast to everyone (RFC 4291, 2.4).
const V6_GLOBAL: (Ipv6Addr, u32) = (v6(0x2000, 0, 0, 0), 3);

/// An address of its first three groups and its last.
const fn v6(first: u16, second: u16, third: u16, last: u16) -> Ipv6Addr {
    Ipv6Addr::new(first, second, third, 0, 0, 0, 0, last)
}

fn range_of_v4(address: Ipv4Addr) -> Option<Range> {
    let within = |network: Ipv4Addr, prefix| (u32::from(address) ^ u32::from(network)).leading_zeros() >= prefix;
    V4_RANGES.iter().find(|(network, prefix, _)| within(*network, *prefix)).map(|(_, _, range)| *range)
}

fn range_of_v6(address: Ipv6Addr) -> Option<Range> {
    // ISATAP (RFC 5214, 6.1) marks its addresses behind the prefix, whatever that is.
    if let [_, _, _, _, 0 | 0x200, 0x5efe, _, _] = address.segments() {
        return Some(EMBEDS_V4);
    }
    let within = |network: Ipv6Addr, prefix| (u128::from(address) ^ u128::from(network)).leading_zeros() >= prefix;
    let special = V6_RANGES.iter().find(|(network, prefix, _)| within(*network, *prefix)).map(|(_, _, range)| *range);
    special.or_else(|| (!within(V6_GLOBAL.0, V6_GLOBAL.1)).then_some(RESERVED))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn vet(address: &str, policy: AddressPolicy) -> Result<(), RefusedAddress> {
        vet_address(address.parse().unwrap(), policy)
    }

    /// The first and the last address of ranges that sites may open to themselves.
    const PRIVATE: &str = "10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255 127.0.0.0 127.255.255.255 169.254.0.0 \
        169.254.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255 ::1 fc00:: \
        fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff fe80:: febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff";

    /// What ranges that nobody reaches are said to be, and the first and the last address of each.
    const NEVER: &[(&str, &str)] = &[
        ("where clouds hand out a machine's secrets", "169.254.169.254 169.254.170.2 169.254.170.23 100.100.100.200"),
        ("where clouds hand out a machine's secrets", "168.63.129.16 fd00:ec2::254 fd00:ec2::23 fd20:ce::254"),
        ("no address of a host", "0.0.0.0 0.0.0.1 0.255.255.255 ::"),
        (
            "set aside for protocols",
            "192.0.0.0 192.0.0.255 192.88.99.0 192.88.99.255 2001:1:: 2001:2::1 2001:1ff:ffff::",
        ),
        ("reserved for documentation", "192.0.2.0 192.0.2.255 198.51.100.0 198.51.100.255 203.0.113.0 203.0.113.255"),
        ("reserved for documentation", "2001:db8:: 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff 3fff:: 3fff:fff:ffff::"),
        ("reserved for benchmarks", "198.18.0.0 198.19.255.255"),
        ("a multicast address", "224.0.0.0 239.255.255.255 ff00:: ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("the broadcast address", "255.255.255.255"),
        ("reserved", "240.0.0.0 255.255.255.254 1fff::1 4000::1 5f00::1 fe00::1"),
        ("where packets are discarded", "100:: 100::ffff:ffff:ffff:ffff"),
        ("a site-local address", "fec0:: feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        // IPv4-mapped, IPv4-compatible, NAT64, 6to4, Teredo, ISATAP.
        ("in the guise of IPv6", "::ffff:0.0.0.0 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:255.255.255.255"),
        ("in the guise of IPv6", "::2 ::127.0.0.1 ::8.8.8.8 ::255.255.255.255"),
        ("in the guise of IPv6", "64:ff9b::127.0.0.1 64:ff9b::8.8.8.8 64:ff9b:1:: 64:ff9b:1:ffff:ffff:ffff:ffff:ffff"),
        ("in the guise of IPv6", "2002:: 2002:7f00:1::1 2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("in the guise of IPv6", "2001:: 2001:0:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("in the guise of IPv6", "2a00:1::5efe:10.0.0.1 2a00:1::200:5efe:8.8.8.8 fe80::5efe:192.168.0.1"),
    ];

    /// Around the ranges.
    const PUBLIC: &str = "1.0.0.0 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 \
        168.63.129.15 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.0.3.0 192.88.98.255 192.88.100.0 \
        192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 198.51.99.255 198.51.101.0 203.0.112.255 203.0.114.0 \
        223.255.255.255 2001:200:: 2001:db7:ffff:: 2001:db9:: 2003::1 2606:4700::1111 2a00:1450:4001:81b::200e 3ffe::1 \
        3fff:1000::";

    #[test]
    fn public_addresses_pass_whatever_the_policy() {
        for address in PUBLIC.split_whitespace() {
            assert_eq!(vet(address, AddressPolicy::PublicOnly), Ok(()));
            assert_eq!(vet(address, AddressPolicy::PrivateAllowed), Ok(()));
        }
    }

    #[test]
    fn private_addresses_pass_only_where_the_site_says_so() {
        for address in PRIVATE.split_whitespace() {
            assert!(vet(address, AddressPolicy::PublicOnly).is_err(), "{address}");
            assert_eq!(vet(address, AddressPolicy::PrivateAllowed), Ok(()));
        }
    }

    #[test]
    fn nothing_opens_the_rest() {
        for (what, addresses) in NEVER {
            for address in addresses.split_whitespace() {
                for policy in [AddressPolicy::PublicOnly, AddressPolicy::PrivateAllowed] {
                    let refused = vet(address, policy).expect_err(address).to_string();
                    assert!(refused.contains(what), "{what}: {refused}");
                }
            }
        }
    }

    #[test]
    fn an_operator_reads_what_was_refused_and_what_can_be_done() {
        let refused = |address| vet(address, AddressPolicy::PublicOnly).unwrap_err();
        assert_eq!(
            refused("10.1.2.3").under_name("shop.example").to_string(),
            "shop.example resolves to 10.1.2.3, which is a private address: \
             set allow_private_origin = true if the site's origin is meant to be there"
        );
        assert_eq!(
            refused("169.254.169.254").to_string(),
            "169.254.169.254 is where clouds hand out a machine's secrets: never connected to"
        );
    }

    proptest! {
        #[test]
        fn no_form_of_an_ipv4_address_gets_round_the_list(bits in any::<u32>(), policy in prop_oneof![
            Just(AddressPolicy::PublicOnly),
            Just(AddressPolicy::PrivateAllowed),
        ]) {
            let (high, low) = ((bits >> 16) as u16, bits as u16);
            for form in [
                Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0x2001, 0, high, low, 0, 0, !high, !low),
                Ipv6Addr::new(0x2a00, 0x1450, 0, 0, 0, 0x5efe, high, low),
            ] {
                prop_assert!(vet_address(form.into(), policy).is_err(), "{}", form);
            }
        }

        #[test]
        fn what_the_standard_library_knows_to_be_special_is_refused(bits in any::<u32>()) {
            let address = Ipv4Addr::from(bits);
            let special = address.is_private() || address.is_loopback() || address.is_link_local() || address.is_multicast()
                || address.is_broadcast() || address.is_documentation() || address.is_unspecified();
            prop_assert!(!special || vet_address(address.into(), AddressPolicy::PublicOnly).is_err());
        }
    }
}
