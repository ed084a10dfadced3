//! The sink of GlassFlow in the simulated world.

use std::collections::{BTreeMap, BTreeSet};

use eventferry::base::error::Code;
use eventferry::base::http::{Failure, Request, Response};
use eventferry::base::ids::{ExchangeId, OpId};
use eventferry::base::time::{Millis, Moment};
use eventferry::engine::jitter::Rng;
use eventferry::engine::machine::{Input, Machine};
use eventferry::glassflow::sink::{MAX_RETRY_AFTER, Options, Settled, Sink};
use eventferry::glassflow::wire::{self, Endpoint, Topic};

use crate::world::{Reply, World};

const TIMEOUT: Millis = Millis(10_000);

fn options() -> Options {
    let url = |topic| wire::url("https://example.com/v1", "p", Endpoint::Consume(topic)).unwrap();
    Options::new(url(Topic::Output), url(Topic::Failed))
}

fn status(status: u16) -> Reply {
    Reply::After(0, Ok(Response::new(status)))
}

/// A sink whose server gives these replies in order, and repeats the last one.
fn sink(replies: Vec<Reply>) -> World<Sink, Settled> {
    let mut replies = replies.into_iter();
    let mut last = Reply::Hang;
    World::new(Sink::new(options(), 1), move |_, _| {
        last = replies.next().unwrap_or_else(|| last.clone());
        last.clone()
    })
}

/// Makes one call, runs the world to its end, and returns the end of the call.
fn consume(world: &mut World<Sink, Settled>, topic: Topic) -> Settled {
    let before = world.events.len();
    let op = world.machine.consume(world.moment(), topic, TIMEOUT);
    world.run();
    assert_eq!(world.events.len(), before + 1, "settles exactly once");
    let (_, settled) = world.events[before].clone();
    assert_eq!(settled.op, Some(op));
    settled
}

/// The delays between the requests, in milliseconds.
fn delays(world: &World<Sink, Settled>) -> Vec<u64> {
    world.requests.windows(2).map(|pair| pair[1].0 - pair[0].0).collect()
}

#[test]
fn the_delay_doubles_as_in_the_original_and_ends_with_an_event() {
    for code in [204, 429] {
        let mut world = sink([vec![status(code); 8], vec![status(200); 3]].concat());
        for _ in 0..11 {
            consume(&mut world, Topic::Output);
        }
        let delays = delays(&world);
        let mut least = 1000;
        for delay in &delays[..8] {
            least = 60_000.min(least * 2);
            // The delay before it, which is doubled, contains jitter.
            assert!((least..=least + 100 * 32).contains(delay), "{delays:?}");
            assert!(*delay <= 60_100, "{delays:?}");
        }
        assert_eq!(&delays[8..], [0, 0], "an event ends the delay");
    }
}

#[test]
fn without_jitter_the_delay_doubles_up_to_its_maximum() {
    // A tenth of a base delay of 1 is no jitter.
    let mut world =
        World::new(Sink::new(Options { base_delay: Millis(1), ..options() }, 1), |_, _| status(204));
    for _ in 0..18 {
        consume(&mut world, Topic::Output);
    }
    let mut expected: Vec<u64> = (1..16).map(|step| 1 << step).collect();
    expected.extend([60_000, 60_000]);
    assert_eq!(delays(&world), expected);
}

#[test]
fn both_topics_share_the_delay() {
    let mut world = sink(vec![status(204)]);
    for topic in [Topic::Failed, Topic::Output, Topic::Failed, Topic::Output] {
        consume(&mut world, topic);
    }
    assert!(delays(&world).windows(2).all(|pair| pair[1] >= pair[0] * 2));
    let paths: Vec<bool> =
        world.requests.iter().map(|(_, request)| request.url().contains("/failed/")).collect();
    assert_eq!(paths, [true, false, true, false]);
}

#[test]
fn errors_increase_the_delay_unlike_in_the_original() {
    for reply in [
        status(400),
        status(401),
        status(404),
        status(500),
        status(502),
        status(302),
        status(0),
        Reply::After(0, Err(Failure::Network)),
        Reply::After(0, Err(Failure::Timeout)),
    ] {
        let mut world = sink(vec![reply.clone(), status(204)]);
        let settled = consume(&mut world, Topic::Output);
        assert!(settled.result.is_err(), "{reply:?}");
        assert!(settled.next_delay >= Millis(2000), "{reply:?}");
        consume(&mut world, Topic::Output);
        assert!(delays(&world)[0] >= 2000, "{reply:?}");
    }
}

