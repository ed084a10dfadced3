//! What a response means: its events are delivered first, then its replies are processed.
//!
//! ```text
//!   response ──parse──┬─ events ──will be replayed? no ──new? yes ──> owner
//!                     └─ replies ──pending message? ──┬─ successful ──> on_success
//!                                                     └─ not ────────> on_refusal (refusal.rs)
//!   no reply, no response ──> on_no_reply (recovery.rs)
//! ```

use super::gaps::replay_start;
use super::recovery::response_error;
use super::refusal::unknown_advice_error;
use super::{Event, PendingMessage, Phase, Session, State, SubscriptionState, Timer, Timing, Via};
use crate::base::error::Code;
use crate::base::http::{Failure, Response};
use crate::base::ids::ExchangeId;
use crate::base::json::find::Document;
use crate::base::time::Millis;
use crate::bayeux::dialect::{Dialect, MessageKind, Reaction};
use crate::bayeux::errors::SessionError;
use crate::bayeux::message::{Advice, EventSpans, ParsedMessages, Reconnect, Reply, parse_messages};
use crate::bayeux::wire::{Transport, without_filter};

impl Session {
    pub(super) fn on_exchange_end(
        &mut self,
        id: ExchangeId,
        outcome: Result<Response, Failure>,
        dialect: &mut dyn Dialect,
    ) {
        let mut failure = None;
        match outcome {
            Ok(mut response) => {
                for cookie in response.headers_named("set-cookie") {
                    self.cookies.store(&self.url, cookie, self.unix_ms(self.now));
                }
                let document = Document::new(core::mem::take(&mut response.body));
                match parse_messages(document.padded(), dialect.data_reader()) {
                    Ok(messages) if !messages.events.is_empty() || !messages.replies.is_empty() => {
                        self.process_messages(Some(id), document, messages, dialect);
                    }
                    other => {
                        response.body = document.into_text();
                        failure = Some(response_error(&Ok(response), other.is_ok()));
                    }
                }
            }
            Err(why) => failure = Some(response_error(&Err(why), false)),
        }
        let (error, min_delay) = failure.unwrap_or_else(|| {
            (
                SessionError::new(
                    Code::Unavailable,
                    "the response of the server contains no reply to the message",
                ),
                None,
            )
        });
        let mut unanswered = Vec::new();
        self.pending.retain(|sent| {
            let is_unanswered = sent.via == Via::Exchange(id);
            if is_unanswered {
                unanswered.push(sent.clone());
            }
            !is_unanswered
        });
        if unanswered.is_empty() {
            return;
        }
        if error.status == Some(401) && self.options.is_auth_required && self.phase != Phase::Closing {
            self.reject_messages(unanswered, &error);
            return self.apply_reaction(Reaction::Reauthorize);
        }
        self.notify("transient_error", None, Some(error.clone()));
        for sent in unanswered {
            self.on_no_reply(sent, &error, min_delay);
        }
    }

    /// Processes all messages of a response or frame.
    pub(super) fn process_messages(
        &mut self,
        source: Option<ExchangeId>,
        document: Document,
        messages: ParsedMessages,
        dialect: &mut dyn Dialect,
    ) {
        let ParsedMessages { mut events, replies } = messages;
        let text = document.padded();
        let replayed = self.replayed_channels(source, dialect);
        if !replayed.is_empty() {
            let name = |event: &EventSpans| text.get(event.channel.start, event.channel.end);
            for (channel, is_own_reply) in replayed {
                let is_of =
                    |event: &EventSpans| event.ids.replay_id.is_some() && name(event) == channel.as_bytes();
                // In the reply to its own subscription, only events before the replay are dropped.
                let until = if is_own_reply { replay_start(text, &events, is_of) } else { events.len() };
                let mut at = 0;
                let mut has_dropped = false;
                events.retain(|event| {
                    let is_dropped = at < until && is_of(event);
                    at += 1;
                    has_dropped |= is_dropped;
                    !is_dropped
                });
                if has_dropped && !is_own_reply {
                    self.has_queued_events = true;
                    for subscription in &mut self.subscriptions {
                        subscription.has_gap |= without_filter(&subscription.channel) == channel;
                    }
                }
            }
        }
        events.retain(|event| dialect.record_event(text, event));
        self.last_event_count = events.len();
        if !events.is_empty() && self.phase != Phase::Closed {
            self.is_paused |= self.options.has_manual_resume;
            self.emit(Event::Messages { source, text: document.into_text(), events });
        }
        for reply in replies {
            if self.phase == Phase::Closed {
                return;
            }
            self.process_reply(&reply, dialect);
        }
    }

