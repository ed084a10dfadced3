//! Recovery from a missing reply, a lost connection, or a lost session.
//!
//! ```text
//!   no reply ──┬─ handshake, connect ──fatal? no──> delay ──> again        ──down for connection_timeout──> notice
//!              │                       └─ yes ──> stop
//!              ├─ subscribe ──> again after a delay, or rejected if it was never accepted
//!              └─ publish, unsubscribe ──> rejected
//!   unknown session ──> abandon_session ──> handshake ──> all subscriptions again
//! ```

use super::{
    Event, PendingMessage, Phase, RequestKind, SLEEP_THRESHOLD, Session, State, SubscriptionState, Timer,
};
use crate::base::error::Code;
use crate::base::http::{Failure, Response};
use crate::base::time::Millis;
use crate::bayeux::dialect::MessageKind;
use crate::bayeux::errors::SessionError;
use crate::bayeux::wire::at_host;
use crate::engine::classify;
use crate::engine::classify::ResponseClass;

impl Session {
    /// The server does not know the session any more: starts another.
    pub(super) fn start_new_session(&mut self, drop_cookies: bool) {
        if drop_cookies {
            self.cookies.clear();
        }
        let is_session_unproven = self.is_session_unproven;
        self.abandon_session();
        self.phase = Phase::Handshaking;
        self.emit(Event::State(State::Handshaking));
        if self.options.can_follow_hosts
            && let Some(host) = self.hosts.pop_front()
        {
            self.url = at_host(&self.url, &host);
        }
        // If the session never worked, the next one must wait.
        let delay = if is_session_unproven { self.retry_delay(None) } else { self.timing.interval };
        self.schedule_connect(delay);
    }

    /// Drops all state of the session. Pending messages are rejected; subscriptions are kept for the next
    /// one.
    pub(super) fn abandon_session(&mut self) {
        self.client_id = None;
        self.is_session_unproven = true;
        let mut unanswered = core::mem::take(&mut self.pending);
        unanswered.retain(|sent| sent.kind != MessageKind::Subscribe);
        for id in self.exchanges.ids_where(|kind| *kind != RequestKind::Owner) {
            self.exchanges.cancel(id);
        }
        self.reject_messages(
            unanswered,
            &SessionError::new(Code::Network, "the session ended before the server replied"),
        );
        for subscription in &mut self.subscriptions {
            subscription.state = SubscriptionState::Pending;
        }
        for timer in [Timer::Connect, Timer::ConnectReply, Timer::MaxPause, Timer::Resubscribe] {
            self.timers.clear(timer);
        }
        (self.is_connect_due, self.is_connect_held, self.has_queued_events) = (false, false, false);
        // No reply over the socket is expected any more.
        self.reset_reply_timer();
    }

    /// A message got no reply: it was lost, or its reply was.
    pub(super) fn on_no_reply(
        &mut self,
        sent: PendingMessage,
        error: &SessionError,
        min_delay: Option<Millis>,
    ) {
        if self.phase == Phase::Closed {
            return;
        }
        if self.phase == Phase::Closing {
            return self.finish(None);
        }
        // The lost response may have contained events.
        if sent.kind != MessageKind::Handshake {
            for subscription in self
                .subscriptions
                .iter_mut()
                .filter(|subscription| subscription.state != SubscriptionState::Pending)
            {
                subscription.has_gap = true;
            }
        }
        let has_slept = error.code == Code::Timeout && self.now > sent.due.after(SLEEP_THRESHOLD);
        match sent.kind {
            MessageKind::Handshake => self.handshake_failed(error, min_delay),
            MessageKind::Connect => self.connect_failed(error, min_delay, has_slept),
            MessageKind::Subscribe => {
                let Some(at) =
                    self.subscriptions.iter().position(|subscription| subscription.channel == sent.channel)
                else {
                    return;
                };
                let Some(subscription) = self.subscriptions.get_mut(at) else { return };
                subscription.state = SubscriptionState::Pending;
                subscription.has_gap = true;
                if subscription.waiting.is_empty() || subscription.has_been_active {
                    let delay = self.backoff.delay_after(2, &mut self.rng);
                    if self.phase == Phase::Connected && !self.is_connect_pending() {
                        // After the next connect, `repair_gaps` subscribes again.
                        self.is_connect_held = false;
                        self.schedule_connect(delay);
                    } else {
                        self.timers.set(Timer::Resubscribe, self.now.after(delay));
                    }
                } else {
                    for op in self.subscriptions.remove(at).waiting {
                        self.settle(op, Err(error.clone()));
                    }
                }
            }
            MessageKind::Unsubscribe => {
                if let Some(subscription) =
                    self.subscriptions.iter_mut().find(|subscription| subscription.channel == sent.channel)
                {
                    subscription.is_draining = false;
                }
                self.settle_optional(sent.op, Err(error.clone()));
                self.release_held_connect();
            }
            MessageKind::Publish => self.settle_optional(sent.op, Err(error.clone())),
            MessageKind::Disconnect => {}
        }
    }

