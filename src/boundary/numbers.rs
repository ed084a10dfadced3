//! Values that cross the boundary as numbers: the place of each in its list, and its name in TypeScript.

use crate::base::http::Failure;
use crate::outbox::machine::Outbox;
use crate::salesforce::marks::Policy;

macro_rules! numbered {
    ($(#[$doc:meta])* $values:ident: $type:ty, $names:ident { $($name:literal => $value:expr;)* }) => {
        $(#[$doc])*
        pub const $values: &[$type] = &[$($value,)*];
        $(#[$doc])*
        pub const $names: &[&str] = &[$($name,)*];
    };
}

numbered! {
    /// Why there is no response.
    FAILURES: Failure, FAILURE_NAMES {
        "timeout" => Failure::Timeout;
        "aborted" => Failure::Aborted;
        "network" => Failure::Network;
        "blocked" => Failure::Blocked;
    }
}

numbered! {
    /// When a replay position is saved.
    POLICIES: Policy, POLICY_NAMES {
        "automatic" => Policy::Automatic;
        "next" => Policy::Next;
        "manual" => Policy::Manual;
    }
}

/// An input that has only numbers, of a machine that makes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "`PortInputs` of `js/engine/ports.ts` has their documentation")]
pub enum PortInput {
    Tick,
    Failure,
    Cancel,
    Close,
}

numbered! {
    /// The inputs of calls and of a GlassFlow sink that have only numbers. One export for all of them takes a third of the
    /// room. The inputs of an outbox and of a stream begin with the first two, which the pump of TypeScript makes.
    PORT_INPUTS: PortInput, PORT_INPUT_NAMES {
        "tick" => PortInput::Tick;
        "failure" => PortInput::Failure;
        "cancel" => PortInput::Cancel;
        "close" => PortInput::Close;
    }
}

/// An input of an outbox that has only numbers, see the method of the same name of [`Outbox`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the methods have their documentation")]
pub enum OutboxInput {
    Tick,
    Failure,
    Stage,
    Credit,
    Counter,
    IsDrained,
    IsSettled,
    RollBack,
    StoreOpened,
    StoreAdded,
    StoreWritten,
    StorePeeked,
    StoreChanged,
    SetWallClock,
    SettledElsewhere,
    DeadRemoved,
    Purge,
    SetLeader,
    Pause,
    FlushNow,
    Online,
    AllowRequests,
    PageHidden,
    LimitBatches,
    NotSent,
}

numbered! {
    /// The inputs of an outbox that have only numbers.
    OUTBOX_INPUTS: OutboxInput, OUTBOX_INPUT_NAMES {
        "tick" => OutboxInput::Tick;
        "failure" => OutboxInput::Failure;
        "stage" => OutboxInput::Stage;
        "credit" => OutboxInput::Credit;
        "counter" => OutboxInput::Counter;
        "isDrained" => OutboxInput::IsDrained;
        "isSettled" => OutboxInput::IsSettled;
        "rollBack" => OutboxInput::RollBack;
        "storeOpened" => OutboxInput::StoreOpened;
        "storeAdded" => OutboxInput::StoreAdded;
        "storeWritten" => OutboxInput::StoreWritten;
        "storePeeked" => OutboxInput::StorePeeked;
        "storeChanged" => OutboxInput::StoreChanged;
        "setWallClock" => OutboxInput::SetWallClock;
        "settledElsewhere" => OutboxInput::SettledElsewhere;
        "deadRemoved" => OutboxInput::DeadRemoved;
        "purge" => OutboxInput::Purge;
        "setLeader" => OutboxInput::SetLeader;
        "pause" => OutboxInput::Pause;
        "flushNow" => OutboxInput::FlushNow;
        "online" => OutboxInput::Online;
        "allowRequests" => OutboxInput::AllowRequests;
        "pageHidden" => OutboxInput::PageHidden;
        "limitBatches" => OutboxInput::LimitBatches;
        "notSent" => OutboxInput::NotSent;
    }
}

/// An input of an outbox that has a list of numbers, see the method of the same name of [`Outbox`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the methods have their documentation")]
pub enum OutboxListInput {
    Commit,
    Uncommit,
    MovedAway,
    DeliveredElsewhere,
    ResponseEach,
    StageMany,
    Recommit,
    SegmentFound,
    SetExpiryTimes,
}

numbered! {
    /// The inputs of an outbox that have or give a list of numbers.
    OUTBOX_LIST_INPUTS: OutboxListInput, OUTBOX_LIST_INPUT_NAMES {
        "commit" => OutboxListInput::Commit;
        "uncommit" => OutboxListInput::Uncommit;
        "movedAway" => OutboxListInput::MovedAway;
        "deliveredElsewhere" => OutboxListInput::DeliveredElsewhere;
        "responseEach" => OutboxListInput::ResponseEach;
        "stageMany" => OutboxListInput::StageMany;
        "recommit" => OutboxListInput::Recommit;
        "segmentFound" => OutboxListInput::SegmentFound;
        "setExpiryTimes" => OutboxListInput::SetExpiryTimes;
    }
}

/// An input of a stream that has only numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "`StreamInputs` of `js/engine/ports.ts` has their documentation")]
pub enum StreamInput {
    Tick,
    Failure,
    Open,
    Probe,
    NetworkChanged,
    SetClock,
    Taken,
    NotSigned,
    Close,
    SocketOpened,
    SocketText,
    SocketClosed,
}

numbered! {
    /// The inputs of a stream that have only numbers.
    STREAM_INPUTS: StreamInput, STREAM_INPUT_NAMES {
        "tick" => StreamInput::Tick;
        "failure" => StreamInput::Failure;
        "open" => StreamInput::Open;
        "probe" => StreamInput::Probe;
        "networkChanged" => StreamInput::NetworkChanged;
        "setClock" => StreamInput::SetClock;
        "taken" => StreamInput::Taken;
        "notSigned" => StreamInput::NotSigned;
        "close" => StreamInput::Close;
        "socketOpened" => StreamInput::SocketOpened;
        "socketText" => StreamInput::SocketText;
        "socketClosed" => StreamInput::SocketClosed;
    }
}

/// An input of a stream that has texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "`StreamTextInputs` of `js/engine/ports.ts` has their documentation")]
pub enum StreamTextInput {
    Subscribe,
    SubscribeTogether,
    Unsubscribe,
    UnsubscribeAll,
    Publish,
    SetReplayId,
    Authorize,
    Unauthorized,
    Signed,
}

numbered! {
    /// The inputs of a stream that have one or two texts.
    STREAM_TEXT_INPUTS: StreamTextInput, STREAM_TEXT_INPUT_NAMES {
        "subscribe" => StreamTextInput::Subscribe;
        "subscribeTogether" => StreamTextInput::SubscribeTogether;
        "unsubscribe" => StreamTextInput::Unsubscribe;
        "unsubscribeAll" => StreamTextInput::UnsubscribeAll;
        "publish" => StreamTextInput::Publish;
        "setReplayId" => StreamTextInput::SetReplayId;
        "authorize" => StreamTextInput::Authorize;
        "unauthorized" => StreamTextInput::Unauthorized;
        "signed" => StreamTextInput::Signed;
    }
}

/// An input of the replay positions that starts an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "`Input` of `salesforce::marks` has their documentation")]
pub enum MarksInput {
    Received,
    Handled,
    Acked,
    Flush,
}

numbered! {
    /// The inputs of the replay positions that start an operation.
    MARKS_INPUTS: MarksInput, MARKS_INPUT_NAMES {
        "received" => MarksInput::Received;
        "handled" => MarksInput::Handled;
        "acked" => MarksInput::Acked;
        "flush" => MarksInput::Flush;
    }
}

/// Which function classifies the responses to calls; `src/wasm/calls.rs` has the functions.
pub const CLASSIFIER_NAMES: &[&str] = &["webhook", "eventsProtocol"];

/// Which function classifies the responses to an outbox; `src/wasm/outbox.rs` has the functions.
pub const OUTBOX_CLASSIFIER_NAMES: &[&str] = &["byStatus", "bcEvents"];

macro_rules! counters {
    ($outbox:ident, $counters:ident { $($name:literal => $value:expr;)* }) => {
        /// The names of the counters of an outbox.
        pub const COUNTER_NAMES: &[&str] = &[$($name,)*];

        /// The counters of an outbox, in the order of [`COUNTER_NAMES`].
        pub fn counters($outbox: &Outbox) -> [u64; COUNTER_NAMES.len()] {
            let $counters = $outbox.counters();
            [$($value,)*]
        }
    };
}

counters! {
    outbox, counters {
        "accepted" => counters.accepted;
        "delivered" => counters.delivered;
        "dead" => counters.dead;
        "purged" => counters.purged;
        "pending" => counters.pending();
        "attempts" => counters.attempts;
        "refused" => counters.refused;
        "droppedOldest" => counters.dropped_oldest;
        "droppedNewest" => counters.dropped_newest;
        "staged" => outbox.staged();
        "bytes" => outbox.bytes();
    }
}
