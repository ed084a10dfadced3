//! What a session does next: who is asked for credentials, which message leaves on which lane, and what is put off until when.

use super::{BUSIEST, Event, Lane, Phase, Sent, Session, SessionError, Socket, Standing, Timer, Todo, Via};
use crate::base::error::{Code, Error};
use crate::base::http::Request;
use crate::base::ids::OpId;
use crate::base::time::Millis;
use crate::bayeux::dialect::{Dialect, Kind};
use crate::bayeux::wire::{Outgoing, Transport, socket_url, url_for};

impl Session {
    pub(super) fn begin(&mut self) {
        if self.options.needs_auth && self.credentials.is_none() {
            self.phase = Phase::Authorizing;
            self.announce(Event::NeedsToken { renew: self.is_renewed });
        } else {
            self.phase = Phase::Handshaking;
            self.is_due = true;
        }
    }

    /// Sends the handshake or connect that is due.
    pub(super) fn proceed(&mut self, dialect: &mut dyn Dialect) {
        if self.is_connect_out() || !self.socket_is_ready() {
            return;
        }
        match self.phase {
            Phase::Handshaking => self.send_handshake(dialect),
            Phase::Connecting => self.send_connect(true),
            // What a connect brings must not overtake what comes with a subscription.
            Phase::Connected if self.takes_up(dialect) || self.leaves() => self.is_held = true,
            Phase::Connected if self.is_paused && !self.is_overdue => {
                self.is_held = true;
                if let Some(longest) = self.options.max_pause {
                    self.timers.set(Timer::Pause, self.now.after(longest));
                }
            }
            Phase::Connected => {
                let has_gap = self.subscriptions.iter().any(|known| known.has_gap);
                self.send_connect(self.is_overdue || has_gap || self.options.drains);
            }
            _ => {}
        }
    }

    /// Whether a message may leave now. Opens a socket if there is none.
    pub(super) fn socket_is_ready(&mut self) -> bool {
        if self.transport == Transport::LongPolling {
            return true;
        }
        let wants = matches!(self.phase, Phase::Handshaking | Phase::Connecting | Phase::Connected);
        if self.socket == Socket::None && wants {
            let id = self.sockets.advance();
            self.socket = Socket::Opening(id);
            self.announce(Event::SocketOpen { id, url: socket_url(&self.url) });
            self.timers.set(Timer::Reply, self.now.after(self.options.network_delay));
        }
        matches!(self.socket, Socket::Open(_))
    }

    pub(super) fn send_handshake(&mut self, dialect: &dyn Dialect) {
        let types: Vec<String> =
            self.options.transports.iter().map(|transport| format!("\"{}\"", transport.name())).collect();
        let mut ext = Vec::new();
        if self.options.ack {
            ext.push("\"ack\":true");
        }
        if !dialect.handshake_ext().is_empty() {
            ext.push(dialect.handshake_ext());
        }
        let id = self.ids.advance();
        let message = Outgoing::new("/meta/handshake", id)
            .string("version", "1.0")
            .string("minimumVersion", "1.0")
            .raw("supportedConnectionTypes", &format!("[{}]", types.join(",")))
            .raw_if("ext", &if ext.is_empty() { String::new() } else { format!("{{{}}}", ext.join(",")) })
            .end();
        self.send(Lane::Connect, vec![(id, Kind::Handshake, String::new(), None, message)]);
    }

    /// A probe asks for an answer at once, which tells whether the link works.
    pub(super) fn send_connect(&mut self, probes: bool) {
        let Some(client_id) = &self.client_id else { return };
        let id = self.ids.advance();
        let message = Outgoing::new("/meta/connect", id)
            .string("clientId", client_id)
            .string("connectionType", self.transport.name())
            .raw_if("advice", if probes { "{\"timeout\":0}" } else { "" })
            .raw_if("ext", &self.ack.map(|batch| format!("{{\"ack\":{batch}}}")).unwrap_or_default())
            .end();
        self.send(Lane::Connect, vec![(id, Kind::Connect, String::new(), None, message)]);
    }

