//! Reads the scenario file. An unknown member is an error, so that no part of a scenario is ignored.

use serde_json::Value;

const CASE_KEYS: &[&str] = &["id", "title", "client", "server_script", "expect", "why", "source"];
const CLIENT_KEYS: &[&str] = &[
    "salesforce",
    "transports",
    "transport",
    "scheme",
    "environment",
    "extensions",
    "followHosts",
    "mode",
    "auth",
    "apiVersion",
    "replay",
    "replayFallback",
    "subscribed",
    "resume",
    "highWaterMark",
    // Documentation: subscribing again is the only gap recovery of the client.
    "gapRecovery",
    // Documentation: the call of the application that names several channels.
    "arraySubscribe",
];
const STEP_KEYS: &[&str] = &[
    "on",
    "via",
    "host",
    "reply",
    "raw_reply",
    "raw",
    "json",
    "body",
    "status",
    "headers",
    "set_cookie",
    "joined_set_cookie",
    "delay",
    "drop",
    "hang",
    "repeat_for_ms",
    "push",
    "then",
    "accept",
    "ws_close",
    // Documentation: the intention of the server.
    "note",
    // Documentation: the client does not see the content type of a response and decides by its body.
    "ctype",
    // Documentation: a client does not see the status that refuses a WebSocket; a step without `accept`
    // refuses it.
    "refuse",
];
const HEADERS: &[&str] = &[
    "Retry-After",
    // Documentation: a redirect is never followed, so its target does not matter.
    "Location",
];

/// All scenarios. Panics if the file is missing.
pub(crate) fn load() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/bayeux_scenarios.json");
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("tests/vectors/bayeux_scenarios.json: {error}"));
    serde_json::from_str(&text).expect("tests/vectors/bayeux_scenarios.json is a JSON array")
}

/// Fails at the first member of an object that is not in `known`.
pub(crate) fn only_known(object: &Value, known: &[&str], place: &str) -> Result<(), String> {
    let members =
        object.as_object().ok_or_else(|| format!("{place} must be an object; received {object}"))?;
    match members.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!("the runner does not know the key {key:?} of {place}: {object}")),
        None => Ok(()),
    }
}

fn one_of(value: &Value, known: &[&str], place: &str) -> Result<(), String> {
    let is_known = value.is_null() || value.as_str().is_some_and(|value| known.contains(&value));
    if is_known { Ok(()) } else { Err(format!("the runner does not know the {place} {value}")) }
}

fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// Fails if the scenario has a member or value for client or server that the runner does not support.
pub(crate) fn validate(case: &Value) -> Result<(), String> {
    only_known(case, CASE_KEYS, "the scenario")?;
    if case["expect"].as_array().is_none_or(Vec::is_empty) {
        return Err("the scenario expects nothing".to_owned());
    }
    let client = &case["client"];
    if !client.is_null() {
        only_known(client, CLIENT_KEYS, "client")?;
        one_of(&client["transport"], &["websocket"], "client.transport")?;
        one_of(&client["scheme"], &["http", "https"], "client.scheme")?;
        one_of(&client["environment"], &["browser", "edge"], "client.environment")?;
        one_of(&client["mode"], &["drain"], "client.mode")?;
        one_of(&client["gapRecovery"], &["resubscribe"], "client.gapRecovery")?;
        for name in each(&client["transports"]) {
            one_of(name, &["websocket", "long-polling"], "transport")?;
        }
        for name in each(&client["extensions"]) {
            one_of(name, &["ack"], "extension")?;
        }
        if !client["auth"].is_null() {
            only_known(&client["auth"], &["flow", "securityToken"], "client.auth")?;
            one_of(&client["auth"]["flow"], &["password"], "client.auth.flow")?;
        }
        if !client["resume"].is_null() {
            only_known(&client["resume"], &["clientId", "cookies", "subscriptions"], "client.resume")?;
        }
    }
    for step in each(&case["server_script"]) {
        only_known(step, STEP_KEYS, "a step")?;
        one_of(&step["via"], &["http", "websocket"], "step.via")?;
        one_of(&step["raw"], &["object", "not json"], "step.raw")?;
        if !step["headers"].is_null() {
            only_known(&step["headers"], HEADERS, "step.headers")?;
        }
        for later in each(&step["then"]) {
            only_known(later, &["after_ms", "reply"], "step.then")?;
        }
        let on = step["on"].as_str().unwrap_or_default();
        if !["/", "batch:/", "POST /"].iter().any(|start| on.starts_with(start))
            && !["*", "ws:open"].contains(&on)
        {
            return Err(format!("the runner does not know the step.on {on:?}"));
        }
    }
    Ok(())
}
