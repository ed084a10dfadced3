//! Delivery: batches, responses, delays, and the outcome for each event.

use super::{BREAKER_FAILURES, MAX_BLOCKED_DELAY, MAX_RETRY_AFTER, Outbox, PROBE_EVENTS, SentBatch};
use crate::base::error::{Code, Error};
use crate::base::http::{Failure, Response};
use crate::base::ids::ExchangeId;
use crate::base::time::{Millis, Moment};
use crate::engine::backoff::Backoff;
use crate::engine::ordered_map::OrderedMap;
use crate::outbox::answer::{Answer, Classified, Classifier, classify, classify_status};
use crate::outbox::batch::{self, BatchRules, Urgency, split};
use crate::outbox::bisection::Bisection;
use crate::outbox::effect::Effect;
use crate::outbox::segment::{EventRange, Segment, SegmentId, State, StoreState};
use crate::outbox::session::Grouping;

impl Outbox {
    /// Whether this outbox sends the stored events.
    pub fn set_leader(&mut self, now: Moment, is_leader: bool) {
        if self.is_leader != is_leader {
            self.is_leader = is_leader;
            if is_leader {
                self.backoff_until = self.retry_after_until;
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
        self.is_paused = is_paused;
        self.advance(now);
    }

    /// Ready events no longer wait for others.
    pub fn flush_now(&mut self, now: Moment) {
        self.is_flushing = true;
        self.advance(now);
    }

    /// Requests may succeed now: ends backoff delays, except those that the server asked for.
    pub fn online(&mut self, now: Moment) {
        self.is_flushing = true;
        self.backoff_until = self.retry_after_until;
        self.peek_not_before = self.now;
        self.advance(now);
    }

    /// How many requests may start from now on.
    pub fn allow_requests(&mut self, now: Moment, requests: u32) {
        self.requests_left = requests;
        self.advance(now);
    }

    /// The page may be closed at any moment: sends up to `bytes` of ready and unwritten events, regardless of
    /// delays, but not during a pause. `one_per_request`: one segment per request, because the owner has
    /// prepared those bodies.
    pub fn page_hidden(&mut self, now: Moment, mut bytes: u64, one_per_request: bool) {
        self.tick(now);
        while !self.is_paused && bytes > 0 {
            let max = (self.options.batch_events, bytes.min(self.batch_bytes));
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
        self.recover();
        self.requeue(&sent.batch);
        for batch in core::mem::take(&mut self.queued) {
            self.requeue(&batch);
        }
        self.advance(now);
    }

    /// The owner did not send the request of an exchange, and has paused the outbox. The request is the next one
    /// after the pause, and no attempt is counted.
    pub fn not_sent(&mut self, now: Moment, exchange: ExchangeId) {
        let Some(sent) = self.finish(exchange) else { return };
        self.counters.attempts = self.counters.attempts.saturating_sub(1);
        self.requests_left = self.requests_left.saturating_add(1);
        for range in &sent.batch {
            if let Some(segment) = self.segments.get_mut(range.segment) {
                segment.uncount_attempt(range.from, range.to);
            }
        }
        self.retry_batch(sent.batch);
        self.advance(now);
    }

    /// A response with a status for each event of the request, in order.
    pub fn response_each(
        &mut self,
        now: Moment,
        exchange: ExchangeId,
        statuses: &[u16],
        retry_after: Option<Millis>,
    ) {
        let Some(sent) = self.finish(exchange) else { return };
        (self.now, self.blocked) = (self.now.max(now), 0);
        self.apply_each(&sent, statuses.iter().map(|status| classify_status(*status)), retry_after);
        self.advance(now);
    }

    /// A response that the classifier of the system interprets.
    pub fn response(&mut self, now: Moment, exchange: ExchangeId, response: &Response, classify: Classifier) {
        let Some(sent) = self.finish(exchange) else { return };
        (self.now, self.blocked) = (self.now.max(now), 0);
        match classify(response, sent.batch.iter().map(|range| range.len()).sum()) {
            Classified::All(answer) => self.apply(sent, answer),
            Classified::Each(answers) => self.apply_each(&sent, answers.into_iter(), response.retry_after),
        }
        self.advance(now);
    }

    fn apply_each(
        &mut self,
        sent: &SentBatch,
        mut answers: impl Iterator<Item = Answer>,
        retry_after: Option<Millis>,
    ) {
        let mut is_progress = false;
        let (mut last_error, mut delayed) = (None, Vec::new());
        for range in &sent.batch {
            for index in range.from..range.to {
                // An event without an answer was not accepted, as far as is known.
                match answers.next().unwrap_or_else(|| classify_status(0)) {
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
            self.recover();
            self.writes.note_outcome();
        } else if let Some(error) = last_error {
            self.back_off(error, retry_after, sent.sent_at);
        }
    }

    pub(super) fn dispatch(&mut self) {
        while self.can_send() {
            let max_events =
                if self.failures >= BREAKER_FAILURES { PROBE_EVENTS } else { self.options.batch_events };
            let queued = self.next_queued(max_events);
            let urgency = if self.is_flushing { Urgency::Flush } else { Urgency::Normal };
            let Some(batch) = queued.or_else(|| Some(self.pick((max_events, self.batch_bytes), urgency)?.0))
            else {
                break;
            };
            let batch = self.without_expired(batch);
            if !batch.is_empty() {
                self.send(batch, false);
            }
        }
        if self.is_flushing && self.counters.pending() == 0 && self.segments.is_empty() {
            self.is_flushing = false;
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
        self.unsettled(&batch)
    }

    pub(super) fn can_send(&self) -> bool {
        // After a failure a single request probes the server.
        let max_requests = if self.failures > 0 { 1 } else { self.options.concurrency };
        !self.is_paused
            && self.backoff_until <= self.now
            && self.requests_left > 0
            // After a crash, requests with an unwritten outcome would be repeated like those in flight.
            && self.exchanges.in_flight() + self.writes.unrecorded() < max_requests as usize
    }

    /// The next queued batch, or its first events. Skips batches that would overtake another with the same
    /// ordering key.
    pub(super) fn next_queued(&mut self, max_events: u32) -> Option<Vec<EventRange>> {
        let mut busy: OrderedMap<u32> = OrderedMap::new();
        for sent in self.exchanges.values() {
            for ordering_key in self.ordering_keys_of(&sent.batch) {
                busy.add(ordering_key);
            }
        }
        let at = self.queued.iter().position(|batch| {
            let ordering_keys = self.ordering_keys_of(batch);
            let is_free = !ordering_keys.iter().any(|ordering_key| busy.contains(*ordering_key));
            for ordering_key in ordering_keys {
                busy.add(ordering_key);
            }
            is_free
        })?;
        let batch = self.queued.remove(at)?;
        let (head, tail) = split(&batch, max_events.min(self.max_events_of(&batch)));
        if !tail.is_empty() {
            self.queued.insert(at, tail);
        }
        Some(head)
    }

    /// How many events of a batch may share a request. A batch made for a closing page may have more.
    fn max_events_of(&self, batch: &[EventRange]) -> u32 {
        let first = batch.first().and_then(|range| self.segments.get(range.segment));
        match first.map(|segment| segment.contents().grouping) {
            Some(Grouping::Separate(max)) => max.max(1),
            _ => u32::MAX,
        }
    }

    pub(super) fn ordering_keys_of(&self, batch: &[EventRange]) -> Vec<u32> {
        let contents = |range: &EventRange| Some((*range, self.segments.get(range.segment)?.contents()));
        let with_keys =
            batch.iter().filter_map(contents).filter(|(_, contents)| !contents.ordering_keys.is_empty());
        with_keys
            .flat_map(|(range, contents)| (range.from..range.to).map(|index| contents.ordering_key(index)))
            .filter(|ordering_key| *ordering_key != 0)
            .collect()
    }

    /// Picks events for a request, up to a number of events and bytes. Returns them and their bytes.
    pub(super) fn pick(&mut self, max: (u32, u64), urgency: Urgency) -> Option<(Vec<EventRange>, u64)> {
        let rules = BatchRules {
            max_events: max.0,
            max_bytes: max.1,
            now: self.now,
            linger: self.options.linger,
            one_per_ordering_key: self.options.one_per_ordering_key,
            is_leader: self.is_leader,
            is_unscanned: self.is_unscanned,
            oldest_unknown: if self.is_unscanned {
                Some(SegmentId::FIRST)
            } else {
                self.evicted.keys().next()
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

    pub(super) fn send(&mut self, batch: Vec<EventRange>, is_page_hidden: bool) {
        for range in &batch {
            if let Some(segment) = self.segments.get_mut(range.segment) {
                segment.count_attempt(range.from, range.to);
            }
        }
        self.counters.attempts += 1;
        self.requests_left = self.requests_left.saturating_sub(1);
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

    pub(super) fn apply_outcome(&mut self, sent: SentBatch, outcome: &Result<Response, Failure>) {
        self.blocked =
            if matches!(outcome, Err(Failure::Blocked)) { self.blocked.saturating_add(1) } else { 0 };
        self.apply(sent, classify(outcome));
    }

    fn apply(&mut self, sent: SentBatch, answer: Answer) {
        let events: u32 = sent.batch.iter().map(|range| range.len()).sum();
        match answer {
            Answer::Delivered(status) => {
                self.recover();
                if let Some(bisection) = &mut self.bisection
                    && bisection.contains(&sent.batch)
                {
                    bisection.note_acceptance();
                }
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
                self.recover();
                let is_bisecting =
                    self.bisection.as_ref().is_some_and(|bisection| bisection.contains(&sent.batch));
                if error.code == Code::TooLarge && events > 1 {
                    self.batch_bytes = (self.bytes_of(&sent.batch) / 2).max(1);
                } else if events > 1 && !is_bisecting {
                    self.bisection = Some(Bisection::new(sent.batch.clone()));
                }
                if events > 1 {
                    let (head, tail) = split(&sent.batch, events / 2);
                    self.retry_batch(tail);
                    self.retry_batch(head);
                } else if let Some(range) = sent.batch.first() {
                    let is_hopeless = is_bisecting
                        && self
                            .bisection
                            .as_mut()
                            .is_some_and(|bisection| bisection.note_refusal(error.status));
                    self.mark_dead(range.segment, range.from, error.clone(), true);
                    if is_hopeless {
                        self.give_up_rest(&error);
                    }
                    self.writes.note_outcome();
                }
            }
        }
    }

    /// The events of a batch that are neither delivered nor dead. Another leader may have settled some since the
    /// batch was made.
    pub(super) fn unsettled(&self, batch: &[EventRange]) -> Vec<EventRange> {
        let mut open: Vec<EventRange> = Vec::new();
        for range in batch {
            let Some(segment) = self.segments.get(range.segment) else { continue };
            for index in (range.from..range.to).filter(|index| segment.state(*index) != State::Settled) {
                match open.last_mut() {
                    Some(last) if last.segment == range.segment && last.to == index => last.to += 1,
                    _ => open.push(EventRange { from: index, to: index + 1, ..*range }),
                }
            }
        }
        open
    }

    /// Sends a batch again, before all others. If it belongs to another leader now, that one sends its events.
    fn retry_batch(&mut self, batch: Vec<EventRange>) {
        let batch = self.unsettled(&batch);
        let is_released =
            |range: &EventRange| self.segments.get(range.segment).is_some_and(|segment| segment.is_released);
        if batch.iter().any(is_released) {
            self.requeue(&batch);
        } else if !batch.is_empty() {
            self.queued.push_front(batch);
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

    /// Makes dead letters of the queued events of the batch that is being halved.
    fn give_up_rest(&mut self, error: &Error) {
        let Some(bisection) = self.bisection.take() else { return };
        let (rest, others): (Vec<_>, Vec<_>) =
            core::mem::take(&mut self.queued).into_iter().partition(|batch| bisection.contains(batch));
        self.queued = others.into();
        for range in rest.into_iter().flatten() {
            for index in range.from..range.to {
                self.mark_dead(range.segment, index, error.clone(), false);
            }
        }
    }

    pub(super) fn bytes_of(&self, batch: &[EventRange]) -> u64 {
        let size = |range: &EventRange| {
            let contents = self.segments.get(range.segment)?.contents();
            Some((range.from..range.to).map(|index| contents.size(index)).sum::<u64>())
        };
        batch.iter().filter_map(size).sum()
    }

    /// A request succeeded.
    pub(super) fn recover(&mut self) {
        self.failures = 0;
        self.backoff.reset();
    }

    /// A request failed: delays the next one.
    pub(super) fn back_off(&mut self, error: Error, retry_after: Option<Millis>, sent_at: Moment) {
        let retry_after = retry_after.map_or(Millis(0), |delay| delay.min(MAX_RETRY_AFTER));
        self.retry_after_until = self.retry_after_until.max(self.now.after(retry_after));
        // Failures of requests that were in flight together count as one.
        if self.failures == 0 || sent_at >= self.backoff_until {
            self.failures += 1;
            let mut delay = self.backoff.next_delay(&mut self.rng);
            if self.failures >= BREAKER_FAILURES {
                delay = Millis(self.options.max_delay.0 / 2 + delay.0 / 2);
            }
            if self.is_blocked() {
                let doublings = (self.blocked - BREAKER_FAILURES + 1).min(32);
                let longer = Millis(self.options.max_delay.0.saturating_mul(1 << doublings));
                delay = longer.min(MAX_BLOCKED_DELAY).max(delay);
            }
            self.backoff_until = self.now.after(delay);
        }
        self.backoff_until = self.backoff_until.max(self.retry_after_until);
        let delay = Millis(self.backoff_until.as_millis() - self.now.as_millis());
        let is_blocked = self.is_blocked();
        self.exchanges.emit(Effect::Retry { error, delay, failures: self.failures, is_blocked });
    }

    /// Whether it seems that an extension of the browser blocks all requests.
    fn is_blocked(&self) -> bool {
        self.blocked >= BREAKER_FAILURES
    }

    /// Delays those events of a request that the server did not accept. They get the same delay, so that they
    /// share the next request.
    pub(super) fn delay_events(&mut self, events: &[(SegmentId, u32)], retry_after: Option<Millis>) {
        let attempts =
            |(segment, index): &(SegmentId, u32)| Some(self.segments.get(*segment)?.attempts(*index));
        let Some(attempts) = events.iter().filter_map(attempts).max() else { return };
        let backoff = Backoff::new(self.options.base_delay, self.options.max_delay, 0);
        let delay = backoff.delay_after(attempts.saturating_sub(1), &mut self.rng);
        let delay = delay.max(retry_after.map_or(Millis(0), |delay| delay.min(MAX_RETRY_AFTER)));
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
            self.held_bytes += bytes;
            self.exchanges.emit(Effect::Dead { segment: id, index, error, attempts, is_alone });
            self.writes.dead_put(id, index);
            self.record_settled(id);
        }
    }

    /// Settles an event. False if it was settled before.
    pub(super) fn settle(&mut self, id: SegmentId, index: u32) -> bool {
        let Some(segment) = self.segments.get_mut(id) else { return false };
        if !segment.settle(index) {
            return false;
        }
        let bytes = segment.contents().size(index);
        self.held_bytes = self.held_bytes.saturating_sub(bytes);
        if segment.store_state != StoreState::Written {
            self.counters.accepted += 1;
        }
        true
    }
}
