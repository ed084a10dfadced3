//! Classifies the server's responses. The server has no public description; this is what the original Python client
//! relies on:
//!
//! ```text
//!   201  {"eventId": "…", "jobId": "…"}                                   accepted
//!   201  {"failedRecords": 2, "records": ["Success", "<error>", …]}       records[i] is the result of event i
//!   201  {"failedRecords": 2}                                             nobody knows which: dead letters
//!   400, 500  {"errorType": "<error>"}                                    nothing accepted
//! ```
//!
//! Two errors are temporary, and the same events may be sent again after them. All other errors are final. Where the
//! body says nothing, the status decides.

use crate::base::error::{Code, Error};
use crate::base::http::Response;
use crate::base::json::find::{Document, Value, items, string};
use crate::base::json::scan::{Kind, Scanner};
use crate::outbox::answer::{Answer, Classified, classify as classify_status};

/// Errors after which the same events may be sent again.
const TEMPORARY_ERRORS: &[&str] = &["ProvisionedThroughputExceededException", "InternalFailureException"];
const SUCCESS: &str = "Success";

/// Classifies the response to a request that carried `events` events.
pub fn classify_response(response: &Response, events: u32) -> Classified {
    let by_status = classify_status(&Ok(response.clone()));
    let document = Document::new(response.body.clone());
    if !matches!(by_status, Answer::Delivered(_)) {
        return Classified::All(answer_of_error(response, &document).unwrap_or(by_status));
    }
    if is_html_or_truncated(&response.body, &document) {
        return Classified::All(retry_later(response));
    }
    let is_failure_free = document.get(&["failedRecords"]).map(|failed| is_zero(&failed));
    let records = document.get(&["records"]).filter(|records| records.kind == Kind::Array);
    match (is_failure_free, records) {
        (None, None) | (Some(true), _) => Classified::All(by_status),
        (Some(false), None) => Classified::Each(vec![unknown_result(response); events as usize]),
        (_, Some(records)) => {
            let mut answers = record_answers(response, &records);
            // A list that is too short was cut: its events are tried again, and those alone. Without
            // `failedRecords` they count as accepted.
            let missing = if is_failure_free.is_none() { by_status } else { retry_later(response) };
            answers.resize(events as usize, missing);
            Classified::Each(answers)
        }
    }
}

/// The answer that `errorType` gives, if it says more than the status.
fn answer_of_error(response: &Response, document: &Document) -> Option<Answer> {
    let name = document.get(&["errorType"])?.string()?;
    if is_temporary(&name) {
        return Some(match classify_status(&Ok(response.clone())) {
            retry @ Answer::Retry(..) => retry,
            _ => retry_later(response),
        });
    }
    // All other statuses have a fixed meaning, which `errorType` does not change.
    matches!(response.status, 400 | 500).then(|| Answer::Rejected(error_of(response, Code::Rejected)))
}

fn record_answers(response: &Response, records: &Value<'_>) -> Vec<Answer> {
    let document = Document::new(records.json().as_bytes().to_vec());
    let text = document.padded();
    let mut answers = Vec::new();
    let scanned = items(&mut Scanner::new(text), |scanner| {
        let (kind, span) = scanner.value()?;
        let raw = text.get(span.start, span.end);
        answers.push(match kind {
            Kind::String => record_answer(response, &string(text, span)),
            Kind::Object => {
                let record = Document::new(raw.to_vec());
                let name = record.get(&["errorType"]).and_then(|name| name.string());
                name.map_or_else(|| retry_later(response), |name| record_answer(response, &name))
            }
            _ => retry_later(response),
        });
        Ok(())
    });
    debug_assert!(scanned.is_ok(), "the document that contains the array was scanned before");
    answers
}

fn record_answer(response: &Response, name: &str) -> Answer {
    let retry_after = response.retry_after;
    let record = Response { body: name.as_bytes().to_vec(), retry_after, ..Response::new(response.status) };
    match name {
        SUCCESS => Answer::Delivered(response.status),
        name if is_temporary(name) => retry_later(&record),
        _ => Answer::Rejected(error_of(&record, Code::Rejected)),
    }
}

