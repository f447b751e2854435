//! Reads the configuration: file, then environment, then the checks that a type cannot express. Each error names the
//! file, the key and what is allowed.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use url::{Host, Url};

use super::{
    schema::{Admin, Config, MIN_CACHE_BYTES, MIN_MEMORY_BUDGET},
    site::{Refusal, Taken, check_site, check_target, refuse},
    tls::check_listeners,
};
use crate::billing::AccountId;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("{}: cannot be read: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}: not valid TOML: line {line}, column {column}: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1 on. It is not shown: there may be a secret in it.
        line: usize,
        /// The character in it, from 1 on.
        column: usize,
        /// What was expected there.
        problem: String,
    },
    /// A key is unknown, or its value is not allowed.
    #[error("{source_name}: {key}: {problem}")]
    Key {
        /// The file, or `environment`.
        source_name: String,
        /// The key's full path, such as `cache.memory_bytes`.
        key: String,
        /// What is wrong, and what is allowed.
        problem: String,
    },
}

const ENVIRONMENT_PREFIX: &str = "LIGHTMETER__";

/// Keys whose values are text even where they look like a number: a token of digits, say.
const TEXT_KEYS: [&str; 12] = [
    "token",
    "token_file",
    "data_dir",
    "file",
    "name",
    "level",
    "min_version",
    "storage",
    "ca_root",
    "eab_key_id",
    "eab_hmac_key",
    "eab_hmac_key_file",
];

/// Reads `path`, lets the environment (`LIGHTMETER__EDGE__HTTP=…`) override its keys, and validates the result.
///
/// # Errors
/// [`ConfigError`], naming file, key and remedy.
pub fn from_file(path: &Path, environment: impl IntoIterator<Item = (String, String)>) -> Result<Config, ConfigError> {
    let text = fs::read_to_string(path).map_err(|cause| ConfigError::Unreadable { path: path.to_owned(), cause })?;
    let table = text.parse::<toml::Table>().map_err(|error| syntax_error(path, &text, &error))?;
    from_table(table, &path.display().to_string(), environment)
}

fn syntax_error(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let (line, column) =
        (before.matches('\n').count() + 1, before.chars().rev().take_while(|c| *c != '\n').count() + 1);
    ConfigError::Syntax { path: path.to_owned(), line, column, problem: error.message().trim().to_owned() }
}

/// The configuration of `serve --origin URL`: defaults, the environment, and one site for every host. An origin that is
/// named by a private or loopback address is allowed: the operator typed it.
///
/// # Errors
/// [`ConfigError`] if the URL cannot be an origin or the environment holds a bad value.
pub fn from_origin(
    origin: &Url,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let mut config = from_table(toml::Table::new(), "command line", environment)?;
    let mut site = toml::Table::new();
    site.insert("id".to_owned(), "default".into());
    site.insert("hosts".to_owned(), vec!["*"].into());
    site.insert("origin".to_owned(), origin.as_str().into());
    site.insert("allow_private_origin".to_owned(), is_local(origin).into());
    config.sites = vec![read(toml::Value::Table(site), "command line", "origin")?];
    validate(&config).map_err(|refusal| key_error("command line", &refusal.key, refusal.problem))?;
    Ok(config)
}

fn is_local(origin: &Url) -> bool {
    match origin.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_private(),
        Some(Host::Ipv6(address)) => address.is_loopback() || address.is_unique_local(),
        None => false,
    }
}

fn from_table(
    mut table: toml::Table,
    source_name: &str,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    for (name, value) in environment {
        if let Some(path) = name.strip_prefix(ENVIRONMENT_PREFIX) {
            override_key(&mut table, &name, path, &value)?;
        }
    }
    let mut config: Config = read(toml::Value::Table(table), source_name, "")?;
    read_signing_keys(&mut config).map_err(|refusal| key_error(source_name, &refusal.key, refusal.problem))?;
    validate(&config).map_err(|refusal| key_error(source_name, &refusal.key, refusal.problem))?;
    Ok(config)
}

