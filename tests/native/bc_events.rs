//! BriteEvents: every response gives a result for every event, and no event counts as accepted when the status is an error.

use eventferry::base::http::Response;
use eventferry::bc_events::wire::classify_response;
use eventferry::engine::jitter::Rng;
use eventferry::outbox::answer::{Answer, Classified};

const BODIES: &[&str] = &["", "{", "{}", "[]", "<html>", " \n{", "OK", "\u{0}", "é"];
const LINES: &[&str] = &[
    "{",
    "!ProvisionedThroughputExceededException",
    "!X",
    "!",
    "#0",
    "#2",
    "#\"0\"",
    "#\"",
    "#[]",
    "#null",
    "[",
    "\"Success",
    "\"InternalFailureException",
    "\"\u{fffd}",
    "?",
    "",
];

fn pick<'a>(rng: &mut Rng, all: &[&'a str]) -> &'a str {
    all[rng.up_to(all.len() as u64 - 1) as usize]
}

/// The lines of a response, in any order and number.
fn lines(rng: &mut Rng) -> String {
    (0..rng.up_to(8)).map(|_| format!("{}\n", pick(rng, LINES))).collect()
}

#[test]
fn every_response_gives_a_result_for_every_event() {
    let mut rng = Rng::new(11);
    let (mut each, mut rejected, mut later) = (0, 0, 0);
    for _ in 0..100_000 {
        let headers = lines(&mut rng);
        let mut body = pick(&mut rng, BODIES).as_bytes().to_vec();
        if rng.up_to(9) == 0 && !body.is_empty() {
            let at = rng.up_to(body.len() as u64 - 1) as usize;
            body[at] = rng.up_to(255) as u8;
        }
        let status = [200, 201, 204, 400, 401, 404, 413, 429, 500, 503, 0][rng.up_to(10) as usize];
        let events = 1 + rng.up_to(4) as u32;
        match classify_response(
            &Response { headers: headers.clone(), body: body.clone(), ..Response::new(status) },
            events,
        ) {
            Classified::All(Answer::Delivered(reported)) => {
                assert_eq!(reported, status);
                assert!((200..300).contains(&status), "{status} {}", String::from_utf8_lossy(&body));
            }
            Classified::All(Answer::Retry(..)) => later += 1,
            Classified::All(_) => rejected += 1,
            Classified::Each(answers, rest) => {
                each += 1;
                let accepted = Answer::Delivered(status);
                let counts_as_accepted = !headers.contains('#');
                assert!(rest != accepted || counts_as_accepted, "{headers}");
                assert!(answers.iter().all(|answer| *answer != accepted) || headers.contains("\"Success"));
                assert!((200..300).contains(&status));
            }
        }
    }
    assert!(each > 1000 && rejected > 1000 && later > 1000, "{each} {rejected} {later}");
}
