//! What keeps a stream alive that users have seen die.

use std::cell::RefCell;
use std::rc::Rc;

use eventferry::base::error::Code;
use eventferry::base::ids::OpId;
use eventferry::base::time::Millis;
use eventferry::bayeux::session::{Input, Probe};
use serde_json::{Value, json};

use super::world::{Answer, Client, accept, accept_all, event, grant, is_poll, refuse, reply_to, world};

const A: &str = "/event/A__e";

/// The requested replay positions, in order.
fn positions(messages: &[Value]) -> Vec<Value> {
    let subscribes = messages.iter().filter(|message| message["channel"] == "/meta/subscribe");
    let asked = subscribes.map(|message| message["ext"]["replay"][A].clone());
    asked.filter(|position| !position.is_null()).collect()
}

#[test]
fn a_goodbye_of_salesforce_is_followed_by_a_login_or_a_new_session() {
    let goodbye = || json!({ "channel": "/meta/disconnect" });
    type Beside = fn(&Value) -> Vec<Value>;
    let cases: [(&str, Beside, bool, usize); 6] = [
        ("alone", |_| Vec::new(), true, 1),
        ("after 401", |poll| vec![refuse(poll, "401::Authentication invalid", "none")], true, 2),
        ("before 401", |poll| vec![refuse(poll, "401::Authentication invalid", "none")], false, 2),
        ("after 403", |poll| vec![refuse(poll, "403::Unknown client", "handshake")], true, 1),
        ("before 403", |poll| vec![refuse(poll, "403::Unknown client", "handshake")], false, 1),
        ("beside success", |poll| vec![reply_to(poll, true)], true, 1),
    ];
    for (name, beside, is_last, expected_logins) in cases {
        let logins = Rc::new(RefCell::new(0));
        let subscribed = Rc::new(RefCell::new(Vec::new()));
        let (count, asked) = (Rc::clone(&logins), Rc::clone(&subscribed));
        let mut polls = 0;
        let mut world = world(
            Client::salesforce(|_| {}),
            move |_| {
                *count.borrow_mut() += 1;
                grant("T")
            },
            move |_, messages, _| {
                asked.borrow_mut().extend(positions(messages));
                if !is_poll(messages) {
                    return accept_all(messages);
                }
                polls += 1;
                match polls {
                    1 => Answer::Messages(100, vec![event(A, 41), reply_to(&messages[0], true)]),
                    2 => {
                        let mut replies = beside(&messages[0]);
                        replies.insert(if is_last { replies.len() } else { 0 }, goodbye());
                        Answer::Messages(100, replies)
                    }
                    3 => Answer::Messages(100, vec![event(A, 42), reply_to(&messages[0], true)]),
                    _ => Answer::Hang,
                }
            },
        );
        world.start(A);
        world.run_until(60_000);
        assert_eq!(world.delivered(), [41, 42], "{name}");
        assert_eq!(*logins.borrow(), expected_logins, "{name}");
        assert_eq!(*subscribed.borrow(), [json!(-2), json!(41)], "{name}");
        assert_eq!(world.end(), None, "{name}");
    }
}

#[test]
fn a_goodbye_of_a_plain_bayeux_server_ends_the_client() {
    let mut world = world(
        Client::bayeux(|_| {}),
        |_| Answer::Hang,
        |_, messages, _| {
            if is_poll(messages) {
                return Answer::Messages(100, vec![json!({ "channel": "/meta/disconnect" })]);
            }
            accept_all(messages)
        },
    );
    world.start("/a");
    world.run_until(5000);
    let end = world.end().and_then(Option::as_ref).map(|error| error.code);
    assert_eq!(end, Some(Code::Rejected));
}

#[test]
fn goodbyes_again_and_again_are_slowed_down() {
    let mut world = world(
        Client::salesforce(|_| {}),
        |_| grant("T"),
        |_, messages, _| {
            if is_poll(messages) {
                return Answer::Messages(5, vec![json!({ "channel": "/meta/disconnect" })]);
            }
            accept_all(messages)
        },
    );
    world.start(A);
    world.run_until(600_000);
    assert_eq!(world.end(), None);
    assert!(
        world.sent("/meta/handshake") < 80,
        "{} handshakes in ten minutes",
        world.sent("/meta/handshake")
    );
    world.input(Input::Close);
    world.run_until(700_000);
    assert_eq!(world.settled(OpId(2).0).map(|(_, result)| result.is_ok()), Some(true));
}

