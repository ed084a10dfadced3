//! The WebSocket of a session: opening, frames, and failures.

use super::{Event, Phase, Session, Socket, Timer, Via};
use crate::base::error::Code;
use crate::base::json::find::Document;
use crate::base::time::{Millis, Moment};
use crate::bayeux::dialect::{Dialect, MessageKind};
use crate::bayeux::errors::SessionError;
use crate::bayeux::message::parse_messages;
use crate::bayeux::wire::{Transport, socket_url};

impl Session {
    /// Reports that a socket is open.
    pub fn socket_opened(&mut self, now: Moment, id: u32) {
        self.now = now;
        if self.socket == Socket::Opening(id) {
            self.socket = Socket::Open(id);
            self.timers.clear(Timer::SocketReply);
            self.is_connect_due = !self.is_connect_pending();
        }
    }

    /// Processes a frame. A frame that is not text is passed as no bytes.
    pub fn socket_text(&mut self, now: Moment, id: u32, text: Vec<u8>, dialect: &mut dyn Dialect) {
        self.now = now;
        if self.socket != Socket::Open(id) {
            return;
        }
        let document = Document::new(text);
        match parse_messages(document.padded(), dialect.data_reader()) {
            Ok(messages) => self.process_messages(None, document, messages, dialect),
            Err(_) => {
                let error = SessionError::new(
                    Code::Unavailable,
                    "the server sent a WebSocket frame that is not a Bayeux message; the WebSocket is reopened",
                );
                self.notify("transient_error", None, Some(error.clone()));
                self.on_socket_failure(error);
            }
        }
        self.reset_reply_timer();
    }

    /// Reports that a socket was closed, or could not be opened.
    pub fn socket_closed(&mut self, now: Moment, id: u32, code: u16) {
        self.now = now;
        if self.socket == Socket::Opening(id) || self.socket == Socket::Open(id) {
            self.on_socket_failure(SessionError::new(
                Code::Network,
                format!("the WebSocket closed with code {code}"),
            ));
        }
    }

    /// Whether a message can be sent now. Opens a socket if the transport needs one and there is none.
    pub(super) fn prepare_socket(&mut self) -> bool {
        if self.transport == Transport::LongPolling {
            return true;
        }
        let is_needed = matches!(self.phase, Phase::Handshaking | Phase::Connecting | Phase::Connected);
        if self.socket == Socket::None && is_needed {
            let id = self.socket_ids.advance();
            self.socket = Socket::Opening(id);
            self.emit(Event::SocketOpen { id, url: socket_url(&self.url) });
            self.timers.set(Timer::SocketReply, self.now.after(self.options.max_network_delay));
        }
        matches!(self.socket, Socket::Open(_))
    }

    /// Reconnects, by long-polling if the socket could not be opened.
    pub(super) fn on_socket_failure(&mut self, error: SessionError) {
        let was_open = matches!(self.socket, Socket::Open(_));
        self.close_socket();
        self.socket_failures = if was_open { 0 } else { self.socket_failures + 1 };
        let mut unanswered = core::mem::take(&mut self.pending);
        self.pending = unanswered.extract_if(.., |sent| sent.via != Via::Socket).collect();
        // Fall back at the first failure to open, or at the second if a session has existed before.
        let has_other = self.options.transports.contains(&Transport::LongPolling);
        let falls_back = !was_open && has_other && (!self.has_had_session || self.socket_failures > 1);
        let has_connection_message =
            unanswered.iter().any(|sent| matches!(sent.kind, MessageKind::Handshake | MessageKind::Connect));
        for sent in unanswered {
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
                    for subscription in &mut self.subscriptions {
                        subscription.has_gap = true;
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
}
