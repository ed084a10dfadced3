//! The timers of a session, and the delays before retries.

use super::{Command, Event, MAX_BUSY_DELAY_MS, Phase, Session, Socket, Timer, Via};
use crate::base::error::{Code, Error};
use crate::base::time::Millis;
use crate::bayeux::dialect::MessageKind;
use crate::bayeux::errors::SessionError;

impl Session {
    pub(super) fn on_timer(&mut self, timer: Timer) {
        match timer {
            Timer::Connect => self.is_connect_due = true,
            Timer::Authorize => self.emit(Event::NeedsCredentials { is_renewal: self.has_new_credentials }),
            Timer::Resubscribe => {
                for channel in self.unqueued_channels() {
                    // The server may have accepted it: perhaps only the reply was lost.
                    self.commands.push_back(Command::Unsubscribe(channel.clone(), None));
                    self.commands.push_back(Command::Subscribe(channel));
                }
            }
            Timer::ConnectReply => {
                if let Some(at) = self.pending.iter().position(|sent| sent.kind == MessageKind::Connect) {
                    let late = self.pending.remove(at);
                    if let Via::Exchange(id) = late.via {
                        self.exchanges.cancel(id);
                    }
                    self.on_no_reply(late, &SessionError::from_error(&Error::new(Code::Timeout)), None);
                }
            }
            Timer::SocketReply => {
                let error = SessionError::from_error(&Error::new(Code::Timeout));
                self.notify("transient_error", None, Some(error.clone()));
                self.on_socket_failure(error);
            }
            Timer::ConnectionTimeout => {
                let last = self.last_error.clone();
                if self.open_op.is_some() {
                    return self
                        .stop(last.unwrap_or_else(|| SessionError::from_error(&Error::new(Code::Timeout))));
                }
                let why = last.map(|error| format!(" ({})", error.message)).unwrap_or_default();
                let error = SessionError::new(
                    Code::Timeout,
                    format!(
                        "the connection to the server was lost and not restored within the connection timeout{why}"
                    ),
                );
                self.reject_waiting(&error);
                self.emit(Event::ConnectionLost(error));
                self.start_connection_timeout();
            }
            Timer::MaxPause => {
                if self.is_paused && self.phase == Phase::Connected {
                    (self.has_pause_expired, self.is_connect_due) = (true, true);
                }
            }
            Timer::Disconnect => {
                self.exchanges.cancel_all();
                self.finish(None);
            }
        }
    }

    /// Schedules the next handshake or connect.
    pub(super) fn schedule_connect(&mut self, delay: Millis) {
        self.timers.clear(Timer::Connect);
        if delay.0 == 0 {
            self.is_connect_due = true;
        } else {
            self.timers.set(Timer::Connect, self.now.after(delay));
        }
    }

    /// The next backoff delay, at least `min_delay` and the advised interval.
    pub(super) fn retry_delay(&mut self, min_delay: Option<Millis>) -> Millis {
        let delay = self.backoff.next_delay(&mut self.rng);
        delay.max(min_delay.unwrap_or_default()).max(self.timing.interval)
    }

    /// The delay for a busy server: `least`, doubled each time up to ten minutes, plus up to 10 % jitter.
    pub(super) fn busy_delay(&mut self, least: Millis) -> Millis {
        let delay = least.0.saturating_mul(1 << self.busy_count.min(16)).min(MAX_BUSY_DELAY_MS.max(least.0));
        self.busy_count += 1;
        Millis(delay + self.rng.up_to(delay / 10))
    }

    /// Sets the timer to the earliest timeout of a reply over the socket.
    pub(super) fn reset_reply_timer(&mut self) {
        if matches!(self.socket, Socket::Opening(_)) {
            return;
        }
        match self.pending.iter().filter(|sent| sent.via == Via::Socket).map(|sent| sent.due).min() {
            Some(due) => self.timers.set(Timer::SocketReply, due),
            None => self.timers.clear(Timer::SocketReply),
        }
    }
}