    pub(super) fn process_reply(&mut self, reply: &Reply, dialect: &mut dyn Dialect) {
        let kind = match reply.channel.as_str() {
            "/meta/handshake" => MessageKind::Handshake,
            "/meta/connect" => MessageKind::Connect,
            "/meta/subscribe" => MessageKind::Subscribe,
            "/meta/unsubscribe" => MessageKind::Unsubscribe,
            "/meta/disconnect" => MessageKind::Disconnect,
            channel if channel.starts_with("/meta/") => return,
            _ => MessageKind::Publish,
        };
        let channels = reply.subscriptions();
        let position = self.pending.iter().position(|sent| {
            sent.kind == kind
                && match &reply.id {
                    Some(id) => *id == sent.id.to_string(),
                    None => channels.is_empty() || channels.contains(&sent.channel),
                }
                && (kind != MessageKind::Publish || sent.channel == reply.channel)
        });
        let Some(at) = position else {
            // A server may disconnect unasked.
            if kind == MessageKind::Disconnect && self.phase != Phase::Closing {
                self.on_closed_by_server(reply);
            }
            return;
        };
        let Some(successful) = reply.successful else { return };
        let sent = self.pending.remove(at);
        if successful {
            self.on_success(&sent, reply, dialect);
        } else {
            self.on_refusal(sent, reply, dialect);
        }
    }

    pub(super) fn on_success(&mut self, sent: &PendingMessage, reply: &Reply, dialect: &mut dyn Dialect) {
        match sent.kind {
            MessageKind::Handshake => self.on_handshake_success(reply, dialect),
            MessageKind::Connect => self.on_connect_success(reply, dialect),
            MessageKind::Subscribe => {
                if let Some(subscription) =
                    self.subscriptions.iter_mut().find(|subscription| subscription.channel == sent.channel)
                {
                    (subscription.state, subscription.has_been_active, subscription.refusal_count) =
                        (SubscriptionState::Active, true, 0);
                    for op in core::mem::take(&mut subscription.waiting) {
                        self.settle(op, Ok(()));
                    }
                }
                self.release_held_connect();
            }
            MessageKind::Unsubscribe => {
                self.settle_optional(sent.op, Ok(()));
                self.release_held_connect();
            }
            MessageKind::Publish => self.settle_optional(sent.op, Ok(())),
            MessageKind::Disconnect => self.finish(None),
        }
    }

