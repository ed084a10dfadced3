//! The client of Salesforce against a server that loses answers, forgets sessions and revokes tokens at random, in a world where months take
//! seconds. Whatever happens: every event once, in order, and the connect lane never has two.

use std::collections::{BTreeMap, VecDeque};

use eventferry::base::http::{Failure, Request, Response};
use eventferry::base::ids::ExchangeId;
use eventferry::base::secret::Secret;
use eventferry::base::time::{Deadline, Moment};
use eventferry::bayeux::session::{Event, Options, State};
use eventferry::engine::jitter::Rng;
use eventferry::engine::machine::{Input, Machine, Output};
use eventferry::salesforce::auth::Flow;
use eventferry::salesforce::client as salesforce;
use serde_json::{Value, json};

const CHANNELS: [&str; 2] = ["/event/A__e", "/topic/T?Name='x'"];

#[derive(Clone, Copy, PartialEq)]
enum SessionError {
    None,
    /// The request is lost, or its answer, with what was in it.
    LostOnTheWay,
    LostOnTheWayBack,
    Gateway,
    Unauthorized,
    Hangs,
}

struct Session {
    /// The last event that was sent of each channel.
    sent: BTreeMap<String, u64>,
    /// What is ready for the next answers, also of channels that were taken back meanwhile.
    queue: VecDeque<Value>,
    last_seen: u64,
}

struct Server {
    rng: Rng,
    /// One event every so many milliseconds, each with the next id, for one channel after the other.
    pace: u64,
    last: u64,
    /// How many events go with one answer.
    most: usize,
    sessions: BTreeMap<String, Session>,
    next_session: u32,
    token: u32,
    /// The token that has worked. One that is refused although it is new is the end.
    proven: String,
    /// Troubles per thousand requests.
    trouble: u64,
    logins: u32,
    handshakes: u32,
}

impl Server {
    fn events_until(&self, now: u64) -> u64 {
        (now / self.pace).min(self.last)
    }

