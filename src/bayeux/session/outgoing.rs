//! Which message is sent next: the handshake or connect that is due, and batches of all other messages.
//!
//! ```text
//!   due ── handshaking ──> handshake      connecting ──> connect (timeout 0)      connected ──> connect
//!                                                        └─ held while a subscription resumes or the consumer is slow
//!   commands ── subscribe, unsubscribe, publish ──> one request with all that fit into max_request_bytes
//! ```

use super::link::Link;
use super::pending::{Command, OutgoingMessage, Via};
use super::subscriptions::SubscriptionState;
use super::{Event, RequestKind, Session, Timer};
use crate::base::http::Request;
use crate::base::text::{decimal, join, join_with};
use crate::base::time::{Millis, Moment};
use crate::bayeux::dialect::MessageKind;
use crate::bayeux::wire::{Outgoing, Transport, url_for};

impl Session {
    /// Requests credentials if they are required and missing; otherwise schedules the handshake.
    pub(super) fn authorize_or_handshake(&mut self) {
        if self.options.is_auth_required && self.endpoint.credentials.lines().is_none() {
            self.enter(Link::Authorizing);
            self.request_credentials();
        } else {
            self.enter(Link::Handshaking);
            self.connects.set_due();
        }
    }

    /// Requests credentials after a delay.
    pub(super) fn authorize_after(&mut self, delay: Millis) {
        if delay.0 == 0 {
            return self.authorize_or_handshake();
        }
        self.enter(Link::Authorizing);
        self.timers.set(Timer::Authorize, self.now.after(delay));
    }

    /// Sends the handshake or connect that is due, unless it must be held.
    pub(super) fn send_due_connect(&mut self) {
        if self.pending.has_connect() || !self.prepare_socket() {
            return;
        }
        match self.link {
            Link::Handshaking => self.send_handshake(),
            Link::Connected(_) if !self.link.is_working() => self.send_connect(true),
            // Events in a connect reply must not be delivered before those that the subscription replays.
            Link::Connected(_) if self.is_resuming_channel() || self.pending.is_draining() => {
                self.connects.hold();
            }
            // Over a socket events come without a connect: that is only the heartbeat, which goes on.
            Link::Connected(_)
                if self.connects.is_paused() && self.endpoint.transport == Transport::LongPolling =>
            {
                self.connects.hold();
                if let Some(longest) = self.connects.longest_pause(self.options.times.max_pause) {
                    self.timers.set_unless_running(Timer::MaxPause, self.now.after(longest));
                }
            }
            Link::Connected(_) => {
                let has_gap = self.subscriptions.has_gap();
                self.send_connect(self.connects.is_overdue() || has_gap || self.options.is_draining);
            }
            _ => {}
        }
    }

    fn send_handshake(&mut self) {
        let types: Vec<String> =
            self.options.transports.iter().map(|transport| join(&["\"", transport.name(), "\""])).collect();
        let mut ext = Vec::new();
        if self.options.has_ack_extension {
            ext.push("\"ack\":true");
        }
        if !self.dialect.handshake_ext().is_empty() {
            ext.push(self.dialect.handshake_ext());
        }
        let id = self.pending.next_id();
        let text = Outgoing::new("/meta/handshake", id)
            .string("version", "1.0")
            .string("minimumVersion", "1.0")
            .raw("supportedConnectionTypes", &join(&["[", &join_with(&types, ","), "]"]))
            .raw_if(
                "ext",
                &if ext.is_empty() { String::new() } else { join(&["{", &join_with(&ext, ","), "}"]) },
            )
            .end();
        self.send_messages(
            RequestKind::Connect,
            vec![OutgoingMessage::meta(id, MessageKind::Handshake, text)],
        );
    }

    /// A probe has `advice.timeout` 0: the server replies without delay, which shows that the connection
    /// works.
    fn send_connect(&mut self, is_probe: bool) {
        let Some(live) = self.link.live() else { return };
        let id = self.pending.next_id();
        let text = Outgoing::new("/meta/connect", id)
            .string("clientId", &live.client_id)
            .string("connectionType", self.endpoint.transport.name())
            .raw_if("advice", if is_probe { "{\"timeout\":0}" } else { "" })
            .raw_if("ext", &live.last_ack.map(ack_of).unwrap_or_default())
            .end();
        let connect = OutgoingMessage { is_probe, ..OutgoingMessage::meta(id, MessageKind::Connect, text) };
        self.send_messages(RequestKind::Connect, vec![connect]);
    }

    pub(super) fn send_disconnect(&mut self, client_id: &str) {
        if !self.endpoint.is_reachable() {
            return self.finish(None);
        }
        let id = self.pending.next_id();
        let text = Outgoing::new("/meta/disconnect", id).string("clientId", client_id).end();
        self.send_messages(
            RequestKind::Messages,
            vec![OutgoingMessage::meta(id, MessageKind::Disconnect, text)],
        );
    }

