//! What an instance says when it does not do what it was asked (`application/problem+json`, RFC 9457), in one line.

use std::fmt;

use serde_json::{Map, Value};

use super::output;

/// The longest piece of it that is shown, in characters.
const MAX_SHOWN: usize = 400;

/// Members that are shown in another way, or say nothing that the detail does not say.
const KNOWN: [&str; 6] = ["type", "title", "status", "detail", "instance", "field"];

/// Its words, and what helps.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    detail: Option<String>,
    /// Such as `free: 80`.
    extra: Vec<String>,
}

impl Refusal {
    /// What a body says; one that is no such object says nothing.
    pub(super) fn parse(body: &[u8]) -> Self {
        let problem = serde_json::from_slice::<Map<String, Value>>(body).unwrap_or_default();
        let words = |name: &str| problem.get(name).and_then(Value::as_str).map(shown);
        let extra = problem.iter().filter(|(name, _)| !KNOWN.contains(&name.as_str()));
        Self {
            detail: words("detail").or_else(|| words("title")),
            extra: extra.filter_map(|(name, value)| Some(format!("{}: {}", shown(name), scalar(value)?))).collect(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        if !self.extra.is_empty() {
            write!(f, " ({})", self.extra.join(", "))?;
        }
        Ok(())
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(shown(text)),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn shown(text: &str) -> String {
    output::clean(&text.chars().take(MAX_SHOWN).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_detail_is_shown_with_what_helps() {
        for (body, line) in [
            (
                r#"{"title":"Conflict","status":409,"detail":"too much","kind":"monthly","free":"80"}"#,
                ": too much (free: 80, kind: monthly)",
            ),
            (r#"{"type":"about:blank","title":"Not Found","status":404}"#, ": Not Found"),
            (r#"{"detail":"no","errors":["a"],"more":{"b":1},"count":2}"#, ": no (count: 2)"),
            ("<html>", ""),
            ("", ""),
            ("[]", ""),
        ] {
            assert_eq!(Refusal::parse(body.as_bytes()).to_string(), line, "{body}");
        }
    }

    #[test]
    fn it_is_one_line_that_does_nothing_to_a_terminal() {
        let body = serde_json::json!({ "detail": format!("a\nb\u{1b}[2J{}", "x".repeat(100_000)), "k\ney": "v\r" });
        let line = Refusal::parse(body.to_string().as_bytes()).to_string();
        assert!(!line.contains(char::is_control) && line.chars().count() < 500, "{line}");
    }
}
