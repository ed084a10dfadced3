//! The management API of GlassFlow: builds a request, sends it with a `fetch` of JavaScript and reads the response.
//! The only user of gloo-net, serde and serde-wasm-bindgen that reads what a server sends.

use gloo_net::http::{Headers, QueryParams, Response};
use js_sys::{Array, Function, JSON, Promise, Uint8Array};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_wasm_bindgen::{Serializer, from_value};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{AbortSignal, Blob, FormData, RequestInit, RequestRedirect};

use crate::base::error::Code;
use crate::glassflow::management::types::{
    AccessTokens, Artifact, Environment, Logs, Pipeline, Pipelines, Secrets, Space, Spaces,
};
use crate::glassflow::management::{Answer, Body, Operation, Plan, error_code};

/// A JSON value that is passed on unread.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Unread(#[serde(with = "serde_wasm_bindgen::preserve")] JsValue);

/// Why an operation failed. `detail`: the body of the response, what `fetch` has thrown, or a sentence.
struct Failure {
    code: Code,
    status: u16,
    detail: JsValue,
}

/// Runs an operation, an object like `{ deleteSpace: { id } }`. `fetch` is called with a URL and options, and resolves
/// with the response and the bytes of its body. Calls `settle` once: with 0, the status and the typed response, or with
/// the number of an error code, the status or 0, and a detail.
#[wasm_bindgen]
pub fn management_call(
    fetch: Function,
    base_url: String,
    organization_id: Option<String>,
    headers: String,
    signal: AbortSignal,
    operation: JsValue,
    settle: Function,
) {
    spawn_local(async move {
        let outcome = run(&fetch, base_url, organization_id, &headers, &signal, operation).await;
        let (code, status, value) = match outcome {
            Ok((status, value)) => (0, status, value),
            Err(Failure { code, status, detail }) => (code as u8 + 1, status, detail),
        };
        // It does not throw.
        drop(settle.call3(&JsValue::UNDEFINED, &code.into(), &status.into(), &value));
    });
}

async fn run(
    fetch: &Function,
    base_url: String,
    organization_id: Option<String>,
    headers: &str,
    signal: &AbortSignal,
    operation: JsValue,
) -> Result<(u16, JsValue), Failure> {
    let failed = |code, detail| Failure { code, status: 0, detail };
    let operation: Operation<Unread> =
        from_value(operation).map_err(|error| failed(Code::Internal, error.to_string().into()))?;
    let mut numbers = Vec::new();
    let plan = operation
        .plan(&mut numbers)
        .ok_or_else(|| failed(Code::InvalidArgument, "an id must be usable in a URL path".into()))?;
    let init = request(&plan, headers, signal).map_err(|error| failed(Code::InvalidArgument, error))?;
    let url = base_url + &plan.path + &query(&plan, organization_id.as_deref());
    let sent = fetch.call2(&JsValue::UNDEFINED, &url.into(), &init);
    let (response, body) = received(sent).await.map_err(|error| failed(Code::Network, error))?;
    let status = response.status();
    match error_code(status) {
        Some(code) => Err(Failure { code, status, detail: body.into() }),
        None => typed(plan.answer, &body).map(|value| (status, value)).map_err(|reason| Failure {
            code: Code::InvalidData,
            status,
            detail: reason.into(),
        }),
    }
}

/// The options of `fetch`. Fails if the user's metadata cannot be written as JSON.
fn request(plan: &Plan<'_, Unread>, lines: &str, signal: &AbortSignal) -> Result<RequestInit, JsValue> {
    let headers = Headers::new();
    for (name, value) in lines.lines().filter_map(|line| line.split_once(": ")) {
        headers.set(name, value);
    }
    let init = RequestInit::new();
    let body: JsValue = match &plan.body {
        Body::Empty => JsValue::UNDEFINED,
        Body::Object(object) => {
            let value = object.serialize(&Serializer::json_compatible())?;
            JSON::stringify(&value)?.into()
        }
        Body::Json(text) => (*text).into(),
        Body::Form { code, requirements } => {
            let form = FormData::new()?;
            let file = Blob::new_with_str_sequence(&Array::of1(&(*code).into()))?;
            form.append_with_blob_and_filename("file", &file, "file")?;
            if let Some(requirements) = requirements {
                form.append_with_str("requirementsTxt", requirements)?;
            }
            form.into()
        }
    };
    // The platform knows the boundary of a form.
    headers.delete("content-type");
    if matches!(plan.body, Body::Object(_) | Body::Json(_)) {
        headers.set("content-type", "application/json");
    }
    init.set_method(plan.method);
    init.set_headers(&headers.into_raw());
    init.set_redirect(RequestRedirect::Manual);
    init.set_signal(Some(signal));
    if !body.is_undefined() {
        init.set_body(&body);
    }
    Ok(init)
}

fn query(plan: &Plan<'_, Unread>, organization_id: Option<&str>) -> String {
    let params = QueryParams::new();
    if let Some(id) = organization_id {
        params.append("organization_id", id);
    }
    for (name, value) in &plan.query {
        params.append(name, value);
    }
    let query = params.to_string();
    if query.is_empty() { query } else { format!("?{query}") }
}

async fn received(sent: Result<JsValue, JsValue>) -> Result<(Response, String), JsValue> {
    let received: Array = JsFuture::from(Promise::resolve(&sent?)).await?.unchecked_into();
    // Without class checks: a test environment may replace the class Response.
    let response = Response::from(received.get(0).unchecked_into::<web_sys::Response>());
    let bytes = received.get(1).unchecked_into::<Uint8Array>().to_vec();
    let text = String::from_utf8_lossy(&bytes);
    Ok((response, text.strip_prefix('\u{FEFF}').unwrap_or(&text).to_owned()))
}

/// Reads a response. The error never quotes what the server sent, which may be a token.
fn typed(answer: Answer, body: &str) -> Result<JsValue, String> {
    match answer {
        Answer::Ignored => Ok(JsValue::UNDEFINED),
        Answer::Event => Ok(body.into()),
        Answer::Pipeline => read::<Pipeline<Unread>>(body),
        Answer::Pipelines => read::<Pipelines<Unread>>(body),
        Answer::AccessTokens => read::<AccessTokens>(body),
        Answer::Artifact => read::<Artifact>(body),
        Answer::Environment => read::<Environment>(body),
        Answer::Logs => read::<Logs<Unread>>(body),
        Answer::Space => read::<Space>(body),
        Answer::Spaces => read::<Spaces>(body),
        Answer::Secrets => read::<Secrets>(body),
    }
}

fn read<T: DeserializeOwned + Serialize>(body: &str) -> Result<JsValue, String> {
    let json = JSON::parse(body).map_err(|_| "it is not JSON".to_owned())?;
    let object: T = from_value(json).map_err(|error| {
        let reason = error.to_string();
        match reason.split_once("missing field ") {
            Some((_, field)) => format!("it has no member {field}"),
            None => "a member has another type than the API describes".to_owned(),
        }
    })?;
    object.serialize(&Serializer::new()).map_err(|error| error.to_string())
}
