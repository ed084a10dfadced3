//! The subscriptions of a session: how many the application has to each channel, what the server knows of
//! them, and which of them may have lost events.
//!
//! ```text
//!   Pending ──sent──> Requested ──accepted──> Active ──new session, gap──> Pending
//!                        └─ refused, unsubscribed ──> removed
//! ```

use crate::base::ids::OpId;
use crate::base::time::Moment;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SubscriptionState {
    /// Not requested in this session yet.
    Pending,
    /// The request waits for its reply.
    Requested,
    /// The server has accepted it.
    Active,
}

/// Where a channel stands in the search for the one whose events cannot be read (`isolation.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trial {
    /// It is not suspected.
    None,
    /// It is subscribed, while others wait.
    Running,
    /// It is not subscribed, and waits for the end of the trial.
    Waiting,
    /// It is not subscribed until then, because its events cannot be read.
    Held(Moment),
}

impl Trial {
    /// Whether the channel must not be subscribed now.
    pub(super) const fn is_out(self) -> bool {
        matches!(self, Self::Waiting | Self::Held(_))
    }
}

/// The subscriptions to one channel, which the server knows as one.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub(super) channel: String,
    /// How many the application has.
    subscriber_count: u32,
    pub(super) state: SubscriptionState,
    /// The server has accepted it at least once.
    pub(super) has_been_active: bool,
    /// Operations that end when it is accepted or refused.
    pub(super) waiting: Vec<OpId>,
    /// A response was lost that may have contained events of this channel.
    pub(super) has_gap: bool,
    /// Temporarily unsubscribed, so that queued events drain before the client subscribes again.
    pub(super) is_draining: bool,
    /// Refusals since it was last accepted.
    pub(super) refusal_count: u32,
    pub(super) trial: Trial,
    /// How often it was held since its last event.
    pub(super) hold_count: u32,
}

/// What a new subscription of the application leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// The first one to its channel.
    First,
    /// The server has accepted an earlier one.
    AlreadyActive,
    /// An earlier one is not accepted yet.
    Waiting,
}

/// What the end of a subscription of the application leads to.
#[derive(Clone, Debug)]
pub(super) enum Left {
    /// There is no subscription to the channel.
    Unknown,
    /// The application has others to the channel.
    Others,
    /// The last one, which is removed.
    Last(Subscription),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Subscriptions {
    list: Vec<Subscription>,
    /// Events were dropped because they will be replayed, so the server may have more of them queued.
    pub(super) has_queued_events: bool,
}

impl Subscription {
    fn new(channel: &str) -> Self {
        Self {
            channel: channel.to_owned(),
            subscriber_count: 1,
            state: SubscriptionState::Pending,
            has_been_active: false,
            waiting: Vec::new(),
            has_gap: false,
            is_draining: false,
            refusal_count: 0,
            trial: Trial::None,
            hold_count: 0,
        }
    }
}

impl Subscriptions {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Subscription> {
        self.list.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Subscription> {
        self.list.iter_mut()
    }

    pub(super) fn contains(&self, channel: &str) -> bool {
        self.list.iter().any(|subscription| subscription.channel == channel)
    }

    pub(super) fn state(&self, channel: &str) -> Option<SubscriptionState> {
        self.list.iter().find(|subscription| subscription.channel == channel).map(|known| known.state)
    }

    pub(super) fn find_mut(&mut self, channel: &str) -> Option<&mut Subscription> {
        self.list.iter_mut().find(|subscription| subscription.channel == channel)
    }

    pub(super) fn remove(&mut self, channel: &str) -> Option<Subscription> {
        let at = self.list.iter().position(|subscription| subscription.channel == channel)?;
        Some(self.list.remove(at))
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
    }

    /// The application subscribes. `op` waits for the server unless the subscription is active.
    pub(super) fn add(&mut self, channel: &str, op: OpId) -> Added {
        let Some(known) = self.find_mut(channel) else {
            let mut subscription = Subscription::new(channel);
            subscription.waiting.push(op);
            self.list.push(subscription);
            return Added::First;
        };
        known.subscriber_count += 1;
        if known.state == SubscriptionState::Active || known.trial.is_out() {
            return Added::AlreadyActive;
        }
        known.waiting.push(op);
        Added::Waiting
    }

    /// A subscription of a session that another client has left open.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn add_active(&mut self, channel: &str) {
        let mut subscription = Subscription::new(channel);
        (subscription.state, subscription.has_been_active) = (SubscriptionState::Active, true);
        self.list.push(subscription);
    }

