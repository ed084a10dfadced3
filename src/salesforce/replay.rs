//! The dialect of Salesforce: where each channel goes on, which events were here before, and what its refusals mean.
//!
//! ```text
//!   subscribe ── start: a stored mark, or -1, or -2 ──> events ── position: the id that came last ──> subscribe again
//!        └─ the server has on_expired_replay_id the id ──> fallback (and a gap is reported), or refused
//! ```
//!
//! Ids are text that is only ever given back. Salesforce names the true cause of a refusal in `ext.sfdc.failureReason`; the `error` beside it
//! may say something else.

use std::collections::VecDeque;

use crate::base::error::Code;
use crate::base::json::find::{members, write_string};
use crate::base::json::padded::Padded;
use crate::base::json::scan::{Fault, Kind as JsonKind, Scanner, Span};
use crate::base::time::Millis;
use crate::bayeux::dialect::{Continuity, Dialect, MessageKind, Reaction};
use crate::bayeux::errors::SessionError;
use crate::bayeux::message::{DataReader, EventIds, EventSpans, Reply, with_quotes};
use crate::bayeux::wire::{ErrorField, without_filter};

/// Only what happens from now on.
pub const REPLAY_NEW: &str = "-1";
/// Everything that the server still has.
pub const REPLAY_ALL: &str = "-2";

/// How many events of a channel are remembered, to know them again.
const MAX_RECENT_IDS: usize = 1024;
/// How many channels are.
const MAX_CHANNELS: usize = 1024;
/// What a busy server gets at least.
const BUSY_DELAY: Millis = Millis(30_000);
/// A refused subscription is tried again sooner: the rest works.
const SUBSCRIBE_RETRY_DELAY: Millis = Millis(5_000);
/// Too many clients.
const USER_LIMIT_DELAY: Millis = Millis(60_000);

/// The dialect.
#[derive(Clone, Debug)]
pub struct ReplayDialect {
    start: String,
    fallback: Option<String>,
    is_replay_offered: bool,
    channels: Vec<Channel>,
    last_channel: usize,
}

#[derive(Clone, Debug)]
struct Channel {
    name: String,
    /// A mark, or the id that came last.
    replay_id: Option<String>,
    /// The largest number that came, for ids that are numbers.
    highest_id: u64,
    recent_ids: VecDeque<u64>,
}

impl ReplayDialect {
    /// Channels start there, unless there is a mark for them.
    pub const fn new(start: String, fallback: Option<String>) -> Self {
        Self { start, fallback, is_replay_offered: true, channels: Vec::new(), last_channel: 0 }
    }

    /// A channel goes on behind that id.
    pub fn set_replay_id(&mut self, channel: &str, id: &str) {
        if let Some(at) = self.channel(without_filter(channel).as_bytes())
            && let Some(channel) = self.channels.get_mut(at)
        {
            channel.replay_id = Some(id.to_owned());
        }
    }

    fn replay_id(&self, channel: &str) -> &str {
        let name = without_filter(channel);
        let known = self.channels.iter().find(|known| known.name == name);
        known.and_then(|known| known.replay_id.as_deref()).unwrap_or(&self.start)
    }

    /// The channel of that name, which is made if need be. `None` if there are too many.
    fn channel(&mut self, name: &[u8]) -> Option<usize> {
        if self.channels.get(self.last_channel).is_none_or(|latest| latest.name.as_bytes() != name) {
            self.last_channel = match self.channels.iter().position(|known| known.name.as_bytes() == name) {
                Some(at) => at,
                None if self.channels.len() >= MAX_CHANNELS => return None,
                None => {
                    let name = String::from_utf8_lossy(name).into_owned();
                    self.channels.push(Channel {
                        name,
                        replay_id: None,
                        highest_id: 0,
                        recent_ids: VecDeque::new(),
                    });
                    self.channels.len() - 1
                }
            };
        }
        Some(self.last_channel)
    }
}

impl Dialect for ReplayDialect {
    fn data_reader(&self) -> DataReader {
        read_data
    }

