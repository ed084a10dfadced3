//! A segment: events that are stored together, and the state of each.
//!
//! ```text
//!   of the segment:  queued ──written──> kept          of an event:  ready <──> taken ──> gone
//!                      │ ▲─written─┐
//!                      └failed─> loose
//! ```

use super::session::Contents;
use crate::base::time::Moment;
use crate::engine::ordered_map::OrderedMap;

/// The number under which the owner keeps the bodies of a segment. Higher numbers came later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub u32);

/// Our own have higher numbers than those that were found: what was stored before this life comes first.
const OWN: u32 = 1 << 31;

impl SegmentId {
    /// Before all others.
    pub const FIRST: Self = Self(0);

    /// One that was committed here.
    pub const fn own(count: u32) -> Self {
        Self(OWN | count)
    }

    /// Whether it was committed here.
    pub const fn is_own(self) -> bool {
        self.0 >= OWN
    }
}

/// Neighbours in a segment, from an index up to before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which segment.
    pub segment: SegmentId,
    /// The first index.
    pub from: u32,
    /// The index behind the last.
    pub to: u32,
}

impl Part {
    /// How many events these are.
    pub const fn len(self) -> u32 {
        self.to - self.from
    }

    /// Whether these are no events.
    pub const fn is_empty(self) -> bool {
        self.to == self.from
    }
}

/// Whether the store has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It waits to be written, or is being written.
    Queued,
    /// Writing it has failed at least once: it may be sent all the same.
    Loose,
    /// It is written.
    Kept,
}

/// Where one event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// To be sent.
    Ready,
    /// In a request, or in a batch that waits for its turn.
    Taken,
    /// Delivered or dead.
    Gone,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    state: State,
    tries: u8,
}

/// One segment that is known.
#[derive(Clone, Debug)]
pub struct Segment {
    contents: Contents,
    marks: Vec<Mark>,
    left: u32,
    rests: OrderedMap<u32, Moment>,
    /// Whether the store has it.
    pub stored: Stored,
    /// It is to be forgotten as soon as nothing of it waits to be written; until then nothing of it is sent.
    pub is_leaving: bool,
    /// When it came here.
    pub since: Moment,
    /// When its events are too old.
    pub expires: Moment,
}

impl Segment {
    /// A segment whose events are all to be sent.
    pub fn new(contents: Contents, stored: Stored, since: Moment, expires: Moment) -> Self {
        let marks = vec![Mark { state: State::Ready, tries: 0 }; contents.sizes.len()];
        Self {
            left: contents.len(),
            contents,
            marks,
            rests: OrderedMap::new(),
            stored,
            is_leaving: false,
            since,
            expires,
        }
    }

    /// Sizes and ordering keys.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// How many events it has, whatever became of them.
    pub fn len(&self) -> u32 {
        self.contents.len()
    }

    /// Whether it has no events.
    pub fn is_empty(&self) -> bool {
        self.contents.is_empty()
    }

    /// How many are not gone.
    pub fn left(&self) -> u32 {
        self.left
    }

    /// Their bytes.
    pub fn left_bytes(&self) -> u64 {
        self.kept().into_iter().map(|index| self.contents.size(index)).sum()
    }

    /// The indices of those that are not gone.
    pub fn kept(&self) -> Vec<u32> {
        (0..self.len()).filter(|index| self.state(*index) != State::Gone).collect()
    }

    /// The ordering keys of those that are not gone, without 0.
    pub fn lanes_left(&self) -> impl Iterator<Item = u32> + '_ {
        let ordering_keys = self.contents.ordering_keys.iter().zip(&self.marks);
        ordering_keys
            .filter(|(ordering_key, mark)| **ordering_key != 0 && mark.state != State::Gone)
            .map(|(ordering_key, _)| *ordering_key)
    }

    /// Where an event is.
    pub fn state(&self, index: u32) -> State {
        self.marks.get(index as usize).map_or(State::Gone, |mark| mark.state)
    }

    /// In how many requests an event was.
    pub fn tries(&self, index: u32) -> u32 {
        self.marks.get(index as usize).map_or(0, |mark| mark.tries.into())
    }

    /// When an event that is ready may be sent, if it rests.
    pub fn rest(&self, index: u32) -> Option<Moment> {
        self.rests.get(index).copied()
    }

    /// Whether every event is still to be sent.
    pub fn is_untouched(&self) -> bool {
        self.left == self.len()
            && self.rests.is_empty()
            && self.marks.iter().all(|mark| mark.state == State::Ready)
    }

    /// Whether every event is to be sent now, and none has to keep an order.
    pub fn is_plain(&self) -> bool {
        self.contents.ordering_keys.is_empty() && self.is_untouched()
    }

    /// The earliest moment at which an event of it ends its rest.
    pub fn next_rest(&self) -> Option<Moment> {
        self.rests.values().min().copied()
    }

    /// Takes events for a request.
    pub fn take(&mut self, from: u32, to: u32) {
        for index in from..to {
            self.rests.remove(index);
            self.set(index, State::Taken);
        }
    }

    /// A request with these events starts.
    pub fn count_try(&mut self, from: u32, to: u32) {
        for mark in self.marks.get_mut(from as usize..to as usize).unwrap_or_default() {
            mark.tries = mark.tries.saturating_add(1);
        }
    }

    /// Gives an event back, to be sent at once or after a rest.
    pub fn give_back(&mut self, index: u32, rest: Option<Moment>) {
        self.set(index, State::Ready);
        if let Some(until) = rest {
            self.rests.insert(index, until);
        }
    }

    /// An event was delivered or has died. False if it was gone before.
    pub fn let_go(&mut self, index: u32) -> bool {
        if self.state(index) == State::Gone {
            return false;
        }
        self.rests.remove(index);
        self.set(index, State::Gone);
        self.left -= 1;
        true
    }

    fn set(&mut self, index: u32, state: State) {
        if let Some(mark) = self.marks.get_mut(index as usize) {
            mark.state = state;
        }
    }
}
