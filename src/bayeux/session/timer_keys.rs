//! The timers of a session, one for each key, and their fixed durations.

use crate::base::time::Millis;

/// A timeout that fires this late means that the computer was asleep.
pub(super) const SLEEP_THRESHOLD: Millis = Millis(2000);
/// A poll that is held for this long shows that the connection works.
pub(super) const POLL_PROOF: Millis = Millis(5000);
/// A trial takes no longer than this.
pub(super) const MAX_PROOF: Millis = Millis(240_000);
/// How long a channel whose events cannot be read is held at first; doubled each time.
pub(super) const HOLD: Millis = Millis(30_000);
/// It is held no longer than `HOLD` doubled so often: 32 minutes.
pub(super) const MAX_HOLD_DOUBLINGS: u32 = 6;
/// How long the reply to a disconnect may take.
pub(super) const DISCONNECT_TIMEOUT: Millis = Millis(2500);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The next handshake or connect.
    Connect,
    /// Subscribe again to channels that were refused or not answered.
    Resubscribe,
    /// The next request for credentials.
    Authorize,
    /// The owner has not reported the timeout of a connect: the computer was asleep.
    ConnectReply,
    /// The timeout of a reply over the socket, or of its opening.
    SocketReply,
    /// The connection has been down for `Times::connection_timeout`.
    ConnectionTimeout,
    /// A poll is held, which shows that the connection works again.
    PollHeld,
    /// Polling has been paused for `Times::max_pause`.
    MaxPause,
    /// The channels on trial are subscribed, and nothing has gone wrong since.
    Trial,
    /// A channel has been held for long enough.
    HoldOver,
    /// A response has been held for long enough.
    Held,
    /// The timeout of the disconnect.
    Disconnect,
}