    fn handshake_ext(&self) -> &'static str {
        "\"replay\":true"
    }

    fn handshake_accepted(&mut self, reply: &Reply) -> Option<&'static str> {
        self.is_replay_offered = reply.get(&["ext", "replay"]).and_then(|offer| offer.bool()) == Some(true);
        (!self.is_replay_offered).then_some("replay_unsupported")
    }

    fn subscribe_ext(&self, channel: &str) -> String {
        if !self.is_replay_offered {
            return String::new();
        }
        let mut ext = String::from("{\"replay\":{");
        write_string(&mut ext, without_filter(channel));
        ext.push(':');
        let id = self.replay_id(channel);
        if is_number(id) {
            ext.push_str(id);
        } else {
            write_string(&mut ext, id);
        }
        ext.push_str("}}");
        ext
    }

    fn classify_refusal(
        &mut self,
        kind: MessageKind,
        reply: &Reply,
        channel: &str,
        is_opening: bool,
    ) -> Option<Reaction> {
        let error = reply.string(&["ext", "sfdc", "failureReason"]).or_else(|| reply.error())?;
        let cause = ErrorField::parse(&error);
        let text = cause.text.to_ascii_lowercase();
        let has = |part: &str| text.contains(part);
        let what = match kind {
            MessageKind::Subscribe => format!("the subscription to {channel}"),
            MessageKind::Handshake => "a session".to_owned(),
            _ => "the connection".to_owned(),
        };
        let error = |code| SessionError::refused(code, &what, &error);
        let subscribes = kind == MessageKind::Subscribe;
        Some(match cause.code? {
            401 => Reaction::Reauthorize,
            503 if subscribes => Reaction::ResubscribeLater(error(Code::Unavailable), SUBSCRIBE_RETRY_DELAY),
            503 => Reaction::Busy(error(Code::Unavailable), BUSY_DELAY),
            403 if has("unknown client") || has("not completed handshake") => {
                Reaction::Handshake { drop_cookies: false }
            }
            403 if has("limit the number of simultaneous") => {
                Reaction::Busy(error(Code::RateLimited), BUSY_DELAY)
            }
            403 if has("concurrent user limit") && !is_opening => {
                Reaction::Busy(error(Code::RateLimited), USER_LIMIT_DELAY)
            }
            403 if has("limit") && has("exceeded") => {
                if subscribes {
                    Reaction::Refuse(error(Code::RateLimited))
                } else {
                    Reaction::Stop(error(Code::RateLimited))
                }
            }
            400 if has("cookie present") => Reaction::Stop(error(Code::Rejected).with_cookie_advice()),
            400 if has("authenticated user id does not match") => Reaction::Handshake { drop_cookies: true },
            400 if has("replayid") && has("invalid") && subscribes => {
                self.on_expired_replay_id(channel, error(Code::Gone))
            }
            400 if has("api version") || has("connection type") => {
                Reaction::Stop(error(Code::InvalidArgument))
            }
            413 => Reaction::Refuse(error(Code::TooLarge)),
            _ if subscribes => Reaction::Refuse(error(Code::Rejected)),
            _ => return None,
        })
    }

    fn record_event(&mut self, text: Padded<'_>, event: &EventSpans) -> bool {
        let bytes = |span: Span| text.get(span.start, span.end);
        let Some(position) = event.ids.replay_id.map(bytes) else { return true };
        let name = bytes(event.channel);
        let name = name.split(|byte| *byte == b'?').next().unwrap_or(name);
        let Some(at) = self.channel(name) else { return true };
        let Some(channel) = self.channels.get_mut(at) else { return true };
        let identity = fingerprint(event.ids.uuid.map_or(position, bytes));
        let number = number(position);
        // One that is higher than all before cannot have been here.
        let is_new = number.is_some_and(|number| number > channel.highest_id);
        if !is_new && channel.recent_ids.contains(&identity) {
            return false;
        }
        channel.highest_id = channel.highest_id.max(number.unwrap_or(0));
        if channel.recent_ids.len() == MAX_RECENT_IDS {
            channel.recent_ids.pop_front();
        }
        channel.recent_ids.push_back(identity);
        match &mut channel.replay_id {
            Some(text) => {
                text.clear();
                text.push_str(core::str::from_utf8(position).unwrap_or_default());
            }
            none => *none = core::str::from_utf8(position).ok().map(str::to_owned),
        }
        true
    }

    fn continuity(&self, channel: &str) -> Continuity {
        match (self.is_replay_offered, self.replay_id(channel)) {
            (false, _) => Continuity::NotReplayed,
            (true, REPLAY_NEW) => Continuity::PositionUnknown,
            (true, _) => Continuity::Replayed,
        }
    }

    fn publish_error(&self, channel: &str) -> Option<SessionError> {
        let name = without_filter(channel).rsplit('/').next().unwrap_or_default();
        let message = format!(
            "Salesforce takes no events over the Streaming API: send them by REST, POST /services/data/vXX.X/sobjects/{name}"
        );
        Some(SessionError::new(Code::InvalidArgument, message))
    }
}

