//! What a session does when something goes wrong: an answer that says no, one that never came, a link that is down.
//!
//! ```text
//!   refused ──dialect: which reaction?──┬─ again, with new credentials, in a new session, elsewhere, later
//!                                       └─ never ──> stop
//!   unanswered ──> handshake_failed, connect_failed ──rest──> again, until the owner has to hear of it
//! ```

use super::{
    Command, Event, PendingMessage, Phase, RequestKind, SLEEP_THRESHOLD, Session, Socket, State,
    SubscriptionState, Timer, Via,
};
use crate::base::error::Code;
use crate::base::http::{Failure, Response};
use crate::base::time::Millis;
use crate::bayeux::dialect::{Dialect, MessageKind, Reaction};
use crate::bayeux::errors::SessionError;
use crate::bayeux::message::{Reconnect, Reply};
use crate::bayeux::wire::{Transport, at_host};
use crate::engine::classify;
use crate::engine::classify::ResponseClass;
use crate::engine::timers::Timers;

impl Session {
    pub(super) fn on_refusal(&mut self, sent: PendingMessage, reply: &Reply, dialect: &mut dyn Dialect) {
        if self.phase == Phase::Closing {
            return self.finish(None);
        }
        let reaction = dialect.classify_refusal(sent.kind, reply, &sent.channel, self.open_op.is_some());
        let error_field = reply.error().unwrap_or_default();
        let what = match sent.kind {
            MessageKind::Handshake => "a session".to_owned(),
            MessageKind::Connect => "the connection".to_owned(),
            MessageKind::Disconnect => "the end of the session".to_owned(),
            MessageKind::Subscribe => format!("the subscription to {}", sent.channel),
            MessageKind::Unsubscribe => format!("to end the subscription to {}", sent.channel),
            MessageKind::Publish => format!("an event for {}", sent.channel),
        };
        let error = SessionError::refused(Code::Rejected, &what, &error_field);
        let advice = reply.advice(self.transport.name());
        if let Some(advice) = &advice {
            self.hosts = advice.hosts.iter().cloned().collect();
            if matches!(sent.kind, MessageKind::Handshake | MessageKind::Connect) {
                self.apply_advice(advice);
            }
        }
        let advice = advice.unwrap_or_default();
        let is_connection_message = matches!(sent.kind, MessageKind::Handshake | MessageKind::Connect);
        let reaction = reaction.unwrap_or_else(|| {
            if is_connection_message && error_field.contains("BAYEUX_BROWSER") {
                return Reaction::Stop(missing_cookie_error(&error_field));
            }
            match advice.reconnect {
                Some(Reconnect::Handshake) if sent.kind != MessageKind::Handshake => {
                    Reaction::Handshake { drop_cookies: false }
                }
                Some(Reconnect::None) if is_connection_message => Reaction::Stop(error.clone()),
                Some(Reconnect::Unknown) if is_connection_message => Reaction::Stop(unknown_advice_error()),
                _ if is_connection_message && advice.interval.is_some_and(|interval| interval < 0) => {
                    Reaction::Stop(error.clone())
                }
                _ => Reaction::Refuse(error.clone()),
            }
        });
        match (sent.kind, reaction) {
            (MessageKind::Handshake, Reaction::Refuse(_)) => {
                self.notify("trouble", None, Some(error));
                let delay = self.retry_delay(None);
                self.schedule_connect(delay);
            }
            (MessageKind::Connect, Reaction::Refuse(_)) => {
                self.notify("trouble", None, Some(error.clone()));
                self.connect_failed(&error, None, false);
            }
            (
                MessageKind::Subscribe,
                reaction @ (Reaction::Refuse(_) | Reaction::ResubscribeLater(..) | Reaction::Resubscribe(_)),
            ) => {
                self.on_subscription_refused(&sent.channel, reaction);
            }
            (kind, reaction) => {
                // Its channel is asked for again with the next session.
                if kind != MessageKind::Subscribe {
                    let why = match &reaction {
                        Reaction::Stop(why) | Reaction::Refuse(why) => why.clone(),
                        _ => error,
                    };
                    self.settle_optional(sent.op, Err(why));
                }
                self.apply_reaction(reaction);
                if kind == MessageKind::Unsubscribe {
                    self.release_held_connect();
                }
            }
        }
    }

