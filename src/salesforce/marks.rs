//! When the replay position of a channel is saved, and in which order acknowledgements count.
//!
//! ```text
//!   automatic   Received ──Save──Saved──> may be handed over        Handled (listener done) ──Save──Saved──>
//!   next        Received: the message before it ──Save──Saved──> may be handed over      Flush: the last one
//!   manual      Acked: that message, once all before it are acknowledged ──Save──Saved──>
//! ```
//!
//! | policy | a crash |
//! |---|---|
//! | automatic | loses the messages that were saved and not handed over; hands none over twice |
//! | next, manual | loses nothing; the messages that were not saved come again |
//!
//! One save runs at a time. Positions that arrive during it are saved by the next, the newest of each channel.
//! A position whose save failed is kept, and saved again with the next input that asks for a save.

use crate::base::ids::OpId;
use crate::base::time::{Deadline, Moment};
use crate::engine::machine::{Machine, Poll};
use crate::engine::queue::Queue;

/// When positions are saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Before a message is handed over, or after its listener is done.
    Automatic,
    /// When the next message is requested.
    Next,
    /// When the message and all before it were acknowledged.
    Manual,
}

/// The position of a message in its channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The channel, without a filter.
    pub channel: String,
    /// The replay id.
    pub replay_id: String,
    /// When the event was created, in ISO 8601.
    pub date: Option<String>,
}

/// What can happen to a message. Each operation settles once.
#[derive(Clone, Debug)]
pub enum Input {
    /// A message is about to be handed over; a message without a replay id has no position. Until the
    /// operation has settled with success, the message stays in the inbox, to be received again.
    Received(OpId, Option<Position>),
    /// All listeners of a message are done.
    Handled(OpId, Position),
    /// The application acknowledges a message: the operation with which it was received, or `None` for a
    /// message of a listener.
    Acked(OpId, Option<OpId>, Position),
    /// Save what is still unsaved. Settles when nothing is left to save.
    Flush(OpId),
    /// The end of the save that was asked for.
    Saved(bool),
}

/// What the owner shall do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Save a position, then answer with [`Input::Saved`].
    Save(Position),
    /// The end of an operation. False: a position could not be saved.
    Settled(OpId, bool),
}

/// A position that is not saved yet, and the operations that wait for it.
#[derive(Clone, Debug)]
struct Unsaved {
    position: Position,
    ops: Vec<OpId>,
}

/// A message that was handed over and waits for its acknowledgement, or for those before it.
#[derive(Clone, Debug)]
struct Unacked {
    received: OpId,
    position: Position,
    is_acked: bool,
}

/// The state machine.
#[derive(Clone, Debug)]
pub struct Marks {
    policy: Policy,
    /// In the order in which they are saved; one for each channel.
    unsaved: Vec<Unsaved>,
    saving: Option<Unsaved>,
    /// Policy `next`: the message that was handed over last.
    previous: Option<Position>,
    /// Policy `next`: the messages that are handed over when their operations settle.
    candidates: Vec<(OpId, Option<Position>)>,
    /// Policy `manual`: for each channel the messages from the first unacknowledged one on, in the order of
    /// their hand-over.
    unacked: Vec<(String, Vec<Unacked>)>,
    /// Operations that wait until nothing is left to save, and whether all went well since.
    flushing: Vec<OpId>,
    outputs: Queue<Output>,
}

impl Marks {
    /// No positions.
    pub const fn new(policy: Policy) -> Self {
        Self {
            policy,
            unsaved: Vec::new(),
            saving: None,
            previous: None,
            candidates: Vec::new(),
            unacked: Vec::new(),
            flushing: Vec::new(),
            outputs: Queue::new(),
        }
    }

    fn received(&mut self, op: OpId, position: Option<Position>) {
        match self.policy {
            Policy::Automatic => self.save_for(op, position),
            Policy::Next => {
                self.candidates.push((op, position));
                self.save_for(op, self.previous.clone());
            }
            Policy::Manual => {
                if let Some(position) = position {
                    self.expect_ack(op, position);
                }
                self.settle(op, true);
            }
        }
    }

    fn acked(&mut self, op: OpId, received: Option<OpId>, position: Position) {
        if self.policy != Policy::Manual {
            return self.settle(op, true);
        }
        // Listeners run in order, so all messages before one of a listener are done.
        let Some(received) = received else { return self.save_for(op, Some(position)) };
        let channel = position.channel;
        let newest = self.take_acked(&channel, received);
        let unsaved = || self.unsaved.iter().chain(&self.saving);
        // Acknowledged again after a save that failed, or before it has ended.
        let newest = newest.or_else(|| {
            let same = unsaved().find(|unsaved| unsaved.position.channel == channel);
            same.map(|unsaved| unsaved.position.clone())
        });
        self.save_for(op, newest);
    }