    fn channel_of(id: u64) -> &'static str {
        CHANNELS[(id % 2) as usize].split('?').next().unwrap_or_default()
    }

    fn pick(&mut self) -> SessionError {
        if self.rng.up_to(999) >= self.trouble {
            return SessionError::None;
        }
        [
            SessionError::LostOnTheWay,
            SessionError::LostOnTheWayBack,
            SessionError::LostOnTheWayBack,
            SessionError::Gateway,
            SessionError::Unauthorized,
            SessionError::Hangs,
        ][self.rng.up_to(5) as usize]
    }

    /// Makes ready what has happened by then.
    fn fill(&mut self, client: &str, now: u64) {
        let until = self.events_until(now);
        let Some(session) = self.sessions.get_mut(client) else { return };
        let mut found = Vec::new();
        for (channel, sent) in &mut session.sent {
            let name = channel.split('?').next().unwrap_or_default();
            for id in *sent + 1..=until {
                if Self::channel_of(id) == name {
                    found.push((id, json!({ "channel": name, "data": { "event": { "replayId": id }, "payload": { "n": id } } })));
                }
            }
            *sent = until;
        }
        found.sort_by_key(|(id, _)| *id);
        session.queue.extend(found.into_iter().map(|(_, event)| event));
    }

    /// What goes with one answer.
    fn take(&mut self, client: &str) -> Vec<Value> {
        let most = self.most;
        let Some(session) = self.sessions.get_mut(client) else { return Vec::new() };
        session.queue.drain(..session.queue.len().min(most)).collect()
    }

    /// When a held connect is answered.
    fn answers_at(&self, client: &str, now: u64, probes: bool) -> u64 {
        let Some(session) = self.sessions.get(client) else { return now };
        let has_waiting = session.sent.iter().any(|(channel, sent)| {
            (*sent + 1..=self.events_until(now))
                .any(|id| Self::channel_of(id) == channel.split('?').next().unwrap_or_default())
        });
        if probes || has_waiting || !session.queue.is_empty() {
            return now;
        }
        let next = self.events_until(now) + 1;
        if next > self.last || session.sent.is_empty() {
            now + 110_000
        } else {
            (next * self.pace + self.pace).min(now + 110_000)
        }
    }

    fn answer(&mut self, messages: &[Value], now: u64) -> Vec<Value> {
        let mut replies = Vec::new();
        for message in messages {
            let client = message["clientId"].as_str().unwrap_or_default().to_owned();
            let channel = message["channel"].as_str().unwrap_or_default();
            let reply = |successful: bool| json!({ "channel": channel, "id": message["id"], "successful": successful, "subscription": message["subscription"] });
            if channel == "/meta/handshake" {
                self.handshakes += 1;
                self.next_session += 1;
                let id = format!("c{}", self.next_session);
                self.sessions.insert(
                    id.clone(),
                    Session { sent: BTreeMap::new(), queue: VecDeque::new(), last_seen: now },
                );
                let mut granted = reply(true);
                granted["clientId"] = json!(id);
                granted["supportedConnectionTypes"] = json!(["long-polling"]);
                granted["ext"] = json!({ "replay": true });
                replies.push(granted);
                continue;
            }
            let is_forgotten =
                self.sessions.get(&client).is_none_or(|session| now > session.last_seen + 150_000);
            if is_forgotten {
                self.sessions.remove(&client);
                let mut refused = reply(false);
                refused["error"] = json!("403::Unknown client");
                if channel == "/meta/connect" {
                    refused["advice"] = json!({ "reconnect": "handshake", "interval": 0 });
                }
                replies.push(refused);
                continue;
            }
            // What was ready goes before what is asked for now.
            self.fill(&client, now);
            let until = self.events_until(now);
            let session = self.sessions.get_mut(&client).expect("a session");
            session.last_seen = now;
            let subscription = message["subscription"].as_str().unwrap_or_default().to_owned();
            match channel {
                "/meta/subscribe" => {
                    let name = subscription.split('?').next().unwrap_or_default();
                    let from = match message["ext"]["replay"][name].as_i64() {
                        Some(-1) => until,
                        Some(-2) => 0,
                        Some(id) => id as u64,
                        None => panic!("{message} has no place to start from"),
                    };
                    assert!(!session.sent.contains_key(&subscription), "subscribed twice");
                    session.sent.insert(subscription, from);
                    replies.push(reply(true));
                }
                "/meta/unsubscribe" => {
                    session.sent.remove(&subscription);
                    replies.push(reply(true));
                }
                "/meta/connect" => {
                    let mut granted = reply(true);
                    granted["advice"] = json!({ "reconnect": "retry", "interval": 0, "timeout": 110_000 });
                    replies.push(granted);
                }
                _ => replies.push(reply(true)),
            }
            self.fill(&client, now);
        }
        let client = messages.first().and_then(|message| message["clientId"].as_str()).unwrap_or_default();
        let mut answer = self.take(client);
        answer.append(&mut replies);
        answer
    }
}

fn client(seed: u64) -> salesforce::Client {
    salesforce::Client::new(
        salesforce::Options {
            flow: Flow::ClientCredentials {
                consumer_key: "key".to_owned(),
                consumer_secret: Secret::new("secret".to_owned()),
            },
            token_url: "https://acme.example/services/oauth2/token".to_owned(),
            endpoint: None,
            api_version: "68.0".to_owned(),
            replay_start: "-2".to_owned(),
            replay_fallback: None,
            session: Options { connection_timeout: None, ..salesforce::session_defaults() },
        },
        seed,
    )
}

