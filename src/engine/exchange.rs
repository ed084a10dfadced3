//! The HTTP exchanges of a machine, and the queue of its outputs.

use super::ordered_map::OrderedMap;
use super::queue::Queue;
use crate::base::http::Request;
use crate::base::ids::{Counter, ExchangeId};
use crate::base::time::Deadline;
use crate::engine::machine::{Output, Poll};

/// The exchanges in flight, each with a context of the machine's own, and the outputs that were not polled
/// yet.
#[derive(Clone, Debug)]
pub struct Exchanges<T, E> {
    ids: Counter,
    in_flight: OrderedMap<ExchangeId, T>,
    outputs: Queue<Output<E>>,
}

impl<T, E> Exchanges<T, E> {
    /// No exchanges and no outputs.
    pub fn new() -> Self {
        Self { ids: Counter::default(), in_flight: OrderedMap::new(), outputs: Queue::new() }
    }

    /// Starts an exchange: queues [`Output::Send`] and keeps `context` until [`Self::finish`].
    pub fn start(&mut self, context: T, request: Request) -> ExchangeId {
        let id = self.register(context);
        self.outputs.push(Output::Send(id, request));
        id
    }

    /// Reserves the id of an exchange that the owner starts because of an event instead of [`Output::Send`].
    pub fn register(&mut self, context: T) -> ExchangeId {
        let id = ExchangeId(self.ids.advance());
        self.in_flight.insert(id, context);
        id
    }

    /// Removes an exchange that has ended and returns its context. `None` for late and unknown ids.
    pub fn finish(&mut self, id: ExchangeId) -> Option<T> {
        self.in_flight.remove(id)
    }

    /// Cancels an exchange and returns its context.
    pub fn cancel(&mut self, id: ExchangeId) -> Option<T> {
        let context = self.in_flight.remove(id)?;
        self.outputs.push(Output::Cancel(id));
        Some(context)
    }

    /// Cancels all exchanges.
    pub fn cancel_all(&mut self) {
        for id in self.ids_where(|_| true) {
            self.cancel(id);
        }
    }

    /// The number of exchanges in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The contexts of the exchanges in flight.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.in_flight.values()
    }

    /// The ids of the exchanges whose context passes `test`.
    pub fn ids_where(&self, test: impl Fn(&T) -> bool) -> Vec<ExchangeId> {
        self.in_flight.iter().filter(|(_, context)| test(context)).map(|(id, _)| id).collect()
    }

    /// Queues an event for the application.
    pub fn emit(&mut self, event: E) {
        self.outputs.push(Output::Event(event));
    }

    /// Takes the next output from the queue.
    pub fn next_output(&mut self) -> Option<Output<E>> {
        self.outputs.pop()
    }

    /// The next output, or `Wait` if there is none.
    pub fn poll(&mut self, deadline: impl FnOnce() -> Deadline) -> Poll<Output<E>> {
        self.next_output().map_or_else(|| Poll::Wait(deadline()), Poll::Do)
    }
}

impl<T, E> Default for Exchanges<T, E> {
    fn default() -> Self {
        Self::new()
    }
}
