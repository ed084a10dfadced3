//! What a later program knows of the requests of an earlier one.

use eventferry::base::http::{Failure, Response};
use eventferry::base::ids::ExchangeId;
use eventferry::base::time::{Millis, Moment};
use eventferry::engine::machine::{Input, Machine, Output, Poll};
use eventferry::outbox::Options;
use eventferry::outbox::effect::{Effect, StoreCounts};
use eventferry::outbox::machine::Outbox;
use eventferry::outbox::progress::{EventProgress, Progress};
use eventferry::outbox::session::Contents;

use super::world::{FailureRates, World, commit, small};

fn page() -> Options {
    Options { in_flight: Millis(10_000), timeout: Millis(15_000), ..small() }
}

#[test]
fn pages_that_end_before_the_answer_multiply_no_copies() {
    for seed in 1..50 {
        let mut world = World::new(page(), seed, FailureRates { hangs: 100, ..FailureRates::default() });
        commit(&mut world, 20);
        for _ in 0..10 {
            world.run_for(1000);
            world.crash();
        }
        let sent: usize = world.requests.iter().map(|(_, events)| events.len()).sum();
        assert!(sent <= 40, "seed {seed}: {sent} copies of 20 events");
        world.finish();
        assert_eq!(world.deliveries.len(), 20);
    }
}

#[test]
fn a_backoff_survives_the_page() {
    let mut requests = 0;
    for seed in 1..20 {
        let options = Options { max_delay: Millis(60_000), ..page() };
        let mut world = World::new(options, seed, FailureRates { refused: 100, ..FailureRates::default() });
        commit(&mut world, 3);
        for _ in 0..60 {
            world.run_for(1000);
            world.crash();
        }
        requests += world.requests.len();
        world.finish();
        assert_eq!(world.deliveries.len(), 3);
    }
    assert!(requests < 20 * 20, "{requests} requests in 20 times 60 pages");
}

/// A machine that has found one stored event.
fn found(progress: &Progress) -> Outbox {
    let mut machine = Outbox::new(page(), 1);
    let now = Moment::from_millis(0);
    machine.store_opened(now, StoreCounts { events: 1, bytes: 10, ..StoreCounts::default() });
    machine.set_leader(now, true);
    let contents = Contents { sizes: vec![10], ..Contents::default() };
    machine.segment_found(now, contents, Millis(0), None, Some(progress));
    machine.store_peeked(now, Ok(false));
    machine
}

/// When the event is sent, in milliseconds.
fn sent_at(mut machine: Outbox) -> Option<u64> {
    for millis in (0..200_000).step_by(500) {
        machine.handle(Moment::from_millis(millis), Input::Tick);
        while let Poll::Do(output) = machine.poll() {
            if matches!(output, Output::Event(Effect::Send { .. })) {
                return Some(millis);
            }
        }
    }
    None
}

#[test]
fn an_event_waits_until_its_request_is_no_longer_in_flight() {
    let event =
        |in_flight, retry| EventProgress { attempts: 1, in_flight: Millis(in_flight), retry: Millis(retry) };
    let progress = |event, backoff| Progress { failures: 3, backoff: Millis(backoff), events: vec![event] };
    assert_eq!(sent_at(found(&progress(event(9000, 0), 0))), Some(9000));
    assert_eq!(sent_at(found(&progress(event(10_001, 0), 0))), Some(0), "the clock was set back");
    assert_eq!(sent_at(found(&progress(event(0, 4000), 0))), Some(4000));
    assert_eq!(sent_at(found(&progress(event(0, 0), 7000))), Some(7000));
}

#[test]
fn an_answer_to_the_request_of_a_former_leader_ends_the_wait() {
    let progress = Progress {
        events: vec![EventProgress { in_flight: Millis(9000), ..EventProgress::default() }],
        ..Progress::default()
    };
    let mut machine = Outbox::new(page(), 1);
    let now = Moment::from_millis(0);
    machine.store_opened(now, StoreCounts { events: 1, bytes: 10, ..StoreCounts::default() });
    machine.set_leader(now, true);
    let contents = Contents { sizes: vec![10], ..Contents::default() };
    let id = machine.segment_found(now, contents, Millis(0), None, Some(&progress));
    machine.delivered_elsewhere(now, id, &[0, 7], 202);
    machine.delivered_elsewhere(now, id, &[0], 202);
    assert_eq!((machine.counters().delivered, machine.counters().pending()), (1, 0));
    assert_eq!(sent_at(machine), None);
}

