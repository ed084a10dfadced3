//! Which events share a request, and what its response means for each.

use std::collections::{BTreeMap, BTreeSet};

use eventferry::base::error::Code;
use eventferry::base::http::Response;
use eventferry::base::ids::ExchangeId;
use eventferry::base::time::Moment;
use eventferry::engine::machine::{Input, Machine, Output, Poll};
use eventferry::outbox::Options;
use eventferry::outbox::answer::{Answer, Classified, classify};
use eventferry::outbox::effect::{Effect, StoreCounts};
use eventferry::outbox::machine::Outbox;
use eventferry::outbox::session::Grouping;

use super::checks::check_order_by_key;
use super::world::{EventNo, FailureRates, SESSION, World, commit, request_count, small};

#[test]
fn one_rejected_event_among_250_costs_few_requests_and_no_other_event() {
    let options = Options { batch_events: 250, batch_bytes: 1_000_000, ..small() };
    for place in [0, 1, 124, 125, 248, 249] {
        let mut world = World::new(options, 1, FailureRates::default());
        world.rejected.insert(place);
        commit(&mut world, 250);
        world.finish();
        assert_eq!(world.store.dead, BTreeSet::from([place]));
        assert_eq!(world.deliveries.len(), 249);
        assert_eq!(world.duplicates(), 0);
        assert!(request_count(&world) <= 17, "{} requests for {place}", request_count(&world));
        assert_eq!(world.dead, BTreeMap::from([(place, Code::Rejected)]));
    }
}

#[test]
fn a_request_that_is_too_large_is_halved_and_its_size_becomes_the_limit() {
    let mut world = World::new(small(), 1, FailureRates { max_events: Some(4), ..FailureRates::default() });
    commit(&mut world, 40);
    world.run_for(60_000);
    assert_eq!((world.deliveries.len(), world.dead.len()), (40, 0));
    assert!(request_count(&world) <= 30, "{} requests", request_count(&world));
    let mut world = World::new(small(), 1, FailureRates { max_events: Some(0), ..FailureRates::default() });
    commit(&mut world, 2);
    world.run_for(60_000);
    assert_eq!(world.dead.values().collect::<Vec<_>>(), [&Code::TooLarge, &Code::TooLarge]);
}

#[test]
fn only_the_failed_events_of_a_partial_response_are_sent_again() {
    let mut world = World::new(small(), 3, FailureRates { partial: 100, ..FailureRates::default() });
    world.rejected.insert(4);
    commit(&mut world, 10);
    world.run_for(3_600_000);
    assert_eq!((world.deliveries.len(), world.duplicates()), (9, 0));
    assert_eq!(world.store.dead, BTreeSet::from([4]));
}

#[test]
fn the_failed_events_of_a_partial_response_share_the_next_request() {
    let mut world = World::new(small(), 3, FailureRates { hangs: 100, ..FailureRates::default() });
    commit(&mut world, 10);
    world.run_for(50);
    world.rates = FailureRates::default();
    let statuses = [200, 503, 200, 429, 200, 422, 200, 500, 200, 200];
    world.deliveries.extend([0, 2, 4, 6, 8, 9].map(|no| (no, 1)));
    world.machine.response_each(world.moment(), ExchangeId(1), &statuses, None);
    world.run_for(10_000);
    assert_eq!(world.requests.iter().map(|(_, events)| events.clone()).collect::<Vec<_>>()[1..], [[1, 3, 7]]);
    assert_eq!(world.store.dead, BTreeSet::from([5]));
}

#[test]
fn separate_segments_share_no_request_and_keep_their_order() {
    let options = Options { concurrency: 3, ..small() };
    let mut world = World::new(options, 1, FailureRates::default());
    world.run_for(500);
    world.machine.pause(world.moment(), true);
    let (any, separate) = (Grouping::Any, Grouping::Separate);
    for (count, ordering_key, grouping) in
        [(2, 7, any), (3, 7, separate(1)), (4, 8, separate(3)), (1, 0, any), (2, 7, any)]
    {
        for _ in 0..count {
            world.publish(SESSION, 10, ordering_key).expect("it fits");
        }
        world.commit_as(SESSION, grouping);
    }
    world.run_for(500);
    world.finish();
    let mut requests: Vec<Vec<EventNo>> = world.requests.iter().map(|(_, events)| events.clone()).collect();
    requests.sort();
    assert_eq!(requests, [vec![0, 1, 9], vec![2], vec![3], vec![4], vec![5, 6, 7], vec![8], vec![10, 11]]);
    check_order_by_key(&world);
}

