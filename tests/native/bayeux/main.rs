//! The Bayeux and Salesforce clients in a simulation: one test for each scenario of
//! `tests/vectors/bayeux_scenarios.json`.
//!
//! `SCENARIO=hs-01 cargo test --test bayeux hs_01 -- --nocapture` also prints the records of that scenario.

// Some scenarios resume a session or follow `advice.hosts`, which no client in JavaScript does: WebAssembly has no code for it.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it is for"
)]

mod application;
mod expectations;
mod scenarios;
mod scripted_server;
mod simulation;
mod test_client;

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Declares a test for each scenario; the ids have `_` instead of `-`. Those under `ignored` cannot be run
/// against the state machine.
macro_rules! scenarios {
    (run: [$($id:ident)*] ignored: [$($ignored:ident = $reason:literal)*]) => {
        const RUN: &[&str] = &[$(stringify!($id)),*];
        const IGNORED: &[&str] = &[$(stringify!($ignored)),*];
        $(#[test] fn $id() { run(stringify!($id)); })*
        $(#[test] #[ignore = $reason] fn $ignored() { run(stringify!($ignored)); })*
    };
}

scenarios! {
    run: [
        hs_01 hs_02 hs_05 hs_07 hs_08 hs_09 hs_10 hs_11 hs_12 hs_13 hs_14 hs_15
        cn_01 cn_02 cn_04 cn_05 cn_06 cn_07 cn_08 cn_09 cn_10 cn_11 cn_12 cn_13 cn_14 cn_15 cn_16 cn_17 cn_18 cn_19 cn_20 cn_22
        sb_01 sb_02 sb_03 sb_04 sb_05 sb_07 sb_08 sb_09 sb_10 sb_12 sb_13
        dc_01 dc_02 dc_03 dc_04
        ws_01 ws_02 ws_03 ws_04 ws_05 ws_06
        ex_01 ex_02 ex_03 ex_06 ex_07
        ck_01 ck_03 ck_04 ck_05 ck_06
        sf_01 sf_02 sf_04 sf_05 sf_07 sf_08 sf_09 sf_10 sf_11 sf_12 sf_13 sf_14 sf_15 sf_16 sf_17 sf_20 sf_21 sf_22 sf_23 sf_24 sf_25 sf_27 sf_28 sf_29 sf_30 sf_31 sf_32 sf_33 sf_34 sf_35 sf_37 sf_38
    ]
    ignored: [
        sb_11 = "listeners are dispatched in JavaScript"
        ex_05 = "timesync is not offered: nothing needs the clock of the server"
        ex_08 = "extensions of the application run in JavaScript"
        ck_02 = "credentials are set in JavaScript"
        hs_03 = "contradicts ws-01, which opens the socket before the first request"
    ]
}

/// The JavaScript tests of scenarios about the JavaScript part of the client.
const TESTED_IN_JAVASCRIPT: &[(&str, &str, &str)] = &[
    (
        "sb_11",
        "tests/js/bayeux-client.test.mjs",
        "listeners get the messages of their channels one after the other, the inbox gets the others",
    ),
    ("ex_08", "tests/js/bayeux-client.test.mjs", "extensions see all messages, and can change and drop them"),
    (
        "ck_02",
        "tests/js/bayeux-browser.test.mjs",
        "in a browser the platform sends cookies, and the client sets none",
    ),
];

static PASSED: AtomicUsize = AtomicUsize::new(0);

fn run(name: &str) {
    let id = name.replace('_', "-");
    let all = scenarios::load();
    let scenario =
        all.iter().find(|one| one["id"] == *id).unwrap_or_else(|| panic!("there is no scenario {id}"));
    scenarios::validate(scenario).unwrap_or_else(|why| panic!("{id}: {why}"));
    let simulation = application::run(scenario);
    if std::env::var("SCENARIO").is_ok_and(|wanted| wanted == id) {
        for (at, record) in &simulation.records {
            eprintln!("{at:>8} {record:?}");
        }
    }
    expectations::check(scenario, &simulation)
        .unwrap_or_else(|why| panic!("{id} {}\n  {why}", scenario["title"]));
    if IGNORED.contains(&name) {
        return;
    }
    if PASSED.fetch_add(1, Ordering::Relaxed) + 1 == RUN.len() {
        // Not `println!`, whose output is hidden when the test passes.
        writeln!(std::io::stdout(), "\nbayeux: {} cases passed", RUN.len()).expect("standard output");
    }
}

#[test]
fn every_scenario_has_a_test() {
    let all = scenarios::load();
    let mut ids =
        all.iter().map(|one| one["id"].as_str().expect("an id").replace('-', "_")).collect::<Vec<_>>();
    let mut names = [RUN, IGNORED].concat();
    ids.sort();
    names.sort_unstable();
    assert_eq!(ids, names);
}

#[test]
fn scenarios_of_the_javascript_side_have_their_tests() {
    for (name, file, test) in TESTED_IN_JAVASCRIPT {
        assert!(IGNORED.contains(name), "{name} is run here");
        let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(text.contains(&format!("test(\"{test}\"")), "{file} has no test {test:?}");
    }
}
