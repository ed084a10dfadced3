//! What responses mean for events: which are delivered, dead, or sent again.

use super::Outbox;
use crate::base::error::{Code, Error};
use crate::base::http::{Failure, Response};
use crate::base::ids::ExchangeId;
use crate::base::time::{Millis, Moment};
use crate::outbox::answer::{Answer, Classified, Classifier, classify, classify_status};
use crate::outbox::batch::{self, split};
use crate::outbox::delivery::SentBatch;
use crate::outbox::effect::Effect;
use crate::outbox::segment::{EventRange, Segment, SegmentId, StoreState};

impl Outbox {
    /// A response with a status for each event of the request, in order.
    pub fn response_each(
        &mut self,
        now: Moment,
        exchange: ExchangeId,
        statuses: &[u32],
        retry_after: Option<Millis>,
    ) {
        let Some(sent) = self.finish(exchange) else { return };
        self.now = self.now.max(now);
        self.delivery.breaker.note_blocked(false);
        // An event without a status was not accepted, as far as is known.
        let answer = |index: usize| classify_status(statuses.get(index).map_or(0, |status| *status as u16));
        self.apply_each(&sent, &answer, retry_after);
        self.advance(now);
    }

    /// A response that the classifier of the system interprets.
    pub fn response(&mut self, now: Moment, exchange: ExchangeId, response: &Response, classify: Classifier) {
        let Some(sent) = self.finish(exchange) else { return };
        self.now = self.now.max(now);
        self.delivery.breaker.note_blocked(false);
        match classify(response, batch::len(&sent.batch)) {
            Classified::All(answer) => self.apply(sent, answer),
            Classified::Each(answers, rest) => {
                let answer = |index: usize| answers.get(index).unwrap_or(&rest).clone();
                self.apply_each(&sent, &answer, response.retry_after);
            }
        }
        self.advance(now);
    }

    fn apply_each(
        &mut self,
        sent: &SentBatch,
        answer: &dyn Fn(usize) -> Answer,
        retry_after: Option<Millis>,
    ) {
        let (mut is_progress, mut answered) = (false, 0);
        let (mut last_error, mut delayed) = (None, Vec::new());
        for range in &sent.batch {
            for index in range.from..range.to {
                answered += 1;
                match answer(answered - 1) {
                    Answer::Delivered(status) => {
                        is_progress = true;
                        self.mark_delivered(EventRange { from: index, to: index + 1, ..*range }, status);
                    }
                    Answer::TooLarge(error) | Answer::Rejected(error) => {
                        is_progress = true;
                        self.mark_dead(range.segment, index, error, true);
                    }
                    Answer::Retry(error, _) => match self.final_error(range.segment, index, &error) {
                        Some(last) => self.mark_dead(range.segment, index, last, true),
                        None => {
                            delayed.push((range.segment, index));
                            last_error = Some(error);
                        }
                    },
                }
            }
        }
        self.delay_events(&delayed, retry_after);
        if is_progress {
            self.delivery.breaker.succeed();
            self.writes.note_outcome();
        } else if let Some(error) = last_error {
            self.back_off(error, retry_after, sent.sent_at);
        }
    }

    pub(super) fn apply_outcome(&mut self, sent: SentBatch, outcome: &Result<Response, Failure>) {
        self.delivery.breaker.note_blocked(matches!(outcome, Err(Failure::Blocked)));
        self.apply(sent, classify(outcome));
    }

    fn apply(&mut self, sent: SentBatch, answer: Answer) {
        match answer {
            Answer::Delivered(status) => {
                self.delivery.breaker.succeed();
                self.delivery.note_acceptance(&sent.batch);
                for range in sent.batch {
                    self.mark_delivered(range, status);
                }
                self.writes.note_outcome();
            }
            Answer::Retry(error, retry_after) => {
                let batch = self.give_up(sent.batch, &error);
                self.retry_batch(batch);
                self.back_off(error, retry_after, sent.sent_at);
            }
            Answer::Rejected(error) | Answer::TooLarge(error) => {
                self.delivery.breaker.succeed();
                self.refused(&sent.batch, &error);
            }
        }
    }

    /// The server refuses these events: several are sent again in two halves, a single one is dead.
    fn refused(&mut self, batch: &[EventRange], error: &Error) {
        let events = batch::len(batch);
        if events > 1 {
            if error.code == Code::TooLarge {
                self.delivery.batch_bytes = (batch::bytes(&self.segments, batch) / 2).max(1);
            } else {
                self.delivery.bisect(batch);
            }
            let (head, tail) = split(batch, events / 2);
            self.retry_batch(tail);
            self.retry_batch(head);
        } else if let Some(range) = batch.first() {
            let hopeless = self.delivery.note_refusal(batch, error);
            self.mark_dead(range.segment, range.from, error.clone(), true);
            for range in hopeless {
                for index in range.from..range.to {
                    self.mark_dead(range.segment, index, error.clone(), false);
                }
            }
            self.writes.note_outcome();
        }
    }

