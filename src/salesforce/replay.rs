//! The dialect of Salesforce: the replay id of each channel, duplicates, and the causes of refusals.
//!
//! ```text
//!   subscribe ── a stored id, -1 or -2 ──> events ── the last id received ──> subscribe again
//!        └─ the server no longer has the id ──> fallback and a notice of the gap, or refused
//! ```
//!
//! Replay ids are opaque text. Salesforce names the cause of a refusal in `ext.sfdc.failureReason`; the
//! `error` beside it may say something else.

use crate::base::error::Code;
use crate::base::json::find::{members, write_string};
use crate::base::json::padded::Padded;
use crate::base::json::scan::{Kind as JsonKind, ScanError, Scanner, Span};
use crate::base::text::{contains, decimal, join};
use crate::base::time::Millis;
use crate::bayeux::dialect::{Continuity, Dialect, MessageKind, Reaction};
use crate::bayeux::errors::SessionError;
use crate::bayeux::message::{DataReader, EventIds, EventSpans, Reply, with_quotes};
use crate::bayeux::wire::{ErrorField, without_filter};

/// New events only.
pub const REPLAY_NEW: &str = "-1";
/// All events that the server stores.
pub const REPLAY_ALL: &str = "-2";

/// How many ids of a channel are kept to detect duplicates.
const MAX_RECENT_IDS: usize = 1024;
/// How many channels have replay ids; further ones cannot be subscribed to, because they would have none.
const MAX_CHANNELS: usize = 1024;
/// The first delay when the server is busy.
const BUSY_DELAY: Millis = Millis(30_000);
/// The first delay when only a subscription is refused because the server is busy.
const SUBSCRIBE_RETRY_DELAY: Millis = Millis(5_000);
/// The first delay when the organization has too many clients.
const USER_LIMIT_DELAY: Millis = Millis(60_000);

/// The dialect of Salesforce.
#[derive(Clone, Debug)]
pub struct ReplayDialect {
    start: String,
    fallback: Option<String>,
    /// The handshake reply offered the replay extension.
    is_replay_offered: bool,
    channels: Vec<Channel>,
    /// The channel of the previous event, which is likely to be that of the next.
    last_channel: usize,
}

#[derive(Clone, Debug)]
struct Channel {
    name: String,
    /// The stored id, or that of the last event.
    replay_id: Option<Vec<u8>>,
    /// The id before events that may have overtaken others.
    kept_id: Option<Vec<u8>>,
    /// The highest id received, for ids that are numbers.
    highest_id: u64,
    /// Hashes of the ids of the last events, in any order.
    recent_ids: Vec<u64>,
    /// Where the oldest is, once there are as many as are kept.
    oldest: usize,
}

impl ReplayDialect {
    /// Channels without a stored id begin at `start`; with an expired one, at `fallback`.
    pub const fn new(start: String, fallback: Option<String>) -> Self {
        Self { start, fallback, is_replay_offered: true, channels: Vec::new(), last_channel: 0 }
    }

    fn replay_id(&self, channel: &str) -> &str {
        let name = without_filter(channel);
        let known = self.channels.iter().find(|known| known.name == name);
        // Valid, because the scanner has checked it. Not checked for each event, but for each subscription.
        let id = known.and_then(|known| core::str::from_utf8(known.replay_id.as_deref()?).ok());
        id.unwrap_or(&self.start)
    }

    /// The index of a channel, which is added if it is missing. `None` if there are too many channels.
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
                        kept_id: None,
                        highest_id: 0,
                        recent_ids: Vec::new(),
                        oldest: 0,
                    });
                    self.channels.len() - 1
                }
            };
        }
        Some(self.last_channel)
    }
}

impl Dialect for ReplayDialect {
    fn set_position(&mut self, channel: &str, id: &str) {
        if let Some(at) = self.channel(without_filter(channel).as_bytes())
            && let Some(channel) = self.channels.get_mut(at)
        {
            (channel.replay_id, channel.kept_id) = (Some(id.as_bytes().to_vec()), None);
        }
    }

