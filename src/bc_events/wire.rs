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
//!   json:                       the body is JSON
//!   error: <errorType>          if that is a string
//!   failed: <failedRecords>     as JSON
//!   records:                    if that is an array. Then for each item:
//!   record: <name>              a string, or the `errorType` of an object
//!   unnamed:                    anything else
//! ```

use crate::base::error::{Code, Error};
use crate::base::http::Response;
use crate::outbox::answer::{Answer, Classified, classify_response as classify_status};

/// Errors after which the same events may be sent again.
const TEMPORARY_ERRORS: &[&str] = &["ProvisionedThroughputExceededException", "InternalFailureException"];
const SUCCESS: &str = "Success";

/// Classifies the response to a request.
pub fn classify_response(response: &Response, _: u32) -> Classified {
    let by_status = classify_status(response);
    if !matches!(by_status, Answer::Delivered(_)) {
        return Classified::All(answer_of_error(response).unwrap_or(by_status));
    }
    if is_html_or_truncated(response) {
        return Classified::All(retry_later(response));
    }
    let is_failure_free = response.header("failed").map(is_zero);
    match (is_failure_free, response.header("records")) {
        (None, None) | (Some(true), _) => Classified::All(by_status),
        (Some(false), None) => Classified::Each(Vec::new(), unknown_result(response)),
        (_, Some(_)) => {
            // A list that is too short was cut: its events are tried again, and those alone. Without
            // `failedRecords` they count as accepted.
            let missing = if is_failure_free.is_none() { by_status } else { retry_later(response) };
            Classified::Each(record_answers(response), missing)
        }
    }
}

/// The answer that `errorType` gives, if it says more than the status.
fn answer_of_error(response: &Response) -> Option<Answer> {
    if is_temporary(response.header("error")?) {
        return Some(match classify_status(response) {
            retry @ Answer::Retry(..) => retry,
            _ => retry_later(response),
        });
    }
    // All other statuses have a fixed meaning, which `errorType` does not change.
    matches!(response.status, 400 | 500).then(|| Answer::Rejected(error_of(response, Code::Rejected)))
}

fn record_answers(response: &Response) -> Vec<Answer> {
    let mut answers = Vec::new();
    for line in response.headers.split('\n') {
        if let Some(name) = line.strip_prefix("record: ") {
            answers.push(record_answer(response, name));
        } else if line.starts_with("unnamed:") {
            answers.push(retry_later(response));
        }
    }
    answers
}

fn record_answer(response: &Response, name: &str) -> Answer {
    let error = |code| Error::from_response(code, response.status, name.as_bytes());
    match name {
        SUCCESS => Answer::Delivered(response.status),
        name if is_temporary(name) => Answer::Retry(error(Code::Unavailable), response.retry_after),
        _ => Answer::Rejected(error(Code::Rejected)),
    }
}

/// The server has refused events and does not say which. Sent again, those that it accepted would arrive twice,
/// and those that it refuses for good would be sent for days; so they become dead letters.
fn unknown_result(response: &Response) -> Answer {
    Answer::Rejected(error_of(response, Code::Rejected))
}

/// Whether a count, possibly written as text, is zero. Anything that is not a count means that something failed.
fn is_zero(json: &str) -> bool {
    let count = json.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(json);
    matches!(json, "null" | "false")
        || !count.is_empty() && count.bytes().all(|byte| matches!(byte, b'0' | b'.'))
}

/// Whether the body is HTML, so it comes from a proxy and not from the server, or a JSON object that is cut off.
fn is_html_or_truncated(response: &Response) -> bool {
    match response.body.trim_ascii_start().first() {
        Some(b'<') => true,
        Some(b'{') => response.header("json").is_none(),
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

    /// The lines have ` | ` between them.
    fn response(status: u16, lines: &str, body: &str) -> Response {
        let headers = lines.split(" | ").map(|line| format!("{line}\n")).collect();
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
            (201, "json: ", "{\"eventId\":\"e1\"}", "+"),
            (201, "", "", "+"),
            (204, "", "", "+"),
            (200, "", "OK", "+"),
            (201, "json: ", "[]", "+"),
            (201, "json:  | failed: 0 | records: ", " {}", "+"),
            (201, "json:  | failed: \"0\"", "{}", "+"),
            (201, "json:  | failed: 0.0", "{}", "+"),
            (201, "json:  | failed: null", "{}", "+"),
            (201, "json:  | failed: false", "{}", "+"),
            (200, "", "<!doctype html><title>Sign in</title>", "~"),
            (200, "", "\r\n <html>", "~"),
            (201, "", "{\"failedRec", "~"),
            (400, "json: ", "{\"message\":\"bad\"}", "!"),
            (409, "json: ", "{\"message\":\"no\"}", "!"),
            (422, "json: ", "{\"message\":\"no\"}", "!"),
            (401, "json: ", "{\"message\":\"no\"}", "~"),
            (429, "json:  | error: TooManyRequestsException", "{}", "~"),
            (502, "", "<html>", "~"),
            (503, "json:  | error: Whatever", "{}", "~"),
        ] {
            assert_eq!(classified(status, lines, body, 6), expected, "{status} {lines} {body}");
        }
    }

    #[test]
    fn two_errors_are_temporary_and_others_are_final() {
        for status in [400, 409, 500, 503] {
            for name in TEMPORARY_ERRORS {
                let lines = format!("json:  | error: {name}");
                assert_eq!(classified(status, &lines, "{}", 6), "~", "{status} {name}");
            }
        }
        for status in [400, 500] {
            let lines = "json:  | error: ValidationException";
            assert_eq!(classified(status, lines, "{}", 6), "!", "{status}");
        }
    }

    #[test]
    fn records_give_the_result_of_each_event() {
        for (lines, expected) in [
            (
                "failed: 2 | records:  | record: Success | record: InternalFailureException | record: Validation",
                "+~!",
            ),
            ("failed: 3 | records:  | record: Success | record: InternalFailureException", "+~~"),
            ("failed: 1", "!!!"),
            ("failed: \"two\"", "!!!"),
            ("failed: {}", "!!!"),
            ("failed: \"\"", "!!!"),
            ("failed: -1", "!!!"),
            ("records:  | record: Success | record: ValidationException", "+!+"),
            ("failed: true | records:  | unnamed:  | unnamed:  | record: Success | record: Success", "~~+"),
            ("failed: 1 | records:  | record: ", "!~~"),
        ] {
            assert_eq!(classified(201, lines, "", 3), format!("each {expected}"), "{lines}");
        }
        let one = "failed: 1 | records:  | record: InternalFailureException";
        assert_eq!(classified(201, one, "", 1), "each ~");
    }

    #[test]
    fn errors_quote_the_server() {
        let lines = "failed: 1 | records:  | record: Odd";
        let Classified::Each(answers, _) = classify_response(&response(201, lines, ""), 1) else {
            panic!("the result is not per event");
        };
        let [Answer::Rejected(error)] = answers.as_slice() else { panic!("{answers:?}") };
        assert_eq!(error.to_string(), "the server refused the request (HTTP 201): Odd");
    }
}
