//! Credits given and taken back by the operator (`billing.md` rules 8, 12, 19).

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    accounts::Account,
    api::Api,
    auth::Caller,
    idempotency::{IdempotencyKey, Write},
    input::{At, Positive, Reference, read},
    problem::Problem,
    shapes,
};
use crate::{
    billing::{AccountId, Catalogue, Kind},
    store::Grant,
};

/// So many credits.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = CreditAmount)]
#[serde(deny_unknown_fields)]
pub(super) struct Amount {
    /// `monthly`: they end with the period under way; `one_time`: they never end.
    #[schema(value_type = shapes::KindName)]
    kind: Kind,
    /// How many, more than zero.
    #[schema(value_type = shapes::CreditsGiven)]
    amount: Positive,
    /// What for; stands in the list of transfers.
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 200)]
    reference: Reference,
}

/// A pack of one-time credits.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PackSold {
    /// The pack.
    #[schema(value_type = shapes::PackId)]
    pack: String,
    /// What for; the pack's name if left out or empty.
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 200)]
    reference: Reference,
}

/// Credits to be given: an amount, or a pack.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
pub(super) enum CreditsToGive {
    Amount(Amount),
    Pack(PackSold),
}

impl CreditsToGive {
    fn read(body: Value) -> Result<Self, Problem> {
        if body.get("pack").is_some() { read(body).map(Self::Pack) } else { read(body).map(Self::Amount) }
    }

    fn grant(self, account: AccountId, catalogue: &Catalogue) -> Result<Grant, Problem> {
        match self {
            Self::Amount(amount) => Ok(amount.grant(account)),
            Self::Pack(PackSold { pack, reference }) => {
                let pack = catalogue
                    .pack(&pack)
                    .ok_or_else(|| Problem::field("pack", format!("there is no pack {pack:?}")))?;
                let reference = if reference.0.is_empty() { pack.id.clone() } else { reference.0 };
                Ok(Grant { account, kind: Kind::OneTime, amount: pack.credits, reference })
            }
        }
    }
}

impl Amount {
    fn grant(self, account: AccountId) -> Grant {
        Grant { account, kind: self.kind, amount: self.amount.0, reference: self.reference.0 }
    }
}

/// Gives credits.
///
/// For the operator.
#[utoipa::path(post, path = "/accounts/{id}/credits", tag = "credits", operation_id = "give_credits",
    params(("id" = inline(shapes::Id), Path, description = "The account's name."), IdempotencyKey),
    request_body = CreditsToGive,
    responses(
        (status = 201, description = "The account.", body = Account),
        (status = 403, description = "Only the operator may give credits."),
        (status = 409, description = "The credits would be too many for one account, or the Idempotency-Key was used for \
            another request."),
    ))]
pub(super) async fn give(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<AccountId>,
    Write { once, body }: Write<Value>,
) -> Result<(StatusCode, Json<Account>), Problem> {
    caller.sees(&id)?;
    caller.is_operator()?;
    let grant = CreditsToGive::read(body)?.grant(id, &api.ledger.catalogue())?;
    let view = api.ledger.grant(once.as_ref(), &grant, api.clock.timestamp()).await?;
    Ok((StatusCode::CREATED, Json(view.into())))
}

/// Takes credits back.
///
/// Only those that are not assigned to a site. For the operator.
#[utoipa::path(post, path = "/accounts/{id}/withdrawals", tag = "credits", operation_id = "withdraw_credits",
    params(("id" = inline(shapes::Id), Path, description = "The account's name."), IdempotencyKey),
    request_body = Amount,
    responses(
        (status = 201, description = "The account.", body = Account),
        (status = 402, description = "There are fewer; `needed`, `available` and `shortfall` say how many."),
        (status = 403, description = "Only the operator may take credits back."),
        (status = 409, description = "The Idempotency-Key was used for another request."),
    ))]
pub(super) async fn withdraw(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<AccountId>,
    Write { once, body }: Write<Amount>,
) -> Result<(StatusCode, Json<Account>), Problem> {
    caller.sees(&id)?;
    caller.is_operator()?;
    let view = api.ledger.withdraw(once.as_ref(), &body.grant(id), api.clock.timestamp()).await?;
    Ok((StatusCode::CREATED, Json(view.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(json: &str) -> Result<Grant, Problem> {
        let credits = CreditsToGive::read(serde_json::from_str(json).unwrap())?;
        credits.grant("acme".parse().unwrap(), &Catalogue::shipped().unwrap())
    }

    #[test]
    fn credits_are_an_amount_or_a_pack() {
        let amount = grant(r#"{"kind":"monthly","amount":99.5,"reference":"order 17"}"#).unwrap();
        assert_eq!(
            (amount.kind, amount.amount.to_string(), amount.reference.as_str()),
            (Kind::Monthly, "99.5".into(), "order 17")
        );
        let pack = grant(r#"{"pack":"pack-10k"}"#).unwrap();
        assert_eq!(
            (pack.kind, pack.amount.to_string(), pack.reference.as_str()),
            (Kind::OneTime, "10000".into(), "pack-10k")
        );
    }

    #[test]
    fn credits_that_are_neither_are_refused_by_field() {
        for (json, field) in [
            (r#"{"pack":"pack-10k","amount":"5"}"#, "amount: unknown field"),
            (r#"{"pack":"pack-10k","reference":null}"#, "reference: invalid type: null"),
            (r#"{"pack":"gold"}"#, "pack: there is no pack"),
            (r#"{"kind":"yearly","amount":"5"}"#, "kind: unknown variant `yearly`"),
            (r#"{"kind":"monthly","amount":"0"}"#, "amount: must be more than zero"),
            (r#"{"kind":"monthly","amount":"-1"}"#, "amount: must be more than zero"),
            (r#"{"kind":"monthly","amount":"1000000000000.1"}"#, "amount: too large"),
            (r#"{"kind":"monthly"}"#, "missing field `amount`"),
        ] {
            let problem = grant(json).unwrap_err();
            assert!(problem.detail().contains(field), "{json}: {}", problem.detail());
        }
    }
}