    pub(super) fn goodbye(&mut self, client_id: &str) {
        let is_reachable = self.transport == Transport::LongPolling || matches!(self.socket, Socket::Open(_));
        if !is_reachable {
            return self.end(None);
        }
        let id = self.ids.advance();
        let message = Outgoing::new("/meta/disconnect", id).string("clientId", client_id).end();
        self.send(Lane::Other, vec![(id, Kind::Disconnect, String::new(), None, message)]);
    }

    /// Sends what waits for the other lane.
    pub(super) fn flush(&mut self, dialect: &dyn Dialect) {
        let Some(client_id) = self.client_id.clone() else { return };
        // Channels that are taken up somewhere are so between two connects.
        let is_early = self.phase == Phase::Connecting && self.takes_up(dialect);
        if self.todo.is_empty()
            || is_early
            || !matches!(self.phase, Phase::Connecting | Phase::Connected)
            || self.transport == Transport::WebSocket && !matches!(self.socket, Socket::Open(_))
            || self.transport == Transport::LongPolling
                && self.exchanges.values().any(|lane| *lane == Lane::Other)
        {
            return;
        }
        let mut messages = Vec::new();
        let mut size = 2;
        while let Some(next) = self.todo.pop_front() {
            let id = self.ids.advance();
            let (kind, channel, op, message) = match &next {
                Todo::Subscribe(channel) => {
                    let Some(known) = self.subscriptions.iter_mut().find(|known| known.channel == *channel)
                    else {
                        continue;
                    };
                    if known.standing != Standing::Wanted {
                        continue;
                    }
                    let message = Outgoing::new("/meta/subscribe", id)
                        .string("clientId", &client_id)
                        .string("subscription", channel)
                        .raw_if("ext", &dialect.subscribe_ext(channel))
                        .end();
                    (Kind::Subscribe, channel.clone(), None, message)
                }
                Todo::Unsubscribe(channel, op) => {
                    let message = Outgoing::new("/meta/unsubscribe", id)
                        .string("clientId", &client_id)
                        .string("subscription", channel)
                        .end();
                    (Kind::Unsubscribe, channel.clone(), *op, message)
                }
                Todo::Publish(op, channel, data) => {
                    let message =
                        Outgoing::new(channel, id).string("clientId", &client_id).raw("data", data).end();
                    (Kind::Publish, channel.clone(), Some(*op), message)
                }
            };
            if !messages.is_empty() && size + message.len() + 1 > self.options.max_request {
                self.todo.push_front(next);
                break;
            }
            if kind == Kind::Subscribe
                && let Some(known) = self.subscriptions.iter_mut().find(|known| known.channel == channel)
            {
                (known.standing, known.has_gap, known.is_left) = (Standing::Asked, false, false);
            }
            size += message.len() + 1;
            messages.push((id, kind, channel, op, message));
        }
        if !messages.is_empty() {
            self.send(Lane::Other, messages);
        }
    }

