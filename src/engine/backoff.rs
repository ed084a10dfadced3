//! The delay before the next attempt.

use super::jitter::Rng;
use crate::base::time::Millis;

/// Exponential backoff with full jitter: a random delay from 0 to `base * 2^retries`, at most `max`.
/// A delay that the server asked for with `Retry-After` is the lower limit.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Millis,
    max: Millis,
    retries_left: u32,
    retries: u32,
}

impl Backoff {
    /// A backoff whose [`Self::retry_delay`] allows `retries` attempts after the first.
    pub const fn new(base: Millis, max: Millis, retries: u32) -> Self {
        Self { base, max, retries_left: retries, retries: 0 }
    }

    /// The delay before the next attempt. `None` if no retry is left, or `retry_after` is more than `max`.
    pub fn retry_delay(&mut self, retry_after: Option<Millis>, rng: &mut Rng) -> Option<Millis> {
        self.retries_left = self.retries_left.checked_sub(1)?;
        let delay = self.next_delay(rng);
        match retry_after {
            Some(retry_after) if retry_after > self.max => None,
            Some(retry_after) => Some(retry_after.max(delay)),
            None => Some(delay),
        }
    }

    /// The delay before the next attempt, without a limit on the number of attempts.
    pub fn next_delay(&mut self, rng: &mut Rng) -> Millis {
        let delay = self.delay_after(self.retries, rng);
        self.retries = (self.retries + 1).min(32);
        delay
    }

    /// The delay after `retries` earlier retries. Does not change the state.
    pub fn delay_after(&self, retries: u32, rng: &mut Rng) -> Millis {
        // A plain shift would lose the high bits.
        let factor = 1u64.checked_shl(retries).unwrap_or(u64::MAX);
        Millis(rng.up_to(self.base.0.saturating_mul(factor).min(self.max.0)))
    }

    /// The earlier retries.
    pub const fn retries(&self) -> u32 {
        self.retries
    }

    /// Continues after so many earlier retries.
    pub fn resume(&mut self, retries: u32) {
        self.retries = retries.min(32);
    }

    /// Starts again at the first delay. Called after a success.
    pub const fn reset(&mut self) {
        self.retries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_up_to_the_maximum_until_no_retry_is_left() {
        let mut rng = Rng::new(3);
        let mut backoff = Backoff::new(Millis(100), Millis(1000), 8);
        for ceiling in [100, 200, 400, 800, 1000, 1000, 1000, 1000] {
            assert!(backoff.retry_delay(None, &mut rng).is_some_and(|delay| delay.0 <= ceiling));
        }
        assert_eq!(backoff.retry_delay(None, &mut rng), None);
    }

    #[test]
    fn the_delay_is_never_shorter_than_the_server_asks() {
        let mut backoff = Backoff::new(Millis(1), Millis(60_000), 1);
        assert!(
            backoff.retry_delay(Some(Millis(5000)), &mut Rng::new(1)).is_some_and(|delay| delay.0 >= 5000)
        );
    }

    #[test]
    fn gives_up_when_the_server_asks_for_more_than_the_maximum() {
        let mut backoff = Backoff::new(Millis(1), Millis(60_000), 9);
        assert_eq!(backoff.retry_delay(Some(Millis(60_001)), &mut Rng::new(1)), None);
    }
}
