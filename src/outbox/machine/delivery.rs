//! What the machine and the server say to each other: batches, answers, rests, and what becomes of each event.

use super::{BREAKER, Flight, LONGEST_HINT, Outbox, PROBE_EVENTS};
use crate::base::error::{Code, Error};
use crate::base::http::{Failure, Response};
use crate::base::ids::ExchangeId;
use crate::base::time::{Millis, Moment};
use crate::engine::backoff::Backoff;
use crate::engine::ordered_map::OrderedMap;
use crate::outbox::answer::{Answer, Classifier, Judged, judge, judge_status};
use crate::outbox::batch::{self, Haste, Terms, split};
use crate::outbox::effect::Effect;
use crate::outbox::segment::{Part, SegmentId, Stored};
use crate::outbox::session::Grouping;

impl Outbox {
    /// Whether this outbox is the one that sends from the store.
    pub fn set_leader(&mut self, now: Moment, leads: bool) {
        if self.leads != leads {
            self.leads = leads;
            if leads {
                self.rest_until = self.asked_until;
            } else {
                self.step_down();
            }
        }
        if !leads {
            // What others had stored before we came is theirs.
            self.forget_unseen();
        }
        self.store_changed(now);
    }

    /// Sends nothing from now on, or goes on. What is under way comes to its end.
    pub fn pause(&mut self, now: Moment, is_paused: bool) {
        self.is_paused = is_paused;
        self.go_on(now);
    }

    /// What is ready shall not wait for others.
    pub fn flush_now(&mut self, now: Moment) {
        self.rush = true;
        self.go_on(now);
    }

    /// There is reason to believe that it works now: a rest of our own choice ends.
    pub fn online(&mut self, now: Moment) {
        self.rush = true;
        self.rest_until = self.asked_until;
        self.look_at = self.now;
        self.go_on(now);
    }

    /// How many requests may start from now on.
    pub fn allow_requests(&mut self, now: Moment, requests: u32) {
        self.requests_left = requests;
        self.go_on(now);
    }

    /// The page may end at any moment: sends what is ready and what is not stored yet, up to so many bytes, whatever else
    /// would make it wait, except a pause. `apart`: each segment in a request of its own, because its owner has that ready.
    pub fn page_hidden(&mut self, now: Moment, mut bytes: u64, apart: bool) {
        self.tick(now);
        while !self.is_paused && bytes > 0 {
            let most = (self.options.batch_events, bytes.min(self.batch_bytes));
            let Some((batch, taken)) = self.pick(most, Haste::Leaving) else { break };
            if taken > bytes {
                // A single event that is larger than what is left.
                self.give_back(&batch);
                break;
            }
            bytes -= taken;
            if apart {
                for part in batch {
                    self.send(vec![part], true);
                }
            } else {
                self.send(batch, true);
            }
        }
    }

    /// The server does not take requests of that kind: from now on they have so many events, and so many are under way at once. What the
    /// exchange had is sent again in that way.
    pub fn limit_batches(&mut self, now: Moment, exchange: ExchangeId, events: u32, flights: u32) {
        let Some(flight) = self.exchanges.finish(exchange) else { return };
        self.options.batch_events = events.max(1);
        self.options.flights = flights.max(1);
        self.recover();
        self.give_back(&flight.batch);
        for batch in core::mem::take(&mut self.plans) {
            self.give_back(&batch);
        }
        self.go_on(now);
    }

    /// An answer that speaks of each event of a request: their statuses, in order.
    pub fn response_each(
        &mut self,
        now: Moment,
        exchange: ExchangeId,
        statuses: &[u16],
        hint: Option<Millis>,
    ) {
        let Some(flight) = self.exchanges.finish(exchange) else { return };
        self.now = self.now.max(now);
        self.apply_each(&flight, statuses.iter().map(|status| judge_status(*status)), hint);
        self.go_on(now);
    }

    /// An answer of which the room's judge says what it means.
    pub fn answered(&mut self, now: Moment, exchange: ExchangeId, answer: &Response, judge: Classifier) {
        let Some(flight) = self.exchanges.finish(exchange) else { return };
        self.now = self.now.max(now);
        match judge(answer, flight.batch.iter().map(|part| part.len()).sum()) {
            Judged::Whole(answer) => self.apply(flight, answer),
            Judged::Each(answers) => self.apply_each(&flight, answers.into_iter(), answer.retry_after),
        }
        self.go_on(now);
    }

