//! The API's description says what the API is.

use std::collections::{BTreeSet, HashSet};

use super::*;

async fn described() -> (Server, Value) {
    let server = Server::empty(Clock::standing_at(NOW), Some(OPERATOR)).await;
    let request = Request::get("/api/v1/openapi.json").body(Body::empty()).unwrap();
    let answer = server.send(request).await;
    assert_eq!((answer.status, answer.headers[CONTENT_TYPE].as_bytes()), (StatusCode::OK, &b"application/json"[..]));
    (server, answer.body)
}

/// Method, path and description of each operation.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, methods)| -> Vec<_> {
        let (path, methods): (&String, &Value) = (path, methods);
        methods.as_object().unwrap().iter().map(|(method, of)| (method.as_str(), path.as_str(), of)).collect()
    };
    paths.iter().flat_map(of).collect()
}

#[tokio::test]
async fn every_route_is_described_and_no_other() {
    let (server, document) = described().await;
    assert_eq!(document["openapi"], "3.1.0");
    let found: BTreeSet<_> =
        operations(&document).into_iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    let routes = [
        "get /openapi.json",
        "get /plans",
        "get /accounts",
        "post /accounts",
        "get /accounts/{id}",
        "patch /accounts/{id}",
        "post /accounts/{id}/credits",
        "post /accounts/{id}/withdrawals",
        "get /accounts/{id}/keys",
        "post /accounts/{id}/keys",
        "delete /accounts/{id}/keys/{key_id}",
        "get /accounts/{id}/transfers",
        "get /transfers",
        "get /sites",
        "post /sites",
        "get /sites/{id}",
        "put /sites/{id}",
        "delete /sites/{id}",
        "get /sites/{id}/allocation",
        "put /sites/{id}/allocation",
        "delete /sites/{id}/allocation",
        "get /sites/{id}/usage",
        "post /sites/{id}/purge",
        "get /audit",
        "post /estimate",
        "get /test-clock",
        "post /test-clock",
    ];
    let routes: BTreeSet<_> = routes.iter().map(|route| route.replace(" /", " /api/v1/")).collect();
    assert_eq!(found, routes);
    for (method, path, _) in operations(&document) {
        let path = path.replace("/api/v1", "").replace("{id}", "x").replace("{key_id}", "y");
        let answer = server.ask("wrong", &method.to_uppercase(), &path, Value::Null).await;
        let expected = if path == "/openapi.json" { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        assert_eq!(answer.status, expected, "{method} {path}");
    }
}

#[tokio::test]
async fn every_operation_has_a_summary_a_name_of_its_own_and_all_its_answers() {
    let (_server, document) = described().await;
    let mut names = HashSet::new();
    for (method, path, operation) in operations(&document) {
        let name = operation["operationId"].as_str().unwrap();
        assert!(names.insert(name), "{name}");
        assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{method} {path}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{method} {path}");
        let mut expected = Vec::new();
        if !path.ends_with("/openapi.json") {
            expected.extend(["401", "503"]);
        }
        if path.contains('{') {
            expected.push("404");
        }
        if operation.get("requestBody").is_some() {
            expected.extend(["400", "413", "415"]);
        }
        for status in expected {
            assert!(responses.contains_key(status), "{method} {path}: {status}");
        }
        for (status, response) in responses.iter().filter(|(status, _)| status.starts_with(['4', '5'])) {
            let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Problem", "{method} {path}: {status}");
        }
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let (_server, document) = described().await;
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 50);
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn the_plans_in_effect_are_the_ones_that_may_be_given() {
    let (server, document) = described().await;
    let plans = &document["components"]["schemas"]["PlanId"]["enum"];
    assert!(plans.as_array().unwrap().contains(&"starter".into()), "{plans}");

    let text = "currency = 'EUR'\n[[plan]]\nid = 'solo'\nname = 'Solo'\nprice = '1.00'\nmonthly_credits = 5";
    server.api.ledger.set_catalogue(Catalogue::parse(text).unwrap());
    let document = server.get("/openapi.json").await.body;
    assert_eq!(document["components"]["schemas"]["PlanId"]["enum"], json!(["solo"]));
}

#[tokio::test]
async fn what_is_refused_when_unknown_is_described_as_closed() {
    let (_server, document) = described().await;
    for (method, path, operation) in operations(&document) {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        let Some(reference) = schema.as_str() else { continue };
        let schema = document.pointer(reference.trim_start_matches('#')).unwrap();
        let schemas = match schema["oneOf"].as_array() {
            Some(several) => several.iter().map(|one| &one["$ref"]).collect(),
            None => vec![&operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]],
        };
        for reference in schemas {
            let schema = document.pointer(reference.as_str().unwrap().trim_start_matches('#')).unwrap();
            assert_eq!(schema["additionalProperties"], false, "{method} {path}");
        }
    }
}