fn read<'de, T: Deserialize<'de>>(value: toml::Value, source_name: &str, root: &str) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let key = if path == "." { root.to_owned() } else { path };
        key_error(source_name, &key, error.into_inner().to_string().trim().to_owned())
    })
}

fn key_error(source_name: &str, key: &str, problem: String) -> ConfigError {
    let key = if key.is_empty() { "top level" } else { key };
    ConfigError::Key { source_name: source_name.to_owned(), key: key.to_owned(), problem }
}

/// Puts an environment variable's value at its place: `EDGE__HTTP` is `edge.http`. A value that reads as a TOML value
/// (number, boolean, list) is one; anything else is text.
fn override_key(table: &mut toml::Table, name: &str, path: &str, value: &str) -> Result<(), ConfigError> {
    let keys: Vec<String> = path.split("__").map(str::to_ascii_lowercase).collect();
    let Some((last, parents)) = keys.split_last() else { return Ok(()) };
    let mut place = table;
    for parent in parents {
        let entry = place.entry(parent.clone()).or_insert_with(|| toml::Table::new().into());
        let toml::Value::Table(next) = entry else {
            let problem = format!("`{parent}` is not a table, so the environment cannot set a key inside it");
            return Err(key_error("environment", name, problem));
        };
        place = next;
    }
    let parsed = if TEXT_KEYS.contains(&last.as_str()) {
        None
    } else {
        format!("value = {value}").parse::<toml::Table>().ok().and_then(|mut parsed| parsed.remove("value"))
    };
    place.insert(last.clone(), parsed.unwrap_or_else(|| value.into()));
    Ok(())
}

/// Reads the secrets that stand in files of their own.
fn read_signing_keys(config: &mut Config) -> Result<(), Refusal> {
    for (position, site) in config.sites.iter_mut().enumerate() {
        for (number, key) in site.signing_keys.iter_mut().enumerate() {
            let at = |refusal: Refusal| {
                let key = format!("site[{position}].signing_keys[{number}].{}", refusal.key);
                Refusal { key, ..refusal }
            };
            key.read_file().map_err(at)?;
        }
    }
    Ok(())
}

fn validate(config: &Config) -> Result<(), Refusal> {
    validate_limits(config)?;
    let accounts = validate_accounts(config)?;
    let mut taken = Taken::default();
    for (position, site) in config.sites.iter().enumerate() {
        let at = |refusal: Refusal| Refusal { key: format!("site[{position}].{}", refusal.key), ..refusal };
        check_site(site, &taken).map_err(at)?;
        if let Some(account) = &site.account
            && !accounts.contains(account.as_str())
        {
            return refuse("account", format!("there is no [[account]] with id = {account:?}")).map_err(at);
        }
        taken.take(site);
    }
    Ok(())
}

/// The accounts' ids.
fn validate_accounts(config: &Config) -> Result<HashSet<&str>, Refusal> {
    let catalogue = match config.plans.catalogue() {
        Ok(catalogue) => catalogue,
        Err(error) => return refuse("plans.file", error.to_string()),
    };
    let mut accounts = HashSet::new();
    for (position, account) in config.accounts.iter().enumerate() {
        let key = |name: &str| format!("account[{position}].{name}");
        if let Err(bad) = account.id.parse::<AccountId>() {
            return refuse(key("id"), bad.to_string());
        }
        if !accounts.insert(account.id.as_str()) {
            return refuse(key("id"), format!("{:?} stands twice: ids must differ", account.id));
        }
        if catalogue.plan(&account.plan).is_none() {
            let plans: Vec<_> = catalogue.plans.iter().map(|plan| plan.id.as_str()).collect();
            let problem = format!("there is no plan {:?}: expected one of {}", account.plan, plans.join(", "));
            return refuse(key("plan"), problem);
        }
    }
    Ok(accounts)
}

