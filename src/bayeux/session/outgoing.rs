//! Which message is sent next: the handshake or connect that is due, and batches of all other messages.
//!
//! ```text
//!   due ── handshaking ──> handshake      connecting ──> connect (timeout 0)      connected ──> connect
//!                                                        └─ held while a subscription resumes or the consumer is slow
//!   commands ── subscribe, unsubscribe, publish ──> one request with all that fit into max_request_bytes
//! ```

use super::{
    Command, Event, OutgoingMessage, PendingMessage, Phase, RequestKind, Session, Socket, SubscriptionState,
    Timer, Via,
};
use crate::base::http::Request;
use crate::base::time::Millis;
use crate::bayeux::dialect::{Dialect, MessageKind};
use crate::bayeux::wire::{Outgoing, Transport, url_for};

impl Session {
    /// Requests credentials if they are required and missing; otherwise schedules the handshake.
    pub(super) fn authorize_or_handshake(&mut self) {
        if self.options.is_auth_required && self.credentials.is_none() {
            self.phase = Phase::Authorizing;
            self.emit(Event::NeedsCredentials { is_renewal: self.has_new_credentials });
        } else {
            self.phase = Phase::Handshaking;
            self.is_connect_due = true;
        }
    }

    /// Sends the handshake or connect that is due, unless it must be held.
    pub(super) fn send_due_connect(&mut self, dialect: &mut dyn Dialect) {
        if self.is_connect_pending() || !self.prepare_socket() {
            return;
        }
        match self.phase {
            Phase::Handshaking => self.send_handshake(dialect),
            Phase::Connecting => self.send_connect(true),
            // Events in a connect reply must not be delivered before those that the subscription replays.
            Phase::Connected if self.is_resuming_channel(dialect) || self.is_draining_channel() => {
                self.is_connect_held = true
            }
            Phase::Connected if self.is_paused && !self.has_pause_expired => {
                self.is_connect_held = true;
                if let Some(longest) = self.options.max_pause {
                    self.timers.set(Timer::MaxPause, self.now.after(longest));
                }
            }
            Phase::Connected => {
                let has_gap = self.subscriptions.iter().any(|subscription| subscription.has_gap);
                self.send_connect(self.has_pause_expired || has_gap || self.options.is_draining);
            }
            _ => {}
        }
    }

    pub(super) fn send_handshake(&mut self, dialect: &dyn Dialect) {
        let types: Vec<String> =
            self.options.transports.iter().map(|transport| format!("\"{}\"", transport.name())).collect();
        let mut ext = Vec::new();
        if self.options.has_ack_extension {
            ext.push("\"ack\":true");
        }
        if !dialect.handshake_ext().is_empty() {
            ext.push(dialect.handshake_ext());
        }
        let id = self.message_ids.advance();
        let text = Outgoing::new("/meta/handshake", id)
            .string("version", "1.0")
            .string("minimumVersion", "1.0")
            .raw("supportedConnectionTypes", &format!("[{}]", types.join(",")))
            .raw_if("ext", &if ext.is_empty() { String::new() } else { format!("{{{}}}", ext.join(",")) })
            .end();
        self.send_messages(
            RequestKind::Connect,
            vec![OutgoingMessage::meta(id, MessageKind::Handshake, text)],
        );
    }

    /// A probe has `advice.timeout` 0: the server replies without delay, which shows that the connection
    /// works.
    pub(super) fn send_connect(&mut self, is_probe: bool) {
        let Some(client_id) = &self.client_id else { return };
        let id = self.message_ids.advance();
        let text = Outgoing::new("/meta/connect", id)
            .string("clientId", client_id)
            .string("connectionType", self.transport.name())
            .raw_if("advice", if is_probe { "{\"timeout\":0}" } else { "" })
            .raw_if("ext", &self.last_ack.map(|batch| format!("{{\"ack\":{batch}}}")).unwrap_or_default())
            .end();
        self.send_messages(RequestKind::Connect, vec![OutgoingMessage::meta(id, MessageKind::Connect, text)]);
    }

    pub(super) fn send_disconnect(&mut self, client_id: &str) {
        let is_reachable = self.transport == Transport::LongPolling || matches!(self.socket, Socket::Open(_));
        if !is_reachable {
            return self.finish(None);
        }
        let id = self.message_ids.advance();
        let text = Outgoing::new("/meta/disconnect", id).string("clientId", client_id).end();
        self.send_messages(
            RequestKind::Messages,
            vec![OutgoingMessage::meta(id, MessageKind::Disconnect, text)],
        );
    }

