//! A response whose messages are read, once: it may be held before it is processed.

use crate::base::http::Response;
use crate::bayeux::message::{DataReader, EventSpans};
use crate::bayeux::repair::{Damage, Readable, read_response};

/// A response and its messages.
#[derive(Debug)]
pub(super) struct Answer {
    /// Its body is empty if `readable` has it.
    pub(super) response: Response,
    /// The length of the body.
    pub(super) len: usize,
    /// `None` if nothing in the body is a message.
    pub(super) readable: Option<Readable>,
}

impl Answer {
    pub(super) fn read(mut response: Response, data: DataReader) -> Self {
        let len = response.body.len();
        let readable = read_response(&mut response.body, data);
        Self { response, len, readable }
    }

    /// Whether the server has accepted the request.
    pub(super) const fn is_success(&self) -> bool {
        self.response.status / 100 == 2
    }

    /// The channel and the replay id of each event that has one; none if the response is damaged.
    pub(super) fn replayed_events(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let whole = self.readable.as_ref().filter(|readable| readable.damage == Damage::None);
        whole.into_iter().flat_map(|Readable { document, messages, .. }| {
            let text = document.padded();
            messages.events.iter().filter_map(move |EventSpans { channel, ids, .. }| {
                let id = ids.replay_id?;
                Some((text.get(channel.start, channel.end), text.get(id.start, id.end)))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::json::scan::{ScanError, Scanner, Span};
    use crate::bayeux::message::{EventIds, with_quotes};

    /// `data` is the replay id.
    fn read_id(scanner: &mut Scanner<'_>) -> Result<(Span, EventIds), ScanError> {
        let (kind, span) = scanner.value()?;
        Ok((with_quotes(kind, span), EventIds { replay_id: Some(span), uuid: None }))
    }

    fn answer(text: &str) -> Answer {
        Answer::read(Response { body: text.as_bytes().to_vec(), ..Response::new(200) }, read_id)
    }

    fn replayed(text: &str) -> Vec<(String, String)> {
        let owned = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        answer(text).replayed_events().map(|(channel, id)| (owned(channel), owned(id))).collect()
    }

    #[test]
    fn an_answer_has_the_replay_ids_of_its_events() {
        let text = r#"[{"channel":"/a","data":7},{"channel":"/meta/connect","successful":true},
            {"data":"8","channel":"/b"}]"#;
        let ids = [("/a", "7"), ("/b", "8")].map(|(channel, id)| (channel.to_owned(), id.to_owned()));
        assert_eq!(replayed(text), ids);
        assert_eq!(replayed(&format!("\u{feff}{text}")), ids, "a byte order mark does not matter");
    }

    #[test]
    fn a_damaged_answer_has_no_replay_ids_but_its_whole_events() {
        let text = r#"[{"channel":"/a","data":7},{"chan"#;
        assert_eq!(replayed(text), []);
        let cut = answer(text);
        assert_eq!((cut.len, cut.is_success()), (text.len(), true));
        assert_eq!(cut.readable.map(|readable| readable.messages.events.len()), Some(1));
        let page = answer("<html>");
        assert!(page.readable.is_none());
        assert_eq!(page.response.body, b"<html>");
    }
}
