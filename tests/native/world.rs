//! A simulated world for one machine: a clock that jumps to the next event, and a scripted server. Nothing
//! sleeps.

use std::collections::BTreeMap;

use eventferry::base::http::{Failure, Request, Response};
use eventferry::base::ids::ExchangeId;
use eventferry::base::time::{Deadline, Moment};
use eventferry::engine::machine::{Input, Machine, Output, Poll};

/// The reply of the server to one request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A response, or a failure, after a delay in milliseconds.
    After(u64, Result<Response, Failure>),
    /// No response; the exchange times out.
    Hang,
}

/// Replies to a request that arrives at a time in milliseconds.
type Server = Box<dyn FnMut(u64, &Request) -> Reply>;

/// One machine, one server and one clock.
pub(crate) struct World<M, E> {
    pub(crate) machine: M,
    pub(crate) now: u64,
    /// The events for the application, with their times.
    pub(crate) events: Vec<(u64, E)>,
    /// The requests, with their times.
    pub(crate) requests: Vec<(u64, Request)>,
    pub(crate) cancelled: Vec<ExchangeId>,
    server: Server,
    in_flight: BTreeMap<(u64, ExchangeId), Result<Response, Failure>>,
    deadline: Deadline,
}

impl<M: Machine<Input = Input, Output = Output<E>>, E> World<M, E> {
    pub(crate) fn new(machine: M, server: impl FnMut(u64, &Request) -> Reply + 'static) -> Self {
        Self {
            machine,
            now: 0,
            events: Vec::new(),
            requests: Vec::new(),
            cancelled: Vec::new(),
            server: Box::new(server),
            in_flight: BTreeMap::new(),
            deadline: Deadline::Never,
        }
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment::from_millis(self.now)
    }

    /// Carries out the outputs of the machine until it waits.
    pub(crate) fn settle(&mut self) {
        for step in 0.. {
            assert!(step < 100_000, "the machine does not stop producing outputs");
            match self.machine.poll() {
                Poll::Do(Output::Send(id, request)) => {
                    let (delay, outcome) = match (self.server)(self.now, &request) {
                        Reply::After(delay, outcome) if delay < request.timeout().0 => (delay, outcome),
                        _ => (request.timeout().0, Err(Failure::Timeout)),
                    };
                    self.in_flight.insert((self.now + delay, id), outcome);
                    self.requests.push((self.now, request));
                }
                Poll::Do(Output::Cancel(id)) => {
                    self.in_flight.retain(|(_, other), _| *other != id);
                    self.cancelled.push(id);
                }
                Poll::Do(Output::Event(event)) => self.events.push((self.now, event)),
                Poll::Wait(deadline) => {
                    self.deadline = deadline;
                    assert!(
                        matches!(self.machine.poll(), Poll::Wait(again) if again == deadline),
                        "poll after Wait must return the same Wait"
                    );
                    return;
                }
            }
        }
    }

    fn next_deadline(&self) -> Option<u64> {
        match self.deadline {
            Deadline::At(at) => Some(at.as_millis()),
            Deadline::Never => None,
        }
    }

    /// When an exchange ends next, or the next deadline is.
    fn next_time(&mut self) -> Option<u64> {
        self.settle();
        let end = self.in_flight.keys().next().map(|(at, _)| *at);
        end.into_iter().chain(self.next_deadline()).min()
    }

    /// Runs what happens until then, but nothing later.
    pub(crate) fn advance_to(&mut self, ms: u64) {
        while self.next_time().is_some_and(|at| at <= ms) {
            self.step();
        }
        self.now = self.now.max(ms);
    }

    /// Advances to the next end of an exchange or deadline. False if there is none.
    pub(crate) fn step(&mut self) -> bool {
        self.settle();
        let next_end = self.in_flight.keys().next().copied();
        let deadline = self.next_deadline();
        match (next_end, deadline) {
            (Some((at, id)), deadline) if deadline.is_none_or(|deadline| at <= deadline) => {
                self.now = self.now.max(at);
                let outcome = self.in_flight.remove(&(at, id)).expect("in flight");
                self.machine.handle(self.moment(), Input::Exchange(id, outcome));
            }
            (_, Some(at)) => {
                self.now = self.now.max(at);
                self.machine.handle(self.moment(), Input::Tick);
            }
            _ => return false,
        }
        self.settle();
        true
    }

    /// The computer sleeps. What arrives meanwhile is lost, and the machine learns of it only afterwards.
    pub(crate) fn sleep(&mut self, ms: u64) {
        self.now += ms;
        for ((at, _), outcome) in &mut self.in_flight {
            if *at <= self.now {
                *outcome = Err(Failure::Network);
            }
        }
    }

    /// Runs until nothing is left to happen.
    pub(crate) fn run(&mut self) {
        for step in 0.. {
            assert!(step < 1_000_000, "the simulation does not end");
            if !self.step() {
                return;
            }
        }
    }
}
