//! The error of an operation, a notice, or a session.

use super::wire::Complaint;
use crate::base::error::{Code, Error};

/// What went wrong, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionError {
    /// The row of the table of errors.
    pub code: Code,
    /// The number of the server's complaint, or the HTTP status.
    pub status: Option<u16>,
    /// A whole sentence.
    pub message: String,
    /// What the server said, as it said it.
    pub said: Option<String>,
}

impl SessionError {
    /// With a sentence of its own.
    #[cold]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, status: None, message: message.into(), said: None }
    }

    /// What a server said about a message of ours.
    #[cold]
    pub fn said(code: Code, what: &str, complaint: &str) -> Self {
        let cut: String = complaint.chars().filter(|char| !char.is_control()).take(500).collect();
        let reason = if cut.is_empty() { "it did not say why" } else { &cut };
        Self {
            code,
            status: Complaint::parse(complaint).code,
            message: format!("the server refused {what}: {reason}"),
            said: Some(complaint.to_owned()),
        }
    }

    pub(crate) fn of(error: &Error) -> Self {
        Self { code: error.code, status: error.status, message: error.to_string(), said: None }
    }
}
