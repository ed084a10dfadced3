//! One event that can never be read does not hold up the other channels.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use eventferry::base::ids::OpId;
use eventferry::bayeux::session::{Event, Input, Probe};
use serde_json::{Value, json};

use super::world::{Answer, Client, StreamWorld, accept_all, event, grant, is_poll, reply_to, world};

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const POLL_MS: u64 = 110 * SECOND;

/// How an answer with a bad event arrives.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Spoiled {
    NotJson,
    /// Cut within the bad event.
    Cut,
    /// Cut, after so long that polls count as held.
    SlowlyCut,
    Empty,
    Broken,
    Status502,
}

/// A Salesforce server, some of whose events spoil the answers that they are in.
struct Server {
    channels: usize,
    /// A channel gets an event so often.
    every: u64,
    /// The bad events, and until when they are bad.
    bad: Vec<u64>,
    mended_at: u64,
    spoiled: Spoiled,
    /// Whether the reply to a subscription brings its events; otherwise the next poll does.
    has_events_in_reply: bool,
    /// Channel and the last event sent, by channel.
    sent: BTreeMap<usize, u64>,
}

fn name_of(channel: usize) -> String {
    format!("/event/C{channel}__e")
}

impl Server {
    /// Event `n` of a channel is made at `n * every`; ids tell the channel.
    fn id(channel: usize, n: u64) -> u64 {
        n * 100 + channel as u64
    }

    fn unsent(&mut self, now: u64) -> Vec<(u64, String)> {
        let last = now / self.every;
        let mut found = Vec::new();
        for (channel, sent) in &mut self.sent {
            found.extend((*sent + 1..=last).map(|n| (Self::id(*channel, n), name_of(*channel))));
            *sent = last.max(*sent);
        }
        found.sort_unstable();
        found
    }

    fn answer(&mut self, now: u64, delay: u64, replies: Vec<Value>) -> Answer {
        let events = self.unsent(now);
        let bad = events.iter().position(|(id, _)| now < self.mended_at && self.bad.contains(id));
        let mut messages: Vec<Value> = events.iter().map(|(id, name)| event(name, *id)).collect();
        messages.extend(replies);
        let Some(bad) = bad else { return Answer::Messages(delay, messages) };
        match self.spoiled {
            Spoiled::NotJson => Answer::Body(delay, 200, "\0not JSON".to_owned()),
            Spoiled::Cut | Spoiled::SlowlyCut => {
                let mut text = Value::Array(messages.iter().take(bad + 1).cloned().collect()).to_string();
                text.truncate(text.len() - 6);
                let ms = if self.spoiled == Spoiled::Cut { delay } else { delay + 8 * SECOND };
                Answer::Body(ms, 200, text)
            }
            Spoiled::Empty => Answer::Body(delay, 200, String::new()),
            Spoiled::Broken => Answer::Broken(delay),
            Spoiled::Status502 => Answer::Body(delay, 502, "<html>".to_owned()),
        }
    }

    fn handle(&mut self, now: u64, messages: &[Value]) -> Answer {
        if is_poll(messages) {
            let is_waiting = self.sent.values().any(|sent| *sent < now / self.every);
            let held = match self.sent.is_empty() {
                _ if is_waiting => 0,
                true => POLL_MS,
                false => (now / self.every + 1) * self.every - now,
            };
            return self.answer(now + held, held + 20, vec![reply_to(&messages[0], true)]);
        }
        let mut brings = false;
        for message in messages {
            let asked = message["subscription"].as_str().unwrap_or_default();
            let channel = (0..self.channels).find(|channel| name_of(*channel) == asked);
            match (message["channel"].as_str(), channel) {
                (Some("/meta/handshake"), _) => self.sent.clear(),
                (Some("/meta/unsubscribe"), Some(channel)) => drop(self.sent.remove(&channel)),
                (Some("/meta/subscribe"), Some(channel)) => {
                    let from = message["ext"]["replay"][asked].as_i64().expect("a position").max(0);
                    let before = self.sent.insert(channel, from as u64 / 100);
                    assert_eq!(before, None, "subscribed twice");
                    brings = self.has_events_in_reply;
                }
                _ => {}
            }
        }
        let Answer::Messages(delay, replies) = accept_all(messages) else { unreachable!() };
        if brings { self.answer(now, delay, replies) } else { Answer::Messages(delay, replies) }
    }
}