/// A server whose answers to some messages are refusals.
fn sick_world(
    client: Client,
    sick_from: u64,
    sick: fn(&Value) -> Option<Value>,
) -> super::world::StreamWorld {
    world(
        client,
        |_| grant("T"),
        move |now, messages, _| {
            let mut replies = Vec::new();
            for message in messages {
                match (now >= sick_from).then(|| sick(message)).flatten() {
                    Some(reply) => replies.push(reply),
                    None => {
                        let Answer::Messages(_, accepted) = accept_all(std::slice::from_ref(message)) else {
                            return Answer::Messages(900, vec![reply_to(message, true)]);
                        };
                        replies.extend(accepted);
                    }
                }
            }
            Answer::Messages(5, replies)
        },
    )
}

#[test]
fn the_connection_timeout_holds_whatever_the_server_refuses() {
    type Sick = fn(&Value) -> Option<Value>;
    fn on(message: &Value, channel: &str, error: &str, reconnect: &str) -> Option<Value> {
        (message["channel"] == channel).then(|| refuse(message, error, reconnect))
    }
    let cases: [(&str, bool, Sick); 5] = [
        ("connects with advice", false, |m| on(m, "/meta/connect", "402::session_unknown", "handshake")),
        ("connects and sessions", false, |m| {
            on(m, "/meta/connect", "402::session_unknown", "handshake")
                .or_else(|| on(m, "/meta/handshake", "500::no", ""))
        }),
        ("sessions without advice", false, |m| on(m, "/meta/handshake", "500::no", "")),
        ("busy", true, |m| on(m, "/meta/handshake", "503::Server is too busy", "")),
        ("403 after each handshake", true, |m| on(m, "/meta/connect", "403::Unknown client", "handshake")),
    ];
    for (name, is_salesforce, sick) in cases {
        let client = |timeout: u64| {
            let connection_timeout = Some(Millis(timeout));
            if is_salesforce {
                Client::salesforce(|options| options.session.times.connection_timeout = connection_timeout)
            } else {
                Client::bayeux(|options| options.times.connection_timeout = connection_timeout)
            }
        };
        let mut at_once = sick_world(client(2000), 0, sick);
        at_once.start(A);
        at_once.run_until(10_000);
        let (at, result) = at_once.settled(2).unwrap_or_else(|| panic!("{name}: open does not end"));
        assert!(result.is_err() && (2000..2500).contains(&at), "{name}: {at} {result:?}");
        if ["busy", "sessions without advice"].contains(&name) {
            // A client that is connected makes no handshake.
            continue;
        }
        let mut later = sick_world(client(2000), 3000, sick);
        later.start(A);
        later.run_until(15_000);
        assert!(later.settled(2).is_some_and(|(_, result)| result.is_ok()), "{name}");
        let lost = later.lost_at();
        assert!(lost.first().is_some_and(|at| (5000..8000).contains(at)), "{name}: {lost:?}");
        assert!(lost.len() > 2, "{name}: it is told again {lost:?}");
    }
}

#[test]
fn open_rejects_in_time_although_nothing_is_answered() {
    let mut world = world(Client::bayeux(|_| {}), |_| Answer::Hang, |_, _, _| Answer::Hang);
    world.start("/a");
    world.run_until(30_000);
    let (at, result) = world.settled(2).expect("an end");
    assert_eq!((at, result.as_ref().err().map(|error| error.code)), (10_000, Some(Code::Timeout)));
}

#[test]
fn polls_that_are_refused_between_successful_probes_are_an_outage() {
    let mut world = sick_world(Client::salesforce(|_| {}), 5000, |message| {
        let is_poll = message["channel"] == "/meta/connect" && message["advice"].is_null();
        is_poll.then(|| refuse(message, "403::Unknown client", "handshake"))
    });
    world.start(A);
    world.run_until(60_000);
    assert!(!world.lost_at().is_empty());
    assert!(world.sent("/meta/handshake") < 40, "{}", world.sent("/meta/handshake"));
}

