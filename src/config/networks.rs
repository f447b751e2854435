//! Networks of addresses as they are written in the configuration: `["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"]`.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, de};

/// Some networks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Networks(pub Vec<IpNet>);

impl Networks {
    /// Whether an address is in one of them. An IPv4 address is the same however it is written.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| parse(text)).collect::<Option<_>>().map(Self).ok_or_else(|| {
            de::Error::custom(format_args!(
                "invalid network in {texts:?}: expected addresses and networks such as \"192.0.2.1\" or \"10.0.0.0/8\""
            ))
        })
    }
}

fn parse(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_the_networks_that_hold_it() {
        let networks = Networks(["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"].map(|text| parse(text).unwrap()).to_vec());
        for (address, held) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("11.0.0.1", false),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(networks.contain(address.parse().unwrap()), held, "{address}");
        }
        assert!(!Networks::default().contain([127, 0, 0, 1].into()));
    }
}
