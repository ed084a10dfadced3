//! What an event is made of.

use crate::base::json::scan::{Kind, Span};

/// The members of an event, in the order in which they are checked and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Member {
    /// Which event: text, `domain:resource:action`. The end of a response's name says how it went.
    Name,
    /// Which version of it: a whole number.
    Version,
    /// The event: text.
    Id,
    /// The flow that it belongs to: text.
    FlowId,
    /// What it says: any JSON.
    Payload,
    /// Who says it: an object.
    Identity,
    /// The proof of that, so nothing that is ever sent back: an object.
    Auth,
    /// Facts about the event: an object.
    Metadata,
}

impl Member {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Name,
        Self::Version,
        Self::Id,
        Self::FlowId,
        Self::Payload,
        Self::Identity,
        Self::Auth,
        Self::Metadata,
    ];

    /// Its name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Version => "version",
            Self::Id => "id",
            Self::FlowId => "flowId",
            Self::Payload => "payload",
            Self::Identity => "identity",
            Self::Auth => "auth",
            Self::Metadata => "metadata",
        }
    }

    /// The member of that name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|member| member.as_str().as_bytes() == name)
    }
}

/// How much of an event has to be there. Whatever is there has to be of the right kind, under every rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// `identity`, `auth` and `metadata` may be missing or null, and `flow_id` stands for a missing `flowId`: what peers in the field leave out.
    Usual,
    /// All eight members have to be there, as the origin (Kotlin, since 6.0) demands.
    Strict,
    /// As usual; `id`, `flowId` and `payload` may be missing too, ids may be null, and the version may be digits in a string.
    Lenient,
    /// What a client takes for an answer: `name` and `version`, leniently; of the others, those that are of the wrong kind count as missing.
    Answer,
}

/// Where the members of one event stand in its text.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    places: [Option<(Kind, Span)>; Member::ALL.len()],
    /// `flow_id`, as some peers write it.
    pub(super) snake_flow_id: Option<(Kind, Span)>,
}

impl Envelope {
    /// Where a member stands, if it is there.
    pub fn get(&self, member: Member) -> Option<(Kind, Span)> {
        self.places.get(member as usize).copied().flatten()
    }

    pub(super) fn set(&mut self, member: Member, place: Option<(Kind, Span)>) {
        if let Some(there) = self.places.get_mut(member as usize) {
            *there = place;
        }
    }
}