/// A Salesforce server that has events 1 to 200 of a channel, whose answers `spoil` changes.
fn spoiling_world(spoil: fn(usize, String) -> String) -> super::world::StreamWorld {
    let mut position = None;
    let mut answers = 0;
    world(
        Client::salesforce(|_| {}),
        |_| grant("T"),
        move |_, messages, _| {
            for message in messages {
                if message["channel"] == "/meta/subscribe" {
                    position = message["ext"]["replay"][A].as_i64();
                }
            }
            let waiting = is_poll(messages).then(|| position.take()).flatten();
            let Some(from) = waiting.filter(|from| *from < 200) else { return accept_all(messages) };
            let mut replies: Vec<Value> = (from.max(0) + 1..=200).map(|id| event(A, id as u64)).collect();
            replies.push(reply_to(&messages[0], true));
            answers += 1;
            Answer::Body(5, 200, spoil(answers, Value::Array(replies).to_string()))
        },
    )
}

#[test]
fn an_answer_that_can_never_be_read_is_fetched_ever_more_rarely_and_the_program_is_told() {
    let mut world = spoiling_world(|_, _| "\u{0}not JSON".to_owned());
    world.start(A);
    world.run_until(600_000);
    assert_eq!((world.delivered(), world.end()), (Vec::new(), None));
    assert!(world.lost_at().first().is_some_and(|at| *at < 15_000), "{:?}", world.lost_at());
    assert!(
        world.sent("/meta/subscribe") < 60,
        "{} deliveries in ten minutes",
        world.sent("/meta/subscribe")
    );
}

#[test]
fn an_answer_that_is_cut_each_time_is_delivered_piece_by_piece() {
    let mut world = spoiling_world(|_, text| text[..text.len().min(6000)].to_owned());
    world.start(A);
    world.run_until(600_000);
    let first = world
        .events
        .iter()
        .find(|(_, event)| matches!(event, eventferry::bayeux::session::Event::Messages { .. }));
    // The first cut is taken for an accident.
    assert!(first.is_some_and(|(at, _)| *at > 10), "the whole answer is asked for once more");
    assert_eq!(world.delivered(), (1..=200).collect::<Vec<_>>());
}

#[test]
fn one_event_that_is_not_json_does_not_hold_up_the_others() {
    let mut world = spoiling_world(|_, text| text.replace("\"replayId\":77}", "\"replayId\":77,,}"));
    world.start(A);
    world.run_until(60_000);
    assert_eq!(world.delivered(), (1..=200).filter(|id| *id != 77).collect::<Vec<_>>());
    assert!(world.lost_at().is_empty());
}

#[test]
fn a_byte_order_mark_before_the_answer_is_dropped() {
    let mut world = spoiling_world(|_, text| format!("\u{feff}{text}"));
    world.start(A);
    world.run_until(60_000);
    assert_eq!(world.delivered(), (1..=200).collect::<Vec<_>>());
}

/// Runs a client whose token is refused at the first poll, with these answers to the second and later logins.
fn world_with_second_login(answer: fn(usize) -> Answer) -> super::world::StreamWorld {
    let mut logins = 0;
    let mut polls = 0;
    world(
        Client::salesforce(|_| {}),
        move |_| {
            logins += 1;
            if logins == 1 { grant("T1") } else { answer(logins) }
        },
        move |_, messages, token| {
            if !is_poll(messages) {
                return accept_all(messages);
            }
            polls += 1;
            match (token, polls) {
                ("T1", _) => {
                    Answer::Messages(50, vec![refuse(&messages[0], "401::Authentication invalid", "none")])
                }
                (_, 2) => Answer::Messages(50, vec![event(A, 7), reply_to(&messages[0], true)]),
                _ => Answer::Hang,
            }
        },
    )
}