/// The server has refused events and does not say which. Sent again, those that it accepted would arrive twice,
/// and those that it refuses for good would be sent for days; so they become dead letters.
fn unknown_result(response: &Response) -> Answer {
    Answer::Rejected(error_of(response, Code::Rejected))
}

/// Whether a count, possibly written as text, is zero. Anything that is not a count means that something failed.
fn is_zero(failed: &Value<'_>) -> bool {
    let json = failed.json();
    match failed.kind {
        Kind::Null | Kind::False => true,
        Kind::Number | Kind::String => {
            !json.is_empty() && json.bytes().all(|byte| matches!(byte, b'0' | b'.'))
        }
        _ => false,
    }
}

/// Whether the body is HTML, so it comes from a proxy and not from the server, or a JSON object that is cut off.
fn is_html_or_truncated(body: &[u8], document: &Document) -> bool {
    match body.trim_ascii_start().first() {
        Some(b'<') => true,
        Some(b'{') => document.get(&[]).is_none(),
        _ => false,
    }
}

fn is_temporary(name: &str) -> bool {
    TEMPORARY_ERRORS.contains(&name)
}

fn retry_later(response: &Response) -> Answer {
    Answer::Retry(error_of(response, Code::Unavailable), response.retry_after)
}

fn error_of(response: &Response, code: Code) -> Error {
    Error::from_response(code, response.status, &response.body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &str) -> Response {
        Response { body: body.as_bytes().to_vec(), ..Response::new(status) }
    }

    /// `+` accepted, `~` retried later, `!` rejected for good.
    fn symbol(answer: &Answer) -> char {
        match answer {
            Answer::Delivered(_) => '+',
            Answer::Retry(..) => '~',
            Answer::TooLarge(_) | Answer::Rejected(_) => '!',
        }
    }

    /// One symbol for the whole request, or one for each event.
    fn classified(status: u16, body: &str, events: u32) -> String {
        match classify_response(&response(status, body), events) {
            Classified::All(answer) => symbol(&answer).to_string(),
            Classified::Each(answers) => format!("each {}", answers.iter().map(symbol).collect::<String>()),
        }
    }

    #[test]
    fn the_status_decides_unless_the_body_says_more() {
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
            assert_eq!(classified(status, body, 6), expected, "{status} {body}");
        }
    }

    #[test]
    fn two_errors_are_temporary_and_others_are_final() {
        for status in [400, 409, 500, 503] {
            for name in TEMPORARY_ERRORS {
                assert_eq!(
                    classified(status, &format!(r#"{{"errorType":"{name}"}}"#), 6),
                    "~",
                    "{status} {name}"
                );
            }
        }
        for status in [400, 500] {
            assert_eq!(classified(status, r#"{"errorType":"ValidationException"}"#, 6), "!", "{status}");
        }
    }

    #[test]
    fn records_give_the_result_of_each_event() {
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
            (r#"{"failedRecords":1}"#, "!!!"),
            (r#"{"failedRecords":"two","records":{}}"#, "!!!"),
            (r#"{"records":["Success","ValidationException"]}"#, "+!+"),
            (r#"{"failedRecords":true,"records":[null,7,"Succ\u0065ss","Success","Success"]}"#, "~~+"),
        ] {
            assert_eq!(classified(201, body, 3), format!("each {expected}"), "{body}");
        }
        assert_eq!(
            classified(201, r#"{"failedRecords":1,"records":["InternalFailureException"]}"#, 1),
            "each ~"
        );
    }

    #[test]
    fn errors_quote_the_server() {
        let Classified::Each(answers) =
            classify_response(&response(201, r#"{"failedRecords":1,"records":["Odd"]}"#), 1)
        else {
            panic!("the result is not per event");
        };
        let [Answer::Rejected(error)] = answers.as_slice() else { panic!("{answers:?}") };
        assert_eq!(error.to_string(), "the server refused the request (HTTP 201): Odd");
    }
}
