//! What a response means: its events are delivered first, then its replies are processed.
//!
//! ```text
//!   response ──parse──┬─ events ──will be replayed? no ──new? yes ──> owner
//!                     └─ replies ──pending message? ──┬─ successful ──> on_success
//!                                                     └─ not ────────> on_refusal (refusal.rs)
//!   no reply, no response ──> on_no_reply (recovery.rs)
//! ```

use super::answer::Answer;
use super::gaps::replay_start;
use super::link::{Link, Live, Progress};
use super::pending::{PendingMessage, Replied, Via};
use super::recovery::Lost;
use super::timer_keys::{POLL_PROOF, Timer};
use super::{Event, Session};
use crate::base::http::Failure;
use crate::base::ids::ExchangeId;
use crate::base::time::Millis;
use crate::bayeux::dialect::{Continuity, MessageKind, Reaction};
use crate::bayeux::errors::SessionError;
use crate::bayeux::message::{EventSpans, ParsedMessages, Reconnect, Reply};
use crate::bayeux::repair::{Damage, Readable};
use crate::bayeux::wire::{Transport, without_filter};

impl Session {
    pub(super) fn on_exchange_end(&mut self, id: ExchangeId, outcome: Result<Answer, Failure>) {
        let mut lost = None;
        self.has_progressed = false;
        match outcome {
            Ok(Answer { response, len, readable }) => {
                let now = self.unix_ms();
                for cookie in response.headers_named("set-cookie") {
                    self.endpoint.cookies.store(&self.endpoint.url, cookie, now);
                }
                match readable {
                    Some(readable) if readable.damage == Damage::Cut && response.status / 100 == 2 => {
                        lost = Some(Lost::unreadable(SessionError::cut_response(len)));
                        if self.may_deliver_cut(id) {
                            self.process_messages(Some(id), readable);
                        }
                    }
                    Some(readable) if !readable.messages.is_empty() => {
                        if let Damage::Skipped(count) = readable.damage {
                            let error = SessionError::skipped_messages(count);
                            self.notify("unreadable", None, Some(error));
                        }
                        self.process_messages(Some(id), readable);
                    }
                    readable => lost = Some(Lost::response(Ok(response), readable.is_some())),
                }
            }
            Err(why) => lost = Some(Lost::response(Err(why), false)),
        }
        let lost = lost.unwrap_or_else(|| Lost::readable(SessionError::no_reply()));
        let unanswered = self.pending.take_via(Via::Exchange(id));
        if unanswered.is_empty() {
            return;
        }
        let error = &lost.error;
        if error.status == Some(401) && self.options.is_auth_required && self.link != Link::Closing {
            self.connection_failed(error);
            self.reject_messages(unanswered, error);
            return self.apply_reaction(Reaction::Reauthorize);
        }
        let kind = if lost.is_unreadable { "unreadable" } else { "transient_error" };
        self.notify(kind, None, Some(error.clone()));
        if lost.is_unreadable {
            self.connection_failed(error);
            self.connects.require_poll();
        }
        if unanswered.iter().any(|sent| self.may_lose_events(sent, lost.is_unreadable)) {
            self.connection_failed(error);
            self.on_unreadable(error, &unanswered);
        }
        for sent in unanswered {
            self.on_no_reply(sent, error, lost.min_delay);
        }
    }

    /// Whether the whole messages of a response that was cut are delivered. If the server sends them again, it
    /// is asked to do that once, but not in a trial; with the ack extension it does so without being asked,
    /// until the session ends.
    fn may_deliver_cut(&self, id: ExchangeId) -> bool {
        if self.link.has_acks() {
            let is_connect =
                |sent: &PendingMessage| sent.kind == MessageKind::Connect && sent.via == Via::Exchange(id);
            return self.connects.is_stuck_after(1) && self.pending.any(is_connect);
        }
        let mut channels = self.subscriptions.iter().map(|subscription| &subscription.channel);
        let is_replayed = channels.any(|channel| self.dialect.continuity(channel) == Continuity::Replayed);
        !is_replayed || self.connects.unreadable_count() > 0 || self.subscriptions.on_trial().next().is_some()
    }

