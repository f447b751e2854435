//! API keys of accounts: made, listed, revoked. A key is shown once, when it is made.

use axum::{
    Json,
    extract::State,
    http::{HeaderName, StatusCode, header::CACHE_CONTROL},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    api::Api,
    auth::{Caller, KEY_DIGITS, KEY_PREFIX, key_hash},
    input::{At, JsonBody, Text},
    problem::Problem,
    shapes,
};
use crate::{billing::AccountId, store::ApiKey};

/// Random bytes of a key's public name.
const ID_BYTES: usize = 8;

/// A key, without what opens the door.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Key {
    /// Its public name.
    id: String,
    /// What its owner calls it.
    name: String,
    /// When it was made.
    #[schema(value_type = shapes::Time)]
    created: Timestamp,
    /// When it was revoked; null: it opens the door.
    #[schema(value_type = Option<shapes::Time>, required = true)]
    revoked: Option<Timestamp>,
}

impl From<ApiKey> for Key {
    fn from(key: ApiKey) -> Self {
        Self { id: key.id, name: key.name, created: key.created, revoked: key.revoked }
    }
}

/// An account's keys.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Keys {
    /// All of them, the oldest first.
    items: Vec<Key>,
}

/// A key that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MadeKey {
    /// Its public name.
    id: String,
    /// What its owner calls it.
    name: String,
    /// The key itself: it is shown now and never again.
    #[schema(pattern = "^lmk_[0-9a-f]{64}$")]
    key: String,
    /// When it was made.
    #[schema(value_type = shapes::Time)]
    created: Timestamp,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewKey {
    /// What its owner calls it.
    #[schema(value_type = String, min_length = 1, max_length = 100)]
    name: Text<1, 100>,
}

/// Lists an account's keys.
///
/// Revoked ones too. What opens the door is not shown.
#[utoipa::path(get, path = "/accounts/{id}/keys", tag = "keys", operation_id = "list_keys",
    params(("id" = inline(shapes::Id), Path, description = "The account's name.")),
    responses((status = 200, description = "The keys.", body = Keys)))]
pub(super) async fn list(State(api): State<Api>, caller: Caller, At(id): At<AccountId>) -> Result<Json<Keys>, Problem> {
    caller.sees(&id)?;
    Ok(Json(Keys { items: api.ledger.keys(&id).await?.into_iter().map(Key::from).collect() }))
}

/// Makes a key.
///
/// It sees and may do what is its account's own; what only the operator may do it may not. An Idempotency-Key is ignored
/// here: each request makes another key.
#[utoipa::path(post, path = "/accounts/{id}/keys", tag = "keys", operation_id = "create_key",
    params(("id" = inline(shapes::Id), Path, description = "The account's name.")),
    request_body = NewKey,
    responses((status = 201, description = "The key, shown only this once.", body = MadeKey)))]
pub(super) async fn create(
    State(api): State<Api>,
    caller: Caller,
    At(account): At<AccountId>,
    JsonBody(NewKey { name }): JsonBody<NewKey>,
) -> Result<(StatusCode, [(HeaderName, &'static str); 1], Json<MadeKey>), Problem> {
    caller.sees(&account)?;
    let key = format!("{KEY_PREFIX}{}", random_hex::<{ KEY_DIGITS / 2 }>()?);
    let kept =
        ApiKey { id: random_hex::<ID_BYTES>()?, account, name: name.0, created: api.clock.timestamp(), revoked: None };
    api.ledger.add_key(&kept, &key_hash(key.as_bytes())).await?;
    let made = MadeKey { id: kept.id, name: kept.name, key, created: kept.created };
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(made)))
}

/// Revokes a key.
///
/// It opens nothing from then on; revoking it again changes nothing. An Idempotency-Key is ignored here.
#[utoipa::path(delete, path = "/accounts/{id}/keys/{key_id}", tag = "keys", operation_id = "revoke_key",
    params(
        ("id" = inline(shapes::Id), Path, description = "The account's name."),
        ("key_id" = String, Path, description = "The key's public name."),
    ),
    responses((status = 204, description = "It is revoked.")))]
pub(super) async fn revoke(
    State(api): State<Api>,
    caller: Caller,
    At((account, key)): At<(AccountId, String)>,
) -> Result<StatusCode, Problem> {
    caller.sees(&account)?;
    api.ledger.revoke_key(&account, &key, api.clock.timestamp()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn random_hex<const BYTES: usize>() -> Result<String, Problem> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the system gives no random numbers");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the system gives no random numbers now; try again")
    })?;
    Ok(bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_keys_are_the_same() {
        let (one, other) = (random_hex::<32>().unwrap(), random_hex::<32>().unwrap());
        assert_eq!((one.len(), other.len()), (KEY_DIGITS, KEY_DIGITS));
        assert_ne!(one, other);
    }
}
