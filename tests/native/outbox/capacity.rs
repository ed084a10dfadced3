//! Rollback, the byte limit, pausing and purging.

use eventferry::outbox::effect::Effect;
use eventferry::outbox::{Options, Overflow};

use super::world::{FailureRates, SESSION, World, commit, small};

#[test]
fn rolling_back_drops_only_staged_events() {
    let mut world = World::new(small(), 1, FailureRates::default());
    let events = commit(&mut world, 3);
    world.publish(SESSION, 100, 0);
    world.publish(SESSION, 100, 0);
    assert_eq!(world.machine.roll_back(SESSION), 2);
    world.staged.clear();
    assert_eq!(world.machine.roll_back(SESSION), 0);
    world.finish();
    assert_eq!(world.first_deliveries, events);
}

#[test]
fn a_full_outbox_refuses_events_until_others_are_delivered() {
    let options = Options { max_bytes: 250, ..small() };
    let mut world = World::new(options, 1, FailureRates::default());
    commit(&mut world, 2);
    assert_eq!(world.publish(SESSION, 100, 0), None);
    assert!(world.effects.contains(&Effect::Pressure(true)));
    world.finish();
    assert!(world.effects.contains(&Effect::Pressure(false)));
    assert!(world.publish(SESSION, 100, 0).is_some());
    assert_eq!(world.machine.counters().refused, 1);
}

#[test]
fn waiting_events_are_written_when_there_is_free_space() {
    let options = Options { max_bytes: 250, overflow: Overflow::Wait, ..small() };
    let mut world = World::new(options, 1, FailureRates::default());
    commit(&mut world, 2);
    commit(&mut world, 2);
    assert_eq!(world.publish(SESSION, 200, 0), None, "nothing is staged beyond twice the limit");
    world.run_for(5);
    assert!(world.store.segments.len() <= 1);
    world.finish();
    assert_eq!(world.deliveries.len(), 4);
}

#[test]
fn pausing_keeps_all_events_and_purging_deletes_them() {
    let mut world = World::new(small(), 1, FailureRates::default());
    world.machine.pause(world.moment(), true);
    commit(&mut world, 30);
    world.run_for(60_000);
    assert_eq!((world.requests.len(), world.machine.counters().pending()), (0, 30));
    assert_eq!(world.machine.purge(world.moment()), 30);
    world.run_machine();
    world.store.segments.clear();
    world.finish();
    assert!(world.deliveries.is_empty());
    assert_eq!(world.machine.bytes(), 0);
}