fn validate_limits(config: &Config) -> Result<(), Refusal> {
    check_listeners(&config.edge)?;
    if !is_token(&config.edge.name) {
        return refuse("edge.name", "must be a token: letters, digits and -._ only");
    }
    let edge = &config.edge;
    if edge.max_connections == 0 || edge.max_connections_per_address == 0 || config.origin.max_requests == 0 {
        let keys = "edge.max_connections, edge.max_connections_per_address, origin.max_requests";
        return refuse(keys, "must be at least 1");
    }
    for (key, timeout) in [
        ("header_timeout", edge.header_timeout),
        ("body_timeout", edge.body_timeout),
        ("write_timeout", edge.write_timeout),
        ("request_timeout", edge.request_timeout),
    ] {
        if timeout.0.is_zero() {
            return refuse(format!("edge.{key}"), "must be longer than 0, such as \"30s\"");
        }
    }
    if edge.proxy_protocol && edge.trusted_proxies.0.is_empty() {
        return refuse("edge.proxy_protocol", "needs edge.trusted_proxies: only their headers are believed");
    }
    if config.images.memory_budget.0 < MIN_MEMORY_BUDGET {
        return refuse("images.memory_budget", "must be at least \"32MiB\"");
    }
    if config.cache.max_purges == 0 {
        return refuse("cache.max_purges", "must be at least 1");
    }
    if config.cache.memory_bytes.0 < MIN_CACHE_BYTES || config.cache.disk_bytes.0 < MIN_CACHE_BYTES {
        return refuse("cache.memory_bytes, cache.disk_bytes", "must be at least \"64KiB\"");
    }
    check_target("images.quality_target", config.images.quality_target)?;
    check_target("images.save_data_target", config.images.save_data_target)?;
    if config.admin.token.is_some() && config.admin.token_file.is_some() {
        return refuse("admin.token_file", "give either token or token_file, not both");
    }
    validate_exposed_admin(&config.admin)
}

