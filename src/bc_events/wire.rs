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
//!
//! `js/systems/bc-events/response.ts` reads the JSON, because JavaScript has a reader. Here each response has, in place of
//! headers, lines with the members that decide:
//!
//! ```text
//!   {              the body is JSON
//!   !<errorType>   if that is a string
//!   #<JSON>        the value of failedRecords, `{}` for any object or array
//!   [              records is an array. Then for each item:
//!   "<name>        a string, or the `errorType` of an object
//!   ?              anything else
//! ```

use crate::base::error::{Code, Error};
use crate::base::http::Response;
use crate::outbox::answer::{Answer, Classified, classify_response as classify_status};

/// Errors after which the same events may be sent again.
const TEMPORARY_ERRORS: &[&str] = &["ProvisionedThroughputExceededException", "InternalFailureException"];
const SUCCESS: &[u8] = b"Success";

/// What the lines of a response say.
#[derive(Default)]
struct Members<'a> {
    is_json: bool,
    error: Option<&'a [u8]>,
    is_failure_free: Option<bool>,
    has_records: bool,
    /// One for each item of `records`.
    answers: Vec<Answer>,
}

impl<'a> Members<'a> {
    fn of(response: &'a Response) -> Self {
        let mut members = Self::default();
        for line in response.headers.as_bytes().split(|byte| *byte == b'\n') {
            match line {
                [b'{'] => members.is_json = true,
                [b'!', name @ ..] => members.error = Some(name),
                [b'#', json @ ..] => members.is_failure_free = Some(is_zero(json)),
                [b'['] => members.has_records = true,
                [b'"', name @ ..] => members.answers.push(record_answer(response, name)),
                [b'?'] => members.answers.push(retry_later(response)),
                _ => {}
            }
        }
        members
    }
}

/// Classifies the response to a request.
pub fn classify_response(response: &Response, _: u32) -> Classified {
    let by_status = classify_status(response);
    let Members { is_json, error, is_failure_free, has_records, answers } = Members::of(response);
    if !matches!(by_status, Answer::Delivered(_)) {
        return Classified::All(answer_of_error(response, error, by_status));
    }
    if is_html_or_truncated(&response.body, is_json) {
        return Classified::All(retry_later(response));
    }
    match (is_failure_free, has_records) {
        (None, false) | (Some(true), _) => Classified::All(by_status),
        (Some(false), false) => Classified::Each(Vec::new(), unknown_result(response)),
        // A list that is too short was cut: its events are tried again, and those alone.
        (Some(false), true) => Classified::Each(answers, retry_later(response)),
        // Without `failedRecords` they count as accepted.
        (None, true) => Classified::Each(answers, by_status),
    }
}

/// The answer that `errorType` gives, if it says more than the status.
fn answer_of_error(response: &Response, error: Option<&[u8]>, by_status: Answer) -> Answer {
    match error {
        Some(name) if is_temporary(name) => match by_status {
            Answer::Retry(..) => by_status,
            _ => retry_later(response),
        },
        // All other statuses have a fixed meaning, which `errorType` does not change.
        Some(_) if matches!(response.status, 400 | 500) => unknown_result(response),
        _ => by_status,
    }
}

fn record_answer(response: &Response, name: &[u8]) -> Answer {
    let error = |code| Error::from_response(code, response.status, name);
    if name == SUCCESS {
        Answer::Delivered(response.status)
    } else if is_temporary(name) {
        Answer::Retry(error(Code::Unavailable), response.retry_after)
    } else {
        Answer::Rejected(error(Code::Rejected))
    }
}

/// The server has refused events and does not say which. Sent again, those that it accepted would arrive twice,
/// and those that it refuses for good would be sent for days; so they become dead letters.
fn unknown_result(response: &Response) -> Answer {
    Answer::Rejected(error_of(response, Code::Rejected))
}

/// Whether a count, possibly written as text, is zero. Anything that is not a count means that something failed.
fn is_zero(json: &[u8]) -> bool {
    let count = match json {
        [b'"', text @ .., b'"'] => text,
        _ => json,
    };
    let is_digits = !count.is_empty() && count.iter().all(|byte| matches!(byte, b'0' | b'.'));
    is_digits || matches!(json, b"null" | b"false")
}