fn start(server: Server) -> StreamWorld {
    let channels = server.channels;
    let server = Rc::new(RefCell::new(server));
    let mut world = world(
        Client::salesforce(|_| {}),
        |_| grant("T"),
        move |now, messages, _| server.borrow_mut().handle(now, messages),
    );
    for channel in 0..channels {
        world.input(Input::Subscribe(OpId(10 + channel as u32), name_of(channel)));
    }
    world.input(Input::Open(OpId(1)));
    world
}

/// The times and numbers of the events of a channel, in the order of their delivery.
fn arrivals(world: &StreamWorld, channel: usize) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    for (at, delivered) in &world.events {
        if let Event::Messages { text, events, .. } = delivered {
            for row in events {
                let id = row.ids.replay_id.expect("a position");
                let id: u64 =
                    std::str::from_utf8(&text[id.start..id.end]).expect("digits").parse().expect("id");
                if id % 100 == channel as u64 {
                    found.push((*at, id / 100));
                }
            }
        }
    }
    found
}

/// When a channel was held, with the sentences.
fn holds(world: &StreamWorld, channel: usize) -> Vec<(u64, String)> {
    let of_channel = |event: &Event| match event {
        Event::Notice(notice)
            if notice.kind == "channel_held" && notice.channel == Some(name_of(channel)) =>
        {
            Some(notice.error.as_ref().expect("an error").message.clone())
        }
        _ => None,
    };
    world.events.iter().filter_map(|(at, event)| of_channel(event).map(|text| (*at, text))).collect()
}

#[test]
fn one_event_that_can_never_be_read_does_not_hold_up_the_other_channels() {
    let kinds = [
        Spoiled::NotJson,
        Spoiled::Cut,
        Spoiled::SlowlyCut,
        Spoiled::Empty,
        Spoiled::Broken,
        Spoiled::Status502,
    ];
    for spoiled in kinds {
        for (channels, bad) in [(2, 0), (2, 1), (3, 1), (9, 4), (9, 8)] {
            for has_events_in_reply in [false, true] {
                let name = format!("{spoiled:?}, {bad} of {channels}, {has_events_in_reply}");
                let (first_bad, mended_at) = (7, 20 * MINUTE);
                // Without events in replies, the poll before the subscription must end first.
                let every = if has_events_in_reply { 20 * SECOND } else { 4 * SECOND };
                let mut world = start(Server {
                    channels,
                    every,
                    bad: vec![Server::id(bad, first_bad)],
                    mended_at,
                    spoiled,
                    has_events_in_reply,
                    sent: BTreeMap::new(),
                });
                world.advance_to(mended_at);
                let before = arrivals(&world, bad);
                assert_eq!(before.last().map(|(_, n)| *n), Some(first_bad - 1), "{name}");
                let held = holds(&world, bad);
                assert!((3..12).contains(&held.len()), "{name}: {held:?}");
                let position = format!("replay id {} ", Server::id(bad, first_bad - 1));
                for (at, (_, text)) in held.iter().enumerate() {
                    let delay = format!("in {} s", 30 << at);
                    assert!(text.contains(&position) && text.ends_with(&delay), "{name}: {held:?}");
                }
                assert!(world.lost_at().len() >= held.len(), "{name}");
                world.advance_to(mended_at + 20 * MINUTE);
                let last = world.now / every;
                for channel in 0..channels {
                    let numbers: Vec<u64> = arrivals(&world, channel).iter().map(|(_, n)| *n).collect();
                    assert!(
                        numbers.len() as u64 >= last - 1,
                        "{name}, {channel}: {} of {last}",
                        numbers.len()
                    );
                    assert!(
                        numbers.iter().enumerate().all(|(at, n)| *n == at as u64 + 1),
                        "{name}: {channel}"
                    );
                    if channel == bad {
                        continue;
                    }
                    assert_eq!(holds(&world, channel), [], "{name}: {channel}");
                    let late: Vec<_> =
                        arrivals(&world, channel).into_iter().map(|(at, n)| (n, at - n * every)).collect();
                    let latest = late.iter().map(|(_, ms)| *ms).max().expect("events");
                    let search = if spoiled == Spoiled::SlowlyCut { 4 * MINUTE } else { 2 * MINUTE };
                    assert!(latest < search, "{name}: {channel} is {latest} ms late");
                    // Once the bad channel is held, the others are as punctual as ever.
                    let punctual = late.iter().filter(|(_, ms)| *ms < SECOND).count();
                    assert!(punctual * 10 > late.len() * 8, "{name}: {punctual} of {}", late.len());
                }
            }
        }
    }
}

