//! Asks the admin API of a running instance: one request after the other, no redirects, no proxy, and a bound on all.

use std::{error::Error as _, fmt, time::Duration};

use anyhow::Context as _;
use clap::Args;
use http::{HeaderValue, Method, header};
use reqwest::{Response, StatusCode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};
use url::Url;

use super::{exit::Exit, output, refusal::Refusal};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A whole request, its answer included.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A longer answer is not read to its end.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Entries that are asked for at a time when a list is read to its end.
const PAGE: usize = 1_000;

/// Entries of a list that is read to its end, at the most.
const MAX_ENTRIES: usize = 100_000;

/// Why an instance did not do what it was asked. Each message is one line.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("{asked}: the instance cannot be reached: {cause}")]
    Unreachable { asked: String, cause: String },
    #[error("{asked}: no whole answer came: {cause}{doubt}")]
    Cut { asked: String, cause: String, doubt: Doubt },
    #[error("{asked}: {status}{refusal}{doubt}")]
    Refused { asked: String, status: StatusCode, refusal: Refusal, doubt: Doubt },
    #[error("{asked}: the answer is not JSON: is this the admin API?")]
    NotUnderstood { asked: String },
}

impl AskError {
    pub(super) const fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. } | Self::Cut { .. } => Exit::Unreachable,
            Self::Refused { status, .. } => Exit::of_status(*status),
            Self::NotUnderstood { .. } => Exit::Failed,
        }
    }
}

/// What is known of a request that failed on its way.
#[derive(Debug, Clone)]
pub(super) enum Doubt {
    /// It only asked, or was refused: nothing was done.
    None,
    /// It may have been done; asked again it may be done again.
    Unknown,
    /// It may have been done; under this key it can be asked again.
    Once(String),
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = "; it may have been done";
        match self {
            Self::None => Ok(()),
            Self::Unknown => f.write_str(done),
            Self::Once(key) => write!(f, "{done}: the same command with --idempotency-key {key} does it only once"),
        }
    }
}

/// What makes a write happen once, however often it is sent.
#[derive(Debug, Args)]
pub(super) struct Once {
    /// The same command with the same key happens once: to try again safely [default: a random one].
    #[arg(long, value_name = "KEY", value_parser = idempotency_key)]
    idempotency_key: Option<String>,
}

