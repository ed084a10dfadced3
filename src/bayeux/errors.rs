//! The error of an operation, a notice, or a session.

use super::wire::ErrorField;
use crate::base::error::{Code, Error};

/// Why an operation was rejected, a session ended, or a retry is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionError {
    /// The code, see [`Code`].
    pub code: Code,
    /// The number in the `error` field of the reply, or the HTTP status.
    pub status: Option<u16>,
    /// A sentence for people.
    pub message: String,
    /// The `error` field of the reply, unchanged.
    pub server_error: Option<String>,
}

impl SessionError {
    /// An error with a message of its own.
    #[cold]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, status: None, message: message.into(), server_error: None }
    }

    /// The server refused `what` with that `error` field.
    #[cold]
    pub fn refused(code: Code, what: &str, error_field: &str) -> Self {
        let cut: String = error_field.chars().filter(|char| !char.is_control()).take(500).collect();
        let reason = if cut.is_empty() { "it gave no reason" } else { &cut };
        Self {
            code,
            status: ErrorField::parse(error_field).code,
            message: format!("the server refused {what}: {reason}"),
            server_error: Some(error_field.to_owned()),
        }
    }

    /// Explains how to fix a missing session cookie.
    #[cold]
    #[must_use]
    pub(crate) fn with_cookie_advice(mut self) -> Self {
        self.message.push_str(
            " (the session cookie was not sent back: in a browser, allow cookies of the server's site; elsewhere, check that no proxy removes them)",
        );
        self
    }

    pub(crate) fn from_error(error: &Error) -> Self {
        Self { code: error.code, status: error.status, message: error.to_string(), server_error: None }
    }
}
