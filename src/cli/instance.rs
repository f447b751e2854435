//! Which running instance is asked, and with which token. A token is never an argument: everyone on the machine could
//! read it there.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use http::HeaderValue;
use serde::de::DeserializeOwned;
use url::Url;

use super::{
    Environment,
    client::{Answer, Client},
    output,
};
use crate::config::{self, Admin};

const URL: &str = "LIGHTMETER_URL";
const TOKEN: &str = "LIGHTMETER_TOKEN";

/// The options of all subcommands that ask a running instance.
#[derive(Debug, Args)]
#[command(next_help_heading = "Instance and output")]
pub(super) struct Instance {
    /// Where the admin API is [default: LIGHTMETER_URL, else admin.listen of --config, else http://127.0.0.1:9180].
    #[arg(long, value_name = "URL", global = true, value_parser = base_url)]
    url: Option<Url>,
    /// A file that holds the token [default: LIGHTMETER_TOKEN, else admin.token or admin.token_file of --config].
    #[arg(long, value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,
    /// The instance's configuration file, for its address and token.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Print the API's JSON and nothing else.
    #[arg(long, global = true)]
    json: bool,
}

/// That something is wrong with how the program was called.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Misuse(pub(super) String);

impl Instance {
    pub(super) fn client(&self, environment: &Environment) -> anyhow::Result<Client> {
        let (url, token) = self.find(environment)?;
        Client::new(url, token)
    }

    /// An answer, as JSON or for people.
    pub(super) fn show<T: DeserializeOwned>(
        &self,
        answer: &Answer,
        for_people: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<String> {
        if self.json { Ok(output::json(answer.text())) } else { Ok(for_people(&answer.parse()?)) }
    }

    fn find(&self, environment: &Environment) -> anyhow::Result<(Url, HeaderValue)> {
        let admin = match &self.config {
            Some(path) => config::from_file(path, environment.clone())?.admin,
            None => Admin::default(),
        };
        Ok((self.find_url(environment, &admin)?, self.find_token(environment, &admin)?))
    }

    fn find_url(&self, environment: &Environment, admin: &Admin) -> anyhow::Result<Url> {
        if let Some(url) = &self.url {
            return Ok(url.clone());
        }
        if let Some(text) = set(environment, URL) {
            return base_url(text).map_err(|problem| Misuse(format!("{URL}: {problem}")).into());
        }
        let listen = reachable(admin.listen);
        if listen.port() == 0 {
            return Err(Misuse("admin.listen takes any free port: give --url".to_owned()).into());
        }
        Ok(base_url(&format!("http://{listen}")).map_err(Misuse)?)
    }

    fn find_token(&self, environment: &Environment, admin: &Admin) -> anyhow::Result<HeaderValue> {
        if let Some(path) = &self.token_file {
            return read_token(path);
        }
        if let Some(text) = set(environment, TOKEN) {
            return bearer(text, TOKEN);
        }
        if let Some(text) = &admin.token {
            return bearer(text, "admin.token");
        }
        if let Some(path) = &admin.token_file {
            return read_token(path);
        }
        let remedy = format!("give --token-file FILE, the environment's {TOKEN}, or --config FILE that has one");
        Err(Misuse(format!("no token for the admin API: {remedy}")).into())
    }
}

/// A variable of the environment, unless it is empty.
fn set<'e>(environment: &'e Environment, name: &str) -> Option<&'e str> {
    environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

/// A URL that API paths can be put behind.
fn base_url(text: &str) -> Result<Url, String> {
    let expected = "expected an http or https URL without user, query or fragment, such as http://127.0.0.1:9180";
    let url = text.parse::<Url>().map_err(|_| expected)?;
    let is_plain =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    if matches!(url.scheme(), "http" | "https") && url.has_host() && is_plain {
        Ok(url)
    } else {
        Err(expected.to_owned())
    }
}

/// What listens on all addresses is reached on this machine's own.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}

fn read_token(path: &Path) -> anyhow::Result<HeaderValue> {
    let place = path.display().to_string();
    let text = fs::read_to_string(path).with_context(|| format!("{place}: the token cannot be read"))?;
    bearer(&text, &place)
}

