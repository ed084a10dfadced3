//! Delivery: the batches that wait to be sent, and whether requests may be sent.

use super::Options;
use super::batch::{self, split};
use super::bisection::Bisection;
use super::breaker::Breaker;
use super::segment::{EventRange, Segment, SegmentId};
use crate::base::error::Error;
use crate::base::time::Moment;
use crate::engine::ordered_map::OrderedMap;

/// The batch of a request in flight.
#[derive(Clone, Debug)]
pub(super) struct SentBatch {
    pub(super) batch: Vec<EventRange>,
    pub(super) sent_at: Moment,
    pub(super) times_out_at: Moment,
}

impl SentBatch {
    pub(super) fn has(&self, segment: SegmentId, index: u32) -> bool {
        self.batch.iter().any(|range| range.segment == segment && range.from <= index && index < range.to)
    }
}

/// What waits to be sent, and what holds it up.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    /// Batches that wait to be sent.
    queued: Vec<Vec<EventRange>>,
    /// The batch that is being halved.
    bisection: Option<Bisection>,
    /// Bytes of events in one request at most.
    pub(super) batch_bytes: u64,
    pub(super) breaker: Breaker,
    pub(super) requests_left: u32,
    pub(super) is_paused: bool,
    /// Ready events do not wait for others.
    pub(super) is_flushing: bool,
}

impl Delivery {
    /// The seed is for the jitter of delays.
    pub(super) fn new(options: &Options, seed: u64) -> Self {
        Self {
            queued: Vec::new(),
            bisection: None,
            batch_bytes: options.batch_bytes,
            breaker: Breaker::new(options, seed),
            requests_left: u32::MAX,
            is_paused: false,
            is_flushing: false,
        }
    }

    /// How many requests may be in flight now.
    pub(super) fn max_requests(&self, now: Moment, concurrency: u32) -> u32 {
        let may_send = !self.is_paused && self.requests_left > 0 && self.breaker.delay_until() <= now;
        if may_send { self.breaker.max_requests(concurrency) } else { 0 }
    }

    pub(super) fn has_queued(&self) -> bool {
        !self.queued.is_empty()
    }

    /// Queues a batch before all others.
    pub(super) fn queue_first(&mut self, batch: Vec<EventRange>) {
        if !batch.is_empty() {
            self.queued.insert(0, batch);
        }
    }

    /// Takes all queued batches.
    pub(super) fn take_queued(&mut self) -> Vec<Vec<EventRange>> {
        core::mem::take(&mut self.queued)
    }

    /// Takes settled events out of the queued batches.
    pub(super) fn drop_settled(&mut self, segments: &OrderedMap<SegmentId, Segment>) {
        for batch in &mut self.queued {
            *batch = batch::unsettled(segments, batch);
        }
        self.queued.retain(|batch| !batch.is_empty());
    }