#[test]
fn several_channels_with_bad_events_are_held_and_the_others_continue() {
    for bad in [[0, 1], [1, 6], [7, 8]] {
        let mut world = start(Server {
            channels: 9,
            every: 4 * SECOND,
            bad: bad.iter().map(|channel| Server::id(*channel, 5)).collect(),
            mended_at: 30 * MINUTE,
            spoiled: Spoiled::NotJson,
            has_events_in_reply: false,
            sent: BTreeMap::new(),
        });
        world.advance_to(30 * MINUTE);
        for channel in 0..9 {
            let last = arrivals(&world, channel).last().map(|(_, n)| *n);
            let is_bad = bad.contains(&channel);
            assert_eq!(is_bad, !holds(&world, channel).is_empty(), "{bad:?} {channel}");
            assert!(last.is_some_and(|n| is_bad == (n < 6)), "{bad:?} {channel}: {last:?}");
        }
        world.advance_to(70 * MINUTE);
        for channel in 0..9 {
            let numbers: Vec<u64> = arrivals(&world, channel).iter().map(|(_, n)| *n).collect();
            assert!(numbers.iter().enumerate().all(|(at, n)| *n == at as u64 + 1), "{bad:?} {channel}");
            assert!(numbers.len() >= 1048, "{bad:?} {channel}: {}", numbers.len());
        }
    }
}

#[test]
fn a_channel_that_is_held_is_tried_at_once_when_the_application_asks_for_a_probe() {
    let mut world = start(Server {
        channels: 2,
        every: 4 * SECOND,
        bad: vec![Server::id(1, 3)],
        mended_at: 60 * MINUTE,
        spoiled: Spoiled::NotJson,
        has_events_in_reply: false,
        sent: BTreeMap::new(),
    });
    world.advance_to(30 * MINUTE);
    let count = holds(&world, 1).len();
    world.input(Input::Probe(Probe::Asked(OpId(50))));
    world.advance_to(31 * MINUTE);
    assert!(world.settled(50).is_some());
    assert_eq!(holds(&world, 1).len(), count + 1);
}

#[test]
fn channels_that_are_unsubscribed_or_forgotten_in_a_trial_stop_no_other() {
    for gone in 0..4 {
        let mut world = start(Server {
            channels: 4,
            every: 4 * SECOND,
            bad: vec![Server::id(1, 3)],
            mended_at: 60 * MINUTE,
            spoiled: Spoiled::Broken,
            has_events_in_reply: false,
            sent: BTreeMap::new(),
        });
        world.advance_to(14 * SECOND);
        let input = Input::Unsubscribe { op: OpId(60), channel: name_of(gone), all: true };
        world.input(input);
        world.advance_to(30 * MINUTE);
        assert!(world.settled(60).is_some_and(|(_, result)| result.is_ok()), "{gone}");
        for channel in (0..4).filter(|channel| ![gone, 1].contains(channel)) {
            let last = arrivals(&world, channel).last().map(|(_, n)| *n);
            assert!(last.is_some_and(|n| n > 448), "{gone} {channel}: {last:?}");
        }
    }
}

