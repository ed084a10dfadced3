//! Responses of the two connections that may overtake each other.
//!
//! The server puts queued events into whichever response it sends next, and a response can arrive before one
//! that was sent earlier. Delivered as they arrive, events would be out of order; worse, if the earlier
//! response were lost, the replay would start behind its events. So a response with events is held while the
//! other request is unanswered, if the server replays:
//!
//! ```text
//!   response to a connect ──messages unanswered──> Held ──they end────────────┐
//!   response to messages ──connect unanswered──> Held ──it ends───────────────┴──> both, lower ids first
//!                                                  └─ 1 s: the server holds the connect ──> this one
//! ```
//!
//! After that second, the connect may still end with a loss. The positions from before are kept until then.

use super::answer::Answer;
use super::held::{FirstId, HeldResponse, RequestKind};
use super::subscriptions::SubscriptionState;
use super::{Session, Timer};
use crate::base::http::{Failure, Response};
use crate::base::ids::ExchangeId;
use crate::base::time::Millis;
use crate::bayeux::dialect::Continuity;
use crate::bayeux::wire::without_filter;

/// How long a response to messages is held. By then the response to a connect has arrived, if the server had
/// sent one before.
const HOLD: Millis = Millis(1000);

impl Session {
    /// An exchange has ended: processes it, unless it must be held.
    pub(super) fn on_outcome(
        &mut self,
        kind: RequestKind,
        id: ExchangeId,
        outcome: Result<Response, Failure>,
    ) {
        let outcome = outcome.map(|response| Answer::read(response, self.dialect.data_reader()));
        if let Some(held) = self.take_held() {
            let is_later = outcome
                .as_ref()
                .is_ok_and(|other| held.precedes(&self.first_ids(RequestKind::Connect, other)));
            if is_later {
                self.on_exchange_end(held.id, Ok(held.answer));
                self.on_exchange_end(id, outcome);
            } else {
                self.on_exchange_end(id, outcome);
                self.on_exchange_end(held.id, Ok(held.answer));
            }
            return;
        }
        match outcome {
            Ok(answer) if self.may_overtake(kind) => {
                let firsts = self.first_ids(kind, &answer);
                if firsts.is_empty() {
                    return self.on_exchange_end(id, Ok(answer));
                }
                let longest = match kind {
                    RequestKind::Messages => HOLD,
                    RequestKind::Connect => self.options.times.max_network_delay,
                };
                self.timers.set(Timer::Held, self.now.after(longest));
                if kind == RequestKind::Connect {
                    self.timers.clear(Timer::ConnectReply);
                }
                self.held = Some(HeldResponse { kind, id, answer, firsts });
            }
            outcome => self.on_exchange_end(id, outcome),
        }
    }

    /// The other request has not ended in time.
    pub(super) fn on_held_too_long(&mut self) {
        if let Some(held) = self.take_held() {
            // If the response of the other is lost, its events may be older than these.
            self.dialect.keep_positions();
            self.on_exchange_end(held.id, Ok(held.answer));
        }
    }

    /// Whether a response to such a request is held.
    pub(super) fn holds(&self, kind: RequestKind) -> bool {
        self.held.as_ref().is_some_and(|held| held.kind == kind)
    }

    /// Forgets the response that is held: its events will be replayed, or nobody wants them any more.
    pub(super) fn drop_held(&mut self) {
        drop(self.take_held());
    }

    pub(super) fn take_held(&mut self) -> Option<HeldResponse> {
        self.timers.clear(Timer::Held);
        self.held.take()
    }

    /// Whether the other request is unanswered, and its response could contain events that come first.
    fn may_overtake(&self, kind: RequestKind) -> bool {
        let is_replayed = |channel: &str| self.dialect.continuity(channel) != Continuity::NotReplayed;
        self.exchanges.values().any(|other| *other != kind)
            && self.link.live().is_some_and(|live| live.last_ack.is_none())
            && self.subscriptions.iter().any(|subscription| is_replayed(&subscription.channel))
    }

    /// The first ids of the channels in a response whose order matters: with messages, not those of a channel
    /// that is subscribed with them.
    fn first_ids(&self, kind: RequestKind, answer: &Answer) -> Vec<FirstId> {
        let mut firsts: Vec<FirstId> = Vec::new();
        if !answer.is_success() {
            return firsts;
        }
        let is_ordered = |channel: &[u8]| {
            kind == RequestKind::Connect
                || self.subscriptions.iter().any(|subscription| {
                    subscription.state == SubscriptionState::Active
                        && without_filter(&subscription.channel).as_bytes() == channel
                })
        };
        for (channel, id) in answer.replayed_events() {
            if firsts.iter().any(|first| first.channel == channel) || !is_ordered(channel) {
                continue;
            }
            if let Some(id) = core::str::from_utf8(id).ok().and_then(|id| id.parse().ok()) {
                firsts.push(FirstId { channel: channel.to_vec(), id });
            }
        }
        firsts
    }
}
