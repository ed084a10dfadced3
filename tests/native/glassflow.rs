//! The sink of GlassFlow in the simulated world.

use std::collections::{BTreeMap, BTreeSet};

use eventferry::base::error::Code;
use eventferry::base::http::{Failure, Request, Response};
use eventferry::base::ids::{ExchangeId, OpId};
use eventferry::base::time::{Millis, Moment};
use eventferry::engine::jitter::Rng;
use eventferry::engine::machine::{Input, Machine};
use eventferry::glassflow::sink::{LONGEST_ASKED, Options, Settled, Sink};
use eventferry::glassflow::wire::{self, Endpoint, Topic};

use crate::world::{Reply, World};

const PATIENCE: Millis = Millis(10_000);

fn options() -> Options {
    let url = |topic| wire::url("https://example.com/v1", "p", Endpoint::Consume(topic)).unwrap();
    Options::new(url(Topic::Output), url(Topic::Failed))
}

fn status(status: u16) -> Reply {
    Reply::After(0, Ok(Response::new(status)))
}

/// A sink whose server gives these replies in turn, and the last one for ever.
fn sink(replies: Vec<Reply>) -> World<Sink> {
    let mut replies = replies.into_iter();
    let mut last = Reply::Hang;
    World::new(Sink::new(options(), 1), move |_, _| {
        last = replies.next().unwrap_or_else(|| last.clone());
        last.clone()
    })
}

/// Calls once, lets everything happen, and gives what came of it.
fn consume(world: &mut World<Sink>, topic: Topic) -> Settled {
    let before = world.events.len();
    let op = world.machine.consume(world.moment(), topic, PATIENCE);
    world.run();
    assert_eq!(world.events.len(), before + 1, "settles exactly once");
    let (_, settled) = world.events[before].clone();
    assert_eq!(settled.op, Some(op));
    settled
}

/// How long the rests before the requests were.
fn rests(world: &World<Sink>) -> Vec<u64> {
    world.requests.windows(2).map(|pair| pair[1].0 - pair[0].0).collect()
}

#[test]
fn climbs_the_ladder_of_the_original_and_comes_down_at_once() {
    for code in [204, 429] {
        let mut world = sink([vec![status(code); 8], vec![status(200); 3]].concat());
        for _ in 0..11 {
            consume(&mut world, Topic::Output);
        }
        let rests = rests(&world);
        let mut least = 1000;
        for rest in &rests[..8] {
            least = 60_000.min(least * 2);
            // Twice what was rested before, which had its jitter in it.
            assert!((least..=least + 100 * 32).contains(rest), "{rests:?}");
            assert!(*rest <= 60_100, "{rests:?}");
        }
        assert_eq!(&rests[8..], [0, 0], "an event ends the rest");
    }
}

#[test]
fn the_ladder_without_its_jitter_doubles_up_to_the_ceiling() {
    // A tenth of a base of 1 is no jitter.
    let mut world = World::new(Sink::new(Options { base: Millis(1), ..options() }, 1), |_, _| status(204));
    for _ in 0..18 {
        consume(&mut world, Topic::Output);
    }
    let mut expected: Vec<u64> = (1..16).map(|step| 1 << step).collect();
    expected.extend([60_000, 60_000]);
    assert_eq!(rests(&world), expected);
}

#[test]
fn both_topics_share_the_rest() {
    let mut world = sink(vec![status(204)]);
    for topic in [Topic::Failed, Topic::Output, Topic::Failed, Topic::Output] {
        consume(&mut world, topic);
    }
    assert!(rests(&world).windows(2).all(|pair| pair[1] >= pair[0] * 2));
    let paths: Vec<bool> =
        world.requests.iter().map(|(_, request)| request.url().contains("/failed/")).collect();
    assert_eq!(paths, [true, false, true, false]);
}

#[test]
fn errors_rest_as_well_though_they_did_not_in_the_original() {
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
        assert!(settled.rest >= Millis(2000), "{reply:?}");
        consume(&mut world, Topic::Output);
        assert!(rests(&world)[0] >= 2000, "{reply:?}");
    }
}

#[test]
fn other_successes_leave_the_rest_as_it_is() {
    let mut world = sink(vec![status(202), status(202), status(204), status(202), status(200)]);
    for _ in 0..5 {
        consume(&mut world, Topic::Output);
    }
    let rests = rests(&world);
    assert_eq!(&rests[..2], [0, 0]);
    assert_eq!(rests[2], rests[3], "it rests again as long as after the 204");
}

#[test]
fn what_the_server_asks_is_the_least_rest_up_to_an_hour() {
    let ask = |code, millis| {
        Reply::After(0, Ok(Response { retry_after: Some(Millis(millis)), ..Response::new(code) }))
    };
    for (reply, expected) in [
        (ask(429, 7_000), 7_000..=7_000),
        (ask(503, 7_000), 7_000..=7_000),
        (ask(204, 7_000), 7_000..=7_000),
        (ask(429, 10), 2_000..=2_100),
        (ask(429, u64::MAX), LONGEST_ASKED.0..=LONGEST_ASKED.0),
    ] {
        let mut world = sink(vec![reply.clone(), status(200)]);
        consume(&mut world, Topic::Output);
        consume(&mut world, Topic::Output);
        assert!(expected.contains(&rests(&world)[0]), "{reply:?}: {:?}", rests(&world));
    }
}

