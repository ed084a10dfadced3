//! How much the outbox holds: staged events, committed events, and dead letters.

use super::session::{Contents, SessionId, Sessions, StageResult};
use super::{Options, Overflow};

/// The events of all sessions, and the bytes of what is committed.
#[derive(Clone, Debug, Default)]
pub(super) struct Capacity {
    sessions: Sessions,
    /// Bytes of committed events that are not settled, and of dead letters.
    held: u64,
    /// The part of `held` that waits for its first write.
    unwritten: u64,
    is_pressure_high: bool,
}

impl Capacity {
    /// Bytes of staged, committed and dead events.
    pub(super) fn bytes(&self) -> u64 {
        self.held + self.sessions.bytes()
    }

    /// The number of staged events.
    pub(super) fn staged(&self) -> u64 {
        self.sessions.events()
    }

    /// See [`Sessions::stage`].
    pub(super) fn stage(
        &mut self,
        options: &Options,
        session: SessionId,
        size: u32,
        ordering_key: u32,
    ) -> StageResult {
        self.sessions.stage(options, self.held, session, size, ordering_key)
    }

    /// See [`Sessions::credit`].
    pub(super) fn credit(&self, options: &Options, session: SessionId) -> (u64, u32) {
        self.sessions.credit(options, self.held, session)
    }

    /// See [`Sessions::stage_many`].
    pub(super) fn stage_many(&mut self, session: SessionId, sizes: &[u32], ordering_keys: &[u32]) {
        self.sessions.stage_many(session, sizes, ordering_keys);
    }

    /// See [`Sessions::take`].
    pub(super) fn take_staged(&mut self, session: SessionId) -> Vec<Contents> {
        self.sessions.take(session)
    }

    /// Events are committed.
    pub(super) fn commit(&mut self, bytes: u64) {
        self.held += bytes;
        self.unwritten += bytes;
    }

    /// Committed events that are not written are staged again.
    pub(super) fn uncommit(&mut self, session: SessionId, all: Vec<Contents>) {
        let bytes = all.iter().map(Contents::bytes).sum();
        self.release(bytes);
        self.written(bytes);
        self.sessions.restage(session, all);
    }

    /// Events wait for their first write no longer.
    pub(super) fn written(&mut self, bytes: u64) {
        self.unwritten = self.unwritten.saturating_sub(bytes);
    }

    /// Events or dead letters were found.
    pub(super) fn hold(&mut self, bytes: u64) {
        self.held += bytes;
    }

    /// Events are delivered, or events or dead letters are gone.
    pub(super) fn release(&mut self, bytes: u64) {
        self.held = self.held.saturating_sub(bytes);
    }

    /// All that was committed is gone.
    pub(super) fn clear(&mut self) {
        (self.held, self.unwritten) = (0, 0);
    }

    /// How many bytes of new segments may be written; `None` means no limit.
    pub(super) fn writable(&self, options: &Options) -> Option<u64> {
        let written = self.held - self.unwritten.min(self.held);
        // A commit that is larger than the limit is written when nothing else is stored.
        (options.overflow == Overflow::Wait && written > 0).then(|| options.max_bytes.saturating_sub(written))
    }

    /// Whether the outbox has become 80 % full, or less than 60 % again. `None` if that has not changed.
    pub(super) fn pressure_change(&mut self, options: &Options) -> Option<bool> {
        let (used, limit) = (self.bytes().saturating_mul(5), options.max_bytes);
        let is_high = used >= limit.saturating_mul(if self.is_pressure_high { 3 } else { 4 }) && used > 0;
        let is_changed = is_high != self.is_pressure_high;
        self.is_pressure_high = is_high;
        is_changed.then_some(is_high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: SessionId = SessionId(1);

    fn options(overflow: Overflow) -> Options {
        Options { max_bytes: 100, overflow, ..Options::default() }
    }

    #[test]
    fn bytes_are_staged_then_held_then_released() {
        let (mut capacity, options) = (Capacity::default(), options(Overflow::Reject));
        capacity.stage(&options, SESSION, 40, 0);
        assert_eq!((capacity.bytes(), capacity.staged()), (40, 1));
        let contents = capacity.take_staged(SESSION);
        assert_eq!((capacity.bytes(), capacity.staged()), (0, 0));
        capacity.commit(40);
        assert_eq!(capacity.bytes(), 40);
        capacity.uncommit(SESSION, contents);
        assert_eq!((capacity.bytes(), capacity.staged()), (40, 1));
        capacity.take_staged(SESSION);
        capacity.hold(7);
        capacity.release(5);
        assert_eq!(capacity.bytes(), 2);
        capacity.release(50);
        assert_eq!(capacity.bytes(), 0, "it is never negative");
    }

    #[test]
    fn only_written_bytes_hold_up_the_next_write() {
        let mut capacity = Capacity::default();
        capacity.commit(150);
        assert_eq!(capacity.writable(&options(Overflow::Wait)), None, "nothing else is stored");
        capacity.written(60);
        assert_eq!(capacity.writable(&options(Overflow::Wait)), Some(40));
        assert_eq!(capacity.writable(&options(Overflow::Reject)), None);
        capacity.clear();
        assert_eq!((capacity.bytes(), capacity.writable(&options(Overflow::Wait))), (0, None));
    }

    #[test]
    fn pressure_is_told_once_at_each_end() {
        let (mut capacity, options) = (Capacity::default(), options(Overflow::Reject));
        assert_eq!(capacity.pressure_change(&options), None);
        capacity.hold(80);
        assert_eq!(
            [capacity.pressure_change(&options), capacity.pressure_change(&options)],
            [Some(true), None]
        );
        capacity.release(20);
        assert_eq!(capacity.pressure_change(&options), None, "60 % is still high");
        capacity.release(1);
        assert_eq!(capacity.pressure_change(&options), Some(false));
    }
}
