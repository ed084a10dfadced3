//! The calls of the application in a scenario, and the run of a scenario.

use eventferry::bayeux::session::Input;
use serde_json::Value;

use crate::simulation::{Scheduled, Simulation, text};

/// The calls of the application and their times: those that the scenario names, or those that its script
/// needs.
pub(crate) fn calls(case: &Value) -> Vec<(u64, String)> {
    /// By then the client of each script is connected.
    const ONCE_CONNECTED_MS: u64 = 100;
    let id = case["id"].as_str().unwrap_or_default();
    let subscribed: Vec<String> =
        case["client"]["subscribed"].as_array().into_iter().flatten().map(text).collect();
    let mut calls: Vec<(u64, String)> =
        subscribed.iter().map(|channel| (0, format!("subscribe {channel}"))).collect();
    let at = |ms: u64, calls: &[&str]| calls.iter().map(|call| (ms, (*call).to_owned())).collect::<Vec<_>>();
    let special = match id {
        "hs-02" => at(0, &["subscribe /a", "subscribe /b"]),
        "cn-06" => at(ONCE_CONNECTED_MS, &["subscribe /a", "publish /p"]),
        "cn-20" => (0..5).map(|at| (ONCE_CONNECTED_MS + at, "publish /pub".to_owned())).collect(),
        "cn-22" => at(ONCE_CONNECTED_MS, &["jump 600000"]),
        "sb-03" => at(ONCE_CONNECTED_MS, &["subscribe /a", "subscribe /a"]),
        "sb-04" => [
            at(ONCE_CONNECTED_MS, &["subscribe /a", "subscribe /a"]),
            at(ONCE_CONNECTED_MS + 50, &["unsubscribe /a", "unsubscribe /a"]),
        ]
        .concat(),
        "sb-08" => at(ONCE_CONNECTED_MS, &["publish /chat"]),
        "sb-10" => at(ONCE_CONNECTED_MS, &["publish /pub"]),
        "sb-13" => at(ONCE_CONNECTED_MS, &["subscribe-together /a,/b/**"]),
        "dc-01" | "dc-02" => at(ONCE_CONNECTED_MS, &["close"]),
        "dc-03" => at(ONCE_CONNECTED_MS, &["close"]),
        "dc-04" => at(ONCE_CONNECTED_MS, &["subscribe /a"])
            .into_iter()
            .chain(at(ONCE_CONNECTED_MS + 10, &["close"]))
            .collect(),
        "ws-04" => at(ONCE_CONNECTED_MS, &["subscribe /a"]),
        // The second subscription shows the replay id after the first was refused.
        "sf-15" => [at(0, &["subscribe /event/A__e"]), at(60_000, &["subscribe /event/A__e"])].concat(),
        "sf-21" => at(0, &["subscribe /event/A__e", "subscribe /event/B__e"]),
        "sf-32" => {
            (0..400).map(|at| (ONCE_CONNECTED_MS, format!("subscribe /event/Channel_{at}__e"))).collect()
        }
        "sf-34" => at(0, &["subscribe /event/A__e"]),
        "sf-38" => at(ONCE_CONNECTED_MS, &["publish /event/A__e"]),
        _ => Vec::new(),
    };
    if !special.is_empty() {
        calls.extend(special);
        return calls;
    }
    // A reply to a subscription in the script needs a subscription.
    for step in case["server_script"].as_array().into_iter().flatten() {
        for reply in step["reply"].as_array().into_iter().flatten() {
            let channel = text(&reply["subscription"]);
            let call = (
                if case["client"]["salesforce"] == true { 0 } else { ONCE_CONNECTED_MS },
                format!("subscribe {channel}"),
            );
            if reply["channel"] == "/meta/subscribe"
                && !calls.iter().any(|(_, other)| *other == call.1)
                && case["client"]["resume"].is_null()
            {
                calls.push(call);
            }
        }
    }
    calls
}

/// Runs a scenario until nothing more can happen.
pub(crate) fn run(case: &Value) -> Simulation {
    let mut simulation = Simulation::new(case);
    let calls = calls(case);
    let (early, late): (Vec<_>, Vec<_>) = calls.into_iter().partition(|(at, _)| *at == 0);
    let resume = &case["client"]["resume"];
    if resume.is_null() {
        for (_, call) in early {
            simulation.call(&call);
        }
        let op = simulation.op("open");
        simulation.input(Input::Open(op));
    } else {
        let list = |name: &str| resume[name].as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
        let op = simulation.op("open");
        let (client_id, cookies) = (text(&resume["clientId"]), list("cookies").join("; "));
        simulation.input(Input::Resume { op, client_id, cookies, channels: list("subscriptions") });
    }
    for (at, call) in late {
        simulation.schedule(at, Scheduled::Call(call));
    }
    // A healthy client never stops polling, so the number of steps and the time are limited.
    for _ in 0..3000 {
        if simulation.now > 2_000_000 || !simulation.step() {
            break;
        }
    }
    simulation
}
