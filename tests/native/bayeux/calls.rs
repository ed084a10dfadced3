//! The calls that the application makes in a scenario, and the run of it.

use eventferry::base::time::Moment;
use serde_json::Value;

use crate::world::{Coming, World, text};

/// What the test does, and when: as the case says, or what its script is evidently waiting for.
pub(crate) fn calls(case: &Value) -> Vec<(u64, String)> {
    pub(crate) const HELD: u64 = 100;
    let id = case["id"].as_str().unwrap_or_default();
    let subscribed: Vec<String> =
        case["client"]["subscribed"].as_array().into_iter().flatten().map(text).collect();
    let mut calls: Vec<(u64, String)> =
        subscribed.iter().map(|channel| (0, format!("subscribe {channel}"))).collect();
    let say = |at: u64, words: &[&str]| words.iter().map(|word| (at, (*word).to_owned())).collect::<Vec<_>>();
    let special = match id {
        "hs-02" => say(0, &["subscribe /a", "subscribe /b"]),
        "cn-06" => say(HELD, &["subscribe /a", "publish /p"]),
        "cn-20" => (0..5).map(|at| (HELD + at, "publish /pub".to_owned())).collect(),
        "cn-22" => say(HELD, &["jump 600000"]),
        "sb-03" => say(HELD, &["subscribe /a", "subscribe /a"]),
        "sb-04" => [
            say(HELD, &["subscribe /a", "subscribe /a"]),
            say(HELD + 50, &["unsubscribe /a", "unsubscribe /a"]),
        ]
        .concat(),
        "sb-08" => say(HELD, &["publish /chat"]),
        "sb-10" => say(HELD, &["publish /pub"]),
        "dc-01" | "dc-02" => say(HELD, &["close"]),
        "dc-03" => say(HELD, &["close"]),
        "dc-04" => say(HELD, &["subscribe /a"]).into_iter().chain(say(HELD + 10, &["close"])).collect(),
        "ws-04" => say(HELD, &["subscribe /a"]),
        // The second one shows where the refused one has left its channel.
        "sf-15" => [say(0, &["subscribe /event/A__e"]), say(60_000, &["subscribe /event/A__e"])].concat(),
        "sf-21" => say(0, &["subscribe /event/A__e", "subscribe /event/B__e"]),
        "sf-32" => (0..400).map(|at| (HELD, format!("subscribe /event/Channel_{at}__e"))).collect(),
        "sf-34" => say(0, &["subscribe /event/A__e"]),
        "sf-38" => say(HELD, &["publish /event/A__e"]),
        _ => Vec::new(),
    };
    if !special.is_empty() {
        calls.extend(special);
        return calls;
    }
    // What the script grants or refuses, somebody must have asked for.
    for step in case["server_script"].as_array().into_iter().flatten() {
        for reply in step["reply"].as_array().into_iter().flatten() {
            let channel = text(&reply["subscription"]);
            let call =
                (if case["client"]["salesforce"] == true { 0 } else { HELD }, format!("subscribe {channel}"));
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

pub(crate) fn run(case: &Value) -> World {
    let mut world = World::new(case);
    let calls = calls(case);
    let (early, late): (Vec<_>, Vec<_>) = calls.into_iter().partition(|(at, _)| *at == 0);
    let resume = &case["client"]["resume"];
    let op = if resume.is_null() {
        for (_, call) in early {
            world.call(&call);
        }
        world.peer.session().open(Moment::default())
    } else {
        let list = |name: &str| resume[name].as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
        world.peer.session().resume(
            Moment::default(),
            resume["clientId"].as_str().unwrap_or_default(),
            &list("cookies").join("; "),
            &list("subscriptions"),
        )
    };
    world.ops.insert(op.0, "open".to_owned());
    for (at, call) in late {
        world.later(at, Coming::Call(call));
    }
    // As long as something can still come; a client in good order never stops polling.
    for _ in 0..3000 {
        if world.now > 2_000_000 || !world.step() {
            break;
        }
    }
    world
}