#[test]
fn passing_refusals_of_a_login_do_not_end_a_running_stream() {
    const BUSY: &str =
        r#"{"error":"invalid_grant","error_description":"token request is already being processed"}"#;
    const RETRY: &str = r#"{"error":"unknown_error","error_description":"retry your request"}"#;
    fn until_the_fourth(n: usize, status: u16, body: &str) -> Answer {
        if n < 4 { Answer::Body(5, status, body.to_owned()) } else { grant("T2") }
    }
    type SecondLogin = fn(usize) -> Answer;
    let cases: [(&str, SecondLogin); 5] = [
        ("busy", |n| until_the_fourth(n, 400, BUSY)),
        ("retry", |n| until_the_fourth(n, 400, RETRY)),
        ("page", |n| until_the_fourth(n, 200, "<html>")),
        ("gone page", |n| until_the_fourth(n, 404, "<html>")),
        ("redirect", |n| until_the_fourth(n, 302, "")),
    ];
    for (name, answer) in cases {
        let mut world = world_with_second_login(answer);
        world.start(A);
        world.run_until(120_000);
        assert_eq!((world.delivered(), world.end()), (vec![7], None), "{name}");
    }
}

#[test]
fn a_final_refusal_of_a_login_ends_a_running_stream_at_once() {
    let mut world = world_with_second_login(|_| {
        let text = r#"{"error":"invalid_grant","error_description":"expired access/refresh token"}"#;
        Answer::Body(5, 400, text.to_owned())
    });
    world.start(A);
    world.run_until(120_000);
    let end = world.end().and_then(Option::as_ref).map(|error| error.code);
    assert_eq!(end, Some(Code::Unauthorized));
    assert!(world.now < 5000, "{}", world.now);
}

#[test]
fn before_the_first_success_passing_refusals_end_open_when_the_patience_is_over() {
    let mut world = world(
        Client::salesforce(|_| {}),
        |_| Answer::Body(5, 404, "<html>".to_owned()),
        |_, _, _| Answer::Hang,
    );
    world.start(A);
    world.run_until(60_000);
    let (at, result) = world.settled(2).expect("an end");
    assert_eq!((at, result.as_ref().err().map(|error| error.code)), (10_000, Some(Code::Rejected)));
}

#[test]
fn a_renewed_token_that_runs_out_during_an_outage_is_renewed_again() {
    let mut logins = 0;
    let mut cuts = 0;
    let mut polls = 0;
    let mut world = world(
        Client::salesforce(|_| {}),
        move |_| {
            logins += 1;
            grant(&format!("T{logins}"))
        },
        move |_, messages, token| {
            let is_connect = messages[0]["channel"] == "/meta/connect";
            match token {
                "T1" if is_poll(messages) => {
                    Answer::Messages(50, vec![refuse(&messages[0], "401::Authentication invalid", "none")])
                }
                "T2" if is_connect && cuts < 4 => {
                    cuts += 1;
                    Answer::Broken(5)
                }
                "T2" if is_connect => {
                    Answer::Messages(5, vec![refuse(&messages[0], "401::Authentication invalid", "none")])
                }
                "T3" if is_poll(messages) && polls == 0 => {
                    polls += 1;
                    Answer::Messages(50, vec![event(A, 5), reply_to(&messages[0], true)])
                }
                _ => accept_all(messages),
            }
        },
    );
    world.start(A);
    world.run_until(300_000);
    assert_eq!((world.delivered(), world.end()), (vec![5], None));
}

#[test]
fn a_token_that_is_refused_at_once_is_renewed_only_once() {
    let mut world = world(
        Client::salesforce(|_| {}),
        |_| grant("T"),
        |_, messages, _| {
            if messages[0]["channel"] == "/meta/connect" {
                return Answer::Messages(
                    5,
                    vec![refuse(&messages[0], "401::Authentication invalid", "none")],
                );
            }
            accept_all(messages)
        },
    );
    world.start(A);
    world.run_until(300_000);
    let end = world.end().and_then(Option::as_ref).map(|error| error.code);
    assert_eq!(end, Some(Code::Unauthorized));
    let logins = world.requests.iter().filter(|(_, request)| request.url().ends_with("/token")).count();
    assert_eq!(logins, 2);
}