    fn position(&self, channel: &str) -> &str {
        self.replay_id(channel)
    }

    fn keep_positions(&mut self) {
        for channel in &mut self.channels {
            if channel.kept_id.is_none() {
                channel.kept_id.clone_from(&channel.replay_id);
            }
        }
    }

    fn settle_positions(&mut self, have_arrived: bool) {
        for channel in &mut self.channels {
            if let Some(kept) = channel.kept_id.take().filter(|_| !have_arrived) {
                channel.replay_id = Some(kept);
            }
        }
    }

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

    fn can_subscribe_together(&self) -> bool {
        // Each channel has a refusal of its own.
        false
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
        let error_field = reply.string(&["ext", "sfdc", "failureReason"]).or_else(|| reply.error())?;
        let cause = ErrorField::parse(&error_field);
        let text = cause.text.to_ascii_lowercase();
        let has = |part: &str| contains(&text, part);
        let what = match kind {
            MessageKind::Subscribe => join(&["the subscription to ", channel]),
            MessageKind::Handshake => "a session".to_owned(),
            _ => "the connection".to_owned(),
        };
        let error = |code| SessionError::refused(code, &what, &error_field);
        let is_subscribe = kind == MessageKind::Subscribe;
        Some(match cause.code? {
            401 => Reaction::Reauthorize,
            503 if is_subscribe => {
                Reaction::ResubscribeLater(error(Code::Unavailable), SUBSCRIBE_RETRY_DELAY)
            }
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
                if is_subscribe {
                    Reaction::Refuse(error(Code::RateLimited))
                } else {
                    Reaction::Stop(error(Code::RateLimited))
                }
            }
            400 if has("cookie present") => Reaction::Stop(error(Code::Rejected).with_cookie_advice()),
            400 if has("authenticated user id does not match") => Reaction::Handshake { drop_cookies: true },
            400 if has("replayid") && has("invalid") && is_subscribe => {
                self.on_expired_replay_id(channel, error(Code::Gone))
            }
            400 if has("api version") || has("connection type") => {
                Reaction::Stop(error(Code::InvalidArgument))
            }
            413 => Reaction::Refuse(error(Code::TooLarge)),
            _ if is_subscribe => Reaction::Refuse(error(Code::Rejected)),
            _ => return None,
        })
    }

    fn is_disconnect_final(&self) -> bool {
        // The everyday end of a session: the token was revoked, the session timed out, the server restarts.
        false
    }

    fn record_event(&mut self, text: Padded<'_>, event: &EventSpans) -> bool {
        let bytes = |span: Span| text.get(span.start, span.end);
        let Some(id) = event.ids.replay_id.map(bytes) else { return true };
        let name = bytes(event.channel);
        let name = name.split(|byte| *byte == b'?').next().unwrap_or(name);
        let Some(at) = self.channel(name) else { return true };
        let Some(channel) = self.channels.get_mut(at) else { return true };
        let hash = fingerprint(event.ids.uuid.map_or(id, bytes));
        let number = parse_number(id);
        // An id that is higher than all before it cannot be a duplicate.
        let is_new = number.is_some_and(|number| number > channel.highest_id);
        if !is_new && channel.recent_ids.contains(&hash) {
            return false;
        }
        channel.highest_id = channel.highest_id.max(number.unwrap_or(0));
        if channel.recent_ids.len() < MAX_RECENT_IDS {
            channel.recent_ids.push(hash);
        } else if let Some(oldest) = channel.recent_ids.get_mut(channel.oldest) {
            *oldest = hash;
            channel.oldest = (channel.oldest + 1) % MAX_RECENT_IDS;
        }
        let last = channel.replay_id.get_or_insert_default();
        last.clear();
        last.extend_from_slice(id);
        true
    }

    fn continuity(&self, channel: &str) -> Continuity {
        match (self.is_replay_offered, self.replay_id(channel)) {
            (false, _) => Continuity::NotReplayed,
            (true, REPLAY_NEW) => Continuity::PositionUnknown,
            (true, _) => Continuity::Replayed,
        }
    }

    fn subscribe_error(&mut self, channel: &str) -> Option<SessionError> {
        let is_known = self.channel(without_filter(channel).as_bytes()).is_some();
        (!is_known).then(|| {
            let text = join(&[
                "a client keeps the replay ids of at most ",
                &decimal(MAX_CHANNELS as u64),
                " channels; use another client",
            ]);
            SessionError::new(Code::InvalidArgument, text)
        })
    }

    fn publish_error(&self, channel: &str) -> Option<SessionError> {
        let name = without_filter(channel).rsplit('/').next().unwrap_or_default();
        let message = join(&[
            "the Streaming API of Salesforce does not accept events; publish with REST: POST /services/data/vXX.X/sobjects/",
            name,
        ]);
        Some(SessionError::new(Code::InvalidArgument, message))
    }
}

