//! Replay positions in a world that crashes: between hand-over, acknowledgement and save.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use eventferry::base::ids::OpId;
use eventferry::base::time::Moment;
use eventferry::engine::jitter::Rng;
use eventferry::engine::machine::{Machine, Poll};
use eventferry::salesforce::marks::{Input, Marks, Output, Policy, Position};

const CHANNELS: [&str; 2] = ["/event/A__e", "/event/B__e"];
const LAST: u32 = 12;

/// What survives a crash, and what the application has seen.
#[derive(Default)]
struct World {
    stored: BTreeMap<String, u32>,
    handed_over: Vec<(String, u32)>,
    /// Policies `next` and `manual`: what the application is done with.
    done: BTreeSet<(String, u32)>,
    crashes: u32,
}

/// Runs the client once, from the stored positions on. Ends with a crash, or when everything is received.
fn run(world: &mut World, policy: Policy, rng: &mut Rng, has_crash: bool) {
    let mut marks = Marks::new(policy);
    let mut inbox: VecDeque<(String, u32)> = VecDeque::new();
    for id in 1..=LAST {
        for channel in CHANNELS {
            if id > world.stored.get(channel).copied().unwrap_or(0) {
                inbox.push_back((channel.to_owned(), id));
            }
        }
    }
    let mut ops = 0;
    // The message that waits for its hand-over, the save in progress, and the messages to acknowledge.
    let mut receiving: Option<(u32, (String, u32))> = None;
    let mut saving: Option<Position> = None;
    let mut unacked: Vec<(u32, (String, u32))> = Vec::new();
    let mut previous: Option<(String, u32)> = None;
    let mut flush = None;
    let position = |message: &(String, u32)| Position {
        channel: message.0.clone(),
        replay_id: message.1.to_string(),
        date: None,
    };
    for _ in 0..2000 {
        if has_crash && rng.up_to(40) == 0 {
            world.crashes += 1;
            return;
        }
        let input = match rng.up_to(2) {
            0 if receiving.is_none() && !inbox.is_empty() => {
                ops += 1;
                let message = inbox.pop_front().expect("a message");
                if policy == Policy::Next
                    && let Some(previous) = previous.take()
                {
                    // The request of the next one shows that it was processed.
                    world.done.insert(previous);
                }
                let input = Input::Received(OpId(ops), Some(position(&message)));
                receiving = Some((ops, message));
                input
            }
            1 if !unacked.is_empty() => {
                ops += 1;
                let (received, message) = unacked.swap_remove(rng.up_to(unacked.len() as u64 - 1) as usize);
                world.done.insert(message.clone());
                Input::Acked(OpId(ops), Some(OpId(received)), position(&message))
            }
            2 if saving.is_some() => {
                let position = saving.take().expect("a save");
                // It may fail, and it may also have been written although it is reported as failed.
                let (is_written, is_reported) =
                    [(true, true), (true, true), (false, false), (true, false)][rng.up_to(3) as usize];
                if is_written {
                    let id = position.replay_id.parse().expect("a number");
                    let before = world.stored.insert(position.channel, id).unwrap_or(0);
                    assert!(id >= before, "a position goes back from {before} to {id}");
                }
                Input::Saved(is_reported)
            }
            _ if inbox.is_empty() && receiving.is_none() && unacked.is_empty() && flush.is_none() => {
                ops += 1;
                flush = Some(ops);
                world.done.extend(previous.take());
                Input::Flush(OpId(ops))
            }
            _ => continue,
        };
        marks.handle(Moment::default(), input);
        while let Poll::Do(output) = marks.poll() {
            match output {
                Output::Save(position) => {
                    assert!(saving.is_none(), "two saves at a time");
                    saving = Some(position);
                }
                Output::Settled(op, is_saved) if receiving.as_ref().is_some_and(|(of, _)| *of == op.0) => {
                    let (op, message) = receiving.take().expect("a message");
                    if !is_saved {
                        inbox.push_front(message);
                        continue;
                    }
                    world.handed_over.push(message.clone());
                    match policy {
                        Policy::Manual => unacked.push((op, message)),
                        Policy::Next => previous = Some(message),
                        Policy::Automatic => {}
                    }
                }
                Output::Settled(op, is_saved) if flush == Some(op.0) => {
                    if is_saved {
                        return;
                    }
                    flush = None;
                }
                Output::Settled(..) => {}
            }
        }
        // The stored position is never beyond a message that the application is not done with.
        if policy != Policy::Automatic {
            for (channel, stored) in &world.stored {
                for id in 1..=*stored {
                    let message = (channel.clone(), id);
                    assert!(world.done.contains(&message), "{message:?} is skipped at {stored}");
                }
            }
        }
    }
    panic!("it does not end");
}

#[test]
fn marks_keep_the_promise_of_each_policy_over_ten_thousand_crashes() {
    let mut crashes = 0;
    for policy in [Policy::Automatic, Policy::Next, Policy::Manual] {
        for seed in 0..2000 {
            let mut rng = Rng::new(seed);
            let mut world = World::default();
            for round in 0..4 {
                run(&mut world, policy, &mut rng, round < 3);
            }
            crashes += world.crashes;
            let distinct: BTreeSet<_> = world.handed_over.iter().collect();
            if policy == Policy::Automatic {
                assert_eq!(distinct.len(), world.handed_over.len(), "seed {seed}: handed over twice");
                let lost = 2 * LAST as usize - distinct.len();
                assert!(
                    lost <= world.crashes as usize,
                    "seed {seed}: {lost} lost in {} crashes",
                    world.crashes
                );
            } else {
                assert_eq!(distinct.len(), 2 * LAST as usize, "seed {seed}: lost");
                assert_eq!(world.stored.values().copied().collect::<Vec<_>>(), [LAST, LAST], "seed {seed}");
            }
        }
    }
    assert!(crashes > 10_000, "{crashes}");
}
