//! The dialect of Salesforce: where each channel goes on, which events were here before, and what its refusals mean.
//!
//! ```text
//!   subscribe ── start: a stored mark, or -1, or -2 ──> events ── position: the id that came last ──> subscribe again
//!        └─ the server has forgotten the id ──> fallback (and a gap is reported), or refused
//! ```
//!
//! Ids are text that is only ever given back. Salesforce names the true cause of a refusal in `ext.sfdc.failureReason`; the `error` beside it
//! may say something else.

use std::collections::VecDeque;

use crate::base::error::Code;
use crate::base::json::find::{members, write_string};
use crate::base::json::padded::Padded;
use crate::base::json::scan::{Kind as JsonKind, ScanError, Scanner, Span};
use crate::base::time::Millis;
use crate::bayeux::dialect::{Continuity, Dialect, Kind, Reaction};
use crate::bayeux::message::{DataReader, Marks, Reply, Row, whole};
use crate::bayeux::session::SessionError;
use crate::bayeux::wire::{Complaint, without_filter};

/// Only what happens from now on.
pub const NEW: &str = "-1";
/// Everything that the server still has.
pub const ALL: &str = "-2";

/// How many events of a channel are remembered, to know them again.
const WINDOW: usize = 1024;
/// How many channels are.
const CHANNELS: usize = 1024;
/// What a busy server gets at least.
const BUSY: Millis = Millis(30_000);
/// A refused subscription is tried again sooner: the rest works.
const SOON: Millis = Millis(5_000);
/// Too many clients.
const CROWDED: Millis = Millis(60_000);

/// The dialect.
#[derive(Clone, Debug)]
pub struct Replay {
    start: String,
    fallback: Option<String>,
    is_offered: bool,
    channels: Vec<Channel>,
    latest: usize,
}

#[derive(Clone, Debug)]
struct Channel {
    name: String,
    /// A mark, or the id that came last.
    position: Option<String>,
    /// The largest number that came, for ids that are numbers.
    highest: u64,
    window: VecDeque<u64>,
}

impl Replay {
    /// Channels start there, unless there is a mark for them.
    pub const fn new(start: String, fallback: Option<String>) -> Self {
        Self { start, fallback, is_offered: true, channels: Vec::new(), latest: 0 }
    }

    /// A channel goes on behind that id.
    pub fn set_mark(&mut self, channel: &str, id: &str) {
        if let Some(at) = self.channel(without_filter(channel).as_bytes())
            && let Some(channel) = self.channels.get_mut(at)
        {
            channel.position = Some(id.to_owned());
        }
    }

    fn position(&self, channel: &str) -> &str {
        let name = without_filter(channel);
        let known = self.channels.iter().find(|known| known.name == name);
        known.and_then(|known| known.position.as_deref()).unwrap_or(&self.start)
    }

    /// The channel of that name, which is made if need be. `None` if there are too many.
    fn channel(&mut self, name: &[u8]) -> Option<usize> {
        if self.channels.get(self.latest).is_none_or(|latest| latest.name.as_bytes() != name) {
            self.latest = match self.channels.iter().position(|known| known.name.as_bytes() == name) {
                Some(at) => at,
                None if self.channels.len() >= CHANNELS => return None,
                None => {
                    let name = String::from_utf8_lossy(name).into_owned();
                    self.channels.push(Channel { name, position: None, highest: 0, window: VecDeque::new() });
                    self.channels.len() - 1
                }
            };
        }
        Some(self.latest)
    }
}

impl Dialect for Replay {
    fn data_reader(&self) -> DataReader {
        read_data
    }

