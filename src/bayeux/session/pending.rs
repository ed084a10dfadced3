//! The messages of a session: those that wait to be sent, and those that wait for a reply.

use crate::base::ids::{Counter, ExchangeId, OpId};
use crate::base::text::decimal;
use crate::base::time::Moment;
use crate::bayeux::dialect::MessageKind;
use crate::bayeux::message::Reply;

/// How a message was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    Exchange(ExchangeId),
    Socket,
}

/// A message that is ready to be sent.
pub(super) struct OutgoingMessage {
    pub(super) id: u32,
    pub(super) kind: MessageKind,
    /// The channel that it is about; empty for handshake, connect and disconnect.
    pub(super) channel: String,
    pub(super) op: Option<OpId>,
    /// A connect that the server does not hold.
    pub(super) is_probe: bool,
    /// The message as JSON; empty if it is that of the one before.
    pub(super) text: String,
}

/// A message that waits for its reply. One that subscribes to several channels waits once for each.
#[derive(Clone, Debug)]
pub(super) struct PendingMessage {
    id: u32,
    pub(super) kind: MessageKind,
    pub(super) channel: String,
    pub(super) op: Option<OpId>,
    /// A connect that the server does not hold.
    pub(super) is_probe: bool,
    pub(super) via: Via,
    pub(super) sent_at: Moment,
    /// When the reply times out.
    pub(super) due: Moment,
}

/// A message that waits to be sent.
#[derive(Clone, Debug)]
pub(super) enum Command {
    /// The channels of one message.
    Subscribe(Vec<String>),
    /// Without an operation if the session itself unsubscribes, to subscribe again.
    Unsubscribe(String, Option<OpId>),
    /// Operation, channel, data.
    Publish(OpId, String, String),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    ids: Counter,
    sent: Vec<PendingMessage>,
    commands: Vec<Command>,
}

impl Command {
    /// A subscription to one channel.
    pub(super) fn subscribe(channel: String) -> Self {
        Self::Subscribe(vec![channel])
    }
}

impl OutgoingMessage {
    /// A handshake, connect or disconnect.
    pub(super) const fn meta(id: u32, kind: MessageKind, text: String) -> Self {
        Self { id, kind, channel: String::new(), op: None, is_probe: false, text }
    }
}

/// The messages that wait for a reply.
impl Pending {
    /// The id of the next message.
    pub(super) const fn next_id(&mut self) -> u32 {
        self.ids.advance()
    }

    pub(super) fn add(&mut self, messages: Vec<OutgoingMessage>, via: Via, sent_at: Moment, due: Moment) {
        self.sent.extend(messages.into_iter().map(|message| PendingMessage {
            id: message.id,
            kind: message.kind,
            channel: message.channel,
            op: message.op,
            is_probe: message.is_probe,
            via,
            sent_at,
            due,
        }));
    }

    /// Removes the message that a reply belongs to, by its id; without an id by its channels. If it subscribes
    /// to several channels, and the reply names some of them, the others still wait. A reply without
    /// `successful` removes nothing.
    pub(super) fn take_replied(&mut self, kind: MessageKind, reply: &Reply) -> Replied {
        let channels = reply.subscriptions();
        let is_named = |sent: &PendingMessage| channels.is_empty() || channels.contains(&sent.channel);
        let position = self.sent.iter().position(|sent| {
            sent.kind == kind
                && match &reply.id {
                    Some(id) => *id == decimal(sent.id.into()),
                    None => is_named(sent),
                }
                && (kind != MessageKind::Publish || sent.channel == reply.channel)
        });
        let Some(id) = position.and_then(|at| self.sent.get(at)).map(|first| first.id) else {
            return Replied::ToNothing;
        };
        let Some(successful) = reply.successful else { return Replied::WithoutResult };
        let are_named = self.sent.iter().any(|sent| sent.id == id && is_named(sent));
        let is_answered = |sent: &PendingMessage| sent.id == id && (is_named(sent) || !are_named);
        Replied::To(self.sent.extract_if(.., |sent| is_answered(sent)).collect(), successful)
    }

    /// Removes the messages that were sent in a way.
    pub(super) fn take_via(&mut self, via: Via) -> Vec<PendingMessage> {
        self.sent.extract_if(.., |sent| sent.via == via).collect()
    }

    /// Removes the first message of a kind.
    pub(super) fn take_kind(&mut self, kind: MessageKind) -> Option<PendingMessage> {
        let at = self.sent.iter().position(|sent| sent.kind == kind)?;
        Some(self.sent.remove(at))
    }

    /// Removes all messages.
    pub(super) fn take_all(&mut self) -> Vec<PendingMessage> {
        core::mem::take(&mut self.sent)
    }

    /// The operations of the messages, whose replies settle nothing from now on.
    pub(super) fn take_ops(&mut self) -> Vec<OpId> {
        self.sent.iter_mut().filter_map(|sent| sent.op.take()).collect()
    }

    pub(super) fn any(&self, test: impl FnMut(&PendingMessage) -> bool) -> bool {
        self.sent.iter().any(test)
    }

    /// Whether a handshake or connect waits for its reply.
    pub(super) fn has_connect(&self) -> bool {
        self.any(|sent| matches!(sent.kind, MessageKind::Handshake | MessageKind::Connect))
    }

    /// The earliest timeout of a reply over the socket.
    pub(super) fn next_socket_timeout(&self) -> Option<Moment> {
        self.sent.iter().filter(|sent| sent.via == Via::Socket).map(|sent| sent.due).min()
    }
}

/// What a reply belongs to.
pub(super) enum Replied {
    /// No message that waits for one.
    ToNothing,
    /// A message, but the reply says neither yes nor no.
    WithoutResult,
    /// A message, once for each of its channels, and whether the server accepted it.
    To(Vec<PendingMessage>, bool),
}

