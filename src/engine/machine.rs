//! Everything the world and a machine say to each other.

use crate::base::http::{Failure, Request, Response};
use crate::base::ids::{ExchangeId, Key};
use crate::base::time::{Deadline, Moment};

/// What the world tells a machine.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time has passed, nothing else.
    Tick,
    /// An exchange that was asked for has ended.
    Exchange(ExchangeId, Result<Response, Failure>),
    /// What was found under a key.
    Loaded(Key, Option<Vec<u8>>),
    /// Whether something was saved.
    Saved(Key, Result<(), Failure>),
}

/// What a machine asks of the world.
#[derive(Clone, Debug)]
pub enum Output<E> {
    /// Start one exchange.
    Send(ExchangeId, Request),
    /// Nobody waits for that exchange any more.
    Cancel(ExchangeId),
    /// Find what is kept under a key.
    Load(Key),
    /// Keep something under a key.
    Save(Key, Vec<u8>),
    /// Something for the application, in order.
    Event(E),
    /// No more to say until an input, a command, or this moment. Always the last answer.
    Wait(Deadline),
}

/// A protocol without I/O; the laws are in the crate's documentation.
pub trait Machine {
    /// What the application hears of.
    type Event;
    /// Takes in one fact. Never fails: what cannot be used is ignored or becomes an event.
    fn handle(&mut self, now: Moment, input: Input);
    /// Says the next thing to do.
    fn poll(&mut self) -> Output<Self::Event>;
}
