//! Bayeux and Salesforce in a simulated world: the scripted scenarios of `tests/vectors/bayeux_scenarios.json`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it is for"
)]

mod calls;
mod client;
mod expectations;
mod server;
mod world;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::calls::run;
use crate::expectations::check;

/// Scenarios that speak of what is not in the machine, and where that is tried.
const ELSEWHERE: &[(&str, &str)] = &[
    ("sb-11", "listeners are dispatched by js/bayeux.ts, see tests/js/bayeux-client.test.mjs"),
    ("sb-13", "one subscribe message speaks of one channel; several go in one request"),
    ("ex-05", "timesync is not offered: nothing here needs the clock of the server"),
    ("ex-08", "extensions of the application run in js/bayeux.ts, see tests/js/bayeux-client.test.mjs"),
    ("ck-02", "credentials are set by js/bayeux.ts, see tests/js/bayeux-browser.test.mjs"),
    // With both transports, ws-01 opens a socket before it has asked, and hs-03 asks by HTTP before it opens one: one of them cannot be.
    ("hs-03", "contradicts ws-01, which opens the socket first"),
];

#[test]
fn scripted_scenarios() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/cases/bayeux_scenarios.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        return eprintln!("skipped: the scenarios are not here");
    };
    let cases: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let only = std::env::var("SCENARIO").unwrap_or_default();
    let (mut passed, mut failures, mut unseen) = (0, Vec::new(), BTreeMap::<String, Vec<String>>::new());
    for case in cases.iter().filter(|case| case["id"].as_str().is_some_and(|id| id.contains(&only))) {
        let id = case["id"].as_str().expect("an id");
        if let Some((_, why)) = ELSEWHERE.iter().find(|(other, _)| *other == id) {
            eprintln!("{id} is not run here: {why}");
            continue;
        }
        let world = run(case);
        match check(case, &world) {
            Ok(names) => {
                passed += 1;
                for name in names {
                    unseen.entry(name).or_default().push(id.to_owned());
                }
            }
            Err(why) => failures.push(format!("{id} {}\n  {why}", case["title"])),
        }
        if !only.is_empty() {
            for (at, fact) in &world.facts {
                eprintln!("{at:>8} {fact:?}");
            }
        }
    }
    eprintln!("{passed} scenarios passed; not looked at: {unseen:?}");
    assert!(failures.is_empty(), "{} of {} scenarios:\n{}", failures.len(), cases.len(), failures.join("\n"));
}
