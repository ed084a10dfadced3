//! What the owner of a session can ask for.

use super::{
    Command, DISCONNECT_TIMEOUT, Event, Phase, Session, State, Subscription, SubscriptionState, Timer,
};
use crate::base::error::Code;
use crate::base::ids::OpId;
use crate::base::secret::Secret;
use crate::base::time::{Millis, Moment};
use crate::bayeux::dialect::{Dialect, MessageKind};
use crate::bayeux::errors::SessionError;
use crate::engine::timers::Timers;

impl Session {
    /// Opens the session. The operation ends with the first successful connect, or with a fatal error.
    pub fn open(&mut self, now: Moment) -> OpId {
        let op = self.next_op(now);
        if self.phase == Phase::Idle {
            self.open_op = Some(op);
            self.emit(Event::State(State::Handshaking));
            self.authorize_or_handshake();
        } else {
            self.settle(op, Err(closed_or(self.phase, "the client is open already")));
        }
        op
    }

    /// Continues a session that another client has left open.
    pub fn resume(&mut self, now: Moment, client_id: &str, cookies: &str, channels: &[String]) -> OpId {
        let op = self.next_op(now);
        self.open_op = Some(op);
        for cookie in cookies.split("; ").filter(|cookie| !cookie.is_empty()) {
            self.cookies.store(&self.url, &format!("{cookie}; path=/"), self.unix_ms(now));
        }
        for channel in channels {
            let mut subscription = Subscription::new(channel);
            (subscription.state, subscription.has_been_active) = (SubscriptionState::Active, true);
            self.subscriptions.push(subscription);
        }
        self.has_had_session = true;
        self.client_id = Some(client_id.to_owned());
        self.phase = Phase::Connecting;
        self.emit(Event::State(State::Connecting));
        self.is_connect_due = true;
        op
    }

    /// Subscribes to a channel or a pattern, also before `open`. A second subscription to the same channel
    /// sends no message.
    pub fn subscribe(&mut self, now: Moment, channel: &str) -> OpId {
        let op = self.next_op(now);
        if matches!(self.phase, Phase::Closing | Phase::Closed) {
            self.settle(op, Err(SessionError::new(Code::Closed, Code::Closed.sentence())));
            return op;
        }
        if let Some(subscription) =
            self.subscriptions.iter_mut().find(|subscription| subscription.channel == channel)
        {
            subscription.subscriber_count += 1;
            if subscription.state == SubscriptionState::Active {
                self.settle(op, Ok(()));
            } else {
                subscription.waiting.push(op);
            }
            return op;
        }
        let mut subscription = Subscription::new(channel);
        subscription.waiting.push(op);
        self.subscriptions.push(subscription);
        self.commands.push_back(Command::Subscribe(channel.to_owned()));
        op
    }

    /// Removes one subscription to a channel, or `all` of them. Only the last one sends a message.
    pub fn unsubscribe(&mut self, now: Moment, channel: &str, all: bool) -> OpId {
        let op = self.next_op(now);
        if matches!(self.phase, Phase::Closing | Phase::Closed) {
            self.settle(op, Err(SessionError::new(Code::Closed, Code::Closed.sentence())));
            return op;
        }
        let Some(at) = self.subscriptions.iter().position(|subscription| subscription.channel == channel)
        else {
            self.settle(op, Ok(()));
            return op;
        };
        let Some(subscription) = self.subscriptions.get_mut(at) else { return op };
        subscription.subscriber_count -= 1;
        if subscription.subscriber_count > 0 && !all {
            self.settle(op, Ok(()));
            return op;
        }
        let removed = self.subscriptions.remove(at);
        for waiting in removed.waiting {
            self.settle(
                waiting,
                Err(SessionError::new(
                    Code::Aborted,
                    format!("{channel} was unsubscribed before the server replied"),
                )),
            );
        }
        self.commands.retain(|command| !matches!(command, Command::Subscribe(other) if other == channel));
        self.release_held_connect();
        if removed.state == SubscriptionState::Pending || self.client_id.is_none() {
            self.settle(op, Ok(()));
        } else {
            self.commands.push_back(Command::Unsubscribe(channel.to_owned(), Some(op)));
        }
        op
    }

