//! The Salesforce client against a server that loses responses, forgets sessions and revokes tokens at
//! random. Every event arrives once and in order, and there is never more than one connect request.

use std::collections::BTreeMap;

use eventferry::base::http::{Failure, Request, Response};
use eventferry::base::ids::{ExchangeId, OpId};
use eventferry::base::time::{Deadline, Moment};
use eventferry::bayeux::session::{Event, Input, State};
use eventferry::engine::jitter::Rng;
use eventferry::engine::machine::{Machine, Output, Poll};
use eventferry::salesforce::client as salesforce;
use serde_json::{Value, json};

use super::client;
use super::server::{CHANNELS, Fault, Server};

/// The first operation about a channel without events.
const FIRST_OTHER: u32 = 100;

fn handle(client: &mut salesforce::Client, now: u64, input: Input) {
    client.handle(Moment::from_millis(now), salesforce::Input::Session(input));
}

/// Runs a client until all events have arrived. Returns their ids in order.
fn run(seed: u64, failure_rate: u64, last: u64) -> (Vec<u64>, Server) {
    let mut rng = Rng::new(seed);
    let mut client = client(seed ^ 0xabcd);
    let mut server = Server {
        rng: Rng::new(seed ^ 0x1234),
        interval: 50 + rng.up_to(20_000),
        last,
        max_events: [1, 2, 5, 1000][rng.up_to(3) as usize],
        sessions: BTreeMap::new(),
        next_session: 0,
        token: 1,
        accepted_token: String::new(),
        failure_rate,
        logins: 0,
        handshakes: 0,
    };
    let mut now = 0;
    let mut received = Vec::new();
    // Requests in flight, and responses in flight.
    let mut requests: BTreeMap<(u64, u32), Request> = BTreeMap::new();
    let mut responses: BTreeMap<(u64, u32), Result<Response, Failure>> = BTreeMap::new();
    let mut connects = Vec::new();
    let mut unsettled = 2_usize + 1;
    handle(&mut client, 0, Input::Subscribe(OpId(1), CHANNELS[0].to_owned()));
    handle(&mut client, 0, Input::Open(OpId(2)));
    // The second channel is subscribed during a poll, when it already has many events.
    let mut subscribes_at = Some(rng.up_to(100) * server.interval);
    // Other channels come and go, whose requests run beside the polls.
    let (mut others, mut next_other_at) = (FIRST_OTHER, 0);
    for step in 0.. {
        assert!(
            step < 400_000,
            "seed {seed}: it does not end; missing are {:?}",
            (1..=last).filter(|id| !received.contains(id)).collect::<Vec<_>>()
        );
        let deadline = loop {
            match client.poll() {
                Poll::Do(
                    salesforce::Output::Session(Output::Send(id, request))
                    | salesforce::Output::Login(id, request),
                ) => {
                    let at = now + 1 + rng.up_to(200);
                    if request.url().contains("/cometd")
                        && String::from_utf8_lossy(request.body()).contains("/meta/connect")
                    {
                        connects.push(id.0);
                        assert_eq!(connects.len(), 1, "two connect requests");
                    }
                    responses.insert((now + request.timeout().0, id.0), Err(Failure::Timeout));
                    requests.insert((at, id.0), request);
                }
                Poll::Do(salesforce::Output::Session(Output::Cancel(id))) => {
                    connects.retain(|other| *other != id.0);
                    responses.retain(|(_, other), _| *other != id.0);
                }
                Poll::Do(salesforce::Output::Session(Output::Event(event))) => match event {
                    Event::Messages { text, events, .. } => {
                        for row in events {
                            let id = row.ids.replay_id.expect("a position");
                            received.push(
                                std::str::from_utf8(&text[id.start..id.end])
                                    .expect("digits")
                                    .parse()
                                    .expect("a number"),
                            );
                        }
                    }
                    // Those of the other channels may fail.
                    Event::Settled(OpId(FIRST_OTHER..), _) => {}
                    Event::Settled(_, result) => {
                        assert_eq!(result, Ok(()), "no operation fails");
                        unsettled -= 1;
                    }
                    Event::State(State::Disconnected) | Event::Ended(_) => panic!("it ended: {event:?}"),
                    _ => {}
                },
                Poll::Do(salesforce::Output::Granted { .. }) => {}
                Poll::Do(output) => panic!("{output:?}"),
                Poll::Wait(deadline) => break deadline,
            }
        };
        if subscribes_at.is_some_and(|at| now >= at) && unsettled == 1 {
            subscribes_at = None;
            handle(&mut client, now, Input::Subscribe(OpId(3), CHANNELS[1].to_owned()));
            continue;
        }
        if unsettled == 0 && now >= next_other_at {
            next_other_at = now + 1 + rng.up_to(4 * server.interval);
            let channel = format!("/event/Other{}__e", others / 2);
            let op = OpId(others);
            let input = match others % 2 {
                0 => Input::Subscribe(op, channel),
                _ => Input::Unsubscribe { op, channel, all: true },
            };
            others += 1;
            handle(&mut client, now, input);
            continue;
        }
        if received.len() as u64 >= last && now > last * server.interval {
            assert_eq!(unsettled, 0);
            return (received, server);
        }
        let waking = match deadline {
            Deadline::At(at) => at.as_millis(),
            Deadline::Never => u64::MAX,
        };
        let arrival = requests.keys().next().copied();
        let landed = responses.keys().next().copied();
        let next = [arrival.map(|key| key.0), landed.map(|key| key.0), Some(waking)]
            .into_iter()
            .flatten()
            .min()
            .expect("a time");
        assert_ne!(next, u64::MAX, "seed {seed}: nothing will ever happen again");
        now = now.max(next);
        if let Some(key) = arrival.filter(|key| key.0 == next) {
            let request = requests.remove(&key).expect("a request");
            // A cancelled request gets no response, but the server does not know.
            let back = now + 1 + rng.up_to(200);
            let mut answer = |at: u64, outcome: Result<Response, Failure>| {
                if responses.keys().any(|(_, id)| *id == key.1) {
                    responses.retain(|(_, id), _| *id != key.1);
                    responses.insert((at, key.1), outcome);
                }
            };
            // No failures before all operations are settled, because these would fail.
            let fault =
                if unsettled > usize::from(subscribes_at.is_some()) { Fault::None } else { server.pick() };
            let status = |status: u16| Ok(Response { body: b"<html>".to_vec(), ..Response::new(status) });
            if request.url().ends_with("/token") {
                server.logins += 1;
                match fault {
                    Fault::None | Fault::Unauthorized => {
                        server.token += 1;
                        let body = json!({ "access_token": format!("T{}", server.token), "instance_url": "https://acme.example" });
                        answer(
                            back,
                            Ok(Response { body: body.to_string().into_bytes(), ..Response::new(200) }),
                        );
                    }
                    Fault::Gateway => answer(back, status(503)),
                    Fault::Hangs => {}
                    _ => answer(back, Err(Failure::Network)),
                }
                continue;
            }
            let messages: Vec<Value> = serde_json::from_slice(request.body()).expect("messages");
            assert!(request.headers().contains("authorization: Bearer T"));
            let token = request
                .headers()
                .lines()
                .find(|line| line.starts_with("authorization"))
                .unwrap_or_default()
                .to_owned();
            let id = messages[0]["clientId"].as_str().unwrap_or_default().to_owned();
            match fault {
                Fault::RequestLost => answer(back, Err(Failure::Network)),
                Fault::Hangs => {}
                Fault::Gateway => answer(back, status(502)),
                Fault::Unauthorized
                    if messages[0]["channel"] == "/meta/connect" && server.accepted_token == token =>
                {
                    server.sessions.remove(&id);
                    let refused = json!([{ "channel": "/meta/connect", "id": messages[0]["id"], "successful": false, "error": "401::Authentication invalid", "advice": { "reconnect": "none" } }]);
                    answer(
                        back,
                        Ok(Response { body: refused.to_string().into_bytes(), ..Response::new(200) }),
                    );
                }
                Fault::None | Fault::ResponseLost | Fault::Cut | Fault::Garbage | Fault::Unauthorized => {
                    // Sometimes the server forgets a session.
                    if server.rng.up_to(999) < server.failure_rate / 4 {
                        server.sessions.remove(&id);
                    }
                    let probes = messages[0]["advice"]["timeout"] == 0
                        || messages.len() > 1
                        || messages[0]["channel"] != "/meta/connect";
                    let at = server.answers_at(&id, now, probes);
                    let delay = at - now;
                    if delay > 0 {
                        // It is answered later.
                        let mut probing = messages.clone();
                        probing[0]["advice"] = json!({ "timeout": 0 });
                        let again = Request::post(
                            request.url(),
                            request.headers(),
                            Value::Array(probing).to_string().into_bytes(),
                        );
                        requests.insert((at, key.1), again);
                        continue;
                    }
                    let body = Value::Array(server.answer(&messages, now)).to_string().into_bytes();
                    let read = |body: Vec<u8>| Ok(Response { body, ..Response::new(200) });
                    let outcome = match fault {
                        Fault::ResponseLost => Err(Failure::Network),
                        Fault::Cut => {
                            let len = server.rng.up_to(body.len() as u64 - 1) as usize;
                            read(body.into_iter().take(len).collect())
                        }
                        Fault::Garbage => read(b"\0garbage".to_vec()),
                        _ => read(body),
                    };
                    answer(back, outcome);
                }
            }
        } else if let Some(key) = landed.filter(|key| key.0 == next) {
            let outcome = responses.remove(&key).expect("an outcome");
            connects.retain(|other| *other != key.1);
            if matches!(&outcome, Ok(response) if String::from_utf8_lossy(&response.body).contains("\"advice\":{\"interval\":0,\"reconnect\":\"retry\""))
            {
                server.accepted_token = format!("authorization: Bearer T{}", server.token);
            }
            handle(&mut client, now, Input::Exchange(ExchangeId(key.1), outcome));
        } else {
            handle(&mut client, now, Input::Tick);
        }
    }
    unreachable!()
}

#[test]
fn every_event_arrives_once_and_in_order_despite_failures() {
    let seeds: u64 = 400;
    let (mut logins, mut handshakes) = (0, 0);
    for seed in 0..seeds {
        let failure_rate = [0, 20, 100, 250][(seed % 4) as usize];
        let (received, server) = run(seed, failure_rate, 400);
        let mut of_channel: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for id in &received {
            of_channel.entry(Server::channel_of(*id)).or_default().push(*id);
        }
        for (channel, ids) in of_channel {
            let wanted: Vec<u64> = (1..=400).filter(|id| Server::channel_of(*id) == channel).collect();
            assert_eq!(ids, wanted, "seed {seed}: {channel}");
        }
        logins += server.logins;
        handshakes += server.handshakes;
    }
    // There were enough failures.
    assert!(logins > seeds as u32 && handshakes > 2 * seeds as u32, "{logins} {handshakes}");
}
