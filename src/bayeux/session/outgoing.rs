//! What a session does next: who is asked for credentials, which message leaves on which lane, and what is put off until when.

use super::{
    Command, Event, PendingMessage, Phase, RequestKind, Session, Socket, SubscriptionState, Timer, Via,
};
use crate::base::http::Request;
use crate::base::ids::OpId;
use crate::base::time::Millis;
use crate::bayeux::dialect::{Dialect, MessageKind};
use crate::bayeux::wire::{Outgoing, Transport, url_for};

impl Session {
    pub(super) fn authorize_or_handshake(&mut self) {
        if self.options.is_auth_required && self.credentials.is_none() {
            self.phase = Phase::Authorizing;
            self.emit(Event::NeedsCredentials { is_renewal: self.has_new_credentials });
        } else {
            self.phase = Phase::Handshaking;
            self.is_connect_due = true;
        }
    }

    /// Sends the handshake or connect that is due.
    pub(super) fn send_due_connect(&mut self, dialect: &mut dyn Dialect) {
        if self.is_connect_pending() || !self.prepare_socket() {
            return;
        }
        match self.phase {
            Phase::Handshaking => self.send_handshake(dialect),
            Phase::Connecting => self.send_connect(true),
            // What a connect brings must not overtake what comes with a subscription.
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
        let message = Outgoing::new("/meta/handshake", id)
            .string("version", "1.0")
            .string("minimumVersion", "1.0")
            .raw("supportedConnectionTypes", &format!("[{}]", types.join(",")))
            .raw_if("ext", &if ext.is_empty() { String::new() } else { format!("{{{}}}", ext.join(",")) })
            .end();
        self.send_messages(
            RequestKind::Connect,
            vec![(id, MessageKind::Handshake, String::new(), None, message)],
        );
    }

    /// A probe asks for an answer at once, which tells whether the link works.
    pub(super) fn send_connect(&mut self, probes: bool) {
        let Some(client_id) = &self.client_id else { return };
        let id = self.message_ids.advance();
        let message = Outgoing::new("/meta/connect", id)
            .string("clientId", client_id)
            .string("connectionType", self.transport.name())
            .raw_if("advice", if probes { "{\"timeout\":0}" } else { "" })
            .raw_if("ext", &self.last_ack.map(|batch| format!("{{\"ack\":{batch}}}")).unwrap_or_default())
            .end();
        self.send_messages(
            RequestKind::Connect,
            vec![(id, MessageKind::Connect, String::new(), None, message)],
        );
    }

    pub(super) fn send_disconnect(&mut self, client_id: &str) {
        let is_reachable = self.transport == Transport::LongPolling || matches!(self.socket, Socket::Open(_));
        if !is_reachable {
            return self.finish(None);
        }
        let id = self.message_ids.advance();
        let message = Outgoing::new("/meta/disconnect", id).string("clientId", client_id).end();
        self.send_messages(
            RequestKind::Messages,
            vec![(id, MessageKind::Disconnect, String::new(), None, message)],
        );
    }

    /// Sends what waits for the other lane.
    pub(super) fn send_commands(&mut self, dialect: &dyn Dialect) {
        let Some(client_id) = self.client_id.clone() else { return };
        // Channels that are taken up somewhere are so between two connects.
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
            let (kind, channel, op, message) = match &next {
                Command::Subscribe(channel) => {
                    let Some(subscription) =
                        self.subscriptions.iter_mut().find(|subscription| subscription.channel == *channel)
                    else {
                        continue;
                    };
                    if subscription.state != SubscriptionState::Pending {
                        continue;
                    }
                    let message = Outgoing::new("/meta/subscribe", id)
                        .string("clientId", &client_id)
                        .string("subscription", channel)
                        .raw_if("ext", &dialect.subscribe_ext(channel))
                        .end();
                    (MessageKind::Subscribe, channel.clone(), None, message)
                }
                Command::Unsubscribe(channel, op) => {
                    let message = Outgoing::new("/meta/unsubscribe", id)
                        .string("clientId", &client_id)
                        .string("subscription", channel)
                        .end();
                    (MessageKind::Unsubscribe, channel.clone(), *op, message)
                }
                Command::Publish(op, channel, data) => {
                    let message =
                        Outgoing::new(channel, id).string("clientId", &client_id).raw("data", data).end();
                    (MessageKind::Publish, channel.clone(), Some(*op), message)
                }
            };
            if !messages.is_empty() && size + message.len() + 1 > self.options.max_request_bytes {
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
            size += message.len() + 1;
            messages.push((id, kind, channel, op, message));
        }
        if !messages.is_empty() {
            self.send_messages(RequestKind::Messages, messages);
        }
    }

    pub(super) fn send_messages(
        &mut self,
        kind: RequestKind,
        messages: Vec<(u32, MessageKind, String, Option<OpId>, String)>,
    ) {
        let is_connect = matches!(messages.first(), Some((_, MessageKind::Connect, ..)));
        let hold = if is_connect { self.timing.poll_timeout.0 } else { 0 };
        let timeout = Millis(self.options.max_network_delay.0.saturating_add(hold));
        let due = self.now.after(timeout);
        let mut body = String::from("[");
        for (at, (.., message)) in messages.iter().enumerate() {
            if at > 0 {
                body.push(',');
            }
            body.push_str(message);
        }
        body.push(']');
        let via = if let (Transport::WebSocket, Socket::Open(id)) = (self.transport, self.socket) {
            self.emit(Event::SocketSend { id, text: body });
            Via::Socket
        } else {
            let channel = match messages.first() {
                Some((_, MessageKind::Handshake, ..)) => "/meta/handshake",
                Some((_, MessageKind::Connect, ..)) => "/meta/connect",
                Some((_, MessageKind::Disconnect, ..)) => "/meta/disconnect",
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
            let wanted = if self.options.has_cookie_jar { "set-cookie" } else { "" };
            let request = Request::post(url, headers, body.into_bytes())
                .with_timeout(timeout)
                .with_max_response_bytes(self.options.max_response_bytes)
                .with_response_headers(wanted);
            if is_connect {
                self.timers.set(Timer::ConnectReply, due.after(Millis(1000)));
            }
            Via::Exchange(self.exchanges.start(kind, request))
        };
        let sent = messages.into_iter().map(|(id, kind, channel, op, _)| PendingMessage {
            id,
            kind,
            channel,
            op,
            via,
            due,
        });
        self.pending.extend(sent);
        self.reset_reply_timer();
    }
}