/// Lets a client live through it. Gives the ids that arrived, in their order.
fn live(seed: u64, trouble: u64, last: u64) -> (Vec<u64>, Server) {
    let mut rng = Rng::new(seed);
    let mut client = client(seed ^ 0xabcd);
    let mut server = Server {
        rng: Rng::new(seed ^ 0x1234),
        pace: 50 + rng.up_to(20_000),
        last,
        most: [1, 2, 5, 1000][rng.up_to(3) as usize],
        sessions: BTreeMap::new(),
        next_session: 0,
        token: 1,
        proven: String::new(),
        trouble,
        logins: 0,
        handshakes: 0,
    };
    let mut now = 0;
    let mut received = Vec::new();
    // What reaches the server, and what comes back.
    let mut arriving: BTreeMap<(u64, u32), Request> = BTreeMap::new();
    let mut landing: BTreeMap<(u64, u32), Result<Response, Failure>> = BTreeMap::new();
    let mut connects = Vec::new();
    let mut unsettled = 2_usize + 1;
    client.session.subscribe(Moment::default(), CHANNELS[0]);
    client.session.open(Moment::default());
    // The other one while a poll is held, when there is a lot of it already.
    let mut joins_at = Some(rng.up_to(100) * server.pace);
    for step in 0.. {
        assert!(
            step < 400_000,
            "seed {seed}: it never gets to its end, without {:?}",
            (1..=last).filter(|id| !received.contains(id)).collect::<Vec<_>>()
        );
        let deadline = loop {
            match client.poll() {
                Output::Send(id, request) => {
                    let at = now + 1 + rng.up_to(200);
                    if request.url().contains("/cometd")
                        && String::from_utf8_lossy(request.body()).contains("/meta/connect")
                    {
                        connects.push(id.0);
                        assert_eq!(connects.len(), 1, "two connects at once");
                    }
                    landing.insert((now + request.timeout().0, id.0), Err(Failure::Timeout));
                    arriving.insert((at, id.0), request);
                }
                Output::Cancel(id) => {
                    connects.retain(|other| *other != id.0);
                    landing.retain(|(_, other), _| *other != id.0);
                }
                Output::Event(salesforce::Event::Session(event)) => match event {
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
                    Event::Settled(_, result) => {
                        assert_eq!(result, Ok(()), "nobody gives up");
                        unsettled -= 1;
                    }
                    Event::State(State::Disconnected) | Event::Ended(_) => panic!("it ended: {event:?}"),
                    _ => {}
                },
                Output::Event(event) => panic!("{event:?}"),
                Output::Load(_) | Output::Save(..) => unreachable!(),
                Output::Wait(deadline) => break deadline,
            }
        };
        if joins_at.is_some_and(|at| now >= at) && unsettled == 1 {
            joins_at = None;
            client.session.subscribe(Moment::from_millis(now), CHANNELS[1]);
            continue;
        }
        if received.len() as u64 >= last && now > last * server.pace {
            assert_eq!(unsettled, 0);
            return (received, server);
        }
        let waking = match deadline {
            Deadline::At(at) => at.as_millis(),
            Deadline::Never => u64::MAX,
        };
        let arrival = arriving.keys().next().copied();
        let landed = landing.keys().next().copied();
        let next = [arrival.map(|key| key.0), landed.map(|key| key.0), Some(waking)]
            .into_iter()
            .flatten()
            .min()
            .expect("a time");
        assert_ne!(next, u64::MAX, "nothing will ever happen again");
        now = now.max(next);
        if let Some(key) = arrival.filter(|key| key.0 == next) {
            let request = arriving.remove(&key).expect("a request");
            // Only what is still wanted is answered, but the server does not know.
            let back = now + 1 + rng.up_to(200);
            let mut answer = |at: u64, outcome: Result<Response, Failure>| {
                if landing.keys().any(|(_, id)| *id == key.1) {
                    landing.retain(|(_, id), _| *id != key.1);
                    landing.insert((at, key.1), outcome);
                }
            };
            // Until all is settled a failure would be one for the application.
            let trouble =
                if unsettled > usize::from(joins_at.is_some()) { SessionError::None } else { server.pick() };
            let status = |status: u16| Ok(Response { body: b"<html>".to_vec(), ..Response::new(status) });
            if request.url().ends_with("/token") {
                server.logins += 1;
                match trouble {
                    SessionError::None | SessionError::Unauthorized => {
                        server.token += 1;
                        let body = json!({ "access_token": format!("T{}", server.token), "instance_url": "https://acme.example" });
                        answer(
                            back,
                            Ok(Response { body: body.to_string().into_bytes(), ..Response::new(200) }),
                        );
                    }
                    SessionError::Gateway => answer(back, status(503)),
                    SessionError::Hangs => {}
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
            match trouble {
                SessionError::LostOnTheWay => answer(back, Err(Failure::Network)),
                SessionError::Hangs => {}
                SessionError::Gateway => answer(back, status(502)),
                SessionError::Unauthorized
                    if messages[0]["channel"] == "/meta/connect" && server.proven == token =>
                {
                    server.sessions.remove(&id);
                    let refused = json!([{ "channel": "/meta/connect", "id": messages[0]["id"], "successful": false, "error": "401::Authentication invalid", "advice": { "reconnect": "none" } }]);
                    answer(
                        back,
                        Ok(Response { body: refused.to_string().into_bytes(), ..Response::new(200) }),
                    );
                }
                SessionError::None | SessionError::LostOnTheWayBack | SessionError::Unauthorized => {
                    // Now and then the server forgets somebody.
                    if server.rng.up_to(999) < server.trouble / 4 {
                        server.sessions.remove(&id);
                    }
                    let probes = messages[0]["advice"]["timeout"] == 0
                        || messages.len() > 1
                        || messages[0]["channel"] != "/meta/connect";
                    let at = server.answers_at(&id, now, probes);
                    let held = at - now;
                    if held > 0 {
                        // It comes again when it is time.
                        let mut probing = messages.clone();
                        probing[0]["advice"] = json!({ "timeout": 0 });
                        let again = Request::post(
                            request.url(),
                            request.headers(),
                            Value::Array(probing).to_string().into_bytes(),
                        );
                        arriving.insert((at, key.1), again);
                        continue;
                    }
                    let body = Value::Array(server.answer(&messages, now)).to_string().into_bytes();
                    let outcome = if trouble == SessionError::LostOnTheWayBack {
                        Err(Failure::Network)
                    } else {
                        Ok(Response { body, ..Response::new(200) })
                    };
                    answer(back, outcome);
                }
            }
        } else if let Some(key) = landed.filter(|key| key.0 == next) {
            let outcome = landing.remove(&key).expect("an outcome");
            connects.retain(|other| *other != key.1);
            if matches!(&outcome, Ok(response) if String::from_utf8_lossy(&response.body).contains("\"advice\":{\"interval\":0,\"reconnect\":\"retry\""))
            {
                server.proven = format!("authorization: Bearer T{}", server.token);
            }
            client.handle(Moment::from_millis(now), Input::Exchange(ExchangeId(key.1), outcome));
        } else {
            client.handle(Moment::from_millis(now), Input::Tick);
        }
    }
    unreachable!()
}

#[test]
fn every_event_arrives_once_and_in_order_whatever_happens() {
    let seeds: u64 = 400;
    let (mut logins, mut handshakes) = (0, 0);
    for seed in 0..seeds {
        let trouble = [0, 20, 100, 250][(seed % 4) as usize];
        let (received, server) = live(seed, trouble, 400);
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
    // The world was as bad as it should be.
    assert!(logins > seeds as u32 && handshakes > 2 * seeds as u32, "{logins} {handshakes}");
}

/// Pieces of answers, good and bad, for a peer without manners.
const PIECES: &[&str] = &[
    r#"{"channel":"/meta/handshake","successful":true,"clientId":"c","supportedConnectionTypes":["websocket","long-polling"],"ext":{"ack":true,"replay":true}}"#,
    r#"{"channel":"/meta/handshake","successful":true,"clientId":7,"supportedConnectionTypes":"long-polling","advice":{"interval":-9223372036854775808,"timeout":9223372036854775807,"maxInterval":1}}"#,
    r#"{"channel":"/meta/handshake","successful":false,"error":"403::x","advice":{"reconnect":"retry"}}"#,
    r#"{"channel":"/meta/connect","successful":true,"ext":{"ack":99999999999999999999}}"#,
    r#"{"channel":"/meta/connect","successful":true,"advice":{"interval":5,"timeout":1,"reconnect":"retry"}}"#,
    r#"{"channel":"/meta/connect","successful":false,"error":"402::session_unknown","advice":{"reconnect":"handshake"}}"#,
    r#"{"channel":"/meta/connect","successful":false,"error":"x","advice":[1]}"#,
    r#"{"channel":"/meta/subscribe","successful":true,"subscription":["/a",1,null]}"#,
    r#"{"channel":"/meta/subscribe","successful":false,"error":"400::The replayId {1} you provided was invalid."}"#,
    r#"{"channel":"/meta/subscribe","successful":false,"error":"403::y","ext":{"sfdc":{"failureReason":"503::busy"}}}"#,
    r#"{"channel":"/meta/unsubscribe","successful":true}"#,
    r#"{"channel":"/a","data":{"event":{"replayId":18446744073709551616,"EventUuid":"\ud800"}}}"#,
    r#"{"channel":"/\u0061?x='1'","data":{"event":{"replayId":"\u00e9"}}}"#,
    r#"{"channel":"/a","data":null,"id":"1"}"#,
    r#"{"channel":"/a","successful":true}"#,
    r#"{"channel":"/meta/nonsense","successful":true,"id":{}}"#,
    r#"{"channel":["/a"],"data":1}"#,
    r#"{"data":1}"#,
    "[]",
    "null",
    "\u{0}",
];

#[test]
fn nothing_that_a_peer_says_makes_it_panic_and_every_operation_ends_once() {
    use eventferry::bayeux::client::Client;
    let mut connections = 0;
    for seed in 0..1500 {
        let mut rng = Rng::new(seed);
        let mut sessions = Vec::new();
        let options =
            Options { url: "http://a.example/x".to_owned(), connection_timeout: None, ..Options::default() };
        let mut bayeux = Client::new(options, seed);
        let mut sales = client(seed);
        let is_sales = seed % 2 == 0;
        let mut now = 0;
        let mut open_ops: Vec<u32> = Vec::new();
        let (mut flying, mut sockets): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
        let mut has_ended = false;
        let start = Moment::default();
        open_ops.push(if is_sales { sales.session.open(start) } else { bayeux.session.open(start) }.0);
        for step in 0..250 {
            let moment = Moment::from_millis(now);
            let session = if is_sales { &mut sales.session } else { &mut bayeux.session };
            match rng.up_to(if step > 240 { 0 } else { 14 }) {
                0 if step > 240 => session.close(moment),
                1 => open_ops.push(session.subscribe(moment, ["/a", "/b", "/c/*"][rng.up_to(2) as usize]).0),
                2 => open_ops.push(
                    session.unsubscribe(moment, ["/a", "/b"][rng.up_to(1) as usize], rng.up_to(1) == 0).0,
                ),
                3 => open_ops.push(
                    if is_sales {
                        sales.publish(moment, "/a", "1")
                    } else {
                        bayeux.publish(moment, "/a", "1")
                    }
                    .0,
                ),
                4 => session.pause(moment),
                5 => session.resume_polling(moment),
                // Time may seem to go back.
                6 => now = now.saturating_sub(rng.up_to(50)),
                _ => {}
            }
            now += rng.up_to(1500);
            let moment = Moment::from_millis(now);
            let mut text = String::from("[");
            for at in 0..rng.up_to(4) {
                if at > 0 {
                    text.push(',');
                }
                // Every other time one that may help.
                let most = if rng.up_to(1) == 0 { 4 } else { PIECES.len() as u64 - 1 };
                text.push_str(PIECES[rng.up_to(most) as usize]);
            }
            text.push(']');
            if rng.up_to(9) == 0 {
                let mut cut = rng.up_to(text.len() as u64) as usize;
                while !text.is_char_boundary(cut) {
                    cut -= 1;
                }
                text.truncate(cut);
            }
            let is_socket = rng.up_to(1) == 0 && !sockets.is_empty();
            if is_socket && !is_sales {
                let id = sockets[rng.up_to(sockets.len() as u64 - 1) as usize];
                match rng.up_to(5) {
                    0 => bayeux.socket_closed(moment, id, 1006),
                    1 | 2 => bayeux.session.socket_opened(moment, id),
                    _ => bayeux.socket_text(moment, id, text.into_bytes()),
                }
            } else {
                let id = if flying.is_empty() || rng.up_to(9) == 0 {
                    9999
                } else {
                    flying.remove(rng.up_to(flying.len() as u64 - 1) as usize)
                };
                let token = r#"{"access_token":"T","instance_url":"https://a.example"}"#;
                let body = if is_sales && rng.up_to(2) == 0 { token.to_owned() } else { text };
                let status =
                    if rng.up_to(9) == 0 { [401, 503, 500, 404][rng.up_to(3) as usize] } else { 200 };
                let outcome = match rng.up_to(9) {
                    0 => Err(Failure::Network),
                    1 => Err(Failure::Timeout),
                    _ => Ok(Response {
                        body: body.into_bytes(),
                        headers: "set-cookie: a=\u{1}; expires=x, b=2\n".to_owned(),
                        ..Response::new(status)
                    }),
                };
                let input =
                    if rng.up_to(3) == 0 { Input::Tick } else { Input::Exchange(ExchangeId(id), outcome) };
                if is_sales { sales.handle(moment, input) } else { bayeux.handle(moment, input) }
            }
            for turn in 0.. {
                assert!(turn < 10_000, "seed {seed}: it never waits");
                let output = if is_sales {
                    match sales.poll() {
                        Output::Event(salesforce::Event::Session(event)) => Output::Event(event),
                        Output::Event(_) => continue,
                        Output::Send(id, request) => Output::Send(id, request),
                        Output::Cancel(id) => Output::Cancel(id),
                        Output::Wait(deadline) => Output::Wait(deadline),
                        _ => unreachable!(),
                    }
                } else {
                    bayeux.poll()
                };
                match output {
                    Output::Send(id, _) => flying.push(id.0),
                    Output::Cancel(id) => flying.retain(|other| *other != id.0),
                    Output::Event(Event::Settled(op, _)) => {
                        let at = open_ops.iter().position(|other| *other == op.0);
                        open_ops.remove(at.unwrap_or_else(|| panic!("seed {seed}: {op:?} ends twice")));
                    }
                    Output::Event(Event::Ended(_)) => {
                        assert!(!has_ended, "seed {seed}: it ends twice");
                        has_ended = true;
                    }
                    Output::Event(Event::SocketOpen { id, .. }) => sockets.push(id),
                    Output::Event(event) => {
                        assert!(
                            !has_ended
                                || matches!(
                                    event,
                                    Event::Settled(..) | Event::SocketClose { .. } | Event::Notice(_)
                                ),
                            "seed {seed}: {event:?} behind the end"
                        );
                        sessions.push(matches!(event, Event::State(State::Connected)));
                    }
                    Output::Wait(_) => break,
                    _ => {}
                }
            }
        }
        // A goodbye that nobody answers ends by itself.
        for _ in 0..3 {
            now += 10_000;
            let input = Input::Tick;
            if is_sales {
                sales.handle(Moment::from_millis(now), input)
            } else {
                bayeux.handle(Moment::from_millis(now), input)
            }
            loop {
                let output = if is_sales {
                    match sales.poll() {
                        Output::Event(salesforce::Event::Session(event)) => Some(event),
                        Output::Wait(_) => break,
                        _ => None,
                    }
                } else {
                    match bayeux.poll() {
                        Output::Event(event) => Some(event),
                        Output::Wait(_) => break,
                        _ => None,
                    }
                };
                match output {
                    Some(Event::Settled(op, _)) => open_ops.retain(|other| *other != op.0),
                    Some(Event::Ended(_)) => has_ended = true,
                    _ => {}
                }
            }
        }
        assert!(has_ended, "seed {seed}: it does not end");
        assert_eq!(open_ops, Vec::<u32>::new(), "seed {seed}: these never end");
        connections += sessions.iter().filter(|is_connected| **is_connected).count();
    }
    // The peer was good enough now and then.
    assert!(connections > 500, "{connections}");
}
