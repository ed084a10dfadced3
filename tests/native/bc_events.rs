//! BriteEvents: every response gives a result for every event, and no event counts as accepted when the status is an error.

use eventferry::base::http::Response;
use eventferry::bc_events::wire::classify_response;
use eventferry::engine::jitter::Rng;
use eventferry::outbox::answer::{Answer, Classified};

const FRAGMENTS: &[&str] = &[
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

fn pick<'a>(rng: &mut Rng, all: &[&'a str]) -> &'a str {
    all[rng.up_to(all.len() as u64 - 1) as usize]
}

/// A response body as the server might write it, or random fragments.
fn body(rng: &mut Rng) -> String {
    if rng.up_to(1) == 0 {
        return (0..rng.up_to(12)).map(|_| pick(rng, FRAGMENTS)).collect();
    }
    let records: Vec<&str> = (0..rng.up_to(6)).map(|_| pick(rng, VALUES)).collect();
    let (failed, error) = (pick(rng, VALUES), pick(rng, VALUES));
    match rng.up_to(3) {
        0 => format!("{{\"errorType\":{error}}}"),
        1 => format!("{{\"failedRecords\":{failed}}}"),
        _ => format!("{{\"failedRecords\":{failed},\"records\":[{}]}}", records.join(", ")),
    }
}

#[test]
fn every_response_gives_a_result_for_every_event() {
    let mut rng = Rng::new(11);
    let (mut each, mut rejected, mut later) = (0, 0, 0);
    for _ in 0..100_000 {
        let mut body = body(&mut rng).into_bytes();
        if rng.up_to(9) == 0 && !body.is_empty() {
            let at = rng.up_to(body.len() as u64 - 1) as usize;
            body[at] = rng.up_to(255) as u8;
        }
        let status = [200, 201, 204, 400, 401, 404, 413, 429, 500, 503, 0][rng.up_to(10) as usize];
        let events = 1 + rng.up_to(4) as u32;
        match classify_response(&Response { body: body.clone(), ..Response::new(status) }, events) {
            Classified::All(Answer::Delivered(reported)) => {
                assert_eq!(reported, status);
                assert!((200..300).contains(&status), "{status} {}", String::from_utf8_lossy(&body));
            }
            Classified::All(Answer::Retry(..)) => later += 1,
            Classified::All(_) => rejected += 1,
            Classified::Each(answers) => {
                each += 1;
                assert_eq!(answers.len(), events as usize);
                assert!((200..300).contains(&status));
            }
        }
    }
    assert!(each > 1000 && rejected > 1000 && later > 1000, "{each} {rejected} {later}");
}
