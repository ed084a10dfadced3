//! `engine::calls` in the simulated world.

use std::collections::BTreeSet;

use eventferry::base::error::{Code, Error};
use eventferry::base::http::{Failure, Request, Response};
use eventferry::base::ids::{ExchangeId, OpId};
use eventferry::base::time::{Millis, Moment};
use eventferry::engine::calls::{Calls, Options, Settled};
use eventferry::engine::classify::classify_response;
use eventferry::engine::jitter::Rng;
use eventferry::engine::machine::{Input, Machine};

use crate::world::{Reply, World};

fn status(status: u16) -> Reply {
    Reply::After(10, Ok(Response::new(status)))
}

fn request(body: &str) -> Request {
    Request::post("https://example.com/", "content-type: text/plain", body.as_bytes().to_vec())
        .with_timeout(Millis(1000))
}

fn with_retries(retries: u32) -> Options {
    Options { retries, base_delay: Millis(100), max_delay: Millis(5_000), max_in_flight: 1000 }
}

/// Makes one call to a server that gives these replies in turn, and then the last one again and again.
fn call(options: Options, replies: Vec<Reply>) -> (World<Calls, Settled>, Result<(u16, u32), Error>) {
    let mut replies = replies.into_iter().peekable();
    let mut last = Reply::Hang;
    let mut world = World::new(Calls::new(options, classify_response, 1), move |_, _| {
        last = replies.next().unwrap_or_else(|| last.clone());
        last.clone()
    });
    let op = world.machine.send(Moment::default(), request("x"));
    world.run();
    assert_eq!(world.events.len(), 1, "the call settles exactly once");
    let (_, Settled { op: settled, result, response, attempts }) = world.events[0].clone();
    assert_eq!(settled, op);
    (world, result.map(|()| (response.map_or(0, |response| response.status), attempts)))
}

#[test]
fn every_status_has_its_code() {
    for (code, expected) in [
        (0, Some(Code::Redirected)),
        (200, None),
        (202, None),
        (204, None),
        (299, None),
        (301, Some(Code::Redirected)),
        (308, Some(Code::Redirected)),
        (400, Some(Code::Rejected)),
        (401, Some(Code::Unauthorized)),
        (403, Some(Code::Unauthorized)),
        (404, Some(Code::Rejected)),
        (408, Some(Code::Unavailable)),
        (410, Some(Code::Gone)),
        (413, Some(Code::TooLarge)),
        (415, Some(Code::UnsupportedFormat)),
        (429, Some(Code::RateLimited)),
        (500, Some(Code::Unavailable)),
        (501, Some(Code::Rejected)),
        (503, Some(Code::Unavailable)),
    ] {
        let (world, result) = call(Options::default(), vec![status(code)]);
        assert_eq!(result.as_ref().err().map(|error| error.code), expected, "{code}");
        assert_eq!(result.err().and_then(|error| error.status), expected.map(|_| code));
        assert_eq!(world.requests.len(), 1, "{code} is not retried by default");
    }
}

#[test]
fn retries_as_often_as_configured() {
    let (world, result) = call(
        with_retries(3),
        vec![status(503), Reply::Hang, Reply::After(5, Err(Failure::Network)), status(202)],
    );
    assert_eq!(result, Ok((202, 4)));
    assert!(world.requests.iter().all(|(_, sent)| sent.body() == b"x"));
    let (world, result) = call(with_retries(3), vec![status(503)]);
    assert_eq!(result.map_err(|error| error.code), Err(Code::Unavailable));
    assert_eq!(world.requests.len(), 4);
}

#[test]
fn does_not_retry_a_permanent_failure() {
    for code in [301, 400, 401, 404, 410, 413, 415] {
        let (world, _) = call(with_retries(5), vec![status(code)]);
        assert_eq!(world.requests.len(), 1, "{code}");
    }
}

