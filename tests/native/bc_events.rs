//! BriteEvents: whatever a server says, its judge has an answer for every event, and says of none that it was taken if the status does not.

use eventferry::base::http::Response;
use eventferry::bc_events::wire::judge;
use eventferry::engine::jitter::Rng;
use eventferry::outbox::answer::{Answer, Classified};

const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    " ",
    "\n",
    "<",
    "é",
    "\u{0}",
    "-",
    "1e9",
    "\"records\":",
    "\"errorType\":",
];
const VALUES: &[&str] = &[
    "0",
    "2",
    "-1",
    "1e9",
    "\"0\"",
    "\"two\"",
    "null",
    "true",
    "false",
    "[]",
    "{}",
    "\"Success\"",
    "\"InternalFailureException\"",
    "\"X\"",
    "\"\\ud800\"",
    "{\"errorType\":\"ProvisionedThroughputExceededException\"}",
    "{\"errorType\":7}",
];

fn one_of<'a>(rng: &mut Rng, all: &[&'a str]) -> &'a str {
    all[rng.up_to(all.len() as u64 - 1) as usize]
}

/// An answer as the server might give it, or pieces of some.
fn body(rng: &mut Rng) -> String {
    if rng.up_to(1) == 0 {
        return (0..rng.up_to(12)).map(|_| one_of(rng, PIECES)).collect();
    }
    let records: Vec<&str> = (0..rng.up_to(6)).map(|_| one_of(rng, VALUES)).collect();
    let (failed, error) = (one_of(rng, VALUES), one_of(rng, VALUES));
    match rng.up_to(3) {
        0 => format!("{{\"errorType\":{error}}}"),
        1 => format!("{{\"failedRecords\":{failed}}}"),
        _ => format!("{{\"failedRecords\":{failed},\"records\":[{}]}}", records.join(", ")),
    }
}

#[test]
fn whatever_a_server_says_every_event_gets_its_answer() {
    let mut rng = Rng::new(11);
    let (mut each, mut never, mut later) = (0, 0, 0);
    for _ in 0..100_000 {
        let mut body = body(&mut rng).into_bytes();
        if rng.up_to(9) == 0 && !body.is_empty() {
            let at = rng.up_to(body.len() as u64 - 1) as usize;
            body[at] = rng.up_to(255) as u8;
        }
        let status = [200, 201, 204, 400, 401, 404, 413, 429, 500, 503, 0][rng.up_to(10) as usize];
        let events = 1 + rng.up_to(4) as u32;
        match judge(&Response { body: body.clone(), ..Response::new(status) }, events) {
            Classified::All(Answer::Delivered(as_said)) => {
                assert_eq!(as_said, status);
                assert!((200..300).contains(&status), "{status} {}", String::from_utf8_lossy(&body));
            }
            Classified::All(Answer::Retry(..)) => later += 1,
            Classified::All(_) => never += 1,
            Classified::Each(answers) => {
                each += 1;
                assert_eq!(answers.len(), events as usize);
                assert!((200..300).contains(&status));
            }
        }
    }
    assert!(each > 1000 && never > 1000 && later > 1000, "{each} {never} {later}");
}
