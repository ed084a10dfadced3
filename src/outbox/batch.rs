//! Which events go into the next request.
//!
//! Segments are visited oldest first. An event that cannot be sent holds back the later events with its
//! ordering key, and no others. A segment with [`Grouping::Separate`] is alone in its request.

use super::segment::{EventRange, Segment, SegmentId, State, StoreState};
use super::session::Grouping;
use crate::base::time::{Millis, Moment};
use crate::engine::ordered_map::OrderedMap;

/// How urgent it is to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Events may wait for others.
    Normal,
    /// Events wait only until they are stored.
    Flush,
    /// Events wait for nothing, because the page may be closed.
    PageHidden,
}

/// What limits a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchRules {
    pub(super) max_events: u32,
    /// A single event may be larger.
    pub(super) max_bytes: u64,
    pub(super) now: Moment,
    pub(super) linger: Millis,
    pub(super) one_per_ordering_key: bool,
    pub(super) is_leader: bool,
    /// The store may have older segments of any kind, so those committed here wait, except on a page that closes.
    pub(super) is_unscanned: bool,
    /// The oldest segment that only the store has. Events with an ordering key in younger segments committed
    /// here have to wait for it.
    pub(super) oldest_unknown: Option<SegmentId>,
    pub(super) urgency: Urgency,
}

/// Picks events for a request; returns them and their bytes. `None` if there are none, or too few while the
/// oldest may wait for others.
pub(super) fn pick(
    segments: &OrderedMap<SegmentId, Segment>,
    rules: &BatchRules,
) -> Option<(Vec<EventRange>, u64)> {
    let mut batch: Vec<EventRange> = Vec::new();
    let (mut events, mut bytes) = (0, 0);
    let mut blocked = OrderedMap::new();
    let mut is_full = false;
    let mut since = None;
    'segments: for (id, segment) in segments.iter().filter(|(id, segment)| can_send(*id, segment, rules)) {
        let max_events = match segment.contents().grouping {
            Grouping::Any => rules.max_events,
            Grouping::Separate(_) if !batch.is_empty() => {
                // Its events are sent in a later request, and no later event with their keys may overtake
                // them.
                for ordering_key in segment.pending_ordering_keys() {
                    blocked.add(ordering_key);
                }
                continue;
            }
            // A closing page has time for one request only.
            Grouping::Separate(_) if rules.urgency == Urgency::PageHidden => rules.max_events,
            Grouping::Separate(max) => rules.max_events.min(max.max(1)),
        };
        let segment_bytes = segment.contents().bytes();
        if segment.is_plain()
            && events + segment.len() <= max_events
            && bytes + segment_bytes <= rules.max_bytes
        {
            (events, bytes) = (events + segment.len(), bytes + segment_bytes);
            batch.push(EventRange { segment: id, from: 0, to: segment.len() });
            since.get_or_insert(segment.since);
            is_full = segment.contents().grouping != Grouping::Any;
            if is_full {
                break;
            }
            continue;
        }
        let is_after_unknown = id.is_committed() && rules.oldest_unknown.is_some_and(|oldest| oldest < id);
        for index in 0..segment.len() {
            let ordering_key = segment.contents().ordering_key(index);
            let is_ready = match segment.state(index) {
                State::Settled => continue,
                State::Batched => false,
                State::Ready => segment.retry_at(index).is_none_or(|at| at <= rules.now),
            };
            let waits = ordering_key != 0 && (is_after_unknown || blocked.contains(ordering_key));
            if ordering_key != 0 && (!is_ready || waits || rules.one_per_ordering_key) {
                blocked.add(ordering_key);
            }
            if !is_ready || waits {
                continue;
            }
            let size = segment.contents().size(index);
            if events == max_events || (events > 0 && bytes + size > rules.max_bytes) {
                is_full = true;
                break 'segments;
            }
            (events, bytes) = (events + 1, bytes + size);
            since.get_or_insert(segment.since);
            match batch.last_mut() {
                Some(last) if last.segment == id && last.to == index => last.to += 1,
                _ => batch.push(EventRange { segment: id, from: index, to: index + 1 }),
            }
        }
        is_full = segment.contents().grouping != Grouping::Any && !batch.is_empty();
        if is_full {
            break;
        }
    }
    let is_ready_to_send = rules.urgency != Urgency::Normal
        || is_full
        || events == rules.max_events
        || since?.after(rules.linger) <= rules.now;
    (is_ready_to_send && !batch.is_empty()).then_some((batch, bytes))
}