#[test]
fn cookies_and_assertions_follow_the_wall_clock_after_a_sleep() {
    use eventferry::base::http::Response;
    use eventferry::base::ids::ExchangeId;
    use eventferry::base::time::Moment;
    use eventferry::engine::machine::{Machine, Output, Poll};
    use eventferry::salesforce::auth::Flow;
    use eventferry::salesforce::client as salesforce;

    let mut options = super::options();
    options.flow = Flow::JwtBearer {
        consumer_key: "k".to_owned(),
        username: "u".to_owned(),
        audience: "https://login.salesforce.com".to_owned(),
    };
    options.session.epoch_unix_ms = 1_000_000;
    let mut client = salesforce::Client::new(options, 1);
    let now = Moment::from_millis(1000);
    let session = salesforce::Input::Session;
    // Half an hour of sleep, which the owner's clock does not count.
    client.handle(now, session(Input::Clock { epoch_unix_ms: 2_800_000 }));
    client.handle(now, session(Input::Open(OpId(1))));
    let mut claims = String::new();
    while let Poll::Do(output) = client.poll() {
        if let salesforce::Output::Sign { claims: found } = output {
            claims = found;
        }
    }
    assert!(claims.ends_with("\"exp\":2971}"), "{claims}");

    let mut bayeux = Client::bayeux(|options| options.epoch_unix_ms = 1_000_000);
    bayeux.input(now, Input::Open(OpId(1)));
    let mut cookies = Vec::new();
    for id in 1..=3 {
        while let Poll::Do(output) = bayeux.poll() {
            if let Output::Send(_, request) = output {
                let cookie = request.headers().lines().find_map(|line| line.strip_prefix("cookie: "));
                cookies.push(cookie.unwrap_or_default().to_owned());
            }
        }
        if id == 2 {
            bayeux.input(now, Input::Clock { epoch_unix_ms: 2_800_000 });
        }
        let message = json!({ "channel": if id == 1 { "/meta/handshake" } else { "/meta/connect" }, "id": id.to_string() });
        let reply = accept(&message).unwrap_or_else(|| reply_to(&message, true));
        let headers = if id == 1 { "set-cookie: a=1; Max-Age=600; Path=/" } else { "" };
        let response = Response {
            body: json!([reply]).to_string().into_bytes(),
            headers: headers.to_owned(),
            ..Response::new(200)
        };
        bayeux.input(now, Input::Exchange(ExchangeId(id), Ok(response)));
    }
    assert_eq!(cookies, ["", "a=1", ""]);
}

#[test]
fn a_pause_never_outlasts_the_interval_after_which_the_server_removes_the_session() {
    let mut sent = 0;
    let client = Client::bayeux(|options| options.limits.max_pending = 5);
    let mut world = world(
        client,
        |_| Answer::Hang,
        move |_, messages, _| {
            let mut replies = Vec::new();
            for message in messages {
                let mut reply = reply_to(message, true);
                if message["channel"] == "/meta/handshake" {
                    reply["clientId"] = json!("c");
                    reply["advice"] = json!({ "reconnect": "retry", "interval": 0, "timeout": 30_000, "maxInterval": 10_000 });
                }
                if is_poll(messages) && sent < 8 {
                    replies.extend((0..8).map(|n| json!({ "channel": "/a", "data": n })));
                    sent += 8;
                }
                replies.push(reply);
            }
            Answer::Messages(20, replies)
        },
    );
    world.start("/a");
    world.run_until(100_000);
    let connects: Vec<u64> = world
        .requests
        .iter()
        .filter(|(_, request)| String::from_utf8_lossy(request.body()).contains("/meta/connect"))
        .map(|(at, _)| *at)
        .collect();
    assert!(connects.len() > 10 && connects.len() < 40, "{} connects", connects.len());
    assert!(connects.windows(2).all(|pair| pair[1] - pair[0] < 9000), "{connects:?}");
}