    pub(super) fn on_subscription_refused(&mut self, channel: &str, reaction: Reaction) {
        let Some(at) = self.subscriptions.iter().position(|known| known.channel == channel) else { return };
        let Some(known) = self.subscriptions.get_mut(at) else { return };
        known.refusal_count += 1;
        // A server that refuses whatever is asked for.
        let is_stubborn = known.refusal_count > 10;
        match reaction {
            Reaction::ResubscribeLater(error, delay) if !is_stubborn => {
                known.state = SubscriptionState::Pending;
                let delay = Millis(delay.0 + self.rng.up_to(delay.0));
                self.notify("trouble", Some(channel.to_owned()), Some(error));
                self.timers.set(Timer::Resubscribe, self.now.after(delay));
                // The others need not wait for it.
                self.release_held_connect();
            }
            Reaction::Resubscribe(error) if !is_stubborn => {
                known.state = SubscriptionState::Pending;
                self.commands.push_back(Command::Subscribe(channel.to_owned()));
                self.notify("replay_gap", Some(channel.to_owned()), Some(error));
            }
            Reaction::ResubscribeLater(error, _) | Reaction::Resubscribe(error) | Reaction::Refuse(error) => {
                let gone = self.subscriptions.remove(at);
                let nobody_waits = gone.waiting.is_empty();
                for op in gone.waiting {
                    self.settle(op, Err(error.clone()));
                }
                if nobody_waits || gone.has_been_active {
                    self.notify("subscription_lost", Some(channel.to_owned()), Some(error));
                }
                self.release_held_connect();
            }
            _ => {}
        }
    }

    pub(super) fn apply_reaction(&mut self, reaction: Reaction) {
        match reaction {
            Reaction::Handshake { drop_cookies } => self.start_new_session(drop_cookies),
            Reaction::Reauthorize => {
                if core::mem::replace(&mut self.has_new_credentials, true) {
                    return self.stop(SessionError::new(
                        Code::Unauthorized,
                        "the server refuses the credentials, although they are new",
                    ));
                }
                self.abandon_session();
                self.credentials = None;
                self.authorize_or_handshake();
            }
            Reaction::Busy(error, least) => {
                self.abandon_session();
                self.notify("trouble", None, Some(error));
                self.phase = Phase::Handshaking;
                let delay = self.busy_delay(least);
                self.schedule_connect(delay);
            }
            Reaction::Stop(error) => self.stop(error),
            Reaction::Refuse(error) | Reaction::ResubscribeLater(error, _) | Reaction::Resubscribe(error) => {
                self.notify("trouble", None, Some(error));
            }
        }
    }