#[test]
fn other_successes_do_not_change_the_delay() {
    let mut world = sink(vec![status(202), status(202), status(204), status(202), status(200)]);
    for _ in 0..5 {
        consume(&mut world, Topic::Output);
    }
    let delays = delays(&world);
    assert_eq!(&delays[..2], [0, 0]);
    assert_eq!(delays[2], delays[3], "the same delay as after the 204");
}

#[test]
fn retry_after_is_the_minimum_delay_up_to_an_hour() {
    let retry_after = |code, millis| {
        Reply::After(0, Ok(Response { retry_after: Some(Millis(millis)), ..Response::new(code) }))
    };
    for (reply, expected) in [
        (retry_after(429, 7_000), 7_000..=7_000),
        (retry_after(503, 7_000), 7_000..=7_000),
        (retry_after(204, 7_000), 7_000..=7_000),
        (retry_after(429, 10), 2_000..=2_100),
        (retry_after(429, u64::MAX), MAX_RETRY_AFTER.0..=MAX_RETRY_AFTER.0),
    ] {
        let mut world = sink(vec![reply.clone(), status(200)]);
        consume(&mut world, Topic::Output);
        consume(&mut world, Topic::Output);
        assert!(expected.contains(&delays(&world)[0]), "{reply:?}: {:?}", delays(&world));
    }
}

#[test]
fn every_status_has_a_result() {
    for (code, expected) in [
        (200, Ok(200)),
        (202, Ok(202)),
        (204, Ok(204)),
        (429, Ok(429)),
        (0, Err(Code::Redirected)),
        (302, Err(Code::Redirected)),
        (400, Err(Code::Rejected)),
        (401, Err(Code::Unauthorized)),
        (403, Err(Code::Unauthorized)),
        (404, Err(Code::Rejected)),
        (500, Err(Code::Unavailable)),
        (502, Err(Code::Unavailable)),
    ] {
        let settled = consume(&mut sink(vec![status(code)]), Topic::Output);
        assert_eq!(settled.result.map_err(|error| error.code), expected, "{code}");
    }
}

#[test]
fn an_empty_pipeline_gets_a_bounded_number_of_requests_in_a_month() {
    const MONTH: u64 = 30 * 24 * 60 * 60 * 1000;
    let mut world = World::new(Sink::new(options(), 7), |_, _| Reply::After(40, Ok(Response::new(204))));
    while world.now < MONTH {
        world.machine.consume(world.moment(), Topic::Output, TIMEOUT);
        while world.step() {}
        world.events.clear();
    }
    // 2 + 4 + 8 + 16 + 32 s, then one request a minute.
    let most = 6 + MONTH as usize / 60_000;
    let least = MONTH as usize / 60_140;
    assert!((least..=most).contains(&world.requests.len()), "{} requests", world.requests.len());
}

#[test]
fn the_request_of_a_cancelled_call_continues_and_the_next_call_gets_its_event() {
    let mut world = sink(vec![Reply::After(50, Ok(Response::new(200))), status(204)]);
    let cancelled = world.machine.consume(world.moment(), Topic::Output, TIMEOUT);
    world.settle();
    world.machine.cancel(cancelled);
    world.settle();
    assert_eq!(world.events[0].1.result.as_ref().map_err(|error| error.code), Err(Code::Aborted));
    assert!(world.cancelled.is_empty(), "a cancelled request would lose the event");
    let next = world.machine.consume(world.moment(), Topic::Output, TIMEOUT);
    world.run();
    let (_, settled) = &world.events[1];
    assert_eq!((settled.op, settled.result.as_ref().ok()), (Some(next), Some(&200)));
    assert_eq!(world.requests.len(), 1);
}

#[test]
fn the_event_of_a_cancelled_call_is_reported_without_an_operation() {
    for (code, is_kept) in [(200, true), (202, true), (204, false), (429, false), (500, false)] {
        let mut world = sink(vec![Reply::After(50, Ok(Response::new(code)))]);
        let op = world.machine.consume(world.moment(), Topic::Failed, TIMEOUT);
        world.settle();
        world.machine.cancel(op);
        // A call for the other topic must not get the event.
        world.machine.consume(world.moment(), Topic::Output, TIMEOUT);
        world.step();
        let unclaimed: Vec<&Settled> =
            world.events.iter().map(|(_, settled)| settled).filter(|settled| settled.op.is_none()).collect();
        assert_eq!(unclaimed.len(), usize::from(is_kept), "{code}");
        assert!(unclaimed.iter().all(|settled| settled.topic == Topic::Failed && settled.exchange.is_some()));
    }
}

