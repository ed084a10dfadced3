//! When the next handshake or connect is sent: the advice of the server, delays after failures, and pauses
//! for a slow consumer.
//!
//! ```text
//!   Idle ──schedule──> Due ──poll──> sent
//!   Due ──a subscription resumes, or the inbox is full──> Held ──any input──> Due
//! ```

mod delays;
mod outage;

use crate::base::time::{Millis, Moment};
use crate::bayeux::errors::SessionError;
use crate::bayeux::message::Advice;
use crate::engine::backoff::Backoff;
use crate::engine::inbox::Inbox;

/// Times that the server advises are shorter than this, because timers of JavaScript count 31 bits.
const MAX_ADVICE_MS: u64 = 2_000_000_000;

/// The advice of the server, with the defaults of the client filled in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// Between the end of a connect and the start of the next.
    pub(super) interval: Millis,
    /// How long the server holds a connect.
    pub(super) poll_timeout: Millis,
    /// How long the server keeps a session without a connect.
    pub(super) max_interval: Option<Millis>,
}

/// Whether a handshake or connect is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Not now.
    Idle,
    /// With the next `poll`.
    Due,
    /// A subscription is being resumed, or the consumer has no capacity. Due again with the next input, because
    /// any may end that.
    Held,
}

/// Since when, and why, the connection is down.
#[derive(Clone, Debug)]
pub(super) struct Outage {
    pub(super) since: Moment,
    /// The last error, if there was one.
    pub(super) error: Option<SessionError>,
    /// A probe that succeeds does not end it, only a poll: it began with polls that failed while probes
    /// succeeded.
    needs_poll: bool,
}

#[derive(Clone, Debug)]
pub(super) struct ConnectLoop {
    pub(super) timing: Timing,
    default_poll_timeout: Millis,
    backoff: Backoff,
    /// Busy reports since the last successful connect.
    busy_count: u32,
    /// Sessions that ended in quick succession, and when the last one did.
    restarts: u32,
    restarted_at: Option<Moment>,
    /// Polls without events that were not held, one after the other.
    quick_polls: u32,
    /// The server has asked for no request before.
    asked_until: Option<Moment>,
    /// Responses that could not be read since the last poll that succeeded.
    unreadable_count: u32,
    /// Those of them that brought nothing on.
    stuck_count: u32,
    next: Next,
    inbox: Inbox,
    /// The pause has reached `Times::max_pause`.
    is_pause_over: bool,
    /// New events in the last response.
    pub(super) last_event_count: usize,
    pub(super) outage: Option<Outage>,
}

impl ConnectLoop {
    pub(super) const fn new(poll_timeout: Millis, backoff: Backoff, inbox: Inbox) -> Self {
        Self {
            timing: Timing { interval: Millis(0), poll_timeout, max_interval: None },
            default_poll_timeout: poll_timeout,
            backoff,
            busy_count: 0,
            restarts: 0,
            restarted_at: None,
            quick_polls: 0,
            asked_until: None,
            unreadable_count: 0,
            stuck_count: 0,
            next: Next::Idle,
            inbox,
            is_pause_over: false,
            last_event_count: 0,
            outage: None,
        }
    }

    /// New advice replaces all earlier advice.
    pub(super) fn apply_advice(&mut self, advice: &Advice) {
        let millis = |value: Option<i64>| {
            let value = value.and_then(|value| u64::try_from(value).ok())?;
            Some(Millis(value.min(MAX_ADVICE_MS)))
        };
        self.timing = Timing {
            interval: millis(advice.interval).unwrap_or_default(),
            poll_timeout: millis(advice.timeout).unwrap_or(self.default_poll_timeout),
            max_interval: millis(advice.max_interval).filter(|millis| millis.0 > 0),
        };
    }

    /// The server has asked for a delay.
    pub(super) fn server_asks_until(&mut self, at: Moment) {
        self.asked_until = self.asked_until.max(Some(at));
    }

    /// The end of the delay that the server has asked for, or now.
    pub(super) fn earliest(&self, now: Moment) -> Moment {
        self.asked_until.map_or(now, |at| at.max(now))
    }

    /// The next `poll` sends a handshake or connect.
    pub(super) const fn set_due(&mut self) {
        self.next = Next::Due;
    }

    /// Holds the connect back that was due.
    pub(super) const fn hold(&mut self) {
        self.next = Next::Held;
    }