    /// Publishes `data`, a JSON text. It is sent once: if the reply is lost, it is unknown whether it
    /// arrived.
    pub fn publish(&mut self, now: Moment, channel: &str, data: &str, dialect: &dyn Dialect) -> OpId {
        let op = self.next_op(now);
        if !matches!(
            self.phase,
            Phase::Handshaking | Phase::Connecting | Phase::Connected | Phase::Authorizing
        ) {
            self.settle(op, Err(closed_or(self.phase, "the client is not open yet")));
        } else if let Some(error) = dialect.publish_error(channel) {
            self.settle(op, Err(error));
        } else {
            self.commands.push_back(Command::Publish(op, channel.to_owned(), data.to_owned()));
        }
        op
    }

    /// Provides credentials as header lines, and the URL of the server if the login has named one.
    pub fn authorize(&mut self, now: Moment, headers: String, url: Option<String>) {
        self.now = now;
        if self.phase == Phase::Authorizing {
            self.credentials = Some(Secret::new(headers));
            if let Some(url) = url {
                self.url = url;
            }
            self.phase = Phase::Handshaking;
            self.is_connect_due = true;
        }
    }

    /// Reports that there are no credentials. Unless the failure `is_final`, they are requested again after a
    /// delay of at least `min_delay`.
    pub fn unauthorized(
        &mut self,
        now: Moment,
        error: SessionError,
        min_delay: Option<Millis>,
        is_final: bool,
    ) {
        self.now = now;
        if self.phase == Phase::Authorizing {
            if is_final {
                return self.stop(error);
            }
            self.connection_failed(&error);
            let delay = self.retry_delay(min_delay);
            self.timers.set(Timer::Authorize, now.after(delay));
        }
    }

    /// Stops polling until [`Self::resume_polling`], because the consumer is slow.
    pub fn pause(&mut self, now: Moment) {
        self.now = now;
        self.is_paused = true;
    }

    /// Polls again after [`Self::pause`], or after events if `Options::has_manual_resume`.
    pub fn resume_polling(&mut self, now: Moment) {
        self.now = now;
        (self.is_paused, self.has_pause_expired) = (false, false);
        self.timers.clear(Timer::MaxPause);
        self.release_held_connect();
    }

    /// Disconnects. Pending operations are rejected with `ERR_CLOSED`.
    pub fn close(&mut self, now: Moment) {
        self.now = now;
        if matches!(self.phase, Phase::Closing | Phase::Closed) {
            return;
        }
        self.reject_all(&SessionError::new(Code::Closed, Code::Closed.sentence()));
        self.timers = Timers::new();
        self.is_connect_due = false;
        self.phase = Phase::Closing;
        let is_handshaking = self.pending.iter().any(|sent| sent.kind == MessageKind::Handshake);
        if !is_handshaking {
            self.exchanges.cancel_all();
            self.pending.clear();
        }
        if let Some(client_id) = self.client_id.take() {
            self.send_disconnect(&client_id);
        } else if !is_handshaking {
            self.finish(None);
        }
        if self.phase == Phase::Closing {
            self.timers.set(Timer::Disconnect, now.after(DISCONNECT_TIMEOUT));
        }
    }
}

/// `ERR_CLOSED` if the session is closing or closed, else `ERR_INVALID_ARGUMENT` with that message.
fn closed_or(phase: Phase, otherwise: &str) -> SessionError {
    match phase {
        Phase::Closing | Phase::Closed => SessionError::new(Code::Closed, Code::Closed.sentence()),
        _ => SessionError::new(Code::InvalidArgument, otherwise),
    }
}
