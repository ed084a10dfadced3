//! Recovery from a missing reply, a lost connection, or a lost session.
//!
//! ```text
//!   no reply ──┬─ handshake, connect ──fatal? no──> delay ──> again        ──down for connection_timeout──> notice
//!              │                       └─ yes ──> stop
//!              ├─ subscribe ──> again after a delay, or rejected if it was never accepted
//!              └─ publish, unsubscribe ──> rejected
//!   unknown session ──> abandon_session ──> handshake ──> all subscriptions again
//! ```

use super::Session;
use super::link::{Link, Live, Progress};
use super::pending::PendingMessage;
use super::subscriptions::SubscriptionState;
use super::timer_keys::{SLEEP_THRESHOLD, Timer};
use crate::base::error::Code;
use crate::base::http::{Failure, Response};
use crate::base::text::join;
use crate::base::time::Millis;
use crate::bayeux::dialect::MessageKind;
use crate::bayeux::errors::SessionError;
use crate::engine::classify;
use crate::engine::classify::ResponseClass;

impl Session {
    /// The server does not know the session any more: starts another.
    pub(super) fn start_new_session(&mut self, drop_cookies: bool) {
        if drop_cookies {
            self.endpoint.cookies.clear();
        }
        let is_unproven = self.link.is_unproven();
        self.connection_down(None);
        self.abandon_session();
        self.enter(Link::Handshaking);
        if self.can_follow_hosts() {
            self.endpoint.use_next_host();
        }
        // If the session never worked, the next one must wait.
        if is_unproven {
            self.schedule_retry(None);
        } else {
            let delay = self.connects.restart_delay(self.now, &mut self.rng);
            self.schedule_connect(delay);
        }
    }

    /// Drops everything that belongs to the session, whose id goes with the next phase. Pending messages are
    /// rejected; subscriptions are kept for the next session.
    pub(super) fn abandon_session(&mut self) {
        let mut unanswered = self.pending.take_all();
        unanswered.retain(|sent| sent.kind != MessageKind::Subscribe);
        self.exchanges.cancel_all();
        self.drop_held();
        self.dialect.settle_positions(false);
        self.reject_messages(unanswered, &SessionError::session_ended());
        self.subscriptions.forget_session();
        for timer in
            [Timer::Connect, Timer::ConnectReply, Timer::MaxPause, Timer::Resubscribe, Timer::PollHeld]
        {
            self.timers.clear(timer);
        }
        self.stop_watching_trial();
        self.connects.clear();
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
        match self.link {
            Link::Closed => return,
            Link::Closing => return self.finish(None),
            _ => {}
        }
        // The lost response may have contained events.
        if sent.kind != MessageKind::Handshake {
            self.subscriptions.response_lost();
        }
        if matches!(sent.kind, MessageKind::Handshake | MessageKind::Connect) {
            self.endpoint.credentials.outlive_loss();
            self.dialect.settle_positions(false);
        }
        let has_slept = error.code == Code::Timeout && self.now > sent.due.after(SLEEP_THRESHOLD);
        match sent.kind {
            MessageKind::Handshake => self.handshake_failed(error, min_delay),
            MessageKind::Connect => self.connect_failed(error, min_delay, has_slept),
            MessageKind::Subscribe => self.subscribe_failed(&sent.channel, error),
            MessageKind::Unsubscribe => {
                if let Some(subscription) = self.subscriptions.find_mut(&sent.channel) {
                    subscription.is_draining = false;
                    subscription.has_gap |= subscription.trial.is_out();
                }
                self.settle_optional(sent.op, Err(error.clone()));
            }
            MessageKind::Publish => self.settle_optional(sent.op, Err(error.clone())),
            MessageKind::Disconnect => {}
        }
    }

    fn subscribe_failed(&mut self, channel: &str, error: &SessionError) {
        let Some(subscription) = self.subscriptions.find_mut(channel) else { return };
        (subscription.state, subscription.has_gap) = (SubscriptionState::Pending, true);
        if subscription.waiting.is_empty() || subscription.has_been_active {
            // A response that cannot be read is likely to come again.
            let delay = if self.connects.unreadable_count() > 0 {
                self.connects.retry_delay(None, &mut self.rng)
            } else {
                self.connects.resubscribe_delay(&mut self.rng)
            };
            if self.link.is_working() && !self.pending.has_connect() {
                // After the next connect, `repair_gaps` subscribes again.
                self.connects.clear();
                self.schedule_connect(delay);
            } else {
                self.timers.set(Timer::Resubscribe, self.now.after(delay));
            }
        } else if let Some(removed) = self.subscriptions.remove(channel) {
            for op in removed.waiting {
                self.settle(op, Err(error.clone()));
            }
        }
    }