    fn apply_each(
        &mut self,
        flight: &Flight,
        mut answers: impl Iterator<Item = Answer>,
        hint: Option<Millis>,
    ) {
        let mut is_progress = false;
        let (mut worst, mut later) = (None, Vec::new());
        for part in &flight.batch {
            for index in part.from..part.to {
                // An event of which nothing is said was not taken, as far as we know.
                match answers.next().unwrap_or_else(|| judge_status(0)) {
                    Answer::Taken(status) => {
                        is_progress = true;
                        self.deliver(Part { from: index, to: index + 1, ..*part }, status);
                    }
                    Answer::TooLarge(error) | Answer::Poison(error) => {
                        is_progress = true;
                        self.die(part.segment, index, error);
                    }
                    Answer::Later(error, _) => {
                        later.push((part.segment, index));
                        worst = Some(error);
                    }
                }
            }
        }
        self.rest_alone(&later, hint);
        if is_progress {
            self.recover();
            self.writes.note_decision();
        } else if let Some(error) = worst {
            self.rest(error, hint, flight.started);
        }
    }

    pub(super) fn dispatch(&mut self) {
        while self.may_send() {
            let most = if self.failures >= BREAKER { PROBE_EVENTS } else { self.options.batch_events };
            let planned = self.next_plan(most);
            let haste = if self.rush { Haste::Rush } else { Haste::None };
            let Some(batch) = planned.or_else(|| Some(self.pick((most, self.batch_bytes), haste)?.0)) else {
                break;
            };
            self.send(batch, false);
        }
        if self.rush && self.counters.pending() == 0 && self.segments.is_empty() {
            self.rush = false;
        }
    }

    pub(super) fn may_send(&self) -> bool {
        // After a failure one request shows whether it works again.
        let most = if self.failures > 0 { 1 } else { self.options.flights };
        !self.is_paused
            && self.rest_until <= self.now
            && self.requests_left > 0
            // What was answered and not written yet would be sent again after a crash, like what is under way.
            && self.exchanges.in_flight() + self.writes.unsettled() < most as usize
    }

    /// The next of the batches that wait, or its first events. A batch waits longer if it would overtake one in an ordering key.
    pub(super) fn next_plan(&mut self, most: u32) -> Option<Vec<Part>> {
        let mut busy: OrderedMap<u32> = OrderedMap::new();
        for flight in self.exchanges.values() {
            for ordering_key in self.lanes_of(&flight.batch) {
                busy.add(ordering_key);
            }
        }
        let at = self.plans.iter().position(|plan| {
            let ordering_keys = self.lanes_of(plan);
            let is_free = !ordering_keys.iter().any(|ordering_key| busy.contains(*ordering_key));
            for ordering_key in ordering_keys {
                busy.add(ordering_key);
            }
            is_free
        })?;
        let batch = self.plans.remove(at)?;
        let (head, tail) = split(&batch, most.min(self.most_of(&batch)));
        if !tail.is_empty() {
            self.plans.insert(at, tail);
        }
        Some(head)
    }

    /// How many events of a batch may share a request: one that was made by a page that ended may have more than its events like.
    fn most_of(&self, batch: &[Part]) -> u32 {
        let first = batch.first().and_then(|part| self.segments.get(part.segment));
        match first.map(|segment| segment.contents().grouping) {
            Some(Grouping::Own(most)) => most.max(1),
            _ => u32::MAX,
        }
    }

    pub(super) fn lanes_of(&self, batch: &[Part]) -> Vec<u32> {
        let contents = |part: &Part| Some((*part, self.segments.get(part.segment)?.contents()));
        let with_lanes =
            batch.iter().filter_map(contents).filter(|(_, contents)| !contents.ordering_keys.is_empty());
        with_lanes
            .flat_map(|(part, contents)| (part.from..part.to).map(|index| contents.ordering_key(index)))
            .filter(|ordering_key| *ordering_key != 0)
            .collect()
    }

    /// Takes events for a request, and says how many bytes they have.
    pub(super) fn pick(&mut self, most: (u32, u64), haste: Haste) -> Option<(Vec<Part>, u64)> {
        let terms = Terms {
            most_events: most.0,
            most_bytes: most.1,
            now: self.now,
            linger: self.options.linger,
            one_per_ordering_key: self.options.one_per_ordering_key,
            leads: self.leads,
            older: if self.is_new { Some(SegmentId::FIRST) } else { self.evicted.keys().next() },
            haste,
        };
        let (batch, bytes) = batch::pick(&self.segments, &terms)?;
        for part in &batch {
            if let Some(segment) = self.segments.get_mut(part.segment) {
                segment.take(part.from, part.to);
            }
        }
        Some((batch, bytes))
    }

    pub(super) fn send(&mut self, batch: Vec<Part>, leaving: bool) {
        for part in &batch {
            if let Some(segment) = self.segments.get_mut(part.segment) {
                segment.count_try(part.from, part.to);
            }
        }
        self.counters.attempts += 1;
        self.requests_left = self.requests_left.saturating_sub(1);
        let overdue = self.now.after(self.options.timeout);
        let flight = Flight { batch: batch.clone(), started: self.now, overdue };
        let exchange = self.exchanges.register(flight);
        self.exchanges.emit(Effect::Send { exchange, batch, leaving });
    }

