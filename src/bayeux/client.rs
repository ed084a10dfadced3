//! A client for any Bayeux server: a [`Session`] with the plain [`Dialect`](super::dialect::Dialect).

use super::dialect::DefaultDialect;
use super::session::{Event, Options, Session};
use crate::base::ids::OpId;
use crate::base::time::Moment;
use crate::engine::machine::{Input, Machine, Output, Poll};

/// A client for any Bayeux server.
#[derive(Clone, Debug)]
pub struct Client {
    /// The session, which takes most commands.
    pub session: Session,
}

impl Client {
    /// An idle client.
    pub fn new(options: Options, seed: u64) -> Self {
        Self { session: Session::new(options, seed) }
    }

    /// See [`Session::publish`].
    pub fn publish(&mut self, now: Moment, channel: &str, data: &str) -> OpId {
        self.session.publish(now, channel, data, &DefaultDialect)
    }

    /// See [`Session::socket_text`].
    pub fn socket_text(&mut self, now: Moment, id: u32, text: Vec<u8>) {
        self.session.socket_text(now, id, text, &mut DefaultDialect);
    }

    /// See [`Session::socket_closed`].
    pub fn socket_closed(&mut self, now: Moment, id: u32, code: u16) {
        self.session.socket_closed(now, id, code);
    }
}

impl Machine for Client {
    type Input = Input;
    type Output = Output<Event>;

    fn handle(&mut self, now: Moment, input: Input) {
        // This client starts no exchanges of its own.
        drop(self.session.handle(now, input, &mut DefaultDialect));
    }

    fn poll(&mut self) -> Poll<Output<Event>> {
        self.session.poll(&mut DefaultDialect)
    }
}