#[test]
fn a_server_that_repeats_a_response_for_ever_is_left_for_another_session() {
    for spoiled in [Spoiled::NotJson, Spoiled::Cut, Spoiled::Broken] {
        let sessions = Rc::new(RefCell::new(0));
        let count = Rc::clone(&sessions);
        let mut world = world(
            Client::bayeux(|_| {}),
            |_| Answer::Hang,
            move |_, messages, _| {
                let mut replies: Vec<Value> =
                    messages.iter().map(|message| reply_to(message, true)).collect();
                if messages[0]["channel"] == "/meta/handshake" {
                    *count.borrow_mut() += 1;
                    replies[0]["clientId"] = json!(format!("c{}", count.borrow()));
                    replies[0]["ext"] = json!({ "ack": true });
                }
                let is_first = *count.borrow() == 1;
                if !is_poll(messages) {
                    return Answer::Messages(5, replies);
                }
                let event = |n: u32| json!({ "channel": "/a", "data": n });
                match (is_first, spoiled) {
                    (true, Spoiled::NotJson) => Answer::Body(5, 200, "\0".to_owned()),
                    (true, Spoiled::Broken) => Answer::Broken(5),
                    (true, _) => {
                        let text = json!([event(1), event(2)]).to_string();
                        Answer::Body(5, 200, text[..text.len() - 9].to_owned())
                    }
                    _ => Answer::Messages(3000, vec![event(3), reply_to(&messages[0], true)]),
                }
            },
        );
        world.start("/a");
        world.advance_to(3 * MINUTE);
        assert_eq!((*sessions.borrow(), world.end()), (2, None), "{spoiled:?}");
        let is_gap = |event: &Event| matches!(event, Event::Notice(notice) if notice.kind == "possible_gap");
        assert!(world.events.iter().any(|(_, event)| is_gap(event)), "{spoiled:?}");
        let texts = world.events.iter().filter_map(|(_, event)| match event {
            Event::Messages { text, events, .. } => {
                Some(String::from_utf8_lossy(&text[events[0].data.start..events[0].data.end]).into_owned())
            }
            _ => None,
        });
        let texts: Vec<String> = texts.collect();
        assert_eq!(texts.first().map(String::as_str), Some(if spoiled == Spoiled::Cut { "1" } else { "3" }));
        assert!(texts.len() > 10 && texts.iter().skip(1).all(|text| text == "3"), "{spoiled:?}");
    }
}

/// Whether the answer to messages is garbage at a time.
type IsGarbage = fn(u64, &[Value]) -> bool;

/// A server with good events only, all of whose answers are garbage for a while.
fn start_garbage(channels: usize, is_garbage: IsGarbage) -> StreamWorld {
    let mut server = Server {
        channels,
        every: 4 * SECOND,
        bad: Vec::new(),
        mended_at: 0,
        spoiled: Spoiled::NotJson,
        has_events_in_reply: false,
        sent: BTreeMap::new(),
    };
    let mut world = world(
        Client::salesforce(|_| {}),
        |_| grant("T"),
        move |now, messages, _| match server.handle(now, messages) {
            Answer::Messages(delay, _) if is_garbage(now + delay, messages) => {
                Answer::Body(delay, 200, "<html>".to_owned())
            }
            answer => answer,
        },
    );
    for channel in 0..channels {
        world.input(Input::Subscribe(OpId(10 + channel as u32), name_of(channel)));
    }
    world.input(Input::Open(OpId(1)));
    world
}

#[test]
fn a_time_in_which_no_answer_can_be_read_costs_no_event_and_few_requests() {
    let cases: [(&str, IsGarbage); 2] = [
        ("all", |now, _| (MINUTE..11 * MINUTE).contains(&now)),
        ("polls", |now, messages| (MINUTE..11 * MINUTE).contains(&now) && is_poll(messages)),
    ];
    for (name, is_garbage) in cases {
        let mut world = start_garbage(3, is_garbage);
        world.advance_to(11 * MINUTE);
        let count = world.requests.iter().filter(|(at, _)| *at > MINUTE).count();
        assert!(count < 400, "{name}: {count} requests in ten minutes");
        assert!(world.lost_at().len() > 3, "{name}: {:?}", world.lost_at());
        world.advance_to(32 * MINUTE);
        for channel in 0..3 {
            let numbers: Vec<u64> = arrivals(&world, channel).iter().map(|(_, n)| *n).collect();
            assert!(numbers.iter().enumerate().all(|(at, n)| *n == at as u64 + 1), "{name} {channel}");
            assert!(numbers.len() >= 478, "{name} {channel}: {}", numbers.len());
        }
        assert_eq!(world.end(), None, "{name}");
    }
}

