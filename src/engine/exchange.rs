//! What flies, and what is to be said next.

use std::collections::VecDeque;

use super::ordered_map::OrderedMap;
use crate::base::http::Request;
use crate::base::ids::{Counter, ExchangeId};
use crate::engine::machine::Output;

/// The exchanges in flight, each with what it is about, and the queue of outputs of a machine.
#[derive(Clone, Debug)]
pub struct Exchanges<T, E> {
    ids: Counter,
    flying: OrderedMap<ExchangeId, T>,
    outputs: VecDeque<Output<E>>,
}

impl<T, E> Exchanges<T, E> {
    /// Nothing in flight.
    pub fn new() -> Self {
        Self { ids: Counter::default(), flying: OrderedMap::new(), outputs: VecDeque::new() }
    }

    /// Asks for an exchange.
    pub fn start(&mut self, what: T, request: Request) -> ExchangeId {
        let id = self.expect(what);
        self.outputs.push_back(Output::Send(id, request));
        id
    }

    /// Expects the end of an exchange that the owner is told of by an event.
    pub fn expect(&mut self, what: T) -> ExchangeId {
        let id = ExchangeId(self.ids.advance());
        self.flying.insert(id, what);
        id
    }

    /// Takes an exchange that has ended. Late and unknown ids give `None`.
    pub fn land(&mut self, id: ExchangeId) -> Option<T> {
        self.flying.remove(id)
    }

    /// Gives up an exchange.
    pub fn cancel(&mut self, id: ExchangeId) -> Option<T> {
        let what = self.flying.remove(id)?;
        self.outputs.push_back(Output::Cancel(id));
        Some(what)
    }

    /// Gives up all exchanges.
    pub fn cancel_all(&mut self) {
        for id in self.ids_where(|_| true) {
            self.cancel(id);
        }
    }

    /// How many are in flight.
    pub fn flying(&self) -> usize {
        self.flying.len()
    }

    /// What is in flight.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.flying.values()
    }

    /// The ids of those for which `test` is true.
    pub fn ids_where(&self, test: impl Fn(&T) -> bool) -> Vec<ExchangeId> {
        self.flying.iter().filter(|(_, what)| test(what)).map(|(id, _)| id).collect()
    }

    /// Tells the application something.
    pub fn announce(&mut self, event: E) {
        self.outputs.push_back(Output::Event(event));
    }

    /// The next output, if there is one.
    pub fn poll(&mut self) -> Option<Output<E>> {
        self.outputs.pop_front()
    }
}

impl<T, E> Default for Exchanges<T, E> {
    fn default() -> Self {
        Self::new()
    }
}