    pub(super) fn judge(&mut self, flight: Flight, outcome: &Result<Response, Failure>) {
        self.apply(flight, judge(outcome));
    }

    fn apply(&mut self, flight: Flight, answer: Answer) {
        let events: u32 = flight.batch.iter().map(|part| part.len()).sum();
        match answer {
            Answer::Taken(status) => {
                self.recover();
                for part in flight.batch {
                    self.deliver(part, status);
                }
                self.writes.note_decision();
            }
            Answer::Later(error, hint) => {
                self.plans.push_front(flight.batch);
                self.rest(error, hint, flight.started);
            }
            Answer::Poison(error) | Answer::TooLarge(error) => {
                self.recover();
                if error.code == Code::TooLarge && events > 1 {
                    self.batch_bytes = (self.bytes_of(&flight.batch) / 2).max(1);
                }
                if events > 1 {
                    let (head, tail) = split(&flight.batch, events / 2);
                    self.plans.push_front(tail);
                    self.plans.push_front(head);
                } else if let Some(part) = flight.batch.first() {
                    self.die(part.segment, part.from, error);
                    self.writes.note_decision();
                }
            }
        }
    }

    pub(super) fn bytes_of(&self, batch: &[Part]) -> u64 {
        let size = |part: &Part| {
            let contents = self.segments.get(part.segment)?.contents();
            Some((part.from..part.to).map(|index| contents.size(index)).sum::<u64>())
        };
        batch.iter().filter_map(size).sum()
    }

    pub(super) fn recover(&mut self) {
        self.failures = 0;
        self.backoff.reset();
    }

    pub(super) fn rest(&mut self, error: Error, hint: Option<Millis>, started: Moment) {
        let hint = hint.map_or(Millis(0), |hint| hint.min(LONGEST_HINT));
        self.asked_until = self.asked_until.max(self.now.after(hint));
        // Several requests that were under way together are one failure.
        if self.failures == 0 || started >= self.rest_until {
            self.failures += 1;
            let mut rest = self.backoff.next_delay(&mut self.rng);
            if self.failures >= BREAKER {
                rest = Millis(self.options.max.0 / 2 + rest.0 / 2);
            }
            self.rest_until = self.now.after(rest);
        }
        self.rest_until = self.rest_until.max(self.asked_until);
        let rest = Millis(self.rest_until.as_millis() - self.now.as_millis());
        self.exchanges.emit(Effect::Retry { error, rest, failures: self.failures });
    }

    /// Some events of a request rest, because the answer says that they were not taken. They end their rest together, so that
    /// they go together the next time.
    pub(super) fn rest_alone(&mut self, events: &[(SegmentId, u32)], hint: Option<Millis>) {
        let tries = |(segment, index): &(SegmentId, u32)| Some(self.segments.get(*segment)?.tries(*index));
        let Some(tries) = events.iter().filter_map(tries).max() else { return };
        let backoff = Backoff::new(self.options.base, self.options.max, 0);
        let rest = backoff.delay_after(tries.saturating_sub(1), &mut self.rng);
        let rest = rest.max(hint.map_or(Millis(0), |hint| hint.min(LONGEST_HINT)));
        for (id, index) in events {
            if let Some(segment) = self.segments.get_mut(*id) {
                segment.give_back(*index, Some(self.now.after(rest)));
            }
        }
    }

    pub(super) fn give_back(&mut self, batch: &[Part]) {
        for part in batch {
            if let Some(segment) = self.segments.get_mut(part.segment) {
                for index in part.from..part.to {
                    segment.give_back(index, None);
                }
            }
        }
    }

    pub(super) fn deliver(&mut self, part: Part, status: u16) {
        let tries = self.segments.get(part.segment).map_or(0, |segment| segment.tries(part.from));
        let gone = (part.from..part.to).filter(|index| self.let_go(part.segment, *index)).count();
        self.counters.delivered += gone as u64;
        self.exchanges.emit(Effect::Delivered { part, status, tries });
        self.store_less(part.segment);
    }

    pub(super) fn die(&mut self, id: SegmentId, index: u32, error: Error) {
        let Some(segment) = self.segments.get(id) else { return };
        let (tries, bytes) = (segment.tries(index), segment.contents().size(index));
        if self.let_go(id, index) {
            self.counters.dead += 1;
            // Dead letters are kept, so they need their room.
            self.held += bytes;
            self.exchanges.emit(Effect::Died { segment: id, index, error, tries });
            self.writes.dead_put(id, index);
            self.store_less(id);
        }
    }

    pub(super) fn let_go(&mut self, id: SegmentId, index: u32) -> bool {
        let Some(segment) = self.segments.get_mut(id) else { return false };
        if !segment.let_go(index) {
            return false;
        }
        let bytes = segment.contents().size(index);
        self.held = self.held.saturating_sub(bytes);
        if segment.stored != Stored::Kept {
            self.counters.accepted += 1;
        }
        true
    }
}