    fn handshake_ext(&self) -> &'static str {
        "\"replay\":true"
    }

    fn shaken(&mut self, reply: &Reply) -> Option<&'static str> {
        self.is_offered = reply.get(&["ext", "replay"]).and_then(|offer| offer.bool()) == Some(true);
        (!self.is_offered).then_some("replay_unsupported")
    }

    fn subscribe_ext(&self, channel: &str) -> String {
        if !self.is_offered {
            return String::new();
        }
        let mut ext = String::from("{\"replay\":{");
        write_string(&mut ext, without_filter(channel));
        ext.push(':');
        let id = self.position(channel);
        if is_number(id) {
            ext.push_str(id);
        } else {
            write_string(&mut ext, id);
        }
        ext.push_str("}}");
        ext
    }

    fn judge(&mut self, kind: Kind, reply: &Reply, channel: &str, is_opening: bool) -> Option<Reaction> {
        let error = reply.string(&["ext", "sfdc", "failureReason"]).or_else(|| reply.error())?;
        let cause = Complaint::parse(&error);
        let text = cause.text.to_ascii_lowercase();
        let has = |part: &str| text.contains(part);
        let what = match kind {
            Kind::Subscribe => format!("the subscription to {channel}"),
            Kind::Handshake => "a session".to_owned(),
            _ => "the connection".to_owned(),
        };
        let trouble = |code| SessionError::said(code, &what, &error);
        let subscribes = kind == Kind::Subscribe;
        Some(match cause.code? {
            401 => Reaction::Reauthorize,
            503 if subscribes => Reaction::Later(trouble(Code::Unavailable), SOON),
            503 => Reaction::Busy(trouble(Code::Unavailable), BUSY),
            403 if has("unknown client") || has("not completed handshake") => {
                Reaction::Handshake { drop_cookies: false }
            }
            403 if has("limit the number of simultaneous") => {
                Reaction::Busy(trouble(Code::RateLimited), BUSY)
            }
            403 if has("concurrent user limit") && !is_opening => {
                Reaction::Busy(trouble(Code::RateLimited), CROWDED)
            }
            403 if has("limit") && has("exceeded") => {
                if subscribes {
                    Reaction::Refuse(trouble(Code::RateLimited))
                } else {
                    Reaction::Stop(trouble(Code::RateLimited))
                }
            }
            400 if has("cookie present") => {
                let mut trouble = trouble(Code::Rejected);
                trouble.message.push_str(
                    " - the session cookie did not come back: in a browser, cookies of the server's site are blocked; elsewhere, something between takes them away",
                );
                Reaction::Stop(trouble)
            }
            400 if has("authenticated user id does not match") => Reaction::Handshake { drop_cookies: true },
            400 if has("replayid") && has("invalid") && subscribes => {
                self.forgotten(channel, trouble(Code::Gone))
            }
            400 if has("api version") || has("connection type") => {
                Reaction::Stop(trouble(Code::InvalidArgument))
            }
            413 => Reaction::Refuse(trouble(Code::TooLarge)),
            _ if subscribes => Reaction::Refuse(trouble(Code::Rejected)),
            _ => return None,
        })
    }

    fn arrived(&mut self, text: Padded<'_>, row: &Row) -> bool {
        let bytes = |span: Span| text.get(span.start, span.end);
        let Some(position) = row.marks.position.map(bytes) else { return true };
        let name = bytes(row.channel);
        let name = name.split(|byte| *byte == b'?').next().unwrap_or(name);
        let Some(at) = self.channel(name) else { return true };
        let Some(channel) = self.channels.get_mut(at) else { return true };
        let identity = fingerprint(row.marks.identity.map_or(position, bytes));
        let number = number(position);
        // One that is higher than all before cannot have been here.
        let is_new = number.is_some_and(|number| number > channel.highest);
        if !is_new && channel.window.contains(&identity) {
            return false;
        }
        channel.highest = channel.highest.max(number.unwrap_or(0));
        if channel.window.len() == WINDOW {
            channel.window.pop_front();
        }
        channel.window.push_back(identity);
        match &mut channel.position {
            Some(text) => {
                text.clear();
                text.push_str(core::str::from_utf8(position).unwrap_or_default());
            }
            none => *none = core::str::from_utf8(position).ok().map(str::to_owned),
        }
        true
    }

    fn continuity(&self, channel: &str) -> Continuity {
        match (self.is_offered, self.position(channel)) {
            (false, _) => Continuity::None,
            (true, NEW) => Continuity::Unknown,
            (true, _) => Continuity::Kept,
        }
    }

    fn refuses_to_publish(&self, channel: &str) -> Option<SessionError> {
        let name = without_filter(channel).rsplit('/').next().unwrap_or_default();
        let message = format!(
            "Salesforce takes no events over the Streaming API: send them by REST, POST /services/data/vXX.X/sobjects/{name}"
        );
        Some(SessionError::new(Code::InvalidArgument, message))
    }
}