#[test]
fn a_client_that_drains_ends_although_a_channel_is_held() {
    let mut server = Server {
        channels: 3,
        every: u64::MAX / 2,
        bad: Vec::new(),
        mended_at: 0,
        spoiled: Spoiled::NotJson,
        has_events_in_reply: false,
        sent: BTreeMap::new(),
    };
    // The first answer after a subscription to channel 1.
    let mut spoils = false;
    let mut world = world(
        Client::salesforce(|options| options.session.is_draining = true),
        |_| grant("T"),
        move |now, messages, _| {
            let is_connect = messages[0]["channel"] == "/meta/connect";
            let is_bad = |message: &Value| {
                message["channel"] == "/meta/subscribe" && message["subscription"] == name_of(1).as_str()
            };
            spoils |= messages.iter().any(is_bad);
            if is_connect && std::mem::take(&mut spoils) {
                return Answer::Body(20, 200, "\0".to_owned());
            }
            if is_connect {
                return Answer::Messages(20, vec![reply_to(&messages[0], true)]);
            }
            server.handle(now, messages)
        },
    );
    for channel in 0..3 {
        world.input(Input::Subscribe(OpId(10 + channel), name_of(channel as usize)));
    }
    world.input(Input::Open(OpId(1)));
    world.advance_to(10 * MINUTE);
    assert_eq!(world.end(), Some(&None));
    assert!(!holds(&world, 1).is_empty());
}

#[test]
fn frames_that_can_never_be_read_are_fetched_ever_more_rarely_and_the_program_is_told() {
    use eventferry::base::time::{Deadline, Moment};
    use eventferry::bayeux::wire::Transport;
    use eventferry::engine::machine::{Machine, Output, Poll};

    for is_closed in [false, true] {
        let mut client = Client::bayeux(|options| options.transports = vec![Transport::WebSocket]);
        let (mut now, mut sockets, mut lost) = (0, 0, 0);
        let mut inputs = vec![Input::Open(OpId(1))];
        while now < 10 * MINUTE {
            for input in std::mem::take(&mut inputs) {
                client.input(Moment::from_millis(now), input);
            }
            let deadline = loop {
                match client.poll() {
                    Poll::Do(Output::Event(Event::SocketOpen { id, .. })) => {
                        sockets += 1;
                        inputs.push(Input::SocketOpened(id));
                    }
                    Poll::Do(Output::Event(Event::SocketSend { id, text })) => {
                        let messages: Vec<Value> = serde_json::from_str(&text).expect("messages");
                        inputs.push(if !is_poll(&messages) {
                            let mut reply = reply_to(&messages[0], true);
                            reply["clientId"] = json!("c");
                            Input::SocketText(id, json!([reply]).to_string().into_bytes())
                        } else if is_closed {
                            Input::SocketClosed(id, 1009)
                        } else {
                            Input::SocketText(id, b"\0".to_vec())
                        });
                    }
                    Poll::Do(Output::Event(Event::ConnectionLost(..))) => lost += 1,
                    Poll::Do(_) => {}
                    Poll::Wait(deadline) => break deadline,
                }
            };
            now = match deadline {
                _ if !inputs.is_empty() => now + 5,
                Deadline::At(at) => at.as_millis().max(now + 1),
                Deadline::Never => break,
            };
            if inputs.is_empty() {
                inputs.push(Input::Tick);
            }
        }
        assert!(sockets > 5 && sockets < 60, "{is_closed}: {sockets} sockets in ten minutes");
        assert!(lost > 3, "{is_closed}: told {lost} times");
    }
}
