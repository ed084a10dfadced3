//! When the connection counts as down, and when as up again.

use super::{ConnectLoop, Outage, Timing};
use crate::base::time::{Millis, Moment};
use crate::bayeux::errors::SessionError;

/// Responses that cannot be read and bring nothing on: that many in a row are no accident.
const MAX_STUCK: u32 = 3;
/// The same for those of which a part can be read.
const MAX_UNREADABLE: u32 = 10;

impl ConnectLoop {
    /// Whether the server has removed the session by then, because it got no connect since the outage began.
    pub(in crate::bayeux::session) fn is_session_gone_at(&self, at: Moment, now: Moment) -> bool {
        let since = self.outage.as_ref().map_or(now, |outage| outage.since);
        let Timing { interval, poll_timeout, max_interval } = self.timing;
        max_interval.is_some_and(|max_interval| {
            let lifetime = poll_timeout.0.saturating_add(interval.0).saturating_add(max_interval.0);
            at > since.after(Millis(lifetime))
        })
    }

    /// The connection is down. True if it was up before.
    pub(in crate::bayeux::session) fn fail(&mut self, now: Moment, error: Option<SessionError>) -> bool {
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
    pub(in crate::bayeux::session) fn require_poll(&mut self) {
        if let Some(outage) = &mut self.outage {
            outage.needs_poll = true;
        }
    }

    /// A response could not be read, or broke off. If that happens again, only a poll that succeeds ends the
    /// outage, and the delays grow until then.
    pub(in crate::bayeux::session) fn count_unreadable(&mut self, has_progressed: bool) {
        if self.unreadable_count > 0 {
            self.require_poll();
        }
        self.backoff.resume(self.backoff.retries().max(self.unreadable_count));
        self.unreadable_count = self.unreadable_count.saturating_add(1);
        self.stuck_count = self.stuck_count.saturating_add(u32::from(!has_progressed));
    }

    /// A poll has succeeded, or what could not be read will not come again.
    pub(in crate::bayeux::session) const fn forget_unreadable(&mut self) {
        (self.unreadable_count, self.stuck_count) = (0, 0);
    }

    /// Something else is tried now, without a delay.
    pub(in crate::bayeux::session) const fn restart_delays(&mut self) {
        self.backoff.reset();
        self.forget_unreadable();
    }

    /// Responses that could not be read since the last poll that succeeded.
    pub(in crate::bayeux::session) const fn unreadable_count(&self) -> u32 {
        self.unreadable_count
    }

    /// Whether reading does not go on by itself, perhaps only after `more` responses that cannot be read.
    pub(in crate::bayeux::session) const fn is_stuck_after(&self, more: u32) -> bool {
        self.stuck_count + more >= MAX_STUCK || self.unreadable_count >= MAX_UNREADABLE
    }

    /// Whether a probe that succeeds leaves the outage as it is.
    pub(in crate::bayeux::session) fn is_poll_required(&self) -> bool {
        self.outage.as_ref().is_some_and(|outage| outage.needs_poll)
    }

    /// A connect has succeeded: all counters of failures start again.
    pub(in crate::bayeux::session) fn restore(&mut self) {
        self.backoff.reset();
        self.busy_count = 0;
        self.outage = None;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::connect_loop;
    use super::*;
    use crate::base::error::Code;
    use crate::bayeux::message::Advice;

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
