//! A response that is held, because the other request may end with events that come first.

use super::answer::Answer;
use crate::base::ids::ExchangeId;

/// The two kinds of requests, of which one each runs at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestKind {
    /// A handshake or a connect.
    Connect,
    /// All other messages.
    Messages,
}

/// A response that waits for the end of the other request.
#[derive(Debug)]
pub(super) struct HeldResponse {
    pub(super) kind: RequestKind,
    pub(super) id: ExchangeId,
    pub(super) answer: Answer,
    pub(super) firsts: Vec<FirstId>,
}

/// The first replay id of a channel in a response.
#[derive(Debug)]
pub(super) struct FirstId {
    pub(super) channel: Vec<u8>,
    pub(super) id: u64,
}

impl HeldResponse {
    /// Whether its events come before those of another response, which has these first ids.
    pub(super) fn precedes(&self, others: &[FirstId]) -> bool {
        let mut pairs = self.firsts.iter().filter_map(|first| {
            let other = others.iter().find(|other| other.channel == first.channel)?;
            Some(first.id < other.id)
        });
        // Without a common channel the order does not matter, but messages are answered first.
        pairs.next().unwrap_or(self.kind == RequestKind::Messages)
    }
}
