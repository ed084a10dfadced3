//! Which requests are made, and when.

use super::Outbox;
use crate::base::error::{Code, Error};
use crate::base::ids::ExchangeId;
use crate::base::time::Moment;
use crate::outbox::batch::{self, BatchRules, Urgency};
use crate::outbox::delivery::SentBatch;
use crate::outbox::effect::Effect;
use crate::outbox::segment::{EventRange, Segment, SegmentId};

impl Outbox {
    /// Whether this outbox sends the stored events.
    pub fn set_leader(&mut self, now: Moment, is_leader: bool) {
        if self.is_leader != is_leader {
            self.is_leader = is_leader;
            if is_leader {
                self.delivery.breaker.end_delay();
            } else {
                self.lose_leadership();
            }
        }
        if !is_leader {
            // The store counts were for a leader.
            self.forget_unseen();
        }
        self.store_changed(now);
    }

    /// Stops sending, or sends again. Requests in flight finish.
    pub fn pause(&mut self, now: Moment, is_paused: bool) {
        self.delivery.is_paused = is_paused;
        self.advance(now);
    }

    /// Ready events no longer wait for others.
    pub fn flush_now(&mut self, now: Moment) {
        self.delivery.is_flushing = true;
        self.advance(now);
    }

    /// Requests may succeed now: ends backoff delays, except those that the server asked for.
    pub fn online(&mut self, now: Moment) {
        self.delivery.is_flushing = true;
        self.delivery.breaker.end_delay();
        self.store.end_delay(self.now);
        self.advance(now);
    }

    /// How many requests may start from now on.
    pub fn allow_requests(&mut self, now: Moment, requests: u32) {
        self.delivery.requests_left = requests;
        self.advance(now);
    }

    /// The page may be closed at any moment: sends up to `bytes` of ready and unwritten events, regardless of
    /// delays, but not during a pause. `one_per_request`: one segment per request, because the owner has
    /// prepared those bodies.
    pub fn page_hidden(&mut self, now: Moment, mut bytes: u64, one_per_request: bool) {
        self.tick(now);
        while !self.delivery.is_paused && bytes > 0 {
            let max = (self.options.batch_events, bytes.min(self.delivery.batch_bytes));
            let Some((batch, batch_bytes)) = self.pick(max, Urgency::PageHidden) else { break };
            let batch = self.without_expired(batch);
            if batch_bytes > bytes {
                // A single event larger than the remaining bytes.
                self.requeue(&batch);
                break;
            }
            bytes -= batch_bytes;
            if one_per_request {
                for range in batch {
                    self.send(vec![range], true);
                }
            } else if !batch.is_empty() {
                self.send(batch, true);
            }
        }
        self.write();
    }

    /// The server does not accept such requests: from now on they have fewer events, with this concurrency.
    /// The events of the exchange are sent again like that.
    pub fn limit_batches(&mut self, now: Moment, exchange: ExchangeId, events: u32, concurrency: u32) {
        let Some(sent) = self.finish(exchange) else { return };
        self.options.batch_events = events.max(1);
        self.options.concurrency = concurrency.max(1);
        self.delivery.breaker.succeed();
        self.requeue(&sent.batch);
        for batch in self.delivery.take_queued() {
            self.requeue(&batch);
        }
        self.advance(now);
    }

    /// The owner did not send the request of an exchange, and has paused the outbox. The request is the next one
    /// after the pause, and no attempt is counted.
    pub fn not_sent(&mut self, now: Moment, exchange: ExchangeId) {
        let Some(sent) = self.finish(exchange) else { return };
        self.counters.attempts = self.counters.attempts.saturating_sub(1);
        self.delivery.requests_left = self.delivery.requests_left.saturating_add(1);
        for range in &sent.batch {
            if let Some(segment) = self.segments.get_mut(range.segment) {
                segment.uncount_attempt(range.from, range.to);
            }
        }
        self.retry_batch(sent.batch);
        self.advance(now);
    }