    /// Nothing is due or held any more.
    pub(super) const fn clear(&mut self) {
        self.next = Next::Idle;
    }

    /// The connect that was held back is due; it is checked again whether it may be sent.
    pub(super) const fn release(&mut self) {
        if matches!(self.next, Next::Held) {
            self.next = Next::Due;
        }
    }

    /// Whether one is due, which is over with this call.
    pub(super) const fn take_due(&mut self) -> bool {
        let is_due = matches!(self.next, Next::Due);
        if is_due {
            self.next = Next::Idle;
        }
        is_due
    }

    /// Events were delivered.
    pub(super) const fn add_events(&mut self, count: usize) {
        self.inbox.add(count);
    }

    /// The consumer has taken events. True if a pause ends with that.
    pub(super) const fn take_events(&mut self, count: usize) -> bool {
        let was_full = self.inbox.is_full();
        self.inbox.take(count);
        let is_over = was_full && !self.inbox.is_full();
        if is_over {
            self.is_pause_over = false;
        }
        is_over
    }

    /// Whether the inbox of the consumer is full.
    pub(super) const fn is_inbox_full(&self) -> bool {
        self.inbox.is_full()
    }

    /// How many events the consumer must take before polling goes on; 0 if it is not paused.
    pub(super) const fn excess_events(&self) -> usize {
        self.inbox.excess()
    }

    /// Whether the next connect waits for the consumer.
    pub(super) const fn is_paused(&self) -> bool {
        self.inbox.is_full() && !self.is_pause_over
    }

    /// Whether a connect is sent although the inbox is full.
    pub(super) const fn is_overdue(&self) -> bool {
        self.inbox.is_full() && self.is_pause_over
    }

    /// How long a pause may last: at most half of the time after which the server removes a session without a
    /// connect, so that the connect arrives in time.
    pub(super) fn longest_pause(&self, limit: Option<Millis>) -> Option<Millis> {
        let advised = self.timing.max_interval.map(|max_interval| Millis(max_interval.0 / 2));
        limit.into_iter().chain(advised).min()
    }

    /// A connect was answered during a pause, so the pause starts again.
    pub(super) const fn restart_pause(&mut self) {
        self.is_pause_over = false;
    }

    /// The pause must not last longer.
    pub(super) const fn end_pause(&mut self) {
        self.is_pause_over = true;
        self.next = Next::Due;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn connect_loop() -> ConnectLoop {
        ConnectLoop::new(Millis(60_000), Backoff::new(Millis(100), Millis(1000), u32::MAX), Inbox::new(2))
    }

    #[test]
    fn a_connect_that_was_held_is_due_after_its_release_and_sent_once() {
        let mut connects = connect_loop();
        connects.release();
        assert!(!connects.take_due());
        connects.set_due();
        assert!(connects.take_due() && !connects.take_due());
        connects.hold();
        assert!(!connects.take_due());
        connects.release();
        assert!(connects.take_due() && !connects.take_due());
    }

    #[test]
    fn a_full_inbox_pauses_until_it_is_half_empty_or_the_pause_is_over() {
        let mut connects = connect_loop();
        connects.add_events(2);
        assert!(connects.is_paused() && !connects.is_overdue());
        connects.end_pause();
        assert!(!connects.is_paused() && connects.is_overdue());
        assert!(connects.take_events(1));
        assert!(!connects.is_overdue() && !connects.take_events(1));
    }

    #[test]
    fn a_pause_is_shorter_than_the_interval_after_which_the_server_removes_the_session() {
        let mut connects = connect_loop();
        assert_eq!(connects.longest_pause(None), None);
        assert_eq!(connects.longest_pause(Some(Millis(30_000))), Some(Millis(30_000)));
        connects.apply_advice(&Advice { max_interval: Some(10_000), ..Advice::default() });
        assert_eq!(connects.longest_pause(Some(Millis(30_000))), Some(Millis(5000)));
    }

    #[test]
    fn advice_beyond_the_timers_of_javascript_is_cut() {
        let mut connects = connect_loop();
        let huge = Some(i64::MAX);
        connects.apply_advice(&Advice { interval: huge, timeout: huge, ..Advice::default() });
        assert!(connects.timing.interval.0 + connects.timing.poll_timeout.0 < 2 * (1 << 31));
        assert!(connects.timing.poll_timeout.0 + 60_000 < 1 << 31);
    }
}