    /// Sends a batch again, before all others. If it belongs to another leader now, that one sends its events: it
    /// also finds what was sent here before it was stored, and was stored meanwhile.
    pub(super) fn retry_batch(&mut self, batch: Vec<EventRange>) {
        let batch = batch::unsettled(&self.segments, &batch);
        let is_leader = self.is_leader;
        let is_of_others = |segment: &Segment| {
            segment.is_released || (!is_leader && segment.store_state == StoreState::Written)
        };
        if batch.iter().any(|range| self.segments.get(range.segment).is_some_and(is_of_others)) {
            self.requeue(&batch);
        } else {
            self.delivery.queue_first(batch);
        }
    }

    /// Makes dead letters of the events that have failed too often, or for too long. Returns the others.
    fn give_up(&mut self, batch: Vec<EventRange>, error: &Error) -> Vec<EventRange> {
        let is_hopeless = |range: &EventRange| {
            (range.from..range.to).any(|index| self.final_error(range.segment, index, error).is_some())
        };
        if !batch.iter().any(is_hopeless) {
            return batch;
        }
        let mut remaining = Vec::new();
        for range in batch {
            for index in range.from..range.to {
                if let Some(error) = self.final_error(range.segment, index, error) {
                    self.mark_dead(range.segment, index, error, true);
                } else {
                    remaining.push(EventRange { from: index, to: index + 1, ..range });
                }
            }
        }
        self.writes.note_outcome();
        remaining
    }

    /// The error with which an event becomes a dead letter after a failed request, if it was in as many
    /// requests as it may be, or is too old. Age alone costs no event its first attempt, because clocks may be
    /// wrong.
    fn final_error(&self, segment: SegmentId, index: u32, error: &Error) -> Option<Error> {
        let segment = self.segments.get(segment)?;
        if segment.attempts(index) >= self.options.max_attempts {
            Some(error.clone())
        } else if segment.expires <= self.now {
            Some(Error::new(Code::Expired))
        } else if segment.expiry_times.has_passed(index, self.wall_clock.unix_ms(self.now)) {
            Some(Error::new(Code::ExpiryTime))
        } else {
            None
        }
    }

    /// A request failed: delays the next one.
    fn back_off(&mut self, error: Error, retry_after: Option<Millis>, sent_at: Moment) {
        let breaker = &mut self.delivery.breaker;
        let delay = breaker.fail(self.now, retry_after, sent_at);
        let (failures, is_blocked) = (breaker.failures(), breaker.is_blocked());
        self.exchanges.emit(Effect::Retry { error, delay, failures, is_blocked });
    }

    /// Delays those events of a request that the server did not accept. They get the same delay, so that they
    /// share the next request.
    fn delay_events(&mut self, events: &[(SegmentId, u32)], retry_after: Option<Millis>) {
        let attempts =
            |(segment, index): &(SegmentId, u32)| Some(self.segments.get(*segment)?.attempts(*index));
        let Some(attempts) = events.iter().filter_map(attempts).max() else { return };
        let delay = self.delivery.breaker.event_delay(attempts, retry_after);
        for (id, index) in events {
            if let Some(segment) = self.segments.get_mut(*id) {
                segment.requeue(*index, Some(self.now.after(delay)));
            }
        }
    }

    /// Makes the events of a batch ready again.
    pub(super) fn requeue(&mut self, batch: &[EventRange]) {
        for range in batch {
            if let Some(segment) = self.segments.get_mut(range.segment) {
                for index in range.from..range.to {
                    segment.requeue(index, None);
                }
            }
        }
    }

    pub(super) fn mark_delivered(&mut self, events: EventRange, status: u16) {
        let attempts = self.segments.get(events.segment).map_or(0, |segment| segment.attempts(events.from));
        let settled = (events.from..events.to).filter(|index| self.settle(events.segment, *index)).count();
        if settled == 0 {
            return;
        }
        self.counters.delivered += settled as u64;
        self.exchanges.emit(Effect::Delivered { events, status, attempts });
        self.record_settled(events.segment);
    }

    pub(super) fn mark_dead(&mut self, id: SegmentId, index: u32, error: Error, is_alone: bool) {
        let Some(segment) = self.segments.get(id) else { return };
        let (attempts, bytes) = (segment.attempts(index), segment.contents().size(index));
        if self.settle(id, index) {
            self.counters.dead += 1;
            // Dead letters are stored, so their bytes still count.
            self.capacity.hold(bytes);
            self.exchanges.emit(Effect::Dead { segment: id, index, error, attempts, is_alone });
            self.writes.dead_put(id, index);
            self.record_settled(id);
        }
    }

    /// Settles an event. False if it was settled before.
    fn settle(&mut self, id: SegmentId, index: u32) -> bool {
        let Some(segment) = self.segments.get_mut(id) else { return false };
        if !segment.settle(index) {
            return false;
        }
        let bytes = segment.contents().size(index);
        self.capacity.release(bytes);
        if segment.store_state != StoreState::Written {
            self.counters.accepted += 1;
        }
        true
    }
}
