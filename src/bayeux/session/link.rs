//! The link to the server: the phase of a session, with the data of that phase.
//!
//! ```text
//!   Idle ──> Authorizing ──> Handshaking ──> Connected(Unproven) ──> Connected(Working) <──> Connected(Interrupted)
//!               ▲  └────────────▲  │                 │                      │                      │
//!               └──── refused ──┴──┴── session lost ─┴──────────────────────┴──────────────────────┘
//!   any ──> Closing ──> Closed
//! ```

use super::types::State;

/// The phase of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// Not open yet.
    Idle,
    /// The owner was asked for credentials.
    Authorizing,
    /// A handshake is due or waits for its reply.
    Handshaking,
    /// The server has given a session.
    Connected(Live),
    /// A disconnect waits for its reply.
    Closing,
    /// The end.
    Closed,
}

/// A session that the server has given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Live {
    /// The id of the session.
    pub(super) client_id: String,
    /// The last batch number of the ack extension; `None` if the server does not offer it.
    pub(super) last_ack: Option<i64>,
    /// How the connects of the session went.
    pub(super) progress: Progress,
}

/// How the connects of a session went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// None has succeeded yet.
    Unproven,
    /// The last one failed, an earlier one succeeded.
    Interrupted,
    /// The last one succeeded.
    Working,
}

impl Link {
    /// The session of the server.
    pub(super) const fn live(&self) -> Option<&Live> {
        match self {
            Self::Connected(live) => Some(live),
            _ => None,
        }
    }

    /// The session of the server, to change it.
    pub(super) const fn live_mut(&mut self) -> Option<&mut Live> {
        match self {
            Self::Connected(live) => Some(live),
            _ => None,
        }
    }

    /// Whether the last connect succeeded.
    pub(super) fn is_working(&self) -> bool {
        self.live().is_some_and(|live| live.progress == Progress::Working)
    }

    /// Whether no connect of the present session has succeeded yet, or there is no session.
    pub(super) fn is_unproven(&self) -> bool {
        self.live().is_none_or(|live| live.progress == Progress::Unproven)
    }

    /// Whether the server repeats unacknowledged events.
    pub(super) fn has_acks(&self) -> bool {
        self.live().is_some_and(|live| live.last_ack.is_some())
    }

    /// Whether the session is opening or open.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self, Self::Authorizing | Self::Handshaking | Self::Connected(_))
    }

    /// Whether the session is closing or closed.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self, Self::Closing | Self::Closed)
    }

    /// The state as the application sees it; `None` if the phase does not change it.
    pub(super) fn state(&self) -> Option<State> {
        Some(match self {
            Self::Idle | Self::Closing => return None,
            Self::Authorizing | Self::Handshaking => State::Handshaking,
            Self::Connected(live) if live.progress == Progress::Working => State::Connected,
            Self::Connected(_) => State::Connecting,
            Self::Closed => State::Disconnected,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_session_whose_last_connect_succeeded_is_connected() {
        let live = |progress| Link::Connected(Live { client_id: "c".to_owned(), last_ack: None, progress });
        assert_eq!(live(Progress::Working).state(), Some(State::Connected));
        assert_eq!(live(Progress::Interrupted).state(), Some(State::Connecting));
        assert!(live(Progress::Unproven).is_unproven() && !live(Progress::Interrupted).is_unproven());
        assert!(Link::Handshaking.is_unproven() && Link::Handshaking.is_open());
        assert!(Link::Closing.is_over() && !Link::Closing.is_open());
        assert_eq!(Link::Idle.state(), None);
    }
}