/// Splits a batch behind its first `events` events.
pub(super) fn split(batch: &[EventRange], mut events: u32) -> (Vec<EventRange>, Vec<EventRange>) {
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    for range in batch {
        let taken = range.len().min(events);
        events -= taken;
        let middle = range.from + taken;
        if taken > 0 {
            head.push(EventRange { to: middle, ..*range });
        }
        if middle < range.to {
            tail.push(EventRange { from: middle, ..*range });
        }
    }
    (head, tail)
}

/// The number of events in a batch.
pub(super) fn len(batch: &[EventRange]) -> u32 {
    batch.iter().map(|range| range.len()).sum()
}

/// Bytes of the events of a batch.
pub(super) fn bytes(segments: &OrderedMap<SegmentId, Segment>, batch: &[EventRange]) -> u64 {
    let size = |range: &EventRange| {
        let contents = segments.get(range.segment)?.contents();
        Some((range.from..range.to).map(|index| contents.size(index)).sum::<u64>())
    };
    batch.iter().filter_map(size).sum()
}

/// The ordering keys of the events of a batch, without 0.
pub(super) fn ordering_keys(segments: &OrderedMap<SegmentId, Segment>, batch: &[EventRange]) -> Vec<u32> {
    let mut ordering_keys = Vec::new();
    for range in batch {
        let Some(segment) = segments.get(range.segment) else { continue };
        let keys = segment.contents().ordering_keys.get(range.from as usize..range.to as usize);
        ordering_keys.extend_from_slice(keys.unwrap_or_default());
    }
    ordering_keys.retain(|ordering_key| *ordering_key != 0);
    ordering_keys
}

/// How many events of a batch may share a request. A batch made for a closing page may have more.
pub(super) fn max_events(segments: &OrderedMap<SegmentId, Segment>, batch: &[EventRange]) -> u32 {
    let first = batch.first().and_then(|range| segments.get(range.segment));
    match first.map(|segment| segment.contents().grouping) {
        Some(Grouping::Separate(max)) => max.max(1),
        _ => u32::MAX,
    }
}

/// The events of a batch that are neither delivered nor dead. Another leader may have settled some since the
/// batch was made.
pub(super) fn unsettled(segments: &OrderedMap<SegmentId, Segment>, batch: &[EventRange]) -> Vec<EventRange> {
    let mut open: Vec<EventRange> = Vec::new();
    for range in batch {
        let Some(segment) = segments.get(range.segment) else { continue };
        for index in (range.from..range.to).filter(|index| segment.state(*index) != State::Settled) {
            match open.last_mut() {
                Some(last) if last.segment == range.segment && last.to == index => last.to += 1,
                _ => open.push(EventRange { from: index, to: index + 1, ..*range }),
            }
        }
    }
    open
}

/// Whether events of a segment may be sent from here now.
fn can_send(id: SegmentId, segment: &Segment, rules: &BatchRules) -> bool {
    let is_closing = rules.urgency == Urgency::PageHidden;
    match segment.store_state {
        StoreState::Written => {
            let waits_for_older = rules.is_unscanned && id.is_committed() && !is_closing;
            rules.is_leader && !segment.is_released && !waits_for_older
        }
        StoreState::Failed => true,
        StoreState::Queued => is_closing,
    }
}