impl ReplayDialect {
    /// The server no longer has the id that a channel was to go on from.
    fn on_expired_replay_id(&mut self, channel: &str, mut error: SessionError) -> Reaction {
        let position = self.replay_id(channel).to_owned();
        match self.fallback.clone() {
            Some(fallback) if fallback != position => {
                self.set_replay_id(channel, &fallback);
                Reaction::Resubscribe(error)
            }
            _ => {
                error.message = format!(
                    "the server no longer has the replay id {position} of {channel}: events are lost; subscribe with replay \"all\" or \"new\", or set replayFallback"
                );
                Reaction::Refuse(error)
            }
        }
    }
}

/// Finds `event.replayId` and `event.EventUuid`; all else is stepped over.
fn read_data(scanner: &mut Scanner<'_>) -> Result<(Span, EventIds), Fault> {
    let mut ids = EventIds::default();
    if scanner.peek() != b'{' {
        let (kind, span) = scanner.value()?;
        return Ok((with_quotes(kind, span), ids));
    }
    let (start, start_unit) = (scanner.pos(), scanner.units());
    members(scanner, |name, scanner| {
        if name != b"event" || scanner.peek() != b'{' {
            return scanner.value().map(drop);
        }
        members(scanner, |name, scanner| {
            let (kind, span) = scanner.value()?;
            match (name, kind) {
                (b"replayId", JsonKind::Number | JsonKind::String) if span.end > span.start => {
                    ids.replay_id = Some(span)
                }
                (b"EventUuid", JsonKind::String) if span.end > span.start => ids.uuid = Some(span),
                _ => {}
            }
            Ok(())
        })
    })?;
    let span = Span {
        start,
        end: scanner.pos(),
        start_unit,
        end_unit: scanner.units(),
        plain: false,
        escaped: false,
    };
    Ok((span, ids))
}

/// FNV-1a: to know an id again among a thousand.
fn fingerprint(text: &[u8]) -> u64 {
    text.iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn number(text: &[u8]) -> Option<u64> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::json::find::Document;
    use crate::bayeux::message::parse_messages;

    fn which_are_new(replay: &mut ReplayDialect, text: &str) -> Vec<bool> {
        let document = Document::new(text.as_bytes().to_vec());
        let messages = parse_messages(document.padded(), read_data).unwrap_or_default();
        messages.events.iter().map(|event| replay.record_event(document.padded(), event)).collect()
    }

    #[test]
    fn knows_events_again_and_keeps_ids_as_text() {
        let mut replay = ReplayDialect::new(REPLAY_NEW.to_owned(), None);
        let text = r#"[{"channel":"/event/A__e","data":{"payload":{"event":{"replayId":1}},"event":{"replayId":9007199254740993,"EventUuid":"u1"}}},
            {"channel":"/event/A__e","data":{"event":{"replayId":9007199254740993,"EventUuid":"u1"}}},
            {"channel":"/event/B__e","data":{"event":{"replayId":"x"}}},{"channel":"/event/B__e","data":{"event":{"replayId":"x"}}},
            {"channel":"/event/B__e","data":{"event":{}}},{"channel":"/event/B__e","data":[1]}]"#;
        assert_eq!(which_are_new(&mut replay, text), [true, false, true, false, true, true]);
        assert_eq!(replay.subscribe_ext("/event/A__e"), r#"{"replay":{"/event/A__e":9007199254740993}}"#);
        assert_eq!(replay.subscribe_ext("/event/B__e"), r#"{"replay":{"/event/B__e":"x"}}"#);
        assert_eq!(replay.subscribe_ext("/topic/T?A='x'"), r#"{"replay":{"/topic/T":-1}}"#);
        assert_eq!(replay.continuity("/topic/T?A='x'"), Continuity::PositionUnknown);
        assert_eq!(replay.continuity("/event/A__e"), Continuity::Replayed);
    }

    #[test]
    fn lower_ids_that_are_not_known_are_new() {
        let mut replay = ReplayDialect::new(REPLAY_NEW.to_owned(), None);
        let event = |id: u32| format!(r#"[{{"channel":"/a","data":{{"event":{{"replayId":{id}}}}}}}]"#);
        assert_eq!(which_are_new(&mut replay, &event(100)), [true]);
        assert_eq!(which_are_new(&mut replay, &event(7)), [true]);
        assert_eq!(which_are_new(&mut replay, &event(100)), [false]);
    }
}