    /// Processes all messages of a response or frame.
    pub(super) fn process_messages(&mut self, source: Option<ExchangeId>, readable: Readable) {
        let Readable { document, messages, damage } = readable;
        let ParsedMessages { mut events, replies } = messages;
        let text = document.padded();
        let replayed = self.replayed_channels(source);
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
                    self.subscriptions.has_queued_events = true;
                    for subscription in self.subscriptions.iter_mut() {
                        subscription.has_gap |= without_filter(&subscription.channel) == channel;
                    }
                }
            }
        }
        events.retain(|event| self.dialect.record_event(text, event));
        self.connects.last_event_count = events.len();
        let names = events.iter().map(|event| text.get(event.channel.start, event.channel.end));
        self.note_progress(damage == Damage::Cut, names);
        if !events.is_empty() && self.link != Link::Closed {
            self.connects.add_events(events.len());
            let is_repaired = damage != Damage::None;
            self.emit(Event::Messages { source, text: document.into_text(), is_repaired, events });
        }
        let mut goodbye = None;
        for reply in replies {
            if self.link == Link::Closed {
                return;
            }
            if self.is_goodbye(&reply) {
                goodbye = Some(reply);
            } else {
                self.process_reply(&reply);
            }
        }
        if let Some(reply) = goodbye {
            self.on_goodbye(&reply);
        }
    }

    /// Whether the server disconnects unasked.
    fn is_goodbye(&self, reply: &Reply) -> bool {
        reply.channel == "/meta/disconnect"
            && self.link != Link::Closing
            && !self.pending.any(|sent| sent.kind == MessageKind::Disconnect)
    }

    /// The server has disconnected unasked. The replies beside it, in any order, were processed before: they
    /// tell why, and may have led to a new session or a login already.
    fn on_goodbye(&mut self, reply: &Reply) {
        if self.link == Link::Closed {
            return;
        }
        if self.dialect.is_disconnect_final() {
            return self.on_closed_by_server(reply);
        }
        if self.link.live().is_none() {
            return;
        }
        let is_opening = self.open_op.is_some();
        let kind = MessageKind::Disconnect;
        let reaction = self.dialect.classify_refusal(kind, reply, "", is_opening);
        self.connection_failed(&SessionError::closed_by_server(reply));
        self.notify("closed_by_server", None, None);
        self.apply_reaction(reaction.unwrap_or(Reaction::Handshake { drop_cookies: false }));
    }

    fn process_reply(&mut self, reply: &Reply) {
        let kind = match reply.channel.as_str() {
            "/meta/handshake" => MessageKind::Handshake,
            "/meta/connect" => MessageKind::Connect,
            "/meta/subscribe" => MessageKind::Subscribe,
            "/meta/unsubscribe" => MessageKind::Unsubscribe,
            "/meta/disconnect" => MessageKind::Disconnect,
            channel if channel.starts_with("/meta/") => return,
            _ => MessageKind::Publish,
        };
        match self.pending.take_replied(kind, reply) {
            Replied::ToNothing | Replied::WithoutResult => {}
            Replied::To(sent, is_success) => {
                if kind == MessageKind::Connect {
                    self.dialect.settle_positions(true);
                }
                for sent in sent {
                    if is_success {
                        self.on_success(&sent, reply);
                    } else {
                        self.on_refusal(sent, reply);
                    }
                }
            }
        }
    }

    fn on_success(&mut self, sent: &PendingMessage, reply: &Reply) {
        match sent.kind {
            MessageKind::Handshake => self.on_handshake_success(reply),
            MessageKind::Connect => self.on_connect_success(sent, reply),
            MessageKind::Subscribe => {
                for op in self.subscriptions.accept(&sent.channel) {
                    self.settle(op, Ok(()));
                }
                self.watch_trial();
            }
            MessageKind::Unsubscribe | MessageKind::Publish => self.settle_optional(sent.op, Ok(())),
            MessageKind::Disconnect => self.finish(None),
        }
    }

    fn on_handshake_success(&mut self, reply: &Reply) {
        let Some(client_id) = reply.client_id() else {
            self.connection_failed(&SessionError::no_client_id());
            self.notify("transient_error", None, Some(SessionError::no_client_id()));
            return self.schedule_retry(None);
        };
        if self.link == Link::Closing {
            return self.send_disconnect(&client_id);
        }
        let offered =
            reply.get(&["supportedConnectionTypes"]).map(|value| value.strings()).unwrap_or_default();
        let is_offered =
            |transport: Transport| offered.is_empty() || offered.iter().any(|name| name == transport.name());
        if !is_offered(self.endpoint.transport) {
            let Some(other) = self.options.transports.iter().copied().find(|other| is_offered(*other)) else {
                return self.stop(SessionError::no_common_transport(&offered));
            };
            self.switch_transport(other);
        }
        self.connects.apply_advice(&reply.advice(self.endpoint.transport.name()).unwrap_or_default());
        let last_ack = if self.options.has_ack_extension { first_ack(reply) } else { None };
        self.connects.clear();
        self.enter(Link::Connected(Live { client_id, last_ack, progress: Progress::Unproven }));
        if core::mem::replace(&mut self.has_had_session, true) {
            self.notify("session_replaced", None, None);
        }
        if let Some(notice) = self.dialect.handshake_accepted(reply) {
            self.notify(notice, None, None);
        }
        self.queue_resubscriptions();
        self.schedule_connect(Millis(0));
    }

    fn on_connect_success(&mut self, sent: &PendingMessage, reply: &Reply) {
        let Some(live) = self.link.live_mut() else { return };
        if let Some(batch) = reply.get(&["ext", "ack"]).and_then(|ack| ack.integer())
            && live.last_ack.is_some()
        {
            live.last_ack = Some(batch);
        }
        let advice = reply.advice(self.endpoint.transport.name());
        if let Some(advice) = &advice {
            self.connects.apply_advice(advice);
        }
        let advice = advice.unwrap_or_default();
        match advice.reconnect {
            Some(Reconnect::None) => return self.on_closed_by_server(reply),
            Some(Reconnect::Unknown) => return self.stop(SessionError::unknown_advice()),
            Some(Reconnect::Handshake) => return self.start_new_session(false),
            Some(Reconnect::Retry) | None if advice.interval.is_some_and(|interval| interval < 0) => {
                return self.on_closed_by_server(reply);
            }
            Some(Reconnect::Retry) | None => {}
        }
        if advice.multiple_clients {
            self.notify("multiple_clients", None, None);
        }
        let (was_working, is_poll) = (self.link.is_working(), self.is_poll(sent));
        self.connection_restored(sent.is_probe);
        if let Some(op) = self.open_op.take() {
            self.settle(op, Ok(()));
        }
        if is_poll {
            self.connects.forget_unreadable();
            self.end_trial_with(sent.sent_at);
        }
        if self.connects.is_inbox_full() {
            self.connects.restart_pause();
        } else {
            self.repair_gaps();
        }
        let is_drained = self.subscriptions.are_all_active() && self.connects.last_event_count == 0;
        if self.options.is_draining && was_working && is_drained {
            return self.close();
        }
        let delay = if sent.is_probe {
            self.connects.timing.interval
        } else {
            self.connects.poll_delay(sent.sent_at, self.now, self.connects.last_event_count)
        };
        self.schedule_connect(delay);
    }

    /// A connect has succeeded, with which an outage ends. One that only a poll can end lasts until a poll
    /// succeeds or is held.
    fn connection_restored(&mut self, is_probe: bool) {
        if is_probe && self.connects.is_poll_required() {
            self.timers.set(Timer::PollHeld, self.now.after(POLL_PROOF));
        } else {
            self.end_outage();
        }
        self.settle_probes(&Ok(()));
        self.endpoint.credentials.confirm();
        self.timers.clear(Timer::ConnectReply);
        self.timers.clear(Timer::Connect);
        if let Link::Connected(live) = &self.link {
            let live = Live { progress: Progress::Working, ..live.clone() };
            self.enter(Link::Connected(live));
        }
    }
}

/// The batch number that the ack extension starts with; `None` if the server does not offer it.
fn first_ack(reply: &Reply) -> Option<i64> {
    let offer = reply.get(&["ext", "ack"])?;
    let is_enabled = match offer.bool() {
        Some(is_enabled) => is_enabled,
        None => reply.get(&["ext", "ack", "enabled"])?.bool() == Some(true),
    };
    let batch = reply.get(&["ext", "ack", "batch"]).and_then(|batch| batch.integer());
    is_enabled.then(|| batch.unwrap_or(0))
}
