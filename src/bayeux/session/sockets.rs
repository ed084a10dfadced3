//! The WebSocket of a session: opening, frames, and failures.

use super::endpoint::Socket;
use super::link::Link;
use super::pending::Via;
use super::{Event, Session, Timer};
use crate::base::time::Millis;
use crate::bayeux::dialect::MessageKind;
use crate::bayeux::errors::SessionError;
use crate::bayeux::repair::{Damage, read_response};
use crate::bayeux::wire::{Transport, socket_url};

impl Session {
    pub(super) fn socket_opened(&mut self, id: u32) {
        if self.endpoint.socket == Socket::Opening(id) {
            self.endpoint.socket = Socket::Open(id);
            self.timers.clear(Timer::SocketReply);
            if !self.pending.has_connect() {
                self.connects.set_due();
            }
        }
    }

    pub(super) fn socket_text(&mut self, id: u32, text: Vec<u8>) {
        if self.endpoint.socket != Socket::Open(id) {
            return;
        }
        self.heard_at = self.now;
        let mut text = text;
        match read_response(&mut text, self.dialect.data_reader()) {
            Some(readable) if readable.damage != Damage::Cut => self.process_messages(None, readable),
            _ => {
                let error = SessionError::bad_frame();
                self.notify("unreadable", None, Some(error.clone()));
                self.connection_failed(&error);
                self.on_unreadable(&error, &[]);
                self.on_socket_failure(error);
            }
        }
        self.reset_reply_timer();
    }

    /// Whether a message can be sent now. Opens a socket if the transport needs one and there is none.
    pub(super) fn prepare_socket(&mut self) -> bool {
        let is_needed = matches!(self.link, Link::Handshaking | Link::Connected(_));
        if self.endpoint.transport == Transport::WebSocket
            && self.endpoint.socket == Socket::None
            && is_needed
        {
            let id = self.endpoint.start_socket();
            self.emit(Event::SocketOpen { id, url: socket_url(&self.endpoint.url) });
            self.timers.set(Timer::SocketReply, self.now.after(self.opening_timeout()));
        }
        self.endpoint.is_reachable()
    }

    /// How long a socket may take to open. A server that leaves the upgrade unanswered must leave time to fall
    /// back before the connection timeout.
    fn opening_timeout(&self) -> Millis {
        let times = &self.options.times;
        match times.connection_timeout {
            Some(timeout) if self.options.transports.contains(&Transport::LongPolling) => {
                times.max_network_delay.min(Millis(timeout.0 / 2))
            }
            _ => times.max_network_delay,
        }
    }

    /// Reconnects, by long-polling if the socket could not be opened.
    pub(super) fn on_socket_failure(&mut self, error: SessionError) {
        let was_open = matches!(self.endpoint.socket, Socket::Open(_));
        self.close_socket();
        let failures = if was_open { 0 } else { self.endpoint.socket_failures + 1 };
        self.endpoint.socket_failures = failures;
        // Fall back at the first failure to open, or at the second if a session has existed before.
        let has_other = self.options.transports.contains(&Transport::LongPolling);
        let falls_back = !was_open && has_other && (!self.has_had_session || failures > 1);
        let unanswered = self.pending.take_via(Via::Socket);
        if was_open && unanswered.iter().any(|sent| self.may_lose_events(sent, false)) {
            self.connection_failed(&error);
            self.on_unreadable(&error, &[]);
        }
        let has_connection_message =
            unanswered.iter().any(|sent| matches!(sent.kind, MessageKind::Handshake | MessageKind::Connect));
        for sent in unanswered {
            self.on_no_reply(sent, &error, None);
        }
        if self.link.is_over() {
            return self.finish(None);
        }
        if falls_back {
            self.notify("transport_fallback", None, Some(error));
            self.switch_transport(Transport::LongPolling);
            if self.link.live().is_some() {
                self.abandon_session();
                self.enter(Link::Handshaking);
            }
            self.schedule_connect(Millis(0));
        } else if !has_connection_message {
            match self.link {
                Link::Handshaking => self.handshake_failed(&error, None),
                Link::Connected(_) => {
                    self.subscriptions.socket_lost();
                    self.connect_failed(&error, None, false);
                }
                _ => {}
            }
        }
    }

    pub(super) fn switch_transport(&mut self, transport: Transport) {
        self.close_socket();
        self.endpoint.transport = transport;
    }

    pub(super) fn close_socket(&mut self) {
        if let Socket::Opening(id) | Socket::Open(id) =
            core::mem::replace(&mut self.endpoint.socket, Socket::None)
        {
            self.emit(Event::SocketClose { id });
            self.timers.clear(Timer::SocketReply);
        }
    }
}
