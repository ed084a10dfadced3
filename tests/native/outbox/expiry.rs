//! Events that expire by an attribute of their own.

use eventferry::base::error::Code;
use eventferry::base::http::{Failure, Response};
use eventferry::base::ids::ExchangeId;
use eventferry::engine::machine::{Input, Machine};
use eventferry::outbox::expiry::{ExpiryTimes, WallClock};

use super::world::{EventNo, FailureRates, World, commit, request_count, small};

/// Unix time at the zero of the world's clock.
const EPOCH: u64 = 1_700_000_000_000;
/// The `Date` of the destination.
const DATE_UNIX_MS: u64 = 1_700_000_001_000;

/// Commits events that expire at these times, from the start of the world on, in one segment.
fn commit_expiring(world: &mut World, times: &[f64], is_replayed: bool) -> Vec<EventNo> {
    let times: Vec<f64> = times.iter().map(|time| EPOCH as f64 + time).collect();
    let events = commit(world, times.len() as u32);
    let id = *world.bodies.keys().last().expect("a segment");
    world.machine.set_expiry_times(id, ExpiryTimes::new(times, is_replayed));
    events
}

/// The clock here is right.
fn set_own_clock(world: &mut World) {
    world.machine.set_wall_clock(WallClock::own(world.moment(), EPOCH + world.now));
}

/// The destination has confirmed it.
fn confirm_clock(world: &mut World) {
    assert_eq!(world.now, DATE_UNIX_MS - EPOCH, "at this time of the world");
    world.machine.set_wall_clock(WallClock::of_destination(world.moment(), DATE_UNIX_MS));
}

fn world(rates: FailureRates) -> World {
    World::new(small(), 1, rates)
}

#[test]
fn by_a_confirmed_clock_an_expired_event_is_never_sent() {
    let mut world = world(FailureRates::default());
    confirm_clock(&mut world);
    let events = commit_expiring(&mut world, &[f64::NAN, 900.0, 999_000.0, 0.0], false);
    world.run_for(500);
    assert_eq!(world.requests.iter().map(|(_, events)| events.clone()).collect::<Vec<_>>(), [vec![0, 2]]);
    let dead: Vec<(EventNo, Code)> = world.dead.clone().into_iter().collect();
    assert_eq!(dead, [(events[1], Code::ExpiryTime), (events[3], Code::ExpiryTime)]);
    assert_eq!(world.store.dead, [events[1], events[3]].into(), "they are kept");
    let counters = world.machine.counters();
    assert_eq!((counters.accepted, counters.delivered, counters.dead, counters.attempts), (4, 2, 2, 1));
    assert!(world.store.segments.is_empty() && world.machine.is_drained());
}

#[test]
fn a_batch_of_expired_events_makes_no_request() {
    let mut world = world(FailureRates::default());
    confirm_clock(&mut world);
    commit_expiring(&mut world, &[0.0; 12], false);
    world.run_for(500);
    assert_eq!((request_count(&world), world.dead.len(), world.store.dead.len()), (0, 12, 12));
    assert!(world.machine.is_drained());
}

#[test]
fn by_the_clock_here_an_expired_event_is_sent_once() {
    let mut accepting = world(FailureRates::default());
    set_own_clock(&mut accepting);
    let events = commit_expiring(&mut accepting, &[0.0, 0.0], false);
    accepting.run_for(1000);
    assert_eq!((&accepting.first_deliveries, accepting.dead.len()), (&events, 0), "it was in time after all");

    let mut refusing = world(FailureRates { refused: 100, ..FailureRates::default() });
    set_own_clock(&mut refusing);
    let events = commit_expiring(&mut refusing, &[0.0, f64::NAN], false);
    refusing.run_for(60_000);
    assert_eq!(refusing.dead.clone().into_iter().collect::<Vec<_>>(), [(events[0], Code::ExpiryTime)]);
    let with_it = refusing.requests.iter().filter(|(_, sent)| sent.contains(&events[0])).count();
    assert_eq!((with_it, request_count(&refusing) > 2), (1, true), "the other one is sent again and again");
    refusing.finish();
    assert_eq!(refusing.first_deliveries, [events[1]]);
}

#[test]
fn an_answer_for_each_event_ends_only_the_expired_ones() {
    let mut world = world(FailureRates { hangs: 100, ..FailureRates::default() });
    set_own_clock(&mut world);
    let events = commit_expiring(&mut world, &[0.0, 0.0, 900_000.0], false);
    world.run_for(50);
    world.machine.response_each(world.moment(), ExchangeId(1), &[503, 503, 429], None);
    world.run_machine();
    let dead: Vec<EventNo> = world.dead.keys().copied().collect();
    assert_eq!(dead, events[..2]);
    assert!(world.dead.values().all(|code| *code == Code::ExpiryTime));
    assert_eq!(world.machine.counters().pending(), 1);
}

#[test]
fn an_event_expires_while_it_waits_for_a_retry() {
    let mut world = world(FailureRates { refused: 100, ..FailureRates::default() });
    set_own_clock(&mut world);
    let events = commit_expiring(&mut world, &[20_000.0], false);
    world.run_for(19_000 - world.now);
    assert!(request_count(&world) > 2 && world.dead.is_empty());
    world.run_for(60_000);
    assert_eq!(world.dead.get(&events[0]), Some(&Code::ExpiryTime));
    let late = world.requests.iter().filter(|(at, _)| *at >= 20_000).count();
    assert!(late <= 1, "{late} requests after it had expired");
}

#[test]
fn a_replayed_event_is_sent_once_also_by_a_confirmed_clock() {
    let mut accepting = world(FailureRates::default());
    confirm_clock(&mut accepting);
    let events = commit_expiring(&mut accepting, &[0.0], true);
    accepting.run_for(500);
    assert_eq!((accepting.first_deliveries.clone(), accepting.dead.len()), (events, 0));

    let mut failing = world(FailureRates { hangs: 100, ..FailureRates::default() });
    confirm_clock(&mut failing);
    let events = commit_expiring(&mut failing, &[0.0], true);
    failing.run_for(50);
    failing.machine.handle(failing.moment(), Input::Exchange(ExchangeId(1), Err(Failure::Network)));
    failing.run_for(60_000);
    assert_eq!((request_count(&failing), failing.dead.get(&events[0])), (1, Some(&Code::ExpiryTime)));
}

#[test]
fn an_expired_event_that_the_server_refuses_has_the_error_of_the_server() {
    let mut world = world(FailureRates { hangs: 100, ..FailureRates::default() });
    set_own_clock(&mut world);
    let events = commit_expiring(&mut world, &[0.0], false);
    world.run_for(50);
    world.machine.handle(world.moment(), Input::Exchange(ExchangeId(1), Ok(Response::new(400))));
    world.run_machine();
    assert_eq!(world.dead.get(&events[0]), Some(&Code::Rejected));
}

#[test]
fn a_page_that_is_closed_sends_no_expired_events() {
    let mut world = world(FailureRates::default());
    confirm_clock(&mut world);
    let events = commit_expiring(&mut world, &[0.0, f64::NAN], false);
    world.machine.page_hidden(world.moment(), 60_000, false);
    world.run_machine();
    assert_eq!(world.requests.iter().map(|(_, sent)| sent.clone()).collect::<Vec<_>>(), [vec![events[1]]]);
    world.run_for(500);
    assert_eq!(world.store.dead, [events[0]].into());
    assert!(world.machine.is_drained());
}