    /// The next queued batch, or its first events. Skips batches that would overtake another with the same
    /// ordering key.
    pub(super) fn next_queued<'a>(
        &mut self,
        segments: &OrderedMap<SegmentId, Segment>,
        in_flight: impl Iterator<Item = &'a SentBatch>,
        max_events: u32,
    ) -> Option<Vec<EventRange>> {
        let mut busy: OrderedMap<u32> = OrderedMap::new();
        for sent in in_flight {
            for ordering_key in batch::ordering_keys(segments, &sent.batch) {
                busy.add(ordering_key);
            }
        }
        let at = self.queued.iter().position(|batch| {
            let ordering_keys = batch::ordering_keys(segments, batch);
            let is_free = !ordering_keys.iter().any(|ordering_key| busy.contains(*ordering_key));
            for ordering_key in ordering_keys {
                busy.add(ordering_key);
            }
            is_free
        })?;
        let batch = self.queued.remove(at);
        let (head, tail) = split(&batch, max_events.min(batch::max_events(segments, &batch)));
        if !tail.is_empty() {
            self.queued.insert(at, tail);
        }
        Some(head)
    }

    /// Another leader halves its own batches.
    pub(super) fn end_bisection(&mut self) {
        self.bisection = None;
    }

    /// The server accepted a request with these events.
    pub(super) fn note_acceptance(&mut self, batch: &[EventRange]) {
        if let Some(bisection) = &mut self.bisection
            && bisection.contains(batch)
        {
            bisection.note_acceptance();
        }
    }

    /// The server refuses a batch of several events because of some of them: the batch that is being halved,
    /// or a part of it, or from now on this one.
    pub(super) fn bisect(&mut self, batch: &[EventRange]) {
        if !self.bisection.as_ref().is_some_and(|bisection| bisection.contains(batch)) {
            self.bisection = Some(Bisection::new(batch.to_vec()));
        }
    }

    /// The server refuses an event that was sent alone. Returns the queued events that are hopeless because of
    /// that.
    pub(super) fn note_refusal(&mut self, batch: &[EventRange], error: &Error) -> Vec<EventRange> {
        let is_hopeless = self
            .bisection
            .as_mut()
            .is_some_and(|bisection| bisection.contains(batch) && bisection.note_refusal(error.status));
        if !is_hopeless {
            return Vec::new();
        }
        let Some(bisection) = self.bisection.take() else { return Vec::new() };
        let mut hopeless = Vec::new();
        self.queued.retain(|batch| {
            let is_of_it = bisection.contains(batch);
            if is_of_it {
                hopeless.extend_from_slice(batch);
            }
            !is_of_it
        });
        hopeless
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Code;
    use crate::base::time::Millis;
    use crate::outbox::segment::StoreState;
    use crate::outbox::session::Contents;

    const ID: SegmentId = SegmentId::committed(1);

    fn events(from: u32, to: u32) -> Vec<EventRange> {
        vec![EventRange { segment: ID, from, to }]
    }

    /// A segment with these ordering keys.
    fn segments(ordering_keys: &[u32]) -> OrderedMap<SegmentId, Segment> {
        let mut contents = Contents::default();
        for ordering_key in ordering_keys {
            contents.push(10, *ordering_key);
        }
        let now = Moment::default();
        let mut all = OrderedMap::new();
        all.insert(ID, Segment::new(contents, StoreState::Written, now, now.after(Millis(1000))));
        all
    }

    fn sent(batch: Vec<EventRange>) -> SentBatch {
        SentBatch { batch, sent_at: Moment::default(), times_out_at: Moment::default() }
    }

    fn delivery() -> Delivery {
        Delivery::new(&Options::default(), 1)
    }

    #[test]
    fn a_queued_batch_overtakes_no_event_with_its_ordering_key() {
        let (mut delivery, segments) = (delivery(), segments(&[1, 2, 1, 3]));
        delivery.queue_first(events(3, 4));
        delivery.queue_first(events(2, 3));
        let in_flight = [sent(events(0, 1))];
        assert_eq!(delivery.next_queued(&segments, in_flight.iter(), 9), Some(events(3, 4)));
        assert_eq!(delivery.next_queued(&segments, in_flight.iter(), 9), None);
        assert_eq!(delivery.next_queued(&segments, [].iter(), 9), Some(events(2, 3)));
        assert!(!delivery.has_queued());
    }

    #[test]
    fn a_request_takes_the_first_events_of_a_queued_batch() {
        let (mut delivery, segments) = (delivery(), segments(&[0; 5]));
        delivery.queue_first(events(0, 5));
        assert_eq!(delivery.next_queued(&segments, [].iter(), 2), Some(events(0, 2)));
        assert_eq!(delivery.next_queued(&segments, [].iter(), 9), Some(events(2, 5)));
    }

    #[test]
    fn settled_events_leave_the_queue() {
        let (mut delivery, mut segments) = (delivery(), segments(&[0; 3]));
        delivery.queue_first(events(0, 3));
        segments.get_mut(ID).expect("a segment").settle(1);
        delivery.drop_settled(&segments);
        assert_eq!(delivery.take_queued(), [[events(0, 1), events(2, 3)].concat()]);
    }

    #[test]
    fn a_hopeless_batch_gives_up_its_queued_events_only() {
        let mut delivery = delivery();
        let error = Error { status: Some(400), ..Error::new(Code::Rejected) };
        delivery.bisect(&events(0, 50));
        delivery.bisect(&events(0, 25));
        delivery.queue_first(events(60, 70));
        delivery.queue_first(events(20, 50));
        for index in 0..7 {
            assert!(delivery.note_refusal(&events(index, index + 1), &error).is_empty());
        }
        assert!(delivery.note_refusal(&events(60, 61), &error).is_empty(), "it is of another batch");
        assert_eq!(delivery.note_refusal(&events(7, 8), &error), events(20, 50));
        assert_eq!(delivery.take_queued(), [events(60, 70)]);
    }

    #[test]
    fn nothing_is_sent_during_a_pause_or_without_requests() {
        let mut delivery = delivery();
        assert_eq!(delivery.max_requests(Moment::default(), 6), 6);
        delivery.is_paused = true;
        assert_eq!(delivery.max_requests(Moment::default(), 6), 0);
        (delivery.is_paused, delivery.requests_left) = (false, 0);
        assert_eq!(delivery.max_requests(Moment::default(), 6), 0);
    }
}
