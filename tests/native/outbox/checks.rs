//! What holds at the end of every run.

use std::collections::BTreeMap;

use super::world::{EventNo, World};

pub(super) fn check_no_event_is_lost(world: &World) {
    let seed = world.seed;
    for no in &world.accepted {
        let is_poison = world.rejected.contains(no);
        assert!(world.deliveries.contains_key(no) || is_poison, "seed {seed}: {no} is lost");
        assert_eq!(world.store.dead.contains(no), is_poison, "seed {seed}: {no} among the dead letters");
    }
    for no in &world.store.dead {
        assert!(world.rejected.contains(no), "seed {seed}: {no} was not rejected");
    }
    assert!(world.store.segments.is_empty(), "seed {seed}: the store is not empty");
    let counters = world.machine.counters();
    assert_eq!(counters.pending(), 0, "seed {seed}");
    let bytes = world.store.dead.iter().map(|no| u64::from(world.events[*no as usize].size)).sum();
    // A write that is applied late brings events back, and rejected ones become dead letters twice.
    let is_exact = world.initial_rates.write_fails == 0;
    let (dead, found) = ((counters.dead, world.machine.bytes()), (world.store.dead.len() as u64, bytes));
    assert!(
        dead == found || (!is_exact && dead > found),
        "seed {seed}: the store has {found:?}, the counters {dead:?}"
    );
}

pub(super) fn check_order_by_key(world: &World) {
    let position: BTreeMap<EventNo, usize> =
        world.committed.iter().enumerate().map(|(position, no)| (*no, position)).collect();
    let mut last = BTreeMap::new();
    // Events that were not accepted may arrive late from a process that crashed.
    for no in world.first_deliveries.iter().filter(|no| world.accepted.contains(no)) {
        let ordering_key = world.events[*no as usize].ordering_key;
        if ordering_key != 0 {
            let before = last.insert(ordering_key, *no).unwrap_or(*no);
            assert!(
                position[&before] <= position[no],
                "seed {}: {before} before {no} in ordering_key {ordering_key}",
                world.seed
            );
        }
    }
}