#[test]
fn a_classifier_may_give_one_answer_for_each_event() {
    let mut world = World::new(small(), 1, FailureRates { hangs: 100, ..FailureRates::default() });
    commit(&mut world, 3);
    world.run_for(50);
    world.rates = FailureRates::default();
    world.deliveries.clear();
    world.deliveries.insert(1, 1);
    let response = Response { body: b"text".to_vec(), ..Response::new(201) };
    world.machine.response(world.moment(), ExchangeId(1), &response, |response, events| {
        assert_eq!((events, response.status), (3, 201));
        let answer_to = |status| classify(&Ok(Response::new(status)));
        // There is no answer for the third.
        Classified::Each(vec![answer_to(400), Answer::Delivered(201)], answer_to(0))
    });
    world.finish();
    assert_eq!(world.store.dead, BTreeSet::from([0]));
    assert_eq!(
        world.requests.iter().map(|(_, events)| events.clone()).collect::<Vec<_>>(),
        [vec![0, 1, 2], vec![2]]
    );
    // A response to an unknown exchange is ignored.
    world
        .machine
        .response(world.moment(), ExchangeId(77), &response, |_, _| Classified::All(Answer::Delivered(201)));
    world.run_machine();
}

#[test]
fn events_with_the_same_ordering_key_keep_their_order_while_others_go_on() {
    let options = Options { batch_events: 2, concurrency: 3, one_per_ordering_key: true, ..small() };
    let mut world = World::new(options, 5, FailureRates { partial: 60, ..FailureRates::default() });
    for no in 0..60 {
        world.publish(SESSION, 10, no % 3);
    }
    world.commit(SESSION);
    world.run_for(3_600_000);
    for ordering_key in [1, 2] {
        let order: Vec<EventNo> =
            world.first_deliveries.iter().copied().filter(|no| no % 3 == ordering_key).collect();
        assert!(order.is_sorted() && order.len() == 20, "{order:?}");
    }
}

#[test]
fn older_events_are_found_even_if_the_window_is_full_of_events_that_wait_for_them() {
    let mut machine = Outbox::new(small(), 1);
    let mut peeks = 0;
    machine
        .store_opened(Moment::from_millis(0), StoreCounts { events: 1, bytes: 10, ..StoreCounts::default() });
    machine.set_leader(Moment::from_millis(0), true);
    for no in 0..320 {
        machine.stage(SESSION, 10, no % 2);
    }
    machine.commit(Moment::from_millis(0), SESSION, Grouping::Any);
    // The first peek and the first writes fail: events without an ordering key are sent from memory, the
    // others fill the window.
    for millis in 0..5000 {
        machine.handle(Moment::from_millis(millis), Input::Tick);
        loop {
            match machine.poll() {
                Poll::Do(Output::Event(Effect::Peek { .. })) => {
                    peeks += 1;
                    machine.store_peeked(
                        Moment::from_millis(millis),
                        if peeks == 1 { Err(()) } else { Ok(true) },
                    );
                }
                Poll::Do(Output::Event(Effect::Write(_))) => {
                    machine.store_written(Moment::from_millis(millis), millis > 300)
                }
                Poll::Do(Output::Event(Effect::Send { exchange, .. })) => {
                    machine.handle(
                        Moment::from_millis(millis),
                        Input::Exchange(exchange, Ok(Response::new(200))),
                    );
                }
                Poll::Wait(_) => break,
                _ => {}
            }
        }
    }
    assert!(peeks > 1, "it never peeked again");
    assert_eq!((machine.counters().delivered, machine.counters().pending()), (320, 0));
}

#[test]
fn a_server_that_rejects_batches_gets_single_events() {
    let mut world = World::new(small(), 1, FailureRates { hangs: 100, ..FailureRates::default() });
    commit(&mut world, 25);
    world.run_for(50);
    world.rates = FailureRates::default();
    world.machine.limit_batches(world.moment(), ExchangeId(1), 1, 6);
    // The outcome of an exchange counts once.
    world.machine.limit_batches(world.moment(), ExchangeId(1), 3, 1);
    world.finish();
    assert!(world.requests[1..].iter().all(|(_, events)| events.len() == 1));
    assert_eq!((world.deliveries.len(), world.dead.len()), (25, 0));
}