impl Once {
    fn key(&self) -> anyhow::Result<String> {
        if let Some(key) = &self.idempotency_key {
            return Ok(key.clone());
        }
        let mut random = [0; 16];
        getrandom::fill(&mut random).context("the system gives no random bytes")?;
        Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

fn idempotency_key(text: &str) -> Result<String, &'static str> {
    let is_key = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_key.then(|| text.to_owned()).ok_or("expected 1 to 255 ASCII characters without spaces")
}

/// A query's names and values.
pub(super) type Query = Vec<(&'static str, String)>;

/// A query of what is given.
pub(super) fn query<const N: usize>(values: [(&'static str, Option<String>); N]) -> Query {
    values.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// The way to one instance.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    token: HeaderValue,
}

/// What an instance answered, as it wrote it. It has no `Debug`: a new key may be in it.
pub(super) struct Answer(Box<RawValue>);

impl Answer {
    /// The JSON; `null` for an answer without content.
    pub(super) fn text(&self) -> &str {
        self.0.get()
    }

    pub(super) fn parse<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        serde_json::from_str(self.text()).context("the instance's answer is not understood (--json shows it)")
    }
}

/// A list, as far as it was read, and where it goes on.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
    pub(super) next: Option<String>,
}

impl<T> List<T> {
    /// `table`, and that there is more where there is.
    pub(super) fn with_rest(&self, table: String) -> String {
        match self.next {
            Some(_) => format!("{table}\nThere are more: these are the first {}.", self.items.len()),
            None => table,
        }
    }
}

impl Client {
    pub(super) fn new(base: Url, token: HeaderValue) -> anyhow::Result<Self> {
        crate::tls::install_provider();
        let http = reqwest::Client::builder()
            // The token is for this instance, not for whom it names, nor for a proxy.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .build()
            .context("connections cannot be made")?;
        Ok(Self { http, base, token })
    }

    pub(super) async fn get(&self, path: &[&str], query: &Query) -> anyhow::Result<Answer> {
        self.ask(Method::GET, self.url(path, query), None, Doubt::None).await
    }

    /// Posts a question: it changes nothing.
    pub(super) async fn post(&self, path: &[&str], body: &Value) -> anyhow::Result<Answer> {
        self.ask(Method::POST, self.url(path, &Query::new()), Some(body), Doubt::None).await
    }

    /// Asks for a change that happens once under its key.
    pub(super) async fn write(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
        once: &Once,
    ) -> anyhow::Result<Answer> {
        self.ask(method, self.url(path, &Query::new()), body, Doubt::Once(once.key()?)).await
    }

    /// Asks for a change that the API takes no key for.
    pub(super) async fn write_without_key(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        self.ask(method, self.url(path, &Query::new()), body, Doubt::Unknown).await
    }

    /// A list to its end, or its first [`MAX_ENTRIES`]: as one page, whose `next` then says where it goes on.
    /// `cursor` is the parameter that takes a `next`.
    pub(super) async fn list(&self, path: &[&str], query: &Query, cursor: &'static str) -> anyhow::Result<Answer> {
        self.list_up_to(MAX_ENTRIES, path, query, cursor).await
    }

    async fn list_up_to(
        &self,
        most: usize,
        path: &[&str],
        query: &Query,
        cursor: &'static str,
    ) -> anyhow::Result<Answer> {
        let (mut query, mut items) = (query.clone(), Vec::new());
        let next = loop {
            let size = PAGE.min(most - items.len());
            query.retain(|(name, _)| *name != "limit");
            query.push(("limit", size.to_string()));
            let page: List<Box<RawValue>> = self.get(path, &query).await?.parse()?;
            // A page without entries is the end, even where it names another.
            let next = page.next.filter(|_| !page.items.is_empty());
            items.extend(page.items);
            match next {
                Some(next) if items.len() < most => {
                    query.retain(|(name, _)| *name != cursor);
                    query.push((cursor, next));
                }
                next => break next,
            }
        };
        Ok(Answer(serde_json::value::to_raw_value(&List { items, next })?))
    }

    async fn ask(&self, method: Method, url: Url, body: Option<&Value>, doubt: Doubt) -> anyhow::Result<Answer> {
        let asked = format!("{method} {url}");
        let mut request = self.http.request(method, url).header(header::AUTHORIZATION, self.token.clone());
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(serde_json::to_vec(body)?);
        }
        if let Doubt::Once(key) = &doubt {
            request = request.header("idempotency-key", key);
        }
        Ok(answer(asked, request.send().await, doubt).await?)
    }

    fn url(&self, path: &[&str], query: &Query) -> Url {
        let mut url = self.base.clone();
        // A URL with a host has segments.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

async fn answer(asked: String, sent: Result<Response, reqwest::Error>, doubt: Doubt) -> Result<Answer, AskError> {
    let mut response = match sent {
        Ok(response) => response,
        // What never arrived was not done.
        Err(error) if error.is_connect() => return Err(AskError::Unreachable { asked, cause: cause(&error) }),
        Err(error) => return Err(AskError::Cut { asked, cause: cause(&error), doubt }),
    };
    let body = match read(&mut response).await {
        Ok(body) => body,
        Err(cause) => return Err(AskError::Cut { asked, cause, doubt }),
    };
    let status = response.status();
    if !status.is_success() {
        let doubt = if status.is_server_error() { doubt } else { Doubt::None };
        return Err(AskError::Refused { asked, status, refusal: Refusal::parse(&body), doubt });
    }
    let json = if body.is_empty() { b"null" } else { body.as_slice() };
    serde_json::from_slice(json).map(Answer).map_err(|_| AskError::NotUnderstood { asked })
}

async fn read(response: &mut Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| cause(&error))? {
        if body.len() + piece.len() > MAX_ANSWER_BYTES {
            return Err(format!("it is larger than {MAX_ANSWER_BYTES} bytes"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// The innermost cause: the others only repeat that there is one.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        let waited = if error.is_connect() { CONNECT_TIMEOUT } else { TIMEOUT };
        return format!("it took more than {} s", waited.as_secs());
    }
    let (mut innermost, mut next) = (error.to_string(), error.source());
    while let Some(inner) = next {
        innermost = inner.to_string();
        next = inner.source();
    }
    output::clean(&innermost)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;
    use crate::cli::{
        account::tests::ACME,
        fake::{Fake, TOKEN, run},
    };

    const EMPTY: &str = r#"{"items":[],"next":null}"#;

    fn client(fake: &Fake) -> Client {
        let base = fake.environment()["LIGHTMETER_URL"].parse().unwrap();
        Client::new(base, HeaderValue::from_static("Bearer x")).unwrap()
    }

    #[tokio::test]
    async fn what_is_asked_carries_the_token_and_what_only_asks_carries_no_key() {
        let fake = Fake::answering([(200, EMPTY)]).await;
        fake.run("account list").await.unwrap();
        let asked = fake.asked();
        assert_eq!(asked[0].header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
        assert_eq!(asked[0].header("idempotency-key"), None);
    }

    #[tokio::test]
    async fn each_write_has_another_idempotency_key_unless_it_is_told_one() {
        let fake = Fake::answering([(200, ACME); 3]).await;
        for _ in 0..2 {
            fake.run("account plan acme pro").await.unwrap();
        }
        fake.run("account plan acme pro --idempotency-key order-7").await.unwrap();
        let keys: Vec<_> =
            fake.asked().iter().map(|asked| asked.header("idempotency-key").unwrap().to_owned()).collect();
        assert_eq!(keys[2], "order-7");
        assert_ne!(keys[0], keys[1]);
        assert!(keys[..2].iter().all(|key| key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit())));
    }

    #[tokio::test]
    async fn a_refusal_says_what_was_asked_why_not_and_what_helps() {
        let problem = r#"{"type":"about:blank","title":"Payment Required","status":402,"detail":"3 credits short",
            "needed":"5","available":"2","shortfall":"3"}"#;
        let fake = Fake::answering([(402, problem)]).await;
        let (line, exit) = fake.fail("credits withdraw acme 5").await;
        let asked = "POST http://fake/api/v1/accounts/acme/withdrawals: 402 Payment Required: 3 credits short";
        assert_eq!(line, format!("{asked} (available: 2, needed: 5, shortfall: 3)"));
        assert_eq!(exit, Exit::Conflict);
    }

    #[tokio::test]
    async fn each_kind_of_failure_has_its_exit_code() {
        for (status, body, exit) in [
            (400, "{}", Exit::Refused),
            (401, r#"{"detail":"no such token"}"#, Exit::Refused),
            (403, "", Exit::Refused),
            (404, "<html>", Exit::NotFound),
            (409, "{}", Exit::Conflict),
            (402, "{}", Exit::Conflict),
            (500, "", Exit::Unreachable),
            (503, "{}", Exit::Unreachable),
            (302, "", Exit::Failed),
            (405, "", Exit::Failed),
            (200, "ok\n", Exit::Failed),
            (200, r#"{"items":7}"#, Exit::Failed),
        ] {
            let fake = Fake::answering([(status, body)]).await;
            let (line, found) = fake.fail("account list").await;
            assert_eq!(found, exit, "{status} {line}");
            assert!(!line.contains('\n') && !line.contains(TOKEN), "{line}");
        }
    }

    #[tokio::test]
    async fn an_instance_that_is_not_there_is_unreachable() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let environment = [("LIGHTMETER_TOKEN".to_owned(), "x".to_owned())].into();
        let error = run(["site", "remove", "shop", "--url", &url], &environment).await.unwrap_err();
        assert_eq!(Exit::of(&error), Exit::Unreachable);
        let line = format!("{error:#}");
        assert!(
            line.starts_with(&format!("DELETE {url}/api/v1/sites/shop: the instance cannot be reached: ")),
            "{line}"
        );
        assert!(!line.contains("may have been done"), "{line}");
    }

    #[tokio::test]
    async fn where_a_write_may_have_been_done_it_is_told_how_to_try_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.unwrap();
            let _ = connection.read(&mut [0; 4_096]).await.unwrap();
            connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{").await.unwrap();
        });
        let environment = [("LIGHTMETER_TOKEN".to_owned(), "x".to_owned())].into();
        let arguments = ["account", "plan", "acme", "pro", "--url", &url, "--idempotency-key", "k7"];
        let error = run(arguments, &environment).await.unwrap_err();
        assert_eq!(Exit::of(&error), Exit::Unreachable);
        assert!(error.to_string().ends_with("with --idempotency-key k7 does it only once"), "{error}");

        let busy = (503, r#"{"detail":"busy"}"#);
        let fake = Fake::answering([busy, (404, "{}"), busy, busy]).await;
        let (line, _) = fake.fail("account plan acme pro --idempotency-key k8").await;
        assert!(line.contains("503 Service Unavailable: busy; it may have been done") && line.contains("k8"), "{line}");
        let (line, _) = fake.fail("account plan acme pro --idempotency-key k9").await;
        assert!(!line.contains("k9"), "{line}");
        let (line, _) = fake.fail("key create acme ci").await;
        assert!(line.ends_with("busy; it may have been done"), "{line}");
        let (line, _) = fake.fail("plan list").await;
        assert!(line.ends_with("busy"), "{line}");
    }

    #[tokio::test]
    async fn the_token_follows_no_redirect() {
        let other = Fake::answering([(200, EMPTY)]).await;
        let target = format!("{}/api/v1/accounts", other.environment()["LIGHTMETER_URL"]);
        let router = axum::Router::new().fallback(async move || axum::response::Redirect::temporary(&target));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, router).into_future());
        assert!(run(["account", "list", "--url", &url], &other.environment()).await.is_err());
        assert!(other.asked().is_empty());
    }

    #[tokio::test]
    async fn paths_go_behind_the_urls_own_and_keep_their_segments() {
        let fake = Fake::answering::<String>([]).await;
        let client = Client { base: "https://host/admin/".parse().unwrap(), ..client(&fake) };
        let query = query([("from", Some("2026-11-01T00:00:00+01:00".to_owned())), ("to", None)]);
        let url = client.url(&["sites", "a/b?c"], &query);
        assert_eq!(url.as_str(), "https://host/admin/api/v1/sites/a%2Fb%3Fc?from=2026-11-01T00%3A00%3A00%2B01%3A00");
    }

    #[tokio::test]
    async fn a_list_is_read_to_its_end() {
        let pages = [
            (200, r#"{"items":[{"b":1,"a":2.50}],"next":"x y"}"#),
            (200, r#"{"items":["\u00e9"],"next":"z"}"#),
            (200, r#"{"items":[3],"next":null}"#),
        ];
        let fake = Fake::answering(pages).await;
        let query = query([("account", Some("acme".to_owned()))]);
        let list = client(&fake).list(&["sites"], &query, "after").await.unwrap();
        assert_eq!(list.text(), r#"{"items":[{"b":1,"a":2.50},"\u00e9",3],"next":null}"#);
        let lines: Vec<_> = fake.asked().into_iter().map(|asked| asked.line).collect();
        assert_eq!(
            lines,
            [
                "GET /api/v1/sites?account=acme&limit=1000",
                "GET /api/v1/sites?account=acme&after=x+y&limit=1000",
                "GET /api/v1/sites?account=acme&after=z&limit=1000",
            ]
        );
    }

    #[tokio::test]
    async fn a_list_without_an_end_is_read_up_to_a_bound_and_says_where_it_goes_on() {
        let fake =
            Fake::answering([(200, r#"{"items":[1,2],"next":"a"}"#), (200, r#"{"items":[3],"next":"b"}"#)]).await;
        let list = client(&fake).list_up_to(3, &["sites"], &Query::new(), "after").await.unwrap();
        assert_eq!(list.text(), r#"{"items":[1,2,3],"next":"b"}"#);
        assert_eq!(fake.asked()[1].line, "GET /api/v1/sites?after=a&limit=1");

        let fake = Fake::answering([(200, r#"{"items":[],"next":"a"}"#)]).await;
        let list = client(&fake).list(&["sites"], &Query::new(), "after").await.unwrap();
        assert_eq!(list.text(), EMPTY);
    }

    #[test]
    fn an_idempotency_key_is_a_header_value() {
        assert!(idempotency_key("order-7").is_ok());
        for bad in ["", "two words", "ä", "a\r\nb", &"x".repeat(256)] {
            assert!(idempotency_key(bad).is_err(), "{bad:?}");
        }
    }
}
