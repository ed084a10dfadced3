//! The end of a session, and the rejection of its operations.

use super::link::Link;
use super::pending::{Command, PendingMessage};
use super::{Event, Session};
use crate::bayeux::errors::SessionError;
use crate::bayeux::message::Reply;
use crate::engine::timers::Timers;

impl Session {
    pub(super) fn on_closed_by_server(&mut self, reply: &Reply) {
        self.notify("closed_by_server", None, None);
        self.stop(SessionError::closed_by_server(reply));
    }

    /// Ends the session with an error. All operations are rejected with it.
    pub(super) fn stop(&mut self, error: SessionError) {
        self.exchanges.cancel_all();
        // Pending operations too: their replies are ignored from now on.
        self.reject_all(&error);
        self.finish(Some(error));
    }

    /// Ends the session. Nothing is emitted after `Event::Ended`.
    pub(super) fn finish(&mut self, error: Option<SessionError>) {
        if self.link == Link::Closed {
            return;
        }
        self.close_socket();
        self.drop_held();
        drop(self.pending.take_all());
        self.timers = Timers::new();
        self.connects.clear();
        self.enter(Link::Closed);
        self.emit(Event::Ended(error));
    }

    pub(super) fn reject_all(&mut self, error: &SessionError) {
        for op in self.pending.take_ops() {
            self.settle(op, Err(error.clone()));
        }
        if let Some(op) = self.open_op.take() {
            self.settle(op, Err(error.clone()));
        }
        self.settle_probes(&Err(error.clone()));
        self.reject_waiting(error);
        self.subscriptions.clear();
    }

    /// Rejects queued operations and those that wait for a subscription.
    pub(super) fn reject_waiting(&mut self, error: &SessionError) {
        let mut ops = self.subscriptions.reject_waiting();
        for command in self.pending.take_commands() {
            match command {
                Command::Publish(op, ..) | Command::Unsubscribe(_, Some(op)) => ops.push(op),
                Command::Subscribe(mut channels) => {
                    channels.retain(|channel| self.subscriptions.contains(channel));
                    self.pending.queue(Command::Subscribe(channels));
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
