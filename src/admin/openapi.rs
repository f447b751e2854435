//! The description of the API (OpenAPI 3.1). Handlers describe what is their own; what is the same for all that take a body, a
//! query or a name in the path is added here, once.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use serde_json::{Map, Value, json};
use utoipa::{
    OpenApi,
    openapi::{
        self,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{api::Api, problem};

/// The media type of errors.
const PROBLEM: &str = "application/problem+json";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Lightmeter",
        description = "Accounts, sites and credits of a Lightmeter installation. Amounts are credits, to the millionth, as \
            decimal strings. Times are RFC 3339 in UTC. Errors are problem documents (RFC 9457). A request that changes \
            something may carry an Idempotency-Key; then it happens once, however often it is sent.\n\nThe operator's token \
            opens everything. An account's API keys open what is that account's own; whatever belongs to others is not there \
            for them (404).",
    ),
    tags(
        (name = "accounts", description = "Who pays, and on which plan."),
        (name = "credits", description = "Credits given, taken back, moved and asked for."),
        (name = "keys", description = "API keys of accounts."),
        (name = "sites", description = "What is served, what is assigned to it and what it used."),
        (name = "cache", description = "What is purged, and the list of who purged what."),
        (name = "test clock", description = "Time that a test sets."),
        (name = "description", description = "This document."),
    ),
    components(schemas(problem::Document)),
    security(("token" = [])),
)]
struct Head;

/// The document's head: what it is, and who may ask.
pub(super) fn head() -> openapi::OpenApi {
    let mut document = Head::openapi();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("The operator's token, or an account's API key (`lmk_…`)."))
        .build();
    document
        .components
        .get_or_insert_default()
        .security_schemes
        .insert("token".to_owned(), SecurityScheme::Http(bearer).into());
    document
}

/// Describes the API.
///
/// This document. No token is needed.
#[utoipa::path(get, path = "/openapi.json", tag = "description", operation_id = "describe", security(()),
    responses((status = 200, description = "An OpenAPI 3.1 document.", body = Value)))]
pub(super) async fn document(State(api): State<Api>, Extension(document): Extension<Arc<Value>>) -> Json<Value> {
    let catalogue = api.ledger.catalogue();
    let mut document = Value::clone(&document);
    let plans: Vec<_> = catalogue.plans.iter().map(|plan| plan.id.as_str()).collect();
    let packs: Vec<_> = catalogue.packs.iter().map(|pack| pack.id.as_str()).collect();
    for (schema, names) in [("PlanId", plans), ("PackId", packs)] {
        if let Some(schema) = document.pointer_mut(&format!("/components/schemas/{schema}")) {
            schema["enum"] = json!(names);
        }
    }
    Json(document)
}

/// The document, whole.
pub(super) fn completed(document: &openapi::OpenApi) -> Value {
    // It is made of maps with text keys: it has a JSON form.
    let mut document = serde_json::to_value(document).unwrap_or_default();
    if let Some(paths) = document["paths"].as_object_mut() {
        paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut).for_each(complete);
    }
    for schema in ["SiteSettings", "ChangedSettings"] {
        if let Some(settings) = document.pointer_mut(&format!("/components/schemas/{schema}")) {
            settings["anyOf"] = rate_only_with_egress();
            settings["properties"]["hosts"]["uniqueItems"] = true.into();
        }
    }
    document
}

/// What the derived description cannot say of a site's settings.
fn rate_only_with_egress() -> Value {
    json!([
        { "properties": { "bytes_per_credit": { "type": "null" } } },
        { "properties": { "tariff": { "const": "egress" } }, "required": ["tariff"] },
    ])
}

/// Adds what an operation answers because of what it takes, and what errors look like.
fn complete(operation: &mut Value) {
    let takes = |place: &str| {
        let parameters = operation["parameters"].as_array();
        parameters.is_some_and(|parameters| parameters.iter().any(|parameter| parameter["in"] == place))
    };
    let has_body = operation.get("requestBody").is_some();
    let mut common = Vec::new();
    if operation.get("security").is_none() {
        common.extend([
            ("401", "No token, or one that is not known or was revoked."),
            ("500", "The ledger is damaged."),
            ("503", "The ledger cannot be used now: try again."),
        ]);
    }
    if has_body || takes("query") || takes("header") {
        common.push(("400", "Something is not what it must be; `field` names it."));
    }
    if takes("path") {
        common.push(("404", "There is nothing of this name, or not for this caller."));
    }
    if has_body {
        common.extend([("413", "The body is longer than 1 MiB."), ("415", "The body is not JSON by its media type.")]);
    }
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    for (status, description) in common {
        responses.entry(status).or_insert_with(|| json!({ "description": description }));
    }
    for (status, response) in responses.iter_mut().filter(|(status, _)| status.starts_with(['4', '5'])) {
        response["content"] = json!({ PROBLEM: { "schema": { "$ref": "#/components/schemas/Problem" } } });
        let header = match status.as_str() {
            "401" => "WWW-Authenticate",
            "503" => "Retry-After",
            _ => continue,
        };
        response["headers"] = json!({ header: { "schema": { "type": "string" } } });
    }
}