/// What a machine with three stored events does after another leader has delivered some of them, while they are in flight
/// or wait for a retry: the numbers of events in its later requests, and how many events it tells to be delivered.
fn after_delivery_elsewhere(
    delivered: &[u32],
    is_in_flight: bool,
    then: &Result<u16, Failure>,
) -> (Vec<u32>, u32) {
    let mut machine = Outbox::new(page(), 1);
    let start = Moment::from_millis(0);
    machine.store_opened(start, StoreCounts { events: 3, bytes: 30, ..StoreCounts::default() });
    machine.set_leader(start, true);
    let contents = Contents { sizes: vec![10; 3], ..Contents::default() };
    let id = machine.segment_found(start, contents, Millis(0), None, None);
    machine.store_peeked(start, Ok(false));
    let (mut sent, mut told, mut is_first) = (Vec::new(), 0, true);
    for millis in (0..60_000).step_by(500) {
        let now = Moment::from_millis(millis);
        machine.handle(now, Input::Tick);
        while let Poll::Do(output) = machine.poll() {
            match output {
                Output::Event(Effect::Send { exchange, .. }) if is_first => {
                    is_first = false;
                    if is_in_flight {
                        machine.delivered_elsewhere(now, id, delivered, 202);
                    }
                    let outcome = then.map(|status| Response { status, ..Response::default() });
                    machine.handle(now, Input::Exchange(exchange, outcome));
                    if !is_in_flight {
                        machine.delivered_elsewhere(now, id, delivered, 202);
                    }
                }
                Output::Event(Effect::Send { exchange, batch, .. }) => {
                    sent.push(batch.iter().map(|range| range.to - range.from).sum());
                    let response = Response { status: 202, ..Response::default() };
                    machine.handle(now, Input::Exchange(exchange, Ok(response)));
                }
                Output::Event(Effect::Delivered { events, .. }) => told += events.to - events.from,
                Output::Event(Effect::Write(_)) => machine.store_written(now, true),
                _ => {}
            }
        }
    }
    assert_eq!((machine.counters().delivered, machine.counters().pending()), (3, 0));
    (sent, told)
}

#[test]
fn a_batch_that_waits_for_a_retry_has_no_events_that_another_leader_has_delivered() {
    for is_in_flight in [true, false] {
        let failed = Err(Failure::Network);
        assert_eq!(after_delivery_elsewhere(&[0, 1, 2], is_in_flight, &failed), (vec![], 3));
        assert_eq!(after_delivery_elsewhere(&[1], is_in_flight, &failed), (vec![2], 3));
        assert_eq!(after_delivery_elsewhere(&[1], is_in_flight, &Ok(503)), (vec![2], 3));
    }
    assert_eq!(
        after_delivery_elsewhere(&[0, 1, 2], true, &Ok(202)),
        (vec![], 3),
        "its own answer comes later"
    );
}

/// What the last write remembers of the event, after a request that ended like this.
fn remembered(end: impl Fn(&mut Outbox, Moment, ExchangeId)) -> Option<Progress> {
    let mut machine = found(&Progress::default());
    let now = Moment::from_millis(1000);
    machine.handle(now, Input::Tick);
    let (mut last, mut is_ended) = (None, false);
    while let Poll::Do(output) = machine.poll() {
        match output {
            Output::Event(Effect::Send { exchange, .. }) if !is_ended => {
                is_ended = true;
                machine.pause(now, true);
                end(&mut machine, now, exchange);
            }
            Output::Event(Effect::Write(write)) => {
                last = Some(write.put.first().and_then(|put| put.progress.clone()));
                machine.store_written(now, true);
            }
            _ => {}
        }
    }
    assert!(is_ended);
    last.expect("the request is recorded")
}

#[test]
fn a_request_that_was_not_sent_does_not_stay_in_flight_in_the_store() {
    assert_eq!(remembered(|machine, now, exchange| machine.not_sent(now, exchange)), None);
    let limited = remembered(|machine, now, exchange| machine.limit_batches(now, exchange, 1, 6));
    assert_eq!(limited.map(|progress| progress.events[0].in_flight), Some(Millis(0)));
}

#[test]
fn one_who_lost_the_lead_stores_the_answers_to_its_requests_and_starts_none() {
    let mut world = World::new(Options { concurrency: 2, ..small() }, 1, FailureRates::default());
    let events = commit(&mut world, 25);
    world.run_for(12);
    while world.requests.is_empty() {
        world.step();
    }
    let started = world.requests.len();
    world.machine.set_leader(world.moment(), false);
    world.run_for(5000);
    assert_eq!(world.requests.len(), started);
    let delivered: Vec<_> = world.deliveries.keys().copied().collect();
    assert!(!delivered.is_empty() && delivered.len() < events.len());
    let stored: Vec<_> = world.store.segments.values().flat_map(|kept| kept.events.clone()).collect();
    assert!(stored.iter().all(|no| !delivered.contains(no)), "what was delivered is removed from the store");
    world.machine.set_leader(world.moment(), true);
    world.finish();
    assert_eq!((world.deliveries.len(), world.duplicates()), (25, 0));
}

#[test]
fn refusals_of_an_extension_are_tried_once_an_hour() {
    let mut machine = found(&Progress::default());
    let (mut requests, mut blocked, mut last) = (Vec::new(), 0, Millis(0));
    for second in 0..86_400 {
        let now = Moment::from_millis(second * 1000);
        machine.handle(now, Input::Tick);
        while let Poll::Do(output) = machine.poll() {
            match output {
                Output::Event(Effect::Send { exchange, .. }) => {
                    requests.push(second);
                    machine.handle(now, Input::Exchange(exchange, Err(Failure::Blocked)));
                }
                Output::Event(Effect::Write(_)) => machine.store_written(now, true),
                Output::Event(Effect::Retry { is_blocked, delay, .. }) => {
                    blocked += u32::from(is_blocked);
                    last = delay;
                }
                _ => {}
            }
        }
    }
    assert_eq!(last, Millis(3_600_000));
    assert!((24..=45).contains(&requests.len()), "{requests:?}");
    assert!(blocked > 20);
}