#[test]
fn honours_retry_after_and_fails_when_it_is_too_long() {
    let reply =
        |millis| Reply::After(0, Ok(Response { retry_after: Some(Millis(millis)), ..Response::new(429) }));
    let (world, result) = call(with_retries(1), vec![reply(3_000), status(200)]);
    assert!(result.is_ok());
    assert!(world.requests[1].0 - world.requests[0].0 >= 3_000);
    let (world, result) = call(with_retries(1), vec![reply(5_001), status(200)]);
    assert_eq!((result.map_err(|error| error.code), world.requests.len()), (Err(Code::RateLimited), 1));
}

#[test]
fn cancel_settles_a_call_in_flight_or_waiting_for_a_retry() {
    for replies in [Reply::Hang, status(503)] {
        let mut world =
            World::new(Calls::new(with_retries(9), classify_response, 1), move |_, _| replies.clone());
        let op = world.machine.send(Moment::default(), request("x"));
        world.settle();
        assert_eq!(world.requests.len(), 1, "one request was sent");
        world.machine.cancel(op);
        world.machine.cancel(op);
        world.run();
        assert_eq!(world.events.len(), 1);
        assert_eq!(world.events[0].1.result.as_ref().map_err(|error| error.code), Err(Code::Aborted));
    }
}

#[test]
fn calls_beyond_the_limit_fail_and_the_others_go_on() {
    let mut world = World::new(
        Calls::new(Options { max_in_flight: 2, ..Options::default() }, classify_response, 1),
        |_, _| status(200),
    );
    for _ in 0..3 {
        world.machine.send(Moment::default(), request("x"));
    }
    world.run();
    let refused = world
        .events
        .iter()
        .filter(|(_, event)| event.result.as_ref().is_err_and(|error| error.code == Code::QueueFull));
    assert_eq!((refused.count(), world.events.len()), (1, 3));
}

#[test]
fn in_ten_thousand_random_worlds_every_call_settles_exactly_once() {
    for seed in 0..10_000 {
        let mut rng = Rng::new(seed);
        let mut server = Rng::new(seed ^ 0xffff);
        let retries = rng.up_to(4) as u32;
        let mut world =
            World::new(Calls::new(with_retries(retries), classify_response, seed), move |_, _| match server
                .up_to(9)
            {
                0 => Reply::Hang,
                1 => Reply::After(server.up_to(2000), Err(Failure::Network)),
                2 => Reply::After(server.up_to(2000), Err(Failure::Aborted)),
                3 => Reply::After(
                    server.up_to(2000),
                    Ok(Response { retry_after: Some(Millis(server.up_to(9_000))), ..Response::new(429) }),
                ),
                _ => Reply::After(
                    server.up_to(2000),
                    Ok(Response::new([200, 202, 301, 400, 500, 503][server.up_to(5) as usize])),
                ),
            });
        let mut ops = BTreeSet::new();
        for _ in 0..rng.up_to(8) {
            ops.insert(world.machine.send(world.moment(), request("x")));
            match rng.up_to(5) {
                0 => world.machine.cancel(OpId(rng.up_to(9) as u32)),
                // The end of an exchange that does not exist, and a clock that runs backwards.
                1 => world.machine.handle(
                    Moment::default(),
                    Input::Exchange(ExchangeId(rng.up_to(99) as u32 + 50), Ok(Response::new(200))),
                ),
                2 => world.machine.handle(Moment::default(), Input::Tick),
                _ => drop(world.step()),
            }
        }
        world.run();
        let settled: Vec<OpId> = world.events.iter().map(|(_, event)| event.op).collect();
        assert_eq!(settled.len(), ops.len(), "seed {seed}");
        assert_eq!(settled.into_iter().collect::<BTreeSet<_>>(), ops, "seed {seed}");
        assert!(world.requests.len() <= ops.len() * (retries as usize + 1), "seed {seed}");
    }
}

#[test]
fn close_settles_all_calls() {
    let mut world = World::new(Calls::new(with_retries(3), classify_response, 1), |_, _| Reply::Hang);
    for _ in 0..5 {
        world.machine.send(Moment::default(), request("x"));
    }
    world.settle();
    world.machine.close();
    world.settle();
    assert_eq!((world.events.len(), world.cancelled.len()), (5, 5));
    assert!(!world.step(), "nothing is left to do");
}
