//! The timers of a session, and the delays before retries.

use super::endpoint::Socket;
use super::pending::{Command, Via};
use super::subscriptions::SubscriptionState;
use super::timer_keys::Timer;
use super::{Event, Session};
use crate::base::time::Millis;
use crate::bayeux::dialect::MessageKind;
use crate::bayeux::errors::SessionError;

impl Session {
    pub(super) fn on_timer(&mut self, timer: Timer) {
        match timer {
            Timer::Connect => self.connects.set_due(),
            Timer::Authorize => self.request_credentials(),
            Timer::Resubscribe => self.subscribe_again(),
            Timer::ConnectReply => {
                if let Some(late) = self.pending.take_kind(MessageKind::Connect) {
                    if let Via::Exchange(id) = late.via {
                        self.exchanges.cancel(id);
                    }
                    self.on_no_reply(late, &SessionError::timeout(), None);
                }
            }
            Timer::SocketReply => {
                let error = SessionError::timeout();
                self.notify("transient_error", None, Some(error.clone()));
                self.on_socket_failure(error);
            }
            Timer::ConnectionTimeout => self.on_connection_timeout(),
            Timer::PollHeld => {
                if self.link.is_working() && self.pending.has_connect() {
                    self.end_outage();
                }
            }
            Timer::MaxPause => {
                if self.connects.is_paused() && self.link.is_working() {
                    self.connects.end_pause();
                }
            }
            Timer::Trial => {
                if self.link.is_working() && self.pending.has_connect() {
                    self.end_trial();
                }
            }
            Timer::HoldOver => self.release_channels(self.now),
            Timer::Held => self.on_held_too_long(),
            Timer::Disconnect => {
                self.exchanges.cancel_all();
                self.finish(None);
            }
        }
    }

    pub(super) fn request_credentials(&mut self) {
        self.emit(Event::NeedsCredentials { is_renewal: self.endpoint.credentials.are_renewal() });
    }

    /// Subscribes again to the channels for which no command is queued.
    fn subscribe_again(&mut self) {
        let Self { subscriptions, pending, .. } = self;
        let unqueued: Vec<String> = subscriptions
            .iter()
            .filter(|subscription| {
                subscription.state == SubscriptionState::Pending
                    && !subscription.is_draining
                    && !subscription.trial.is_out()
                    && !pending.has_queued_subscribe(&subscription.channel)
            })
            .map(|subscription| subscription.channel.clone())
            .collect();
        for channel in unqueued {
            // The server may have accepted it: perhaps only the reply was lost.
            pending.queue(Command::Unsubscribe(channel.clone(), None));
            pending.queue(Command::subscribe(channel));
        }
    }

    /// The connection has been down for too long: tells whoever waits, and goes on.
    fn on_connection_timeout(&mut self) {
        let last = self.connects.outage.as_ref().and_then(|outage| outage.error.clone());
        if self.open_op.is_some() {
            return self.stop(last.unwrap_or_else(SessionError::timeout));
        }
        let error = SessionError::connection_lost(last.as_ref());
        self.reject_waiting(&error);
        self.settle_probes(&Err(error.clone()));
        let next =
            [Timer::Connect, Timer::Authorize].into_iter().filter_map(|timer| self.timers.due(timer)).min();
        let delay = next.map_or(Millis(0), |at| Millis(at.as_millis().saturating_sub(self.now.as_millis())));
        self.emit(Event::ConnectionLost(error, delay));
        self.start_connection_timeout();
    }

    /// Schedules the next handshake or connect.
    pub(super) fn schedule_connect(&mut self, delay: Millis) {
        self.timers.clear(Timer::Connect);
        self.connects.server_asks_until(self.now.after(delay.min(self.connects.timing.interval)));
        if delay.0 == 0 {
            self.connects.set_due();
        } else {
            self.timers.set(Timer::Connect, self.now.after(delay));
        }
    }

    /// Schedules the next handshake or connect after a failure.
    pub(super) fn schedule_retry(&mut self, min_delay: Option<Millis>) {
        self.server_asks(min_delay);
        let delay = self.connects.retry_delay(min_delay, &mut self.rng);
        self.schedule_connect(delay);
    }

    /// Remembers a delay that the server has asked for.
    pub(super) fn server_asks(&mut self, delay: Option<Millis>) {
        self.connects.server_asks_until(self.now.after(delay.unwrap_or_default()));
    }

    /// Sets the timer to the earliest timeout of a reply over the socket.
    pub(super) fn reset_reply_timer(&mut self) {
        if matches!(self.endpoint.socket, Socket::Opening(_)) {
            return;
        }
        match self.pending.next_socket_timeout() {
            Some(due) => self.timers.set(Timer::SocketReply, due),
            None => self.timers.clear(Timer::SocketReply),
        }
    }
}
