//! Which events go into the next request.
//!
//! What lives here: the walk through the window, oldest first. An event that cannot go keeps back those behind it in its ordering key,
//! and nobody else. A segment whose events keep to themselves begins a request and ends it, or waits for the next one.

use super::segment::{Part, Segment, SegmentId, State, Stored};
use super::session::Grouping;
use crate::base::time::{Millis, Moment};
use crate::engine::ordered_map::OrderedMap;

/// What events wait for before they are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Haste {
    /// For grouping.
    None,
    /// For the store.
    Rush,
    /// For nothing.
    Leaving,
}

/// What decides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) most_events: u32,
    /// A single event may have more.
    pub(super) most_bytes: u64,
    pub(super) now: Moment,
    pub(super) linger: Millis,
    pub(super) one_per_ordering_key: bool,
    pub(super) leads: bool,
    /// Our own segments above this one wait with what has an ordering key: something that only the store has may have to go first.
    pub(super) older: Option<SegmentId>,
    pub(super) haste: Haste,
}

/// Events for a request, and their bytes. `None` if there are none, or too few and the oldest may wait for others.
pub(super) fn pick(segments: &OrderedMap<SegmentId, Segment>, terms: &Terms) -> Option<(Vec<Part>, u64)> {
    let mut batch: Vec<Part> = Vec::new();
    let (mut events, mut bytes) = (0, 0);
    let mut blocked = OrderedMap::new();
    let mut is_full = false;
    let mut since = None;
    'walk: for (id, segment) in segments.iter().filter(|(_, segment)| is_open(segment, terms)) {
        let most_events = match segment.contents().grouping {
            Grouping::Any => terms.most_events,
            Grouping::Own(_) if !batch.is_empty() => {
                // Nothing behind it may overtake it.
                for ordering_key in segment.lanes_left() {
                    blocked.add(ordering_key);
                }
                continue;
            }
            // Whoever leaves has time for one request and not for many.
            Grouping::Own(_) if terms.haste == Haste::Leaving => terms.most_events,
            Grouping::Own(most) => terms.most_events.min(most.max(1)),
        };
        let whole = segment.contents().bytes();
        if segment.is_plain() && events + segment.len() <= most_events && bytes + whole <= terms.most_bytes {
            (events, bytes) = (events + segment.len(), bytes + whole);
            batch.push(Part { segment: id, from: 0, to: segment.len() });
            since.get_or_insert(segment.since);
            is_full = segment.contents().grouping != Grouping::Any;
            if is_full {
                break;
            }
            continue;
        }
        let is_behind = id.is_own() && terms.older.is_some_and(|older| older < id);
        for index in 0..segment.len() {
            let ordering_key = segment.contents().ordering_key(index);
            let is_ready = match segment.state(index) {
                State::Gone => continue,
                State::Taken => false,
                State::Ready => segment.rest(index).is_none_or(|until| until <= terms.now),
            };
            let waits = ordering_key != 0 && (is_behind || blocked.contains(ordering_key));
            if ordering_key != 0 && (!is_ready || waits || terms.one_per_ordering_key) {
                blocked.add(ordering_key);
            }
            if !is_ready || waits {
                continue;
            }
            let size = segment.contents().size(index);
            if events == most_events || (events > 0 && bytes + size > terms.most_bytes) {
                is_full = true;
                break 'walk;
            }
            (events, bytes) = (events + 1, bytes + size);
            since.get_or_insert(segment.since);
            match batch.last_mut() {
                Some(last) if last.segment == id && last.to == index => last.to += 1,
                _ => batch.push(Part { segment: id, from: index, to: index + 1 }),
            }
        }
        is_full = segment.contents().grouping != Grouping::Any && !batch.is_empty();
        if is_full {
            break;
        }
    }
    let is_ripe = terms.haste != Haste::None
        || is_full
        || events == terms.most_events
        || since?.after(terms.linger) <= terms.now;
    (is_ripe && !batch.is_empty()).then_some((batch, bytes))
}

/// The first events of a batch, and the others.
pub(super) fn split(batch: &[Part], mut events: u32) -> (Vec<Part>, Vec<Part>) {
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    for part in batch {
        let taken = part.len().min(events);
        events -= taken;
        let middle = part.from + taken;
        head.extend((taken > 0).then_some(Part { to: middle, ..*part }));
        tail.extend((middle < part.to).then_some(Part { from: middle, ..*part }));
    }
    (head, tail)
}

/// Whether anything of a segment may be sent from here now.
fn is_open(segment: &Segment, terms: &Terms) -> bool {
    match segment.stored {
        Stored::Kept => terms.leads && !segment.is_leaving,
        Stored::Loose => true,
        Stored::Queued => terms.haste == Haste::Leaving,
    }
}