#[test]
fn requests_one_event_at_a_time_in_the_order_of_the_calls() {
    let mut world = World::new(Sink::new(options(), 1), |_, _| Reply::After(10, Ok(Response::new(200))));
    let ops: Vec<OpId> =
        (0..5).map(|_| world.machine.consume(world.moment(), Topic::Output, TIMEOUT)).collect();
    world.run();
    let settled: Vec<OpId> = world.events.iter().filter_map(|(_, event)| event.op).collect();
    assert_eq!(settled, ops);
    assert_eq!(delays(&world), [10; 4]);
}

#[test]
fn a_delayed_call_can_be_cancelled() {
    let mut world = sink(vec![status(204), status(200)]);
    consume(&mut world, Topic::Output);
    let op = world.machine.consume(world.moment(), Topic::Output, TIMEOUT);
    world.settle();
    world.machine.cancel(op);
    world.machine.cancel(op);
    world.run();
    assert_eq!((world.events.len(), world.requests.len()), (2, 1));
    assert_eq!(world.now, 0, "without a call there is no deadline");
}

#[test]
fn refuses_calls_beyond_the_limit_and_settles_all_on_close() {
    let mut world = World::new(Sink::new(Options { max_pending: 2, ..options() }, 1), |_, _| Reply::Hang);
    for _ in 0..3 {
        world.machine.consume(Moment::default(), Topic::Output, TIMEOUT);
    }
    world.settle();
    assert_eq!(world.events[0].1.result.as_ref().map_err(|error| error.code), Err(Code::QueueFull));
    world.machine.close();
    world.settle();
    assert_eq!((world.events.len(), world.machine.is_idle()), (3, false));
    world.run();
    assert!(world.machine.is_idle(), "the request has ended");
    assert_eq!(world.events.len(), 3);
}

#[test]
fn ten_thousand_random_worlds_lose_no_event_and_settle_each_call_exactly_once() {
    for seed in 0..10_000 {
        let mut rng = Rng::new(seed);
        let mut server = Rng::new(seed ^ 0xffff);
        let sent = std::rc::Rc::new(std::cell::Cell::new(0));
        let counter = sent.clone();
        let mut world = World::new(Sink::new(options(), seed), move |_, _: &Request| {
            let after = server.up_to(3000);
            match server.up_to(9) {
                0 => Reply::Hang,
                1 => Reply::After(after, Err(Failure::Network)),
                2 => Reply::After(
                    after,
                    Ok(Response { retry_after: Some(Millis(server.up_to(90_000))), ..Response::new(429) }),
                ),
                3 => Reply::After(after, Ok(Response::new(204))),
                4 => Reply::After(after, Ok(Response::new([401, 404, 500, 302][server.up_to(3) as usize]))),
                _ => {
                    counter.set(counter.get() + 1);
                    Reply::After(after, Ok(Response::new(200)))
                }
            }
        });
        let mut ops = BTreeMap::new();
        for _ in 0..rng.up_to(12) {
            let topic = if rng.up_to(1) == 0 { Topic::Output } else { Topic::Failed };
            ops.insert(world.machine.consume(world.moment(), topic, TIMEOUT), topic);
            match rng.up_to(6) {
                0 => world.machine.cancel(OpId(rng.up_to(13) as u32)),
                // Results of unknown exchanges, and a clock that runs backwards.
                1 => world.machine.handle(
                    Moment::default(),
                    Input::Exchange(ExchangeId(rng.up_to(99) as u32 + 50), Ok(Response::new(200))),
                ),
                2 => world.machine.handle(Moment::default(), Input::Tick),
                3 => {}
                _ => drop(world.step()),
            }
        }
        if rng.up_to(9) == 0 {
            world.machine.close();
        }
        world.run();
        let mut settled = BTreeSet::new();
        let mut events = BTreeSet::new();
        for (_, event) in &world.events {
            if let Some(op) = event.op {
                assert!(settled.insert(op), "seed {seed}: {op:?} settled twice");
                assert_eq!(ops.get(&op), Some(&event.topic), "seed {seed}");
            }
            if event.result == Ok(200) {
                assert!(events.insert(event.exchange.expect("a response")), "seed {seed}: handed out twice");
            }
        }
        assert_eq!(settled.len(), ops.len(), "seed {seed}");
        assert_eq!(events.len(), sent.get(), "seed {seed}");
        assert!(world.machine.is_idle(), "seed {seed}");
    }
}
