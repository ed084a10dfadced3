//! The search for the channel whose events cannot be read, so that it does not hold up the others.
//!
//! After a response that cannot be read, all channels are subscribed again behind their last events, and the
//! server sends the same events again. If that does not help, halves of the channels are tried:
//!
//! ```text
//!   unreadable, 3 times ──> half of the channels on trial, the others wait without a subscription
//!   trial ──┬─ unreadable, several channels ──> half of them on trial, the others wait too
//!           ├─ unreadable, one channel ──> held, longer each time; then all that wait are on trial
//!           └─ a poll ends well, or is held ──> innocent; then all that wait are on trial
//! ```
//!
//! To skip only the bad event would need its replay id. Salesforce writes that behind the data, so a cut hides
//! it, and the next id cannot be guessed.
//!
//! With the ack extension the server repeats a response within the session; then another session is started.

use super::Session;
use super::pending::{Command, PendingMessage};
use super::subscriptions::{Subscription, SubscriptionState, Trial};
use super::timer_keys::{HOLD, MAX_HOLD_DOUBLINGS, MAX_PROOF, POLL_PROOF, Timer};
use super::types::Event;
use crate::base::time::{Millis, Moment};
use crate::bayeux::dialect::{Continuity, MessageKind};
use crate::bayeux::errors::SessionError;
use crate::bayeux::wire::without_filter;

impl Session {
    /// Whether the response to a message, which was lost, may have been lost because of its events: it
    /// could not be read, or broke off at once while probes succeed.
    pub(super) fn may_lose_events(&self, sent: &PendingMessage, is_unreadable: bool) -> bool {
        match sent.kind {
            MessageKind::Handshake | MessageKind::Disconnect => false,
            MessageKind::Connect if !self.is_poll(sent) => is_unreadable && self.link.has_acks(),
            MessageKind::Connect | MessageKind::Subscribe => {
                is_unreadable || self.now < sent.sent_at.after(POLL_PROOF)
            }
            MessageKind::Unsubscribe | MessageKind::Publish => is_unreadable,
        }
    }

    /// Whether a connect fetches events, and is no probe. A client that drains sends no other connects than
    /// those that are not held.
    pub(super) fn is_poll(&self, sent: &PendingMessage) -> bool {
        let is_draining = self.options.is_draining && self.link.is_working() && !self.subscriptions.has_gap();
        !sent.is_probe || is_draining
    }