    /// The application ends one subscription to a channel, or `all` of them.
    pub(super) fn leave(&mut self, channel: &str, all: bool) -> Left {
        let Some(known) = self.find_mut(channel) else { return Left::Unknown };
        known.subscriber_count -= 1;
        if known.subscriber_count > 0 && !all {
            return Left::Others;
        }
        self.remove(channel).map_or(Left::Unknown, Left::Last)
    }

    /// The server has accepted a subscription. Returns the operations that waited for it.
    pub(super) fn accept(&mut self, channel: &str) -> Vec<OpId> {
        let Some(known) = self.find_mut(channel) else { return Vec::new() };
        (known.state, known.has_been_active, known.refusal_count) = (SubscriptionState::Active, true, 0);
        core::mem::take(&mut known.waiting)
    }

    /// The session is gone, and all its subscriptions with it.
    pub(super) fn forget_session(&mut self) {
        for subscription in &mut self.list {
            subscription.state = SubscriptionState::Pending;
        }
        self.has_queued_events = false;
    }

    /// A response was lost that may have contained events of any channel that the server knows.
    pub(super) fn response_lost(&mut self) {
        for subscription in &mut self.list {
            subscription.has_gap |= subscription.state != SubscriptionState::Pending;
        }
    }

    /// The socket broke, and events may have been on their way.
    pub(super) fn socket_lost(&mut self) {
        for subscription in &mut self.list {
            subscription.has_gap = true;
        }
    }

    pub(super) fn has_gap(&self) -> bool {
        self.list.iter().any(|subscription| subscription.has_gap)
    }

    /// Whether the server has accepted all, except those whose events cannot be read.
    pub(super) fn are_all_active(&self) -> bool {
        self.list.iter().all(|subscription| {
            subscription.state == SubscriptionState::Active || matches!(subscription.trial, Trial::Held(_))
        })
    }

    /// Those on trial.
    pub(super) fn on_trial(&self) -> impl Iterator<Item = &Subscription> {
        self.list.iter().filter(|subscription| subscription.trial == Trial::Running)
    }

    /// Ends all waiting operations, and removes the subscriptions that the server has never accepted. Returns
    /// the operations.
    pub(super) fn reject_waiting(&mut self) -> Vec<OpId> {
        let ops = self.list.iter_mut().flat_map(|subscription| subscription.waiting.drain(..)).collect();
        self.list.retain(|subscription| subscription.has_been_active);
        ops
    }

    /// The channels that the server has accepted at least once.
    pub(super) fn accepted(&self) -> impl Iterator<Item = &str> {
        let accepted = self.list.iter().filter(|subscription| subscription.has_been_active);
        accepted.map(|subscription| subscription.channel.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_subscription_to_a_channel_and_the_last_end_are_for_the_server() {
        let mut subscriptions = Subscriptions::default();
        assert_eq!(subscriptions.add("/a", OpId(1)), Added::First);
        assert_eq!(subscriptions.add("/a", OpId(2)), Added::Waiting);
        assert_eq!(subscriptions.accept("/a"), [OpId(1), OpId(2)]);
        assert_eq!(subscriptions.add("/a", OpId(3)), Added::AlreadyActive);
        assert!(matches!(subscriptions.leave("/a", false), Left::Others));
        assert!(matches!(subscriptions.leave("/a", false), Left::Others));
        assert!(matches!(subscriptions.leave("/a", false), Left::Last(_)));
        assert!(matches!(subscriptions.leave("/a", false), Left::Unknown));
        subscriptions.add("/a", OpId(4));
        subscriptions.add("/a", OpId(5));
        assert!(matches!(subscriptions.leave("/a", true), Left::Last(removed) if removed.waiting.len() == 2));
    }

    #[test]
    fn a_lost_response_leaves_a_gap_only_where_the_server_knows_the_subscription() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.add("/a", OpId(1));
        subscriptions.response_lost();
        assert!(!subscriptions.has_gap());
        subscriptions.accept("/a");
        subscriptions.response_lost();
        assert!(subscriptions.has_gap() && subscriptions.are_all_active());
        subscriptions.forget_session();
        assert!(!subscriptions.are_all_active());
    }

    #[test]
    fn rejecting_removes_only_what_was_never_accepted() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.add("/a", OpId(1));
        subscriptions.accept("/a");
        subscriptions.add("/b", OpId(2));
        assert_eq!(subscriptions.reject_waiting(), [OpId(2)]);
        assert_eq!(subscriptions.accepted().collect::<Vec<_>>(), ["/a"]);
        assert!(!subscriptions.contains("/b"));
    }
}