    pub(super) fn send(&mut self, lane: Lane, messages: Vec<(u32, Kind, String, Option<OpId>, String)>) {
        let is_connect = matches!(messages.first(), Some((_, Kind::Connect, ..)));
        let hold = if is_connect { self.pace.hold.0 } else { 0 };
        let timeout = Millis(self.options.network_delay.0.saturating_add(hold));
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
            self.announce(Event::SocketSend { id, text: body });
            Via::Socket
        } else {
            let channel = match messages.first() {
                Some((_, Kind::Handshake, ..)) => "/meta/handshake",
                Some((_, Kind::Connect, ..)) => "/meta/connect",
                Some((_, Kind::Disconnect, ..)) => "/meta/disconnect",
                _ => "",
            };
            let url = url_for(&self.url, channel);
            let mut headers = String::from("content-type: application/json;charset=UTF-8");
            if let Some(credentials) = &self.credentials {
                headers.extend(["\n", credentials.expose()]);
            }
            if self.options.keeps_cookies {
                let cookies = self.jar.header(&url, self.unix(self.now));
                if !cookies.is_empty() {
                    headers.extend(["\ncookie: ", &cookies]);
                }
            }
            let wanted = if self.options.keeps_cookies { "set-cookie" } else { "" };
            let request = Request::post(url, headers, body.into_bytes())
                .with_timeout(timeout)
                .with_max_response_bytes(self.options.max_answer)
                .with_response_headers(wanted);
            if is_connect {
                self.timers.set(Timer::Watch, due.after(Millis(1000)));
            }
            Via::Exchange(self.exchanges.start(lane, request))
        };
        let sent =
            messages.into_iter().map(|(id, kind, channel, op, _)| Sent { id, kind, channel, op, via, due });
        self.sent.extend(sent);
        self.watch_replies();
    }

    /// The next reply by the socket that may be missing.
    pub(super) fn watch_replies(&mut self) {
        if matches!(self.socket, Socket::Opening(_)) {
            return;
        }
        match self.sent.iter().filter(|sent| sent.via == Via::Socket).map(|sent| sent.due).min() {
            Some(due) => self.timers.set(Timer::Reply, due),
            None => self.timers.clear(Timer::Reply),
        }
    }

    pub(super) fn remind(&mut self, timer: Timer) {
        match timer {
            Timer::Next => self.is_due = true,
            Timer::Token => self.announce(Event::NeedsToken { renew: self.is_renewed }),
            Timer::Again => {
                for channel in self.wanted() {
                    // The server may have it, and only its answer was lost.
                    self.todo.push_back(Todo::Unsubscribe(channel.clone(), None));
                    self.todo.push_back(Todo::Subscribe(channel));
                }
            }
            Timer::Watch => {
                if let Some(at) = self.sent.iter().position(|sent| sent.kind == Kind::Connect) {
                    let late = self.sent.remove(at);
                    if let Via::Exchange(id) = late.via {
                        self.exchanges.cancel(id);
                    }
                    self.unanswered(late, &SessionError::of(&Error::new(Code::Timeout)), None);
                }
            }
            Timer::Reply => {
                let trouble = SessionError::of(&Error::new(Code::Timeout));
                self.notice("trouble", None, Some(trouble.clone()));
                self.drop_socket(trouble);
            }
            Timer::Lost => {
                let last = self.last_trouble.clone();
                if self.opening.is_some() {
                    return self.stop(last.unwrap_or_else(|| SessionError::of(&Error::new(Code::Timeout))));
                }
                let why = last.map(|trouble| format!(" ({})", trouble.message)).unwrap_or_default();
                let trouble = SessionError::new(
                    Code::Timeout,
                    format!("the connection to the server is lost and could not be made again in time{why}"),
                );
                self.refuse_waiting(&trouble);
                self.announce(Event::Lost(trouble));
                self.expect_loss();
            }
            Timer::Pause => {
                if self.is_paused && self.phase == Phase::Connected {
                    (self.is_overdue, self.is_due) = (true, true);
                }
            }
            Timer::Close => {
                self.exchanges.cancel_all();
                self.end(None);
            }
        }
    }

    /// The next handshake or connect after a rest.
    pub(super) fn again(&mut self, rest: Millis) {
        self.timers.clear(Timer::Next);
        if rest.0 == 0 {
            self.is_due = true;
        } else {
            self.timers.set(Timer::Next, self.now.after(rest));
        }
    }

    pub(super) fn rest(&mut self, hint: Option<Millis>) -> Millis {
        let rest = self.backoff.next_delay(&mut self.rng);
        rest.max(hint.unwrap_or_default()).max(self.pace.interval)
    }

    /// A rest for a server that is busy: that long, doubled each time, and a tenth by chance.
    pub(super) fn busy_rest(&mut self, least: Millis) -> Millis {
        let rest = least.0.saturating_mul(1 << self.busy.min(16)).min(BUSIEST.max(least.0));
        self.busy += 1;
        Millis(rest + self.rng.up_to(rest / 10))
    }
}
