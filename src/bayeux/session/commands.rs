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
    /// Starts. The operation ends when the link works, or when it is clear that it will not.
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

    /// Starts with a session that another client has left.
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

    /// Subscribes to a channel or a pattern; before `open` as well. A second subscription to the same costs no message.
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

    /// Takes back one subscription to a channel, or `all` of them. Only the last costs a message.
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
        let gone = self.subscriptions.remove(at);
        for waiting in gone.waiting {
            self.settle(
                waiting,
                Err(SessionError::new(Code::Aborted, format!("{channel} was unsubscribed meanwhile"))),
            );
        }
        self.commands.retain(|command| !matches!(command, Command::Subscribe(other) if other == channel));
        self.release_held_connect();
        if gone.state == SubscriptionState::Pending || self.client_id.is_none() {
            self.settle(op, Ok(()));
        } else {
            self.commands.push_back(Command::Unsubscribe(channel.to_owned(), Some(op)));
        }
        op
    }

    /// Publishes `data`, a JSON text. It is sent once: if the answer is lost, nobody knows whether it arrived.
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

    /// Credentials, as header lines, and where the server is if they say so.
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

    /// No credentials. Tried again after a delay, unless that `is_final`.
    pub fn unauthorized(&mut self, now: Moment, error: SessionError, hint: Option<Millis>, is_final: bool) {
        self.now = now;
        if self.phase == Phase::Authorizing {
            if is_final {
                return self.stop(error);
            }
            self.connection_failed(&error);
            let delay = self.retry_delay(hint);
            self.timers.set(Timer::Authorize, now.after(delay));
        }
    }

    /// The consumer is slow: no further poll until [`Self::resume_polling`].
    pub fn pause(&mut self, now: Moment) {
        self.now = now;
        self.is_paused = true;
    }

    /// The consumer has room again.
    pub fn resume_polling(&mut self, now: Moment) {
        self.now = now;
        (self.is_paused, self.has_pause_expired) = (false, false);
        self.timers.clear(Timer::MaxPause);
        self.release_held_connect();
    }

    /// Says goodbye and ends. What is under way is refused with `ERR_CLOSED`.
    pub fn close(&mut self, now: Moment) {
        self.now = now;
        if matches!(self.phase, Phase::Closing | Phase::Closed) {
            return;
        }
        self.reject_all(&SessionError::new(Code::Closed, Code::Closed.sentence()));
        self.timers = Timers::new();
        self.is_connect_due = false;
        self.phase = Phase::Closing;
        let shakes = self.pending.iter().any(|sent| sent.kind == MessageKind::Handshake);
        if !shakes {
            self.exchanges.cancel_all();
            self.pending.clear();
        }
        if let Some(client_id) = self.client_id.take() {
            self.send_disconnect(&client_id);
        } else if !shakes {
            self.finish(None);
        }
        if self.phase == Phase::Closing {
            self.timers.set(Timer::Disconnect, now.after(DISCONNECT_TIMEOUT));
        }
    }
}

fn closed_or(phase: Phase, otherwise: &str) -> SessionError {
    match phase {
        Phase::Closing | Phase::Closed => SessionError::new(Code::Closed, Code::Closed.sentence()),
        _ => SessionError::new(Code::InvalidArgument, otherwise),
    }
}
