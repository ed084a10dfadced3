//! When events are stored, sent and repeated.

use eventferry::base::error::Code;
use eventferry::base::http::Response;
use eventferry::base::ids::ExchangeId;
use eventferry::base::time::Millis;
use eventferry::engine::machine::{Input, Machine};
use eventferry::outbox::Options;

use super::world::{FailureRates, World, commit, request_count, small};

#[test]
fn committed_events_are_stored_sent_and_removed() {
    let mut world = World::new(small(), 1, FailureRates::default());
    let events = commit(&mut world, 25);
    world.finish();
    assert_eq!(world.accepted, events.iter().copied().collect());
    assert_eq!(world.first_deliveries, events);
    assert_eq!(world.requests.iter().map(|(_, events)| events.len()).collect::<Vec<_>>(), [10, 10, 5]);
    assert!(world.store.segments.is_empty());
    let counters = world.machine.counters();
    assert_eq!((counters.accepted, counters.delivered, counters.attempts), (25, 25, 3));
    assert_eq!(world.machine.bytes(), 0);
}

#[test]
fn events_are_not_sent_before_they_are_stored() {
    let mut world = World::new(small(), 1, FailureRates::default());
    commit(&mut world, 3);
    while world.accepted.is_empty() {
        assert!(world.requests.is_empty());
        world.step();
    }
    world.run_for(50);
    assert_eq!((world.accepted.len(), world.requests.len()), (3, 1));
}

#[test]
fn a_failing_store_does_not_prevent_delivery() {
    let mut world = World::new(small(), 1, FailureRates { write_fails: 100, ..FailureRates::default() });
    let events = commit(&mut world, 3);
    world.run_for(10_000);
    assert_eq!(world.first_deliveries, events);
    assert_eq!(world.accepted.len(), 3, "a delivered event counts as accepted");
    let counters = world.machine.counters();
    assert_eq!((counters.accepted, counters.delivered), (3, 3));
    world.finish();
    assert!(world.store.segments.is_empty());
}

#[test]
fn new_events_never_shorten_a_backoff_delay() {
    let mut world = World::new(small(), 1, FailureRates { refused: 100, ..FailureRates::default() });
    for _ in 0..2000 {
        commit(&mut world, 1);
        world.run_for(10);
    }
    assert!(request_count(&world) <= 12, "{} requests in 20 s", request_count(&world));
    world.finish();
    assert_eq!(world.deliveries.len(), 2000);
}

#[test]
fn retry_after_is_honoured_up_to_an_hour() {
    for (asked, expected) in [(5_000, 5_000), (365 * 86_400_000, 3_600_000)] {
        let mut world = World::new(small(), 1, FailureRates { hangs: 100, ..FailureRates::default() });
        commit(&mut world, 1);
        world.run_for(50);
        let response = Response { retry_after: Some(Millis(asked)), ..Response::new(429) };
        world.machine.handle(world.moment(), Input::Exchange(ExchangeId(1), Ok(response)));
        world.run_machine();
        world.rates = FailureRates::default();
        // `online` does not shorten it.
        world.machine.online(world.moment());
        let start = world.now;
        while request_count(&world) < 2 {
            assert!(world.step());
        }
        let delay = world.now - start;
        assert!((expected..expected + 31_000).contains(&delay), "{delay}");
    }
}

#[test]
fn after_many_failures_only_small_probes_are_sent() {
    let options = Options { batch_events: 100, batch_bytes: 1_000_000, ..small() };
    let mut world = World::new(options, 1, FailureRates { refused: 100, ..FailureRates::default() });
    commit(&mut world, 100);
    while request_count(&world) < 12 {
        world.step();
    }
    assert_eq!(world.requests[7].1.len(), 100);
    assert_eq!(world.requests[9].1.len(), 10);
    let gap = world.requests[11].0 - world.requests[10].0;
    assert!(gap >= 15_000, "a probe after {gap} ms");
    world.finish();
    assert_eq!(world.deliveries.len(), 100);
}

#[test]
fn an_expired_event_becomes_a_dead_letter() {
    let options = Options { max_age: Millis(60_000), ..small() };
    let mut world = World::new(options, 1, FailureRates { refused: 100, ..FailureRates::default() });
    commit(&mut world, 3);
    world.run_for(600_000);
    assert_eq!(world.dead.values().collect::<Vec<_>>(), [&Code::Expired; 3]);
    assert_eq!(world.store.dead.len(), 3);
    assert!(world.machine.is_drained());
}

#[test]
fn a_response_that_never_comes_does_not_block_other_requests() {
    let mut world = World::new(small(), 1, FailureRates { hangs: 100, ..FailureRates::default() });
    commit(&mut world, 3);
    world.run_for(16_000);
    assert!(world.machine.counters().attempts >= 1);
    world.finish();
    assert_eq!(world.deliveries.len(), 3);
}

#[test]
fn no_request_exceeds_the_request_budget() {
    let mut world = World::new(small(), 1, FailureRates::default());
    world.machine.allow_requests(world.moment(), 2);
    commit(&mut world, 50);
    world.run_for(60_000);
    assert_eq!(world.deliveries.len(), 20);
    world.machine.allow_requests(world.moment(), 9);
    world.run_for(60_000);
    assert_eq!(world.deliveries.len(), 50);
}

#[test]
fn events_wait_for_others_unless_they_are_flushed() {
    let options = Options { linger: Millis(250), ..small() };
    let mut world = World::new(options, 1, FailureRates::default());
    for _ in 0..4 {
        commit(&mut world, 1);
        world.run_for(40);
    }
    assert!(world.requests.is_empty());
    world.run_for(1000);
    assert_eq!(world.requests.len(), 1);
    commit(&mut world, 1);
    world.machine.flush_now(world.moment());
    world.run_for(30);
    assert_eq!(world.requests.len(), 2);
}

#[test]
fn a_crash_repeats_at_most_one_batch() {
    for seed in 0..300 {
        let mut world = World::new(small(), seed, FailureRates::default());
        for _ in 0..5 {
            commit(&mut world, 7);
            let wait = world.rng.up_to(150);
            world.run_for(wait);
        }
        world.crash();
        world.finish();
        assert!(world.duplicates() <= 10, "{} duplicates", world.duplicates());
    }
}
