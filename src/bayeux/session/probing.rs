//! Checks of the connection that do not wait for a timeout: after a change of the network, after sleep, or
//! when the application asks.
//!
//! ```text
//!   probe ──┬─ a delay runs ──────────────────> it ends now; unless the application asks, not before the server allows
//!           ├─ a handshake, or a connect that is not held ──> its reply tells
//!           └─ a held connect ──> abandoned, then a connect with timeout 0
//! ```
//!
//! A connect that is abandoned may have been answered already. So an automatic probe abandons it only if the
//! server sends its events again.

use super::link::{Link, Live, Progress};
use super::pending::Via;
use super::types::Probe;
use super::{RequestKind, Session, Timer};
use crate::base::error::Code;
use crate::base::time::{Millis, Moment};
use crate::bayeux::dialect::{Continuity, MessageKind};
use crate::bayeux::errors::SessionError;

/// A probe for a page that is visible again is left out if something has arrived since then.
const RECENTLY: Millis = Millis(10_000);

impl Session {
    /// Checks the connection.
    pub(super) fn probe(&mut self, why: Probe) {
        let op = match why {
            Probe::Asked(op) => Some(op),
            Probe::NetworkChanged | Probe::PageShown => None,
        };
        if self.link.is_over() || self.link == Link::Idle {
            let error = match self.link {
                Link::Idle => SessionError::new(Code::InvalidArgument, "the client is not open yet"),
                _ => SessionError::closed(),
            };
            return self.settle_optional(op, Err(error));
        }
        self.probe_ops.extend(op);
        if op.is_some() {
            self.release_channels(Moment::from_millis(u64::MAX));
        }
        let earliest = if op.is_some() { self.now } else { self.connects.earliest(self.now) };
        for timer in [Timer::Authorize, Timer::Connect] {
            if self.timers.due(timer).is_some_and(|due| due > earliest) {
                self.timers.set(timer, earliest);
            }
        }
        let is_held = self.link.is_working()
            && !self.holds(RequestKind::Connect)
            && self.pending.any(|sent| sent.kind == MessageKind::Connect && !sent.is_probe);
        let is_worthwhile = match why {
            Probe::Asked(_) => true,
            Probe::NetworkChanged => self.can_repeat_lost_events(),
            Probe::PageShown => self.can_repeat_lost_events() && self.now >= self.heard_at.after(RECENTLY),
        };
        if is_held && is_worthwhile {
            self.replace_held_connect();
        } else if self.link.is_working() && !self.pending.has_connect() {
            // A poll is about to be sent: the connection works.
            self.settle_probes(&Ok(()));
        }
    }

    /// Ends all probes.
    pub(super) fn settle_probes(&mut self, result: &Result<(), SessionError>) {
        for op in core::mem::take(&mut self.probe_ops) {
            self.settle(op, result.clone());
        }
    }

    /// Whether the server sends events again that were in a lost response.
    fn can_repeat_lost_events(&self) -> bool {
        let is_replayed = |channel: &str| self.dialect.continuity(channel) == Continuity::Replayed;
        self.link.has_acks()
            || self.subscriptions.iter().all(|subscription| is_replayed(&subscription.channel))
    }

    fn replace_held_connect(&mut self) {
        let Some(sent) = self.pending.take_kind(MessageKind::Connect) else { return };
        self.timers.clear(Timer::ConnectReply);
        self.connects.clear();
        match sent.via {
            Via::Exchange(id) => {
                self.exchanges.cancel(id);
                self.dialect.settle_positions(false);
                self.subscriptions.response_lost();
            }
            Via::Socket => {
                let unanswered = self.pending.take_via(Via::Socket);
                self.close_socket();
                self.subscriptions.socket_lost();
                for sent in unanswered {
                    self.on_no_reply(sent, &SessionError::session_ended(), None);
                }
            }
        }
        // Messages whose response waited for this connect have their replies in it.
        if let Some(held) = self.take_held() {
            self.on_exchange_end(held.id, Ok(held.answer));
        }
        if let Link::Connected(live) = &self.link {
            let live = Live { progress: Progress::Interrupted, ..live.clone() };
            self.enter(Link::Connected(live));
            self.schedule_connect(Millis(0));
        }
    }
}