    /// Remembers whether the events of these channels bring reading on.
    pub(super) fn note_progress<'a>(&mut self, is_cut: bool, names: impl Iterator<Item = &'a [u8]> + Clone) {
        if !is_cut && self.subscriptions.iter().all(|subscription| subscription.hold_count == 0) {
            return;
        }
        let is_any_tried = self.subscriptions.on_trial().next().is_some();
        for subscription in self.subscriptions.iter_mut() {
            let name = without_filter(&subscription.channel).as_bytes();
            if names.clone().any(|other| other == name) {
                subscription.hold_count = 0;
                self.has_progressed |= !is_any_tried || subscription.trial == Trial::Running;
            }
        }
    }

    /// A response that may have contained events could not be read: that to the messages `lost`, or a frame.
    pub(super) fn on_unreadable(&mut self, error: &SessionError, lost: &[PendingMessage]) {
        // With acks, what was read of it comes again.
        self.has_progressed &= !self.link.has_acks();
        self.connects.count_unreadable(self.has_progressed);
        for sent in lost {
            // An answer that takes so long shows only later that it cannot be read.
            let took = self.now.as_millis().saturating_sub(sent.sent_at.as_millis());
            self.trial_proof = self.trial_proof.max(Millis(2 * took)).min(MAX_PROOF);
        }
        let is_any_tried = self.subscriptions.on_trial().next().is_some();
        let is_verdict = if is_any_tried {
            lost.is_empty() || lost.iter().any(|sent| self.is_after_trial_began(sent))
        } else {
            self.connects.is_stuck_after(0)
        };
        self.stop_watching_trial();
        if self.has_progressed || !is_verdict {
            return;
        }
        if !is_any_tried && !self.suspect_all() {
            return;
        }
        let mut tried: Vec<_> =
            self.subscriptions.iter_mut().filter(|known| known.trial == Trial::Running).collect();
        if let [only] = tried.as_mut_slice() {
            let delay = Millis(HOLD.0 << only.hold_count.min(MAX_HOLD_DOUBLINGS));
            only.hold_count += 1;
            only.trial = Trial::Held(self.now.after(delay));
            let channel = only.channel.clone();
            let position = self.dialect.position(&channel);
            let error = SessionError::unreadable_channel(&channel, position, delay, error);
            self.notify("channel_held", Some(channel), Some(error.clone()));
            self.emit(Event::ConnectionLost(error, delay));
            self.time_releases();
            self.start_trial();
        } else {
            let half = tried.len().div_ceil(2);
            tried.into_iter().skip(half).for_each(|known| known.trial = Trial::Waiting);
        }
        self.connects.restart_delays();
    }

    fn is_after_trial_began(&self, sent: &PendingMessage) -> bool {
        self.trial_since.is_some_and(|since| since <= sent.sent_at)
            || self.subscriptions.on_trial().any(|known| known.channel == sent.channel)
    }

    pub(super) fn stop_watching_trial(&mut self) {
        self.timers.clear(Timer::Trial);
        self.trial_since = None;
    }

    /// Puts all channels on trial whose events come again. False if there are none, or no others.
    fn suspect_all(&mut self) -> bool {
        if self.link.has_acks() || self.subscriptions.iter().count() < 2 {
            return false;
        }
        let mut is_any = false;
        for known in self.subscriptions.iter_mut() {
            let is_suspect = known.trial == Trial::None
                && known.has_been_active
                && self.dialect.continuity(&known.channel) == Continuity::Replayed;
            if is_suspect {
                known.trial = Trial::Running;
            }
            is_any |= is_suspect;
        }
        is_any
    }

    /// Once the channels on trial are subscribed, a trial ends well unless something happens.
    pub(super) fn watch_trial(&mut self) {
        let mut tried = self.subscriptions.on_trial().peekable();
        let are_active = |state| state == SubscriptionState::Active;
        if self.trial_since.is_none() && tried.peek().is_some() && tried.all(|known| are_active(known.state))
        {
            self.trial_since = Some(self.now);
            self.timers.set(Timer::Trial, self.now.after(self.trial_proof));
        }
    }

    /// A poll has ended well: the channels on trial are innocent if it was sent after their subscription.
    pub(super) fn end_trial_with(&mut self, sent_at: Moment) {
        if self.trial_since.is_some_and(|since| since <= sent_at) {
            self.end_trial();
        }
    }

    /// Nothing has gone wrong since the channels on trial were subscribed.
    pub(super) fn end_trial(&mut self) {
        let is_subscribed = |known: &Subscription| known.state == SubscriptionState::Active && !known.has_gap;
        if self.subscriptions.on_trial().all(is_subscribed) {
            self.stop_watching_trial();
            for known in self.subscriptions.iter_mut().filter(|known| known.trial == Trial::Running) {
                known.trial = Trial::None;
            }
            self.start_trial();
        }
    }

    /// Puts the channels on trial that wait for it, unless others are on trial.
    pub(super) fn start_trial(&mut self) {
        if self.subscriptions.on_trial().next().is_some() {
            return;
        }
        self.stop_watching_trial();
        for known in self.subscriptions.iter_mut().filter(|known| known.trial == Trial::Waiting) {
            known.trial = Trial::Running;
            if known.state == SubscriptionState::Requested {
                // Its events were dropped meanwhile.
                known.has_gap = true;
            } else if self.link.live().is_some() {
                (known.state, known.has_gap, known.is_draining) = (SubscriptionState::Pending, false, true);
                self.pending.cancel_subscribe(&known.channel);
                // The server may still have the subscription.
                self.pending.queue(Command::Unsubscribe(known.channel.clone(), None));
                self.pending.queue(Command::subscribe(known.channel.clone()));
            }
        }
    }

    /// Tries the channels again that were to be held until `now`.
    pub(super) fn release_channels(&mut self, now: Moment) {
        for known in self.subscriptions.iter_mut() {
            if matches!(known.trial, Trial::Held(until) if until <= now) {
                known.trial = Trial::Waiting;
            }
        }
        self.time_releases();
        self.start_trial();
    }

    fn time_releases(&mut self) {
        let ends = self.subscriptions.iter().filter_map(|known| match known.trial {
            Trial::Held(until) => Some(until),
            _ => None,
        });
        match ends.min() {
            Some(until) => self.timers.set(Timer::HoldOver, until),
            None => self.timers.clear(Timer::HoldOver),
        }
    }

    /// Whether the server repeats a response for ever that cannot be read. True once.
    pub(super) fn is_repeated_for_ever(&mut self) -> bool {
        let is_repeated = self.link.has_acks() && self.connects.is_stuck_after(0);
        if is_repeated {
            self.connects.forget_unreadable();
        }
        is_repeated
    }
}
