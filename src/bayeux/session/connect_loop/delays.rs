//! How long the client waits before it tries again.

use super::ConnectLoop;
use crate::base::time::{Millis, Moment};
use crate::engine::jitter::Rng;

/// The longest delay after the server has reported that it is busy.
const MAX_BUSY_DELAY_MS: u64 = 600_000;
/// A poll without events that is answered sooner than this was not held.
const QUICK_POLL: Millis = Millis(500);
/// That many of them may follow one another.
const MAX_QUICK_POLLS: u32 = 3;
/// The longest delay after a poll that was not held.
const MAX_QUICK_POLL_DELAY_MS: u64 = 10_000;
/// Sessions that end sooner than this after another count as ends in quick succession.
const QUICK_RESTART: Millis = Millis(300_000);

impl ConnectLoop {
    /// The next backoff delay, at least `min_delay` and the advised interval.
    pub(in crate::bayeux::session) fn retry_delay(
        &mut self,
        min_delay: Option<Millis>,
        rng: &mut Rng,
    ) -> Millis {
        let delay = self.backoff.next_delay(rng);
        delay.max(min_delay.unwrap_or_default()).max(self.timing.interval)
    }

    /// The delay before the next poll, after one that brought that many events. A server that holds no poll,
    /// and advises no interval, would otherwise be polled without a break.
    pub(in crate::bayeux::session) fn poll_delay(
        &mut self,
        sent: Moment,
        now: Moment,
        event_count: usize,
    ) -> Millis {
        let is_quick = event_count == 0 && now < sent.after(QUICK_POLL);
        self.quick_polls = if is_quick { self.quick_polls.saturating_add(1) } else { 0 };
        let Some(excess) = self.quick_polls.checked_sub(MAX_QUICK_POLLS) else { return self.timing.interval };
        let delay = (100 << excess.min(16)).min(MAX_QUICK_POLL_DELAY_MS);
        Millis(delay).max(self.timing.interval)
    }

    /// The delay before another session or login, after one that worked. The first one starts at once; those
    /// in quick succession wait longer each time, so that a server that ends every session is not flooded.
    pub(in crate::bayeux::session) fn restart_delay(&mut self, now: Moment, rng: &mut Rng) -> Millis {
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
    pub(in crate::bayeux::session) fn resubscribe_delay(&self, rng: &mut Rng) -> Millis {
        self.backoff.delay_after(2, rng)
    }

    /// The delay for a busy server: `least`, doubled each time up to ten minutes, plus up to 10 % jitter.
    pub(in crate::bayeux::session) fn busy_delay(&mut self, least: Millis, rng: &mut Rng) -> Millis {
        let delay = least.0.saturating_mul(1 << self.busy_count.min(16)).min(MAX_BUSY_DELAY_MS.max(least.0));
        self.busy_count = self.busy_count.saturating_add(1);
        Millis(delay + rng.up_to(delay / 10))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::connect_loop;
    use super::*;

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
    fn only_sessions_that_end_in_quick_succession_wait_longer_each_time() {
        let mut connects = connect_loop();
        let mut rng = Rng::new(5);
        assert_eq!(connects.restart_delay(Moment::default(), &mut rng), Millis(0));
        let total: u64 = (1..20).map(|s| connects.restart_delay(Moment::from_millis(s), &mut rng).0).sum();
        assert!(total > 5000, "{total}");
        assert_eq!(connects.restart_delay(Moment::from_millis(400_000), &mut rng), Millis(0));
    }
}