    /// The session is gone.
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
        // A session that never worked is not followed by another without a delay.
        let delay = if is_session_unproven { self.retry_delay(None) } else { self.timing.interval };
        self.schedule_connect(delay);
    }

    pub(super) fn abandon_session(&mut self) {
        self.client_id = None;
        self.is_session_unproven = true;
        let mut left = core::mem::take(&mut self.pending);
        left.retain(|sent| sent.kind != MessageKind::Subscribe);
        for id in self.exchanges.ids_where(|kind| *kind != RequestKind::Owner) {
            self.exchanges.cancel(id);
        }
        self.reject_messages(
            left,
            &SessionError::new(Code::Network, "the session ended before the server had answered"),
        );
        for known in &mut self.subscriptions {
            known.state = SubscriptionState::Pending;
        }
        for timer in [Timer::Connect, Timer::ConnectReply, Timer::MaxPause, Timer::Resubscribe] {
            self.timers.clear(timer);
        }
        (self.is_connect_due, self.is_connect_held, self.has_queued_events) = (false, false, false);
        // After a break down, the socket of before is of no use to the next session.
        self.reset_reply_timer();
    }

    /// A message to which there was no reply.
    pub(super) fn on_no_reply(&mut self, sent: PendingMessage, error: &SessionError, hint: Option<Millis>) {
        if self.phase == Phase::Closed {
            return;
        }
        if self.phase == Phase::Closing {
            return self.finish(None);
        }
        // Events may have come with it.
        if sent.kind != MessageKind::Handshake {
            for known in
                self.subscriptions.iter_mut().filter(|known| known.state != SubscriptionState::Pending)
            {
                known.has_gap = true;
            }
        }
        let slept = error.code == Code::Timeout && self.now > sent.due.after(SLEEP_THRESHOLD);
        match sent.kind {
            MessageKind::Handshake => self.handshake_failed(error, hint),
            MessageKind::Connect => self.connect_failed(error, hint, slept),
            MessageKind::Subscribe => {
                let Some(at) = self.subscriptions.iter().position(|known| known.channel == sent.channel)
                else {
                    return;
                };
                let Some(known) = self.subscriptions.get_mut(at) else { return };
                known.state = SubscriptionState::Pending;
                known.has_gap = true;
                if known.waiting.is_empty() || known.has_been_active {
                    let delay = self.backoff.delay_after(2, &mut self.rng);
                    if self.phase == Phase::Connected && !self.is_connect_pending() {
                        // The next connect asks for them again.
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
                if let Some(known) = self.subscriptions.iter_mut().find(|known| known.channel == sent.channel)
                {
                    known.is_draining = false;
                }
                self.settle_optional(sent.op, Err(error.clone()));
                self.release_held_connect();
            }
            MessageKind::Publish => self.settle_optional(sent.op, Err(error.clone())),
            MessageKind::Disconnect => {}
        }
    }

    pub(super) fn handshake_failed(&mut self, error: &SessionError, hint: Option<Millis>) {
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
        let delay = self.retry_delay(hint);
        self.schedule_connect(delay);
    }

    pub(super) fn connect_failed(&mut self, error: &SessionError, hint: Option<Millis>, slept: bool) {
        if self.is_fatal(error) {
            return self.stop(error.clone());
        }
        self.timers.clear(Timer::ConnectReply);
        self.connection_failed(error);
        self.phase = Phase::Connecting;
        self.is_connect_held = false;
        self.emit(Event::State(State::Connecting));
        let delay = if slept { Millis(0) } else { self.retry_delay(hint) };
        let since = self.down_since.unwrap_or(self.now);
        if let Some(keeps) = self.timing.max_interval {
            let longest =
                self.timing.poll_timeout.0.saturating_add(self.timing.interval.0).saturating_add(keeps.0);
            if self.now.after(delay) > since.after(Millis(longest)) {
                // By then the server has forgotten the session.
                self.is_session_unproven = false;
                self.abandon_session();
                self.phase = Phase::Handshaking;
                self.emit(Event::State(State::Handshaking));
            }
        }
        self.schedule_connect(delay);
    }

    /// Whether another try would be of no use. What has worked once is tried again.
    pub(super) fn is_fatal(&self, error: &SessionError) -> bool {
        error.code == Code::Redirected || self.open_op.is_some() && !error.code.is_retryable()
    }

    pub(super) fn on_socket_failure(&mut self, error: SessionError) {
        let was_open = matches!(self.socket, Socket::Open(_));
        self.close_socket();
        self.socket_failures = if was_open { 0 } else { self.socket_failures + 1 };
        let mut left = core::mem::take(&mut self.pending);
        self.pending = left.extract_if(.., |sent| sent.via != Via::Socket).collect();
        // The first time that it could not be opened, or the second if it has worked before.
        let has_other = self.options.transports.contains(&Transport::LongPolling);
        let falls_back = !was_open && has_other && (!self.has_had_session || self.socket_failures > 1);
        let has_connection_message =
            left.iter().any(|sent| matches!(sent.kind, MessageKind::Handshake | MessageKind::Connect));
        for sent in left {
            self.on_no_reply(sent, &error, None);
        }
        if matches!(self.phase, Phase::Closed | Phase::Closing) {
            return self.finish(None);
        }
        if falls_back {
            self.notify("transport_fallback", None, Some(error));
            let had_session = self.client_id.is_some();
            self.switch_transport(Transport::LongPolling);
            if had_session {
                self.abandon_session();
                self.phase = Phase::Handshaking;
            }
            self.schedule_connect(Millis(0));
        } else if !has_connection_message {
            match self.phase {
                Phase::Handshaking => self.handshake_failed(&error, None),
                Phase::Connecting | Phase::Connected => {
                    for known in &mut self.subscriptions {
                        known.has_gap = true;
                    }
                    self.connect_failed(&error, None, false);
                }
                _ => {}
            }
        }
    }

    pub(super) fn switch_transport(&mut self, transport: Transport) {
        self.close_socket();
        self.transport = transport;
    }

    pub(super) fn close_socket(&mut self) {
        if let Socket::Opening(id) | Socket::Open(id) = core::mem::replace(&mut self.socket, Socket::None) {
            self.emit(Event::SocketClose { id });
            self.timers.clear(Timer::SocketReply);
        }
    }

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

    pub(super) fn on_closed_by_server(&mut self, reply: &Reply) {
        self.notify("closed_by_server", None, None);
        let why = reply.error().map(|error| format!(": {error}")).unwrap_or_default();
        let mut error = SessionError::new(Code::Rejected, format!("the server closed the connection{why}"));
        error.server_error = reply.error();
        self.stop(error);
    }

    pub(super) fn stop(&mut self, error: SessionError) {
        self.exchanges.cancel_all();
        // What was sent as well: its answer is not heard any more.
        self.reject_all(&error);
        self.pending.clear();
        self.finish(Some(error));
    }

    pub(super) fn finish(&mut self, error: Option<SessionError>) {
        if self.phase == Phase::Closed {
            return;
        }
        self.phase = Phase::Closed;
        self.close_socket();
        self.pending.clear();
        self.client_id = None;
        self.timers = Timers::new();
        self.is_connect_due = false;
        self.emit(Event::State(State::Disconnected));
        self.emit(Event::Ended(error));
    }

    pub(super) fn reject_all(&mut self, error: &SessionError) {
        let sent = self.pending.iter().filter_map(|sent| sent.op).collect::<Vec<_>>();
        for op in sent {
            self.settle(op, Err(error.clone()));
        }
        for sent in &mut self.pending {
            sent.op = None;
        }
        if let Some(op) = self.open_op.take() {
            self.settle(op, Err(error.clone()));
        }
        self.reject_waiting(error);
        self.subscriptions.clear();
    }

    /// Refuses what waits to be sent, or for a subscription.
    pub(super) fn reject_waiting(&mut self, error: &SessionError) {
        let mut ops = Vec::new();
        for known in &mut self.subscriptions {
            ops.append(&mut known.waiting);
        }
        self.subscriptions.retain(|known| known.has_been_active);
        for command in core::mem::take(&mut self.commands) {
            match command {
                Command::Publish(op, ..) | Command::Unsubscribe(_, Some(op)) => ops.push(op),
                Command::Subscribe(channel) => {
                    if self.subscriptions.iter().any(|known| known.channel == channel) {
                        self.commands.push_back(Command::Subscribe(channel));
                    }
                }
                Command::Unsubscribe(_, None) => {}
            }
        }
        for op in ops {
            self.settle(op, Err(error.clone()));
        }
    }

    pub(super) fn reject_messages(&mut self, sent: Vec<PendingMessage>, error: &SessionError) {
        for sent in sent {
            self.settle_optional(sent.op, Err(error.clone()));
        }
    }
}

#[cold]
pub(super) fn unknown_advice_error() -> SessionError {
    SessionError::new(
        Code::Rejected,
        "the server gave an advice that is not known, so the client must not go on by itself",
    )
}

#[cold]
fn missing_cookie_error(error_field: &str) -> SessionError {
    let mut error = SessionError::refused(Code::Rejected, "the connection", error_field);
    error.message.push_str(
        " - the session cookie did not come back: in a browser, cookies of the server's site are blocked; elsewhere, something between takes them away",
    );
    error
}

/// Why an exchange gave nothing, and how long the server asked to wait.
#[cold]
pub(super) fn response_error(
    outcome: &Result<Response, Failure>,
    is_empty: bool,
) -> (SessionError, Option<Millis>) {
    match classify::classify_response(outcome) {
        ResponseClass::Retry(error, hint) => (SessionError::from_error(&error), hint),
        ResponseClass::Fail(error) => (SessionError::from_error(&error), None),
        ResponseClass::Done => {
            let what = if is_empty { "without a message in it" } else { "that is not Bayeux" };
            let mut error = SessionError::new(Code::Unavailable, format!("the server gave an answer {what}"));
            error.status = outcome.as_ref().ok().map(|response| response.status);
            (error, None)
        }
    }
}
