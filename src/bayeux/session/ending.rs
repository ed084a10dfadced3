//! The end of a session, and the rejection of its operations.

use super::{Command, Event, PendingMessage, Phase, Session, State};
use crate::base::error::Code;
use crate::bayeux::errors::SessionError;
use crate::bayeux::message::Reply;
use crate::engine::timers::Timers;

impl Session {
    pub(super) fn on_closed_by_server(&mut self, reply: &Reply) {
        self.notify("closed_by_server", None, None);
        let why = reply.error().map(|error| format!(": {error}")).unwrap_or_default();
        let mut error = SessionError::new(Code::Rejected, format!("the server closed the connection{why}"));
        error.server_error = reply.error();
        self.stop(error);
    }

    /// Ends the session with an error. All operations are rejected with it.
    pub(super) fn stop(&mut self, error: SessionError) {
        self.exchanges.cancel_all();
        // Pending operations too: their replies are ignored from now on.
        self.reject_all(&error);
        self.pending.clear();
        self.finish(Some(error));
    }

    /// Ends the session. Nothing is emitted after `Event::Ended`.
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

    /// Rejects queued operations and those that wait for a subscription.
    pub(super) fn reject_waiting(&mut self, error: &SessionError) {
        let mut ops = Vec::new();
        for subscription in &mut self.subscriptions {
            ops.append(&mut subscription.waiting);
        }
        self.subscriptions.retain(|subscription| subscription.has_been_active);
        for command in core::mem::take(&mut self.commands) {
            match command {
                Command::Publish(op, ..) | Command::Unsubscribe(_, Some(op)) => ops.push(op),
                Command::Subscribe(channel) => {
                    if self.subscriptions.iter().any(|subscription| subscription.channel == channel) {
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
