//! The store and the server of the simulated world, and how they fail.

use std::collections::BTreeSet;

use eventferry::base::http::{Failure, Response};
use eventferry::base::ids::ExchangeId;
use eventferry::base::time::Millis;
use eventferry::engine::machine::{Input, Machine};
use eventferry::outbox::effect::{Effect, Outcome};
use eventferry::outbox::segment::EventRange;
use eventferry::outbox::session::{Contents, Grouping};
use eventferry::outbox::writes::Write;

use super::world::{EventInfo, EventNo, Occurrence, ServerAnswer, StoredSegment, World};

impl World {
    pub(super) fn apply(&mut self, effect: Effect) {
        self.effects.push(effect.clone());
        match effect {
            Effect::Write(write) => self.write(write),
            Effect::Peek { events, bytes } => {
                let delay = self.rng.up_to(20);
                self.schedule(delay, Occurrence::Peeked(events, bytes));
            }
            Effect::Send { exchange, batch, is_page_hidden } => {
                let events = self.events_of(&batch);
                self.check_grouping(&batch, &events, is_page_hidden);
                self.requests.push((self.now, events.clone()));
                self.serve(exchange, events);
            }
            Effect::Accepted(segment) => {
                let events = self.bodies[&segment].1.clone();
                self.accepted.extend(events);
            }
            Effect::Delivered { events, .. } => {
                for no in self.events_of(&[events]) {
                    assert!(self.deliveries.contains_key(&no), "{no} is reported as delivered");
                    self.accepted.insert(no);
                }
            }
            Effect::Dead { segment, index, error, .. } => {
                let no = self.bodies[&segment].1[index as usize];
                self.dead.insert(no, error.code);
                self.dead_letters.insert((segment, index), no);
            }
            Effect::Forget(segment, reason) => {
                let (key, _) = self.bodies.remove(&segment).expect("known");
                if reason == Outcome::Evicted {
                    self.evicted.insert(key, segment);
                }
            }
            Effect::Retry { .. } | Effect::Pressure(_) => {}
        }
    }

    pub(super) fn check_grouping(&self, batch: &[EventRange], events: &[EventNo], is_page_hidden: bool) {
        for no in events {
            if let Grouping::Separate(max) = self.events[*no as usize].grouping {
                assert!(batch.iter().all(|range| range.segment == batch[0].segment), "{no} shares a request");
                assert!(is_page_hidden || events.len() <= max as usize, "{} events with {no}", events.len());
            }
        }
    }

    pub(super) fn write(&mut self, write: Write) {
        let put = write
            .put
            .iter()
            .map(|put| {
                let (key, events) = &self.bodies[&put.segment];
                let events = match &put.indices {
                    None => events.clone(),
                    Some(indices) => indices.iter().map(|index| events[*index as usize]).collect(),
                };
                let progress = put.progress.clone().map(|progress| (self.now, progress));
                (*key, StoredSegment { events, progress })
            })
            .collect();
        let remove = write.remove.iter().filter_map(|id| Some(self.bodies.get(id)?.0)).collect();
        let dead_put = write.dead_put.iter().map(|letter| self.dead_letters[letter]).collect();
        let change = Occurrence::Change(put, remove, dead_put);
        let delay = 1 + self.rng.up_to(10);
        if !self.chance(self.rates.write_fails) {
            self.schedule(delay, change);
            self.schedule(delay, Occurrence::Written(true));
            return;
        }
        match self.rng.up_to(2) {
            // It fails and is not applied.
            0 => {}
            // It is applied, but reported as failed.
            1 => self.schedule(delay, change),
            // It is applied long after it was reported as failed.
            _ => {
                let much_later = delay + self.rng.up_to(200);
                self.schedule(much_later, change);
            }
        }
        self.schedule(delay, Occurrence::Written(false));
    }

