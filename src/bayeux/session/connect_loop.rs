//! When the next handshake or connect is sent: the advice of the server, delays after failures, and pauses
//! for a slow consumer.
//!
//! ```text
//!   Idle ──schedule──> Due ──poll──> sent
//!   Due ──a subscription resumes, or the inbox is full──> Held ──any input──> Due
//! ```

use crate::base::time::{Millis, Moment};
use crate::bayeux::errors::SessionError;
use crate::bayeux::message::Advice;
use crate::engine::backoff::Backoff;
use crate::engine::inbox::Inbox;
use crate::engine::jitter::Rng;

/// The longest delay after the server has reported that it is busy.
const MAX_BUSY_DELAY_MS: u64 = 600_000;

/// Times that the server advises are shorter than this, because timers of JavaScript count 31 bits.
const MAX_ADVICE_MS: u64 = 2_000_000_000;
/// A poll without events that is answered sooner than this was not held.
const QUICK_POLL: Millis = Millis(500);
/// That many of them may follow one another.
const MAX_QUICK_POLLS: u32 = 3;
/// The longest delay after a poll that was not held.
const MAX_QUICK_POLL_DELAY_MS: u64 = 10_000;

/// Responses that cannot be read and bring nothing on: that many in a row are no accident.
const MAX_STUCK: u32 = 3;
/// The same for those of which a part can be read.
const MAX_UNREADABLE: u32 = 10;