    fn expect_ack(&mut self, received: OpId, position: Position) {
        let message = Unacked { received, position, is_acked: false };
        match self.unacked.iter_mut().find(|(channel, _)| *channel == message.position.channel) {
            Some((_, messages)) => messages.push(message),
            None => self.unacked.push((message.position.channel.clone(), vec![message])),
        }
    }

    /// Marks a message as acknowledged. Returns the position of the last one before which all are.
    fn take_acked(&mut self, channel: &str, received: OpId) -> Option<Position> {
        let (_, messages) = self.unacked.iter_mut().find(|(name, _)| name == channel)?;
        let at = messages.binary_search_by_key(&received, |message| message.received).ok()?;
        messages.get_mut(at)?.is_acked = true;
        let acked = messages.iter().take_while(|message| message.is_acked).count();
        messages.drain(..acked).next_back().map(|message| message.position)
    }

    /// Saves a position, for an operation that waits for it. Without a position there is nothing to wait for.
    fn save_for(&mut self, op: OpId, position: Option<Position>) {
        let Some(position) = position else { return self.settle(op, true) };
        match self.unsaved.iter_mut().find(|unsaved| unsaved.position.channel == position.channel) {
            Some(unsaved) => {
                unsaved.position = position;
                unsaved.ops.push(op);
            }
            None => self.unsaved.push(Unsaved { position, ops: vec![op] }),
        }
        self.save_next();
    }

    fn flush(&mut self, op: OpId) {
        if let Some(previous) = self.previous.take() {
            match self.unsaved.iter_mut().find(|unsaved| unsaved.position.channel == previous.channel) {
                Some(unsaved) => unsaved.position = previous,
                None => self.unsaved.push(Unsaved { position: previous, ops: Vec::new() }),
            }
        }
        self.flushing.push(op);
        self.save_next();
    }

    fn saved(&mut self, is_saved: bool) {
        let Some(Unsaved { position, ops }) = self.saving.take() else { return };
        for op in ops {
            self.settle(op, is_saved);
        }
        if is_saved {
            return self.save_next();
        }
        if !self.unsaved.iter().any(|unsaved| unsaved.position.channel == position.channel) {
            self.unsaved.push(Unsaved { position, ops: Vec::new() });
        }
        for op in core::mem::take(&mut self.flushing) {
            self.settle(op, false);
        }
        // Others still wait for a save; those that nobody waits for are saved with the next input.
        if self.unsaved.iter().any(|unsaved| !unsaved.ops.is_empty()) {
            self.save_next();
        }
    }

    /// Starts the next save, those first that somebody waits for.
    fn save_next(&mut self) {
        if self.saving.is_some() {
            return;
        }
        let waited = self.unsaved.iter().position(|unsaved| !unsaved.ops.is_empty());
        if self.unsaved.is_empty() {
            for op in core::mem::take(&mut self.flushing) {
                self.settle(op, true);
            }
            return;
        }
        let next = self.unsaved.remove(waited.unwrap_or(0));
        self.outputs.push(Output::Save(next.position.clone()));
        self.saving = Some(next);
    }

    fn settle(&mut self, op: OpId, is_saved: bool) {
        if let Some(at) = self.candidates.iter().position(|(candidate, _)| *candidate == op) {
            let (_, position) = self.candidates.remove(at);
            if is_saved {
                self.previous = position;
            }
        }
        self.outputs.push(Output::Settled(op, is_saved));
    }
}

