//! When requests may be sent after failures.
//!
//! ```text
//!   sending ──failure──> one request at a time, after a delay ──8 in a row──> small probes, after long delays
//!      ▲                                   │                                                │
//!      └──────────────success──────────────┴────────────────────────────────────────────────┘
//! ```

use super::Options;
use crate::base::time::{Millis, Moment};
use crate::engine::backoff::Backoff;
use crate::engine::jitter::Rng;

/// After this many failures in a row, requests are probes with few events, and delays are long.
const BREAKER_FAILURES: u32 = 8;
const PROBE_EVENTS: u32 = 10;
/// Upper limit of the delays when it seems that an extension of the browser blocks all requests.
const MAX_BLOCKED_DELAY: Millis = Millis(60 * 60 * 1000);
/// Upper limit for `Retry-After`.
pub(super) const MAX_RETRY_AFTER: Millis = Millis(60 * 60 * 1000);

/// The failures of requests, and the delay after them.
#[derive(Clone, Debug)]
pub(super) struct Breaker {
    backoff: Backoff,
    max_delay: Millis,
    rng: Rng,
    /// How many requests in a row have failed.
    failures: u32,
    /// How many requests in a row the browser has refused without a reason.
    blocked: u32,
    delay_until: Moment,
    /// Until when the server asked to wait.
    retry_after_until: Moment,
}

impl Breaker {
    /// The seed is for the jitter of delays.
    pub(super) fn new(options: &Options, seed: u64) -> Self {
        Self {
            backoff: Backoff::new(options.base_delay, options.max_delay, 0),
            max_delay: options.max_delay,
            rng: Rng::new(seed),
            failures: 0,
            blocked: 0,
            delay_until: Moment::default(),
            retry_after_until: Moment::default(),
        }
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// No request is sent before.
    pub(super) fn delay_until(&self) -> Moment {
        self.delay_until
    }

    /// Simultaneous requests: after a failure a single one probes the server.
    pub(super) fn max_requests(&self, concurrency: u32) -> u32 {
        if self.failures > 0 { 1 } else { concurrency }
    }

    /// Events in one request.
    pub(super) fn max_events(&self, batch_events: u32) -> u32 {
        if self.failures >= BREAKER_FAILURES { PROBE_EVENTS } else { batch_events }
    }

    /// Whether it seems that an extension of the browser blocks all requests.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked >= BREAKER_FAILURES
    }

    /// Ends the delay, except the one that the server asked for.
    pub(super) fn end_delay(&mut self) {
        self.delay_until = self.retry_after_until;
    }

    /// A request has ended: whether the browser refused it without a reason.
    pub(super) fn note_blocked(&mut self, is_blocked: bool) {
        self.blocked = if is_blocked { self.blocked.saturating_add(1) } else { 0 };
    }

    /// A request succeeded.
    pub(super) fn succeed(&mut self) {
        self.failures = 0;
        self.backoff.reset();
    }

    /// A request failed. Returns the delay before the next one.
    pub(super) fn fail(&mut self, now: Moment, retry_after: Option<Millis>, sent_at: Moment) -> Millis {
        let retry_after = retry_after.map_or(Millis(0), |delay| delay.min(MAX_RETRY_AFTER));
        self.retry_after_until = self.retry_after_until.max(now.after(retry_after));
        // Failures of requests that were in flight together count as one.
        if self.failures == 0 || sent_at >= self.delay_until {
            self.failures += 1;
            let mut delay = self.backoff.next_delay(&mut self.rng);
            if self.failures >= BREAKER_FAILURES {
                delay = Millis(self.max_delay.0 / 2 + delay.0 / 2);
            }
            if self.is_blocked() {
                let doublings = (self.blocked - BREAKER_FAILURES + 1).min(32);
                let longer = Millis(self.max_delay.0.saturating_mul(1 << doublings));
                delay = longer.min(MAX_BLOCKED_DELAY).max(delay);
            }
            self.delay_until = now.after(delay);
        }
        self.delay_until = self.delay_until.max(self.retry_after_until);
        Millis(self.delay_until.as_millis() - now.as_millis())
    }

    /// The delay of an event that was in so many requests and that the server has not accepted.
    pub(super) fn event_delay(&mut self, attempts: u32, retry_after: Option<Millis>) -> Millis {
        let delay = self.backoff.delay_after(attempts.saturating_sub(1), &mut self.rng);
        delay.max(retry_after.map_or(Millis(0), |delay| delay.min(MAX_RETRY_AFTER)))
    }

    /// Continues after the failures of an earlier program, if there were more.
    pub(super) fn resume(&mut self, now: Moment, failures: u32, delay: Millis) {
        if failures > self.failures {
            self.failures = failures;
            self.backoff.resume(failures);
            self.delay_until = self.delay_until.max(now.after(delay.min(MAX_RETRY_AFTER)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(&Options::default(), 1)
    }

    fn at(millis: u64) -> Moment {
        Moment::from_millis(millis)
    }

    #[test]
    fn failures_of_requests_in_flight_together_count_as_one() {
        let mut breaker = breaker();
        for _ in 0..5 {
            breaker.fail(at(1000), None, at(900));
        }
        // The delay may be 0, which ends at the moment of the failure.
        assert_eq!(breaker.failures(), 1);
        assert_eq!((breaker.max_requests(6), breaker.max_events(250)), (1, 250));
        breaker.succeed();
        assert_eq!((breaker.failures(), breaker.max_requests(6)), (0, 6));
    }

    #[test]
    fn after_eight_failures_requests_are_probes_and_delays_are_long() {
        let mut breaker = breaker();
        for _ in 0..8 {
            let now = breaker.delay_until();
            breaker.fail(now, None, now);
        }
        assert_eq!(breaker.max_events(250), PROBE_EVENTS);
        let now = breaker.delay_until();
        assert!(breaker.fail(now, None, now) >= Millis(15_000));
        assert!(!breaker.is_blocked());
    }

    #[test]
    fn only_the_server_can_ask_for_a_delay_that_nothing_ends() {
        let mut breaker = breaker();
        assert!(breaker.fail(at(0), Some(Millis(5000)), at(0)) >= Millis(5000));
        breaker.end_delay();
        assert_eq!(breaker.delay_until(), at(5000));
        assert_eq!(breaker.event_delay(1, Some(Millis(u64::MAX))), MAX_RETRY_AFTER);
    }

    #[test]
    fn requests_that_are_blocked_again_and_again_wait_up_to_an_hour() {
        let mut breaker = breaker();
        for _ in 0..20 {
            breaker.note_blocked(true);
            let now = breaker.delay_until();
            breaker.fail(now, None, now);
        }
        assert!(breaker.is_blocked());
        let now = breaker.delay_until();
        assert_eq!(breaker.fail(now, None, now), MAX_BLOCKED_DELAY);
        breaker.note_blocked(false);
        assert!(!breaker.is_blocked());
    }

    #[test]
    fn a_later_program_continues_only_after_more_failures() {
        let mut breaker = breaker();
        breaker.resume(at(100), 3, Millis(700));
        assert_eq!((breaker.failures(), breaker.delay_until()), (3, at(800)));
        breaker.resume(at(100), 2, Millis(9000));
        assert_eq!((breaker.failures(), breaker.delay_until()), (3, at(800)));
    }
}
