//! What keeps a stream alive that users have seen die.

use std::cell::RefCell;
use std::rc::Rc;

use eventferry::base::error::Code;
use eventferry::base::ids::OpId;
use serde_json::{Value, json};

use super::world::{Answer, Client, accept_all, event, grant, is_poll, refuse, reply_to, world};

const A: &str = "/event/A__e";

/// The requested replay positions, in order.
fn positions(messages: &[Value]) -> Vec<Value> {
    let subscribes = messages.iter().filter(|message| message["channel"] == "/meta/subscribe");
    subscribes.map(|message| message["ext"]["replay"][A].clone()).collect()
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
    world.input(eventferry::bayeux::session::Input::Close);
    world.run_until(700_000);
    assert_eq!(world.settled(OpId(2).0).map(|(_, result)| result.is_ok()), Some(true));
}
