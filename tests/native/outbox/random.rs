//! Random worlds: everything that can fail does.

use eventferry::base::http::Response;
use eventferry::base::ids::ExchangeId;
use eventferry::base::time::{Millis, Moment};
use eventferry::engine::jitter::Rng;
use eventferry::engine::machine::{Input, Machine};
use eventferry::outbox::Options;
use eventferry::outbox::session::{Grouping, SessionId};

use super::checks::{check_no_event_is_lost, check_order_by_key};
use super::world::{FailureRates, World};

/// In every other world some sessions have separate segments.
fn grouping(seed: u64, session: SessionId) -> Grouping {
    match (seed % 2, session.0) {
        (1, session @ 2..) => Grouping::Separate(session * session - 3),
        _ => Grouping::Any,
    }
}

/// In every fourth world a partial response may accept a later event of an ordering key and refuse an earlier
/// one, as some systems do.
fn may_reorder(seed: u64) -> bool {
    seed % 4 == 3
}

/// A random run: everything that can fail does, then the failures end.
fn random_world(seed: u64) -> World {
    let mut rng = Rng::new(seed.wrapping_mul(0x1234_5678_9abc_def1));
    let percent = |rng: &mut Rng, max| if rng.up_to(2) == 0 { 0 } else { rng.up_to(max) };
    let rates = FailureRates {
        write_fails: percent(&mut rng, 60),
        peek_fails: percent(&mut rng, 40),
        lost_answer: percent(&mut rng, 30),
        refused: percent(&mut rng, 50),
        partial: percent(&mut rng, 40),
        hangs: percent(&mut rng, 10),
        max_events: (rng.up_to(3) == 0).then(|| 1 + rng.up_to(9) as usize),
    };
    let options = Options {
        batch_events: 1 + rng.up_to(19) as u32,
        batch_bytes: 50 + rng.up_to(3000),
        linger: Millis(rng.up_to(1) * rng.up_to(300)),
        concurrency: 1 + rng.up_to(3) as u32,
        one_per_ordering_key: rates.partial > 0 && !may_reorder(seed),
        max_bytes: 100_000,
        ..Options::default()
    };
    let mut world = World::new(options, seed, rates);
    for _ in 0..60 {
        let session = SessionId(1 + rng.up_to(2) as u32);
        let ordering_key = (rng.up_to(5) as u32).saturating_sub(2);
        if let Some(no) = world.publish(session, 1 + rng.up_to(120) as u32, ordering_key)
            && rng.up_to(20) == 0
        {
            world.rejected.insert(no);
        }
        match rng.up_to(24) {
            0..=9 => drop(world.commit_as(session, grouping(seed, session))),
            10 => {
                world.machine.roll_back(session);
                world.staged.remove(&session);
            }
            11 => world.crash(),
            12 => {
                let at = world.moment();
                let is_paused = rng.up_to(1) == 0;
                world.machine.pause(at, is_paused);
            }
            13 => {
                let at = world.moment();
                let is_leader = rng.up_to(1) == 0;
                world.machine.set_leader(at, is_leader);
            }
            14 => world.machine.online(world.moment()),
            15 => world.machine.flush_now(world.moment()),
            16 => world.machine.page_hidden(world.moment(), 500, false),
            // The clock jumps: forwards to stay, and backwards for one call.
            17 => world.skew += rng.up_to(100_000),
            18 => world.machine.handle(Moment::default(), Input::Tick),
            // Feffects about exchanges that nobody asked for.
            19 => world
                .machine
                .handle(world.moment(), Input::Exchange(ExchangeId(9999), Ok(Response::new(200)))),
            _ => world.run_for(rng.up_to(400)),
        }
        world.run_machine();
    }
    for session in 1..=3 {
        world.commit_as(SessionId(session), grouping(seed, SessionId(session)));
    }
    world.run_for(2000);
    world.finish();
    world
}

#[test]
fn ten_thousand_random_worlds_lose_no_accepted_event_and_keep_the_order_of_each_key() {
    let (mut accepted, mut duplicates) = (0, 0);
    for seed in 0..10_000 {
        let world = random_world(seed);
        check_no_event_is_lost(&world);
        if world.initial_rates.partial == 0 || !may_reorder(seed) {
            check_order_by_key(&world);
        }
        accepted += world.accepted.len();
        duplicates += world.duplicates();
    }
    assert!(accepted > 100_000 && duplicates > 1000, "too few failures: {accepted}, {duplicates}");
}
