//! Random messages, valid and invalid, for the Bayeux and the Salesforce client.

use eventferry::base::http::{Failure, Response};
use eventferry::base::ids::{ExchangeId, OpId};
use eventferry::base::time::Moment;
use eventferry::bayeux::dialect::DefaultDialect;
use eventferry::bayeux::session::{Event, Input, Limits, Options, Session, State, Times};
use eventferry::engine::jitter::Rng;
use eventferry::engine::machine::{Machine, Output, Poll};
use eventferry::salesforce::client as salesforce;

use super::client;

/// A client of either kind.
enum Client {
    Bayeux(Box<Session>),
    Salesforce(Box<salesforce::Client>),
}

impl Client {
    fn new(seed: u64) -> Self {
        if seed.is_multiple_of(2) {
            return Self::Salesforce(Box::new(client(seed)));
        }
        let options = Options {
            url: "http://a.example/x".to_owned(),
            times: Times { connection_timeout: None, ..Times::default() },
            limits: Limits { max_pending: 3, ..Limits::default() },
            ..Options::default()
        };
        Self::Bayeux(Box::new(Session::new(options, Box::new(DefaultDialect), seed)))
    }

    fn handle(&mut self, now: u64, input: Input) {
        let now = Moment::from_millis(now);
        match self {
            Self::Bayeux(session) => session.handle(now, input),
            Self::Salesforce(client) => client.handle(now, salesforce::Input::Session(input)),
        }
    }

    /// The next output; `None` if the client waits.
    fn poll(&mut self) -> Option<Output<Event>> {
        loop {
            return Some(match self {
                Self::Bayeux(session) => match session.poll() {
                    Poll::Do(output) => output,
                    Poll::Wait(_) => return None,
                },
                Self::Salesforce(client) => match client.poll() {
                    Poll::Do(salesforce::Output::Session(output)) => output,
                    Poll::Do(salesforce::Output::Login(id, request)) => Output::Send(id, request),
                    Poll::Do(_) => continue,
                    Poll::Wait(_) => return None,
                },
            });
        }
    }
}

/// Messages of a hostile peer, valid and invalid.
const MESSAGES: &[&str] = &[
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
fn a_hostile_peer_causes_no_panic_and_every_operation_ends_once() {
    let mut connections = 0;
    for seed in 0..1500 {
        let mut rng = Rng::new(seed);
        let mut sessions = Vec::new();
        let mut client = Client::new(seed);
        let is_salesforce = matches!(client, Client::Salesforce(_));
        let mut now = 0;
        let mut op_count = 1;
        let mut open_ops: Vec<u32> = vec![1];
        let (mut in_flight, mut sockets): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
        let mut has_ended = false;
        client.handle(now, Input::Open(OpId(1)));
        for step in 0..250 {
            let op = OpId(op_count + 1);
            let channel =
                |names: &[&str], rng: &mut Rng| names[rng.up_to(names.len() as u64 - 1) as usize].to_owned();
            let input = match rng.up_to(if step > 240 { 0 } else { 14 }) {
                0 if step > 240 => Some(Input::Close),
                1 => Some(Input::Subscribe(op, channel(&["/a", "/b", "/c/*"], &mut rng))),
                2 => Some(Input::Unsubscribe {
                    op,
                    channel: channel(&["/a", "/b"], &mut rng),
                    all: rng.up_to(1) == 0,
                }),
                3 => Some(Input::Publish { op, channel: "/a".to_owned(), data: "1".to_owned() }),
                4 | 5 => Some(Input::Taken(rng.up_to(9) as usize)),
                // The clock may go back.
                6 => {
                    now = now.saturating_sub(rng.up_to(50));
                    None
                }
                _ => None,
            };
            if let Some(input) = input {
                if matches!(input, Input::Subscribe(..) | Input::Unsubscribe { .. } | Input::Publish { .. }) {
                    op_count += 1;
                    open_ops.push(op_count);
                }
                client.handle(now, input);
            }
            now += rng.up_to(1500);
            let mut text = String::from("[");
            for at in 0..rng.up_to(4) {
                if at > 0 {
                    text.push(',');
                }
                // Half of them are valid.
                let last = if rng.up_to(1) == 0 { 4 } else { MESSAGES.len() as u64 - 1 };
                text.push_str(MESSAGES[rng.up_to(last) as usize]);
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
            if is_socket && !is_salesforce {
                let id = sockets[rng.up_to(sockets.len() as u64 - 1) as usize];
                let input = match rng.up_to(5) {
                    0 => Input::SocketClosed(id, 1006),
                    1 | 2 => Input::SocketOpened(id),
                    _ => Input::SocketText(id, text.into_bytes()),
                };
                client.handle(now, input);
            } else {
                let id = if in_flight.is_empty() || rng.up_to(9) == 0 {
                    9999
                } else {
                    in_flight.remove(rng.up_to(in_flight.len() as u64 - 1) as usize)
                };
                let token = r#"{"access_token":"T","instance_url":"https://acme.example"}"#;
                let body = if is_salesforce && rng.up_to(2) == 0 { token.to_owned() } else { text };
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
                client.handle(now, input);
            }
            for turn in 0.. {
                assert!(turn < 10_000, "seed {seed}: poll never waits");
                let Some(output) = client.poll() else { break };
                match output {
                    Output::Send(id, _) => in_flight.push(id.0),
                    Output::Cancel(id) => in_flight.retain(|other| *other != id.0),
                    Output::Event(Event::Settled(op, _)) => {
                        let at = open_ops.iter().position(|other| *other == op.0);
                        open_ops.remove(at.unwrap_or_else(|| panic!("seed {seed}: {op:?} ends twice")));
                    }
                    Output::Event(Event::Ended(_)) => {
                        assert!(!has_ended, "seed {seed}: the client ends twice");
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
                            "seed {seed}: {event:?} after the end"
                        );
                        sessions.push(matches!(event, Event::State(State::Connected)));
                    }
                }
            }
        }
        // A disconnect without a response ends by itself.
        for _ in 0..3 {
            now += 10_000;
            client.handle(now, Input::Tick);
            while let Some(output) = client.poll() {
                match output {
                    Output::Event(Event::Settled(op, _)) => open_ops.retain(|other| *other != op.0),
                    Output::Event(Event::Ended(_)) => has_ended = true,
                    _ => {}
                }
            }
        }
        assert!(has_ended, "seed {seed}: the client does not end");
        assert_eq!(open_ops, Vec::<u32>::new(), "seed {seed}: unsettled operations");
        connections += sessions.iter().filter(|is_connected| **is_connected).count();
    }
    // Some connections succeeded.
    assert!(connections > 500, "{connections}");
}