impl Machine for Marks {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, _now: Moment, input: Input) {
        match input {
            Input::Received(op, position) => self.received(op, position),
            Input::Handled(op, position) => {
                self.save_for(op, (self.policy != Policy::Manual).then_some(position))
            }
            Input::Acked(op, received, position) => self.acked(op, received, position),
            Input::Flush(op) => self.flush(op),
            Input::Saved(is_saved) => self.saved(is_saved),
        }
    }

    fn poll(&mut self) -> Poll<Output> {
        self.outputs.pop().map_or(Poll::Wait(Deadline::Never), Poll::Do)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(id: u32) -> Position {
        Position { channel: "/a".to_owned(), replay_id: id.to_string(), date: None }
    }

    fn outputs(marks: &mut Marks, input: Input) -> Vec<Output> {
        marks.handle(Moment::default(), input);
        let mut outputs = Vec::new();
        while let Poll::Do(output) = marks.poll() {
            outputs.push(output);
        }
        outputs
    }

    #[test]
    fn automatic_saves_before_the_hand_over() {
        let mut marks = Marks::new(Policy::Automatic);
        let received = Input::Received(OpId(1), Some(at(7)));
        assert_eq!(outputs(&mut marks, received), [Output::Save(at(7))]);
        assert_eq!(outputs(&mut marks, Input::Saved(true)), [Output::Settled(OpId(1), true)]);
        assert_eq!(outputs(&mut marks, Input::Received(OpId(2), None)), [Output::Settled(OpId(2), true)]);
    }

    #[test]
    fn next_saves_only_messages_that_were_handed_over_even_if_a_save_fails() {
        let mut marks = Marks::new(Policy::Next);
        let received = |op, id| Input::Received(OpId(op), Some(at(id)));
        assert_eq!(outputs(&mut marks, received(1, 7)), [Output::Settled(OpId(1), true)]);
        assert_eq!(outputs(&mut marks, received(2, 8)), [Output::Save(at(7))]);
        assert_eq!(outputs(&mut marks, Input::Saved(false)), [Output::Settled(OpId(2), false)]);
        // 8 goes back to the inbox and is received again: still only 7 was handed over.
        assert_eq!(outputs(&mut marks, received(3, 8)), [Output::Save(at(7))]);
        assert_eq!(outputs(&mut marks, Input::Saved(true)), [Output::Settled(OpId(3), true)]);
        assert_eq!(outputs(&mut marks, Input::Flush(OpId(4))), [Output::Save(at(8))]);
        assert_eq!(outputs(&mut marks, Input::Saved(true)), [Output::Settled(OpId(4), true)]);
    }

    #[test]
    fn manual_saves_up_to_the_first_message_that_is_not_acknowledged() {
        let mut marks = Marks::new(Policy::Manual);
        for id in 1..=3 {
            outputs(&mut marks, Input::Received(OpId(id), Some(at(id))));
        }
        let ack = |op, received| Input::Acked(OpId(op), Some(OpId(received)), at(received));
        assert_eq!(outputs(&mut marks, ack(11, 2)), [Output::Settled(OpId(11), true)]);
        assert_eq!(outputs(&mut marks, ack(12, 1)), [Output::Save(at(2))]);
        assert_eq!(outputs(&mut marks, Input::Saved(true)), [Output::Settled(OpId(12), true)]);
        assert_eq!(outputs(&mut marks, ack(13, 1)), [Output::Settled(OpId(13), true)]);
    }

    #[test]
    fn a_position_that_could_not_be_saved_is_saved_when_it_is_acknowledged_again() {
        let mut marks = Marks::new(Policy::Manual);
        outputs(&mut marks, Input::Received(OpId(1), Some(at(1))));
        let ack = |op| Input::Acked(OpId(op), Some(OpId(1)), at(1));
        assert_eq!(outputs(&mut marks, ack(2)), [Output::Save(at(1))]);
        assert_eq!(outputs(&mut marks, Input::Saved(false)), [Output::Settled(OpId(2), false)]);
        assert_eq!(outputs(&mut marks, ack(3)), [Output::Save(at(1))]);
        assert_eq!(outputs(&mut marks, Input::Flush(OpId(4))), []);
        let ends = [Output::Settled(OpId(3), true), Output::Settled(OpId(4), true)];
        assert_eq!(outputs(&mut marks, Input::Saved(true)), ends);
    }

    #[test]
    fn positions_that_arrive_during_a_save_share_the_next() {
        let mut marks = Marks::new(Policy::Automatic);
        let handled = |op, id| Input::Handled(OpId(op), at(id));
        assert_eq!(outputs(&mut marks, handled(1, 1)), [Output::Save(at(1))]);
        assert_eq!(outputs(&mut marks, handled(2, 2)), []);
        assert_eq!(outputs(&mut marks, handled(3, 3)), []);
        let next = [Output::Settled(OpId(1), true), Output::Save(at(3))];
        assert_eq!(outputs(&mut marks, Input::Saved(true)), next);
        let ends = [Output::Settled(OpId(2), true), Output::Settled(OpId(3), true)];
        assert_eq!(outputs(&mut marks, Input::Saved(true)), ends);
    }
}
