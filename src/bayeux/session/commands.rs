//! What the owner of a session can ask for.

use super::endpoint::Socket;
use super::link::Link;
#[cfg(not(target_arch = "wasm32"))]
use super::link::{Live, Progress};
use super::pending::Command;
use super::subscriptions::{Added, Left, SubscriptionState};
use super::timer_keys::{DISCONNECT_TIMEOUT, Timer};
use super::{Input, Session};
use crate::base::error::Code;
use crate::base::ids::OpId;
use crate::base::secret::Secret;
#[cfg(not(target_arch = "wasm32"))]
use crate::base::text::join;
use crate::base::time::Millis;
use crate::bayeux::dialect::MessageKind;
use crate::bayeux::errors::SessionError;
use crate::engine::timers::Timers;

impl Session {
    pub(super) fn on_command(&mut self, input: Input) {
        match input {
            // Timers run after every input; `handle` takes the ends of exchanges.
            Input::Tick | Input::Exchange(..) => {}
            Input::Open(op) => self.open(op),
            #[cfg(not(target_arch = "wasm32"))]
            Input::Resume { op, client_id, cookies, channels } => {
                self.resume(op, client_id, &cookies, &channels)
            }
            Input::Subscribe(op, channel) => self.subscribe(vec![(op, channel)]),
            Input::SubscribeTogether(channels) => self.subscribe(channels),
            Input::Probe(why) => self.probe(why),
            Input::Unsubscribe { op, channel, all } => self.unsubscribe(op, channel, all),
            Input::Publish { op, channel, data } => self.publish(op, channel, data),
            Input::Clock { epoch_unix_ms } => self.options.epoch_unix_ms = epoch_unix_ms,
            Input::SetPosition { channel, id } => self.dialect.set_position(&channel, &id),
            Input::Authorize { headers, url } => self.authorize(headers, url),
            Input::Unauthorized { error, min_delay, is_final } => {
                self.unauthorized(error, min_delay, is_final)
            }
            Input::Taken(count) => {
                if self.connects.take_events(count) {
                    self.timers.clear(Timer::MaxPause);
                }
            }
            Input::SocketOpened(id) => self.socket_opened(id),
            Input::SocketText(id, text) => self.socket_text(id, text),
            Input::SocketClosed(id, code) => {
                if matches!(self.endpoint.socket, Socket::Opening(open) | Socket::Open(open) if open == id) {
                    self.on_socket_failure(SessionError::socket_closed(code));
                }
            }
            Input::Close => self.close(),
        }
    }

    fn open(&mut self, op: OpId) {
        if self.link == Link::Idle {
            self.open_op = Some(op);
            self.connection_down(None);
            self.authorize_or_handshake();
        } else {
            self.settle(op, Err(self.closed_or("the client is open already")));
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn resume(&mut self, op: OpId, client_id: String, cookies: &str, channels: &[String]) {
        self.open_op = Some(op);
        let now = self.unix_ms();
        for cookie in cookies.split(';').map(str::trim_ascii_start).filter(|cookie| !cookie.is_empty()) {
            self.endpoint.cookies.store(&self.endpoint.url, &join(&[cookie, "; path=/"]), now);
        }
        for channel in channels {
            self.subscriptions.add_active(channel);
        }
        self.has_had_session = true;
        self.enter(Link::Connected(Live { client_id, last_ack: None, progress: Progress::Unproven }));
        self.connects.set_due();
    }

    fn subscribe(&mut self, channels: Vec<(OpId, String)>) {
        let mut first = Vec::new();
        for (op, channel) in channels {
            if self.link.is_over() {
                self.settle(op, Err(SessionError::closed()));
                continue;
            }
            if let Some(error) = self.dialect.subscribe_error(&channel) {
                self.settle(op, Err(error));
                continue;
            }
            match self.subscriptions.add(&channel, op) {
                Added::First => first.push(channel),
                Added::AlreadyActive => self.settle(op, Ok(())),
                Added::Waiting => {}
            }
        }
        if self.dialect.can_subscribe_together() {
            self.pending.queue(Command::Subscribe(first));
        } else {
            for channel in first {
                self.pending.queue(Command::subscribe(channel));
            }
        }
    }

    fn unsubscribe(&mut self, op: OpId, channel: String, all: bool) {
        if self.link.is_over() {
            return self.settle(op, Err(SessionError::closed()));
        }
        let removed = match self.subscriptions.leave(&channel, all) {
            Left::Unknown | Left::Others => return self.settle(op, Ok(())),
            Left::Last(removed) => removed,
        };
        for waiting in removed.waiting {
            self.settle(waiting, Err(SessionError::unsubscribed(&channel)));
        }
        self.pending.cancel_subscribe(&channel);
        self.start_trial();
        if removed.state == SubscriptionState::Pending || self.link.live().is_none() {
            self.settle(op, Ok(()));
        } else {
            self.pending.queue(Command::Unsubscribe(channel, Some(op)));
        }
    }

    fn publish(&mut self, op: OpId, channel: String, data: String) {
        if !self.link.is_open() {
            self.settle(op, Err(self.closed_or("the client is not open yet")));
        } else if let Some(error) = self.dialect.publish_error(&channel) {
            self.settle(op, Err(error));
        } else {
            self.pending.queue(Command::Publish(op, channel, data));
        }
    }

    fn authorize(&mut self, headers: Secret, url: Option<String>) {
        if self.link == Link::Authorizing {
            self.endpoint.credentials.replace(headers);
            if let Some(url) = url {
                self.endpoint.url = url;
            }
            self.enter(Link::Handshaking);
            self.connects.set_due();
        }
    }

    fn unauthorized(&mut self, error: SessionError, min_delay: Option<Millis>, is_final: bool) {
        if self.link == Link::Authorizing {
            if is_final {
                return self.stop(error);
            }
            self.connection_failed(&error);
            self.settle_probes(&Err(error.clone()));
            self.server_asks(min_delay);
            let delay = self.connects.retry_delay(min_delay, &mut self.rng);
            self.timers.set(Timer::Authorize, self.now.after(delay));
        }
    }

    pub(super) fn close(&mut self) {
        if self.link.is_over() {
            return;
        }
        self.reject_all(&SessionError::closed());
        self.drop_held();
        self.timers = Timers::new();
        self.connects.clear();
        let is_handshaking = self.pending.any(|sent| sent.kind == MessageKind::Handshake);
        if !is_handshaking {
            self.exchanges.cancel_all();
            drop(self.pending.take_all());
        }
        let client_id = self.link.live().map(|live| live.client_id.clone());
        self.enter(Link::Closing);
        if let Some(client_id) = client_id {
            self.send_disconnect(&client_id);
        } else if !is_handshaking {
            self.finish(None);
        }
        if self.link == Link::Closing {
            self.timers.set(Timer::Disconnect, self.now.after(DISCONNECT_TIMEOUT));
        }
    }

    /// `ERR_CLOSED` if the session is closing or closed, else `ERR_INVALID_ARGUMENT` with that message.
    fn closed_or(&self, otherwise: &str) -> SessionError {
        if self.link.is_over() {
            SessionError::closed()
        } else {
            SessionError::new(Code::InvalidArgument, otherwise)
        }
    }
}