#[test]
fn over_a_socket_the_heartbeat_goes_on_while_the_inbox_is_full() {
    use eventferry::base::time::Moment;
    use eventferry::bayeux::session::Event;
    use eventferry::bayeux::wire::Transport;
    use eventferry::engine::machine::{Machine, Output, Poll};

    let mut client = Client::bayeux(|options| {
        options.transports = vec![Transport::WebSocket];
        options.limits.max_pending = 2;
    });
    let now = Moment::from_millis(10);
    client.input(now, Input::Open(OpId(1)));
    let mut connects = 0;
    for _ in 0..20 {
        let mut frames = Vec::new();
        while let Poll::Do(output) = client.poll() {
            match output {
                Output::Event(Event::SocketOpen { id, .. }) => client.input(now, Input::SocketOpened(id)),
                Output::Event(Event::SocketSend { id, text }) => frames.push((id, text)),
                _ => {}
            }
        }
        for (id, text) in frames {
            let messages: Vec<Value> = serde_json::from_str(&text).expect("messages");
            let mut reply = reply_to(&messages[0], true);
            reply["clientId"] = json!("c");
            let is_connect = messages[0]["channel"] == "/meta/connect";
            connects += usize::from(is_connect);
            let events = (0..5).map(|n| json!({ "channel": "/a", "data": n }));
            let replies: Vec<Value> = events.filter(|_| is_connect).chain([reply]).collect();
            client.input(now, Input::SocketText(id, Value::Array(replies).to_string().into_bytes()));
        }
    }
    assert!(connects > 10, "{connects}");
}

#[test]
fn an_unknown_session_is_replaced_even_without_advice() {
    for error in ["402::Unknown client", "402::session_unknown", "401:c1:Unknown client"] {
        let mut polls = 0;
        let mut world = world(
            Client::bayeux(|_| {}),
            |_| Answer::Hang,
            move |_, messages, _| {
                if is_poll(messages) {
                    polls += 1;
                    if polls == 1 {
                        return Answer::Messages(50, vec![refuse(&messages[0], error, "")]);
                    }
                }
                accept_all(messages)
            },
        );
        world.start("/a");
        world.run_until(5000);
        assert_eq!((world.sent("/meta/handshake"), world.end()), (2, None), "{error}");
        assert_eq!(world.sent("/meta/subscribe"), 2, "{error}");
    }
}

#[test]
fn polls_that_come_back_at_once_are_slowed_down() {
    let mut world = world(
        Client::bayeux(|_| {}),
        |_| Answer::Hang,
        |_, messages, _| {
            Answer::Messages(
                5,
                messages
                    .iter()
                    .map(|message| {
                        let mut reply = reply_to(message, true);
                        reply["clientId"] = json!("c");
                        reply
                    })
                    .collect(),
            )
        },
    );
    world.start("/a");
    world.run_until(600_000);
    assert!((60..120).contains(&world.sent("/meta/connect")), "{}", world.sent("/meta/connect"));
}

const TWO_SECONDS: u64 = 2000;

#[test]
fn an_answer_that_overtakes_another_is_delivered_behind_it() {
    const B: &str = "/event/B__e";
    // (how the poll ends and when, when the messages are answered, the ids of the poll and of the messages)
    let cases: [(&str, u64, u64, u64, u64); 4] = [
        ("the poll comes first, with later events", 300, 500, 42, 41),
        ("the messages come first, with later events", 500, 300, 41, 42),
        ("the messages come first, with earlier events", 500, 300, 42, 41),
        ("the poll is held by the server", TWO_SECONDS, 300, 42, 41),
    ];
    for (name, poll_ms, messages_ms, poll_id, messages_id) in cases {
        let mut polls = 0;
        let mut world = world(
            Client::salesforce(|_| {}),
            |_| grant("T"),
            move |_, messages, _| {
                if is_poll(messages) {
                    polls += 1;
                    return match polls {
                        1 => Answer::Messages(100, vec![event(A, 40), reply_to(&messages[0], true)]),
                        2 => Answer::Messages(poll_ms, vec![event(A, poll_id), reply_to(&messages[0], true)]),
                        _ => Answer::Hang,
                    };
                }
                if messages[0]["subscription"] == B {
                    return Answer::Messages(
                        messages_ms,
                        vec![event(A, messages_id), reply_to(&messages[0], true)],
                    );
                }
                accept_all(messages)
            },
        );
        world.start(A);
        world.run_until(110);
        world.input(Input::Subscribe(OpId(3), B.to_owned()));
        world.run_until(5000);
        assert_eq!(world.delivered(), [40, 41, 42], "{name}");
        let (at, _) = world.settled(3).expect("an end");
        assert!(at < 1600, "{name}: settled at {at}");
    }
}

