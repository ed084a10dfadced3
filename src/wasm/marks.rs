//! The port of the replay positions. Each input drains at once, because a message that is received would
//! otherwise cross the boundary twice as often.

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::base::ids::{Counter, OpId};
use crate::base::time::Moment;
use crate::boundary::numbers::POLICIES;
use crate::engine::machine::{Machine, Poll};
use crate::salesforce::marks::{Input, Marks, Output, Policy, Position};

#[wasm_bindgen]
extern "C" {
    /// The effect queue of the positions; `js/systems/salesforce/replay-tracker.ts` has its handlers.
    pub type MarksEffects;
    #[wasm_bindgen(method, structural, catch)]
    fn save(
        this: &MarksEffects,
        channel: String,
        replay_id: String,
        date: Option<String>,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn settled(this: &MarksEffects, op: u32, is_saved: bool) -> Result<(), JsValue>;
}

/// The port of the replay positions.
#[wasm_bindgen]
pub struct MarksPort {
    marks: Marks,
    ops: Counter,
    effects: MarksEffects,
}

#[wasm_bindgen]
impl MarksPort {
    /// No positions.
    #[wasm_bindgen(constructor)]
    pub fn new(policy: usize, effects: MarksEffects) -> Self {
        let policy = POLICIES.get(policy).copied().unwrap_or(Policy::Automatic);
        Self { marks: Marks::new(policy), ops: Counter::default(), effects }
    }

    /// A message is about to be handed over. Without a replay id it has no position.
    pub fn received(&mut self, channel: String, replay_id: Option<String>, date: Option<String>) -> u32 {
        let position = replay_id.map(|replay_id| Position { channel, replay_id, date });
        self.start(|op| Input::Received(op, position))
    }

    /// All listeners of a message are done.
    pub fn handled(&mut self, channel: String, replay_id: String, date: Option<String>) -> u32 {
        self.start(|op| Input::Handled(op, Position { channel, replay_id, date }))
    }

    /// A message is acknowledged. `received` is the operation of its hand-over, or 0.
    pub fn acked(&mut self, received: u32, channel: String, replay_id: String, date: Option<String>) -> u32 {
        let received = (received > 0).then_some(OpId(received));
        self.start(|op| Input::Acked(op, received, Position { channel, replay_id, date }))
    }

    /// Saves what is still unsaved.
    pub fn flush(&mut self) -> u32 {
        self.start(Input::Flush)
    }

    /// The end of a save.
    pub fn saved(&mut self, is_saved: bool) {
        self.handle(Input::Saved(is_saved));
    }
}

impl MarksPort {
    fn start(&mut self, input: impl FnOnce(OpId) -> Input) -> u32 {
        let op = self.ops.advance();
        self.handle(input(OpId(op)));
        op
    }

    fn handle(&mut self, input: Input) {
        // Positions know no time.
        self.marks.handle(Moment::default(), input);
        while let Poll::Do(output) = self.marks.poll() {
            drop(match output {
                Output::Save(Position { channel, replay_id, date }) => {
                    self.effects.save(channel, replay_id, date)
                }
                Output::Settled(op, is_saved) => self.effects.settled(op.0, is_saved),
            });
        }
    }
}
