//! Events that expire by an attribute of their own, and the clock that decides.
//!
//! ```text
//!   the time has passed ──┬─ by the clock of the destination ──> dead, without a request
//!                         └─ only by the clock here ──> sent once ──fails, and may be retried──> dead
//! ```
//!
//! The clock here may be wrong, and must cost no event its first request. A destination tells its clock in the
//! header `Date` of a response.

use crate::base::time::Moment;

/// When events of a segment expire.
#[derive(Clone, Debug, Default)]
pub struct ExpiryTimes {
    /// One Unix time in milliseconds for each event; NaN for an event that does not expire. Empty if none does.
    times: Vec<f64>,
    /// The application has replayed the events. Each is sent once, whatever the destination's clock says.
    is_replayed: bool,
}

impl ExpiryTimes {
    /// From one Unix time in milliseconds for each event; NaN for an event that does not expire.
    pub const fn new(times: Vec<f64>, is_replayed: bool) -> Self {
        Self { times, is_replayed }
    }

    /// Whether the time of an event has passed.
    pub(super) fn has_passed(&self, index: u32, unix_ms: u64) -> bool {
        self.times.get(index as usize).is_some_and(|time| *time <= unix_ms as f64)
    }

    /// Whether an event that was in so many requests needs no further one.
    pub(super) fn is_over(&self, index: u32, attempts: u32, unix_ms: u64) -> bool {
        self.has_passed(index, unix_ms) && (!self.is_replayed || attempts > 0)
    }
}

/// The time of day, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock {
    /// Unix time in milliseconds at `at`.
    unix_ms: u64,
    at: Moment,
    /// Whether it is the time of the destination.
    is_confirmed: bool,
}

impl WallClock {
    /// The clock here, which shows `unix_ms` now.
    pub const fn own(now: Moment, unix_ms: u64) -> Self {
        Self { unix_ms, at: now, is_confirmed: false }
    }

    /// The clock of the destination: the header `Date` of a response that came at `at`, in Unix milliseconds.
    pub const fn of_destination(at: Moment, unix_ms: u64) -> Self {
        Self { unix_ms, at, is_confirmed: true }
    }

    pub(super) fn is_confirmed(&self) -> bool {
        self.is_confirmed
    }

    /// Unix time in milliseconds. A `Date` has no fraction of a second, so that of a destination is up to a
    /// second slow, and never fast.
    pub(super) fn unix_ms(&self, now: Moment) -> u64 {
        self.unix_ms.saturating_add(now.as_millis().saturating_sub(self.at.as_millis()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_goes_on_from_when_it_was_told() {
        let at = Moment::from_millis;
        let (told, own) = (WallClock::of_destination(at(7000), 60_000), WallClock::own(at(9000), 5000));
        assert_eq!((told.unix_ms(at(7000)), told.unix_ms(at(9500))), (60_000, 62_500));
        assert_eq!((own.unix_ms(at(9000)), own.unix_ms(at(8000))), (5000, 5000));
        assert!(told.is_confirmed() && !own.is_confirmed());
    }

    #[test]
    fn a_replayed_event_is_over_only_after_a_request() {
        let times = vec![f64::NAN, 1000.0, -5.0];
        let (own, replayed) = (ExpiryTimes::new(times.clone(), false), ExpiryTimes::new(times, true));
        assert!(!own.is_over(0, 0, u64::MAX), "it never expires");
        assert!(!own.is_over(1, 0, 999) && own.is_over(1, 0, 1000) && own.is_over(2, 0, 0));
        assert!(!own.is_over(3, 0, u64::MAX), "there is no such event");
        assert!(!replayed.is_over(1, 0, 1000) && replayed.is_over(1, 1, 1000));
    }
}