/// The messages that wait to be sent.
impl Pending {
    pub(super) fn queue(&mut self, command: Command) {
        if !matches!(&command, Command::Subscribe(channels) if channels.is_empty()) {
            self.commands.push(command);
        }
    }

    /// Queues commands again that were taken and not sent.
    pub(super) fn queue_again(&mut self, commands: impl Iterator<Item = Command>) {
        self.commands.extend(commands);
    }

    pub(super) fn has_commands(&self) -> bool {
        !self.commands.is_empty()
    }

    pub(super) fn take_commands(&mut self) -> Vec<Command> {
        core::mem::take(&mut self.commands)
    }

    pub(super) fn has_queued_subscribe(&self, channel: &str) -> bool {
        self.commands.iter().any(|command| match command {
            Command::Subscribe(queued) => queued.iter().any(|queued| queued == channel),
            _ => false,
        })
    }

    pub(super) fn cancel_subscribe(&mut self, channel: &str) {
        for command in &mut self.commands {
            if let Command::Subscribe(queued) = command {
                queued.retain(|queued| queued != channel);
            }
        }
        self.commands.retain(|command| !matches!(command, Command::Subscribe(queued) if queued.is_empty()));
    }

    /// Whether a temporary unsubscription is queued or waits for its reply.
    pub(super) fn is_draining(&self) -> bool {
        self.commands.iter().any(|command| matches!(command, Command::Unsubscribe(_, None)))
            || self.any(|sent| sent.kind == MessageKind::Unsubscribe && sent.op.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::json::find::Document;
    use crate::bayeux::message::{parse_messages, skip_data};

    fn reply(text: &str) -> Reply {
        let document = Document::new(text.as_bytes().to_vec());
        let parsed = parse_messages(document.padded(), skip_data).unwrap_or_default();
        let Some(reply) = parsed.replies.into_iter().next() else { unreachable!() };
        reply
    }

    fn message(id: u32, kind: MessageKind, channel: &str) -> OutgoingMessage {
        OutgoingMessage {
            channel: channel.to_owned(),
            op: Some(OpId(id)),
            ..OutgoingMessage::meta(id, kind, String::new())
        }
    }

    #[test]
    fn a_reply_belongs_to_a_message_by_its_id_or_else_by_its_channel() {
        let mut pending = Pending::default();
        let messages =
            vec![message(1, MessageKind::Subscribe, "/a"), message(2, MessageKind::Subscribe, "/b")];
        pending.add(messages, Via::Exchange(ExchangeId(7)), Moment::default(), Moment::default());
        let text = r#"{"channel":"/meta/subscribe","successful":true,"subscription":"/b"}"#;
        let replied = pending.take_replied(MessageKind::Subscribe, &reply(text));
        assert!(matches!(replied, Replied::To(sent, true) if channels(&sent) == ["/b"]));
        let text = r#"{"channel":"/meta/subscribe","id":1}"#;
        let replied = pending.take_replied(MessageKind::Subscribe, &reply(text));
        assert!(matches!(replied, Replied::WithoutResult));
        let text = r#"{"channel":"/meta/subscribe","id":9,"successful":true}"#;
        assert!(matches!(pending.take_replied(MessageKind::Subscribe, &reply(text)), Replied::ToNothing));
        assert_eq!(pending.take_via(Via::Socket).len(), 0);
        assert_eq!(pending.take_via(Via::Exchange(ExchangeId(7))).len(), 1);
    }

    fn channels(sent: &[PendingMessage]) -> Vec<&str> {
        sent.iter().map(|sent| sent.channel.as_str()).collect()
    }

    #[test]
    fn a_message_for_several_channels_may_be_answered_at_once_or_channel_by_channel() {
        let mut pending = Pending::default();
        let mut send = || {
            let messages = ["/a", "/b", "/c"].map(|channel| message(1, MessageKind::Subscribe, channel));
            pending.add(messages.into(), Via::Socket, Moment::default(), Moment::default());
            core::mem::take(&mut pending)
        };
        let text =
            r#"{"channel":"/meta/subscribe","id":"1","successful":true,"subscription":["/a","/b","/c"]}"#;
        let replied = send().take_replied(MessageKind::Subscribe, &reply(text));
        assert!(matches!(replied, Replied::To(sent, true) if channels(&sent) == ["/a", "/b", "/c"]));
        let mut pending = send();
        let text = r#"{"channel":"/meta/subscribe","id":"1","successful":false,"subscription":"/b"}"#;
        let replied = pending.take_replied(MessageKind::Subscribe, &reply(text));
        assert!(matches!(replied, Replied::To(sent, false) if channels(&sent) == ["/b"]));
        let text = r#"{"channel":"/meta/subscribe","id":"1","successful":true}"#;
        let replied = pending.take_replied(MessageKind::Subscribe, &reply(text));
        assert!(matches!(replied, Replied::To(sent, true) if channels(&sent) == ["/a", "/c"]));
    }

    #[test]
    fn only_an_unsubscription_of_the_session_itself_drains() {
        let mut pending = Pending::default();
        pending.queue(Command::Unsubscribe("/a".to_owned(), Some(OpId(1))));
        assert!(!pending.is_draining());
        pending.queue(Command::Unsubscribe("/a".to_owned(), None));
        assert!(pending.is_draining());
        pending.queue(Command::subscribe("/a".to_owned()));
        assert!(pending.has_queued_subscribe("/a"));
        pending.cancel_subscribe("/a");
        assert!(!pending.has_queued_subscribe("/a") && pending.has_commands());
    }
}