/// The header that shows the token, itself not shown. `place` is where it was found: the text is in no message.
fn bearer(token: &str, place: &str) -> anyhow::Result<HeaderValue> {
    let token = token.trim();
    let header = HeaderValue::try_from(format!("Bearer {token}")).ok().filter(|_| !token.is_empty());
    let mut header = header.ok_or_else(|| Misuse(format!("{place}: a token is one line of text")))?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::exit::Exit;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        instance: Instance,
    }

    fn instance(arguments: &[&str]) -> Instance {
        Command::try_parse_from(["lightmeter"].iter().chain(arguments)).unwrap().instance
    }

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// A configuration file, an argument that names it, and what keeps it.
    fn config(admin: &str) -> (tempfile::TempDir, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lightmeter.toml");
        fs::write(&path, format!("[admin]\n{admin}")).unwrap();
        (directory, format!("--config={}", path.display()))
    }

    fn found(arguments: &[&str], variables: &[(&str, &str)]) -> (String, String) {
        let (url, token) = instance(arguments).find(&environment(variables)).unwrap();
        (url.to_string(), token.to_str().unwrap().to_owned())
    }

    const T: (&str, &str) = (TOKEN, "from-environment");

    #[test]
    fn the_url_is_the_argument_or_the_environment_or_the_file_or_the_default() {
        let (_kept, file) = config("listen = '127.0.0.1:9999'");
        let variable = (URL, "http://from-environment:1/");
        assert_eq!(found(&["--url=https://argument/admin", &file], &[variable, T]).0, "https://argument/admin");
        assert_eq!(found(&[&file], &[variable, T]).0, "http://from-environment:1/");
        assert_eq!(found(&[&file], &[T]).0, "http://127.0.0.1:9999/");
        assert_eq!(found(&[&file], &[("LIGHTMETER__ADMIN__LISTEN", "[::1]:9"), T]).0, "http://[::1]:9/");
        assert_eq!(found(&[], &[(URL, ""), T]).0, "http://127.0.0.1:9180/");
    }

    #[test]
    fn the_token_is_the_files_or_the_environments_or_the_configurations() {
        let (kept, file) = config("token = 'from-config'");
        let path = kept.path().join("token");
        fs::write(&path, "from-file\n").unwrap();
        let argument = format!("--token-file={}", path.display());
        assert_eq!(found(&[&argument, &file], &[T]).1, "Bearer from-file");
        assert_eq!(found(&[&file], &[T]).1, "Bearer from-environment");
        assert_eq!(found(&[&file], &[]).1, "Bearer from-config");
        let (_kept, file) = config(&format!("token_file = '{}'", path.display()));
        assert_eq!(found(&[&file], &[]).1, "Bearer from-file");
    }

    #[test]
    fn an_instance_that_listens_everywhere_is_asked_on_this_machine() {
        let long = "token = 'a-token-that-is-long-enough-to-be-public'";
        let (_kept, file) = config(&format!("listen = '0.0.0.0:9181'\n{long}"));
        assert_eq!(found(&[&file], &[T]).0, "http://127.0.0.1:9181/");
        let (_kept, file) = config(&format!("listen = '[::]:9181'\n{long}"));
        assert_eq!(found(&[&file], &[T]).0, "http://[::1]:9181/");
    }

    #[test]
    fn what_cannot_be_asked_is_wrong_usage() {
        let (_kept, file) = config("listen = '127.0.0.1:0'");
        for (arguments, variables) in [
            (vec![], vec![]),
            (vec![file.as_str()], vec![T]),
            (vec![], vec![(URL, "ftp://x"), T]),
            (vec![], vec![(URL, "http://user:secret@x"), T]),
            (vec![], vec![(TOKEN, "two\nwords")]),
        ] {
            let error = instance(&arguments).find(&environment(&variables)).unwrap_err();
            assert_eq!(Exit::of(&error), Exit::Misused, "{error}");
            assert!(!error.to_string().contains("secret") && !error.to_string().contains("words"), "{error}");
        }
        for bad in ["127.0.0.1:9180", "unix:/run/x", "http://x/?y", "http://u@x", "http://"] {
            assert!(Command::try_parse_from(["lightmeter", "--url", bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let error = instance(&["--token-file=/nonexistent/token"]).find(&environment(&[])).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/token"), "{error}");
        let error = instance(&["--config=/nonexistent/config"]).find(&environment(&[T])).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/config"), "{error}");
    }

    #[test]
    fn there_is_no_way_to_write_a_token_as_an_argument() {
        assert!(Command::try_parse_from(["lightmeter", "--token", "x"]).is_err());
    }

    #[tokio::test]
    async fn the_token_is_not_in_what_is_shown_for_debugging() {
        let instance = instance(&[]);
        let client = instance.client(&environment(&[(TOKEN, "hidden-token")])).unwrap();
        let shown = format!("{instance:?} {client:?}");
        assert!(!shown.contains("hidden"), "{shown}");
    }
}