#[test]
fn every_status_means_something() {
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
fn a_month_of_an_empty_pipeline_stays_within_the_bound_of_the_ladder() {
    const MONTH: u64 = 30 * 24 * 60 * 60 * 1000;
    let mut world = World::new(Sink::new(options(), 7), |_, _| Reply::After(40, Ok(Response::new(204))));
    while world.now < MONTH {
        world.machine.consume(world.moment(), Topic::Output, PATIENCE);
        while world.step() {}
        world.events.clear();
    }
    // 2 + 4 + 8 + 16 + 32 s, and from then on one a minute.
    let most = 6 + MONTH as usize / 60_000;
    let least = MONTH as usize / 60_140;
    assert!((least..=most).contains(&world.requests.len()), "{} requests", world.requests.len());
}

#[test]
fn a_call_that_is_given_up_leaves_its_request_and_the_next_call_gets_the_event() {
    let mut world = sink(vec![Reply::After(50, Ok(Response::new(200))), status(204)]);
    let given_up = world.machine.consume(world.moment(), Topic::Output, PATIENCE);
    world.settle();
    world.machine.cancel(given_up);
    world.settle();
    assert_eq!(world.events[0].1.result.as_ref().map_err(|error| error.code), Err(Code::Aborted));
    assert!(world.cancelled.is_empty(), "what it takes from the server would be gone");
    let next = world.machine.consume(world.moment(), Topic::Output, PATIENCE);
    world.run();
    let (_, settled) = &world.events[1];
    assert_eq!((settled.op, settled.result.as_ref().ok()), (Some(next), Some(&200)));
    assert_eq!(world.requests.len(), 1);
}

#[test]
fn an_event_that_nobody_waits_for_is_announced_all_the_same() {
    for (code, is_kept) in [(200, true), (202, true), (204, false), (429, false), (500, false)] {
        let mut world = sink(vec![Reply::After(50, Ok(Response::new(code)))]);
        let op = world.machine.consume(world.moment(), Topic::Failed, PATIENCE);
        world.settle();
        world.machine.cancel(op);
        // A call for the other topic must not get it.
        world.machine.consume(world.moment(), Topic::Output, PATIENCE);
        world.step();
        let strays: Vec<&Settled> =
            world.events.iter().map(|(_, settled)| settled).filter(|settled| settled.op.is_none()).collect();
        assert_eq!(strays.len(), usize::from(is_kept), "{code}");
        assert!(strays.iter().all(|stray| stray.topic == Topic::Failed && stray.exchange.is_some()));
    }
}

#[test]
fn asks_for_one_event_at_a_time_in_the_order_of_the_calls() {
    let mut world = World::new(Sink::new(options(), 1), |_, _| Reply::After(10, Ok(Response::new(200))));
    let ops: Vec<OpId> =
        (0..5).map(|_| world.machine.consume(world.moment(), Topic::Output, PATIENCE)).collect();
    world.run();
    let settled: Vec<OpId> = world.events.iter().filter_map(|(_, event)| event.op).collect();
    assert_eq!(settled, ops);
    assert_eq!(rests(&world), [10; 4]);
}

#[test]
fn a_rest_can_be_given_up() {
    let mut world = sink(vec![status(204), status(200)]);
    consume(&mut world, Topic::Output);
    let op = world.machine.consume(world.moment(), Topic::Output, PATIENCE);
    world.settle();
    world.machine.cancel(op);
    world.machine.cancel(op);
    world.run();
    assert_eq!((world.events.len(), world.requests.len()), (2, 1));
    assert_eq!(world.now, 0, "nobody waits, so nothing wakes");
}

#[test]
fn refuses_more_calls_than_the_window_and_settles_all_at_the_end() {
    let mut world = World::new(Sink::new(Options { window: 2, ..options() }, 1), |_, _| Reply::Hang);
    for _ in 0..3 {
        world.machine.consume(Moment::default(), Topic::Output, PATIENCE);
    }
    world.settle();
    assert_eq!(world.events[0].1.result.as_ref().map_err(|error| error.code), Err(Code::QueueFull));
    world.machine.close();
    world.settle();
    assert_eq!((world.events.len(), world.machine.is_idle()), (3, false));
    world.run();
    assert!(world.machine.is_idle(), "the request has come to its end");
    assert_eq!(world.events.len(), 3);
}

#[test]
fn ten_thousand_random_worlds_lose_no_event_and_settle_every_call_once() {
    for seed in 0..10_000 {
        let mut rng = Rng::new(seed);
        let mut server = Rng::new(seed ^ 0xffff);
        let given = std::rc::Rc::new(std::cell::Cell::new(0));
        let counter = given.clone();
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
            ops.insert(world.machine.consume(world.moment(), topic, PATIENCE), topic);
            match rng.up_to(6) {
                0 => world.machine.cancel(OpId(rng.up_to(13) as u32)),
                // Facts about exchanges that nobody asked for, and a clock that runs backwards.
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
                assert!(events.insert(event.exchange.expect("an answer")), "seed {seed}: handed out twice");
            }
        }
        assert_eq!(settled.len(), ops.len(), "seed {seed}");
        assert_eq!(events.len(), given.get(), "seed {seed}");
        assert!(world.machine.is_idle(), "seed {seed}");
    }
}
