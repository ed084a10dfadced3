//! Expectations about errors and notices.

use eventferry::base::error::Code;
use eventferry::bayeux::errors::SessionError;
use eventferry::bayeux::session::Notice;
use eventferry::bayeux::wire::ErrorField;
use serde_json::Value;

use super::{Check, Outcome, require, string_of};
use crate::scenarios::only_known;
use crate::simulation::Record;

const KEYS: &[&str] = &["kind", "code", "text", "args", "reason", "replayId", "hint"];

/// Whether a code belongs to a kind of errors in the scenarios.
fn is_kind(kind: &str, code: Code) -> bool {
    match kind {
        "server" | "cookies" => code == Code::Rejected,
        "transport" => matches!(code, Code::Network | Code::Timeout | Code::Unavailable | Code::Redirected),
        "protocol" => matches!(code, Code::Unavailable | Code::Rejected),
        "auth" => code == Code::Unauthorized,
        "limit" => code == Code::RateLimited,
        "config" | "unsupported" => code == Code::InvalidArgument,
        "closed" => code == Code::Closed,
        "timeout" => code == Code::Timeout,
        "replay" => code == Code::Gone,
        other => panic!("the runner does not know the kind {other:?} of an error"),
    }
}

fn is_reason(reason: &str, code: Code) -> bool {
    match reason {
        "empty" | "parse" => code == Code::Unavailable,
        "redirect" => code == Code::Redirected,
        other => panic!("the runner does not know the reason {other:?} of an error"),
    }
}

/// Whether a message contains the hint that a scenario expects.
fn is_hint(hint: &str, message: &str) -> bool {
    match hint {
        "the session cookie did not come back" => message.contains("cookie"),
        "use REST: POST /services/data/vXX.X/sobjects/A__e" => message.contains("REST"),
        other => panic!("the runner does not know the hint {other:?} of an error"),
    }
}

fn is_error(wanted: &Value, error: &SessionError) -> bool {
    let server_error = error.server_error.as_deref().unwrap_or_default();
    let error_field = ErrorField::parse(server_error);
    let holds = |key: &str, check: &dyn Fn(&str) -> bool| wanted[key].as_str().is_none_or(check);
    holds("kind", &|kind| is_kind(kind, error.code))
        && holds("reason", &|reason| is_reason(reason, error.code))
        && holds("hint", &|hint| is_hint(hint, &error.message))
        && holds("replayId", &|id| server_error.contains(&format!("{{{id}}}")))
        && wanted["code"].as_u64().is_none_or(|code| error_field.code == Some(code as u16))
        && holds("code", &|code| server_error.starts_with(code))
        && holds("text", &|text| server_error.ends_with(text))
        && wanted["args"].as_array().is_none_or(|args| {
            args.iter().filter_map(Value::as_str).eq(error_field.arguments.iter().map(String::as_str))
        })
}

pub(super) fn reject(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let call = string_of(expected, "reject")?;
    only_known(&expected["error"], KEYS, "error")?;
    let settled = check.simulation.records.iter().filter_map(|(_, record)| match record {
        Record::Settled(name, result) => Some((name, result)),
        _ => None,
    });
    let settled = settled.collect::<Vec<_>>();
    let is_rejected = settled.iter().any(|(name, result)| {
        name.starts_with(call) && result.as_ref().is_err_and(|error| is_error(&expected["error"], error))
    });
    require(is_rejected, || format!("{settled:?}"))
}

pub(super) fn error(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let wanted = &expected["error"];
    only_known(wanted, KEYS, "error")?;
    let is_fatal = expected["fatal"] != false;
    let fits = check.has(|record| match record {
        Record::Ended(Some(error)) => is_fatal && is_error(wanted, error),
        Record::Notice(Notice { error: Some(error), .. }) => !is_fatal && is_error(wanted, error),
        _ => false,
    });
    require(fits, || "no such error".to_owned())
}

pub(super) fn notice(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let kind = string_of(expected, "notice")?;
    require(check.has(|record| matches!(record, Record::Notice(notice) if notice.kind == kind)), || {
        "never".to_owned()
    })
}

pub(super) fn subscription_error(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let lost = &expected["subscription_error"];
    only_known(lost, &[&["channel"], KEYS].concat(), "subscription_error")?;
    let fits = check.has(|record| match record {
        Record::Notice(Notice { kind: "subscription_lost", channel: Some(channel), error: Some(error) }) => {
            lost["channel"] == **channel && is_error(lost, error)
        }
        _ => false,
    });
    require(fits, || "no notice of it".to_owned())
}
