//! The events of a response as numbers, see `js/systems/bayeux/message.ts`.

use crate::base::json::text::unescape;
use crate::bayeux::message::EventSpans;
use crate::bayeux::wire::without_filter;

/// The table of events, eight numbers for each: the index of its channel; start and end of the message and of
/// `data`, in UTF-16 units of the text; then the kind of its replay id and two values. Kind 0: none. 1: an
/// integer, whose upper and lower 32 bits follow. 2: text, whose start and end follow. 3: text with escapes.
pub(super) fn event_table(text: &[u8], events: &[EventSpans]) -> (Vec<u32>, Vec<String>) {
    let mut table = Vec::with_capacity(events.len() * 8);
    let mut channels: Vec<(&[u8], String)> = Vec::new();
    let mut number = 0;
    for EventSpans { message, channel, data, ids } in events {
        let name = text.get(channel.start..channel.end).unwrap_or_default();
        if channels.get(number).is_none_or(|(known, _)| *known != name) {
            // Only the last 16 are searched: a channel may be listed twice, which does no harm.
            let recent = channels.len().saturating_sub(16);
            number = match channels.iter().skip(recent).position(|(known, _)| *known == name) {
                Some(at) => recent + at,
                None => {
                    channels.push((name, decode_name(name, channel.has_escapes)));
                    channels.len() - 1
                }
            };
        }
        table.push(number as u32);
        table.extend([message.0, message.1, data.start_unit, data.end_unit].map(|unit| unit as u32));
        table.extend(match ids.replay_id {
            None => [0; 3],
            Some(id) => match text.get(id.start..id.end).and_then(exact_integer) {
                Some(number) => [1, (number >> 32) as u32, number as u32],
                None => [2 + u32::from(id.has_escapes), id.start_unit as u32, id.end_unit as u32],
            },
        });
    }
    (table, channels.into_iter().map(|(_, name)| name).collect())
}

fn decode_name(name: &[u8], is_escaped: bool) -> String {
    let mut bytes = if is_escaped { vec![0; name.len()] } else { Vec::new() };
    let name = if is_escaped { unescape(name, &mut bytes).unwrap_or(name) } else { name };
    without_filter(&String::from_utf8_lossy(name)).to_owned()
}

/// An integer that a JavaScript number represents exactly and formats in the same way.
fn exact_integer(text: &[u8]) -> Option<u64> {
    let is_plain = matches!(text, [b'0'] | [b'1'..=b'9', ..]) && text.len() <= 15;
    let digits = is_plain.then_some(text)?;
    digits
        .iter()
        .try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u64::from(*digit - b'0')))
}
