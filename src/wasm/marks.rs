//! The port of the replay positions. Each input drains at once, because a message that is received would
//! otherwise cross the boundary twice as often.

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::base::ids::{Counter, OpId};
use crate::base::time::Moment;
use crate::boundary::numbers::{MARKS_INPUTS, MarksInput, POLICIES};
use crate::engine::machine::{Machine, Poll};
use crate::salesforce::marks::{Input, Marks, Output, Policy, Position};

#[wasm_bindgen]
extern "C" {
    /// The effect queue of the positions; `js/systems/salesforce/replay-tracker.ts` has its handlers.
    pub type MarksEffects;
    #[wasm_bindgen(method, structural, catch)]
    fn save(this: &MarksEffects, channel: &str, replay_id: &str, date: Option<&str>) -> Result<(), JsValue>;
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

    /// Starts an operation, by its place in `MARKS_INPUTS`, and returns it. A message without a replay id has no position.
    /// `received` is the operation of the hand-over of an acknowledged message, or 0.
    pub fn input(
        &mut self,
        input: usize,
        received: u32,
        channel: String,
        replay_id: Option<String>,
        date: Option<String>,
    ) -> u32 {
        let number = self.ops.advance();
        let op = OpId(number);
        let position = replay_id.map(|replay_id| Position { channel, replay_id, date });
        self.handle(match (MARKS_INPUTS.get(input), position) {
            (Some(MarksInput::Received), position) => Input::Received(op, position),
            (Some(MarksInput::Handled), Some(position)) => Input::Handled(op, position),
            (Some(MarksInput::Acked), Some(position)) => {
                Input::Acked(op, (received > 0).then_some(OpId(received)), position)
            }
            _ => Input::Flush(op),
        });
        number
    }

    /// The end of a save.
    pub fn saved(&mut self, is_saved: bool) {
        self.handle(Input::Saved(is_saved));
    }
}

impl MarksPort {
    fn handle(&mut self, input: Input) {
        // Positions know no time.
        self.marks.handle(Moment::default(), input);
        while let Poll::Do(output) = self.marks.poll() {
            drop(match output {
                Output::Save(Position { channel, replay_id, date }) => {
                    self.effects.save(&channel, &replay_id, date.as_deref())
                }
                Output::Settled(op, is_saved) => self.effects.settled(op.0, is_saved),
            });
        }
    }
}