impl Replay {
    /// The server no longer has the id that a channel was to go on from.
    fn forgotten(&mut self, channel: &str, mut trouble: SessionError) -> Reaction {
        let position = self.position(channel).to_owned();
        match self.fallback.clone() {
            Some(fallback) if fallback != position => {
                self.set_mark(channel, &fallback);
                Reaction::Again(trouble)
            }
            _ => {
                trouble.message = format!(
                    "the server no longer has the replay id {position} of {channel}: events are lost; subscribe with replay \"all\" or \"new\", or set replayFallback"
                );
                Reaction::Refuse(trouble)
            }
        }
    }
}

/// Finds `event.replayId` and `event.EventUuid`; all else is stepped over.
fn read_data(scanner: &mut Scanner<'_>) -> Result<(Span, Marks), ScanError> {
    let mut marks = Marks::default();
    if scanner.peek() != b'{' {
        let (kind, span) = scanner.value()?;
        return Ok((whole(kind, span), marks));
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
                    marks.position = Some(span)
                }
                (b"EventUuid", JsonKind::String) if span.end > span.start => marks.identity = Some(span),
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
        is_plain: false,
        has_escapes: false,
    };
    Ok((span, marks))
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
    use crate::bayeux::message::read;

    fn new_ones(replay: &mut Replay, text: &str) -> Vec<bool> {
        let document = Document::new(text.as_bytes().to_vec());
        let reading = read(document.padded(), read_data).unwrap_or_default();
        reading.rows.iter().map(|row| replay.arrived(document.padded(), row)).collect()
    }

    #[test]
    fn knows_events_again_and_keeps_ids_as_text() {
        let mut replay = Replay::new(NEW.to_owned(), None);
        let text = r#"[{"channel":"/event/A__e","data":{"payload":{"event":{"replayId":1}},"event":{"replayId":9007199254740993,"EventUuid":"u1"}}},
            {"channel":"/event/A__e","data":{"event":{"replayId":9007199254740993,"EventUuid":"u1"}}},
            {"channel":"/event/B__e","data":{"event":{"replayId":"x"}}},{"channel":"/event/B__e","data":{"event":{"replayId":"x"}}},
            {"channel":"/event/B__e","data":{"event":{}}},{"channel":"/event/B__e","data":[1]}]"#;
        assert_eq!(new_ones(&mut replay, text), [true, false, true, false, true, true]);
        assert_eq!(replay.subscribe_ext("/event/A__e"), r#"{"replay":{"/event/A__e":9007199254740993}}"#);
        assert_eq!(replay.subscribe_ext("/event/B__e"), r#"{"replay":{"/event/B__e":"x"}}"#);
        assert_eq!(replay.subscribe_ext("/topic/T?A='x'"), r#"{"replay":{"/topic/T":-1}}"#);
        assert_eq!(replay.continuity("/topic/T?A='x'"), Continuity::Unknown);
        assert_eq!(replay.continuity("/event/A__e"), Continuity::Kept);
    }

    #[test]
    fn lower_ids_that_are_not_known_are_new() {
        let mut replay = Replay::new(NEW.to_owned(), None);
        let event = |id: u32| format!(r#"[{{"channel":"/a","data":{{"event":{{"replayId":{id}}}}}}}]"#);
        assert_eq!(new_ones(&mut replay, &event(100)), [true]);
        assert_eq!(new_ones(&mut replay, &event(7)), [true]);
        assert_eq!(new_ones(&mut replay, &event(100)), [false]);
    }
}
