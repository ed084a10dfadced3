//! The contract of a machine: what goes in, what comes out.

use crate::base::http::{Failure, Request, Response};
use crate::base::ids::ExchangeId;
use crate::base::time::{Deadline, Moment};

/// A protocol without I/O. The crate documentation lists the laws.
pub trait Machine {
    /// Everything that can happen outside: commands of the owner, ends of exchanges, the passing of time.
    type Input;
    /// Everything that the owner shall do.
    type Output;
    /// Takes one input. Never fails: an input that cannot be used is ignored or becomes an output.
    fn handle(&mut self, now: Moment, input: Self::Input);
    /// The next output.
    fn poll(&mut self) -> Poll<Self::Output>;
}

/// The answer of [`Machine::poll`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll<O> {
    /// Do this, then poll again.
    Do(O),
    /// Nothing until the next input, or until the deadline.
    Wait(Deadline),
}

/// The inputs of a machine that makes HTTP exchanges and takes its commands as methods.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time has passed, nothing else.
    Tick,
    /// An exchange that the machine started has ended.
    Exchange(ExchangeId, Result<Response, Failure>),
}

/// The outputs of a machine that makes HTTP exchanges.
#[derive(Clone, Debug)]
pub enum Output<E> {
    /// Start an exchange.
    Send(ExchangeId, Request),
    /// Abort an exchange. Its end needs no report.
    Cancel(ExchangeId),
    /// Deliver an event to the application. Events are in order.
    Event(E),
}
