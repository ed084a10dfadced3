//! Hidden pages, and tabs that share a store.

use eventferry::outbox::Options;
use eventferry::outbox::session::Grouping;

use super::world::{FailureRates, SESSION, World, commit, small};

#[test]
fn a_hidden_page_sends_a_separate_segment_in_one_request() {
    let mut world = World::new(small(), 1, FailureRates::default());
    world.run_for(500);
    for _ in 0..4 {
        world.publish(SESSION, 10, 7).expect("it fits");
    }
    world.commit_as(SESSION, Grouping::Separate(1));
    world.rates.refused = 100;
    world.machine.page_hidden(world.moment(), 1000, false);
    world.run_machine();
    world.finish();
    // The request failed, and the page was not closed.
    assert_eq!(world.requests.iter().map(|(_, events)| events.len()).collect::<Vec<_>>(), [4, 1, 1, 1, 1]);
}

#[test]
fn a_hidden_page_sends_unwritten_events_within_the_budget() {
    let mut world = World::new(small(), 1, FailureRates::default());
    commit(&mut world, 15);
    world.machine.page_hidden(world.moment(), 1200, false);
    world.run_machine();
    let sent: Vec<usize> = world.requests.iter().map(|(_, events)| events.len()).collect();
    assert_eq!(sent, [10, 2]);
    world.finish();
    assert_eq!((world.deliveries.len(), world.duplicates()), (15, 0));
}

/// Where a request carries one event, the server would ignore a second one in the body.
#[test]
fn a_hidden_page_respects_the_batch_limit() {
    let mut world =
        World::new(Options { batch_events: 1, concurrency: 6, ..small() }, 1, FailureRates::default());
    commit(&mut world, 15);
    world.machine.page_hidden(world.moment(), 1200, false);
    world.run_machine();
    let sent: Vec<usize> = world.requests.iter().map(|(_, events)| events.len()).collect();
    assert_eq!(sent, [1; 12]);
    world.finish();
    assert_eq!((world.deliveries.len(), world.duplicates()), (15, 0));
}

#[test]
fn a_hidden_page_with_prepared_bodies_sends_one_segment_per_request() {
    let mut world = World::new(small(), 1, FailureRates::default());
    for _ in 0..3 {
        commit(&mut world, 2);
    }
    world.machine.page_hidden(world.moment(), 10_000, true);
    world.run_machine();
    assert_eq!(world.requests.iter().map(|(_, events)| events.len()).collect::<Vec<_>>(), [2, 2, 2]);
    world.finish();
    assert_eq!((world.deliveries.len(), world.duplicates()), (6, 0));
}

#[test]
fn a_follower_stores_and_does_not_send() {
    let mut world = World::new(small(), 1, FailureRates::default());
    world.machine.set_leader(world.moment(), false);
    commit(&mut world, 3);
    world.run_for(60_000);
    assert_eq!((world.requests.len(), world.accepted.len(), world.store.segments.len()), (0, 3, 1));
    world.machine.set_leader(world.moment(), true);
    world.run_for(60_000);
    assert_eq!(world.deliveries.len(), 3);
}

#[test]
fn a_follower_does_not_wait_for_events_that_others_stored() {
    let mut world = World::new(small(), 1, FailureRates { hangs: 100, ..FailureRates::default() });
    commit(&mut world, 25);
    world.run_for(50);
    world.crash();
    assert_eq!(world.machine.counters().pending(), 25, "until it is known who leads");
    world.machine.set_leader(world.moment(), false);
    world.run_machine();
    assert_eq!(world.machine.counters().pending(), 0);
    world.finish();
    assert_eq!(world.deliveries.len(), 25);
}

#[test]
fn a_hidden_follower_leaves_what_was_stored_meanwhile_to_the_leader_after_a_failure() {
    let mut world = World::new(small(), 1, FailureRates { refused: 100, ..FailureRates::default() });
    world.machine.set_leader(world.moment(), false);
    commit(&mut world, 3);
    world.machine.page_hidden(world.moment(), 10_000, false);
    world.run_for(60_000);
    assert_eq!((world.requests.len(), world.accepted.len(), world.store.segments.len()), (1, 3, 1));
    world.rates = FailureRates::default();
    world.machine.set_leader(world.moment(), true);
    world.run_for(60_000);
    assert_eq!((world.deliveries.len(), world.duplicates()), (3, 0));
}