#[test]
fn a_lost_answer_whose_events_were_overtaken_is_replayed() {
    const B: &str = "/event/B__e";
    // Which answer is lost, and when: at once, or long after the other was delivered.
    for (is_poll_lost, lost_ms) in [(true, 500), (true, TWO_SECONDS), (false, 500)] {
        let mut polls = 0;
        let asked = Rc::new(RefCell::new(Vec::new()));
        let positions_seen = Rc::clone(&asked);
        let mut world = world(
            Client::salesforce(|_| {}),
            |_| grant("T"),
            move |_, messages, _| {
                let is_first = positions_seen.borrow().len() == 1;
                positions_seen.borrow_mut().extend(positions(messages));
                if is_poll(messages) {
                    polls += 1;
                    return match polls {
                        1 => Answer::Messages(100, vec![event(A, 40), reply_to(&messages[0], true)]),
                        2 if is_poll_lost => Answer::Broken(lost_ms),
                        2 => Answer::Messages(300, vec![event(A, 42), reply_to(&messages[0], true)]),
                        _ => Answer::Hang,
                    };
                }
                if is_first && messages[0]["subscription"] == B {
                    return if is_poll_lost {
                        Answer::Messages(300, vec![event(A, 42), reply_to(&messages[0], true)])
                    } else {
                        Answer::Broken(lost_ms)
                    };
                }
                accept_all(messages)
            },
        );
        world.start(A);
        world.run_until(110);
        world.input(Input::Subscribe(OpId(3), B.to_owned()));
        world.run_until(60_000);
        let asked = asked.borrow();
        assert_eq!(*asked, [json!(-2), json!(40)], "{is_poll_lost} {lost_ms}");
    }
}

#[test]
fn a_subscription_that_fails_between_two_polls_does_not_stop_the_polls() {
    const B: &str = "/event/B__e";
    let mut polls = 0;
    let mut world = world(
        Client::salesforce(|_| {}),
        |_| grant("T"),
        move |_, messages, _| {
            if messages[0]["subscription"] == B {
                return Answer::Broken(500);
            }
            if !is_poll(messages) {
                return accept_all(messages);
            }
            polls += 1;
            match polls {
                1 => Answer::Messages(400, vec![reply_to(&messages[0], true)]),
                _ => Answer::Hang,
            }
        },
    );
    world.start(A);
    world.run_until(20);
    world.input(Input::Subscribe(OpId(3), B.to_owned()));
    world.run_until(60_000);
    let (failed_at, result) = world.settled(3).expect("an end");
    assert!(result.is_err() && (500..600).contains(&failed_at), "{failed_at}");
    assert!(world.requests.iter().any(|(at, _)| *at >= failed_at), "nothing is polled any more");
}

#[test]
fn a_probe_keeps_the_replies_of_messages_whose_response_waits_for_the_poll() {
    const B: &str = "/event/B__e";
    let mut polls = 0;
    let asked = Rc::new(RefCell::new(Vec::new()));
    let positions_seen = Rc::clone(&asked);
    let mut world = world(
        Client::salesforce(|_| {}),
        |_| grant("T"),
        move |_, messages, _| {
            let is_first = positions_seen.borrow().len() == 1;
            positions_seen.borrow_mut().extend(positions(messages));
            if is_poll(messages) {
                polls += 1;
                return match polls {
                    1 => Answer::Messages(100, vec![event(A, 40), reply_to(&messages[0], true)]),
                    _ => Answer::Hang,
                };
            }
            if is_first && messages[0]["subscription"] == B {
                return Answer::Messages(300, vec![event(A, 42), reply_to(&messages[0], true)]);
            }
            accept_all(messages)
        },
    );
    world.start(A);
    world.run_until(110);
    world.input(Input::Subscribe(OpId(3), B.to_owned()));
    world.run_until(420);
    assert_eq!(world.settled(3), None, "the response waits for the poll");
    world.input(Input::Probe(Probe::Asked(OpId(4))));
    world.run_until(10_000);
    for op in [3, 4] {
        let (at, result) = world.settled(op).expect("an end");
        assert!(result.is_ok() && at < 1000, "{op}: {at}");
    }
    assert_eq!(*asked.borrow(), [json!(-2), json!(40)], "what the lost poll may have had is replayed");
}

/// The times of the requests after `at`.
fn requests_after(world: &super::world::StreamWorld, at: u64) -> Vec<u64> {
    world.requests.iter().map(|(sent_at, _)| *sent_at).filter(|sent_at| *sent_at > at).collect()
}

