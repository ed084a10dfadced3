//! The error of an operation, a notice, or a session.

use super::wire::ErrorField;
use crate::base::error::{Code, Error};

/// What went wrong, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionError {
    /// The row of the table of errors.
    pub code: Code,
    /// The number of the server's error_field, or the HTTP status.
    pub status: Option<u16>,
    /// A whole sentence.
    pub message: String,
    /// What the server said, as it said it.
    pub server_error: Option<String>,
}

impl SessionError {
    /// With a sentence of its own.
    #[cold]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, status: None, message: message.into(), server_error: None }
    }

    /// What a server said about a message of ours.
    #[cold]
    pub fn refused(code: Code, what: &str, error_field: &str) -> Self {
        let cut: String = error_field.chars().filter(|char| !char.is_control()).take(500).collect();
        let reason = if cut.is_empty() { "it did not say why" } else { &cut };
        Self {
            code,
            status: ErrorField::parse(error_field).code,
            message: format!("the server refused {what}: {reason}"),
            server_error: Some(error_field.to_owned()),
        }
    }

    pub(crate) fn from_error(error: &Error) -> Self {
        Self { code: error.code, status: error.status, message: error.to_string(), server_error: None }
    }
}