    /// Sends the queued messages in one request, or as many of them as fit. With long-polling only one such
    /// request runs at a time.
    pub(super) fn send_commands(&mut self, dialect: &dyn Dialect) {
        let Some(client_id) = self.client_id.clone() else { return };
        // Subscriptions with replay are sent between two connects, not beside one.
        let is_early = self.phase == Phase::Connecting && self.is_resuming_channel(dialect);
        if self.commands.is_empty()
            || is_early
            || !matches!(self.phase, Phase::Connecting | Phase::Connected)
            || self.transport == Transport::WebSocket && !matches!(self.socket, Socket::Open(_))
            || self.transport == Transport::LongPolling
                && self.exchanges.values().any(|kind| *kind == RequestKind::Messages)
        {
            return;
        }
        let mut messages = Vec::new();
        let mut size = 2;
        while let Some(next) = self.commands.pop_front() {
            let id = self.message_ids.advance();
            let (kind, channel, op, text) = match &next {
                Command::Subscribe(channel) => {
                    let Some(subscription) =
                        self.subscriptions.iter_mut().find(|subscription| subscription.channel == *channel)
                    else {
                        continue;
                    };
                    if subscription.state != SubscriptionState::Pending {
                        continue;
                    }
                    let text = Outgoing::new("/meta/subscribe", id)
                        .string("clientId", &client_id)
                        .string("subscription", channel)
                        .raw_if("ext", &dialect.subscribe_ext(channel))
                        .end();
                    (MessageKind::Subscribe, channel.clone(), None, text)
                }
                Command::Unsubscribe(channel, op) => {
                    let text = Outgoing::new("/meta/unsubscribe", id)
                        .string("clientId", &client_id)
                        .string("subscription", channel)
                        .end();
                    (MessageKind::Unsubscribe, channel.clone(), *op, text)
                }
                Command::Publish(op, channel, data) => {
                    let text =
                        Outgoing::new(channel, id).string("clientId", &client_id).raw("data", data).end();
                    (MessageKind::Publish, channel.clone(), Some(*op), text)
                }
            };
            if !messages.is_empty() && size + text.len() + 1 > self.options.max_request_bytes {
                self.commands.push_front(next);
                break;
            }
            if kind == MessageKind::Subscribe
                && let Some(subscription) =
                    self.subscriptions.iter_mut().find(|subscription| subscription.channel == channel)
            {
                (subscription.state, subscription.has_gap, subscription.is_draining) =
                    (SubscriptionState::Requested, false, false);
            }
            size += text.len() + 1;
            messages.push(OutgoingMessage { id, kind, channel, op, text });
        }
        if !messages.is_empty() {
            self.send_messages(RequestKind::Messages, messages);
        }
    }

    /// Sends messages over the socket, or as one request.
    pub(super) fn send_messages(&mut self, kind: RequestKind, messages: Vec<OutgoingMessage>) {
        let first = messages.first().map(|message| message.kind);
        let is_connect = first == Some(MessageKind::Connect);
        let poll_timeout_ms = if is_connect { self.timing.poll_timeout.0 } else { 0 };
        let timeout = Millis(self.options.max_network_delay.0.saturating_add(poll_timeout_ms));
        let due = self.now.after(timeout);
        let mut body = String::from("[");
        for (at, message) in messages.iter().enumerate() {
            if at > 0 {
                body.push(',');
            }
            body.push_str(&message.text);
        }
        body.push(']');
        let via = if let (Transport::WebSocket, Socket::Open(id)) = (self.transport, self.socket) {
            self.emit(Event::SocketSend { id, text: body });
            Via::Socket
        } else {
            let channel = match first {
                Some(MessageKind::Handshake) => "/meta/handshake",
                Some(MessageKind::Connect) => "/meta/connect",
                Some(MessageKind::Disconnect) => "/meta/disconnect",
                _ => "",
            };
            let url = url_for(&self.url, channel);
            let mut headers = String::from("content-type: application/json;charset=UTF-8");
            if let Some(credentials) = &self.credentials {
                headers.extend(["\n", credentials.expose()]);
            }
            if self.options.has_cookie_jar {
                let cookies = self.cookies.header(&url, self.unix_ms(self.now));
                if !cookies.is_empty() {
                    headers.extend(["\ncookie: ", &cookies]);
                }
            }
            let response_headers = if self.options.has_cookie_jar { "set-cookie" } else { "" };
            let request = Request::post(url, headers, body.into_bytes())
                .with_timeout(timeout)
                .with_max_response_bytes(self.options.max_response_bytes)
                .with_response_headers(response_headers);
            if is_connect {
                self.timers.set(Timer::ConnectReply, due.after(Millis(1000)));
            }
            Via::Exchange(self.exchanges.start(kind, request))
        };
        self.pending.extend(messages.into_iter().map(|message| PendingMessage {
            id: message.id,
            kind: message.kind,
            channel: message.channel,
            op: message.op,
            via,
            due,
        }));
        self.reset_reply_timer();
    }
}
