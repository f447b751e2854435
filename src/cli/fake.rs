//! An admin API for tests: a real server on loopback that remembers what it was asked and answers what it was told to.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use clap::Parser as _;
use serde_json::Value;

use super::{Arguments, Command, Environment, exit::Exit};

pub(super) const TOKEN: &str = "token-of-the-tests";

#[derive(Debug)]
pub(super) struct Fake {
    url: String,
    state: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    answers: Mutex<VecDeque<(u16, String)>>,
    asked: Mutex<Vec<Asked>>,
}

/// A request, as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// Such as `GET /api/v1/plans`.
    pub(super) line: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Fake {
    /// One that gives these answers, one after the other, and then fails.
    pub(super) async fn answering<B: ToString>(answers: impl IntoIterator<Item = (u16, B)>) -> Self {
        let answers = answers.into_iter().map(|(status, body)| (status, body.to_string())).collect();
        let state = Arc::new(Inner { answers: Mutex::new(answers), asked: Mutex::default() });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { url, state }
    }

    /// What the program prints, called with these arguments.
    pub(super) async fn run(&self, arguments: &str) -> anyhow::Result<String> {
        run(arguments.split_whitespace(), &self.environment()).await
    }

    /// The one line that the program says in failing, and its exit code.
    pub(super) async fn fail(&self, arguments: &str) -> (String, Exit) {
        let error = self.run(arguments).await.unwrap_err();
        (format!("{error:#}").replace(&self.url, "http://fake"), Exit::of(&error))
    }

    /// What was asked since this was asked last.
    pub(super) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state.asked.lock().unwrap())
    }

    /// The one thing that was asked, with its JSON.
    pub(super) fn asked_once(&self) -> (String, Value) {
        let asked = self.asked();
        assert_eq!(asked.len(), 1, "{asked:?}");
        let body = if asked[0].body.is_empty() { Value::Null } else { asked[0].json() };
        (asked[0].line.clone(), body)
    }

    pub(super) fn environment(&self) -> Environment {
        let variables = [("LIGHTMETER_URL", self.url.as_str()), ("LIGHTMETER_TOKEN", TOKEN)];
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }
}

/// What the program prints, called with these arguments in this environment.
pub(super) async fn run<'a>(
    arguments: impl IntoIterator<Item = &'a str>,
    environment: &Environment,
) -> anyhow::Result<String> {
    let arguments = Arguments::try_parse_from(["lightmeter"].into_iter().chain(arguments))?;
    match arguments.command {
        Command::Ask(ask) => ask.run(environment).await,
        other => panic!("{other:?} asks no instance"),
    }
}

async fn answer(State(state): State<Arc<Inner>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    state.asked.lock().unwrap().push(Asked {
        line: format!("{} {}", parts.method, parts.uri),
        headers: parts.headers,
        body,
    });
    let next = state.answers.lock().unwrap().pop_front();
    let (status, body) = next.unwrap_or_else(|| (500, r#"{"detail":"nothing was to be asked any more"}"#.to_owned()));
    (StatusCode::from_u16(status).unwrap(), [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