    pub(super) fn dispatch(&mut self) {
        while self.may_send() {
            let max_events = self.delivery.breaker.max_events(self.options.batch_events);
            let queued = self.delivery.next_queued(&self.segments, self.exchanges.values(), max_events);
            let urgency = if self.delivery.is_flushing { Urgency::Flush } else { Urgency::Normal };
            let max = (max_events, self.delivery.batch_bytes);
            let Some(batch) = queued.or_else(|| Some(self.pick(max, urgency)?.0)) else { break };
            let batch = self.without_expired(batch);
            if !batch.is_empty() {
                self.send(batch, false);
            }
        }
        if self.delivery.is_flushing && self.counters.pending() == 0 && self.segments.is_empty() {
            self.delivery.is_flushing = false;
        }
    }

    /// The events of a batch without those that have expired by the clock of the destination, which become dead
    /// letters.
    fn without_expired(&mut self, batch: Vec<EventRange>) -> Vec<EventRange> {
        if !self.wall_clock.is_confirmed() {
            return batch;
        }
        let unix_ms = self.wall_clock.unix_ms(self.now);
        let is_over = |segment: &Segment, index: u32| {
            segment.expiry_times.is_over(index, segment.attempts(index), unix_ms)
        };
        let mut over = Vec::new();
        for range in &batch {
            let Some(segment) = self.segments.get(range.segment) else { continue };
            let indices = (range.from..range.to).filter(|index| is_over(segment, *index));
            over.extend(indices.map(|index| (range.segment, index)));
        }
        if over.is_empty() {
            return batch;
        }
        for (segment, index) in over {
            self.mark_dead(segment, index, Error::new(Code::ExpiryTime), true);
        }
        batch::unsettled(&self.segments, &batch)
    }

    fn may_send(&self) -> bool {
        let max_requests = self.delivery.max_requests(self.now, self.options.concurrency);
        // After a crash, requests with an unwritten outcome would be repeated like those in flight.
        self.exchanges.in_flight() + self.writes.unrecorded() < max_requests as usize
    }

    /// Picks events for a request, up to a number of events and bytes. Returns them and their bytes.
    fn pick(&mut self, max: (u32, u64), urgency: Urgency) -> Option<(Vec<EventRange>, u64)> {
        let rules = BatchRules {
            max_events: max.0,
            max_bytes: max.1,
            now: self.now,
            linger: self.options.linger,
            one_per_ordering_key: self.options.one_per_ordering_key,
            is_leader: self.is_leader,
            is_unscanned: self.store.is_unscanned(),
            oldest_unknown: if self.store.is_unscanned() {
                Some(SegmentId::FIRST)
            } else {
                self.store.oldest_evicted()
            },
            urgency,
        };
        let (batch, bytes) = batch::pick(&self.segments, &rules)?;
        for range in &batch {
            if let Some(segment) = self.segments.get_mut(range.segment) {
                segment.mark_batched(range.from, range.to);
            }
        }
        Some((batch, bytes))
    }

    fn send(&mut self, batch: Vec<EventRange>, is_page_hidden: bool) {
        for range in &batch {
            if let Some(segment) = self.segments.get_mut(range.segment) {
                segment.count_attempt(range.from, range.to);
            }
        }
        self.counters.attempts += 1;
        self.delivery.requests_left = self.delivery.requests_left.saturating_sub(1);
        let times_out_at = self.now.after(self.options.timeout);
        let sent = SentBatch { batch: batch.clone(), sent_at: self.now, times_out_at };
        let exchange = self.exchanges.register(sent);
        self.record_progress(&batch);
        self.exchanges.emit(Effect::Send { exchange, batch, is_page_hidden });
    }

    /// The request of an exchange has ended, however it did: its events are no longer in flight.
    pub(super) fn finish(&mut self, exchange: ExchangeId) -> Option<SentBatch> {
        let sent = self.exchanges.finish(exchange)?;
        self.record_progress(&sent.batch);
        Some(sent)
    }

    /// Stores what a later program has to know of the requests of these events.
    pub(super) fn record_progress(&mut self, batch: &[EventRange]) {
        if self.options.in_flight.0 == 0 {
            return;
        }
        for range in batch {
            if self.segments.contains(range.segment) {
                self.writes.progress(range.segment);
            }
        }
    }
}