    pub(super) fn serve(&mut self, exchange: ExchangeId, events: Vec<EventNo>) {
        let delay = 1 + self.rng.up_to(100);
        let rates = self.rates;
        let answer = |world: &mut Self, answer| world.schedule(delay, Occurrence::Answer(exchange, answer));
        if self.chance(rates.hangs) {
            if self.rng.up_to(1) == 0 {
                self.schedule(delay, Occurrence::Arrive(events.clone()));
            }
        } else if self.chance(rates.refused) {
            let outcome = match self.rng.up_to(4) {
                0 => Err(Failure::Network),
                1 => Err(Failure::Timeout),
                2 => Ok(Response { retry_after: Some(Millis(self.rng.up_to(3000))), ..Response::new(429) }),
                _ => Ok(Response::new([500, 503, 401, 404, 307][self.rng.up_to(4) as usize])),
            };
            answer(self, ServerAnswer::All(outcome));
        } else if rates.max_events.is_some_and(|max| events.len() > max) {
            answer(self, ServerAnswer::All(Ok(Response::new(413))));
        } else if self.chance(rates.partial) {
            let statuses: Vec<u32> = events
                .iter()
                .map(|no| {
                    if self.rejected.contains(no) {
                        422
                    } else {
                        [200, 201, 503, 429][self.rng.up_to(3) as usize]
                    }
                })
                .collect();
            let accepted = events
                .iter()
                .zip(&statuses)
                .filter(|(_, status)| **status < 300)
                .map(|(no, _)| *no)
                .collect();
            self.schedule(delay, Occurrence::Arrive(accepted));
            answer(self, ServerAnswer::Each(statuses));
        } else if events.iter().any(|no| self.rejected.contains(no)) {
            answer(self, ServerAnswer::All(Ok(Response::new(400))));
        } else {
            self.schedule(delay, Occurrence::Arrive(events.clone()));
            let outcome =
                if self.chance(rates.lost_answer) { Err(Failure::Network) } else { Ok(Response::new(202)) };
            answer(self, ServerAnswer::All(outcome));
        }
    }

    pub(super) fn happen(&mut self, occurrence: Occurrence) {
        match occurrence {
            Occurrence::Change(put, remove, dead_put) => {
                for (key, kept) in put {
                    self.store.segments.insert(key, kept);
                }
                for key in remove {
                    self.store.segments.remove(&key);
                }
                self.store.dead.extend(dead_put);
            }
            Occurrence::Written(is_done) => self.machine.store_written(self.moment(), is_done),
            Occurrence::Peeked(events, bytes) => self.peek(events, bytes),
            Occurrence::Arrive(events) => {
                for no in events {
                    let count = self.deliveries.entry(no).or_default();
                    *count += 1;
                    if *count == 1 {
                        self.first_deliveries.push(no);
                    }
                }
            }
            Occurrence::Answer(id, ServerAnswer::All(outcome)) => {
                self.machine.handle(self.moment(), Input::Exchange(id, outcome));
            }
            Occurrence::Answer(id, ServerAnswer::Each(statuses)) => {
                self.machine.response_each(self.moment(), id, &statuses, None);
            }
        }
    }

    pub(super) fn peek(&mut self, max_events: u32, max_bytes: u64) {
        if self.chance(self.rates.peek_fails) {
            return self.machine.store_peeked(self.moment(), Err(()));
        }
        let skip: BTreeSet<u64> = self.bodies.values().map(|(key, _)| *key).collect();
        let (mut events, mut bytes, mut found) = (0, 0, 0);
        for (key, kept) in self.store.segments.clone() {
            if skip.contains(&key) {
                continue;
            }
            let mut contents = Contents::default();
            for no in &kept.events {
                let EventInfo { size, ordering_key, grouping } = self.events[*no as usize];
                contents.push(size, ordering_key);
                contents.grouping = grouping;
            }
            if found > 0 && (events + contents.len() > max_events || bytes + contents.bytes() > max_bytes) {
                break;
            }
            (events, bytes, found) = (events + contents.len(), bytes + contents.bytes(), found + 1);
            let known = self.evicted.remove(&key);
            let age = Millis(self.rng.up_to(50_000));
            let progress = kept.progress_at(self.now);
            let id = self.machine.segment_found(self.moment(), contents, age, known, progress.as_ref());
            self.bodies.insert(id, (key, kept.events));
        }
        self.machine.store_peeked(self.moment(), Ok(found == 0));
    }
}