#[test]
fn an_automatic_probe_does_not_end_the_interval_that_the_server_advised() {
    let mut world = world(
        Client::bayeux(|_| {}),
        |_| grant("T"),
        |_, messages, _| {
            let mut replies: Vec<Value> = messages
                .iter()
                .map(|message| accept(message).unwrap_or_else(|| reply_to(message, true)))
                .collect();
            for reply in &mut replies {
                reply["advice"] = json!({ "reconnect": "retry", "interval": 60_000, "timeout": 1000 });
            }
            Answer::Messages(10, replies)
        },
    );
    world.start("/a");
    world.advance_to(200_000);
    let last = world.requests.last().expect("a request").0;
    for (delay, probe) in [(1000, Probe::NetworkChanged), (2000, Probe::PageShown)] {
        world.advance_to(last + delay);
        world.input(Input::Probe(probe));
    }
    world.advance_to(last + 30_000);
    assert_eq!(requests_after(&world, last), [0; 0], "the server asked for 60 s");
    world.input(Input::Probe(Probe::Asked(OpId(9))));
    world.advance_to(last + 31_000);
    assert_eq!(requests_after(&world, last), [last + 30_000], "the application may ask at any time");
}

#[test]
fn an_automatic_probe_ends_a_delay_of_the_backoff_but_not_that_of_a_busy_server() {
    for is_busy in [false, true] {
        let mut count = 0;
        let mut world = world(
            Client::bayeux(|options| options.times.backoff_base = Millis(100_000)),
            |_| grant("T"),
            move |_, messages, _| {
                count += 1;
                if count <= 2 {
                    return accept_all(messages);
                }
                if is_busy { Answer::Busy(10, 90_000) } else { Answer::Broken(10) }
            },
        );
        world.start("/a");
        world.advance_to(1000);
        let failed = world.requests.last().expect("a request").0;
        world.advance_to(failed + 5000);
        world.input(Input::Probe(Probe::NetworkChanged));
        world.advance_to(failed + 6000);
        let again = requests_after(&world, failed);
        assert_eq!(again.is_empty(), is_busy, "{again:?}");
    }
}

#[test]
fn a_client_of_salesforce_refuses_more_channels_than_it_keeps_replay_ids_of() {
    let mut world = world(Client::salesforce(|_| {}), |_| grant("T"), |_, messages, _| accept_all(messages));
    world.start(A);
    let others = (0..1024).map(|n| (OpId(100 + n), format!("/event/E{n}__e"))).collect::<Vec<_>>();
    for (op, channel) in others {
        world.input(Input::Subscribe(op, channel));
    }
    world.advance_to(60_000);
    assert_eq!(world.settled(100 + 1022).map(|(_, result)| result.is_ok()), Some(true));
    let (_, result) = world.settled(100 + 1023).expect("an end");
    assert_eq!(result.as_ref().expect_err("an error").code, Code::InvalidArgument);
    // A channel that is known may be subscribed to again, also with a filter.
    world.input(Input::Subscribe(OpId(5000), format!("{A}?x=1")));
    world.advance_to(70_000);
    assert!(world.settled(5000).expect("an end").1.is_ok());
}

#[test]
fn a_probe_does_not_wait_for_another_handshake_after_a_refused_one() {
    let is_refused = Rc::new(RefCell::new(false));
    let refuses = Rc::clone(&is_refused);
    let mut world = world(
        Client::salesforce(|_| {}),
        |_| grant("T"),
        move |_, messages, _| {
            if *refuses.borrow() {
                let is_connect = messages[0]["channel"] == "/meta/connect";
                let error = if is_connect { "403::Unknown client" } else { "400::Not now" };
                return Answer::Messages(10, vec![refuse(&messages[0], error, "retry")]);
            }
            if is_poll(messages) { Answer::Hang } else { accept_all(messages) }
        },
    );
    world.start(A);
    world.run_until(20);
    *is_refused.borrow_mut() = true;
    world.input(Input::Probe(Probe::Asked(OpId(4))));
    world.run_until(5000);
    let (at, result) = world.settled(4).expect("an end");
    assert!(result.is_err() && at < 1000, "{at}");
}
