//! `Idempotency-Key`: a request that is sent again with the same key happens once, and is answered as it was then.

use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, request::Parts},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::IntoParams;

use super::{
    api::Api,
    auth::Caller,
    input::{json_body, read},
    problem::Problem,
};
use crate::store::Once;

/// The header field.
const FIELD: &str = "idempotency-key";

/// The longest key.
const MAX_KEY_BYTES: usize = 255;

/// How it stands in the description of the API.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct IdempotencyKey {
    /// Makes the request happen once: sent again with the same key and the same body it is answered as it was the first time,
    /// and nothing is done; with another body it is refused (409). Keys are the caller's own.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255, pattern = "^[!-~]+$", required = false)]
    #[expect(dead_code, reason = "only described")]
    key: String,
}

/// A request that changes something: what it says, and what makes it happen once if the caller wants that.
#[derive(Debug)]
pub(super) struct Write<T> {
    pub(super) once: Option<Once>,
    pub(super) body: T,
}

impl<T: DeserializeOwned> FromRequest<Api> for Write<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, api).await?;
        let key = key_of(&parts.headers)?;
        let value = json_body(&parts.headers, body).await?;
        let once = key.map(|key| once(&caller, &key, &parts, value.clone()));
        Ok(Self { once, body: read(value)? })
    }
}

/// A request that changes something and has no body.
#[derive(Debug)]
pub(super) struct Bodiless(pub(super) Option<Once>);

impl FromRequestParts<Api> for Bodiless {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, api).await?;
        let key = key_of(&parts.headers)?;
        Ok(Self(key.map(|key| once(&caller, &key, parts, Value::Null))))
    }
}

fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let bad =
        || Problem::field("Idempotency-Key", format!("expected one, of 1 to {MAX_KEY_BYTES} visible ASCII characters"));
    let mut fields = headers.get_all(FIELD).iter();
    let Some(field) = fields.next() else { return Ok(None) };
    let is_key = |key: &[u8]| (1..=MAX_KEY_BYTES).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
    match (fields.next(), field.to_str()) {
        (None, Ok(key)) if is_key(key.as_bytes()) => Ok(Some(key.to_owned())),
        _ => Err(bad()),
    }
}

/// The key with whose it is, and a hash of all that is asked. Spaces and the order of fields in the body make no difference.
fn once(caller: &Caller, key: &str, parts: &Parts, mut body: Value) -> Once {
    body.sort_all_objects();
    let key = match caller {
        Caller::Operator => format!("operator/{key}"),
        // No account's name has a slash, and none of their keys is taken for the operator's.
        Caller::Account(account) => format!("account/{account}/{key}"),
    };
    let mut hasher = blake3::Hasher::new();
    for part in [parts.method.as_str(), parts.uri.path(), &body.to_string()] {
        hasher.update(&part.len().to_le_bytes()).update(part.as_bytes());
    }
    Once { key, fingerprint: hasher.finalize().into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn of(caller: &Caller, method: &str, path: &str, body: &str) -> Once {
        let (parts, ()) = Request::builder().method(method).uri(path).body(()).unwrap().into_parts();
        once(caller, "k", &parts, serde_json::from_str(body).unwrap())
    }

    #[test]
    fn the_same_request_has_the_same_fingerprint_however_it_is_written() {
        let asked = |method, path, body| of(&Caller::Operator, method, path, body);
        let first = asked("POST", "/a", r#"{"kind":"monthly","amount":"5"}"#);
        assert_eq!(asked("POST", "/a", "{ \"amount\": \"5\",\n \"kind\": \"monthly\" }"), first);
        for other in [
            asked("POST", "/a", r#"{"kind":"monthly","amount":"6"}"#),
            asked("POST", "/b", r#"{"kind":"monthly","amount":"5"}"#),
            asked("PUT", "/a", r#"{"kind":"monthly","amount":"5"}"#),
        ] {
            assert_eq!(other.key, first.key);
            assert_ne!(other.fingerprint, first.fingerprint);
        }
    }

    #[test]
    fn a_key_is_its_callers_own() {
        let account = |id: &str| Caller::Account(id.parse().unwrap());
        let keys = [Caller::Operator, account("acme"), account("operator")].map(|c| of(&c, "POST", "/", "{}").key);
        assert_eq!(keys, ["operator/k", "account/acme/k", "account/operator/k"]);
    }

    #[test]
    fn a_key_is_visible_ascii_and_stands_once() {
        let found = |keys: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for key in keys {
                headers.append(FIELD, axum::http::HeaderValue::from_bytes(key).unwrap());
            }
            key_of(&headers).map_err(|problem| problem.detail().to_owned())
        };
        assert_eq!(found(&[]), Ok(None));
        assert_eq!(found(&[b"order-17"]), Ok(Some("order-17".into())));
        for bad in [&[&b""[..]][..], &[b"a b"], &[b"\xC3\xA4"], &[b"a", b"b"], &[[b'x'; 256].as_slice()]] {
            assert!(found(bad).unwrap_err().starts_with("Idempotency-Key: "), "{bad:?}");
        }
    }
}