/// Whether the body is HTML, so it comes from a proxy and not from the server, or a JSON object that is cut off.
fn is_html_or_truncated(body: &[u8], is_json: bool) -> bool {
    match body.trim_ascii_start().first() {
        Some(b'<') => true,
        Some(b'{') => !is_json,
        _ => false,
    }
}

fn is_temporary(name: &[u8]) -> bool {
    TEMPORARY_ERRORS.iter().any(|error| error.as_bytes() == name)
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

    /// The lines have spaces between them.
    fn response(status: u16, lines: &str, body: &str) -> Response {
        let headers = lines.split(' ').map(|line| format!("{line}\n")).collect();
        Response { headers, body: body.as_bytes().to_vec(), ..Response::new(status) }
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
    fn classified(status: u16, lines: &str, body: &str, events: u32) -> String {
        match classify_response(&response(status, lines, body), events) {
            Classified::All(answer) => symbol(&answer).to_string(),
            Classified::Each(answers, rest) => {
                let answer = |event| symbol(answers.get(event as usize).unwrap_or(&rest));
                format!("each {}", (0..events).map(answer).collect::<String>())
            }
        }
    }

    #[test]
    fn the_status_decides_unless_the_body_says_more() {
        for (status, lines, body, expected) in [
            (201, "{", "{\"eventId\":\"e1\"}", "+"),
            (201, "", "", "+"),
            (204, "", "", "+"),
            (200, "", "OK", "+"),
            (201, "{", "[]", "+"),
            (201, "{ #0 [", " {}", "+"),
            (201, "{ #\"0\"", "{}", "+"),
            (201, "{ #0.0", "{}", "+"),
            (201, "{ #null", "{}", "+"),
            (201, "{ #false", "{}", "+"),
            (200, "", "<!doctype html><title>Sign in</title>", "~"),
            (200, "", "\r\n <html>", "~"),
            (201, "", "{\"failedRec", "~"),
            (400, "{", "{\"message\":\"bad\"}", "!"),
            (409, "{", "{\"message\":\"no\"}", "!"),
            (422, "{", "{\"message\":\"no\"}", "!"),
            (401, "{", "{\"message\":\"no\"}", "~"),
            (429, "{ !TooManyRequestsException", "{}", "~"),
            (502, "", "<html>", "~"),
            (503, "{ !Whatever", "{}", "~"),
        ] {
            assert_eq!(classified(status, lines, body, 6), expected, "{status} {lines} {body}");
        }
    }

    #[test]
    fn two_errors_are_temporary_and_others_are_final() {
        for status in [400, 409, 500, 503] {
            for name in TEMPORARY_ERRORS {
                let lines = format!("{{ !{name}");
                assert_eq!(classified(status, &lines, "{}", 6), "~", "{status} {name}");
            }
        }
        for status in [400, 500] {
            let lines = "{ !ValidationException";
            assert_eq!(classified(status, lines, "{}", 6), "!", "{status}");
        }
    }

    #[test]
    fn records_give_the_result_of_each_event() {
        for (lines, expected) in [
            ("#2 [ \"Success \"InternalFailureException \"Validation", "+~!"),
            ("#3 [ \"Success \"InternalFailureException", "+~~"),
            ("#1", "!!!"),
            ("#\"two\"", "!!!"),
            ("#{}", "!!!"),
            ("#\"\"", "!!!"),
            ("#-1", "!!!"),
            ("[ \"Success \"ValidationException", "+!+"),
            ("#true [ ? ? \"Success \"Success", "~~+"),
            ("#1 [ \"", "!~~"),
        ] {
            assert_eq!(classified(201, lines, "", 3), format!("each {expected}"), "{lines}");
        }
        let one = "#1 [ \"InternalFailureException";
        assert_eq!(classified(201, one, "", 1), "each ~");
    }

    #[test]
    fn errors_quote_the_server() {
        let lines = "#1 [ \"Odd";
        let Classified::Each(answers, _) = classify_response(&response(201, lines, ""), 1) else {
            panic!("the result is not per event");
        };
        let [Answer::Rejected(error)] = answers.as_slice() else { panic!("{answers:?}") };
        assert_eq!(error.to_string(), "the server refused the request (HTTP 201): Odd");
    }
}