impl ReplayDialect {
    /// The server no longer stores events back to the replay id of a channel.
    fn on_expired_replay_id(&mut self, channel: &str, mut error: SessionError) -> Reaction {
        let replay_id = self.replay_id(channel).to_owned();
        match self.fallback.clone() {
            Some(fallback) if fallback != replay_id => {
                self.set_position(channel, &fallback);
                Reaction::Resubscribe(error)
            }
            _ => {
                error.message = join(&[
                    "the server no longer has the replay id ",
                    &replay_id,
                    " of ",
                    channel,
                    ", so events were lost; set replayFallback, or subscribe with replay \"all\" or \"new\"",
                ]);
                Reaction::Refuse(error)
            }
        }
    }
}

/// Finds `event.replayId` and `event.EventUuid` and skips everything else.
fn read_data(scanner: &mut Scanner<'_>) -> Result<(Span, EventIds), ScanError> {
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
        is_plain: false,
        has_escapes: false,
    };
    Ok((span, ids))
}

/// A hash of an id: that of FNV-1a, but with eight bytes at a time, whose upper half moves down before the next ones.
fn fingerprint(text: &[u8]) -> u64 {
    let add = |hash: u64, word: u64| {
        let hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^ hash >> 32
    };
    let (words, rest) = text.as_chunks::<8>();
    let hash = words.iter().fold(text.len() as u64, |hash, word| add(hash, u64::from_le_bytes(*word)));
    add(hash, rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)))
}

/// The value of an id of digits, unless it is too large.
fn parse_number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(*byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Whether an id is a JSON integer, which is sent without quotes.
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
    fn duplicates_are_detected_and_ids_stay_text() {
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
    fn ids_that_differ_in_one_byte_have_different_hashes() {
        let uuid = b"5f1c2b9e-1d1f-4c7e-9a51-0123456789ab";
        for len in 0..=uuid.len() {
            let id = uuid.get(..len).unwrap_or_default();
            for at in 0..len {
                let mut other = id.to_vec();
                other[at] ^= 1;
                assert_ne!(fingerprint(id), fingerprint(&other), "{len} {at}");
            }
            let mut longer = id.to_vec();
            longer.push(0);
            assert_ne!(fingerprint(id), fingerprint(&longer), "{len}");
        }
    }

    #[test]
    fn only_digits_are_a_number() {
        assert_eq!(
            [&b"0"[..], b"007", b"18446744073709551615"].map(parse_number),
            [Some(0), Some(7), Some(u64::MAX)]
        );
        assert_eq!(
            [&b""[..], b"-1", b"+1", b"1.0", b"x", b"18446744073709551616"].map(parse_number),
            [None; 6]
        );
    }

    #[test]
    fn an_event_with_a_lower_unknown_id_is_new() {
        let mut replay = ReplayDialect::new(REPLAY_NEW.to_owned(), None);
        let event = |id: u32| format!(r#"[{{"channel":"/a","data":{{"event":{{"replayId":{id}}}}}}}]"#);
        assert_eq!(which_are_new(&mut replay, &event(100)), [true]);
        assert_eq!(which_are_new(&mut replay, &event(7)), [true]);
        assert_eq!(which_are_new(&mut replay, &event(100)), [false]);
    }
}
