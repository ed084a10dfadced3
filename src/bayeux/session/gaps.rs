//! Gaps.

use super::{Command, Session, SubscriptionState, Via};
use crate::base::ids::ExchangeId;
use crate::base::json::padded::Padded;
use crate::bayeux::dialect::{Continuity, Dialect, MessageKind};
use crate::bayeux::message::EventSpans;
use crate::bayeux::wire::without_filter;

impl Session {
    /// Channels whose events in this answer come again, and would overtake others now. True: only those that stand before what was asked for.
    pub(super) fn replayed_channels(
        &self,
        source: Option<ExchangeId>,
        dialect: &dyn Dialect,
    ) -> Vec<(String, bool)> {
        let has_pause_expired = self.is_paused && self.has_pause_expired;
        let mut names = Vec::new();
        for subscription in &self.subscriptions {
            let is_usual = subscription.state == SubscriptionState::Active
                && !subscription.has_gap
                && !has_pause_expired;
            if is_usual
                || self.last_ack.is_some()
                || dialect.continuity(&subscription.channel) != Continuity::Replayed
            {
                continue;
            }
            let is_own = subscription.state == SubscriptionState::Requested
                && self.pending.iter().any(|sent| {
                    sent.kind == MessageKind::Subscribe
                        && sent.channel == subscription.channel
                        && source.is_some_and(|source| sent.via == Via::Exchange(source))
                });
            // A new session that sends what was not asked for yet has it from the one before.
            let is_unasked = subscription.state == SubscriptionState::Pending && !subscription.has_gap;
            if !is_unasked {
                names.push((without_filter(&subscription.channel).to_owned(), is_own));
            }
        }
        names
    }

    /// Whether a channel that goes on where it was is being asked for, or is just going to be.
    pub(super) fn is_resuming_channel(&self, dialect: &dyn Dialect) -> bool {
        self.subscriptions.iter().any(|subscription| {
            let is_asked = subscription.state == SubscriptionState::Requested
                || subscription.state == SubscriptionState::Pending
                    && self.commands.iter().any(
                        |command| matches!(command, Command::Subscribe(channel) if *channel == subscription.channel),
                    );
            is_asked && dialect.continuity(&subscription.channel) == Continuity::Replayed
        })
    }

    /// Whether a channel is just being taken back, to be asked for again.
    pub(super) fn is_draining_channel(&self) -> bool {
        self.commands.iter().any(|command| matches!(command, Command::Unsubscribe(_, None)))
            || self.pending.iter().any(|sent| sent.kind == MessageKind::Unsubscribe && sent.op.is_none())
    }

    /// A new session knows no subscriptions.
    pub(super) fn queue_resubscriptions(&mut self, dialect: &dyn Dialect) {
        for command in core::mem::take(&mut self.commands) {
            match command {
                Command::Publish(..) => self.commands.push_back(command),
                // That is done with the session.
                Command::Unsubscribe(_, op) => self.settle_optional(op, Ok(())),
                Command::Subscribe(_) => {}
            }
        }
        let mut anew = Vec::new();
        let mut gaps = Vec::new();
        for subscription in &mut self.subscriptions {
            (subscription.state, subscription.has_gap, subscription.is_draining) =
                (SubscriptionState::Pending, false, false);
            if subscription.has_been_active
                && dialect.continuity(&subscription.channel) != Continuity::Replayed
            {
                gaps.push(subscription.channel.clone());
            }
            anew.push(Command::Subscribe(subscription.channel.clone()));
        }
        for (at, command) in anew.into_iter().enumerate() {
            self.commands.insert(at, command);
        }
        for channel in gaps {
            self.notify("possible_gap", Some(channel), None);
        }
    }

    /// Answers were lost. What was in them comes again to those who subscribe again from where they were; but first what the server has ready
    /// has to run off, because it would come before that.
    pub(super) fn repair_gaps(&mut self, dialect: &dyn Dialect) {
        let has_queued_events = core::mem::take(&mut self.has_queued_events);
        let mut gaps = Vec::new();
        for subscription in &mut self.subscriptions {
            // One that is being asked for keeps its gap until it is answered.
            if !subscription.has_gap || subscription.state == SubscriptionState::Requested {
                continue;
            }
            let is_kept = dialect.continuity(&subscription.channel) == Continuity::Replayed;
            // What the server repeats by itself is not lost.
            if self.last_ack.is_none() && is_kept {
                subscription.state = SubscriptionState::Pending;
                self.commands.retain(
                    |command| !matches!(command, Command::Subscribe(channel) if *channel == subscription.channel),
                );
                if !core::mem::replace(&mut subscription.is_draining, true) {
                    self.commands.push_back(Command::Unsubscribe(subscription.channel.clone(), None));
                }
                if !has_queued_events {
                    self.commands.push_back(Command::Subscribe(subscription.channel.clone()));
                }
            } else {
                subscription.has_gap = false;
                if self.last_ack.is_none() && subscription.has_been_active {
                    gaps.push(subscription.channel.clone());
                }
            }
        }
        for channel in gaps {
            self.notify("possible_gap", Some(channel), None);
        }
    }
}

/// Behind the last event whose id is lower than that of the one before: there begins what is repeated. 0 if there is none.
pub(super) fn replay_start(
    text: Padded<'_>,
    events: &[EventSpans],
    is_of: impl Fn(&EventSpans) -> bool,
) -> usize {
    let (mut behind, mut last) = (0, 0);
    for (at, row) in events.iter().enumerate().filter(|(_, row)| is_of(row)) {
        let id = row.ids.replay_id.map(|span| text.get(span.start, span.end)).unwrap_or_default();
        let Some(id) = core::str::from_utf8(id).ok().and_then(|id| id.parse::<u64>().ok()) else { continue };
        if id < last {
            behind = at;
        }
        last = id;
    }
    behind
}
