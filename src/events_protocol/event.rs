//! The members of an event, and which of them must be present.

use crate::base::json::scan::{Kind, Span};

/// The members of an event, in the order in which they are checked and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Member {
    /// The name, a string: `domain:resource:action`. The last part of a response's name is its outcome.
    Name,
    /// The version of the event, an integer.
    Version,
    /// The id of the event, a string.
    Id,
    /// The id of the flow that the event belongs to, a string.
    FlowId,
    /// The content, any JSON.
    Payload,
    /// The sender, an object.
    Identity,
    /// The credentials of the sender, an object. Never written into a response.
    Auth,
    /// Facts about the event, an object.
    Metadata,
}

impl Member {
    /// All members.
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

    /// The name in JSON.
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

    /// The member with this name in JSON.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|member| member.as_str().as_bytes() == name)
    }
}

/// Which members of an event must be present. A member that is present must have the right type under every rule
/// but `Response`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvelopeRule {
    /// `identity`, `auth` and `metadata` may be missing or null, and `flow_id` is read where `flowId` is missing:
    /// deployed peers leave these out.
    Usual,
    /// All eight members must be present, as the Kotlin original demands since 6.0.
    Strict,
    /// As `Usual`; in addition `id`, `flowId` and `payload` may be missing, ids may be null, and the version may be a
    /// string of digits.
    Lenient,
    /// The rule of a client for responses: `name` and `version` as in `Lenient`. Other members of the wrong type count
    /// as missing.
    Response,
}

/// The positions of an event's members in its text.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    positions: [Option<(Kind, Span)>; Member::ALL.len()],
    /// The position of `flow_id`, the spelling of some peers.
    pub(super) snake_flow_id: Option<(Kind, Span)>,
}

impl Envelope {
    /// The kind and position of a member; `None` if it is missing.
    pub fn get(&self, member: Member) -> Option<(Kind, Span)> {
        self.positions.get(member as usize).copied().flatten()
    }

    pub(super) fn set(&mut self, member: Member, position: Option<(Kind, Span)>) {
        if let Some(entry) = self.positions.get_mut(member as usize) {
            *entry = position;
        }
    }
}
