//! Bisection: a batch that the server refuses is halved until the culprits stand alone. If only culprits show
//! up, the server refuses all of it, and the rest is given up.
//!
//! ```text
//!   none ──a batch of several is refused──> bisecting ──8 single events refused, none accepted──> rest is dead
//!                                               └──────an event of it is accepted──> bisected to the end
//! ```

use super::segment::EventRange;

/// After this many refusals of single events with the same status, and no acceptance, the rest is given up.
const MAX_REFUSALS: u32 = 8;

/// The bisection of one batch.
#[derive(Clone, Debug)]
pub(super) struct Bisection {
    batch: Vec<EventRange>,
    has_acceptance: bool,
    /// The status of the last refusals, and how many there were.
    refusals: (Option<u16>, u32),
}

impl Bisection {
    pub(super) fn new(batch: Vec<EventRange>) -> Self {
        Self { batch, has_acceptance: false, refusals: (None, 0) }
    }

    /// Whether all of these events are of the batch.
    pub(super) fn contains(&self, events: &[EventRange]) -> bool {
        events.iter().all(|range| {
            self.batch
                .iter()
                .any(|own| own.segment == range.segment && own.from <= range.from && range.to <= own.to)
        })
    }

    /// Events of the batch were accepted.
    pub(super) fn note_acceptance(&mut self) {
        self.has_acceptance = true;
    }

    /// A single event of the batch was refused. Returns whether the rest is hopeless.
    pub(super) fn note_refusal(&mut self, status: Option<u16>) -> bool {
        let count = if self.refusals.0 == status { self.refusals.1 + 1 } else { 1 };
        self.refusals = (status, count);
        !self.has_acceptance && count >= MAX_REFUSALS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::segment::SegmentId;

    fn events(from: u32, to: u32) -> Vec<EventRange> {
        vec![EventRange { segment: SegmentId(1), from, to }]
    }

    #[test]
    fn the_rest_is_hopeless_after_eight_equal_refusals_without_an_acceptance() {
        let mut bisection = Bisection::new(events(0, 100));
        assert!((0..7).all(|_| !bisection.note_refusal(Some(400))));
        assert!(!bisection.note_refusal(Some(422)), "another status counts from the start");
        assert!((0..6).all(|_| !bisection.note_refusal(Some(422))));
        assert!(bisection.note_refusal(Some(422)));
        bisection.note_acceptance();
        assert!(!bisection.note_refusal(Some(422)));
    }

    #[test]
    fn contains_only_its_own_events() {
        let bisection = Bisection::new(events(10, 20));
        assert!(bisection.contains(&events(10, 20)) && bisection.contains(&events(12, 13)));
        assert!(!bisection.contains(&events(9, 12)) && !bisection.contains(&events(20, 21)));
    }
}