    /// Sends the queued messages in one request, or as many of them as fit. With long-polling only one such
    /// request runs at a time.
    pub(super) fn send_commands(&mut self) {
        let Some(client_id) = self.link.live().map(|live| live.client_id.clone()) else { return };
        // Subscriptions with replay are sent between two connects, not beside one.
        let is_early = !self.link.is_working() && self.is_resuming_channel();
        let is_busy = self.endpoint.transport == Transport::LongPolling
            && (self.holds(RequestKind::Messages)
                || self.exchanges.values().any(|kind| *kind == RequestKind::Messages));
        if !self.pending.has_commands() || is_early || is_busy || !self.endpoint.is_reachable() {
            return;
        }
        let mut messages = Vec::new();
        let mut size = 2;
        let mut commands = self.pending.take_commands().into_iter();
        while let Some(next) = commands.next() {
            let id = self.pending.next_id();
            let (kind, channels, op, text) = match &next {
                Command::Subscribe(queued) => {
                    let is_pending = |channel: &&String| {
                        let state = self.subscriptions.state(channel);
                        state == Some(SubscriptionState::Pending)
                    };
                    let wanted: Vec<String> = queued.iter().filter(is_pending).cloned().collect();
                    let Some(first) = wanted.first() else { continue };
                    let text = Outgoing::new("/meta/subscribe", id)
                        .string("clientId", &client_id)
                        .strings("subscription", &wanted)
                        .raw_if("ext", &self.dialect.subscribe_ext(first))
                        .end();
                    (MessageKind::Subscribe, wanted, None, text)
                }
                Command::Unsubscribe(channel, op) => {
                    let text = Outgoing::new("/meta/unsubscribe", id)
                        .string("clientId", &client_id)
                        .string("subscription", channel)
                        .end();
                    (MessageKind::Unsubscribe, vec![channel.clone()], *op, text)
                }
                Command::Publish(op, channel, data) => {
                    let text =
                        Outgoing::new(channel, id).string("clientId", &client_id).raw("data", data).end();
                    (MessageKind::Publish, vec![channel.clone()], Some(*op), text)
                }
            };
            if !messages.is_empty() && size + text.len() + 1 > self.options.limits.max_request_bytes {
                self.pending.queue_again(core::iter::once(next).chain(commands));
                break;
            }
            size += text.len() + 1;
            let mut text = text;
            for channel in channels {
                if kind == MessageKind::Subscribe
                    && let Some(subscription) = self.subscriptions.find_mut(&channel)
                {
                    (subscription.state, subscription.has_gap, subscription.is_draining) =
                        (SubscriptionState::Requested, false, false);
                }
                let text = core::mem::take(&mut text);
                messages.push(OutgoingMessage { id, kind, channel, op, is_probe: false, text });
            }
        }
        if !messages.is_empty() {
            self.send_messages(RequestKind::Messages, messages);
        }
    }

    /// Sends messages over the socket, or as one request.
    fn send_messages(&mut self, kind: RequestKind, messages: Vec<OutgoingMessage>) {
        let first = messages.first().map(|message| message.kind);
        let is_connect = first == Some(MessageKind::Connect);
        let poll_timeout_ms = if is_connect { self.connects.timing.poll_timeout.0 } else { 0 };
        let timeout = Millis(self.options.times.max_network_delay.0.saturating_add(poll_timeout_ms));
        let due: Moment = self.now.after(timeout);
        let texts: Vec<&str> =
            messages.iter().map(|message| message.text.as_str()).filter(|text| !text.is_empty()).collect();
        let body = join(&["[", &join_with(&texts, ","), "]"]);
        let via = if let Some(id) = self.endpoint.open_socket() {
            self.emit(Event::SocketSend { id, text: body });
            Via::Socket
        } else {
            let request = self.request(first, body.into_bytes()).with_timeout(timeout);
            if is_connect {
                self.timers.set(Timer::ConnectReply, due.after(Millis(1000)));
            }
            Via::Exchange(self.exchanges.start(kind, request))
        };
        self.pending.add(messages, via, self.now, due);
        self.reset_reply_timer();
    }

    fn request(&self, first: Option<MessageKind>, body: Vec<u8>) -> Request {
        let channel = match first {
            Some(MessageKind::Handshake) => "/meta/handshake",
            Some(MessageKind::Connect) => "/meta/connect",
            Some(MessageKind::Disconnect) => "/meta/disconnect",
            _ => "",
        };
        let url = url_for(&self.endpoint.url, channel);
        let mut headers = String::from("content-type: application/json;charset=UTF-8");
        if let Some(credentials) = self.endpoint.credentials.lines() {
            headers.extend(["\n", credentials]);
        }
        if self.options.has_cookie_jar {
            let cookies = self.endpoint.cookies.header(&url, self.unix_ms());
            if !cookies.is_empty() {
                headers.extend(["\ncookie: ", &cookies]);
            }
        }
        Request::post(url, headers, body)
            .with_max_response_bytes(self.options.limits.max_response_bytes)
            .with_response_headers(if self.options.has_cookie_jar { "set-cookie" } else { "" })
    }
}

/// The member `ext` with the batch that was received last.
fn ack_of(batch: i64) -> String {
    let sign = if batch < 0 { "-" } else { "" };
    join(&["{\"ack\":", sign, &decimal(batch.unsigned_abs()), "}"])
}