/// Sessions that end sooner than this after another count as ends in quick succession.
const QUICK_RESTART: Millis = Millis(300_000);

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

    /// The next backoff delay, at least `min_delay` and the advised interval.
    pub(super) fn retry_delay(&mut self, min_delay: Option<Millis>, rng: &mut Rng) -> Millis {
        let delay = self.backoff.next_delay(rng);
        delay.max(min_delay.unwrap_or_default()).max(self.timing.interval)
    }

    /// The delay before the next poll, after one that brought that many events. A server that holds no poll,
    /// and advises no interval, would otherwise be polled without a break.
    pub(super) fn poll_delay(&mut self, sent: Moment, now: Moment, event_count: usize) -> Millis {
        let is_quick = event_count == 0 && now < sent.after(QUICK_POLL);
        self.quick_polls = if is_quick { self.quick_polls.saturating_add(1) } else { 0 };
        let Some(excess) = self.quick_polls.checked_sub(MAX_QUICK_POLLS) else { return self.timing.interval };
        let delay = (100 << excess.min(16)).min(MAX_QUICK_POLL_DELAY_MS);
        Millis(delay).max(self.timing.interval)
    }

    /// The delay before another session or login, after one that worked. The first one starts at once; those
    /// in quick succession wait longer each time, so that a server that ends every session is not flooded.
    pub(super) fn restart_delay(&mut self, now: Moment, rng: &mut Rng) -> Millis {
        let is_quick = self.restarted_at.is_some_and(|at| now < at.after(QUICK_RESTART));
        self.restarts = if is_quick { self.restarts.saturating_add(1) } else { 0 };
        self.restarted_at = Some(now);
        if is_quick {
            self.require_poll();
        }
        let Some(earlier) = self.restarts.checked_sub(1) else { return self.timing.interval };
        self.backoff.delay_after(earlier.min(32), rng).max(self.timing.interval)
    }

    /// The delay before a subscription is sent again. Does not count as a failure of the connection.
    pub(super) fn resubscribe_delay(&self, rng: &mut Rng) -> Millis {
        self.backoff.delay_after(2, rng)
    }

    /// The delay for a busy server: `least`, doubled each time up to ten minutes, plus up to 10 % jitter.
    pub(super) fn busy_delay(&mut self, least: Millis, rng: &mut Rng) -> Millis {
        let delay = least.0.saturating_mul(1 << self.busy_count.min(16)).min(MAX_BUSY_DELAY_MS.max(least.0));
        self.busy_count = self.busy_count.saturating_add(1);
        Millis(delay + rng.up_to(delay / 10))
    }

    /// Whether the server has removed the session by then, because it got no connect since the outage began.
    pub(super) fn is_session_gone_at(&self, at: Moment, now: Moment) -> bool {
        let since = self.outage.as_ref().map_or(now, |outage| outage.since);
        let Timing { interval, poll_timeout, max_interval } = self.timing;
        max_interval.is_some_and(|max_interval| {
            let lifetime = poll_timeout.0.saturating_add(interval.0).saturating_add(max_interval.0);
            at > since.after(Millis(lifetime))
        })
    }

    /// The connection is down. True if it was up before.
    pub(super) fn fail(&mut self, now: Moment, error: Option<SessionError>) -> bool {
        match &mut self.outage {
            Some(outage) => {
                outage.error = error.or_else(|| outage.error.take());
                false
            }
            None => {
                self.outage = Some(Outage { since: now, error, needs_poll: false });
                true
            }
        }
    }

    /// Only a poll that succeeds ends the present outage.
    pub(super) fn require_poll(&mut self) {
        if let Some(outage) = &mut self.outage {
            outage.needs_poll = true;
        }
    }

    /// A response could not be read, or broke off. If that happens again, only a poll that succeeds ends the
    /// outage, and the delays grow until then.
    pub(super) fn count_unreadable(&mut self, has_progressed: bool) {
        if self.unreadable_count > 0 {
            self.require_poll();
        }
        self.backoff.resume(self.backoff.retries().max(self.unreadable_count));
        self.unreadable_count = self.unreadable_count.saturating_add(1);
        self.stuck_count = self.stuck_count.saturating_add(u32::from(!has_progressed));
    }

    /// A poll has succeeded, or what could not be read will not come again.
    pub(super) const fn forget_unreadable(&mut self) {
        (self.unreadable_count, self.stuck_count) = (0, 0);
    }

    /// Something else is tried now, without a delay.
    pub(super) const fn restart_delays(&mut self) {
        self.backoff.reset();
        self.forget_unreadable();
    }

    /// Responses that could not be read since the last poll that succeeded.
    pub(super) const fn unreadable_count(&self) -> u32 {
        self.unreadable_count
    }

    /// Whether reading does not go on by itself, perhaps only after `more` responses that cannot be read.
    pub(super) const fn is_stuck_after(&self, more: u32) -> bool {
        self.stuck_count + more >= MAX_STUCK || self.unreadable_count >= MAX_UNREADABLE
    }

    /// Whether a probe that succeeds leaves the outage as it is.
    pub(super) fn is_poll_required(&self) -> bool {
        self.outage.as_ref().is_some_and(|outage| outage.needs_poll)
    }

    /// A connect has succeeded: all counters of failures start again.
    pub(super) fn restore(&mut self) {
        self.backoff.reset();
        self.busy_count = 0;
        self.outage = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Code;

    fn connect_loop() -> ConnectLoop {
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
    fn the_delays_for_a_busy_server_double_up_to_ten_minutes() {
        let mut connects = connect_loop();
        let mut rng = Rng::new(1);
        for least in [30_000, 60_000, 120_000, 240_000, 480_000, 600_000, 600_000] {
            let delay = connects.busy_delay(Millis(30_000), &mut rng).0;
            assert!((least..=least + least / 10).contains(&delay), "{delay}");
        }
    }

    #[test]
    fn polls_that_are_not_held_are_slowed_down() {
        let mut connects = connect_loop();
        let at = Moment::from_millis;
        let mut now = 0;
        for _ in 0..100 {
            now += connects.poll_delay(at(now), at(now + 2), 0).0 + 2;
        }
        assert!(now > 800_000, "{now}");
        assert_eq!(connects.poll_delay(at(now), at(now + 2), 1), Millis(0));
        assert_eq!(connects.poll_delay(at(now), at(now + 2), 0), Millis(0));
        assert_eq!(connects.poll_delay(at(now), at(now + 900), 0), Millis(0));
    }

    #[test]
    fn advice_beyond_the_timers_of_javascript_is_cut() {
        let mut connects = connect_loop();
        let huge = Some(i64::MAX);
        connects.apply_advice(&Advice { interval: huge, timeout: huge, ..Advice::default() });
        assert!(connects.timing.interval.0 + connects.timing.poll_timeout.0 < 2 * (1 << 31));
        assert!(connects.timing.poll_timeout.0 + 60_000 < 1 << 31);
    }

    #[test]
    fn delays_after_responses_that_cannot_be_read_grow_although_the_connection_works_in_between() {
        let mut connects = connect_loop();
        for count in 0..MAX_STUCK {
            assert!(!connects.is_stuck_after(0));
            connects.count_unreadable(false);
            assert_eq!(connects.backoff.retries(), count);
            connects.restore();
        }
        assert!(connects.is_stuck_after(0));
        connects.forget_unreadable();
        (0..MAX_UNREADABLE).for_each(|_| connects.count_unreadable(true));
        assert!(connects.is_stuck_after(0));
    }

    #[test]
    fn only_sessions_that_end_in_quick_succession_wait_longer_each_time() {
        let mut connects = connect_loop();
        let mut rng = Rng::new(5);
        assert_eq!(connects.restart_delay(Moment::default(), &mut rng), Millis(0));
        let total: u64 = (1..20).map(|s| connects.restart_delay(Moment::from_millis(s), &mut rng).0).sum();
        assert!(total > 5000, "{total}");
        assert_eq!(connects.restart_delay(Moment::from_millis(400_000), &mut rng), Millis(0));
    }

    #[test]
    fn a_session_is_gone_after_its_lifetime_without_a_connect() {
        let mut connects = connect_loop();
        let at = Moment::from_millis;
        connects.apply_advice(&Advice { max_interval: Some(10_000), ..Advice::default() });
        assert!(connects.fail(at(1000), Some(SessionError::new(Code::Network, "x"))));
        assert!(!connects.fail(at(2000), None));
        assert!(connects.outage.as_ref().is_some_and(|outage| outage.error.is_some()));
        assert!(!connects.is_session_gone_at(at(71_000), at(2000)));
        assert!(connects.is_session_gone_at(at(71_001), at(2000)));
        connects.restore();
        assert!(connects.outage.is_none());
    }
}