    pub(super) fn handshake_failed(&mut self, error: &SessionError, min_delay: Option<Millis>) {
        if self.is_fatal(error) {
            return self.stop(error.clone());
        }
        self.connection_failed(error);
        if self.options.can_follow_hosts
            && let Some(host) = self.hosts.pop_front()
        {
            self.url = at_host(&self.url, &host);
            return self.schedule_connect(Millis(0));
        }
        let delay = self.retry_delay(min_delay);
        self.schedule_connect(delay);
    }

    pub(super) fn connect_failed(
        &mut self,
        error: &SessionError,
        min_delay: Option<Millis>,
        has_slept: bool,
    ) {
        if self.is_fatal(error) {
            return self.stop(error.clone());
        }
        self.timers.clear(Timer::ConnectReply);
        self.connection_failed(error);
        self.phase = Phase::Connecting;
        self.is_connect_held = false;
        self.emit(Event::State(State::Connecting));
        let delay = if has_slept { Millis(0) } else { self.retry_delay(min_delay) };
        let since = self.down_since.unwrap_or(self.now);
        if let Some(max_interval) = self.timing.max_interval {
            let session_lifetime_ms = self
                .timing
                .poll_timeout
                .0
                .saturating_add(self.timing.interval.0)
                .saturating_add(max_interval.0);
            if self.now.after(delay) > since.after(Millis(session_lifetime_ms)) {
                // By then the server has removed the session.
                self.is_session_unproven = false;
                self.abandon_session();
                self.phase = Phase::Handshaking;
                self.emit(Event::State(State::Handshaking));
            }
        }
        self.schedule_connect(delay);
    }

    /// Whether a retry is pointless. After a successful `open`, every failure but a redirect is retried.
    pub(super) fn is_fatal(&self, error: &SessionError) -> bool {
        error.code == Code::Redirected || self.open_op.is_some() && !error.code.is_retryable()
    }

    /// Records when and why the connection was lost.
    pub(super) fn connection_failed(&mut self, error: &SessionError) {
        self.last_error = Some(error.clone());
        if self.down_since.is_none() {
            self.down_since = Some(self.now);
            self.start_connection_timeout();
        }
    }

    pub(super) fn start_connection_timeout(&mut self) {
        if let Some(timeout) = self.options.connection_timeout {
            self.timers.set(Timer::ConnectionTimeout, self.now.after(timeout));
        }
    }
}

/// The error of an exchange without usable messages, and the delay that the server asked for.
#[cold]
pub(super) fn response_error(
    outcome: &Result<Response, Failure>,
    is_empty: bool,
) -> (SessionError, Option<Millis>) {
    match classify::classify_response(outcome) {
        ResponseClass::Retry(error, min_delay) => (SessionError::from_error(&error), min_delay),
        ResponseClass::Fail(error) => (SessionError::from_error(&error), None),
        ResponseClass::Done => {
            let what = if is_empty { "contains no message" } else { "is not an array of Bayeux messages" };
            let mut error =
                SessionError::new(Code::Unavailable, format!("the response of the server {what}"));
            error.status = outcome.as_ref().ok().map(|response| response.status);
            (error, None)
        }
    }
}
