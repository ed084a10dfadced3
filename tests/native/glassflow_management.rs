//! The requests and responses of the management API of GlassFlow.

use eventferry::base::error::Code;
use eventferry::glassflow::management::types::{Pipelines, Space};
use eventferry::glassflow::management::{Answer, Body, Operation, error_code};
use serde_json::{Value, json};

/// Method, path, query and JSON body of an operation; `None` for an id that is no segment of a path.
fn planned(operation: Value) -> Option<(String, String, Value)> {
    let operation: Operation<Value> = serde_json::from_value(operation).expect("an operation");
    let mut numbers = Vec::new();
    let plan = operation.plan(&mut numbers)?;
    let query: Vec<String> = plan.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let body = match plan.body {
        Body::Empty => Value::Null,
        Body::Object(object) => serde_json::to_value(object).expect("a body"),
        Body::Json(text) => serde_json::from_str(text).expect("JSON"),
        Body::Form { code, requirements } => json!({ "file": code, "requirementsTxt": requirements }),
    };
    Some((format!("{} {}", plan.method, plan.path), query.join("&"), body))
}

#[test]
fn every_operation_has_the_path_of_the_api() {
    let id = "p/1";
    let cases = [
        (json!({ "listPipelines": { "spaceIds": ["a", "b"] } }), "GET /pipelines", "space_id=a&space_id=b"),
        (json!({ "fetchPipeline": { "id": id } }), "GET /pipelines/p%2F1", ""),
        (json!({ "deletePipeline": { "id": id } }), "DELETE /pipelines/p%2F1", ""),
        (json!({ "listAccessTokens": { "id": id } }), "GET /pipelines/p%2F1/access_tokens", ""),
        (json!({ "fetchCode": { "id": id } }), "GET /pipelines/p%2F1/functions/main/artifacts/latest", ""),
        (
            json!({ "listLogs": { "id": id, "pageSize": 50, "pageToken": "t", "severityCode": 100 } }),
            "GET /pipelines/p%2F1/functions/main/logs",
            "page_size=50&page_token=t&severity_code=100",
        ),
        (json!({ "listSpaces": {} }), "GET /spaces", ""),
        (json!({ "deleteSpace": { "id": "s 1" } }), "DELETE /spaces/s%201", ""),
        (json!({ "listSecrets": {} }), "GET /secrets", ""),
        (json!({ "deleteSecret": { "key": "K" } }), "DELETE /secrets/K", ""),
    ];
    for (operation, path, query) in cases {
        assert_eq!(planned(operation), Some((path.to_owned(), query.to_owned(), Value::Null)));
    }
}

#[test]
fn a_new_pipeline_is_written_in_snake_case_without_what_it_lacks() {
    let pipeline = json!({
        "name": "n", "spaceId": "s1", "metadata": { "myKey": 1 }, "transformationFunction": "code", "state": "running",
        "sinkConnector": { "kind": "webhook", "config": { "url": "u" } },
    });
    let (path, _, body) = planned(json!({ "createPipeline": pipeline })).expect("a plan");
    assert_eq!(path, "POST /pipelines");
    assert_eq!(
        body.to_string(),
        json!({
            "name": "n", "space_id": "s1", "metadata": { "myKey": 1 }, "transformation_function": "code",
            "source_connector": null, "sink_connector": { "kind": "webhook", "config": { "url": "u" } },
            "state": "running",
        })
        .to_string()
    );
}

#[test]
fn a_change_leaves_out_the_connectors_that_stay() {
    let changes = json!({ "name": "n", "state": "paused", "metadata": {} });
    let (path, _, body) =
        planned(json!({ "changePipeline": { "id": "p", "changes": changes } })).expect("a plan");
    assert_eq!(
        (path.as_str(), body),
        ("PATCH /pipelines/p", json!({ "name": "n", "state": "paused", "metadata": {} }))
    );
}

#[test]
fn code_is_sent_as_a_form_and_an_event_as_it_is() {
    let upload = json!({ "uploadCode": { "id": "p", "code": "def", "requirements": "x==1" } });
    let (path, _, body) = planned(upload).expect("a plan");
    assert_eq!(
        (path.as_str(), body),
        ("POST /pipelines/p/functions/main/artifacts", json!({ "file": "def", "requirementsTxt": "x==1" }))
    );
    let test = json!({ "testPipeline": { "id": "p", "event": "{\"n\":1}" } });
    let (path, _, body) = planned(test).expect("a plan");
    assert_eq!((path.as_str(), body), ("POST /pipelines/p/functions/main/test", json!({ "n": 1 })));
}

#[test]
fn an_id_that_is_no_segment_of_a_path_has_no_request() {
    for id in ["", ".", ".."] {
        assert_eq!(planned(json!({ "deletePipeline": { "id": id } })), None);
        assert_eq!(planned(json!({ "deleteSpace": { "id": id } })), None);
        assert_eq!(planned(json!({ "deleteSecret": { "key": id } })), None);
    }
}

#[test]
fn responses_are_read_in_snake_case_and_may_lack_what_is_not_needed() {
    let list = json!({ "total_amount": 2, "pipelines": [
        { "id": "1", "name": "a", "space_id": "s", "created_at": "2024", "metadata": { "my_key": null }, "new": 1 },
        { "id": "2", "name": "b", "space_name": null },
    ] });
    let read: Pipelines<Value> = serde_json::from_value(list).expect("a list");
    let written = serde_json::to_value(read).expect("a value");
    assert_eq!(written["totalAmount"], 2);
    assert_eq!(written["pipelines"][0]["spaceId"], "s");
    assert_eq!(written["pipelines"][0]["metadata"], json!({ "my_key": null }));
    assert_eq!(written["pipelines"][1]["spaceName"], Value::Null);
    assert!(serde_json::from_value::<Space>(json!({ "id": "1" })).is_err());
}

#[test]
fn the_statuses_of_the_api_have_codes_of_their_own() {
    let codes = [401, 404, 409, 425, 429, 400, 500, 302].map(error_code);
    let expected = [
        Code::Unauthorized,
        Code::NotFound,
        Code::Conflict,
        Code::NotReady,
        Code::RateLimited,
        Code::Rejected,
        Code::Unavailable,
        Code::Redirected,
    ];
    assert_eq!(codes, expected.map(Some));
    assert_eq!([200, 201, 204].map(error_code), [None; 3]);
}

#[test]
fn each_operation_reads_its_own_response() {
    let answer = |operation: Value| {
        let operation: Operation<Value> = serde_json::from_value(operation).expect("an operation");
        let mut numbers = Vec::new();
        operation.plan(&mut numbers).expect("a plan").answer
    };
    assert_eq!(answer(json!({ "listSpaces": {} })), Answer::Spaces);
    assert_eq!(answer(json!({ "createSpace": { "name": "s" } })), Answer::Space);
    assert_eq!(answer(json!({ "createSecret": { "key": "k", "value": "v" } })), Answer::Ignored);
    assert_eq!(answer(json!({ "testPipeline": { "id": "p", "event": "1" } })), Answer::Event);
}
