//! Repair of gaps: events that were in a lost response are replayed by a new subscription.
//!
//! ```text
//!   response lost ──> has_gap ──connect succeeds──> unsubscribe, drain queued events ──> subscribe from the last id
//!                                   └─ the server does not replay ──> notice `possible_gap`
//! ```
//!
//! Events of a channel that is going to be replayed are dropped until then. Otherwise newer events would be
//! delivered before older ones.

use super::Session;
use super::pending::{Command, Via};
use super::subscriptions::{SubscriptionState, Trial};
use crate::base::ids::ExchangeId;
use crate::base::json::padded::Padded;
use crate::bayeux::dialect::{Continuity, MessageKind};
use crate::bayeux::message::EventSpans;
use crate::bayeux::wire::without_filter;

impl Session {
    /// Channels whose events in this response are dropped because they will be replayed. True: the response
    /// is the reply to the subscription itself, so only events before the start of the replay are dropped.
    pub(super) fn replayed_channels(&self, source: Option<ExchangeId>) -> Vec<(String, bool)> {
        let mut names = Vec::new();
        if self.link.has_acks() {
            return names;
        }
        for subscription in self.subscriptions.iter() {
            let is_delivered = subscription.state == SubscriptionState::Active
                && !subscription.has_gap
                && !subscription.trial.is_out()
                && !self.connects.is_overdue();
            if is_delivered || self.dialect.continuity(&subscription.channel) != Continuity::Replayed {
                continue;
            }
            let is_out = subscription.trial.is_out();
            let is_own_reply = !is_out
                && subscription.state == SubscriptionState::Requested
                && self.pending.any(|sent| {
                    sent.kind == MessageKind::Subscribe
                        && sent.channel == subscription.channel
                        && source.is_some_and(|source| sent.via == Via::Exchange(source))
                });
            // Events of a channel that this session has not subscribed to yet were queued for the one before.
            let is_from_last_session = subscription.state == SubscriptionState::Pending
                && !subscription.has_gap
                && subscription.trial == Trial::None;
            if !is_from_last_session {
                names.push((without_filter(&subscription.channel).to_owned(), is_own_reply));
            }
        }
        names
    }

    /// Whether a subscription with replay is queued or waits for its reply.
    pub(super) fn is_resuming_channel(&self) -> bool {
        self.subscriptions.iter().any(|subscription| {
            let is_resuming = subscription.state == SubscriptionState::Requested
                || subscription.state == SubscriptionState::Pending
                    && self.pending.has_queued_subscribe(&subscription.channel);
            is_resuming && self.dialect.continuity(&subscription.channel) == Continuity::Replayed
        })
    }

    /// Queues all subscriptions for a new session, which has none.
    pub(super) fn queue_resubscriptions(&mut self) {
        let mut events = Vec::new();
        for command in self.pending.take_commands() {
            match command {
                Command::Publish(..) => events.push(command),
                // The old session is gone, and its subscription with it.
                Command::Unsubscribe(_, op) => self.settle_optional(op, Ok(())),
                Command::Subscribe(_) => {}
            }
        }
        let mut gaps = Vec::new();
        for subscription in self.subscriptions.iter_mut() {
            (subscription.state, subscription.has_gap, subscription.is_draining) =
                (SubscriptionState::Pending, false, false);
            let continuity = self.dialect.continuity(&subscription.channel);
            if subscription.has_been_active && continuity != Continuity::Replayed {
                gaps.push(subscription.channel.clone());
            }
            if !subscription.trial.is_out() {
                self.pending.queue(Command::subscribe(subscription.channel.clone()));
            }
        }
        for event in events {
            self.pending.queue(event);
        }
        self.report_gaps(gaps);
    }

    /// Subscribes again to channels with a gap. The server then replays from the last id. Before that, events
    /// that the server has already queued must drain, because it would deliver them before the replay.
    pub(super) fn repair_gaps(&mut self) {
        let has_queued_events = core::mem::take(&mut self.subscriptions.has_queued_events);
        let has_acks = self.link.has_acks();
        let mut gaps = Vec::new();
        for subscription in self.subscriptions.iter_mut() {
            // A requested subscription keeps its gap until the reply.
            if !subscription.has_gap || subscription.state == SubscriptionState::Requested {
                continue;
            }
            let channel = &subscription.channel;
            // With the ack extension the server repeats unacknowledged events by itself.
            if !has_acks && self.dialect.continuity(channel) == Continuity::Replayed {
                subscription.state = SubscriptionState::Pending;
                self.pending.cancel_subscribe(channel);
                if !core::mem::replace(&mut subscription.is_draining, true) {
                    self.pending.queue(Command::Unsubscribe(channel.clone(), None));
                }
                if subscription.trial.is_out() {
                    subscription.has_gap = false;
                } else if !has_queued_events {
                    self.pending.queue(Command::subscribe(channel.clone()));
                }
            } else {
                subscription.has_gap = false;
                if !has_acks && subscription.has_been_active {
                    gaps.push(channel.clone());
                }
            }
        }
        self.report_gaps(gaps);
    }

    fn report_gaps(&mut self, channels: Vec<String>) {
        for channel in channels {
            self.notify("possible_gap", Some(channel), None);
        }
    }
}

/// The index at which the replay starts: the last event of the channel with a lower id than the one before
/// it. 0 if the ids only grow.
pub(super) fn replay_start(
    text: Padded<'_>,
    events: &[EventSpans],
    is_of: impl Fn(&EventSpans) -> bool,
) -> usize {
    let (mut start, mut last) = (0, 0);
    for (at, event) in events.iter().enumerate().filter(|(_, event)| is_of(event)) {
        let id = event.ids.replay_id.map(|span| text.get(span.start, span.end)).unwrap_or_default();
        let Some(id) = core::str::from_utf8(id).ok().and_then(|id| id.parse::<u64>().ok()) else { continue };
        if id < last {
            start = at;
        }
        last = id;
    }
    start
}
