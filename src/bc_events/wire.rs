//! What the server's answers mean. Nothing describes that server but the client that was written for it:
//!
//! ```text
//!   201  {"eventId": "…", "jobId": "…"}                                   taken
//!   201  {"failedRecords": 2, "records": ["Success", "<error>", …]}       records[i] is about event i
//!   400, 500  {"errorType": "<error>"}                                    nothing taken
//! ```
//!
//! Two errors pass, and then the same events may be sent again; all others are final. Where it says nothing, the status counts.

use crate::base::error::{Code, Error};
use crate::base::http::Response;
use crate::base::json::find::{Document, Value, items, string};
use crate::base::json::scan::{Kind, Scanner};
use crate::outbox::answer::{Answer, Judged, judge as judge_status};

/// Errors that pass.
const PASSING: &[&str] = &["ProvisionedThroughputExceededException", "InternalFailureException"];
const SUCCESS: &str = "Success";

/// Says what an answer to a request with so many events means.
pub fn judge(answer: &Response, events: u32) -> Judged {
    let plain = judge_status(&Ok(answer.clone()));
    let document = Document::new(answer.body.clone());
    if !matches!(plain, Answer::Taken(_)) {
        return Judged::Whole(refusal(answer, &document).unwrap_or(plain));
    }
    if is_foreign(&answer.body, &document) {
        return Judged::Whole(later(answer));
    }
    let is_good = document.get(&["failedRecords"]).map(|failed| is_none(&failed));
    let records = document.get(&["records"]).filter(|records| records.kind == Kind::Array);
    match (is_good, records) {
        (None, None) | (Some(true), _) => Judged::Whole(plain),
        (Some(false), None) => Judged::Whole(later(answer)),
        (_, Some(records)) => {
            let mut all = record_answers(answer, &records);
            // Without a count of what has failed, silence is no failure; with one, nobody knows.
            let rest = if is_good.is_none() { plain } else { later(answer) };
            all.resize(events as usize, rest);
            Judged::Each(all)
        }
    }
}

/// An error that says more than the status.
fn refusal(answer: &Response, document: &Document) -> Option<Answer> {
    let name = document.get(&["errorType"])?.string()?;
    if is_passing(&name) {
        return Some(match judge_status(&Ok(answer.clone())) {
            is_later @ Answer::Later(..) => is_later,
            _ => later(answer),
        });
    }
    // Of other statuses it is known what they mean.
    matches!(answer.status, 400 | 500).then(|| Answer::Poison(said(answer, Code::Rejected)))
}

fn record_answers(answer: &Response, records: &Value<'_>) -> Vec<Answer> {
    let document = Document::new(records.json().as_bytes().to_vec());
    let text = document.padded();
    let mut all = Vec::new();
    let walked = items(&mut Scanner::new(text), |scanner| {
        let (kind, span) = scanner.value()?;
        let raw = text.get(span.start, span.end);
        all.push(match kind {
            Kind::String => record_answer(answer, &string(text, span)),
            Kind::Object => {
                let record = Document::new(raw.to_vec());
                let name = record.get(&["errorType"]).and_then(|name| name.string());
                name.map_or_else(|| later(answer), |name| record_answer(answer, &name))
            }
            _ => later(answer),
        });
        Ok(())
    });
    debug_assert!(walked.is_ok(), "the scanner has accepted it before");
    all
}

fn record_answer(answer: &Response, name: &str) -> Answer {
    let retry_after = answer.retry_after;
    let about = Response { body: name.as_bytes().to_vec(), retry_after, ..Response::new(answer.status) };
    match name {
        SUCCESS => Answer::Taken(answer.status),
        name if is_passing(name) => later(&about),
        _ => Answer::Poison(said(&about, Code::Rejected)),
    }
}

/// Whether a count, which may be written as text, is none. What is no count says that something has failed.
fn is_none(failed: &Value<'_>) -> bool {
    let json = failed.json();
    match failed.kind {
        Kind::Null | Kind::False => true,
        Kind::Number | Kind::String => {
            !json.is_empty() && json.bytes().all(|byte| matches!(byte, b'0' | b'.'))
        }
        _ => false,
    }
}

/// Whether somebody else than the server has answered, in HTML, or half of the answer is missing.
fn is_foreign(body: &[u8], document: &Document) -> bool {
    match body.trim_ascii_start().first() {
        Some(b'<') => true,
        Some(b'{') => document.get(&[]).is_none(),
        _ => false,
    }
}