/// Who can reach the operator's side must not get in by guessing. A token in a file is looked at when it is read.
fn validate_exposed_admin(admin: &Admin) -> Result<(), Refusal> {
    let least = Admin::MIN_EXPOSED_TOKEN_BYTES;
    let is_long_enough = match (&admin.token, &admin.token_file) {
        (Some(token), _) => token.trim().len() >= least,
        (None, file) => file.is_some(),
    };
    if !admin.is_exposed() || is_long_enough {
        return Ok(());
    }
    let problem = format!(
        "{} can be reached by others than this machine: set admin.token or admin.token_file to {least} characters or more, \
         such as `openssl rand -hex 32` gives, or listen on 127.0.0.1",
        admin.listen
    );
    refuse("admin.listen", problem)
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FirstView, Tariff};

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let table = text.parse::<toml::Table>().unwrap();
        from_table(table, "lightmeter.toml", environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    /// That a file is refused with a message that names the place and the remedy.
    fn assert_refused(text: &str, place: &str, remedy: &str) {
        let message = load(text, &[]).unwrap_err().to_string();
        assert!(message.contains(place) && message.contains(remedy), "{text:?} gave {message:?}");
    }

    const SITE: &str = "[[site]]\nid = 'shop'\nhosts = ['img.shop.example']\norigin = 'https://shop.example'\n";

    #[test]
    fn a_small_file_gets_defaults_for_the_rest() {
        let config = load(SITE, &[]).unwrap();
        assert_eq!(config.sites[0].first_view, FirstView::default());
        assert_eq!(config.sites[0].tariff, Tariff::Variants);
        assert_eq!(config.cache.memory_bytes.0, 512 << 20);
    }

    #[test]
    fn the_documented_file_is_valid_and_names_every_key() {
        let documented = include_str!("../../config/lightmeter.toml");
        let config = load(documented, &[]).unwrap();
        assert_eq!(config.sites.len(), 1);
        let effective = toml::Table::try_from(&config).unwrap();
        for (section, keys) in &effective {
            let keys = match keys {
                toml::Value::Table(keys) => keys.keys().cloned().collect(),
                toml::Value::Array(entries) => entries[0].as_table().unwrap().keys().cloned().collect(),
                _ => vec![section.clone()],
            };
            for key in keys {
                assert!(documented.contains(&key), "{section}.{key} is not documented");
            }
        }
    }

    #[test]
    fn an_admin_listener_that_others_can_reach_needs_a_token_that_cannot_be_guessed() {
        let long = "0123456789abcdef0123456789abcdef";
        let at = |listen: &str, more: &str| load(&format!("{SITE}[admin]\nlisten = '{listen}'\n{more}"), &[]);
        let short = format!("token = '{}'", &long[1..]);
        for listen in ["0.0.0.0:9180", "[::]:9180", "10.0.0.1:9180", "203.0.113.7:9180", "[fe80::1]:9180"] {
            for token in ["", &short, &format!("token = '{}        '", &long[8..])] {
                let refused = at(listen, token).unwrap_err().to_string();
                assert!(refused.contains("admin.listen") && refused.contains("admin.token_file"), "{refused}");
                assert!(!refused.contains(&long[8..]), "it shows the token: {refused}");
            }
            assert!(at(listen, &format!("token = '{long}'")).is_ok(), "{listen}");
            // What is in the file is looked at when it is read.
            assert!(at(listen, "token_file = '/etc/lightmeter/token'").is_ok(), "{listen}");
        }
        for own in ["127.0.0.1:9180", "127.8.8.8:1", "[::1]:9180", "[::ffff:127.0.0.1]:9180"] {
            assert!(at(own, "").is_ok() && at(own, &short).is_ok(), "{own}");
        }
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let environment = [
            ("LIGHTMETER__EDGE__HTTP", "127.0.0.1:9999"),
            ("LIGHTMETER__CACHE__MEMORY_BYTES", "1MiB"),
            ("LIGHTMETER__IMAGES__AVIF__ENCODER", "ravif"),
            ("LIGHTMETER__ORIGIN__MAX_REDIRECTS", "2"),
            ("LIGHTMETER__ADMIN__TOKEN", "123456"),
            ("UNRELATED", "x"),
        ];
        let config = load(&format!("[cache]\nmemory_bytes = '2MiB'\n{SITE}"), &environment).unwrap();
        assert_eq!(config.edge.http[0].port(), 9999);
        assert_eq!(config.cache.memory_bytes.0, 1 << 20);
        assert_eq!(config.origin.max_redirects, 2);
        assert_eq!(config.admin.token.as_deref(), Some("123456"));
    }

    #[test]
    fn an_error_names_file_key_and_remedy() {
        let table = [
            ("[cache]\nmemory_bytes = 'lots'", "lightmeter.toml: cache.memory_bytes: ", "512MiB"),
            ("[cache]\nmemroy_bytes = 1", "lightmeter.toml: cache.memroy_bytes: ", "memory_bytes"),
            ("[edge]\nhttp = 'nowhere'", "lightmeter.toml: edge.http: ", "127.0.0.1:8080"),
            ("[edge]\nheader_timeout = 5", "lightmeter.toml: edge.header_timeout: ", "300ms"),
            ("nonsense = 1", "lightmeter.toml: nonsense: ", "expected one of"),
            ("[[site]]\nid='a'\nhosts=[]\norigin='https://a.example'", "site[0].hosts: ", "needs at least one"),
            ("[[site]]\nid='a'\nhosts=['A.example']\norigin='https://a.example'", "site[0].hosts: ", "lower-case"),
            ("[[site]]\nid='a'\nhosts=['a.example']\norigin='ftp://a.example'", "site[0].origin: ", "http or https"),
            (
                "[[site]]\nid='a'\nhosts=['a.example']\norigin='https://a.example'\nfirst_view='soon'",
                "site[0].first_view: ",
                "\"always\"",
            ),
            (
                "[[site]]\nid='a'\naccount='x'\nhosts=['a.example']\norigin='https://a.example'",
                "site[0].account: ",
                "[[account]]",
            ),
            (
                "[[site]]\nid='a b'\nhosts=['a.example']\norigin='https://a.example'",
                "site[0].id: ",
                "letters, digits and -._",
            ),
            (
                "[[site]]\nid='a'\nhosts=['a.example']\norigin='https://a.example'\nessential_delivery='never'",
                "site[0].essential_delivery: ",
                "redirect",
            ),
            ("[[account]]\nid='a/b'", "account[0].id: ", "letters, digits and -._"),
            ("[[account]]\nid='a'\n[[account]]\nid='a'", "account[1].id: ", "ids must differ"),
            ("[[account]]\nid='a'\nplan='gold'", "account[0].plan: ", "free, starter"),
            ("[plans]\nfile='/nowhere/plans.toml'", "plans.file: /nowhere/plans.toml: ", "cannot be read"),
            ("[edge]\nproxy_protocol = true", "edge.proxy_protocol: ", "trusted_proxies"),
            ("[edge]\ntrusted_proxies = ['10.0.0.0/33']", "lightmeter.toml: edge.trusted_proxies", "10.0.0.0/8"),
            ("[edge]\nbody_timeout = '0s'", "edge.body_timeout: ", "30s"),
            ("[images]\nmemory_budget='1MiB'", "images.memory_budget: ", "32MiB"),
            ("[images.avif]\nencoder='svt'", "images.avif.encoder: ", "libaom"),
        ];
        for (text, place, remedy) in table {
            assert_refused(text, place, remedy);
        }
    }

    #[test]
    fn a_syntax_error_tells_its_place_and_not_what_stands_there() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, "[admin]\ntoken = 'not-to-be-seen\n").unwrap();
        let error = from_file(file.path(), []).unwrap_err().to_string();
        assert!(error.contains("not valid TOML: line 2, column ") && !error.contains("not-to-be-seen"), "{error}");
    }

    #[test]
    fn signing_keys_and_presets_are_named_where_they_are_wrong() {
        let short = "[[site.signing_keys]]\nid='a'\nsecret='abc'";
        let table = [
            (short, "site[0].signing_keys[0].secret: ", "openssl rand -hex 32"),
            (
                "[[site.signing_keys]]\nid='a'\nsecret_file='/nowhere/key'",
                "site[0].signing_keys[0].secret_file: ",
                "/nowhere/key",
            ),
            ("signing='options'", "site[0].signing: ", "signing_keys"),
            ("signing='some'", "site[0].signing: ", "options"),
            ("[site.presets]\nhero='w=0'", "site[0].presets: hero: ", "1 to 65535"),
            ("presets_only='yes'", "site[0].presets_only: ", "boolean"),
        ];
        for (text, place, remedy) in table {
            assert_refused(&format!("{SITE}{text}"), place, remedy);
        }
    }

    #[test]
    fn two_sites_cannot_share_a_host() {
        let error = load(&format!("{SITE}{}", SITE.replace("'shop'", "'other'")), &[]).unwrap_err();
        assert!(error.to_string().contains("belongs to another site"), "{error}");
    }

    #[test]
    fn an_origin_on_the_command_line_may_be_private_only_where_it_says_so() {
        let local = from_origin(&"http://127.0.0.1:9000".parse().unwrap(), []).unwrap();
        assert!(local.sites[0].allow_private_origin);
        let public = from_origin(&"https://shop.example".parse().unwrap(), []).unwrap();
        assert!(!public.sites[0].allow_private_origin);
    }
}
