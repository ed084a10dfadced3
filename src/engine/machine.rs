//! The contract of a machine: what goes in, what comes out.

use crate::base::http::{Failure, Request, Response};
use crate::base::ids::{ExchangeId, Key};
use crate::base::time::{Deadline, Moment};

/// What happened outside the machine.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time has passed, nothing else.
    Tick,
    /// An exchange that the machine started has ended.
    Exchange(ExchangeId, Result<Response, Failure>),
    /// The value that was stored under a key.
    Loaded(Key, Option<Vec<u8>>),
    /// Whether a value was saved.
    Saved(Key, Result<(), Failure>),
}

/// What the owner of a machine shall do.
#[derive(Clone, Debug)]
pub enum Output<E> {
    /// Start an exchange.
    Send(ExchangeId, Request),
    /// Abort an exchange. Its end needs no report.
    Cancel(ExchangeId),
    /// Load the value stored under a key.
    Load(Key),
    /// Save a value under a key.
    Save(Key, Vec<u8>),
    /// Deliver an event to the application. Events are in order.
    Event(E),
    /// Nothing until the next input or command, or until the deadline. Always the last output of a series.
    Wait(Deadline),
}

/// A protocol without I/O. The crate documentation lists the laws.
pub trait Machine {
    /// The events for the application.
    type Event;
    /// Takes one input. Never fails: an input that cannot be used is ignored or becomes an event.
    fn handle(&mut self, now: Moment, input: Input);
    /// The next output.
    fn poll(&mut self) -> Output<Self::Event>;
}