fn is_passing(name: &str) -> bool {
    PASSING.contains(&name)
}

fn later(answer: &Response) -> Answer {
    Answer::Later(said(answer, Code::Unavailable), answer.retry_after)
}

fn said(answer: &Response, code: Code) -> Error {
    Error::from_response(code, answer.status, &answer.body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Response {
        Response { body: body.as_bytes().to_vec(), ..Response::new(status) }
    }

    /// `+` taken, `~` later, `!` never.
    fn sign(answer: &Answer) -> char {
        match answer {
            Answer::Taken(_) => '+',
            Answer::Later(..) => '~',
            Answer::TooLarge(_) | Answer::Poison(_) => '!',
        }
    }

    /// One sign for all events, or one for each.
    fn judged(status: u16, body: &str, events: u32) -> String {
        match judge(&answer(status, body), events) {
            Judged::Whole(answer) => sign(&answer).to_string(),
            Judged::Each(answers) => format!("each {}", answers.iter().map(sign).collect::<String>()),
        }
    }

    #[test]
    fn what_the_status_says_counts_where_the_server_says_no_more() {
        for (status, body, expected) in [
            (201, r#"{"eventId":"e1","jobId":"j1"}"#, "+"),
            (201, "", "+"),
            (204, "", "+"),
            (200, "OK", "+"),
            (201, "[]", "+"),
            (201, r#" {"failedRecords":0,"records":[]}"#, "+"),
            (201, r#"{"failedRecords":"0"}"#, "+"),
            (201, r#"{"failedRecords":null}"#, "+"),
            (200, "<!doctype html><title>Sign in</title>", "~"),
            (200, "\r\n <html>", "~"),
            (201, r#"{"failedRec"#, "~"),
            (400, r#"{"message":"bad"}"#, "!"),
            (409, r#"{"message":"no"}"#, "!"),
            (422, r#"{"message":"no"}"#, "!"),
            (401, r#"{"message":"no"}"#, "~"),
            (429, r#"{"errorType":"TooManyRequestsException"}"#, "~"),
            (502, "<html>", "~"),
            (503, r#"{"errorType":"Whatever"}"#, "~"),
        ] {
            assert_eq!(judged(status, body, 6), expected, "{status} {body}");
        }
    }

    #[test]
    fn two_errors_pass_and_others_are_final() {
        for status in [400, 409, 500, 503] {
            for name in PASSING {
                assert_eq!(
                    judged(status, &format!(r#"{{"errorType":"{name}"}}"#), 6),
                    "~",
                    "{status} {name}"
                );
            }
        }
        for status in [400, 500] {
            assert_eq!(judged(status, r#"{"errorType":"ValidationException"}"#, 6), "!", "{status}");
        }
    }

    #[test]
    fn records_speak_of_each_event() {
        for (body, expected) in [
            (
                r#"{"failedRecords":2,"records":["Success","InternalFailureException","ValidationException"]}"#,
                "+~!",
            ),
            (
                r#"{"failedRecords":1,"records":[{"errorType":"InternalFailureException"},"Success",{"errorType":"X"}]}"#,
                "~+!",
            ),
            (r#"{"failedRecords":3,"records":["Success","InternalFailureException"]}"#, "+~~"),
            (r#"{"records":["Success","ValidationException"]}"#, "+!+"),
            (r#"{"failedRecords":true,"records":[null,7,"Succ\u0065ss","Success","Success"]}"#, "~~+"),
        ] {
            assert_eq!(judged(201, body, 3), format!("each {expected}"), "{body}");
        }
        assert_eq!(judged(201, r#"{"failedRecords":1,"records":["InternalFailureException"]}"#, 1), "each ~");
        assert_eq!(judged(201, r#"{"failedRecords":1}"#, 3), "~");
        assert_eq!(judged(201, r#"{"failedRecords":"two","records":{}}"#, 3), "~");
    }

    #[test]
    fn errors_have_the_word_of_the_server() {
        let Judged::Each(answers) = judge(&answer(201, r#"{"failedRecords":1,"records":["Odd"]}"#), 1) else {
            panic!("not each");
        };
        let [Answer::Poison(error)] = answers.as_slice() else { panic!("{answers:?}") };
        assert_eq!(error.to_string(), "the server refused the request (HTTP 201): Odd");
    }
}
