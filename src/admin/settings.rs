//! How a site's settings are described: the keys of `[[site]]`. What reads and checks them is `config`.

use std::borrow::Cow;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, schema::Schema},
};

use super::shapes;

/// A site's settings: the keys of `[[site]]` in the configuration file.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only described")]
pub(super) struct SiteSettings {
    /// Its name.
    #[schema(value_type = shapes::Id)]
    id: String,
    /// Who pays.
    #[schema(value_type = shapes::Id)]
    account: String,
    /// Host names that visitors use, in lower case and without port: exact, `*.shop.example` for all below it, or `*` for all
    /// that no other site has. A name belongs to one site only.
    #[schema(value_type = Vec<shapes::HostPattern>, min_items = 1)]
    hosts: Vec<String>,
    /// Where originals live; a request's path is appended. Neither user nor query nor fragment.
    #[schema(value_type = shapes::Origin)]
    origin: String,
    /// How usage becomes credits: `variants`, by image size and format every 30 days; `egress`, by bytes sent.
    #[schema(value_type = shapes::TariffName, required = false)]
    tariff: String,
    /// With the tariff `egress` only: how many bytes a credit is; 5,000,000 if left out.
    #[schema(minimum = 1, maximum = 9007199254740991i64)]
    bytes_per_credit: Option<u64>,
    /// What is served when the credits are gone: `live`, originals; `local`, what is optimized already.
    #[schema(value_type = shapes::EssentialName, required = false)]
    essential: String,
    /// How originals are served then: `stream`, through the edge; `redirect`, by sending visitors to the origin.
    #[schema(value_type = shapes::EssentialDeliveryName, required = false)]
    essential_delivery: String,
    /// What the first view of an image gets: the variant if it is ready within this time, else the original; `original`:
    /// never wait; `always`: wait as long as it takes.
    #[schema(required = false, pattern = "^(original|always|[0-9]{1,6}(ms|s|m|h|d))$", default = "300ms")]
    first_view: String,
    /// Further hosts that URLs in requests, and redirects, may name.
    #[schema(value_type = Vec<shapes::SourceHost>, required = false)]
    sources: Vec<String>,
    /// Whether origins on private and loopback addresses may be asked.
    #[schema(required = false, default = false)]
    allow_private_origin: bool,
    /// How long originals are fresh where the origin does not say.
    #[schema(required = false, pattern = "^[0-9]{1,6}(ms|s|m|h|d)$", default = "1h")]
    default_ttl: String,
    /// The shortest that anything is fresh, whatever lifetime the origin gives; where the origin wants every use validated, it
    /// is.
    #[schema(required = false, pattern = "^[0-9]{1,6}(ms|s|m|h|d)$", default = "0s")]
    min_ttl: String,
    /// The longest that anything is fresh, whoever says so; not less than `min_ttl`.
    #[schema(required = false, pattern = "^[0-9]{1,6}(ms|s|m|h|d)$", default = "365d")]
    max_ttl: String,
    /// Where the origin gives the time of the last change and no lifetime: the part of the time since then that something is
    /// fresh for; 0: the default lifetime.
    #[schema(required = false, minimum = 0, maximum = 100, default = 0)]
    heuristic_percent: u8,
    /// For how long something stale stands in for an origin that fails, where it gives no time for that.
    #[schema(required = false, pattern = "^[0-9]{1,6}(ms|s|m|h|d)$", default = "30d")]
    stale_if_error: String,
    /// What is done with what is no image: `cache`, it is kept as the origin allows; `forward`, each request goes to the
    /// origin.
    #[schema(value_type = shapes::PassthroughName, required = false)]
    passthrough: String,
    /// How long what is no image is fresh where the origin does not say.
    #[schema(required = false, pattern = "^[0-9]{1,6}(ms|s|m|h|d)$", default = "0s")]
    passthrough_ttl: String,
    /// The max-age of an original that stands in for a variant that is not ready.
    #[schema(required = false, pattern = "^[0-9]{1,6}(ms|s|m|h|d)$", default = "10s")]
    fallback_ttl: String,
    /// Quality where a request names none: `auto`, or 1-100, which encoders are set to; the configuration's if left out.
    #[schema(value_type = Option<shapes::Quality>)]
    quality: Option<String>,
    /// What `auto` aims at, a score of SSIMULACRA2; the configuration's if left out.
    #[schema(minimum = 30, maximum = 95)]
    quality_target: Option<u8>,
    /// What it aims at for clients that ask to save data, if that is less; the configuration's if left out.
    #[schema(minimum = 30, maximum = 95)]
    save_data_target: Option<u8>,
    /// What becomes of visitors who come in the clear: `optional`, they are served; `redirect`, they are sent to https.
    #[schema(value_type = shapes::HttpsUseName, required = false)]
    https: String,
    /// For how long browsers are told to come by https only (`Strict-Transport-Security`); nothing is told if left out.
    #[schema(pattern = "^[0-9]{1,6}(ms|s|m|h|d)$")]
    hsts: Option<String>,
    /// Whether that holds for all names below the site's own too; only with `hsts`.
    #[schema(required = false, default = false)]
    hsts_include_subdomains: bool,
}

/// The settings of a site that is there: its name stands in the path and may be left out.
pub(super) enum ChangedSettings {}

impl PartialSchema for ChangedSettings {
    fn schema() -> RefOr<Schema> {
        let mut schema = SiteSettings::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.required.retain(|field| field != "id");
        }
        schema
    }
}

impl ToSchema for ChangedSettings {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("ChangedSettings")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        SiteSettings::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SiteConfig;

    #[test]
    fn the_description_names_the_keys_that_the_configuration_reads() {
        let text = "id = 'shop'\nhosts = ['a.example']\norigin = 'https://a.example'";
        let config: SiteConfig = toml::from_str(text).unwrap();
        let read = serde_json::to_value(&config).unwrap();
        let described = serde_json::to_value(SiteSettings::schema()).unwrap();
        let names = |value: &serde_json::Value| {
            let mut names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
            names.sort();
            names
        };
        assert_eq!(names(&described["properties"]), names(&read));
        assert_eq!(described["additionalProperties"], false);
        assert_eq!(described["required"], serde_json::json!(["id", "account", "hosts", "origin"]));
        for (key, default) in [
            ("first_view", "300ms"),
            ("default_ttl", "1h"),
            ("min_ttl", "0s"),
            ("max_ttl", "365d"),
            ("stale_if_error", "30d"),
            ("passthrough_ttl", "0s"),
            ("fallback_ttl", "10s"),
        ] {
            assert_eq!(described["properties"][key]["default"], default);
            assert_eq!(read[key], default);
        }
    }
}
