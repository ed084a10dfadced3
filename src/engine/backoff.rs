//! How long to rest before the next try.

use super::jitter::Rng;
use crate::base::time::Millis;

/// Exponential back-off with full jitter: a random rest between 0 and `base * 2^tries`, at most `max`.
/// A rest that the server asked for is a floor, because it is an answer to this very request.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Millis,
    max: Millis,
    tries_left: u32,
    tries: u32,
}

impl Backoff {
    /// Allows that many further tries after the first.
    pub const fn new(base: Millis, max: Millis, tries: u32) -> Self {
        Self { base, max, tries_left: tries, tries: 0 }
    }

    /// The next rest, or `None` to give up: no try is left, or the server asks for more than `max`.
    pub fn next(&mut self, hint: Option<Millis>, rng: &mut Rng) -> Option<Millis> {
        self.tries_left = self.tries_left.checked_sub(1)?;
        let rest = self.rest(rng);
        match hint {
            Some(hint) if hint > self.max => None,
            Some(hint) => Some(hint.max(rest)),
            None => Some(rest),
        }
    }

    /// The next rest, for those who never give up.
    pub fn rest(&mut self, rng: &mut Rng) -> Millis {
        let rest = self.delay_after(self.tries, rng);
        self.tries = (self.tries + 1).min(32);
        rest
    }

    /// A rest after so many tries before the last.
    pub fn delay_after(&self, tries: u32, rng: &mut Rng) -> Millis {
        // Not a plain shift: it would lose the high bits.
        let factor = 1u64.checked_shl(tries).unwrap_or(u64::MAX);
        Millis(rng.up_to(self.base.0.saturating_mul(factor).min(self.max.0)))
    }

    /// It worked: the next rest is a first one again.
    pub const fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_up_to_the_ceiling_and_gives_up() {
        let mut rng = Rng::new(3);
        let mut backoff = Backoff::new(Millis(100), Millis(1000), 8);
        for ceiling in [100, 200, 400, 800, 1000, 1000, 1000, 1000] {
            assert!(backoff.next(None, &mut rng).is_some_and(|rest| rest.0 <= ceiling));
        }
        assert_eq!(backoff.next(None, &mut rng), None);
    }

    #[test]
    fn never_rests_less_than_the_server_asks() {
        let mut backoff = Backoff::new(Millis(1), Millis(60_000), 1);
        assert!(backoff.next(Some(Millis(5000)), &mut Rng::new(1)).is_some_and(|rest| rest.0 >= 5000));
    }

    #[test]
    fn gives_up_when_the_server_asks_for_too_much() {
        let mut backoff = Backoff::new(Millis(1), Millis(60_000), 9);
        assert_eq!(backoff.next(Some(Millis(60_001)), &mut Rng::new(1)), None);
    }
}
