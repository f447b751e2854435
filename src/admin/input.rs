//! What requests bring: names in the path, parameters in the query, JSON in the body. What is not allowed is answered with a
//! problem that names the field.

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE, request::Parts},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{api::Api, problem::Problem};
use crate::billing::{AmountError, Microcredits};

/// The longest body.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Names out of the path. What cannot be a name is not there.
#[derive(Debug)]
pub(super) struct At<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Api> for At<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        match Path::<T>::from_request_parts(parts, api).await {
            Ok(Path(names)) => Ok(Self(names)),
            Err(_) => Err(Problem::not_found("nothing can have the name that the path gives")),
        }
    }
}

/// Parameters out of the query. One that is unknown, or stands twice, is refused.
#[derive(Debug)]
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Api> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = serde_urlencoded::Deserializer::new(url::form_urlencoded::parse(query.as_bytes()));
        serde_path_to_error::deserialize(pairs).map(Self).map_err(|error| at_path(&error))
    }
}

/// JSON out of the body.
#[derive(Debug)]
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Api> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Api) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        read(json_body(&parts.headers, body).await?).map(Self)
    }
}

/// The body's JSON, an object. Whoever gives no media type is taken to mean JSON.
pub(super) async fn json_body(headers: &HeaderMap, body: Body) -> Result<Value, Problem> {
    if headers.get(CONTENT_TYPE).is_some_and(|media_type| !is_json(media_type.as_bytes())) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected application/json"));
    }
    let body = match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let detail = format!("the body has more than {MAX_BODY_BYTES} bytes");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        Err(_) => return Err(Problem::bad_request("the body did not come whole")),
    };
    match serde_json::from_slice(&body) {
        // A list would be taken for the fields in their order.
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(Problem::bad_request("the body is not a JSON object")),
        Err(error) => Err(Problem::bad_request(format!("the body is not JSON: {error}"))),
    }
}

fn is_json(media_type: &[u8]) -> bool {
    let essence = media_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    essence.eq_ignore_ascii_case(b"application/json")
}

/// Reads what the body says.
///
/// # Errors
/// 400, naming the field
pub(super) fn read<T: DeserializeOwned>(value: Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(|error| at_path(&error))
}

fn at_path<E: std::error::Error>(error: &serde_path_to_error::Error<E>) -> Problem {
    let (path, problem) = (error.path().to_string(), error.inner());
    match path.as_str() {
        "." | "?" => Problem::bad_request(problem.to_string()),
        _ => Problem::field(path, problem),
    }
}

/// How many items a page has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub(super) struct Limit(u32);

impl Limit {
    pub(super) const MAX: u32 = 1_000;

    pub(super) const fn get(self) -> u32 {
        self.0
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(100)
    }
}

impl TryFrom<u32> for Limit {
    type Error = String;

    fn try_from(number: u32) -> Result<Self, String> {
        match number {
            1..=Self::MAX => Ok(Self(number)),
            _ => Err(format!("must be from 1 to {}", Self::MAX)),
        }
    }
}

/// The number of an entry, as a page's `next` has it.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Number(pub(super) i64);

impl TryFrom<String> for Number {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = if is_number { text.parse().ok() } else { None };
        number.map(Self).ok_or("expected the `next` of the part before")
    }
}

/// Credits, more than none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Microcredits")]
pub(super) struct Positive(pub(super) Microcredits);

impl TryFrom<Microcredits> for Positive {
    type Error = AmountError;

    fn try_from(amount: Microcredits) -> Result<Self, AmountError> {
        amount.positive().map(Self)
    }
}

/// Credits, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "Microcredits")]
pub(super) struct NotNegative(pub(super) Microcredits);

impl TryFrom<Microcredits> for NotNegative {
    type Error = AmountError;

    fn try_from(amount: Microcredits) -> Result<Self, AmountError> {
        amount.not_negative().map(Self)
    }
}

/// A whole number that JSON holds exactly everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u64")]
pub(super) struct Count(pub(super) u64);

impl Count {
    pub(super) const MAX: u64 = (1 << 53) - 1;
}

impl TryFrom<u64> for Count {
    type Error = String;

    fn try_from(number: u64) -> Result<Self, String> {
        if number <= Self::MAX { Ok(Self(number)) } else { Err(format!("must be at most {}", Self::MAX)) }
    }
}

/// Text of so many characters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Text<const LEAST: usize, const MOST: usize>(pub(super) String);

/// What credits were given or taken for.
pub(super) type Reference = Text<0, 200>;

impl<const LEAST: usize, const MOST: usize> TryFrom<String> for Text<LEAST, MOST> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if (LEAST..=MOST).contains(&text.chars().count()) {
            Ok(Self(text))
        } else {
            Err(format!("must have {LEAST} to {MOST} characters"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[serde(default)]
        reference: Reference,
        amounts: Vec<Positive>,
    }

    fn body(json: &str) -> Result<Body, Problem> {
        read(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn amounts_are_strings_or_numbers() {
        let amounts = body(r#"{"amounts":["99.5",99.5,7]}"#).unwrap().amounts;
        let amounts: Vec<_> = amounts.iter().map(|amount| amount.0.to_string()).collect();
        assert_eq!(amounts, ["99.5", "99.5", "7"]);
    }

    #[test]
    fn a_field_that_is_not_allowed_is_named() {
        for (json, detail) in [
            (r#"{"amounts":["1","0"]}"#, "amounts[1]: must be more than zero"),
            (r#"{"amounts":["0.0000001"]}"#, "amounts[0]: finer than a microcredit"),
            (r#"{"amounts":[1e30]}"#, "amounts[0]: too large"),
            (r#"{"amounts":[],"colour":1}"#, "colour: unknown field `colour`"),
            ("{}", "missing field `amounts`"),
        ] {
            let problem = body(json).unwrap_err();
            assert_eq!(problem.status(), StatusCode::BAD_REQUEST);
            assert!(problem.detail().contains(detail), "{json}: {}", problem.detail());
        }
    }

    #[test]
    fn a_reference_has_two_hundred_characters_whatever_their_bytes() {
        let of = |count: usize| body(&format!(r#"{{"amounts":[],"reference":"{}"}}"#, "ä".repeat(count)));
        assert_eq!(of(200).unwrap().reference.0.chars().count(), 200);
        assert!(of(201).unwrap_err().detail().starts_with("reference: must have 0 to 200"));
    }

    #[test]
    fn json_is_told_by_its_media_type() {
        for json in ["application/json", "application/json; charset=utf-8", "Application/JSON"] {
            assert!(is_json(json.as_bytes()), "{json}");
        }
        for other in ["text/plain", "", "application/jsonp", "application/problem+json"] {
            assert!(!is_json(other.as_bytes()), "{other}");
        }
    }
}