    /// No client in JavaScript has the option, so that its module lacks the code for it.
    const fn can_follow_hosts(&self) -> bool {
        cfg!(not(target_arch = "wasm32")) && self.options.can_follow_hosts
    }

    pub(super) fn handshake_failed(&mut self, error: &SessionError, min_delay: Option<Millis>) {
        if self.is_fatal(error) {
            return self.stop(error.clone());
        }
        self.connection_failed(error);
        self.settle_probes(&Err(error.clone()));
        if self.can_follow_hosts() && self.endpoint.use_next_host() {
            return self.schedule_connect(Millis(0));
        }
        self.schedule_retry(min_delay);
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
        self.timers.clear(Timer::PollHeld);
        self.stop_watching_trial();
        self.connection_failed(error);
        self.settle_probes(&Err(error.clone()));
        self.connects.clear();
        if let Link::Connected(live) = &self.link {
            let progress = if self.link.is_unproven() { Progress::Unproven } else { Progress::Interrupted };
            self.enter(Link::Connected(Live { progress, ..live.clone() }));
        }
        self.server_asks(min_delay);
        let delay = if has_slept { Millis(0) } else { self.connects.retry_delay(min_delay, &mut self.rng) };
        let is_gone = self.connects.is_session_gone_at(self.now.after(delay), self.now);
        if is_gone || self.is_repeated_for_ever() {
            self.abandon_session();
            self.enter(Link::Handshaking);
        }
        self.schedule_connect(delay);
    }

    /// Whether a retry is pointless. After a successful `open`, every failure but a redirect is retried.
    fn is_fatal(&self, error: &SessionError) -> bool {
        error.code == Code::Redirected || self.open_op.is_some() && !error.code.is_retryable()
    }

    /// Records when and why the connection was lost.
    pub(super) fn connection_failed(&mut self, error: &SessionError) {
        self.connection_down(Some(error.clone()));
    }

    /// The connection is down: `Times::connection_timeout` runs from the first call to the next success.
    pub(super) fn connection_down(&mut self, error: Option<SessionError>) {
        if self.connects.fail(self.now, error) {
            self.start_connection_timeout();
        }
    }

    /// The connection works again: everything that counts failures starts again.
    pub(super) fn end_outage(&mut self) {
        self.connects.restore();
        self.timers.clear(Timer::ConnectionTimeout);
        self.timers.clear(Timer::PollHeld);
    }

    pub(super) fn start_connection_timeout(&mut self) {
        if let Some(timeout) = self.options.times.connection_timeout {
            self.timers.set(Timer::ConnectionTimeout, self.now.after(timeout));
        }
    }
}

/// A response that does not answer the messages of its request.
pub(super) struct Lost {
    pub(super) error: SessionError,
    /// The delay that the server asked for.
    pub(super) min_delay: Option<Millis>,
    /// It arrived, but cannot be read.
    pub(super) is_unreadable: bool,
}

impl Lost {
    pub(super) const fn readable(error: SessionError) -> Self {
        Self { error, min_delay: None, is_unreadable: false }
    }

    pub(super) const fn unreadable(error: SessionError) -> Self {
        Self { error, min_delay: None, is_unreadable: true }
    }

    /// An exchange without a usable message. `is_empty`: its response is an array of nothing.
    #[cold]
    pub(super) fn response(outcome: Result<Response, Failure>, is_empty: bool) -> Self {
        match classify::classify_response(&outcome) {
            ResponseClass::Retry(error, min_delay) => {
                Self { min_delay, ..Self::readable(SessionError::from_error(&error)) }
            }
            ResponseClass::Fail(error) => Self::readable(SessionError::from_error(&error)),
            ResponseClass::Done => {
                let response = outcome.unwrap_or_default();
                let what =
                    if is_empty { "contains no message" } else { "is not an array of Bayeux messages" };
                let mut error =
                    SessionError::new(Code::Unavailable, join(&["the response of the server ", what]));
                error.status = Some(response.status);
                Self { error, min_delay: None, is_unreadable: !is_empty && !response.body.is_empty() }
            }
        }
    }
}