    pub(super) fn on_handshake_success(&mut self, reply: &Reply, dialect: &mut dyn Dialect) {
        let Some(client_id) = reply.client_id() else {
            let error =
                SessionError::new(Code::Unavailable, "the handshake reply of the server has no clientId");
            self.notify("transient_error", None, Some(error));
            let delay = self.retry_delay(None);
            return self.schedule_connect(delay);
        };
        if self.phase == Phase::Closing {
            return self.send_disconnect(&client_id);
        }
        let offered =
            reply.get(&["supportedConnectionTypes"]).map(|value| value.strings()).unwrap_or_default();
        let is_offered =
            |transport: Transport| offered.is_empty() || offered.iter().any(|name| name == transport.name());
        if !is_offered(self.transport) {
            let Some(other) = self.options.transports.iter().copied().find(|other| is_offered(*other)) else {
                let message = format!(
                    "the server supports none of the configured transports; it offers {}",
                    offered.join(", ")
                );
                return self.stop(SessionError::new(Code::Rejected, message));
            };
            self.switch_transport(other);
        }
        self.apply_advice(&reply.advice(self.transport.name()).unwrap_or_default());
        self.last_ack = match reply.get(&["ext", "ack"]) {
            Some(offer) if self.options.has_ack_extension => match offer.bool() {
                Some(true) => Some(0),
                Some(false) => None,
                None => match reply.get(&["ext", "ack", "enabled"]).and_then(|enabled| enabled.bool()) {
                    Some(true) => {
                        Some(reply.get(&["ext", "ack", "batch"]).and_then(|n| n.integer()).unwrap_or(0))
                    }
                    _ => None,
                },
            },
            _ => None,
        };
        self.client_id = Some(client_id);
        self.phase = Phase::Connecting;
        (self.is_session_unproven, self.is_connect_held) = (true, false);
        self.emit(Event::State(State::Connecting));
        if core::mem::replace(&mut self.has_had_session, true) {
            self.notify("session_replaced", None, None);
        }
        if let Some(notice) = dialect.handshake_accepted(reply) {
            self.notify(notice, None, None);
        }
        self.queue_resubscriptions(dialect);
        self.schedule_connect(Millis(0));
    }

    pub(super) fn on_connect_success(&mut self, reply: &Reply, dialect: &dyn Dialect) {
        if !matches!(self.phase, Phase::Connecting | Phase::Connected) {
            return;
        }
        if let Some(batch) = reply.get(&["ext", "ack"]).and_then(|ack| ack.integer())
            && self.last_ack.is_some()
        {
            self.last_ack = Some(batch);
        }
        let advice = reply.advice(self.transport.name());
        if let Some(advice) = &advice {
            self.apply_advice(advice);
        }
        let advice = advice.unwrap_or_default();
        match advice.reconnect {
            Some(Reconnect::None) => return self.on_closed_by_server(reply),
            Some(Reconnect::Unknown) => return self.stop(unknown_advice_error()),
            Some(Reconnect::Handshake) => return self.start_new_session(false),
            Some(Reconnect::Retry) | None if advice.interval.is_some_and(|interval| interval < 0) => {
                return self.on_closed_by_server(reply);
            }
            Some(Reconnect::Retry) | None => {}
        }
        if advice.multiple_clients {
            self.notify("multiple_clients", None, None);
        }
        let was_connected = core::mem::replace(&mut self.phase, Phase::Connected) == Phase::Connected;
        self.connection_restored();
        if !was_connected {
            self.emit(Event::State(State::Connected));
        }
        if let Some(op) = self.open_op.take() {
            self.settle(op, Ok(()));
        }
        if !self.is_paused {
            self.repair_gaps(dialect);
        }
        let is_settled =
            self.subscriptions.iter().all(|subscription| subscription.state == SubscriptionState::Active);
        if self.options.is_draining && was_connected && is_settled && self.last_event_count == 0 {
            return self.close(self.now);
        }
        self.schedule_connect(self.timing.interval);
    }

    /// New advice replaces all earlier advice.
    pub(super) fn apply_advice(&mut self, advice: &Advice) {
        let millis = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).map(Millis);
        self.timing = Timing {
            interval: millis(advice.interval).unwrap_or_default(),
            poll_timeout: millis(advice.timeout).unwrap_or(self.options.poll_timeout),
            max_interval: millis(advice.max_interval).filter(|millis| millis.0 > 0),
        };
    }

    /// Resets all counters of failures after a successful connect.
    pub(super) fn connection_restored(&mut self) {
        self.backoff.reset();
        self.busy_count = 0;
        (self.down_since, self.last_error) = (None, None);
        (self.is_session_unproven, self.has_new_credentials) = (false, false);
        for timer in [Timer::ConnectionTimeout, Timer::ConnectReply, Timer::Connect] {
            self.timers.clear(timer);
        }
    }
}
