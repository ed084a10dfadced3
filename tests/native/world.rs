//! The simulated world: a clock that jumps, servers that follow a script, and no sleeps.

use std::collections::BTreeMap;

use eventferry::base::http::{Failure, Request, Response};
use eventferry::base::ids::ExchangeId;
use eventferry::base::time::{Deadline, Moment};
use eventferry::engine::machine::{Input, Machine, Output};

/// What a server does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Answers after so many milliseconds.
    After(u64, Result<Response, Failure>),
    /// Never answers; the carrier's timeout ends it.
    Hang,
}

/// What decides on the reply to a request at a time.
type Server = Box<dyn FnMut(u64, &Request) -> Reply>;

/// One machine, one server, one clock.
pub(crate) struct World<M: Machine> {
    pub(crate) machine: M,
    pub(crate) now: u64,
    /// What the application heard, and when.
    pub(crate) events: Vec<(u64, M::Event)>,
    /// Every request, and when.
    pub(crate) requests: Vec<(u64, Request)>,
    pub(crate) cancelled: Vec<ExchangeId>,
    server: Server,
    flying: BTreeMap<(u64, ExchangeId), Result<Response, Failure>>,
    deadline: Deadline,
}

impl<M: Machine> World<M> {
    pub(crate) fn new(machine: M, server: impl FnMut(u64, &Request) -> Reply + 'static) -> Self {
        Self {
            machine,
            now: 0,
            events: Vec::new(),
            requests: Vec::new(),
            cancelled: Vec::new(),
            server: Box::new(server),
            flying: BTreeMap::new(),
            deadline: Deadline::Never,
        }
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment::from_millis(self.now)
    }

    /// Does what the machine asks, until it waits.
    pub(crate) fn settle(&mut self) {
        for step in 0.. {
            assert!(step < 100_000, "the machine never waits");
            match self.machine.poll() {
                Output::Send(id, request) => {
                    let (after, outcome) = match (self.server)(self.now, &request) {
                        Reply::After(after, outcome) if after < request.timeout().0 => (after, outcome),
                        _ => (request.timeout().0, Err(Failure::Timeout)),
                    };
                    self.flying.insert((self.now + after, id), outcome);
                    self.requests.push((self.now, request));
                }
                Output::Cancel(id) => {
                    self.flying.retain(|(_, other), _| *other != id);
                    self.cancelled.push(id);
                }
                Output::Event(event) => self.events.push((self.now, event)),
                Output::Load(_) | Output::Save(..) => {}
                Output::Wait(deadline) => {
                    self.deadline = deadline;
                    assert!(
                        matches!(self.machine.poll(), Output::Wait(again) if again == deadline),
                        "wait is not final"
                    );
                    return;
                }
            }
        }
    }

    /// Lets the next thing happen. False if nothing ever will.
    pub(crate) fn step(&mut self) -> bool {
        self.settle();
        let landing = self.flying.keys().next().copied();
        let waking = match self.deadline {
            Deadline::At(at) => Some(at.as_millis()),
            Deadline::Never => None,
        };
        match (landing, waking) {
            (Some((at, id)), waking) if waking.is_none_or(|waking| at <= waking) => {
                self.now = self.now.max(at);
                let outcome = self.flying.remove(&(at, id)).expect("in flight");
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

    /// Lets everything happen.
    pub(crate) fn run(&mut self) {
        for step in 0.. {
            assert!(step < 1_000_000, "the world never ends");
            if !self.step() {
                return;
            }
        }
    }
}
